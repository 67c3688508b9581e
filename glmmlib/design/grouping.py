"""Grouping factors: a code for every row, a label for every group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.levels import codes_in, factor_of, text_of
from glmmlib.errors import DataError
from glmmlib.types import IntArray

SPARSEST = 4  # numbers in the range of a column of whole numbers, for each row


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of one column, or of the observed combinations of several.

    Attributes
    ----------
    name : str
        ``"batch"``, or ``"batch:cask"``.
    levels : pandas.Index
        The J labels: the column's own values, or text such as ``"A:a"`` for combinations. Those of a
        categorical keep their order, others are sorted; levels without rows are not there.
    codes : (n,) integer array
        The group of each row, 0 to J - 1; every code occurs.

    Examples
    --------
    >>> rows = pd.DataFrame({"batch": ["A", "A", "B"], "cask": ["a", "b", "a"]})
    >>> grouping = Grouping.of(rows, ("batch", "cask"))
    >>> list(grouping.levels), grouping.codes.tolist()
    (['A:a', 'A:b', 'B:a'], [0, 1, 2])
    """

    name: str
    levels: pd.Index = field(repr=False)
    codes: np.ndarray = field(repr=False)
    _columns: tuple[str, ...] = field(repr=False)
    _parts: tuple[pd.Index, ...] = field(repr=False)
    _cells: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: Sequence[str]) -> Grouping:
        """Group complete rows by the combinations of `columns`.

        Raises
        ------
        DataError
            When there is one group only.
        """
        if not columns:
            return cls.whole(len(rows))
        coded = [_factorize(rows[column]) for column in columns]
        parts = tuple(levels for _, levels in coded)
        if len(columns) == 1:
            codes, levels = coded[0]
            cells = np.arange(len(levels))
        else:
            codes, cells = pd.factorize(_combined([codes for codes, _ in coded], parts), sort=True)
            levels = pd.Index(_labels(cells, parts))
        return cls._checked(":".join(columns), levels, codes, tuple(columns), parts, cells)

    @classmethod
    def whole(cls, n: int, name: str = "1") -> Grouping:
        """Put n rows into one group, that of ``| 1`` or of a curve."""
        codes = np.zeros(n, dtype=np.intp)
        codes.flags.writeable = False
        return cls(name, pd.Index(["1"]), codes, (), (), np.zeros(1, dtype=np.int64))

    @classmethod
    def _checked(cls, name: str, levels: pd.Index, codes: IntArray, *memory: Any) -> Grouping:
        if len(levels) < 2:
            raise DataError(
                f"the grouping factor '{name}' has one level only ({levels[0]}): a variance "
                "between groups needs at least two"
            )
        codes = np.asarray(codes, dtype=np.intp)
        codes.flags.writeable = False
        return cls(name, levels, codes, *memory)

    def kept(self, keep: np.ndarray) -> Grouping:
        """Return the groups of some of the rows, by a mask (n,); levels without rows are lost.

        Raises
        ------
        DataError
            When one group is left.
        """
        if not self._columns:
            return self.whole(int(np.count_nonzero(keep)), self.name)
        used, codes = np.unique(self.codes[keep], return_inverse=True)
        return self._checked(
            self.name, self.levels[used], codes, self._columns, self._parts, self._cells[used]
        )

    def codes_of(self, rows: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Return the codes of other rows, -1 for a group not seen here, and the labels of those."""
        if not self._columns:
            return np.zeros(len(rows), dtype=np.intp), []
        values = [rows[column] for column in self._columns]
        coded = [codes_in(part, value) for part, value in zip(self._parts, values, strict=True)]
        known = np.all([codes >= 0 for codes in coded], axis=0)
        cell = _combined(coded, self._parts)
        codes = np.minimum(np.searchsorted(self._cells, cell), len(self._cells) - 1)
        known &= self._cells[codes] == cell
        labels = zip(*(value[~known] for value in values), strict=True)
        return np.where(known, codes, -1), list(dict.fromkeys(":".join(map(str, label)) for label in labels))


def _factorize(column: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Return codes and levels of a column; levels without rows are not there."""
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == np.dtype(object):
        column = factor_of(column, f"column '{column.name}'")
        return column.cat.codes.to_numpy(), column.cat.categories
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu" and len(column):
        values = column.to_numpy()
        low, high = int(values.min()), int(values.max())
        if high - low < SPARSEST * len(values):
            return _counted(values, low, high)
    codes, levels = pd.factorize(column, sort=True)
    return codes, pd.Index(levels)


def _counted(values: np.ndarray, low: int, high: int) -> tuple[np.ndarray, pd.Index]:
    """Return codes and levels of whole numbers that lie close together: a table serves better than a hash."""
    wide = np.int64 if values.dtype.kind == "i" else np.uint64  # 100 - (-100) is no int8
    place = (values.astype(wide, copy=False) - wide(low)).astype(np.intp)
    occurs = np.zeros(high - low + 1, dtype=bool)
    occurs[place] = True
    number = np.cumsum(occurs) - 1
    levels = np.flatnonzero(occurs).astype(wide) + wide(low)
    return number[place], pd.Index(levels.astype(values.dtype))


def _combined(codes: Sequence[np.ndarray], parts: Sequence[pd.Index]) -> np.ndarray:
    """Number the cell of a cross table that each row falls into."""
    cell = np.zeros(len(codes[0]), dtype=np.int64)
    for code, part in zip(codes, parts, strict=True):
        cell = cell * len(part) + code
    return cell


def _labels(cells: np.ndarray, parts: Sequence[pd.Index]) -> list[str]:
    """Join the labels of each cell by ':'; where that is ambiguous, parts that hold a ':' get backticks."""
    columns = np.unravel_index(cells, [len(part) for part in parts])
    texts = [[text_of(part[i]) for i in column] for part, column in zip(parts, columns, strict=True)]
    labels = [":".join(label) for label in zip(*texts, strict=True)]
    if len(set(labels)) == len(labels):
        return labels
    texts = [[f"`{text}`" if ":" in text else text for text in column] for column in texts]
    return [":".join(label) for label in zip(*texts, strict=True)]
