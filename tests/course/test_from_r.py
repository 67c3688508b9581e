"""The page from R to Python: what its R blocks say is what its Python cells print."""

import re

import pytest

from book.contents import ROOT, pages, read, stored_text
from book.store import problems

PATH = ROOT / "chapters/from_r.ipynb"
NUMBER = re.compile(r"(?<![\w.\"'])-?\d+(?:\.\d+)?(?![\w.\"']*[\w\"'])")

OTHER = {"other-estimator", "other-scale"}  # tags of cells whose numbers are not meant to be those of R


def entries():
    """(heading, Markdown, code cells) of each entry, that is of each heading of the third level."""
    found = []
    for cell in read(PATH).cells:
        if cell.cell_type == "code":
            if found:
                found[-1][2].append(cell)
            continue
        for part in re.split(r"^(?=##+ )", cell.source, flags=re.MULTILINE):
            heading = re.match(r"(##+) (.*)", part)
            if heading:
                found.append([heading[2], "", []])
            if found:
                found[-1][1] += f"{part}\n\n"
    return [entry for entry in found if entry[1].startswith("### ")]


def numbers_of_r(text):
    """What R answered in the entry, as written, but for lines whose code is marked as one that differs."""
    answers, differs = [], False
    for block in re.findall(r"^```r\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if not line.startswith("#>"):
                differs = "# differs" in line
            elif not differs:
                line = re.sub(r"^#>\s*\[\d+\]|[\d.]+ %", lambda m: " [] " if "[" in m[0] else "", line)
                whole = "[]" in line  # no names of rows or columns, so whole numbers are answers too
                answers += [n for n in NUMBER.findall(line) if whole or "." in n]
    return answers


def step(number):
    """One unit in the last digit of a number as written.

    >>> step("1.40"), step("17")
    (0.01, 1.0)
    """
    return 10.0 ** -len(number.partition(".")[2])


def has(number, others, unit):
    return any(abs(float(number) - float(other)) <= 1.001 * unit for other in others)


def printed(cells, who):
    """The numbers that the cells of glmmlib or statsmodels have printed, but for those tagged as another
    quantity.
    """
    mine = [cell for cell in cells if cell.source.startswith(f"# {who}")]
    same = [cell for cell in mine if not OTHER & set(cell.metadata.get("tags", ()))]
    return [number for cell in same for number in NUMBER.findall(stored_text(cell))]


ENTRIES = entries()
by_entry = pytest.mark.parametrize(("heading", "text", "cells"), ENTRIES, ids=[entry[0] for entry in ENTRIES])


def test_the_page_is_in_the_book_and_stored_fresh():
    assert "chapters/from_r" in pages()
    assert problems(PATH) == []


def test_the_page_compares_some_forty_tasks():
    assert len(ENTRIES) >= 35
    assert sum(bool(numbers_of_r(text)) for _, text, _ in ENTRIES) >= 30


@by_entry
def test_glmmlib_prints_the_numbers_of_r(heading, text, cells):
    wanted, found = numbers_of_r(text), printed(cells, "glmmlib")
    assert not [n for n in wanted if not has(n, found, step(n))], found


@by_entry
def test_statsmodels_prints_numbers_of_r_where_it_estimates_the_same(heading, text, cells):
    answers = numbers_of_r(text)
    found = [n for n in printed(cells, "statsmodels") if "." in n]
    assert not [n for n in found if not has(n, answers, step(n))], answers


@by_entry
def test_entry_says_what_statsmodels_does(heading, text, cells):
    assert "statsmodels" in text or any(cell.source.startswith("# statsmodels") for cell in cells)
