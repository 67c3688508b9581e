"""From the left of a bar to random effects: columns of a model matrix, or an effect for each time or place.

A covariance structure says by its ``left_side`` what it wants there. What is learned from the data of a fit
is kept and read again for new data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.levels import codes_in, text_of
from glmmlib.display.words import did_you_mean, listed
from glmmlib.errors import DataError, ModelError
from glmmlib.formula.terms import RandomTerm


@dataclass(frozen=True, eq=False)
class Effects:
    """The random effects of a term: how rows of data become rows of Z.

    Attributes
    ----------
    columns : tuple of str
        Names of the q effects.
    places : (q, d) array or None
        The times or places of the effects; a known covariance (q, q).
    """

    columns: tuple[str, ...]
    places: Any = field(repr=False, default=None)

    def rows(self, matrix: np.ndarray, data: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Return Z (q, n) for a model matrix (k, n) of the left side, and what of it the fit has not seen."""
        return matrix, []


@dataclass(frozen=True, eq=False)
class PlaceEffects(Effects):
    """One effect for each distinct place."""

    def rows(self, matrix: np.ndarray, data: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        codes = _codes_of(self.places, matrix.T)
        unseen = list(dict.fromkeys(_place_name(place) for place in matrix.T[codes < 0]))
        return _indicators(codes, len(self.columns)), unseen


@dataclass(frozen=True, eq=False)
class LevelEffects(Effects):
    """One effect for each level of a column."""

    column: str = ""

    def rows(self, matrix: np.ndarray, data: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        codes = codes_in(pd.Index(self.columns), data[self.column].map(text_of))
        unseen = list(dict.fromkeys(map(str, data[self.column][codes < 0])))
        return _indicators(codes, len(self.columns)), unseen


def learn_effects(
    term: RandomTerm,
    left_side: str,
    names: tuple[str, ...],
    matrix: np.ndarray,
    rows: pd.DataFrame,
    known: Any,
) -> tuple[Effects, np.ndarray]:
    """Return the :class:`Effects` of a term and their Z (q, n).

    Parameters
    ----------
    term : RandomTerm
    left_side : {"effects", "times", "places", "levels"}
    names, matrix : tuple of str, (k, n) array
        The model matrix of the left side.
    rows : DataFrame
    known : dict of str to DataFrame
        Known covariances.
    """
    if left_side == "effects":
        return Effects(names), matrix
    effects = {"times": _times, "places": _places, "levels": _levels}[left_side](
        term, names, matrix, rows, known
    )
    Z, unseen = effects.rows(matrix, rows)
    if unseen:
        raise DataError(
            f"the known covariance {dict(term.options)['cov']!r} of {term.text} has no row for "
            f"{listed(unseen)}"
        )
    return effects, Z


def _times(term, names, matrix, rows, known):
    if not term.lhs.startswith("0 + "):
        raise ModelError(
            f"{term.text} wants one effect for each time and no other: write 0 + before the times, "
            f"{term.word}(0 + {term.lhs} | {term.group})"
        )
    is_factor = len(matrix) > 1
    if is_factor and not (np.isin(matrix, (0.0, 1.0)).all() and (matrix.sum(axis=0) == 1.0).all()):
        raise ModelError(
            f"the left side of {term.text} is one column of times (a factor, or numbers), not {listed(names)}"
        )
    if is_factor:
        return Effects(names, np.arange(len(names), dtype=float)[:, None])
    times = np.unique(matrix[0])
    if len(times) < 2:
        raise DataError(f"{term.text} needs at least two times, and the data have one only ({times[0]:g})")
    return PlaceEffects(tuple(f"{names[0]}[{time:g}]" for time in times), times[:, None])


def _places(term, names, matrix, rows, known):
    shown = [name for name in names if name != "Intercept"]
    is_indicator = np.isin(matrix, (0.0, 1.0)).all()
    if is_indicator and any("[" in name for name in shown):
        raise ModelError(
            f"the left side of {term.text} holds the coordinates of places, which are numbers, not levels: "
            f"{listed(shown)}"
        )
    places = np.unique(matrix.T, axis=0)
    return PlaceEffects(tuple(_place_name(place) for place in places), places)


def _levels(term, names, matrix, rows, known):
    """Read ``known(1 | animal, cov="A")``: one effect for each row of a known covariance matrix."""
    name = dict(term.options).get("cov")
    if term.lhs != "1" or len(term.groups) != 1 or not isinstance(name, str):
        raise ModelError(
            f"{term.text} is not understood: write known(1 | animal, cov='A'), and pass "
            "known={'A': matrix}, a DataFrame whose rows and columns are the levels of animal"
        )
    if name not in known:
        given = did_you_mean(name, list(known)) if known else " (none is given)"
        raise ModelError(f"{term.text} wants the covariance {name!r}, which is not in known={given}")
    table = known[name]
    labels = tuple(text_of(label) for label in table.index)
    return LevelEffects(labels, table.to_numpy(dtype=float), term.groups[0])


def checked_known(known: Mapping[str, pd.DataFrame] | None) -> dict[str, pd.DataFrame]:
    """Return the known covariance matrices, their columns in the order of their rows.

    Raises
    ------
    ModelError
        For what is no square, symmetric table of finite numbers with the same labels on both sides.
    """
    if known is None:
        return {}
    if not isinstance(known, Mapping):
        raise ModelError(
            f"known is a dict of names to DataFrames, such as {{'A': A}}, not a {type(known).__name__}"
        )
    found = {}
    for name, table in known.items():
        if not isinstance(table, pd.DataFrame):
            raise ModelError(
                f"the known covariance {name!r} is a DataFrame with a row and a column for each level, not a "
                f"{type(table).__name__}"
            )
        if not table.index.is_unique or set(table.index) != set(table.columns):
            raise ModelError(
                f"rows and columns of the known covariance {name!r} have different or repeated labels: both "
                "are the levels of the grouping factor"
            )
        table = table[table.index]
        values = table.to_numpy(dtype=float)
        if not np.isfinite(values).all() or not np.allclose(values, values.T, rtol=1e-8, atol=1e-12):
            raise ModelError(f"the known covariance {name!r} is not symmetric, or holds missing values")
        found[name] = table
    return found


def _codes_of(places: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the number of the place of each row (n, d), -1 where it is none of them."""
    both = np.concatenate([places, rows])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.ravel()
    place_of = np.full(number.max() + 1, -1)
    place_of[number[: len(places)]] = np.arange(len(places))
    return place_of[number[len(places) :]]


def _indicators(codes: np.ndarray, q: int) -> np.ndarray:
    Z = np.zeros((q, len(codes)))
    known = np.flatnonzero(codes >= 0)
    Z[codes[known], known] = 1.0
    return Z


def _place_name(place: np.ndarray) -> str:
    return f"({', '.join(f'{x:g}' for x in place)})"
