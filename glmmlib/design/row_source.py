"""Rows that stay on disk: a Parquet file, a directory of them, or a pyarrow dataset, read in batches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.frames import check_complete
from glmmlib.errors import DataError
from glmmlib.types import BoolArray

BATCH_ROWS = 1 << 18  # some columns of so many rows fit into a processor's cache
SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True, eq=False)
class RowSource:
    """A pyarrow dataset.

    Attributes
    ----------
    dataset : pyarrow.dataset.Dataset
    """

    dataset: Any

    @property
    def columns(self) -> pd.Index:
        """The names of its columns."""
        return pd.Index(self.dataset.schema.names)

    def type_of(self, name: str) -> Any:
        """Return the Arrow type of a column."""
        return self.dataset.schema.field(name).type

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of these columns, in the order of the rows."""
        from pyarrow.dataset import ParquetFileFormat, ParquetFragmentScanOptions

        options = {"columns": list(names), "batch_size": BATCH_ROWS, "batch_readahead": 2}
        if isinstance(getattr(self.dataset, "format", None), ParquetFileFormat):
            # otherwise whole columns of a file are in memory at once
            options["fragment_scan_options"] = ParquetFragmentScanOptions(pre_buffer=False)
        return iter(self.dataset.scanner(fragment_readahead=1, **options).to_batches())


def row_source(data: Any) -> RowSource | None:
    """Return what reads `data` in batches; None if it is no path of Parquet files and no pyarrow dataset.

    Raises
    ------
    DataError
        For a path that cannot be read, and where pyarrow is not installed.
    """
    dataset = getattr(sys.modules.get("pyarrow.dataset"), "Dataset", None)
    if dataset is not None and isinstance(data, dataset):
        return RowSource(data)
    if not isinstance(data, str | os.PathLike):
        return None
    path = os.fspath(data)
    if not isinstance(path, str) or not (path.lower().endswith(SUFFIXES) or os.path.isdir(path)):
        return None
    try:
        from pyarrow import ArrowException
        from pyarrow.dataset import dataset as open_dataset
    except ImportError as error:
        raise DataError(
            f"reading {path!r} in batches needs pyarrow, which is not installed: "
            "pip install 'glmmlib[parquet]'"
        ) from error
    try:
        return RowSource(open_dataset(path, format="parquet", partitioning="hive"))
    except (ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path!r} cannot be read as Parquet: {reason}") from error


@dataclass
class Tally:
    """How many rows were read, and how many of them lack a value, in all and by column."""

    n_rows: int = 0
    n_missing: int = 0
    by_column: dict[str, int] = field(default_factory=dict)

    def check(self, na_action: str) -> None:
        """Refuse rows that lack a value, if they are to be refused, or if there are no others.

        Raises
        ------
        DataError
        """
        if self.n_rows == 0:
            raise DataError("the data have no rows")
        check_complete(self.n_rows, self.n_missing, self.by_column, na_action)


def complete_batches(source: RowSource, names: Sequence[str], tally: Tally) -> Iterator[tuple[Any, pd.Index]]:
    """Yield batches of the rows that lack nothing in these columns, with the numbers of the rows."""
    for batch in source.batches(names):
        start, n = tally.n_rows, batch.num_rows
        tally.n_rows += n
        lacking = None
        for name in names:
            missing = _missing(batch.column(name))
            if missing is not None:
                tally.by_column[name] = tally.by_column.get(name, 0) + int(missing.sum())
                lacking = missing if lacking is None else lacking | missing
        if lacking is None:
            if n:
                yield batch, pd.RangeIndex(start, start + n)
            continue
        tally.n_missing += int(lacking.sum())
        if not lacking.all():
            import pyarrow as pa

            yield batch.filter(pa.array(~lacking)), pd.Index(start + np.flatnonzero(~lacking))


def _missing(array: Any) -> BoolArray | None:
    import pyarrow as pa

    if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
        array = array.cast(array.type.value_type)
    missing = None
    if array.null_count:
        missing = array.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(array.type):
        strange = np.isnan(array.to_numpy(zero_copy_only=False))
        if strange.any():
            missing = strange if missing is None else missing | strange
    return missing
