"""Every test and every doctest draws on empty paper: figures of the one before are closed."""

import sys
from importlib.util import find_spec

import pytest

# The adapter needs what has an environment of its own: make adapters.
collect_ignore = [] if find_spec("marginaleffects") else ["glmmlib/adapters/marginaleffects.py"]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
