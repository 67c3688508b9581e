"""What a fresh clone relies on: exact pins, no hidden index, nothing that the book would mistake."""

import re
import subprocess
import tomllib
from pathlib import Path

import hypothesis
import yaml
from packaging.version import Version

from support.examples import examples

ROOT = Path(__file__).parents[2]
PINS = [
    line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
]


def tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return listing.stdout.splitlines() or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]


def test_every_requirement_is_pinned_exactly_and_comes_from_the_index():
    assert not [line for line in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", line)]


def test_extras_of_the_site_are_pinned_and_agree_with_the_environment_of_the_book():
    extras = [
        line for line in (ROOT / "requirements-site.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert extras and all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", line) for line in extras)
    versions = dict(line.split("==") for line in PINS)
    assert all(
        versions.get(name, version) == version for name, version in (line.split("==") for line in extras)
    )
    assert "jupyterlite-pyodide-kernel" not in versions, "JupyterLab would load its extension, and fail"


def test_pins_that_the_book_cannot_do_without():
    needed = {
        "jupyter-book==1.0.4.post1",
        "sphinx-book-theme==1.3.0",
        "sphinx-exercise==1.2.1",
        "nbval==0.11.0",
        "altair==5.5.0",
    }
    assert needed <= set(PINS)


def test_every_dependency_of_the_library_is_among_the_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["book"]
    assert {re.match(r"[\w-]+", w)[0] for w in wanted} <= {line.split("==")[0] for line in PINS}


def test_the_lowest_versions_that_are_tested_are_those_that_the_library_promises():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    promised = dict(dependency.split(">=") for dependency in dependencies)
    lines = (ROOT / "tests" / "lowest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert promised.keys() <= tested.keys()
    assert all(Version(tested[name]) == Version(promised[name]) for name in promised)


def test_property_tests_draw_the_same_examples_in_each_run():
    """`examples` of tests/support takes the profile's; settings of a test's own could draw at random."""
    own = [path for path in (ROOT / "tests").rglob("*.py") if re.search(r"\bsettings\(", path.read_text())]
    assert own == [ROOT / "tests" / "support" / "examples.py"]
    assert hypothesis.settings.get_profile("fixed").derandomize
    assert examples(30).max_examples in (30, 600)


def test_warnings_stop_the_build_and_notebooks_run_anew():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["execute"]["execute_notebooks"] == "cache"  # filled anew: tests/course/test_execution.py
    assert config["execute"]["stderr_output"] == "warn"
    assert config["sphinx"]["config"]["nb_execution_raise_on_error"] is True
    recipe = (ROOT / "Makefile").read_text().split("\nbook:")[1].split("\n\n")[0]
    assert "rm -rf _build" in recipe and "-W --keep-going -n" in recipe


def test_no_third_party_script_and_no_folder_called_static():
    files = tracked()
    assert not [f for f in files if "_static/" in f or "node_modules/" in f]
    assert {f for f in files if f.endswith(".js")} <= {
        f"book/assets/{name}.js" for name in ("charts", "doors", "keys", "progress", "quiz", "terms")
    }


def test_what_is_listed_as_slow_is_there():
    """A test that is renamed would otherwise be quick by name alone."""
    for line in (ROOT / "tests" / "slow.txt").read_text().split():
        path, *_, name = line.split("::")
        assert f"def {name}(" in (ROOT / path).read_text(), line
