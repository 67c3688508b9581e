"""Checkers of the chapter on the intra-class correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, number, numbers
from glmmlib.models.linear_fit import LinearMixedModelFit


def _classes() -> tuple[pd.DataFrame, LinearMixedModelFit]:
    exam = gl.load("exam")
    return exam, gl.lmer("score ~ 1 + (1 | classroom)", exam)


def _variances(fit: LinearMixedModelFit, group: str) -> tuple[float, float]:
    """The variance between groups and within them."""
    return float(fit.varcorr[group].sd["Intercept"]) ** 2, fit.sigma**2


@exercise("ex-05-classes", wrong=[(39, 39), (9, 9), (47, 5), (8, 2)])
def classes_for_one_point(answer: Any) -> str:
    tens, forties = numbers(answer, "classes of 10", "classes of 40")
    _, fit = _classes()
    between, within = _variances(fit, "classroom")
    needed = {n: np.ceil(between + within / n) for n in (10, 40)}
    look(tens > 10, "Look at the variance of one class mean: it holds the variance between classes whole.")
    look(tens == needed[10], "Look at classes of ten: how large is the variance of the mean of one of them?")
    look(
        forties == needed[40],
        "Look at classes of forty: only one of the two variances is divided by the size.",
    )
    return "Four times as many pupils a class save only a few classes."


@exercise("ex-05-orthodont", wrong=[(0.614, 0.686), (0.432, 0.614), (0.513, 0.37), (0.686, 0.37)])
def children_and_their_sex(answer: Any) -> str:
    without, with_sex = numbers(answer, "ICC without sex", "ICC with sex")
    teeth = gl.load("Orthodont")
    truth = [
        gl.icc(gl.lmer(f"distance ~ {fixed} + (1 | Subject)", teeth)).value for fixed in ("age", "age + Sex")
    ]
    look(abs(without - truth[1]) > 0.01, "Give the ICC of the model without sex first.")
    look(abs(without - truth[0]) < 0.01, "Look at the first model: age, and an intercept for each child.")
    look(abs(with_sex - truth[1]) < 0.01, "Look at the second model: age and sex, adjusted ICC.")
    return "Sex differs between children only, so it explains variance between them, and the ICC falls."


@exercise("ex-04-marker", wrong=[(0.33, 1.37), (0.16, 1.4), (0.21, 1.37), (0.21, 1.9)])
def a_careless_marker(answer: Any) -> str:
    icc, se = numbers(answer, "ICC", "standard error of the mean")
    exam, fit = _classes()
    between, within = _variances(fit, "classroom")
    within += 8**2
    n = exam["classroom"].value_counts().to_numpy()
    look(abs(icc - between / (between + within)) < 0.02, "Look at the ICC: add variances and not SDs.")
    weights = 1 / (between + within / n)
    looked_for = 1 / np.sqrt(weights.sum())
    look(se > 1.43, "Look at the standard error: can an added error make the mean better known?")
    look(
        abs(se - looked_for) < 0.06,
        "Look at the standard error: fit the noisy scores, and average over fits.",
    )
    return "The ICC and the design effect fall, and the mean is less certain all the same."


@exercise("ex-04-break", wrong=["mixed model", 0.6, 0.18, 1.0])
def standard_error_of_hours(answer: Any) -> str:
    se = number(answer, "the standard error that is right for the mixed slope")
    exam = gl.load("exam")
    truth = gl.lmer("score ~ hours + (1 | classroom)", exam).bse["hours"]
    look(se < 0.3, "Hours vary within classes: does the design effect apply to their slope?")
    look(abs(se - truth) < 0.006, "Compare each standard error with the SD of the simulated mixed slopes.")
    return "The design effect is for means and for predictors between groups, not for one within them."
