"""Checkers of the chapter on several responses."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@cache
def _classrooms() -> tuple[float, float]:
    """Correlation of hours and score among pupils, and the SD of hours between classrooms."""
    exam = gl.load("exam")[["classroom", "hours", "score"]]
    exam["pupil"] = np.arange(len(exam))
    rows = exam.melt(["classroom", "pupil"], None, "trait", "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit is singular, which is what the exercise is about
        fit = gl.lmer("y ~ 0 + trait + (0 + trait | classroom)", rows, residual="us(trait | pupil)")
    pupils = fit.varcorr.residual_covariance.corr.iloc[0, 1]
    return float(pupils), float(fit.varcorr["classroom"].sd["trait[hours]"])


@exercise("ex-23-repeat", wrong=[(1.0, 0.146), (0.4537, 2.458), (0.4537, 6.075), (0.35, 0.146)])
def pupils_and_classrooms(answer: Any) -> str:
    pupils, hours = numbers(answer, "correlation among pupils", "SD of hours between classrooms")
    look(abs(pupils) <= 1, "Look at the first number: a correlation lies between minus one and one.")
    look(pupils < 0.99, "That is the correlation of classrooms: the pupils' stands in the residual rows.")
    right = _classrooms()
    fine = abs(pupils - right[0]) < 0.01
    look(fine, "Look at the residual rows of the joint model: what is the correlation of one pupil's pair?")
    fine = abs(hours - right[1]) < 0.02
    look(fine, "Look at the rows of classroom for hours: is it an SD, and not that of pupils or of scores?")
    return "What hardly differs between classrooms cannot go together with anything there."


@cache
def _frogs_and_tadpoles() -> tuple[float, float]:
    """Correlation of the regions' intercepts as estimated, and as drawn."""
    ponds = gl.load("frogs").melt(["region", "depth"], ["presence", "tadpoles"], "trait", "seen")
    formula = "seen ~ 0 + trait + trait:depth + trait:I(depth**2) + (0 + trait | region)"
    fit = gl.glmer(formula, ponds, "binomial")
    regions = gl.load_truth("frogs").groups
    drawn = np.corrcoef(regions["intercept_deviation"], regions["tadpole_deviation"])[0, 1]
    return float(fit.varcorr["region"].corr.iloc[0, 1]), float(drawn)


@exercise("ex-15-apply", wrong=[(0.11, 0.2), (0.7, 0.11), (0.2, 0.0), (-0.2, 0.11)])
def frogs_and_tadpoles(answer: Any) -> str:
    estimated, drawn = numbers(answer, "correlation as estimated", "correlation of the regions drawn")
    right = _frogs_and_tadpoles()
    fine = abs(drawn - right[1]) < 0.01
    look(
        fine,
        "Look at the regions that were drawn: correlate their two columns, one row a region.",
    )
    fine = abs(estimated - right[0]) < 0.03
    look(fine, "Look at the model: has each trait an intercept, a slope and a curvature of its own?")
    return "They were drawn independently: forty regions leave that much to chance."


@exercise("ex-23-think", wrong=[(0.325, 31), (0.476, 30), (0.476, 100), (0.576, 31)])
def more_birds(answer: Any) -> str:
    twelve, needed = numbers(answer, "correlation with twelve birds", "birds needed at each site")
    n = np.arange(1, 500)
    means = (2.1 - 4 / n) / np.sqrt((9 + 16 / n) * (1 + 4 / n))
    fine = abs(twelve - means[11]) < 0.006
    look(fine, "Look at the means of twelve birds: a twelfth of the birds' variance and of their covariance.")
    first = int(n[means > 0.6][0])
    look(needed == first, "Look at the number of birds: it is the first whole number that brings it above.")
    return "The means come near the sites slowly, and the model needs no such crowd."


@exercise("ex-23-break", wrong=[(0.65, -0.47), (0.65, 0.0), (0.5, -0.47), (0.0, 0.0)])
def lost_pairs(answer: Any) -> str:
    sites, birds = numbers(answer, "correlation of sites", "correlation of birds")
    look(abs(birds) < 0.25, "Look at the birds: which song belongs to which of them is decided by lot now.")
    look(sites < 0.6, "Look at the sites: does the model still take out what birds put into the means?")
    look(sites > 0.25, "Look at the sites: no song has left its site, so their means are what they were.")
    return "The level below decides what is left for the level above."
