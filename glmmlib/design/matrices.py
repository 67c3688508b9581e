"""Model matrices as arrays: their columns, the response, the offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arrays import frozen
from glmmlib.design.columns import check_finite, is_categorical
from glmmlib.design.plain import Matrix
from glmmlib.design.recipe import Parts
from glmmlib.display.words import listed
from glmmlib.errors import DataError
from glmmlib.formula.algebra import Factor, Term, read_terms
from glmmlib.formula.expressions import read_expression
from glmmlib.formula.terms import Cbind, MixedFormula
from glmmlib.formula.tokens import plain_name


def read_parts(formula: MixedFormula, response: bool) -> Parts:
    """Return the terms of every part of a formula."""
    parts = {"fixed": read_terms(formula.all_fixed)}
    parts |= {f"random{i}": read_terms(term.lhs) for i, term in enumerate(formula.random)}
    parts |= {f"offset{i}": _one(text) for i, text in enumerate(formula.offsets)}
    left = formula.response
    if response and isinstance(left, Cbind):
        parts |= {"response": _one(left.successes), "failures": _one(left.failures)}
    elif response and isinstance(left, str) and plain_name(left) is None:
        parts["response"] = _one(left)
    return parts


def _one(text: str) -> tuple[Term, ...]:
    """Return the only term of a response or an offset."""
    name = plain_name(text)
    if name:
        return (Term((Factor(name),)),)
    expression = read_expression(text)
    return (Term((Factor(expression.text, expression),)),)


def stack(matrix: Matrix, index: pd.Index) -> np.ndarray:
    """Copy the columns of a model matrix into the rows of a (p, n) array, and check them."""
    rows = np.empty((matrix.shape[1], len(index)))
    for row, (name, column) in zip(rows, matrix.items(), strict=True):
        row[:] = column
        check_finite(row, f"'{name}'", index, "look at its argument in those rows")
    return frozen(rows)


def term_columns(
    matrix: Matrix, x: np.ndarray, names: Sequence[str], index: pd.Index
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names and the (q, n) array of a left-hand side, as a view of X where X holds them."""
    columns = tuple(matrix.columns)
    if columns and columns[0] in names:
        start = names.index(columns[0])
        if names[start : start + len(columns)] == columns:
            return columns, x[start : start + len(columns)]
    return columns, stack(matrix, index)


def summed_offset(matrices: dict, given: np.ndarray | None, index: pd.Index) -> np.ndarray | None:
    """Add the formula's offset() terms to the offset given as an argument."""
    total = given
    for key, matrix in matrices.items():
        if key.startswith("offset"):
            rows = _one_number(matrix, "offset()", index)
            total = rows if total is None else total + rows
    if total is not None:
        check_finite(total, "the offset", index)
    return total


def response_arrays(
    formula: MixedFormula, source: dict[str, Any] | pd.Series, index: pd.Index, binary: bool = False
) -> tuple[np.ndarray, np.ndarray | None, tuple | None]:
    """Return the response, for cbind the trials, and for a factor its two levels (failure, success)."""
    what = f"the response '{formula.response}'"
    if isinstance(source, pd.Series):
        levels = None
        if binary and is_categorical(source):
            levels = tuple(source.cat.categories)
            if len(levels) != 2:
                raise DataError(
                    f"{what} has {len(levels)} levels ({listed(levels, 3)}), but a binary response has two"
                )
            source = source.cat.codes
        if source.dtype.kind not in "biuf":
            kind = (
                f"categorical: {listed(source.cat.categories, 3)}" if is_categorical(source) else source.dtype
            )
            raise DataError(
                f"{what} is not numeric (its type is {kind}): code it as numbers, such as 0 and 1"
            )
        return np.asarray(source, dtype=float), None, levels
    y = _one_number(source["response"], what, index)
    if not isinstance(formula.response, Cbind):
        return y, None, None
    failures = _one_number(source["failures"], what, index)
    trials = y + failures
    bad = np.flatnonzero((y < 0) | (failures < 0))
    if len(bad):
        raise DataError(
            f"{what} needs counts of successes and failures, neither negative: look at row {index[bad[0]]} "
            f"({len(bad)} such rows)"
        )
    if not trials.any():
        raise DataError(f"{what} has no trials in any row: successes and failures are all zero")
    return y, trials, None


def _one_number(matrix: Matrix, what: str, index: pd.Index) -> np.ndarray:
    if matrix.shape[1] != 1:
        raise DataError(
            f"{what} must be one number per row, but it has {matrix.shape[1]} columns: code text as numbers"
        )
    return stack(matrix, index)[0]
