"""Data frames: which columns a formula needs, and those columns made clean.

Clean means: numbers are 64-bit (so that ``I(x**2)`` of an 8-bit column does not overflow), text is
a categorical with sorted levels, a categorical has no unused levels, nothing is missing or infinite.
A frame without missing values is never copied.
"""

from __future__ import annotations

import ast
import builtins
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms import TRANSFORMS, C
from formulaic.utils.code import sanitize_variable_names

from glmmlib.display.words import listed
from glmmlib.errors import DataError

#: What a formula may call besides formulaic's own transforms (``scale``, ``poly``, ``bs``, ``C`` ...).
FUNCTIONS = {
    "sqrt": np.sqrt,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "exp10": lambda x: np.power(10.0, x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "floor": np.floor,
    "ceil": np.ceil,
    "factor": C,
    "TRUE": True,
    "FALSE": False,
}


def as_frame(data) -> pd.DataFrame:
    """Return `data` as a DataFrame: as it is, or made from what pandas or its ``to_pandas()`` can read.

    Raises
    ------
    DataError
        When it cannot be turned into one.
    """
    if isinstance(data, pd.DataFrame):
        return data
    try:
        if hasattr(data, "to_pandas"):
            return pd.DataFrame(data.to_pandas())
        if isinstance(data, Mapping) and data and all(np.isscalar(value) for value in data.values()):
            return pd.DataFrame(data, index=[0])
        if data is None or np.isscalar(data):
            raise TypeError
        return pd.DataFrame(data)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"data must be a pandas DataFrame or a dict of columns of one length, not {type(data).__name__}"
        ) from error


def names_in(expression: str) -> tuple[set[str], set[str]]:
    """Return the names that a Python expression reads, and those it only calls.

    >>> names_in("log(`my col`) + np.cos(x)") == ({"my col", "np", "x"}, {"log"})
    True
    """
    original: dict[str, str] = {}
    tree = ast.parse(sanitize_variable_names(expression, {}, original), mode="eval")
    callees = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    read, called = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (called if id(node) in callees else read).add(original.get(node.id, node.id))
            if node.id == "Q" and id(node) in callees:  # patsy's quotation: Q('my col')
                read.update(a.value for a in callees[id(node)].args if isinstance(a, ast.Constant))
    return read, called


def variables_of(formula: Iterable, columns: pd.Index, where: str = "the data") -> set[str]:
    """Return the columns that formulaic's terms read; raise a DataError for a name that nothing explains."""
    needed: set[str] = set()
    for term in formula:
        for factor in term.factors:
            if factor.eval_method.value == "lookup":
                needed.add(require(factor.expr, columns, where))
            elif factor.eval_method.value == "python":
                read, called = names_in(factor.expr)
                for name in called:
                    if name not in columns and not _is_known(name):
                        raise DataError(
                            f"the formula calls '{name}()', which is not known here: "
                            "compute the column beforehand"
                        )
                for name in read:
                    if name in columns:
                        needed.add(name)
                    elif not _is_known(name):
                        require(name, columns, where, factor.expr)
    return needed


def _is_known(name: str) -> bool:
    return name in FUNCTIONS or name in TRANSFORMS or hasattr(builtins, name)


def require(name: str, columns: pd.Index, where: str = "the data", expression: str = "") -> str:
    """Return `name` if it is one column; otherwise say which name is nearest."""
    if name in columns:
        if np.ndim(columns.get_loc(name)) or isinstance(columns.get_loc(name), slice):
            raise DataError(f"{where} have more than one column '{name}': rename or drop the others")
        return name
    names = [column for column in columns if isinstance(column, str)]
    dotted = [column for column in names if column.startswith(name + ".") and column in expression]
    if dotted:
        raise DataError(
            f"'{name}' is not a column of {where}; inside a function write `{dotted[0]}` in backticks"
        )
    lower = {column.lower(): column for column in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f"did you mean '{lower[near[0]]}'?" if near else f"the columns are {listed(names)}"
    raise DataError(f"'{name}' is not a column of {where}; {hint}")


def missing_rows(data: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray | None, dict[str, int]]:
    """Return the mask of rows with a missing value (None if there is none), and how many by column."""
    mask, counts = None, {}
    for name in names:
        missing = data[name].isna().to_numpy()
        if missing.any():
            counts[name] = int(missing.sum())
            mask = missing if mask is None else mask | missing
    return mask, counts


def clean(data: pd.DataFrame, name: str, *, where: str = "the data") -> pd.Series:
    """Return one complete column as formulaic should see it.

    Numbers become int64 or float64, whatever their storage; text becomes a categorical with sorted
    levels; unused levels of a categorical are dropped. Dates are left as they are, for functions.
    """
    column = data[name]
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories()
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"column '{name}' holds complex numbers: take their real part or their modulus")
    if pd.api.types.is_bool_dtype(dtype):
        return column if dtype == np.dtype(bool) else column.astype(bool)
    if pd.api.types.is_numeric_dtype(dtype):
        column = _wide(column)
        check_finite(column.to_numpy(), f"column '{name}' of {where}", column.index)
        return column
    if dtype == np.dtype(object) and pd.api.types.infer_dtype(column, skipna=True) in _NUMBERS_AS_OBJECTS:
        return clean(column.infer_objects().astype(float).to_frame(name), name, where=where)
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return column
    return column.astype("category")


_NUMBERS_AS_OBJECTS = {"integer", "floating", "mixed-integer-float", "decimal"}


def _wide(column: pd.Series) -> pd.Series:
    if column.dtype == np.float64 or column.dtype == np.int64:
        return column
    kind = "int64" if pd.api.types.is_integer_dtype(column.dtype) else "float64"
    return pd.Series(column.to_numpy(dtype=kind), index=column.index, name=column.name)


def check_finite(
    values: np.ndarray, what: str, index: pd.Index, hint: str = "remove or correct them"
) -> None:
    """Raise a DataError that counts the values of `what` which are not finite and names the first row."""
    if values.dtype.kind in "biu":
        return
    finite = np.isfinite(values)
    if finite.all():
        return
    bad = np.flatnonzero(~finite)
    kind = "infinite" if np.isinf(values[bad]).all() else "not finite"
    rows = "1 row" if len(bad) == 1 else f"{len(bad)} rows"
    raise DataError(f"{what} is {kind} in {rows} (first at row {index[bad[0]]}): {hint}")


def complete_rows(data: pd.DataFrame, names: Sequence[str], na_action: str) -> tuple[pd.DataFrame, Any, int]:
    """Return the complete rows, what selects them, and how many were dropped."""
    if len(data) == 0:
        raise DataError("the data have no rows")
    mask, counts = missing_rows(data, names)
    if mask is None:
        return data.copy(deep=False), slice(None), 0
    found = listed([f"{name} ({count})" for name, count in counts.items()])
    if na_action == "raise":
        raise DataError(f"values are missing in {found}: fill them in, or use na_action='drop'")
    if mask.all():
        raise DataError(f"no row is complete: of {len(data)} rows, values are missing in {found}")
    return data[~mask], ~mask, int(mask.sum())


def is_categorical(column: pd.Series) -> bool:
    """Tell whether the column is a pandas categorical."""
    return isinstance(column.dtype, pd.CategoricalDtype)


def with_levels(column: pd.Series, levels: pd.Index) -> pd.Series:
    """Recode a factor of new data by the levels of the fit."""
    values = column.astype(column.cat.categories.dtype) if is_categorical(column) else column
    unseen = pd.Index(values).unique().difference(levels, sort=False)
    if len(unseen):
        raise DataError(
            f"column '{column.name}' of the new data has levels that the fit has not seen "
            f"({listed(unseen)}); the fit knows {listed(levels)}"
        )
    return pd.Series(pd.Categorical(values, categories=levels), index=column.index, name=column.name)
