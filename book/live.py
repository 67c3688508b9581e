"""The live part of a chapter: the cells that a teacher types, and the copy in which a room types along.

A cell with the tag `live` belongs to it. Its metadata may hold `live`: `minutes` to type and talk, a question
to `ask` the room before it runs, or `given`, for a cell that the copy holds already (imports).

    python -m book.live              write one code-along notebook a chapter into the folder code-along
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.blank import write_blank
from book.charts import VEGALITE
from book.contents import ROOT, lessons, markdown, read, title
from book.install import install_cell
from book.store import serialise, tidy
from glmmlib.exercises import labels

FOLDER = "code-along"
LABEL = re.compile(r"^\(slide-(S\d\d)\)=$", re.MULTILINE)
HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)
EXERCISE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{exercise\} ?(?P<name>[^\n]*)\n:label: (?P<label>\S+)\n"
    r"(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
CHECK = "from glmmlib.exercises import check"
OPENING = """# {title}: code along

Type the empty cells with your teacher: the comment says what a cell is for, and below it stands what you
should see.
The chapter with all its text is [{stem}](../chapters/{stem}.ipynb)."""


@dataclass(frozen=True)
class LiveCell:
    """A cell that is typed before the room."""

    name: str
    source: str
    heading: str
    slides: tuple[str, ...]
    minutes: float
    ask: str
    given: bool
    result: str

    @property
    def comment(self) -> str:
        """The comment lines with which the cell opens."""
        lines = self.source.splitlines()
        typed = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        return "\n".join(lines[:typed])

    @property
    def lines(self) -> int:
        """The lines to type: not the comment, which is there, and not the blank ones."""
        if self.given:
            return 0
        return sum(bool(line.strip()) for line in self.source.removeprefix(self.comment).splitlines())


def live_cells(notebook: NotebookNode) -> tuple[LiveCell, ...]:
    """The live cells of a chapter in the order of the page, each with the slides that are up."""
    found, heading, slides = [], "", ()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings, labels = HEADING.findall(cell.source), LABEL.findall(cell.source)
            heading = headings[-1] if headings else heading
            slides = tuple(labels) or slides
        elif "live" in cell.metadata.get("tags", ()):
            notes = cell.metadata.get("live", {})
            found.append(
                LiveCell(
                    cell.id,
                    cell.source,
                    heading,
                    slides,
                    float(notes.get("minutes", 0)),
                    notes.get("ask", ""),
                    bool(notes.get("given", False)),
                    result(cell),
                )
            )
    return tuple(found)


def result(cell: NotebookNode) -> str:
    """What a reader should see below a cell, as Markdown: printed text, tables as text, pictures in words."""
    parts = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        text = output.get("text", "") or data.get("text/plain", "")
        if VEGALITE in data:
            parts.append(f"A chart with sliders. {text}")
        elif text.startswith("<Figure size"):
            parts.append(f"A picture. {cell.metadata.mystnb.image.alt}")
        elif text.strip():
            parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts)


def code_along(path: Path) -> NotebookNode:
    """The chapter at `path` as a room gets it: headings, questions, comments, expected results; code left
    out.
    """
    notebook = read(path)
    cells = [new_markdown_cell(OPENING.format(title=title(path), stem=path.stem)), install_cell()]
    heading = ""
    for live in live_cells(notebook):
        words = [f"## {live.heading}"] if live.heading != heading else []
        words += [f"**Before you run it:** {live.ask}"] if live.ask else []
        if words:
            cells.append(new_markdown_cell("\n\n".join(words)))
        heading = live.heading
        cells.append(new_code_cell(live.source if live.given else live.comment + "\n\n"))
        if live.result:
            cells.append(new_markdown_cell(f"You should see:\n\n{live.result}"))
    cells += exercises(markdown(path))
    return tidy(new_notebook(cells=cells))


def exercises(text: str) -> Iterator[NotebookNode]:
    """A chapter's exercises, each with a cell that checks the reader's answer in place of its solution."""
    for found in EXERCISE.finditer(text):
        name, label, body = found["name"], found["label"], found["body"]
        yield new_markdown_cell(f"## Exercise: {name}\n\n{body.strip()}")
        checked = f'answer = ...\n{CHECK}\ncheck("{label}", answer)' if label in labels() else ""
        yield new_code_cell(f"# Your answer: {name}\n\n{checked}")


def write_copies(folder: Path) -> list[Path]:
    """Write the code-along copy of every chapter that has a live part into `folder`, and the empty notebook
    of the capstone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path in lessons():
        if live_cells(read(path)):
            written.append(folder / path.name)
            written[-1].write_text(serialise(code_along(path)), encoding="utf-8")
    return [*written, write_blank(lessons()[-1], folder)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m book.live", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--folder", type=Path, default=ROOT / FOLDER, help=f"where to write (default: {FOLDER})"
    )
    for path in write_copies(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
