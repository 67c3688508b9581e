"""A pytest plugin (`-p book.notebook_times`) that reports how long each notebook ran under nbval."""

from __future__ import annotations

from collections import defaultdict

seconds: dict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report) -> None:
    path = report.nodeid.split("::")[0]
    if path.endswith(".ipynb"):
        seconds[path] += report.duration


def pytest_terminal_summary(terminalreporter) -> None:
    if seconds:
        terminalreporter.section("run time per notebook")
        for path, time in sorted(seconds.items()):
            terminalreporter.write_line(f"{time:7.1f} s  {path}")
        terminalreporter.write_line(f"{sum(seconds.values()):7.1f} s  together")
