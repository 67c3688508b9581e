"""The random effects of a model, arranged by grouping factor."""

from dataclasses import dataclass

import numpy as np

from .covariance import Pattern, lower_factor, lower_triangle
from .errors import ModelError
from .standardise import orthogonal_columns, scaled_columns
from .structure import Factor


@dataclass(frozen=True, eq=False)
class Group:
    """All random effects of one grouping factor.

    ``columns`` names the ``q`` random effects, ``levels`` the ``J`` groups, and ``pattern`` says which entries of
    the relative covariance factor are free.
    """

    name: str
    levels: tuple
    columns: tuple
    terms: tuple
    pattern: Pattern
    factor: Factor

    @property
    def q(self):
        return len(self.columns)

    def to_standard_Lambda(self, Lambda):
        """Return the factor that acts on standardised columns."""
        return np.linalg.solve(self.factor.to_standard, Lambda)

    def from_standard_Lambda(self, Lambda):
        """Return the lower-triangular factor that acts on the columns as the user wrote them."""
        return lower_factor(self.factor.to_standard @ Lambda)


def arrange(random_designs):
    """Collect the terms of a formula by grouping factor.

    Returns
    -------
    groups : tuple of Group
        In the order in which the formula first names them.
    theta_names : tuple of str
        For each entry of theta, in the order of the formula: ``"Subject.Days"`` for a diagonal entry of Lambda,
        ``"Subject.Days.Intercept"`` for the entry in the row of Days and the column of Intercept.
    """
    designs_of = {}
    theta_names, places = [], {}
    for design in random_designs:
        rows, cols = _free_entries(design)
        places[id(design)] = (rows, cols, np.arange(len(rows)) + len(theta_names))
        theta_names += [_theta_name(design, i, j) for i, j in zip(rows, cols, strict=True)]
        designs_of.setdefault(design.group, []).append(design)
    groups = tuple(_group(name, designs, places) for name, designs in designs_of.items())
    return groups, tuple(theta_names)


def _free_entries(design):
    q = len(design.columns)
    if design.correlated:
        return lower_triangle(range(q))
    return np.arange(q), np.arange(q)


def _theta_name(design, i, j):
    names = [design.group, design.columns[i]] + ([design.columns[j]] if i != j else [])
    return ".".join(names)


def _group(name, designs, places):
    columns = tuple(column for d in designs for column in d.columns)
    for column in columns:
        if columns.count(column) > 1:
            raise ModelError(
                f"The random effect {column!r} of {name!r} stands in more than one term, so its variance cannot be"
                f" divided between them; write it once, for example (1 | {name}) + (0 + x | {name})."
            )
    rows, cols, index, blocks, maps, start = [], [], [], [], [], 0
    for d in designs:
        r, c, k = places[id(d)]
        rows.append(r + start)
        cols.append(c + start)
        index.append(k)
        q = len(d.columns)
        blocks += [range(start, start + q)] if d.correlated else [range(i, i + 1) for i in range(start, start + q)]
        maps.append(_standardising_map(d))
        start += q
    pattern = Pattern(start, np.concatenate(rows), np.concatenate(cols), np.concatenate(index), tuple(blocks))
    Z = designs[0].Z if len(designs) == 1 else np.concatenate([d.Z for d in designs])
    to_standard = np.zeros((start, start))
    position = 0
    for m in maps:
        to_standard[position : position + len(m), position : position + len(m)] = m
        position += len(m)
    factor = Factor(name, designs[0].codes, Z, len(designs[0].levels), to_standard)
    return Group(name, designs[0].levels, columns, tuple(d.term for d in designs), pattern, factor)


def _standardising_map(design):
    for column, values in zip(design.columns, design.Z, strict=True):
        if not values.any():
            raise ModelError(
                f"The random effect {column!r} of {design.group!r} is zero in every row, so it has nothing to vary"
                f" with; leave it out of {design.term.text}."
            )
    if not design.correlated:
        return scaled_columns(design.Z)
    scale = scaled_columns(design.Z)
    map_ = scale @ orthogonal_columns(scale @ design.Z) if len(scale) > 1 else scale
    if not np.all(np.isfinite(map_)) or np.abs(map_ / np.diag(scale)[:, None]).max() > 1e11:
        raise ModelError(
            f"The columns {', '.join(design.columns)} of {design.term.text} are exact combinations of each other, so"
            " their variances cannot be told apart; keep fewer of them on the left of the bar."
        )
    return map_
