"""Every slide of the deck, and every sharpening of one, has exactly one place in the course."""

import re
from collections import Counter

import pytest

from book.contents import ROOT, chapters, markdown, pages
from book.tables import chapter_of, sharpenings, slides

WRITTEN = {path.name[:2]: path for path in chapters()}


def labels(text, kind):
    return re.findall(rf"^\({kind}-([SE]\d+)\)=", text, re.MULTILINE)


def text_of(page):
    notebook = (ROOT / page).with_suffix(".ipynb")
    return markdown(notebook) if notebook.exists() else (ROOT / page).with_suffix(".md").read_text(encoding="utf-8")


def test_the_deck_has_56_slides_and_52_sharpenings():
    assert [slide.id for slide in slides()] == [f"S{n:02d}" for n in range(1, 57)]
    assert [sharpening.id for sharpening in sharpenings()] == [f"E{n}" for n in range(1, 53)]


@pytest.mark.parametrize("kind", ["slide", "sharpen"])
def test_no_label_stands_twice_or_is_unknown(kind):
    counts = Counter(label for page in pages() for label in labels(text_of(page), kind))
    assert max(counts.values(), default=1) == 1, counts
    assert set(counts) <= {row.id for row in (slides() if kind == "slide" else sharpenings())}


def test_the_index_page_carries_its_slide():
    assert labels(text_of("index"), "slide") == [s.id for s in slides() if s.chapter == "index"]


@pytest.mark.parametrize("chapter", WRITTEN)
def test_chapter_covers_exactly_its_slides(chapter):
    assert set(labels(markdown(WRITTEN[chapter]), "slide")) == {s.id for s in slides() if s.chapter == chapter}


@pytest.mark.parametrize("chapter", WRITTEN)
def test_chapter_holds_exactly_its_sharpenings(chapter):
    expected = {s.id for s in sharpenings() if s.chapter == chapter}
    assert set(labels(markdown(WRITTEN[chapter]), "sharpen")) == expected


@pytest.mark.site
def test_slide_index_links_each_covered_slide_and_names_the_others_as_pending(site):
    from bs4 import BeautifulSoup

    page = BeautifulSoup((site / "chapters/slides.html").read_text(encoding="utf-8"), "html.parser")
    rows = {row["id"].removeprefix("index-"): row for row in page.select("table.slide-index tbody tr")}
    assert list(rows) == [slide.id for slide in slides()]
    for slide in slides():
        link = rows[slide.id].find("a")
        if slide.chapter in WRITTEN or slide.chapter == "index":
            target, anchor = link["href"].split("#")
            assert anchor == slide.label
            assert chapter_of(target.removesuffix(".html")) == slide.chapter
        else:
            assert link is None and "to come" in rows[slide.id].text, slide
