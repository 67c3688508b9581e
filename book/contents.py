"""What the course consists of: the pages of `_toc.yml` and the notebooks among them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import nbformat
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parent.parent


def pages(root: Path = ROOT) -> list[str]:
    """Every page of the table of contents, without suffix, in reading order."""
    return list(parse_toc_yaml(root / "_toc.yml"))


def notebooks(root: Path = ROOT) -> list[Path]:
    """Every notebook of the table of contents: the chapters, the capstone, and what the appendices run."""
    return [path for page in pages(root) if (path := (root / page).with_suffix(".ipynb")).exists()]


def chapters(root: Path = ROOT) -> list[Path]:
    """The notebooks of the table of contents whose names begin with a chapter number."""
    return [path for path in notebooks(root) if re.match(r"\d\d_", path.name)]


def name_of(path: Path) -> str:
    """The name of a notebook, without the number of its chapter.

    >>> [name_of(Path(name)) for name in ("chapters/05_icc.ipynb", "chapters/capstone.ipynb")]
    ['icc', 'capstone']
    """
    return re.sub(r"^\d\d_", "", path.stem)


def heading_of(path: Path) -> str:
    """The title of a notebook, after the number of its chapter, if it has one."""
    return " ".join([*re.findall(r"^\d\d(?=_)", path.stem), title(path)])


def number_of(name: str, root: Path = ROOT) -> str:
    """The number of the chapter of this name: its file's name begins with it, and nothing else holds it."""
    return next(path.stem[:2] for path in chapters(root) if name_of(path) == name)


def lessons(root: Path = ROOT) -> list[Path]:
    """What a learner works through, with exercises: the chapters and the capstone."""
    return [
        path for path in notebooks(root) if re.search(r"^[`:]{3,}\{exercise\}", markdown(path), re.MULTILINE)
    ]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def markdown(path: Path) -> str:
    """All Markdown of a notebook, cells separated by blank lines; an unchanged file is read once."""
    return _markdown(path, path.stat().st_mtime_ns, path.stat().st_size)


@cache
def _markdown(path: Path, modified: int, size: int) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def title(path: Path) -> str:
    """The first heading of a notebook."""
    found = re.search(r"^# (.+)$", markdown(path), re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} has no heading")
    return found[1]


def stored_text(cell: nbformat.NotebookNode) -> str:
    """What a stored code cell printed or displayed, as text."""
    parts = []
    for output in cell.outputs:
        parts.append(output.get("text", ""))
        parts.extend(str(v) for k, v in output.get("data", {}).items() if k in ("text/plain", "text/html"))
    return "\n".join(parts)
