"""The library runs in a browser: all that it needs is in Pyodide, or is a wheel of Python alone."""

import csv
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).parent / "pyodide_packages.csv"


def shipped():
    """Pyodide's packages and their versions."""
    lines = [line for line in LIST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {canonicalize_name(row["name"]): row["version"] for row in csv.DictReader(lines)}


def needed():
    """What glmmlib asks for, and what that asks for in its turn where Pyodide does not ship it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting, found = [Requirement(text) for text in project["dependencies"]], {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found[name] = requirement
        if name not in shipped():
            inner = [Requirement(text) for text in distribution(name).requires or []]
            waiting += [r for r in inner if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


NEEDED = needed()


def is_python_alone(name):
    wheel = distribution(name).read_text("WHEEL") or ""
    return "Tag: py3-none-any" in wheel or "Tag: py2.py3-none-any" in wheel


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_the_wheel_needs_runs_in_a_browser(name):
    version = shipped().get(name)
    if version is None:
        assert is_python_alone(name), f"{name} is not in Pyodide, and is compiled"
    else:
        assert NEEDED[name].specifier.contains(version), f"Pyodide has {name} {version}"


def test_the_list_is_that_of_the_kernel_that_the_site_uses():
    pinned = (ROOT / "requirements-site.txt").read_text(encoding="utf-8")
    named = LIST.read_text(encoding="utf-8").splitlines()[0]
    kernel = next(line for line in pinned.splitlines() if line.startswith("jupyterlite-pyodide-kernel=="))
    assert kernel.replace("==", " ") in named
