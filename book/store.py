"""Run a notebook from clean and store it as git keeps it: text outputs, no pictures, stable ids.

    python -m book.store chapters/01_hierarchical_data.ipynb     run and store
    python -m book.store --check chapters/*.ipynb                refuse what was not stored this way

A stored notebook is a function of its cells and of glmmlib: running it again on any machine gives the same
file.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from book.install import lacks_install_cell, with_install_cell

CELL_TIMEOUT = 120
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python"}
KEPT_CELL_METADATA = ("live", "mystnb", "name", "tags")
NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


class StoreError(Exception):
    """A notebook that cannot be stored, or that was not stored by this program."""


def stable_ids(cells: list[NotebookNode]) -> list[str]:
    """One id a cell: its `name` in the metadata, or else a hash of its kind and source.

    >>> cells = [NotebookNode(cell_type="markdown", source="# A", metadata={"name": "opening"})]
    >>> stable_ids(cells)
    ['opening']
    """
    ids: list[str] = []
    for cell in cells:
        name = cell.metadata.get("name")
        if name and not NAME.fullmatch(name):
            raise StoreError(f"The cell name {name!r} may hold lower-case letters, digits and hyphens only.")
        ident = name or hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        if name and ident in ids:
            raise StoreError(f"Two cells have the name {name!r}.")
        repeats = sum(i == ident or i.startswith(f"{ident}-") for i in ids) if not name else 0
        ids.append(f"{ident}-{repeats + 1}" if repeats else ident)
    return ids


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from run to run or from machine to machine."""
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info=LANGUAGE)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata = NotebookNode(
            {k: v for k, v in sorted(cell.metadata.items()) if k in KEPT_CELL_METADATA}
        )
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = NotebookNode()
            for mime in [m for m in output.get("data", ()) if m.startswith("image/")]:
                del output.data[mime]
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    for cell, ident in zip(notebook.cells, stable_ids(notebook.cells), strict=True):
        cell.id = ident
    return notebook


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of a stream: how a kernel cuts them is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def run(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Execute every cell in a fresh kernel; refuse errors and anything written to stderr."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise StoreError(f"A cell failed.\n{error}") from error
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and output.name == "stderr":
                raise StoreError(f"This cell wrote to stderr:\n{cell.source}\n--- stderr:\n{output.text}")
    return notebook


def store(path: Path) -> float:
    """Run the notebook at `path`, write it back, and return the seconds that the run took."""
    notebook = with_install_cell(nbformat.read(path, as_version=4))
    stable_ids(notebook.cells)  # a bad name is reported before the run, not after
    start = time.perf_counter()
    run(notebook, path.parent)
    seconds = time.perf_counter() - start
    path.write_text(serialise(tidy(notebook)), encoding="utf-8")
    return seconds


def serialise(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook, indent=1).rstrip("\n") + "\n"


def problems(path: Path) -> list[str]:
    """What keeps the notebook at `path` from being one that `store` wrote."""
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not code:
        found.append("it has no code cell")
    elif lacks_install_cell(notebook):
        found.append("its first code cell is not the one that installs glmmlib")
    if any(not cell.source.strip() for cell in code):
        found.append("it has an empty code cell")
    counts = [cell.execution_count for cell in code]
    if None in counts:
        found.append(f"cell {counts.index(None) + 1} of {len(code)} code cells was not run, or was cleared")
    elif counts != list(range(1, len(code) + 1)):
        found.append(f"its cells were not run once from top to bottom: {counts}")
    for number, cell in enumerate(code, start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"code cell {number} holds the error {output.ename}")
            if output.get("name") == "stderr":
                found.append(f"code cell {number} holds stderr output")
            if any(mime.startswith("image/") for mime in output.get("data", ())):
                found.append(f"code cell {number} holds a picture")
    try:
        if not found and serialise(tidy(notebook)) != text:
            found.append("its ids, metadata or layout are not those that `python -m book.store` writes")
    except StoreError as error:
        found.append(str(error))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m book.store", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument(
        "--check", action="store_true", help="run nothing; refuse notebooks not stored this way"
    )
    options = parser.parse_args(arguments)
    failed = 0
    for path in options.notebooks:
        try:
            if options.check:
                found = problems(path)
                if found:
                    raise StoreError("; ".join(found) + ". Run: make store")
                print(f"{path}: as stored")
            else:
                print(f"{path}: ran in {store(path):.1f} s, stored")
        except (StoreError, OSError, nbformat.reader.NotJSONError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
