"""Which tests take long: marked `slow` from a list, which this plugin writes anew from a run that it times.

    python -m pytest -p support.slow --write-slow tests --ignore tests/course

The list holds functions, not their cases, and CPU time, so that a busy machine writes nearly the same one.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

LIST = Path(__file__).parents[1] / "slow.txt"
SECONDS = 0.3  # for all cases of a function together


def function_of(nodeid):
    """The name of a test without its case."""
    return nodeid.split("[")[0]


def mark_slow(items):
    """Mark the tests of the list; what `make check` leaves out."""
    listed = set(LIST.read_text().split())
    for item in items:
        if function_of(item.nodeid) in listed:
            item.add_marker(pytest.mark.slow)


def pytest_addoption(parser):
    parser.addoption(
        "--write-slow", action="store_true", help=f"write {LIST.name} from the times of this run"
    )


class Clock:
    """CPU seconds of each test function."""

    def __init__(self):
        self.seconds = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        begin = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[function_of(item.nodeid)] += time.process_time() - begin

    def pytest_sessionfinish(self):
        if not self.seconds:
            return
        slow = sorted(name for name, seconds in self.seconds.items() if seconds > SECONDS)
        LIST.write_text("\n".join(slow) + "\n")


def pytest_configure(config):
    if config.getoption("--write-slow", default=False):
        config.pluginmanager.register(Clock())
