"""The course's page of data sets is made from the codebook, and the chapters load what there is."""

import importlib.util
import json
import re

from book.contents import ROOT

DATA = ROOT / "data"


def test_the_codebook_page_is_current():
    spec = importlib.util.spec_from_file_location("codebook_page", DATA / "codebook_page.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    page = (ROOT / "chapters" / "data_sets.md").read_text(encoding="utf-8")
    assert page == program.page(), "run: python data/codebook_page.py"


def test_sets_named_in_chapters_exist():
    sets = set(json.loads((DATA / "codebook.json").read_text(encoding="utf-8")))
    for path in (ROOT / "chapters").glob("*.ipynb"):
        named = set(re.findall(r"gl\.load\(\\?[\"'](\w+)", path.read_text(encoding="utf-8")))
        assert named <= sets, path.name
