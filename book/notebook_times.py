"""A pytest plugin for nbval (`-p book.notebook_times`): it reports how long each notebook ran.

Where tests are spread over processes (`--dist loadgroup`), it keeps the cells of a notebook in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

seconds: dict[str, float] = defaultdict(float)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def pytest_runtest_logreport(report: Any) -> None:
    path = report.nodeid.split("::")[0]
    if path.endswith(".ipynb"):
        seconds[path] += report.duration


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if seconds:
        terminalreporter.section("run time per notebook")
        for path, time in sorted(seconds.items()):
            terminalreporter.write_line(f"{time:7.1f} s  {path}")
        terminalreporter.write_line(f"{sum(seconds.values()):7.1f} s  together")
