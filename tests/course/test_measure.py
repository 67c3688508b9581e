"""A chapter is a line of about 25 minutes, and the page that opens the third part a map of five."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book.contents import chapters, lessons, markdown, read, stored_text
from book.doors import END, KINDS
from book.measure import LESSON, MAP, Measure, limits_of, measure

PAGES = sorted({*chapters(), *lessons()})
by_page = pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
by_lesson = pytest.mark.parametrize("path", lessons(), ids=[path.stem for path in lessons()])
TIME = re.compile(r"^Time: (\d+) minutes to read", re.MULTILINE)
DOOR = re.compile(r"^:{3,}\{admonition\} ([^\n]+)\n:class: (door|guess-result)$", re.MULTILINE)


@by_page
def test_chapter_is_a_line_of_about_25_minutes_or_a_map_of_five(path):
    assert measure(read(path)).outside(limits_of(path)) == []


def test_the_one_map_is_the_page_that_opens_the_third_part():
    assert [path.stem for path in chapters() if limits_of(path) is MAP] == ["18_which_model_next"]


@by_page
def test_minutes_are_stated_honestly(path):
    assert abs(int(TIME.search(markdown(path))[1]) - measure(read(path)).minutes) <= 2


@by_lesson
def test_chapter_has_a_door_and_a_result_to_guess(path):
    assert {kind for _, kind in DOOR.findall(markdown(path))} == KINDS


@by_page
def test_title_of_a_door_is_the_result_with_a_number_that_stands_behind_it(path):
    for title, behind in doors_of(read(path)):
        assert len(title.split()) <= 24, title
        numbers = re.findall(r"\d+(?:\.\d+)?", title)
        assert numbers, f"no number on the door {title!r}"
        stands = [n for n in numbers if re.search(rf"(?<![\d.]){re.escape(n)}(?![\d])", behind)]
        rounded = {str(round(float(n))) for n in re.findall(r"(?<![\w.])\d+\.\d+", behind)}
        assert stands or set(numbers) & rounded, f"none of the numbers of {title!r} stands behind it"


def doors_of(notebook):
    """The title of each door that proves something, and the text and outputs behind it."""
    cells = [c.source if c.cell_type == "markdown" else stored_text(c) for c in notebook.cells]
    for found in re.finditer(DOOR, text := "\n\n".join(cells)):
        if found[2] == "door":
            yield found[1], text[found.end() : text.index(f"% {END}", found.end())]


def notebook(*cells):
    made = [
        new_markdown_cell(c) if isinstance(c, str) else new_code_cell(c.source, outputs=c.outputs)
        for c in cells
    ]
    return nbformat.from_dict(new_notebook(cells=made))


PRINTS = new_code_cell("# a comment\nprint(1)\n\nprint(2)", outputs=[new_output("stream", text="1\n2\n")])
DRAWS = new_code_cell(
    "draw()", outputs=[new_output("display_data", data={"text/plain": "<Figure size 1x1 with 1 Axes>"})]
)


PROSE = """# One two

(slide-S02)=
Three $x$ five.

$$
\\beta x y z
$$

:::{admonition} Box title
:class: sharpen

Six seven.
:::"""
DOOR_BEGINS = ":::{admonition} Eight nine\n:class: door\n\nNot this.\n:::\n\nNor that."
DOOR_ENDS = "Nor this.\n\n% door-end"
RESULT = ":::{admonition} Ten\n:class: guess-result\n:::\n\nEleven."
REST = """% door-end

## Quiz

:::{admonition} Question
:class: quiz dropdown

Why so many words?

- [x] Yes.
  > So.
:::

## Exercises

No."""


def test_words_cells_and_figures_are_counted_on_the_line_alone():
    cells = [PROSE, PRINTS, DRAWS, DOOR_BEGINS, PRINTS, DRAWS, DOOR_ENDS, RESULT, PRINTS, REST, PRINTS]
    got = measure(notebook(*cells))
    assert got == Measure(
        words=5 + 3 + 1, boxes=2, cells=3, lines=5, longest=2, figures=1, questions=1, doors=2
    )


def test_every_limit_is_a_number_of_the_measure():
    assert all(hasattr(Measure(0, 0, 0, 0, 0, 0, 0, 0), name) for name in LESSON | MAP)
