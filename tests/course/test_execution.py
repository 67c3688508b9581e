"""The build runs every notebook anew, two at a time, and stops at one that fails."""

import io
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import docutils_namespace

CONF = (
    "extensions = ['myst_nb', 'book.extension']\nnb_execution_mode = 'cache'\n"
    "nb_execution_timeout = 60\nsuppress_warnings = ['toc.not_readable', 'toc.not_included']\n"
)
# A run says when it began and ended, and counts itself.
RUN = """\
import time
from pathlib import Path

began = time.time()
count = Path("count-{name}")
count.write_text(count.read_text() + "I" if count.exists() else "I")
time.sleep(2)
print("run", count.read_text(), began, time.time())"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "conf.py").write_text(CONF)
    write(folder / "index.ipynb", RUN.format(name="index"))
    write(folder / "other.ipynb", RUN.format(name="other"))
    return folder


def write(path, code):
    notebook = new_notebook(cells=[new_markdown_cell("# Page"), new_code_cell(code)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


def build(source):
    """Build the book with the cache that an earlier build left; what it wrote to its log."""
    said = io.StringIO()
    out = source.parent / "out"
    with docutils_namespace():
        app = Sphinx(source, source, out, out / "doctrees", "html", status=said, warning=said, freshenv=True)
        app.build(force_all=True)
    assert app.statuscode == 0, said.getvalue()
    return {name: (out / f"{name}.html").read_text(encoding="utf-8") for name in ("index", "other")}


def printed(page):
    """The count of runs, the beginning and the end that a page shows."""
    count, began, ended = page.split("run I", 1)[1].split("\n")[0].split("<")[0].split(" ")
    return "I" + count, float(began), float(ended)


def test_notebooks_run_side_by_side_once_a_build_and_anew_in_the_next(source):
    pages = [printed(page) for page in build(source).values()]
    assert [count for count, *_ in pages] == ["I", "I"]
    assert max(began for _, began, _ in pages) < min(ended for *_, ended in pages)
    start = time.time()
    pages = [printed(page) for page in build(source).values()]
    assert [count for count, *_ in pages] == ["II", "II"]
    assert all(began > start for _, began, _ in pages)


def test_a_notebook_that_fails_stops_the_build_and_is_named(source):
    write(source / "other.ipynb", "raise ValueError('broken on purpose')")
    with pytest.raises(ExtensionError, match=r"(?s)other\.ipynb .*broken on purpose"):
        build(source)


def test_a_run_handed_over_is_shown_and_not_repeated(source, tmp_path, monkeypatch):
    run = nbformat.read(source / "other.ipynb", as_version=4)
    run.cells[1].outputs = [new_output("stream", text="run I 0.0 0.0\n")]
    (tmp_path / "runs").mkdir()
    nbformat.write(run, tmp_path / "runs" / "other.ipynb")
    monkeypatch.setenv("BOOK_RUNS", str(tmp_path / "runs"))
    pages = build(source)
    assert printed(pages["other"]) == ("I", 0.0, 0.0)
    assert printed(pages["index"])[1] > 0.0
    assert not (source / "count-other").exists()
