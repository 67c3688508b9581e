"""Checkers of the chapter on space and time."""

from __future__ import annotations

from typing import Any

import glmmlib as gl
from glmmlib.exercises._check import choice, exercise, look, number, numbers

AR1 = "ar1(Days | Subject)"


@exercise("ex-22-repeat", wrong=[(-3.0, 1.7), (3.0, 1.34), (50.3, 0.8), (0.0, 1.7)])
def memory_alone(answer: Any) -> str:
    difference, se = numbers(answer, "difference of the criteria", "standard error of Days")
    sleep = gl.load("sleepstudy")
    alone = gl.lmer("Reaction ~ Days", sleep, residual=AR1)
    both = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep, residual=AR1)
    look(difference > 0, "Look at the sign: the larger model has the lower criterion.")
    look(abs(se - alone.bse["Days"]) < 0.02, "Look at the standard error of the fit without a random effect.")
    fine = abs(difference - (alone.deviance - both.deviance)) < 0.05
    look(fine, "Look at the deviance of both fits, each with correlated residuals.")
    return "A long memory and a random intercept are hard to tell apart."


@exercise("ex-22-teeth", wrong=[(0.05, "positive"), (-0.05, "negative"), (13.0, "negative")])
def teeth(answer: Any) -> str:
    pair = isinstance(answer, (tuple, list)) and len(answer) == 2
    look(pair, "The check needs two things: how far the criterion falls, and a word.")
    fall, said = number(answer[0], "fall of the criterion"), choice(answer[1], "positive", "negative")
    formula, data = "distance ~ Sex * age + (1 | Subject)", gl.load("Orthodont")
    plain, memory = (gl.lmer(formula, data, residual=r) for r in (None, "ar1(age | Subject)"))
    look(fall > 0, "Look at the sign: the larger model has the lower criterion.")
    fine = abs(fall - (plain.deviance - memory.deviance)) < 0.02
    look(fine, "Look at the deviance of both fits, each with the random intercept and by REML.")
    look(said == "negative", "Look at rho in varcorr, in the row of the residuals.")
    return "A random intercept is all that these children share over the years."


@exercise("ex-22-think", wrong=["random", "both"])
def two_designs(answer: Any) -> str:
    said = choice(answer, "random", "western", "both")
    look(said == "western", "Look at which predictor has a pattern on the map, as wetness had.")
    return "Randomisation takes the pattern out of the predictor."


@exercise("ex-22-break", wrong=[1.32, 1.0, 0.074, 1.45])
def rough_predictor(answer: Any) -> str:
    ratio = number(answer, "standard error beside the map over that of least squares")
    look(ratio > 0.3, "Give the ratio of the two standard errors, and not one of them.")
    look(ratio < 0.95, "Look at which is which: that beside the map goes on top.")
    # Twenty draws gave 0.74 to 0.83, with a mean of 0.775 and an SD of 0.02.
    look(0.68 < ratio < 0.88, "Look at the predictor: 120 draws, each independent of its neighbours.")
    return "For such a predictor the map makes the estimate more precise."
