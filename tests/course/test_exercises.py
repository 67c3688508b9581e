"""Every exercise answers the learner's own code: its checker takes the solution and refuses mistakes."""

import re
from functools import cache

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from book.contents import lessons, markdown, read, stored_text
from book.live import EXERCISE
from glmmlib.exercises import NotYet, check, choice, labels, numbers, wrong_answers

LESSONS = lessons()
by_lesson = pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
by_label = pytest.mark.parametrize("label", labels())
CALL = re.compile(r"check\(\s*[\"']([\w-]+)[\"']")


@cache
def exercises_of(path):
    """The label and the text of each exercise."""
    return {found["label"]: found["body"] for found in EXERCISE.finditer(markdown(path))}


def solutions_of(path):
    """The code cells of each solution, by the label of its exercise."""
    found, inside = {}, None
    for cell in read(path).cells:
        if cell.cell_type == "code" and inside:
            found[inside].append(cell)
        for start, label in (
            re.findall(r"\{solution-(start|end)\} ?(\S*)", cell.source)
            if cell.cell_type == "markdown"
            else ()
        ):
            inside = label if start == "start" else None
            if inside:
                found[inside] = []
    return found


@by_lesson
def test_every_exercise_has_a_checker_and_says_what_to_give_it(path):
    for label, text in exercises_of(path).items():
        assert label in labels()
        assert label in CALL.findall(text), f"{label} does not say how to check an answer"


@by_lesson
def test_every_solution_calls_the_checker_and_was_found_right(path):
    for label, cells in solutions_of(path).items():
        checked = [cell for cell in cells if label in CALL.findall(cell.source)]
        assert checked, f"the solution of {label} does not call its checker"
        assert any("Right." in stored_text(cell) for cell in checked), label


def test_no_checker_is_left_without_an_exercise():
    asked = {label for path in lessons() for label in exercises_of(path)}
    assert set(labels()) <= asked


@by_label
def test_likely_mistakes_are_refused_with_one_sentence_that_does_not_tell(label):
    assert len(wrong_answers(label)) >= 2
    told = {
        number for path in LESSONS for number in re.findall(r"\d+\.\d+", exercises_of(path).get(label, ""))
    }
    for wrong in wrong_answers(label):
        with pytest.raises(NotYet) as refused:
            check(label, wrong)
        sentence = str(refused.value)
        assert re.fullmatch(r"[A-Z][^.!]*(?:\.\d[^.!]*)*[.?]", sentence), sentence
        assert set(re.findall(r"\d+\.\d+", sentence)) <= told, f"{sentence!r} tells a number"


@by_label
@pytest.mark.parametrize(
    "nonsense", [..., None, "", "no idea", -1e9, float("nan"), [], {}, object(), np.eye(2), (1, 2, 3)]
)
def test_nonsense_is_refused_and_breaks_nothing(label, nonsense):
    with pytest.raises(NotYet):
        check(label, nonsense)


def test_unknown_label_is_answered_with_a_near_one():
    with pytest.raises(KeyError, match="did you mean 'ex-01-repeat'"):
        check("ex-01-repaet", 1)


def test_notebook_shows_the_sentence_and_no_traceback(capsys):
    shell = InteractiveShell.instance()
    result = shell.run_cell("from glmmlib.exercises import check\ncheck('ex-01-repeat', ...)")
    assert isinstance(result.error_in_exec, NotYet)
    shown = capsys.readouterr().out
    assert "Not yet. Put your answer" in shown
    assert "Traceback" not in shown and "line" not in shown


def test_numbers_and_choices_are_taken_in_every_usual_form():
    assert numbers([1, "2"], "a", "b").tolist() == [1, 2]
    assert choice(" Too Small ", "too small", "too large") == "too small"
    with pytest.raises(NotYet, match="in this order: a, b"):
        numbers(1, "a", "b")
    with pytest.raises(NotYet, match="too small, too large"):
        choice("small", "too small", "too large")
