r"""The columns of a smooth curve: from a number in each row to the bends of a spline.

A curve is a straight line, which is a fixed effect, plus bends.  The bends that a spline over k knots can
make are turned to the eigenvectors of its penalty, so that the penalty is a sum of squares, and cleared of
their regression on (1, x) over the rows: the line is then that of least squares, and the likelihood does not
depend on how the basis is written.  Wood (2017), *Generalized Additive Models*, 2nd ed., 5.4 and 5.8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.effects import Effects
from glmmlib.design.plain import shown_as
from glmmlib.errors import DataError, ModelError
from glmmlib.formula.algebra import Factor
from glmmlib.formula.smooths import FEWEST, HAS_LINE
from glmmlib.formula.terms import MixedFormula, RandomTerm
from glmmlib.formula.tokens import plain_name
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
    line_name : str
        Of the coefficient of its straight line.
    distinct : (m,) array
        The values of x in the data, increasing; of the rows of its level.
    middle : float
        Their mean over these rows.
    share : int
        The row of the matrix that multiplies the curve: one for the rows of its level and zero for others, or
        the numbers of ``by``; 0 for none.
    """

    spline: CubicSpline = field(repr=False, kw_only=True)
    line: np.ndarray = field(repr=False, kw_only=True)
    has_line: bool = field(kw_only=True)
    line_name: str = field(kw_only=True)
    distinct: np.ndarray = field(repr=False, kw_only=True)
    middle: float = field(kw_only=True)
    share: int = field(kw_only=True, default=0)

    def rows(self, matrix: np.ndarray, data: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        bends = self.bends(matrix[0])
        return bends * matrix[self.share] if self.share else bends, []

    def bends(self, x: np.ndarray) -> np.ndarray:
        """Return the bends (q, n) at x."""
        assert self.places is not None
        bends = self.spline.values(x) @ self.places.T - straight(x, self.has_line) @ self.line
        return np.ascontiguousarray(bends.T)


def learn_curve(term: RandomTerm, names: tuple[str, ...], matrix: np.ndarray) -> CurveEffects:
    """Choose the knots of a curve and turn its bends; ``matrix`` (1 + k, n) holds x, then what it goes by."""
    options, x = dict(term.options), matrix[0]
    if "[" in re.sub("`[^`]*`", "", names[0]) or ("by" not in options and len(matrix) != 1):
        raise ModelError(
            f"{term.text} smooths one column of numbers, and that is a factor or several columns: "
            "put a factor in the formula as it is"
        )
    share = _share(options, names)
    weight = matrix[share] if share else np.ones(len(x))
    has_line = HAS_LINE[str(options.get("bs", "cr"))]
    spline = CubicSpline.over(_knots(term, options, x), is_cyclic=not has_line)
    values, vectors = np.linalg.eigh(spline.S)
    n_free = 2 if has_line else 1
    values, vectors = values[: n_free - 1 : -1], vectors[:, : n_free - 1 : -1]
    here = weight != 0
    bends, line = split_from_line(spline, x[here], vectors / np.sqrt(values), has_line, weight[here])
    return CurveEffects(
        tuple(f"bend {i + 1}" + ("" if term.is_curve else f" of {names[0]}") for i in range(bends.shape[1])),
        bends.T,
        spline=spline,
        line=line,
        has_line=has_line,
        line_name=f"{names[0]}:{names[share]}" if term.goes_by else names[0],
        distinct=np.unique(x[here]),
        middle=float(x[here].mean()),
        share=share,
    )


def _share(options, names):
    """Return the column by which a curve goes: that of its level, or the numbers; 0 for none."""
    return names.index(options["level"]) if "level" in options else len(names) - 1


def split_from_line(
    spline: Any, x: np.ndarray, bends: np.ndarray, has_line: bool, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bends (m, q), of mean square one over the rows, and their regression on the line; rows count
    as often as the square of what multiplies the curve there.
    """
    B, L = weight[:, None] * (spline.values(x) @ bends), weight[:, None] * straight(x, has_line)
    line = np.linalg.lstsq(L, B, rcond=None)[0]
    scale = np.sqrt(np.mean((B - L @ line) ** 2))
    return bends / scale, line / scale


def by_level(formula: MixedFormula, levels: Mapping[str, Sequence[str] | None]) -> MixedFormula:
    """Return the formula with a curve for each level of a factor in the place of ``s(x, by=f)``.

    Parameters
    ----------
    formula : MixedFormula
    levels : mapping of str to sequence of str or None
        The levels of each column, None of numbers.
    """
    return replace(formula, random=tuple(one for term in formula.random for one in _curves_of(term, levels)))


def _curves_of(term, levels):
    by = dict(term.options).get("by")
    name = by and (plain_name(by) or by)
    if not by or levels[name] is None:
        return [term]
    column = shown_as(Factor(name))
    return [replace(term, options=(*term.options, ("level", f"{column}[{level}]"))) for level in levels[name]]


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
