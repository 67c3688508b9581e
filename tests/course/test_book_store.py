"""Storing a notebook is repeatable, and a notebook that is not what its code gives does not pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.runs import kept_run
from book.store import StoreError, main, problems, stable_ids, store

ROOT = Path(__file__).parents[2]
FIGURE = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nplt.show()"
TABLE = "import pandas as pd\npd.DataFrame({'mean': [1.25]})"


def write(path, *cells):
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def own_code(notebook):
    """The code cells but for the first, which installs glmmlib."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"][1:]


def edit(path, change):
    """Apply `change` to the notebook's own code cells and write it back as it is."""
    notebook = nbformat.read(path, as_version=4)
    change(own_code(notebook))
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def stored_text(tmp_path_factory):
    """A small stored notebook with a number, a figure and a table, run once."""
    path = write(
        tmp_path_factory.mktemp("stored") / "chapter.ipynb",
        new_markdown_cell("# A chapter"),
        new_code_cell(
            "mean = 0.32\nprint(f'mean {mean:.2f}')", metadata={"name": "mean", "execution": {"a": "b"}}
        ),
        new_code_cell(FIGURE, metadata={"mystnb": {"image": {"alt": "A line."}}, "scrolled": True}),
        new_code_cell(TABLE),
    )
    store(path)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def stored(stored_text, tmp_path):
    path = tmp_path / "chapter.ipynb"
    path.write_text(stored_text, encoding="utf-8")
    return path


def altered(text, cell, **change):
    """The stored notebook with one of its own code cells changed by hand."""
    notebook = nbformat.reads(text, as_version=4)
    own_code(notebook)[cell].update(change)
    return nbformat.writes(notebook)


@pytest.fixture(scope="module")
def run_of_nbval(stored_text, tmp_path_factory):
    """What nbval, run as `make test` runs it, says of a stored notebook and of four that were changed."""
    notebooks = {
        "as-stored": stored_text,
        "changed-number-and-table": stored_text.replace("mean 0.32", "mean 0.33")
        .replace("1.25", "1.26")
        .replace("[1.26]", "[1.25]"),
        "changed-code": altered(stored_text, 0, source="mean = 0.33\nprint(f'mean {mean:.2f}')"),
        "figure-gone": altered(stored_text, 1, source="fig = None"),
        "raises": altered(stored_text, 0, source="raise ValueError('broken')"),
    }
    folder = tmp_path_factory.mktemp("nbval")
    for name, text in notebooks.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    options = [
        "--nbval",
        "--nbval-current-env",
        "--nbval-sanitize-with",
        str(ROOT / "tests" / "nbval_sanitize.cfg"),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {
        "PYTHONPATH": str(ROOT)
    }
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "-p",
            "book.notebook_times",
            "-p",
            "book.runs",
            "--keep-runs",
            "runs",
            "-p",
            "no:cacheprovider",
            "-rf",
            "--rootdir=.",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    return result.stdout, folder / "runs"


@pytest.fixture(scope="module")
def nbval(run_of_nbval):
    return run_of_nbval[0]


def test_storing_again_changes_nothing(stored, stored_text):
    store(stored)
    assert stored.read_text(encoding="utf-8") == stored_text
    assert problems(stored) == []


def test_stored_notebook_holds_text_but_no_picture_time_or_machine(stored, stored_text):
    assert "image/png" not in stored_text and "<Figure size" in stored_text and "mean 0.32" in stored_text
    notebook = nbformat.read(stored, as_version=4)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [dict(c.metadata) for c in notebook.cells] == [
        {},
        {"name": "install", "tags": ["remove-cell"]},
        {"name": "mean"},
        {"mystnb": {"image": {"alt": "A line."}}},
        {},
    ]
    assert stored_text.endswith("}\n")


def test_notebook_without_the_cell_that_installs_glmmlib_is_refused(stored, capsys):
    notebook = nbformat.read(stored, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("name") != "install"]
    nbformat.write(notebook, stored)
    assert main(["--check", str(stored)]) == 1
    assert "installs glmmlib" in capsys.readouterr().err


def test_a_cell_keeps_its_id_when_others_come_and_go():
    first, second = new_code_cell("a = 1"), new_code_cell("b = 2")
    named = new_code_cell("c = 3", metadata={"name": "result"})
    assert stable_ids([first, second, named])[1:] == stable_ids([second, named])
    assert stable_ids([named]) == ["result"]
    assert len(set(stable_ids([first, first, first]))) == 3


@pytest.mark.parametrize("names", [("Result",), ("two words",), ("same", "same")])
def test_bad_cell_names_are_refused(names):
    with pytest.raises(StoreError, match="name"):
        stable_ids([new_code_cell("1", metadata={"name": name}) for name in names])


def test_nbval_passes_what_was_stored(nbval):
    assert "FAILED as-stored.ipynb" not in nbval
    assert "FAILED" in nbval


@pytest.mark.parametrize(
    ("name", "cells"),
    [("changed-number-and-table", [1, 3]), ("changed-code", [1]), ("figure-gone", [2]), ("raises", [1])],
)
def test_nbval_fails_a_notebook_that_its_code_does_not_give(nbval, name, cells):
    failed = [line.split()[1:4] for line in nbval.splitlines() if line.startswith(f"FAILED {name}.ipynb")]
    assert failed == [[f"{name}.ipynb::Cell", str(cell), "-"] for cell in cells]


def test_a_run_is_kept_with_its_pictures_for_the_book(run_of_nbval, stored_text):
    stored = nbformat.reads(stored_text, as_version=4)
    kept = kept_run(str(run_of_nbval[1]), stored, "as-stored.ipynb")
    printed = [o["text"] for cell in own_code(kept) for o in cell.outputs if o.output_type == "stream"]
    assert any("mean 0.32" in text for text in printed)
    assert "image/png" in str([cell.outputs for cell in own_code(kept)])
    assert kept_run(str(run_of_nbval[1]), stored, "changed-code.ipynb") is None
    assert kept_run(str(run_of_nbval[1]), stored, "no-such.ipynb") is None
    assert kept_run(None, stored, "as-stored.ipynb") is None


def test_run_times_are_reported_for_each_notebook(nbval):
    report = nbval.split("run time per notebook")[1]
    assert re.search(r"\d\.\d s  as-stored\.ipynb", report) and re.search(r"\d\.\d s  together", report)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda code: code[0].update(outputs=[], execution_count=None), "was cleared"),
        (lambda code: [cell.update(outputs=[], execution_count=None) for cell in code], "was cleared"),
        (lambda code: code[0].update(execution_count=9), "top to bottom"),
        (lambda code: code[0].update(id="other"), "not those that"),
        (lambda code: code[0].metadata.update(scrolled=True), "not those that"),
        (lambda code: code[1].outputs[0].data.update({"image/png": "iVBO"}), "picture"),
        (
            lambda code: code[0].outputs.append(
                nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
            ),
            "holds the error E",
        ),
        (
            lambda code: code[0].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="!")),
            "stderr",
        ),
    ],
)
def test_check_refuses(stored, change, complaint, capsys):
    edit(stored, change)
    assert main(["--check", str(stored)]) == 1
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "source", ["1 / 0", "import sys; print('!', file=sys.stderr)", "import warnings; warnings.warn('!')"]
)
def test_a_notebook_that_fails_or_warns_is_not_stored(source, tmp_path, capsys):
    path = write(tmp_path / "bad.ipynb", new_code_cell(source))
    before = path.read_text(encoding="utf-8")
    assert main([str(path)]) == 1
    assert "bad.ipynb" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == before
