"""Model matrices: formulaic computes them, this module asks and checks.

The parts of a formula (fixed effects, the left of each bar, offsets, a computed response) are named
``fixed``, ``random0``, ``random1`` ..., ``offset0`` ..., ``response`` and ``failures``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from formulaic import Formula, ModelMatrix, ModelSpec, ModelSpecs, SimpleFormula
from formulaic.errors import DataMismatchWarning, FormulaicError

from glmmlib.design.arrays import frozen
from glmmlib.design.columns import FUNCTIONS, check_finite, is_categorical, names_in, variables_of
from glmmlib.display.words import listed
from glmmlib.errors import DataError
from glmmlib.formula.scanner import plain_name
from glmmlib.formula.terms import Cbind, MixedFormula


@lru_cache(maxsize=64)
def read_parts(formula: MixedFormula, response: bool) -> dict[str, SimpleFormula]:
    """Let formulaic read every part, each on its own: named parts of one formula get no intercept."""
    parts = {"fixed": formula.fixed}
    parts |= {f"random{i}": term.lhs for i, term in enumerate(formula.random)}
    parts |= {f"offset{i}": "0 + {" + text + "}" for i, text in enumerate(formula.offsets)}
    left = formula.response
    if response and isinstance(left, Cbind):
        parts |= {"response": "0 + {" + left.successes + "}", "failures": "0 + {" + left.failures + "}"}
    elif response and plain_name(left) is None:
        parts["response"] = "0 + {" + left + "}"
    return {key: Formula(text) for key, text in parts.items()}


def needed_columns(
    parts: Mapping[str, SimpleFormula | ModelSpec], columns: pd.Index, where: str = "the data"
) -> list[str]:
    """List the columns that the parts read, in a fixed order."""
    formulas = [getattr(part, "formula", part) for part in parts.values()]
    return list(dict.fromkeys(name for f in formulas for name in sorted(variables_of(f, columns, where))))


def materialise(
    parts: Mapping[str, SimpleFormula | ModelSpec], columns: dict[str, pd.Series], index: pd.Index
) -> dict[str, ModelMatrix]:
    """Let formulaic compute all parts together, so that a column is evaluated once.

    Formulas learn their means, knots and levels here; the ``model_spec`` of a matrix remembers them.
    """
    frame = pd.DataFrame(columns, index=index, copy=False)
    learned = all(isinstance(part, ModelSpec) for part in parts.values())
    together = ModelSpecs(**parts) if learned else Formula(**parts)
    options = {} if learned else {"output": "pandas", "na_action": "ignore"}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            result = together.get_model_matrix(frame, context=FUNCTIONS, **options)
    except DataMismatchWarning as warning:
        raise DataError(_unseen_levels(parts, columns)) from warning
    except (FormulaicError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        dates = [name for name, column in columns.items() if column.dtype.kind in "mM"]
        if dates:
            raise DataError(
                f"column '{dates[0]}' holds dates: turn it into a number first, such as days since a start"
            ) from error
        raise DataError(
            f"the formula cannot be computed from the data: {str(error).splitlines()[0]}"
        ) from error
    return {key: getattr(result, key) for key in parts}


def _unseen_levels(parts: Mapping[str, SimpleFormula | ModelSpec], columns: dict[str, pd.Series]) -> str:
    """Say which factor made with C() has levels that it did not learn."""
    for spec in parts.values():
        for expression, (_, state) in getattr(spec, "encoder_state", {}).items():
            known = state.get("categories", ())
            read = set() if expression in columns else names_in(expression)[0]
            for name in sorted(read & set(columns)):
                unseen = sorted(set(columns[name].unique()) - set(known))
                if known and unseen:
                    return (
                        f"column '{name}' of the new data has levels that the fit has not seen "
                        f"in {expression} "
                        f"({listed(unseen)}); the fit knows {listed(known)}"
                    )
    return "a factor made with C() has levels outside those it is told to have: name all of them in levels="


def stack(matrix: pd.DataFrame, index: pd.Index) -> np.ndarray:
    """Copy the columns of a model matrix into the rows of a (p, n) array, and check them."""
    rows = np.empty((matrix.shape[1], len(index)))
    for row, (name, column) in zip(rows, matrix.items(), strict=True):
        row[:] = column
        check_finite(row, f"'{name}'", index, "look at its argument in those rows")
    return frozen(rows)


def term_columns(
    matrix: pd.DataFrame, x: np.ndarray, names: Sequence[str], index: pd.Index
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
    formula: MixedFormula, source, index: pd.Index, binary: bool = False
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
    bad = np.flatnonzero((y < 0) | (failures < 0) | (trials <= 0))
    if len(bad):
        raise DataError(
            f"{what} needs counts of successes and failures, neither negative nor both zero: "
            f"look at row {index[bad[0]]} ({len(bad)} such rows)"
        )
    return y, trials, None


def _one_number(matrix: pd.DataFrame, what: str, index: pd.Index) -> np.ndarray:
    if matrix.shape[1] != 1:
        raise DataError(
            f"{what} must be one number per row, but it has {matrix.shape[1]} columns: code text as numbers"
        )
    return stack(matrix, index)[0]
