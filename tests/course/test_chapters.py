"""Each chapter, and the capstone after them, has the shape that the course promises, and is stored as it
should be.
"""

import re

import pytest

from book.contents import lessons, markdown, read
from book.store import problems

CHAPTERS = lessons()
by_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])


def cells_of(path, kind):
    return [cell for cell in read(path).cells if cell.cell_type == kind]


@by_chapter
def test_chapter_is_stored_fresh_and_without_pictures(path):
    assert problems(path) == []


@by_chapter
def test_chapter_opens_with_objectives_and_asks_for_a_guess(path):
    text = markdown(path)
    assert len(re.findall(r"^:class: objectives", text, re.MULTILINE)) == 1
    assert re.search(r"^:class: guess", text, re.MULTILINE)


@by_chapter
def test_chapter_has_four_to_six_quiz_questions(path):
    assert 4 <= len(re.findall(r"^:class: quiz dropdown", markdown(path), re.MULTILINE)) <= 6


@by_chapter
def test_chapter_has_three_to_five_exercises_each_with_a_solution(path):
    text = markdown(path)
    labels = re.findall(r"^[`:]{3,}\{exercise\}.*\n:label: (\S+)", text, re.MULTILINE)
    solved = re.findall(r"^[`:]{3,}\{solution(?:-start)?\} (\S+)", text, re.MULTILINE)
    assert 3 <= len(labels) <= 5
    assert solved == labels


@by_chapter
def test_code_of_a_solution_ends_in_an_assertion(path):
    inside, code, found = False, [], 0
    for cell in read(path).cells:
        if cell.cell_type == "code":
            if inside:
                code.append(cell.source)
            continue
        for event in re.findall(r"^[`:]{3,}\{solution-(start|end)\}", cell.source, re.MULTILINE):
            if event == "end" and code:
                assert re.search(r"^\s*(?:assert |check\()", "\n".join(code), re.MULTILINE), (
                    f"a solution without assert:\n{code[-1]}"
                )
                found += 1
            inside, code = event == "start", []
    assert found, "no solution has code"


@by_chapter
def test_every_picture_says_in_words_what_it_shows(path):
    for cell in cells_of(path, "code"):
        drawn = any("<Figure size" in str(o.get("data", {}).get("text/plain", "")) for o in cell.outputs)
        if drawn:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 6, f"no alt text for the figure of:\n{cell.source}"


@by_chapter
def test_every_sharpening_box_has_its_parts(path):
    text = markdown(path)
    boxes = re.findall(
        r"^(:{3,})\{admonition\}[^\n]*\n:class: sharpen\b(.*?)^\1$", text, re.MULTILINE | re.DOTALL
    )
    for _, box in boxes:
        for part in ("**The slide says**", "**More exactly**", "**See it**", "**Source**"):
            assert part in box, f"{part} is missing in:\n{box}"
    assert len(boxes) == len(re.findall(r"^:class: sharpen\b", text, re.MULTILINE))


@by_chapter
def test_every_label_of_a_sharpening_stands_above_a_box(path):
    for following in re.findall(r"^\(sharpen-E\d+\)=\n+(.*)", markdown(path), re.MULTILINE):
        assert following.startswith(("(sharpen-", ":::")), following
