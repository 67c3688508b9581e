"""Fixtures shared by the tests: the course's table of contents, the built site, a real browser."""

import gc
import os
from pathlib import Path

import pytest

from support.examples import register_profiles
from support.slow import mark_slow

register_profiles()
ROOT = Path(__file__).parent.parent
NO_BROWSER = "no Chromium or Chrome was found"


def pytest_collection_modifyitems(items):
    mark_slow(items)


def pytest_collection_finish():
    """Thousands of tests stay until the end: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def site():
    """The built site; what `make book` makes."""
    path = ROOT / "_build" / "html"
    if not (path / "index.html").exists():
        pytest.fail(
            "there is no built site in _build/html: run `make book` first, or `make test`, which does"
        )
    return path


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium without network. Missing, it is a failure where CI is set, and said loudly
    elsewhere.
    """
    from book.browser import chromium, find_chromium

    if find_chromium() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_BROWSER)
    with chromium() as running:
        yield running


def pytest_terminal_summary(terminalreporter):
    missed = [
        report.nodeid
        for report in terminalreporter.getreports("skipped")
        if NO_BROWSER in str(report.longrepr)
    ]
    if missed:
        terminalreporter.section("CHECKS THAT DID NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.write_line(
            f"Because {NO_BROWSER} on this machine, nobody has looked at these in a real browser:"
        )
        for nodeid in missed:
            terminalreporter.write_line(f"  {nodeid}")
        terminalreporter.write_line(
            "Install Chromium (Debian: apt-get install chromium) and run `make test` again."
        )
