"""Answers to the course's exercises, checked offline: ``from glmmlib.exercises import check``.

One file a chapter holds that chapter's checkers, plain functions registered by the exercise's label. The
solution on the page calls the same `check`: what it asserts and what a learner is told are one piece.
"""

from glmmlib.exercises._check import (
    NotYet,
    check,
    choice,
    exercise,
    labels,
    look,
    number,
    numbers,
    wrong_answers,
)

__all__ = ["NotYet", "check", "choice", "exercise", "labels", "look", "number", "numbers", "wrong_answers"]
