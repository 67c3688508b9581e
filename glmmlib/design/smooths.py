r"""The columns of a smooth curve: from a number in each row to the bends of a spline.

A curve is a straight line, which is a fixed effect, plus bends.  The bends that a spline over k knots can
make are turned to the eigenvectors of its penalty, so that the penalty is a sum of squares, and cleared of
their regression on (1, x) over the rows: the line is then that of least squares, and the likelihood does not
depend on how the basis is written.  Wood (2017), *Generalized Additive Models*, 2nd ed., 5.4 and 5.8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.effects import Effects
from glmmlib.errors import DataError, ModelError
from glmmlib.formula.smooths import FEWEST, HAS_LINE
from glmmlib.formula.terms import RandomTerm
from glmmlib.linalg.splines import CubicSpline


@dataclass(frozen=True, eq=False)
class CurveEffects(Effects):
    """The bends of a curve.

    Attributes
    ----------
    spline : CubicSpline
    line : (1 or 2, q) array
        What each bend has of a constant and of x, taken away from it.
    has_line : bool
    distinct : (m,) array
        The values of x in the data, increasing.
    """

    spline: CubicSpline = field(repr=False, kw_only=True)
    line: np.ndarray = field(repr=False, kw_only=True)
    has_line: bool = field(kw_only=True)
    distinct: np.ndarray = field(repr=False, kw_only=True)

    def rows(self, matrix: np.ndarray, data: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        x = matrix[0]
        assert self.places is not None
        bends = self.spline.values(x) @ self.places.T - straight(x, self.has_line) @ self.line
        return np.ascontiguousarray(bends.T), []


def learn_curve(term: RandomTerm, names: tuple[str, ...], matrix: np.ndarray) -> CurveEffects:
    """Choose the knots of a curve and turn its bends; ``matrix`` (1, n) holds x."""
    if len(matrix) != 1 or "[" in names[0]:
        raise ModelError(
            f"{term.text} smooths one column of numbers, and that is a factor or several columns: "
            "put a factor in the formula as it is"
        )
    options, x = dict(term.options), matrix[0]
    has_line = HAS_LINE[str(options.get("bs", "cr"))]
    spline = CubicSpline.over(_knots(term, options, x), is_cyclic=not has_line)
    values, vectors = np.linalg.eigh(spline.S)
    n_free = 2 if has_line else 1
    values, vectors = values[: n_free - 1 : -1], vectors[:, : n_free - 1 : -1]
    bends, line = split_from_line(spline, x, vectors / np.sqrt(values), has_line)
    columns = tuple(f"bend {i + 1}" for i in range(bends.shape[1]))
    return CurveEffects(columns, bends.T, spline=spline, line=line, has_line=has_line, distinct=np.unique(x))


def split_from_line(
    spline: Any, x: np.ndarray, bends: np.ndarray, has_line: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bends (m, q), of mean square one over the rows, and their regression on the line."""
    B, L = spline.values(x) @ bends, straight(x, has_line)
    line = np.linalg.lstsq(L, B, rcond=None)[0]
    scale = np.sqrt(np.mean((B - L @ line) ** 2))
    return bends / scale, line / scale


def straight(x: np.ndarray, has_line: bool) -> np.ndarray:
    """Return the columns (n, 1 or 2) of the part that is not penalised."""
    return np.column_stack([np.ones(len(x)), x]) if has_line else np.ones((len(x), 1))


def _knots(term: RandomTerm, options: dict, x: np.ndarray) -> np.ndarray:
    """Return the knots: as given, or quantiles of the distinct values of x."""
    given, k = options.get("knots"), int(options.get("k", 10))
    if given is not None and len(given) > 2:
        if x.max() > given[-1] or x.min() < given[0]:
            raise DataError(
                f"the knots of {term.text} end at {given[0]:g} and {given[-1]:g}, and the data reach from "
                f"{x.min():g} to {x.max():g}: the outer knots hold all of the data"
            )
        return np.asarray(given, dtype=float)
    distinct = np.unique(x)
    if given is not None:
        low, high = given
        if distinct[0] < low or distinct[-1] > high:
            raise DataError(
                f"the period of {term.text} is {low:g} to {high:g}, and the data reach from {distinct[0]:g} "
                f"to {distinct[-1]:g}: give the ends of the period as knots"
            )
        distinct = np.unique([low, *distinct, high])
    if len(distinct) < k:
        raise DataError(
            f"{term.text} has {k} knots, and its column {len(distinct)} distinct values: "
            + (
                f"write k={len(distinct)} or less"
                if len(distinct) >= FEWEST
                else "that is too few for a curve, so make it a straight line or a factor"
            )
        )
    return np.quantile(distinct, np.linspace(0.0, 1.0, k))
