r"""Separation: when a coefficient has no finite estimate.

If some direction :math:`\delta` has :math:`x_i'\delta \ge 0` in every row with only successes, :math:`\le 0`
in every row with only failures, and :math:`= 0` in mixed rows, moving the fixed effects along it never lowers
the likelihood, and the maximum lies at infinity (Albert and Anderson 1984, *Biometrika* 71(1)). For counts
with a log link the same holds with rows of zeros and of positive counts: a level whose counts are all zero
has a log mean of minus infinity.

A linear programme finds such a direction, or proves that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmmlib.families.base import Family
from glmmlib.types import FloatArray

SUSPECT = 1e-4  # a mean of the fixed part, or its distance from 1, below which it is worth asking
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Separation:
    """What separates the responses; ``print`` says it in words.

    Attributes
    ----------
    coefficients : tuple of str
        Those that go to infinity together.
    complete : bool
        Is every single response predicted without error?
    of_counts : bool
        Are the responses counts, some of whose means go to zero?
    constant : str
        Where all responses are alike: which they are, in words.
    """

    coefficients: tuple
    complete: bool
    of_counts: bool
    constant: str = ""

    def __str__(self) -> str:
        if self.constant:
            return (
                f"{self.constant}, so no coefficient has a finite estimate: there is nothing to compare in "
                "these rows"
            )
        names = ", ".join(self.coefficients)
        one = len(self.coefficients) == 1
        if self.of_counts:
            return (
                f"{names} {'has' if one else 'have'} no finite estimate: some combination of predictors "
                "holds nothing but zero"
                " counts, so its log mean is minus infinity; merge that level with another, leave the "
                "predictor out, or"
                " test it by anova"
            )
        kind = "complete" if self.complete else "quasi-complete"
        what = "every response" if self.complete else "some responses"
        return (
            f"{kind} separation: {names} {'predicts' if one else 'together predict'} {what} without error, so"
            f" {'its estimate is' if one else 'their estimates are'} infinite and the standard errors mean "
            "nothing; merge levels,"
            " leave the predictor out, test it by anova, or use a prior (a Bayesian model)"
        )


def find_separation(
    family: Family,
    predictor: FloatArray,
    X: FloatArray,
    y: FloatArray,
    weights: FloatArray | None,
    names: Sequence[str],
) -> Separation | None:
    """Return the :class:`Separation` of a response, or None; cheap unless the means show signs of it.

    Parameters
    ----------
    family : Family
    predictor : (n,) array
        The fixed part of the linear predictor, as it was fitted.
    X : (n, p) array
    y, weights : (n,) arrays
        As the family takes them; weights may be None.
    names : list of str
        Of the columns of X.
    """
    if not family.separable:
        return None
    mean = family.link.inverse(predictor)
    if X.shape[1] == 0 or not family.distance_from_ends(mean).min() < SUSPECT:
        return None
    sign, counts = family.extreme(y, weights), not family.support.in_trials
    if sign[0] != 0 and (sign == sign[0]).all():
        return Separation(tuple(names), True, counts, family.all_alike(sign[0]))
    rows = np.unique(np.column_stack([X, sign]), axis=0)
    scale = np.maximum(np.abs(rows[:, :-1]).max(axis=0), 1e-300)
    return _direction(rows[:, :-1] / scale, rows[:, -1], names, counts)


def _direction(X, sign, names, counts):
    from scipy.optimize import linprog

    pure, mixed = X[sign != 0] * sign[sign != 0, None], X[sign == 0]
    p = X.shape[1]
    equal = (mixed, np.zeros(len(mixed))) if len(mixed) else (None, None)
    best = linprog(
        -pure.sum(axis=0), -pure, np.zeros(len(pure)), *equal, bounds=[(-1.0, 1.0)] * p, method="highs"
    )
    if best.status != 0 or not -best.fun > _TOLERANCE * max(len(pure), 1):
        return None
    complete = False
    if not len(mixed):
        margin = linprog(
            np.append(np.zeros(p), -1.0),
            np.column_stack([-pure, np.ones(len(pure))]),
            np.zeros(len(pure)),
            bounds=[(-1.0, 1.0)] * p + [(0.0, 1.0)],
            method="highs",
        )
        complete = margin.status == 0 and -margin.fun > _TOLERANCE
    moving = np.flatnonzero(np.abs(best.x) > 1e-6)
    slopes = [names[k] for k in moving if names[k] != "Intercept"]
    return Separation(tuple(slopes or [names[k] for k in moving]), complete, counts)
