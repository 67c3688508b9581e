"""The random effects of a model, arranged by grouping factor."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from glmmlib.covariance.factors import Pattern, lower_factor, lower_triangle
from glmmlib.linalg.conditioning import orthogonal_columns, scaled_columns
from glmmlib.linalg.crossing import Factor


@dataclass(frozen=True, eq=False)
class Group:
    """All random effects of one grouping factor.

    ``columns`` names the ``q`` random effects, ``levels`` the ``J`` groups, and ``pattern`` says which
    entries of the relative covariance factor are free. ``parts`` tells, for each term of the formula that is
    in here, its position among the random-effects terms and the slice of ``columns`` that it contributed.
    """

    name: str
    levels: Sequence[Hashable]
    columns: tuple
    terms: tuple
    parts: tuple
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


def arrange(random_designs, weights=None):
    """Collect the terms of a formula by grouping factor.

    Parameters
    ----------
    random_designs : sequence of RandomDesign
    weights : (n,) array, optional
        Known precisions of a linear model; they set the scale of the standardised columns.

    Returns
    -------
    groups : tuple of Group
        In the order in which the formula first names them.
    theta_names : tuple of str
        For each entry of theta, in the order of the formula: ``"Subject.Days"`` for a diagonal entry of
        Lambda, ``"Subject.Days.Intercept"`` for the entry in the row of Days and the column of Intercept.
    """
    designs_of = {}
    theta_names, places = [], {}
    for position, design in enumerate(random_designs):
        rows, cols = _free_entries(design)
        places[id(design)] = (position, rows, cols, np.arange(len(rows)) + len(theta_names))
        theta_names += [_theta_name(design, i, j) for i, j in zip(rows, cols, strict=True)]
        designs_of.setdefault(design.group, []).append(design)
    groups = tuple(_group(name, designs, places, weights) for name, designs in designs_of.items())
    return groups, tuple(theta_names)


def _free_entries(design):
    q = len(design.columns)
    if design.correlated:
        return lower_triangle(range(q))
    return np.arange(q), np.arange(q)


def _theta_name(design, i, j):
    names = [design.group, design.columns[i]] + ([design.columns[j]] if i != j else [])
    return ".".join(names)


def _group(name, designs, places, weights):
    columns = tuple(column for d in designs for column in d.columns)
    rows, cols, index, blocks, parts, maps, start = [], [], [], [], [], [], 0
    for d in designs:
        position, r, c, k = places[id(d)]
        rows.append(r + start)
        cols.append(c + start)
        index.append(k)
        q = len(d.columns)
        blocks += (
            [range(start, start + q)] if d.correlated else [range(i, i + 1) for i in range(start, start + q)]
        )
        parts.append((position, slice(start, start + q)))
        maps.append(_standardising_map(d, weights))
        start += q
    pattern = Pattern(start, np.concatenate(rows), np.concatenate(cols), np.concatenate(index), tuple(blocks))
    Z = designs[0].Z if len(designs) == 1 else np.concatenate([d.Z for d in designs])
    factor = Factor(name, designs[0].codes, Z, len(designs[0].levels), block_diag(*maps))
    terms = tuple(d.term for d in designs)
    return Group(name, designs[0].levels, columns, terms, tuple(parts), pattern, factor)


def _standardising_map(design, weights):
    scale = scaled_columns(design.Z, weights)
    if not design.correlated or len(scale) == 1:
        return scale
    return scale @ orthogonal_columns(scale @ design.Z, weights)
