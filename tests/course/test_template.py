"""The template chapter is one: it runs, it can be stored, and it has the shape that chapters have."""

import jupytext
import nbformat
import pytest
import test_chapters as shape
import test_live as live
import test_measure as measure

from book.contents import ROOT
from book.store import problems, store

SHAPE = [
    shape.test_chapter_opens_with_objectives_and_asks_for_a_guess,
    shape.test_chapter_has_four_to_six_quiz_questions,
    shape.test_chapter_has_three_to_five_exercises_each_with_a_solution,
    shape.test_code_of_a_solution_ends_in_an_assertion,
    shape.test_every_picture_says_in_words_what_it_shows,
    shape.test_every_sharpening_box_has_its_parts,
    measure.test_chapter_has_a_door_and_a_result_to_guess,
    measure.test_title_of_a_door_is_the_result_with_a_number_that_stands_behind_it,
    live.test_live_part_takes_about_ten_minutes,
    live.test_every_live_cell_says_what_it_is_for_and_most_ask_the_room,
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "16_template.ipynb"
    nbformat.write(jupytext.read(ROOT / "book" / "template.md"), path)
    store(path)
    return path


def test_template_is_stored_like_a_chapter(template):
    assert problems(template) == []


@pytest.mark.parametrize("rule", SHAPE, ids=lambda rule: rule.__name__.removeprefix("test_"))
def test_template_follows_the_rule_of_chapters(template, rule):
    rule(template)
