"""What is published: a source distribution that can be tested by itself, and a wheel made from it."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.licenses import canonicalize_license_expression
from packaging.metadata import Metadata

import glmmlib as gl
from book.install import repository

ROOT = Path(__file__).resolve().parents[2]

LOAD_EVERYTHING = """
import glmmlib, glmmlib.catalogue, sys
from pathlib import Path
datasets = sys.modules["glmmlib.catalogue"]
home = Path(glmmlib.__file__).resolve().parent
assert home.is_relative_to(Path(sys.argv[1]).resolve()), home
assert datasets._folder() == home / "data", datasets._folder()
for name, about in datasets.datasets().iterrows():
    assert len(datasets.load(name)) == about["rows"], name
    if about["simulated"]:
        datasets.load_truth(name)
for terms in ("LICENSES.md", "GPL-2.txt"):
    assert (home / "data" / terms).is_file(), terms
print(len(datasets.datasets()), "data sets")
"""
# Licences as R's packages write them, and as the wheel's metadata do.
SPDX = {
    "GPL (>= 2)": "GPL-2.0-or-later",
    "GPL-2": "GPL-2.0-only",
    "GPL-2 or GPL-3": "(GPL-2.0-only OR GPL-3.0-only)",
    "BSD 3-Clause": "BSD-3-Clause",
    "CC BY 4.0": "CC-BY-4.0",
    "CC0 1.0": "CC0-1.0",
}


def run(*command, **options):
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The folder of an unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder), cwd=ROOT)
    (archive,) = folder.glob("glmmlib-*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist):
    """A wheel made from the source distribution, as an index's users make it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", str(sdist), "--no-deps", "--no-build-isolation", "--wheel-dir", str(sdist.parent))
    (wheel,) = sdist.parent.glob("glmmlib-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel):
    """The folder into which the wheel is installed, and an environment that imports glmmlib from there."""
    site = wheel.parent / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", str(wheel), "--no-deps", "--target", str(site))
    return site, {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def metadata(wheel):
    with ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        return files.read(name).decode("utf-8")


def test_a_built_wheel_loads_every_data_set(installed, tmp_path):
    site, environment = installed
    said = run(sys.executable, "-c", LOAD_EVERYTHING, str(site), cwd=tmp_path, env=environment)
    assert said.strip() == "16 data sets"


def test_metadata_are_valid_and_say_the_version(metadata):
    read = Metadata.from_email(metadata, validate=True)
    assert str(read.version) == gl.__version__
    assert read.author and read.description_content_type == "text/markdown"


def test_licence_names_the_terms_of_everything_in_the_wheel(metadata, wheel):
    expression = message_from_string(metadata)["License-Expression"]
    assert canonicalize_license_expression(expression) == expression
    terms = (ROOT / "data" / "LICENSES.md").read_text(encoding="utf-8")
    packages = {row.split("|")[3].strip() for row in terms.splitlines() if re.match(r"\| `\w+\.csv`", row)}
    named = {name for name in SPDX if name in packages or f"({name})" in terms or f"under {name}" in terms}
    assert packages <= named
    assert set(expression.split(" AND ")) == {SPDX[name] for name in named}
    with ZipFile(wheel) as files:
        texts = {name.partition("/licenses/")[2] for name in files.namelist() if "/licenses/" in name}
    assert texts == {"LICENSE", "data/LICENSES.md", "data/GPL-2.txt"}


def test_source_distribution_runs_its_own_tests(sdist, installed):
    """All of them are found, and those of one file run; the release workflow runs them all."""
    _, environment = installed
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:nbval", "--assert", "plain", "-k", "test_formula"]
    said = run(sys.executable, "-m", "pytest", *options, cwd=sdist, env=environment)
    passed, left_out = re.search(r"(\d+) passed, (?:\d+ skipped, )?(\d+) deselected", said).groups()
    assert int(passed) > 50 and int(left_out) > 3_500
    assert not (sdist / "tests" / "course").exists()


def test_version_stands_in_one_place_and_in_what_tells_its_story():
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    said = re.findall(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert said[0][0] == gl.__version__
    released = next((version, day) for version, day in said if day != "unreleased")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], str(citation["date-released"])) == released


def test_readme_renders_where_the_repository_is_not():
    """On a package's page a link or a picture without an address leads nowhere."""
    targets = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(targets) > 10
    assert not [target for target in targets if not target.startswith("https://")]
    here = f"{repository()}/blob/main/"
    files = [target.removeprefix(here) for target in targets if target.startswith(here)]
    assert files and all((ROOT / name).is_file() for name in files)
