"""Every test and every doctest draws on empty paper: figures of the one before are closed."""

import sys

import pytest


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
