"""Which tests take long: marked `slow` from a list, which this plugin writes anew from a run that it times.

    python -m pytest -p support.slow --write-slow tests --ignore tests/course
    python -m pytest -p support.slow --write-slow tests --ignore tests/course -m "not slow"

The list holds functions, not their cases, by CPU time, so that a busy machine writes nearly the same one. A
fit that tests share counts for the first of them; where that one is left out, the next one pays. Hence the
second run, which adds to the list: what a run leaves out stays there.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

LIST = Path(__file__).parents[1] / "slow.txt"
SECONDS = 0.15  # for all cases of a function together


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
    """CPU seconds of each test function, and the functions that are left out."""

    def __init__(self):
        self.seconds, self.left_out = Counter(), set()

    def pytest_deselected(self, items):
        self.left_out |= {function_of(item.nodeid) for item in items}

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
        slow = {name for name, seconds in self.seconds.items() if seconds > SECONDS}
        slow |= self.left_out.intersection(LIST.read_text().split())
        LIST.write_text("\n".join(sorted(slow)) + "\n")


def pytest_configure(config):
    if config.getoption("--write-slow", default=False):
        config.pluginmanager.register(Clock())
