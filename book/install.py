"""The first code cell of every notebook: it installs glmmlib where a notebook is opened without it, as on
Colab.
"""

from __future__ import annotations

from functools import cache

import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from book.contents import ROOT

NAME = "install"
SOURCE = """\
# Installs glmmlib where it is missing (Colab, a kernel in the browser). Elsewhere it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("glmmlib") is None:
    package = "glmmlib" if sys.platform == "emscripten" else "git+{repository}"
    %pip install -q {{package}} statsmodels "altair>=5.5,<6"
"""


@cache
def repository() -> str:
    """The address of the repository; `_config.yml` is the one place that says it."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]


def install_cell() -> NotebookNode:
    source = SOURCE.format(repository=repository()).strip()
    return new_code_cell(source, metadata={"name": NAME, "tags": ["remove-cell"]})


def with_install_cell(notebook: NotebookNode) -> NotebookNode:
    """Put the cell before the first code cell, in place of one from an earlier time."""
    cells = [cell for cell in notebook.cells if cell.metadata.get("name") != NAME]
    first = next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    notebook.cells = [*cells[:first], install_cell(), *cells[first:]]
    return notebook


def lacks_install_cell(notebook: NotebookNode) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return not code or code[0].source != install_cell().source
