"""Every slide of the deck, and every sharpening of one, has exactly one place in the course."""

import csv
import re
from collections import Counter
from functools import cache

import pytest
from bs4 import BeautifulSoup

from book.contents import ROOT, chapters, markdown, pages
from book.tables import chapter_of, sharpenings, slides

WRITTEN = {chapter_of(path.stem): path for path in chapters()}
with open(ROOT / "tests" / "course" / "claims.csv", encoding="utf-8", newline="") as file:
    CLAIMS = list(csv.DictReader(file))


@cache
def page(name):
    """A page of the built site."""
    return BeautifulSoup(
        (ROOT / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8"), "html.parser"
    )


def labels(text, kind):
    return re.findall(rf"^\({kind}-([SE]\d+)\)=", text, re.MULTILINE)


def text_of(name):
    notebook = (ROOT / name).with_suffix(".ipynb")
    return (
        markdown(notebook)
        if notebook.exists()
        else (ROOT / name).with_suffix(".md").read_text(encoding="utf-8")
    )


def test_the_deck_has_56_slides_and_52_sharpenings():
    assert [slide.id for slide in slides()] == [f"S{n:02d}" for n in range(1, 57)]
    assert [sharpening.id for sharpening in sharpenings()] == [f"E{n}" for n in range(1, 53)]


@pytest.mark.parametrize("kind", ["slide", "sharpen"])
def test_no_label_stands_twice_or_is_unknown(kind):
    counts = Counter(label for name in pages() for label in labels(text_of(name), kind))
    assert max(counts.values(), default=1) == 1, counts
    assert set(counts) <= {row.id for row in (slides() if kind == "slide" else sharpenings())}


def test_the_index_page_carries_its_slide():
    assert labels(text_of("index"), "slide") == [s.id for s in slides() if s.chapter == "index"]


def test_every_chapter_of_the_slides_is_written():
    assert {row.chapter for row in (*slides(), *sharpenings())} <= {"index", *WRITTEN}


@pytest.mark.parametrize("chapter", WRITTEN)
def test_chapter_covers_exactly_its_slides(chapter):
    assert set(labels(markdown(WRITTEN[chapter]), "slide")) == {
        s.id for s in slides() if s.chapter == chapter
    }


@pytest.mark.parametrize("chapter", WRITTEN)
def test_chapter_holds_exactly_its_sharpenings(chapter):
    expected = {s.id for s in sharpenings() if s.chapter == chapter}
    assert set(labels(markdown(WRITTEN[chapter]), "sharpen")) == expected


@pytest.mark.site
def test_slide_index_links_every_slide(site):
    rows = {
        row["id"].removeprefix("index-"): row
        for row in page("chapters/slides").select("table.slide-index tbody tr")
    }
    assert list(rows) == [slide.id for slide in slides()]
    for slide in slides():
        target, anchor = rows[slide.id].find("a")["href"].split("#")
        assert anchor == slide.label
        assert chapter_of(target.removesuffix(".html")) == slide.chapter


@pytest.mark.site
def test_built_book_holds_all_slides_and_all_sharpenings(site):
    found = Counter(
        label
        for name in pages()
        for label in re.findall(
            r'\bid="((?:slide|sharpen)-[SE]\d+)"', (site / f"{name}.html").read_text("utf-8")
        )
    )
    assert set(found) == {row.label for row in (*slides(), *sharpenings())}
    assert set(found.values()) == {1}


@pytest.mark.site
@pytest.mark.parametrize("chapter", WRITTEN)
def test_built_chapter_shows_every_claim(site, chapter):
    text = (
        page(f"chapters/{WRITTEN[chapter].stem}").find("article").get_text(" ").replace("\N{MINUS SIGN}", "-")
    )
    for claim in CLAIMS:
        if claim["chapter"] == chapter:
            assert re.search(rf"(?<![\d.]){re.escape(claim['number'])}(?![\d]|\.\d)", text), claim
