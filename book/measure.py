"""How long a chapter is: what stands on its line, and the minutes that an honest reader needs for it.

    python -m book.measure                    the table of all chapters
    python -m book.measure chapters/01_*      those, with what is outside the limits

The *line* is what a reader meets who opens nothing: all prose from the title to the quiz, outside doors,
boxes, tabs, dropdowns, display formulas and tables. A `guess-result` is on the line, for everybody opens it.
Boxes and tables take time to read, so they count for the minutes; exercises, closed doors and further
reading do not.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from nbformat import NotebookNode
from sphinx.util.docutils import SphinxDirective

from book.charts import VEGALITE
from book.contents import chapters, heading_of, lessons, read
from book.doors import END, KINDS

WORDS_A_MINUTE, LINES_A_MINUTE, FIGURE_MINUTES, QUESTION_MINUTES = 200, 7, 0.5, 1 / 3
FENCE = re.compile(r"^\s*(`{3,}|:{3,})(?:\{([\w-]+)\}(.*)|([\w-]*))?\s*$")
WORD = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
MATH = re.compile(r"\$[^$]+\$")
NOT_SHOWN = {"remove-cell", "remove-input", "hide-cell", "hide-input"}
Limits = dict[str, tuple[int, int]]
LESSON: Limits = {
    "words": (1000, 1500), "cells": (8, 12), "longest": (1, 8), "figures": (3, 5), "minutes": (18, 28),
}  # fmt: skip
# One page that leads to chapters: a picture, a table, and nothing to type or to solve.
MAP: Limits = {"words": (200, 500), "cells": (0, 0), "figures": (1, 1), "doors": (0, 0), "minutes": (2, 6)}


@dataclass(frozen=True)
class Measure:
    """A chapter: words on the line and in boxes, visible cells, their lines, figures, questions, doors."""

    words: int
    boxes: int
    cells: int
    lines: int
    longest: int
    figures: int
    questions: int
    doors: int

    @property
    def minutes(self) -> float:
        """The time to read what a reader meets who opens no door."""
        return (
            (self.words + self.boxes) / WORDS_A_MINUTE
            + self.lines / LINES_A_MINUTE
            + self.figures * FIGURE_MINUTES
            + self.questions * QUESTION_MINUTES
        )

    def outside(self, limits: Limits) -> list[str]:
        """What is outside the limits of a chapter of its kind, one phrase each."""
        return [
            f"{name} {getattr(self, name):.0f}, should be {low} to {high}"
            for name, (low, high) in limits.items()
            if not low <= getattr(self, name) <= high
        ]


@dataclass
class Walk:
    """Where a reader of the source is: which gates and fences are open."""

    gate: str = ""
    title: str = ""
    after_line: bool = False
    fences: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> str:
        """`line`, `box` (read too), or `behind` (not met by a reader who opens nothing)."""
        if self.gate in ("door", "solution") or self.after_line:
            return "behind"
        kinds = {kind for _, kind in self.fences} - KINDS
        if kinds & {"exercise", "quiz", "dropdown", "math"}:
            return "behind"
        return "box" if kinds else "line"

    def step(self, line: str) -> bool:
        """Take in a line of Markdown; whether it holds words (and is no markup)."""
        if heading := re.match(r"#{1,4} (.+)", line) if not self.fences else None:
            self.after_line |= heading[1] in ("Quiz", "Exercises")
            return True
        if fence := FENCE.match(line):
            self._fence(*fence.groups())
            return False
        if line.strip() == f"% {END}":
            self.gate = ""
        elif self.fences and line.startswith(":class:"):
            self._classes(set(line.split()[1:]))
        return not re.match(r"^(:\w|\(|%)", line)

    def _fence(self, mark: str, directive: str | None, title: str | None, language: str | None) -> None:
        if self.fences and not directive and not language and mark == self.fences[-1][0]:
            self.fences = self.fences[:-1]
            return
        self.fences = (*self.fences, (mark, directive or "code"))
        self.title = title or ""
        if directive in ("solution-start", "solution-end"):
            self.gate = "solution" if directive == "solution-start" else ""

    def _classes(self, classes: set[str]) -> None:
        """What a box is, its class says: a door, a quiz, a box that is closed until it is opened."""
        kind = next((k for k in ("door", "guess-result", "quiz", "dropdown") if k in classes), None)
        if kind:
            self.fences = (*self.fences[:-1], (self.fences[-1][0], kind))
        if kind in KINDS:
            self.gate = kind


def measure(notebook: NotebookNode) -> Measure:
    """Measure a stored notebook."""
    count: Counter[str] = Counter()
    walk, longest = Walk(), 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            _read_markdown(cell.source, walk, count)
        elif walk.place == "line":
            count["figures"] += is_figure(cell)
            if not NOT_SHOWN & set(cell.metadata.get("tags", ())):
                lines = code_lines(cell.source)
                count["cells"] += 1
                count["lines"] += lines
                longest = max(longest, lines)
    return Measure(
        count["line"], count["box"], count["cells"], count["lines"], longest, count["figures"],
        count["questions"], count["doors"],
    )  # fmt: skip


def limits_of(path: Path) -> Limits:
    """The limits of a chapter's kind: a lesson has exercises, and a map has none."""
    return LESSON if path in lessons() else MAP


def _read_markdown(source: str, walk: Walk, count: Counter) -> None:
    display = False
    for line in source.splitlines():
        if line.strip().startswith("$$"):
            display = not display and not re.match(r"\$\$.+\$\$", line.strip())
            continue
        if display:
            continue
        if walk.step(line):
            place = "box" if walk.place == "line" and line.startswith("|") else walk.place
            count[place] += words(line)
        elif line.startswith(":class: quiz"):
            count["questions"] += 1
        elif line.startswith(":class:") and walk.gate in KINDS:
            count["doors"] += 1
            count["line"] += words(walk.title)


def words(line: str) -> int:
    """The words of a line of Markdown: a formula counts as one, markup as none.

    >>> words("The slope of [chapter 14](14_counting_birds.ipynb) {cite:p}`moulton1986`, $b$, is flat.")
    8
    """
    line = re.sub(r"\{cite:\w\}`[^`]+`", "", MATH.sub(" x ", line))
    line = re.sub(r"\]\([^)]*\)|\{\w+\}", " ", line)
    return len(WORD.findall(line))


def code_lines(source: str) -> int:
    """The lines of code that a reader reads: not the blank ones, not whole-line comments.

    >>> code_lines("# A fit\\nfit = 1\\n\\nprint(fit)")
    2
    """
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in source.splitlines())


def is_figure(cell: NotebookNode) -> bool:
    """Whether a cell draws: a picture, or a chart with sliders."""
    data = [output.get("data", {}) for output in cell.get("outputs", ())]
    return any(VEGALITE in d or str(d.get("text/plain", "")).startswith("<Figure size") for d in data)


HEADINGS = ("Chapter", "Words", "Cells", "Code lines", "Figures", "Doors", "Minutes")


def rows() -> list[tuple[str, ...]]:
    """The table of all chapters, one row each."""
    found = []
    for path in chapters():
        m = measure(read(path))
        figures = (m.words, m.cells, m.lines, m.figures, m.doors, round(m.minutes))
        found.append((heading_of(path), *map(str, figures)))
    return found


class ChapterMeasures(SphinxDirective):
    """`{chapter-measures}`: the table of the chapters' lengths."""

    def run(self) -> list[nodes.Node]:
        for path in chapters():
            self.env.note_dependency(str(path))
        return [plain_table(HEADINGS, rows(), (40, 10, 10, 10, 10, 10, 10), "chapter-measures")]


def plain_table(
    headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], widths: tuple[int, ...], kind: str
) -> nodes.table:
    """A table of texts for a page; `kind` is its class in the style sheet."""
    head, body = nodes.thead("", _row(headings)), nodes.tbody("", *map(_row, rows))
    columns = (nodes.colspec(colwidth=width) for width in widths)
    return nodes.table("", nodes.tgroup("", *columns, head, body, cols=len(headings)), classes=[kind])


def _row(texts: tuple[str, ...]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in texts))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m book.measure", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    wrong = 0
    for path in parser.parse_args().notebooks or chapters():
        m = measure(read(path))
        print(f"{path.stem}: {m.words} words and {m.boxes} in boxes, {m.cells} cells, {m.lines} code lines")
        print(
            f"    (longest cell {m.longest}), {m.figures} figures, {m.questions} questions, {m.doors} doors:"
        )
        print(f"    {m.minutes:.0f} minutes")
        for phrase in m.outside(limits_of(path.resolve())):
            wrong += 1
            print(f"    {phrase}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
