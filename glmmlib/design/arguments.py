"""What is given beside formula and data: weights, offsets, a response to fit again."""

from __future__ import annotations

import numbers
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.columns import check_finite, require
from glmmlib.display.arguments import is_list
from glmmlib.errors import DataError
from glmmlib.types import FloatArray


def argument(value: FloatArray | pd.Series | None, what: str, data: pd.DataFrame) -> np.ndarray | None:
    """Return weights or offset, one number for each row of `data`."""
    if value is None:
        return None
    if isinstance(value, str):
        value = data[require(value, data.columns)]
    elif isinstance(value, pd.Series) and not value.index.equals(data.index):
        raise DataError(f"the index of {what} is not that of the data: align them, or pass {what}.to_numpy()")
    values = numbers_in(value, what, "one for each row of the data")
    if values.shape != (len(data),):
        found = f"{len(values)} values" if values.ndim == 1 else f"the shape {values.shape}"
        raise DataError(
            f"{what} has {found}, but the data have {len(data)} rows: give one number for each row"
        )
    return values


def numbers_in(value: Any, what: str, how_many: str) -> np.ndarray:
    """Return a new array of floats; missing values are NaN.

    Raises
    ------
    DataError
        For text, times, complex numbers and what else NumPy alone would turn into one.
    """
    error = DataError(f"{what} must be numbers, {how_many}")
    if isinstance(value, np.ma.MaskedArray):
        cells = value.data.astype(object)
        cells[np.ma.getmaskarray(value)] = None
        value = cells
    if isinstance(value, pd.Series | pd.Index) and _is_real(value.dtype):
        return value.to_numpy(dtype=float, na_value=np.nan, copy=True)
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = np.array([_number(cell) for cell in array.flat], dtype=float).reshape(array.shape)
    except (TypeError, ValueError, OverflowError):
        raise error from None
    if array.dtype.kind not in "biuf":
        raise error
    return array.astype(float)


def finite_numbers(value: Any, what: str, n: int | None = None) -> np.ndarray:
    """Return finite numbers (n,), of whatever number where that is not said; one alone is one of them.

    Examples
    --------
    >>> finite_numbers([1, 2.5], "theta", 2)
    array([1. , 2.5])
    """
    how_many = "one or several" if n is None else f"{n} of them"
    found = np.atleast_1d(numbers_in(value, what, how_many))
    if found.ndim != 1 or len(found) != (len(found) if n is None else n):
        raise DataError(f"{what} must be numbers, {how_many}, not of shape {found.shape}")
    if not np.isfinite(found).all():
        raise DataError(f"{what} holds values that are missing or infinite")
    return found


def labels_in(value: Any, what: str, n: int) -> np.ndarray:
    """Return labels (n,), one for each row, that were given and are no column.

    Raises
    ------
    DataError
    """
    if not is_list(value) or len(value) != n or not all(isinstance(label, Hashable) for label in value):
        raise DataError(f"{what} has one label for each of the {n} rows, or is a column")
    labels = np.empty(n, dtype=object)
    labels[:] = list(value)
    return labels


def _is_real(dtype: Any) -> bool:
    types = pd.api.types
    return (types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)) and not types.is_complex_dtype(dtype)


def _number(cell: Any) -> float:
    if cell is None or cell is pd.NA:
        return np.nan
    if not isinstance(cell, numbers.Real | Decimal | np.bool_):
        raise TypeError
    return float(cell)


def new_response(y: FloatArray | pd.Series, data: pd.DataFrame) -> np.ndarray:
    """Return a response given to ``refit``: one finite number for each row of `data`."""
    y = argument(y, "the response", data)
    if y is None or not np.isfinite(y).all():
        bad = "None" if y is None else f"{int((~np.isfinite(y)).sum())} missing or infinite values"
        raise DataError(f"the response given to refit holds {bad}: give a number for each row of the fit")
    return y


def new_responses(Y: Any, n: int) -> np.ndarray:
    """Return responses given to ``refit_many``: finite numbers, one row for each of n rows."""
    Y = numbers_in(Y, "Y", f"{n} rows and a column a response")
    if Y.ndim != 2 or len(Y) != n:
        raise DataError(
            f"Y has shape {Y.shape}; it needs {n} rows, one for each row of the fit, and a column a response"
        )
    if not Y.shape[1]:
        raise DataError(f"Y has shape {Y.shape}, and so no response: give a column for each")
    if not np.isfinite(Y).all():
        raise DataError(
            f"{int((~np.isfinite(Y)).any(axis=0).sum())} of the {Y.shape[1]} responses hold missing or "
            "infinite values"
        )
    return Y


def check_weights(weights: np.ndarray, index: pd.Index) -> None:
    """Raise a DataError unless all weights are positive and finite."""
    check_finite(weights, "weights", index)
    bad = np.flatnonzero(weights <= 0)
    if len(bad):
        raise DataError(
            f"weights must be positive, but {weights[bad[0]]:g} stands at row {index[bad[0]]} "
            f"({len(bad)} such rows): drop rows of weight zero"
        )
