"""The empty notebook for a reader's own data: the capstone's list, with a place to answer each step."""

from __future__ import annotations

import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.contents import markdown
from book.install import install_cell
from book.store import serialise, tidy

NAME = "your_own_data.ipynb"
STEP = re.compile(r"^(\d+)\. (.+?) \((\[.+)\)$", re.MULTILINE)
LINK = re.compile(r"\]\((\d\d_\w+\.ipynb)\)")
IN_WORDS = {*range(1, 8), 17, 18}  # what is answered before there are data, and what ends in sentences
OPENING = """# Your own data, step by step

The list of the [capstone](../chapters/capstone.ipynb), with room for your answers. Answer the first seven
before you look at the data."""


def steps(text: str) -> list[tuple[int, str, str]]:
    """The steps of the list in `text`: number, what to do, and links to the chapters that teach it.

    >>> steps("1. Ask. ([01](01_a.ipynb))")
    [(1, 'Ask.', '[01](../chapters/01_a.ipynb)')]
    """
    return [(int(n), todo, LINK.sub(r"](../chapters/\1)", links)) for n, todo, links in STEP.findall(text)]


def blank(path: Path) -> NotebookNode:
    """The empty notebook that goes with the capstone at `path`."""
    cells = [new_markdown_cell(OPENING), install_cell()]
    for number, todo, links in steps(markdown(path)):
        cells.append(new_markdown_cell(f"## Step {number}\n\n{todo}\n\nChapters: {links}."))
        if number in IN_WORDS:
            cells.append(new_markdown_cell(f"*Your answer to step {number}:*"))
        else:
            cells.append(new_code_cell(f"# Step {number}\n\n"))
    return tidy(new_notebook(cells=cells))


def write_blank(path: Path, folder: Path) -> Path:
    """Write the empty notebook into `folder`."""
    written = folder / NAME
    written.write_text(serialise(blank(path)), encoding="utf-8")
    return written
