"""Were the seeds of a chapter chosen for the picture? Three others take their place.

    python -m book.seeds chapters/01_hierarchical_data.ipynb     run the chapter thrice and renew its rows
    python -m book.seeds                                         what the rows say

`seeds.csv` has a row for each cell that prints other numbers under other seeds: those that are stored, and
those of the three runs. A run that says "stopped" is one whose check failed: a hidden assertion's or an
exercise's. A cell with the tag `data` draws the data set that a chapter describes, and keeps its seed.

Had nobody looked, the stored number would be as good as any of the four, and its distance from the other
three would have a p-value (t with two degrees of freedom) below 5 % in about one number of twenty.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from docutils import nodes
from nbclient import NotebookClient
from nbformat import NotebookNode
from scipy import stats
from sphinx.util.docutils import SphinxDirective

from book.contents import heading_of, lessons, name_of, read
from book.measure import plain_table

TABLE = Path(__file__).parent / "seeds.csv"
SHIFTS = (1001, 2002, 3003)
SEED = re.compile(r"(\bdefault_rng\(|\brng=|\bseed=)(\d+)\b")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
TIMEOUT = 300
STOPPED = "stopped"
DATA = "data"


@dataclass(frozen=True)
class Row:
    """What one cell printed: numbers separated by blanks, the stored ones and those of the other seeds."""

    chapter: str
    cell: str
    stored: str
    first: str
    second: str
    third: str

    @property
    def runs(self) -> list[str]:
        return [self.first, self.second, self.third]

    @property
    def is_check(self) -> bool:
        return STOPPED in self.runs

    def p_values(self) -> list[tuple[float, str]]:
        """For each number its p-value among the others; empty if a run printed more or fewer numbers."""
        columns = [text.split() for text in (self.stored, *self.runs)]
        if self.is_check or len({len(column) for column in columns}) > 1:
            return []
        found = []
        for stored, *others in zip(*columns, strict=True):
            if len({float(other) for other in others}) > 1:  # a number that no seed moves is no simulation
                found.append((p_value(float(stored), [float(other) for other in others]), stored))
        return found


def p_value(stored: float, others: list[float]) -> float:
    """The two-sided p-value of one number beside others from the same distribution.

    >>> round(p_value(3.0, [1.0, 2.0, 3.0]), 3)
    0.478
    """
    scale = np.std(others, ddof=1) * np.sqrt(1 + 1 / len(others))
    return float(2 * stats.t.sf(abs(stored - np.mean(others)) / scale, len(others) - 1))


def reseeded(source: str, shift: int) -> str:
    """Replace every seed that is written as a number.

    >>> reseeded("rng = np.random.default_rng(2)", 1001)
    'rng = np.random.default_rng(1003)'
    """
    return SEED.sub(lambda found: f"{found[1]}{int(found[2]) + shift}", source)


def printed(cell: NotebookNode) -> str:
    """The numbers that a cell printed, or that it stopped."""
    if any(output.output_type == "error" for output in cell.outputs):
        return STOPPED
    text = "\n".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)
    return " ".join(NUMBER.findall(re.sub(r"<Figure[^>]*>", "", text)))


def with_other_seeds(notebook: NotebookNode, shift: int) -> NotebookNode:
    """Change the seeds of a notebook, but for those that make a data set."""
    for cell in notebook.cells:
        if DATA not in cell.metadata.get("tags", ()):
            cell.source = reseeded(cell.source, shift)
    return notebook


def run(path: Path, shift: int) -> list[str]:
    """What each code cell prints when the seeds are others."""
    notebook = with_other_seeds(read(path), shift)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=TIMEOUT, allow_errors=True, resources=resources).execute()
    return [printed(cell) for cell in notebook.cells if cell.cell_type == "code"]


def rows_of(path: Path) -> list[Row]:
    """The rows of a chapter: the cells whose numbers change with the seeds, and the checks that stop."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    runs = zip(*(run(path, shift) for shift in SHIFTS), strict=True)
    found = []
    for cell, others in zip(cells, runs, strict=True):
        if any(other != printed(cell) for other in others):
            found.append(Row(name_of(path), cell.id, printed(cell), *others))
    return found


def read_table() -> list[Row]:
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def write_table(rows: Iterable[Row]) -> None:
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def summary(rows: list[Row]) -> str:
    """A line a chapter, then the checks that stopped and the numbers that lie farthest out."""
    lines = [f"{'chapter':28} cells  numbers  p < 5 %  other checks stop"]
    every: list[tuple[float, str]] = []
    for chapter in dict.fromkeys(row.chapter for row in rows):
        mine = [row for row in rows if row.chapter == chapter]
        values = [value for row in mine for value in row.p_values()]
        every += values
        low, stops = sum(p < 0.05 for p, _ in values), sum(row.is_check for row in mine)
        lines.append(f"{chapter:28} {len(mine):5} {len(values):8} {low:8} {stops:8}")
    low = sum(p < 0.05 for p, _ in every)
    lines.append(f"{'all':28} {len(rows):5} {len(every):8} {low:8}, {100 * low / max(1, len(every)):.1f} %")
    for row in rows:
        if row.is_check:
            lines.append(f"{row.chapter}: {row.cell} stops under {row.runs.count(STOPPED)} of 3 seeds")
    return "\n".join(lines)


HEADINGS = ("Chapter", "Numbers that a seed moves", "Outside 5 %", "Farthest out")


class SeedTable(SphinxDirective):
    """`{seed-table}`: how many numbers of each chapter lie outside the 5 % limits of three other seeds."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(TABLE))
        return [plain_table(HEADINGS, table_rows(read_table()), (40, 25, 15, 20), "seed-table")]


def table_rows(rows: list[Row]) -> list[tuple[str, ...]]:
    """A row for each chapter that was run, and one for all: numbers, those outside, lowest p-value."""
    by_chapter: dict[str, list[float]] = {}
    for row in rows:
        by_chapter.setdefault(row.chapter, []).extend(p for p, _ in row.p_values())
    named = {heading_of(path): by_chapter.get(name_of(path)) for path in lessons()}
    named["all"] = [p for values in by_chapter.values() for p in values]
    return [
        (name, str(len(p)), str(sum(value < 0.05 for value in p)), f"p = {min(p):.3f}" if p else "")
        for name, p in named.items()
        if p is not None
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    for path in parser.parse_args().notebooks:
        others = [row for row in read_table() if row.chapter != name_of(path)]
        write_table(sorted([*others, *rows_of(path)], key=lambda row: row.chapter))
        print(f"{path.stem}: done", flush=True)
    print(summary(read_table()))


if __name__ == "__main__":
    main()
