"""Verdicts: one line of :func:`glmmlib.check`."""

from dataclasses import dataclass

import numpy as np

FINE, LOOK, PROBLEM = "fine", "look", "problem"


@dataclass(frozen=True)
class Line:
    """A verdict, the number it rests on (``shown`` as printed), a sentence, and the p-value if it is a test (else NaN)."""

    name: str
    verdict: str
    number: float
    shown: str
    sentence: str
    p: float = np.nan


def by_p(p):
    """Judge a p-value: below 0.05 look, 0.01 or less a problem.

    >>> by_p(0.2), by_p(0.04), by_p(0.01)
    ('fine', 'look', 'problem')
    """
    return PROBLEM if p <= 0.01 else LOOK if p < 0.05 else FINE


def by_size(value, look, problem):
    """Judge a number that is better when it is small."""
    return PROBLEM if not value < problem else LOOK if not value < look else FINE
