"""Checkers of the capstone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy.stats import norm

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers

STANDING = {2, 12}  # the sentences of the draft without an error


@cache
def _women() -> Any:
    """The survey with the variables of the plan."""
    women = gl.load("Contraception")
    women["uses"] = (women["use"] == "Y").astype(int)
    women["town"] = (women["urban"] == "Y").astype(int)
    women["decades"] = women["age"] / 10
    women["mother"] = (women["livch"] != "0").astype(int)
    women["share"] = women.groupby("district", observed=True)["town"].transform("mean")
    return women


@cache
def _fit(others: str) -> Any:
    """The planned model, with `others` in the place of children and the linear term of age."""
    formula = f"uses ~ town + share + {others} + I(decades**2) + (town | district)"
    return gl.glmer(formula, _women(), family="binomial", n_agq=5)


@exercise("ex-cap-new", wrong=[(1.38, 2.77, 0.0), (0.5, 8.0, 18), (0.96, 3.98, 0.17), (-0.7, 2.1, 0.18)])
def a_new_district(answer: Any) -> str:
    low, high, below = numbers(answer, "lower end", "upper end", "share of districts below 1")
    fit = _fit("livch + decades")
    middle = fit.params["town"]
    spread = np.hypot(fit.bse["town"], fit.varcorr["district"].sd["town"])
    look(low > 0, "Look at the scale: take the exponential of each draw, to get odds ratios.")
    for end, side in ((low, -1), (high, 1)):
        off = abs(np.log(end) - (middle + 1.96 * side * spread)) if end > 0 else np.inf
        look(off < 0.15, "Look at what varies: a new district has a deviation of its own, beside the error.")
    fine = abs(below - norm.cdf(-middle / spread)) < 0.03
    look(fine, "Look at the share of draws below one, as a number between zero and one.")
    return "The report's interval is about the typical district, and this one about the next."


@exercise("ex-cap-unplanned", wrong=[(-8.6, 1.98), (2.6, 1.96), (6.0, 1.98), (8.6, 0.68)])
def an_unplanned_look(answer: Any) -> str:
    fall, ratio = numbers(answer, "fall of the AIC", "odds ratio of town")
    planned, bent = _fit("livch + decades"), _fit("mother * decades")
    look(fall > 0, "Look at the order: the AIC of the planned model less that of the last one.")
    fine = abs(fall - (planned.aic - bent.aic)) < 0.2
    look(fine, "Look at the two models: the planned one, and the one with the interaction.")
    fine = abs(ratio - np.exp(bent.params["town"])) < 0.01
    look(fine, "Look at the coefficient of town in the last model, and take its exponential.")
    return "It does not replace the planned model: a new survey would test it."


@exercise("ex-cap-review", wrong=[(1, 2), (2, 8), (3, 12), (2, 2), (4, 5)])
def what_can_stand(answer: Any) -> str:
    named = set(numbers(answer, "first sentence", "second sentence"))
    found = len(named & STANDING)
    look(found > 0, "Look at the sentences that say how it was done, and check them by a fit.")
    look(named == STANDING, "Look at the other sentence again: one of the two can stand.")
    return "Write what should stand in the place of the other ten."
