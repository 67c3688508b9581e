"""What is given beside formula and data: weights, offsets, a response to fit again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmmlib.design.columns import check_finite, require
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
    try:
        if isinstance(value, pd.Series):
            values = value.to_numpy(dtype=float, na_value=np.nan, copy=True)
        else:
            values = np.array(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers, one for each row of the data") from error
    if values.shape != (len(data),):
        found = f"{len(values)} values" if values.ndim == 1 else f"the shape {values.shape}"
        raise DataError(
            f"{what} has {found}, but the data have {len(data)} rows: give one number for each row"
        )
    return values


def new_response(y: FloatArray | pd.Series, data: pd.DataFrame) -> np.ndarray:
    """Return a response given to ``refit``: one finite number for each row of `data`."""
    y = argument(y, "the response", data)
    if y is None or not np.isfinite(y).all():
        bad = "None" if y is None else f"{int((~np.isfinite(y)).sum())} missing or infinite values"
        raise DataError(f"the response given to refit holds {bad}: give a number for each row of the fit")
    return y


def check_weights(weights: np.ndarray, index: pd.Index) -> None:
    """Raise a DataError unless all weights are positive and finite."""
    check_finite(weights, "weights", index)
    bad = np.flatnonzero(weights <= 0)
    if len(bad):
        raise DataError(
            f"weights must be positive, but {weights[bad[0]]:g} stands at row {index[bad[0]]} "
            f"({len(bad)} such rows): drop rows of weight zero"
        )
