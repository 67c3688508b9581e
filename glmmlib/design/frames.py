"""Data frames: from what the user has to a data frame that belongs to the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.versions import PANDAS
from glmmlib.display.words import listed
from glmmlib.errors import DataError

_WANTED = "data must be a pandas DataFrame or a dict of columns of one length"


def as_frame(data: dict[str, list[int | str]] | pd.DataFrame) -> pd.DataFrame:
    """Return `data` as a DataFrame with text for column names.

    Parameters
    ----------
    data : DataFrame, dict of columns, or what has ``to_pandas()`` or ``to_dict()``
        A pandas frame, a dict of arrays or lists, a polars frame (a lazy one is collected), an Arrow table.

    Raises
    ------
    DataError
        When it cannot be turned into one.
    """
    frame = _frame(data)
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            "the columns of the data have names of several levels: give each one name, for example "
            "data.columns = ['_'.join(map(str, c)) for c in data.columns]"
        )
    if all(isinstance(name, str) for name in frame.columns):
        return frame
    frame = frame.copy(deep=False)
    frame.columns = pd.Index([name if isinstance(name, str) else str(name) for name in frame.columns])
    return frame


def _frame(data: dict[str, list[int | str]] | pd.DataFrame) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if data is None or np.isscalar(data):
        hint = ": read the file first, with pandas.read_csv or read_parquet" if isinstance(data, str) else ""
        raise DataError(f"{_WANTED}, not {type(data).__name__}{hint}")
    try:
        if hasattr(data, "collect") and not hasattr(data, "to_pandas"):  # polars' lazy frames
            data = data.collect()
        if hasattr(data, "to_pandas"):
            return _from_other_library(data)
        if isinstance(data, Mapping):
            return _from_dict(data)
        return pd.DataFrame(data)
    except DataError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{_WANTED}, not {type(data).__name__} ({reason or type(error).__name__})") from error


def _from_other_library(data: pd.DataFrame) -> pd.DataFrame:
    try:
        return pd.DataFrame(data.to_pandas())
    except ImportError:  # polars converts by way of pyarrow, which may not be there
        return pd.DataFrame({str(name): _from_polars(data[name]) for name in data.columns})


def _from_polars(column: Any) -> Any:
    """Return the values of polars' column as pandas holds them; levels keep their order."""
    dtype: Any = getattr(column, "dtype", None)
    values = column.to_list()
    kind = str(dtype).partition("(")[0]
    if kind == "Enum":
        return pd.Categorical(values, categories=list(dtype.categories))
    if kind == "Categorical":  # as they appear
        return pd.Categorical(values, categories=list(dict.fromkeys(v for v in values if v is not None)))
    return pd.to_datetime(values) if kind == "Date" else values


def _from_dict(data: Mapping) -> pd.DataFrame:
    if data and all(np.isscalar(value) or value is None for value in data.values()):
        return pd.DataFrame(data, index=[0])
    series = {name: value for name, value in data.items() if isinstance(value, pd.Series)}
    first = next(iter(series), None)
    for name, value in series.items():
        if not value.index.equals(series[first].index):
            raise DataError(
                f"the columns {first!r} and {name!r} have different indexes: align them, or pass a DataFrame"
            )
    return pd.DataFrame(data)


def missing_rows(data: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray | None, dict[str, int]]:
    """Return the mask of rows with a missing value (None if there is none), and how many by column."""
    mask, counts = None, {}
    for name in names:
        missing = _missing(data[name])
        if missing is not None and missing.any():
            counts[name] = int(missing.sum())
            mask = missing if mask is None else mask | missing
    return mask, counts


def _missing(column: pd.Series) -> np.ndarray | None:
    """Return where a column misses a value, None for a type that always has one."""
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    if kind in ("b", "i", "u"):
        return None
    return np.isnan(column.to_numpy()) if kind == "f" else column.isna().to_numpy()


def complete_rows(
    data: pd.DataFrame, names: Sequence[str], na_action: str
) -> tuple[pd.DataFrame, Any, int, dict[str, int]]:
    """Return the complete rows as the fit's own, what selects them, how many were dropped, and why."""
    if len(data) == 0:
        raise DataError("the data have no rows")
    mask, counts = missing_rows(data, names)
    if mask is None:
        return _owned(data, names), slice(None), 0, {}
    n_missing = int(mask.sum())
    check_complete(len(data), n_missing, counts, na_action)
    return data[~mask], ~mask, n_missing, counts


def check_complete(n_rows: int, n_missing: int, counts: Mapping[str, int], na_action: str) -> None:
    """Refuse rows that lack a value, if they are to be refused, or if there are no others.

    Raises
    ------
    DataError
    """
    found = listed([f"{name} ({count})" for name, count in counts.items()])
    if n_missing and na_action == "raise":
        raise DataError(f"values are missing in {found}: fill them in, or use na_action='drop'")
    if n_missing == n_rows:
        raise DataError(f"no row is complete: of {n_rows} rows, values are missing in {found}")


def _owned(data: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Copy what a later change of the user's frame could reach.

    Where pandas copies on write, a write through the frame is no danger, but one into an array that the frame
    was made of is: the columns in use are copied. Elsewhere all are.
    """
    if not _copies_on_write() or len(set(names)) == data.shape[1]:
        return data.copy(deep=True)
    own = data.copy(deep=False)
    for name in dict.fromkeys(names):
        own[name] = data[name].copy(deep=True)
    return own


def _copies_on_write() -> bool:
    return PANDAS >= 3 or pd.get_option("mode.copy_on_write") is True
