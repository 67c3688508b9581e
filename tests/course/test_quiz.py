"""The quiz gives nothing away: the right answer has no favourite place and is no longer than the others."""

from collections import Counter

import pytest
from scipy.stats import chi2

from book.contents import lessons, markdown
from book.quiz import order, questions
from book.tables import chapter_of

LESSONS = lessons()


def place(path, question, options):
    shown = order(chapter_of(path.stem), question, list(options))
    return shown.index(next(option for option, right in options.items() if right))


def test_right_answers_are_spread_evenly_over_the_places():
    counts = {}
    for path in LESSONS:
        for question, options in questions(markdown(path)):
            counts.setdefault(len(options), Counter())[place(path, question, options)] += 1
    statistic = freedom = 0
    for size, places in counts.items():
        expected = places.total() / size
        statistic += sum((places[i] - expected) ** 2 / expected for i in range(size))
        freedom += size - 1
    assert sum(places.total() for places in counts.values()) >= 4 * len(LESSONS)
    assert chi2.sf(statistic, freedom) > 0.01, counts


@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_no_two_options_of_a_question_are_the_same(path):
    for question, options in questions(markdown(path)):
        assert len(options) >= 2 and sum(options.values()) == 1, question


@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_right_answers_are_not_the_longer_ones(path):
    asked = [options for _, options in questions(markdown(path))]
    right = [len(o) for options in asked for o, is_right in options.items() if is_right]
    wrong = [len(o) for options in asked for o, is_right in options.items() if not is_right]
    assert sum(right) / len(right) <= sum(wrong) / len(wrong)
    longest = sum(options[max(options, key=len)] for options in asked)
    assert longest <= len(asked) / 2, (
        f"the right answer is the longest in {longest} of {len(asked)} questions"
    )


def test_order_hangs_on_chapter_and_question_and_not_on_the_source():
    options = [f"option {i}" for i in range(6)]
    assert order("a", "Why?", options) == order("a", "Why?", options[::-1])
    assert len({tuple(order(c, q, options)) for c in "abc" for q in ("Why?", "How?")}) == 6
