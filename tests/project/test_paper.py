"""The paper cites what its bibliography holds, all of it, each with a DOI."""

import re
from pathlib import Path

import pytest

PAPER = Path(__file__).parents[2] / "paper"
TEXT = (PAPER / "paper.md").read_text(encoding="utf-8")
ENTRIES = re.split(r"^@\w+\{", (PAPER / "paper.bib").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


def test_what_is_cited_is_what_the_bibliography_holds():
    cited = set(re.findall(r"@([a-z]+\d*)\b", TEXT))
    assert cited == {entry.partition(",")[0] for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.partition(",")[0])
def test_each_reference_has_a_doi(entry):
    (doi,) = re.findall(r"\bdoi = \{(.+?)\}", entry)
    assert re.fullmatch(r"10\.\d{4,5}/\S+", doi)


def test_the_comparison_is_that_of_the_readme():
    readme = (PAPER.parent / "README.md").read_text(encoding="utf-8")
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    assert len(rows) > 4 and all(row in readme for row in rows)


def test_the_paper_has_what_the_journal_asks_for():
    for section in ("Summary", "Statement of need", "State of the field", "References"):
        assert f"\n# {section}\n" in TEXT
