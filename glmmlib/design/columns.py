"""Columns made clean for formulas.

Clean means: numbers are 64-bit (so that ``I(x**2)`` of an 8-bit column does not overflow), text is
a categorical with sorted levels, a categorical has no unused levels, nothing is missing or infinite.
"""

from __future__ import annotations

import difflib
import unicodedata
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.levels import check_cells, factor_of
from glmmlib.display.words import listed, meant
from glmmlib.errors import DataError

_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
_TIMES = {"date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period"}


def require(name: str, columns: pd.Index, where: str = "the data") -> str:
    """Return the column that `name` names, in backticks or without; otherwise say which name is nearest.

    Raises
    ------
    DataError
        When there is none, or more than one.
    """
    name = meant(name, columns)
    if name in columns:
        place = columns.get_loc(name)
        if np.ndim(place) or isinstance(place, slice):
            raise DataError(f"{where} have more than one column '{name}': rename or drop the others")
        return name
    names = [column for column in columns if isinstance(column, str)]
    normal = unicodedata.normalize("NFKC", name)  # the micro sign of a keyboard and the Greek letter are one
    same = [column for column in names if unicodedata.normalize("NFKC", column) == normal]
    if len(same) == 1:
        return same[0]
    lower = {column.lower(): column for column in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f"did you mean '{lower[near[0]]}'?" if near else f"the columns are {listed(names)}"
    raise DataError(f"'{name}' is not a column of {where}; {hint}")


def clean(data: pd.DataFrame, name: str, *, where: str = "the data") -> pd.Series:
    """Return one complete column as formulas should see it.

    Numbers become int64 or float64, whatever their storage; text becomes a categorical with sorted
    levels; unused levels of a categorical are dropped. Flags stay True and False, and times stay times, for
    functions.

    Raises
    ------
    DataError
        For complex or infinite numbers, and for cells that hold lists.
    """
    column = data[name]
    dtype, what = column.dtype, f"column '{name}' of {where}"
    if isinstance(dtype, pd.CategoricalDtype):
        return factor_of(column, what)
    if dtype in (np.float64, np.int64):  # as most are
        return _finite(column, what)
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"column '{name}' holds complex numbers: take their real part or their modulus")
    if pd.api.types.is_bool_dtype(dtype):
        return _numpy(column, np.dtype(bool))
    if pd.api.types.is_numeric_dtype(dtype):
        return _finite(_wide(column), what)
    if is_time(column):
        return column
    if dtype == np.dtype(object):
        return _of_objects(column, what)
    return factor_of(column, what)


def _of_objects(column: pd.Series, what: str) -> pd.Series:
    check_cells(column, what)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "boolean":
        return _numpy(column, np.dtype(bool))
    if kind in _NUMBERS:
        try:
            numbers = column.astype(float)
        except OverflowError as error:
            raise DataError(f"{what} holds a whole number beyond 1.8e308, the largest there is") from error
        return _finite(numbers, what)
    if kind in ("complex", "bytes"):
        raise DataError(f"{what} holds {'complex numbers' if kind == 'complex' else 'bytes'}")
    return factor_of(column, what)


def is_time(values: Any) -> bool:
    """Tell whether values are dates, durations or periods, however they are stored."""
    dtype = values.dtype
    if dtype == np.dtype(object):
        return pd.api.types.infer_dtype(values, skipna=True) in _TIMES
    return dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype)


def _numpy(column: pd.Series, dtype: np.dtype) -> pd.Series:
    if column.dtype == dtype:
        return column
    return pd.Series(np.asarray(column, dtype=dtype), index=column.index, name=column.name)


def _wide(column: pd.Series) -> pd.Series:
    is_whole = pd.api.types.is_integer_dtype(column.dtype)
    if is_whole and pd.api.types.is_unsigned_integer_dtype(column.dtype):
        is_whole = bool((column <= np.iinfo(np.int64).max).all())
    return _numpy(column, np.dtype(np.int64 if is_whole else np.float64))


def _finite(column: pd.Series, what: str) -> pd.Series:
    check_finite(column.to_numpy(), what, column.index)
    return column


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


def is_categorical(column: pd.Series) -> bool:
    """Tell whether the column is a pandas categorical."""
    return isinstance(column.dtype, pd.CategoricalDtype)
