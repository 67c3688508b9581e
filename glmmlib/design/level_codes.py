"""Codes of a column's levels, which are met batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from glmmlib.types import IntArray

WIDEST = 1 << 26  # numbers in the range of a column of whole numbers for which a table is kept


class LevelCodes:
    """Numbers the levels of a column of Arrow arrays as they are met."""

    def __init__(self, arrow_type: Any) -> None:
        self.arrow_type = arrow_type
        self._numbers: dict[Any, int] = {}
        self._order: dict[Any, None] = {}  # of all values in dictionaries: that of a categorical's levels
        self._low = 0
        self._table: IntArray | None = None
        self._of_table: list[IntArray] = []
        self._n = 0

    @property
    def n_levels(self) -> int:
        """How many were met."""
        return len(self._numbers) or self._n

    def codes(self, array: Any) -> IntArray:
        """Return the number of each entry's level (n,); nothing is missing."""
        import pyarrow as pa

        if not self._numbers and pa.types.is_integer(array.type) and len(array):
            values = array.to_numpy(zero_copy_only=False)
            if self._has_room(int(values.min()), int(values.max())):
                return self._by_table(values)
            self._leave_table()
        return self._by_hash(array)

    def levels(self) -> pd.Series:
        """Return the levels, in the order of their numbers."""
        import pyarrow as pa

        if self._of_table and not self._numbers:
            return pd.Series(np.concatenate(self._of_table)).astype(self.arrow_type.to_pandas_dtype())
        is_dictionary = pa.types.is_dictionary(self.arrow_type)
        kind = self.arrow_type.value_type if is_dictionary else self.arrow_type
        found = pa.array(list(self._numbers), kind).to_pandas()
        if not is_dictionary:
            return found
        order = pa.array(list(self._order), kind).to_pandas()
        return pd.Series(pd.Categorical(found, categories=order))

    def _has_room(self, low: int, high: int) -> bool:
        """Make the table hold a range of values, if that is not too wide."""
        if self._table is None:
            if high - low >= WIDEST or high > np.iinfo(np.int64).max:
                return False
            self._low, self._table = low, np.full(high - low + 1, -1, dtype=np.int32)
            return True
        before, after = max(0, self._low - low), max(0, high - self._low - len(self._table) + 1)
        if before or after:
            if before + after + len(self._table) > WIDEST:
                return False
            more = np.full(before, -1, dtype=np.int32), np.full(after, -1, dtype=np.int32)
            self._table = np.concatenate([more[0], self._table, more[1]])
            self._low -= before
        return True

    def _by_table(self, values: Any) -> IntArray:
        assert self._table is not None
        if self._low or values.dtype != np.int64:
            values = values.astype(np.int64) - self._low
        codes = self._table[values]
        if codes.min() < 0:
            occurs = np.zeros(len(self._table), dtype=bool)
            occurs[values] = True
            fresh = np.flatnonzero(occurs & (self._table < 0))
            self._table[fresh] = self._n + np.arange(len(fresh), dtype=np.int32)
            self._of_table.append(fresh + self._low)
            self._n += len(fresh)
            codes = self._table[values]
        return codes

    def _leave_table(self) -> None:
        for levels in self._of_table:
            for level in levels.tolist():
                self._numbers[level] = len(self._numbers)
        self._table, self._of_table = None, []

    def _by_hash(self, array: Any) -> IntArray:
        import pyarrow as pa

        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        place = encoded.indices.to_numpy(zero_copy_only=False)
        used = list(range(len(values)))
        if encoded is array:
            self._order |= dict.fromkeys(values)
            used = np.flatnonzero(np.bincount(place, minlength=len(values))).tolist()
        number = np.zeros(len(values), dtype=np.int32)
        for i in used:
            number[i] = self._numbers.setdefault(values[i], len(self._numbers))
        return number[place]
