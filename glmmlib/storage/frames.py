"""Data frames as lists, text and arrays, so that a file can hold them, and back, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.errors import DataError

Packed = dict[str, Any]


def packed_frame(frame: pd.DataFrame, what: str = "the data") -> Packed:
    """Return a frame in terms of lists, text, numbers and arrays.

    Parameters
    ----------
    frame : DataFrame
    what : str
        What it is, for messages.

    Raises
    ------
    DataError
        For a column of objects that are neither text nor numbers nor missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [1.5, None], "g": pd.Categorical(["b", "a"])}, index=["r", "s"])
    >>> unpacked_frame(packed_frame(frame)).equals(frame)
    True
    """
    columns = [
        {"name": name, **_packed(frame.iloc[:, k], f"the column {name!r} of {what}")}
        for k, name in enumerate(frame.columns)
    ]
    return {"index": _packed_index(frame.index, f"the index of {what}"), "columns": columns}


def unpacked_frame(packed: Packed) -> pd.DataFrame:
    """Return the frame that was packed."""
    index = _unpacked_index(packed["index"])
    columns = [pd.Series(_unpacked(column), index=index) for column in packed["columns"]]
    if not columns:
        return pd.DataFrame(index=index)
    frame = pd.concat(dict(enumerate(columns)), axis=1)
    frame.columns = pd.Index([column["name"] for column in packed["columns"]])
    return frame


def _packed_index(index: pd.Index, what: str) -> Packed:
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "bounds": [index.start, index.stop, index.step], "name": index.name}
    if isinstance(index, pd.MultiIndex):
        levels = [_packed(index.get_level_values(k), what) for k in range(index.nlevels)]
        return {"kind": "levels", "levels": levels, "names": list(index.names)}
    return {**_packed(index, what), "name": index.name}


def _unpacked_index(packed: Packed) -> pd.Index:
    if packed["kind"] == "range":
        return pd.RangeIndex(*packed["bounds"], name=packed["name"])
    if packed["kind"] == "levels":
        levels = [pd.Index(_unpacked(level)) for level in packed["levels"]]
        return pd.MultiIndex.from_arrays(levels, names=packed["names"])
    return pd.Index(_unpacked(packed), name=packed["name"])


def _packed(values: pd.Series | pd.Index, what: str) -> Packed:
    dtype = values.dtype
    kind = next(kind for kind, belongs in _KINDS.items() if belongs(dtype))
    found = {"kind": kind, **_PACK[kind](values.array, what)}
    again = pd.Series(_unpacked(found))
    if again.dtype != dtype or not again.equals(pd.Series(values.array)):
        raise _unknown(what, f"values of the type {dtype}")
    return found


def _unpacked(packed: Packed) -> Any:
    return _UNPACK[packed["kind"]](packed)


def _unknown(what: str, found: str) -> DataError:
    return DataError(
        f"{what} holds {found}, which a saved fit cannot keep: fit again with text, numbers or dates there, "
        "or without it"
    )


# --- each kind of column: which types it is for, and the way there and back ------------------------------

_KINDS: dict[str, Callable[[Any], bool]] = {
    "categories": lambda dtype: isinstance(dtype, pd.CategoricalDtype),
    "zoned": lambda dtype: isinstance(dtype, pd.DatetimeTZDtype),
    "intervals": lambda dtype: isinstance(dtype, pd.IntervalDtype),
    "periods": lambda dtype: isinstance(dtype, pd.PeriodDtype),
    "plain": lambda dtype: isinstance(dtype, np.dtype) and dtype.kind in "biufcmM",
    "masked": lambda dtype: hasattr(dtype, "numpy_dtype") and hasattr(dtype, "from_numpy_dtype"),
    "single": lambda dtype: True,
}


def _pack_categories(array: Any, what: str) -> Packed:
    categories = _packed_index(array.categories, what)
    return {"codes": np.asarray(array.codes), "categories": categories, "ordered": bool(array.ordered)}


def _unpack_categories(packed: Packed) -> Any:
    dtype = pd.CategoricalDtype(_unpacked_index(packed["categories"]), packed["ordered"])
    return pd.Categorical.from_codes(packed["codes"], dtype=dtype)


def _pack_zoned(array: Any, what: str) -> Packed:
    return {"zone": str(array.tz), "values": array.tz_convert("UTC").tz_localize(None).to_numpy()}


def _unpack_zoned(packed: Packed) -> Any:
    return pd.DatetimeIndex(packed["values"]).tz_localize("UTC").tz_convert(packed["zone"]).array


def _pack_intervals(array: Any, what: str) -> Packed:
    left, right = (_packed(pd.Index(side), what) for side in (array.left, array.right))
    return {"left": left, "right": right, "closed": array.closed}


def _unpack_intervals(packed: Packed) -> Any:
    ends = (_unpacked(packed[side]) for side in ("left", "right"))
    return pd.arrays.IntervalArray.from_arrays(*ends, closed=packed["closed"])


def _pack_periods(array: Any, what: str) -> Packed:
    return {"dtype": str(array.dtype), "values": array.asi8}


def _unpack_periods(packed: Packed) -> Any:
    return pd.arrays.PeriodArray(packed["values"], dtype=packed["dtype"])


def _pack_masked(array: Any, what: str) -> Packed:
    missing = np.asarray(array.isna())
    values = array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=array.dtype.type(0))
    return {"dtype": str(array.dtype), "values": values, "missing": missing}


def _unpack_masked(packed: Packed) -> Any:
    array = pd.array(packed["values"], dtype=packed["dtype"])
    array[packed["missing"]] = pd.NA
    return array


def _pack_single(array: Any, what: str) -> Packed:
    values = list(array)
    for value in values:
        if not (value is None or value is pd.NA or isinstance(value, _SINGLE)):
            raise _unknown(what, f"values of the type {type(value).__name__}")
    return {"dtype": str(array.dtype), "values": values}


_SINGLE = (str, bool, int, float, np.bool_, np.integer, np.floating)

_PACK: dict[str, Callable[[Any, str], Packed]] = {
    "categories": _pack_categories,
    "zoned": _pack_zoned,
    "intervals": _pack_intervals,
    "periods": _pack_periods,
    "plain": lambda array, what: {"values": array.to_numpy()},
    "masked": _pack_masked,
    "single": _pack_single,
}
_UNPACK: dict[str, Callable[[Packed], Any]] = {
    "categories": _unpack_categories,
    "zoned": _unpack_zoned,
    "intervals": _unpack_intervals,
    "periods": _unpack_periods,
    "plain": lambda packed: packed["values"],
    "masked": _unpack_masked,
    "single": lambda packed: pd.Series(packed["values"], dtype=packed["dtype"]).array,
}
