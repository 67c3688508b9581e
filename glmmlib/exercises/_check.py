"""The check of an answer, and what the checkers are made of."""

from __future__ import annotations

import difflib
import pkgutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

PHONE = 44  # characters that a phone shows in a line
_FOUND: dict[str, _Exercise] = {}


class NotYet(AssertionError):  # noqa: N818 (the learner reads this name)
    """The answer is not right yet; the message is one sentence on what to look at, never the answer.

    A notebook shows the sentence and no traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return textwrap.wrap(f"Not yet. {self}", PHONE)


@dataclass(frozen=True)
class _Exercise:
    """A checker and answers that it must refuse."""

    checker: Callable[[Any], str | None]
    wrong: tuple


def exercise(label: str, wrong: Sequence) -> Callable:
    """Register a checker for the exercise `label`; it must refuse each of the likely answers in `wrong`.

    A checker takes the answer, raises `NotYet` through `look` where something is amiss, and may return a
    sentence that a right answer has earned.

    Parameters
    ----------
    label : str
        The label of the exercise, such as ``"ex-01-repeat"``.
    wrong : sequence
        Answers that come of likely mistakes.

    Returns
    -------
    callable
        A decorator that leaves the checker as it is.
    """

    def register(checker: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        if label in _FOUND:
            raise ValueError(f"Two checkers have the label {label!r}: {checker.__name__} is the second.")
        _FOUND[label] = _Exercise(checker, tuple(wrong))
        return checker

    return register


@cache
def _all() -> dict[str, _Exercise]:
    package = import_module("glmmlib.exercises")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            import_module(f"glmmlib.exercises.{module.name}")
    return _FOUND


def labels() -> list[str]:
    """The labels of all exercises that can be checked.

    Returns
    -------
    list of str

    Examples
    --------
    >>> "ex-01-repeat" in labels()
    True
    """
    return sorted(_all())


def wrong_answers(label: str) -> tuple:
    """Likely wrong answers to the exercise `label`, for the tests: `check` refuses each."""
    return _all()[label].wrong


def check(label: str, answer: Any) -> None:
    """Say whether `answer` solves the exercise `label`, or what to look at.

    Parameters
    ----------
    label : str
        The label that the exercise names, such as ``"ex-01-repeat"``.
    answer
        What the exercise asks for: a number, several numbers, a fit, a word.

    Raises
    ------
    NotYet
        If the answer is not right; the message is one sentence on what to look at.
    KeyError
        If no exercise has this label.

    Examples
    --------
    >>> check("ex-01-repeat", (0.332, 0.286, -0.011, 0.0875))
    Traceback (most recent call last):
    glmmlib.exercises._check.NotYet: These are the numbers of all sites: leave out the two warmest first.
    """
    if label not in _all():
        near = difflib.get_close_matches(label, _all(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "the exercise names its label"
        raise KeyError(f"No exercise has the label {label!r}; {hint}")
    look(answer is not ..., "Put your answer in the place of the three dots.")
    earned = _all()[label].checker(answer)
    print(textwrap.fill(f"Right. {earned or ''}", PHONE))


def look(fine: bool, sentence: str) -> None:
    """Raise `NotYet` with this sentence unless the answer is fine so far."""
    if not fine:
        raise NotYet(sentence)


def number(answer: Any, what: str) -> float:
    """The answer as one finite number; `what` names it in the sentence that says it is none.

    Examples
    --------
    >>> number("0.5", "the slope")
    0.5
    """
    return float(numbers(answer, what)[0])


def numbers(answer: Any, *what: str) -> np.ndarray:
    """The answer as so many finite numbers: a tuple, list, array or Series in the order of `what`.

    Examples
    --------
    >>> numbers((1, 2.5), "the slope", "its standard error")
    array([1. , 2.5])
    """
    asked = ", ".join(what)
    try:
        found = np.atleast_1d(np.asarray(answer, dtype=float)).ravel()
    except (TypeError, ValueError):
        raise NotYet(f"The check needs numbers here: {asked}.") from None
    look(found.size == len(what), f"The check needs as many numbers as it asks for, in this order: {asked}.")
    look(bool(np.isfinite(found).all()), f"One of the numbers is missing or infinite: {asked}.")
    return found


def choice(answer: Any, *options: str) -> str:
    """The answer as one of the words or phrases that the exercise offers, whatever its capitals.

    Examples
    --------
    >>> choice("Too small", "too small", "too large")
    'too small'
    """
    said = answer.strip().lower() if isinstance(answer, str) else ""
    look(said in options, f"The check needs one of these, in quotation marks: {', '.join(options)}.")
    return said
