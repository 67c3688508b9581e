"""A chapter in JupyterLab, as `make lab` opens it: the boxes are drawn, the slider moves, the tab does not
hang.
"""

import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from book.contents import ROOT

pytestmark = pytest.mark.browser
CHAPTER = "chapters/03_random_intercepts.ipynb"
PATIENCE = 180_000  # ms; JupyterLab takes seconds to start, a busy machine many


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a running JupyterLab on the project, with settings of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("lab")
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.token=",
        "--ServerApp.password=",
    ]
    folders = [f"--LabApp.user_settings_dir={home}", f"--LabApp.workspaces_dir={home}"]
    log = (home / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, *folders], cwd=ROOT, stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urlopen(f"{address}/api").close()
            break
        except URLError:
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(30)
    log.close()


@pytest.fixture(scope="module")
def notebook(lab, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab}/lab/tree/{CHAPTER}")
    page.locator(".jp-Notebook .jp-Cell").nth(10).wait_for()
    yield page
    context.close()


def test_boxes_are_drawn_and_directives_of_the_book_do_not_show_as_errors(notebook):
    box = (
        notebook.locator("aside.admonition, .admonition, aside").filter(has_text="You will be able to").first
    )
    box.wait_for()
    assert "{admonition}" not in box.inner_text()


def test_slider_is_drawn_and_moves(notebook):
    chart = notebook.locator(".vega-embed").first
    chart.wait_for(state="attached")
    chart.scroll_into_view_if_needed()
    handle = chart.locator("input[type=range]").first
    before = handle.input_value()
    handle.focus()
    notebook.keyboard.press("End")
    assert handle.input_value() != before
