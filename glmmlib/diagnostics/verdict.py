"""Verdicts: one line of :func:`glmmlib.check`."""

from dataclasses import dataclass

import numpy as np

FINE, LOOK, PROBLEM = "fine", "look", "problem"


@dataclass(frozen=True)
class Line:
    """One line of a :class:`~glmmlib.diagnostics.check.Check`.

    Attributes
    ----------
    name : str
    verdict : {"fine", "look", "problem"}
    number : float
        What the verdict rests on.
    shown : str
        The number as it is printed.
    sentence : str
    p : float
        NaN where the verdict rests on no test.
    """

    name: str
    verdict: str
    number: float
    shown: str
    sentence: str
    p: float = np.nan


def by_p(p: float) -> str:
    """Judge a p-value: below 0.05 look, 0.01 or less a problem.

    >>> by_p(0.2), by_p(0.04), by_p(0.01)
    ('fine', 'look', 'problem')
    """
    return PROBLEM if p <= 0.01 else LOOK if p < 0.05 else FINE


def by_size(value: float, look: float, problem: float) -> str:
    """Judge a number that is better when it is small."""
    return PROBLEM if not value < problem else LOOK if not value < look else FINE
