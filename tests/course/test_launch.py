"""What Binder and Colab read is in place, and the buttons lead to notebooks that exist."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from book.contents import notebooks
from book.install import repository

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def test_binder_gets_the_pinned_environment_and_the_library():
    binder = ROOT / ".binder"
    wanted = (binder / "requirements.txt").read_text().split()
    assert (
        wanted == ["-r", "../requirements.txt"]
        and (binder / wanted[1]).resolve() == ROOT / "requirements.txt"
    )
    version = (binder / "runtime.txt").read_text().strip().removeprefix("python-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    assert os.access(binder / "postBuild", os.X_OK)
    assert "--no-deps --no-build-isolation --editable ." in (binder / "postBuild").read_text()


def test_address_of_the_repository_is_the_same_everywhere():
    assert CONFIG["repository"]["url"] == repository()
    for name in ("pyproject.toml", "CITATION.cff"):
        assert f'"{repository()}"' in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.site
@pytest.mark.parametrize("path", notebooks(), ids=[path.stem for path in notebooks()])
def test_launch_buttons_lead_to_the_notebook_of_the_page(site, path):
    links = set(re.findall(r'href="([^"]+)"', (site / "chapters" / f"{path.stem}.html").read_text("utf-8")))
    place = f"chapters/{path.name}"
    name = repository().removeprefix("https://github.com/")
    branch = CONFIG["repository"]["branch"]
    assert f"https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/{place}" in links
    assert f"https://colab.research.google.com/github/{name}/blob/{branch}/{place}" in links
