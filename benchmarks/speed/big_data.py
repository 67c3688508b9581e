"""Measure how seconds and memory of large linear models grow with their rows: writes big_data.md.

    python benchmarks/speed/big_data.py [--most 1e7] [--only memory] [--folder /somewhere]

Each fit runs in a process of its own, from the data to standard errors. Seconds are of the processor; memory
is the peak of the process above what it held, data frame included, before the fit. Files for the fits in
batches are written to the folder and removed again. A run of part of the cases prints its table and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from table import machine

RESULT = Path(__file__).with_suffix(".md")
SLICE = 1 << 20
MODEL, CROSSED = "y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)"


@dataclass(frozen=True)
class Case:
    """A model with a slope for each group, or with an intercept for each level of two factors."""

    source: str  # "memory", "parquet", "crossed", "bernoulli"
    rows: int
    groups: int
    others: int = 0

    @property
    def label(self) -> str:
        if self.others:
            return f"{self.groups:,} x {self.others:,} levels"
        return f"{self.groups:,} groups"


CASES = (
    Case("memory", 100_000, 10_000),
    Case("memory", 1_000_000, 100_000),
    Case("memory", 10_000_000, 1_000_000),
    Case("memory", 30_000_000, 3_000_000),
    Case("parquet", 1_000_000, 100_000),
    Case("parquet", 10_000_000, 100_000),
    Case("parquet", 30_000_000, 100_000),
    Case("parquet", 10_000_000, 1_000_000),
    Case("parquet", 30_000_000, 3_000_000),
    Case("crossed", 1_000_000, 6_040, 3_706),
    Case("crossed", 10_000_000, 72_000, 10_000),
    Case("crossed", 25_000_000, 162_000, 59_000),
    Case("bernoulli", 1_000_000, 6_040, 3_706),
)
TITLES = {
    "memory": "A data frame, one slope for each group",
    "parquet": "A Parquet file, read in batches, one slope for each group",
    "crossed": "A data frame, two crossed factors, solved iteratively",
    "bernoulli": "A data frame, responses 0 and 1, two crossed factors, solved iteratively",
}


def rows(case: Case) -> Iterator[pd.DataFrame]:
    """Yield the data in slices, with a fixed seed."""
    rng = np.random.default_rng(case.rows)
    b = rng.normal(size=(2, case.groups))
    c = rng.normal(size=max(case.others, 1))
    for start in range(0, case.rows, SLICE):
        n = min(SLICE, case.rows - start)
        g, x = rng.integers(case.groups, size=n), rng.normal(size=n)
        y = 1.0 + x + b[0][g] + rng.normal(size=n)
        if case.others:
            h = rng.integers(case.others, size=n)
            y += c[h]
            if case.source == "bernoulli":
                y = (y > rng.logistic(size=n)).astype(float)
            yield pd.DataFrame({"y": y, "x": x, "g": g, "h": h})
        else:
            yield pd.DataFrame({"y": y + 0.3 * b[1][g] * x, "x": x, "g": g})


def write_rows(case: Case, path: Path) -> None:
    """Write the data to a Parquet file, slice by slice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for frame in rows(case):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched(found: dict[str, float]) -> Iterator[None]:
    """Note the seconds of the processor and the largest memory above the first, meanwhile."""
    before, peak, stop = resident(), [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            peak[0] = max(peak[0], resident())

    thread = threading.Thread(target=watch)
    thread.start()
    began, began_wall = time.process_time(), time.perf_counter()
    yield
    found["cpu"], found["wall"] = time.process_time() - began, time.perf_counter() - began_wall
    stop.set()
    thread.join()
    found["memory"] = max(peak[0], resident()) - before


def measure(case: Case, folder: Path) -> dict[str, float]:
    """Fit a case in this process."""
    import glmmlib as gl

    found: dict[str, float] = {}
    if case.source == "parquet":
        path = folder / "rows.parquet"
        import pyarrow.dataset  # noqa: F401 - as the user's session has it

        found["data"] = float(path.stat().st_size)
        with watched(found):
            gl.lmer(MODEL, path).bse  # noqa: B018
        return found
    slices = list(rows(case))
    data = pd.concat(slices, ignore_index=True) if len(slices) > 1 else slices[0]
    del slices
    found["data"] = float(data.memory_usage(index=False).sum())
    with watched(found):
        if case.source == "bernoulli":
            gl.glmer(CROSSED, data, family="binomial").bse  # noqa: B018
        else:
            gl.lmer(CROSSED if case.others else MODEL, data).bse  # noqa: B018
    return found


def in_a_process(case: Case, folder: Path) -> dict[str, float]:
    """Fit a case in a process of its own, with one BLAS thread."""
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if case.source == "parquet":
        write_rows(case, folder / "rows.parquet")
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case)), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | one)
    (folder / "rows.parquet").unlink(missing_ok=True)
    if done.returncode:
        raise RuntimeError(f"{case} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def line(case: Case, found: dict[str, float]) -> str:
    """One row of the table."""
    per_row = 1e9 * found["cpu"] / case.rows
    return (
        f"| {case.rows:,} | {case.label} | {found['data'] / 1e6:,.0f} MB | {found['cpu']:.2f} s | "
        f"{per_row:,.0f} ns | {found['memory'] / 1e6:,.0f} MB |"
    )


def table(measured: dict[Case, dict[str, float]]) -> str:
    """The page's table: one part for each kind of source."""
    parts = [
        f"Measured on {date.today().isoformat()}: {machine()}, one BLAS thread; seconds "
        "of the processor from data to standard errors, one run each; memory is what the fit took at its "
        "peak beside the data."
    ]
    for source, title in TITLES.items():
        lines = [line(case, found) for case, found in measured.items() if case.source == source]
        if lines:
            head = "| Rows | Groups | Data | Seconds | A row | Memory |\n|---:|---|---:|---:|---:|---:|"
            parts.append("\n".join([f"**{title}**", "", head, *lines]))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--most", type=float, default=np.inf)
    parser.add_argument("--only", choices=list(TITLES))
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(measure(Case(**json.loads(asked.case)), asked.folder)))
        return
    chosen = [c for c in CASES if c.rows <= asked.most and asked.only in (None, c.source)]
    measured = {}
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for case in chosen:
            measured[case] = in_a_process(case, Path(folder))
            print(f"{case.source} {line(case, measured[case])}", file=sys.stderr)
    if len(chosen) == len(CASES):
        RESULT.write_text(table(measured) + "\n", encoding="utf-8")
    else:
        print(table(measured))


if __name__ == "__main__":
    main()
