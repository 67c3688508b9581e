"""Levels of factors: what they are, and how the values of other rows are matched with them.

As in R, levels are told apart by their text: 1, 1.0 and ``"1"`` are one level. A column whose values are all
of one kind keeps them (the levels of numbers are numbers); one that mixes kinds becomes text.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.words import listed
from glmmlib.errors import DataError
from glmmlib.linalg import resources

IT = "this factor"  # in messages, until the name of the factor is known
_OF_ONE_KIND = {
    "boolean", "bytes", "date", "datetime", "datetime64", "empty", "floating", "integer", "interval",
    "period", "string", "time", "timedelta", "timedelta64",
}  # fmt: skip


def text_of(value: Any) -> str:
    """Return the text of a level, as R writes it: a whole number has no decimal point.

    >>> text_of(1.0), text_of("1"), text_of(0.5), text_of(True)
    ('1', '1', '0.5', 'True')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 1e15:
        return str(int(value))
    return str(value)


def factor_of(column: pd.Series, what: str) -> pd.Series:
    """Return a complete column as a categorical: one that is one keeps its order, all else is sorted.

    Raises
    ------
    DataError
        For cells that hold lists and the like.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _told_apart(column.cat.remove_unused_categories())
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if column.dtype == np.dtype(object):
        check_cells(column, what)
        if pd.api.types.infer_dtype(column, skipna=True) not in _OF_ONE_KIND:
            return column.map(text_of).astype("category")
    found = column.astype("category")
    try:
        found.cat.categories.sort_values()
    except TypeError:  # of one kind, but not to be sorted: times with and without a zone
        return column.map(text_of).astype("category")
    return found


def check_cells(column: pd.Series, what: str) -> None:
    """Refuse cells that hold more than one value."""
    for value in column.array:
        if isinstance(value, tuple | np.ndarray) or not isinstance(value, Hashable):
            raise DataError(f"{what} holds a {type(value).__name__} in a cell: give one value for each row")


def _told_apart(column: pd.Series) -> pd.Series:
    """Make one level of those with one text."""
    levels = column.cat.categories
    texts = pd.Index([text_of(level) for level in levels], dtype=object)
    if levels.inferred_type in _OF_ONE_KIND or texts.is_unique:
        return column
    codes, unique = pd.factorize(texts)
    return pd.Series(
        pd.Categorical.from_codes(codes[column.cat.codes], unique), index=column.index, name=column.name
    )


def codes_in(levels: pd.Index, values: pd.Series) -> np.ndarray:
    """Return the position among the levels of each value, -1 for one that is not there.

    Values of the levels' own kind are looked up as they are, others by their text.

    >>> codes_in(pd.Index([1, 2]), pd.Series(["2", "1", "x"])).tolist()
    [1, 0, -1]
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, unique = values.cat.codes.to_numpy(), values.cat.categories
    else:
        if values.dtype == object:
            check_cells(values, f"{values.name!r} of the new data" if values.name else "a grouping factor")
        codes, unique = pd.factorize(values)
        unique = pd.Index(unique)
    if len(unique) == 0:
        return np.full(len(values), -1)
    if unique.inferred_type == levels.inferred_type:
        position = levels.get_indexer(unique)
    else:
        by_text = {text_of(level): i for i, level in enumerate(levels)}
        position = np.array([by_text.get(text_of(value), -1) for value in unique])
    return np.where(codes >= 0, position[codes], -1)


def coded(column: pd.Series, levels: pd.Index, what: str, where: str = "the new data") -> pd.Series:
    """Recode a complete column by given levels.

    Raises
    ------
    DataError
        For a value that is none of them.
    """
    codes = codes_in(levels, column)
    if (codes < 0).any():
        unseen = pd.unique(column[codes < 0].astype(object))
        raise DataError(
            f"{what} of {where} has levels that the fit has not seen ({listed(list(unseen))}); "
            f"the fit knows {listed(levels)}"
        )
    return pd.Series(pd.Categorical.from_codes(codes, levels), index=column.index, name=column.name)


def check_room(n_levels: int, n: int, what: str) -> None:
    """Refuse a factor whose columns would not fit into memory.

    Raises
    ------
    DataError
    """
    needed, free = 17 * n_levels * n, resources.free_memory()  # one byte a cell, then two copies as floats
    if free is not None and needed > free:
        raise DataError(
            f"{what} is a factor of {n_levels:,} levels: as fixed effects it needs {n_levels - 1:,} columns, "
            f"about {needed / 1e9:,.0f} GB for {n:,} rows, and {free / 1e9:,.0f} GB are free; "
            "take it as a grouping factor, (1 | g), or as a number"
        )
