"""A pytest plugin for nbval (`-p book.runs --keep-runs FOLDER`): what each notebook gave is kept as one.

`make test` runs every notebook once: nbval compares what it gives with what is stored, and the book is built
from the same run (see :mod:`book.execution`).
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest

_outputs: dict[Path, dict[int, list]] = defaultdict(dict)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-runs", metavar="FOLDER", help="keep what each notebook gave, as a notebook")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Write a notebook when its last cell has run."""
    folder = item.config.getoption("--keep-runs")
    if not folder or item.path.suffix != ".ipynb":
        return
    notebook = item.parent.nb  # type: ignore[union-attr]
    place = next(i for i, cell in enumerate(notebook.cells) if cell is item.cell)  # type: ignore[attr-defined]
    _outputs[item.path][place] = item.test_outputs or []  # type: ignore[attr-defined]
    if nextitem is None or nextitem.path != item.path:
        write(notebook, _outputs.pop(item.path), Path(folder) / item.path.name)


def write(notebook: nbformat.NotebookNode, outputs: dict[int, list], path: Path) -> None:
    """Write a notebook with the outputs of its cells, by their places; without one of them, nothing."""
    kept = deepcopy(notebook)
    code = [i for i, cell in enumerate(kept.cells) if cell.cell_type == "code" and cell.source.strip()]
    if not outputs.keys() >= set(code):
        return
    for count, i in enumerate(code, start=1):
        kept.cells[i].outputs, kept.cells[i].execution_count = outputs[i], count
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(kept, path)


def kept_run(folder: str | None, notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode | None:
    """Return the kept run of a notebook, or None where none is kept of just these cells."""
    if not folder or not (path := Path(folder) / name).exists():
        return None
    kept = nbformat.read(path, as_version=4)
    same = [(c.cell_type, c.source) for c in kept.cells] == [(c.cell_type, c.source) for c in notebook.cells]
    return kept if same else None
