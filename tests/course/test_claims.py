"""Each row of claims.csv, a bullet of the deck and the number that shows it, holds in the chapter."""

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from book.contents import chapters, lessons, read, stored_text
from book.tables import chapter_of, slides

with open(Path(__file__).parent / "claims.csv", encoding="utf-8", newline="") as file:
    CLAIMS = list(csv.DictReader(file))
WRITTEN = {chapter_of(path.stem): path for path in chapters()}


@cache
def cells_of(path):
    """What each code cell of a chapter has printed, by the cell's name."""
    return {cell.id: stored_text(cell) for cell in read(path).cells if cell.cell_type == "code"}


@pytest.mark.parametrize("claim", CLAIMS, ids=[f"{c['slide']}-{c['cell']}-{c['number']}" for c in CLAIMS])
def test_the_named_cell_prints_the_number(claim):
    cells = cells_of(WRITTEN[claim["chapter"]])
    assert claim["cell"] in cells, f"{claim['chapter']} has no code cell named {claim['cell']}"
    number = re.escape(claim["number"])
    assert re.search(rf"(?<![\d.]){number}(?![\d]|\.\d)", cells[claim["cell"]])


@pytest.mark.parametrize("chapter", [chapter_of(p.stem) for p in chapters() if p in lessons()])
def test_every_chapter_has_claims_and_they_are_about_slides(chapter):
    rows = [claim for claim in CLAIMS if claim["chapter"] == chapter]
    assert rows
    assert {claim["slide"] for claim in rows} <= {slide.id for slide in slides()}
    assert all(claim["bullet"].strip() for claim in rows)
