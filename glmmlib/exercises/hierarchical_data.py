"""Checkers of the chapter on hierarchical data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


def _birds() -> pd.DataFrame:
    birds = gl.load("birds")
    return birds.assign(log_count=np.log(birds["count"] + 1))


def _slopes(data: pd.DataFrame) -> np.ndarray:
    """The share of x between sites, then the slopes between sites, within them, and pooled."""
    x, y = data["temperature"], data["log_count"]
    between = x.groupby(data["site"], observed=True).transform("mean") - x.mean()
    within = x - x.mean() - between
    squares_between, squares_within = between @ between, within @ within
    total = squares_between + squares_within
    slopes = between @ y / squares_between, within @ y / squares_within, (between + within) @ y / total
    return np.array([squares_between / total, *slopes])


@exercise(
    "ex-01-repeat",
    wrong=[(0.332, 0.286, -0.011, 0.0875), (0.9, 0.286, -0.014, 0.068), (0.273, 0.1, 0.1, 0.1)],
)
def without_the_two_warmest(answer: tuple[float, float, float, float]) -> str:
    given = numbers(answer, "B", "slope between", "slope within", "pooled slope")
    birds = _birds()
    off = np.abs(given - _slopes(birds[~birds["site"].isin(["Hazel", "Pine"])])) > 0.002
    everyone = np.abs(given - _slopes(birds)).max() < 0.002
    look(not everyone, "These are the numbers of all sites: leave out the two warmest first.")
    look(
        not off[0], "Look at B: the variance of the climates over that of the temperatures, in the rows left."
    )
    look(not off[1:3].any(), "Look at the two slopes: one fit has climate and weather side by side.")
    look(not off[3], "Look at the pooled slope: it comes from temperature alone.")
    return "B times the slope between and the rest times the slope within make the pooled slope again."


@exercise("ex-01-orthodont", wrong=[(1.59, 0.58), (1.73, 0.63), (1.0, 1.0), (0.58, 0.63)])
def two_standard_errors_of_teeth(answer: Any) -> str:
    sex, age = numbers(answer, "ratio for sex", "ratio for age")
    teeth = gl.load("Orthodont")
    mixed = gl.lmer("distance ~ age + Sex + (1 | Subject)", teeth)
    X, y = mixed.X, teeth["distance"].to_numpy(dtype=float)
    left = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    pooled = np.sqrt(left @ left / (len(y) - X.shape[1]) * np.diag(np.linalg.inv(X.T @ X)))
    ratio = dict(zip(["Intercept", "age", "sex"], pooled / mixed.bse.to_numpy(), strict=True))
    look(
        abs(sex - 1 / ratio["sex"]) > 0.02,
        "Divide the pooled standard error by the mixed one, not the reverse.",
    )
    look(abs(sex - ratio["age"]) > 0.02, "The order is first sex, then age.")
    look(abs(sex - ratio["sex"]) < 0.02, "Look at the standard errors of sex: both models hold age and sex.")
    look(abs(age - ratio["age"]) < 0.02, "Look at the standard errors of age: both models hold age and sex.")
    return "Sex varies between children: its pooled standard error is too small. Age varies within them."


@exercise("ex-01-by-lot", wrong=[(0.332, 0.35), (0.5, 0.06), (0.055, 0.35), (0.055, 5)])
def by_lot(answer: Any) -> str:
    share, rate = numbers(answer, "B", "rate as a share of tests")
    birds = _birds()
    expected = (birds["site"].nunique() - 1) / (len(birds) - 1)
    look(rate <= 1, "Give the rate as a share of all tests, not in per cent.")
    look(
        abs(share - expected) < 0.015, "Look at B: how much does pure chance put between the means of sites?"
    )
    look(0.03 < rate < 0.08, "Look at the rate: average it over many lots, for one lot may be lucky.")
    return "On average over lots the pooled test is about right; a single lot can lie far from that."


@exercise("ex-01-break", wrong=["Y", np.zeros((10, 3)), np.random.default_rng(1).normal(size=(256, 300))])
def a_truth_that_breaks_both(answer: Any) -> str:
    birds = _birds()
    look(isinstance(answer, np.ndarray) and answer.ndim == 2, "Give the responses, one column a study.")
    enough = answer.shape[0] == len(birds) and answer.shape[1] >= 200
    look(enough, "Simulate a response for each survey, in a few hundred studies or more.")
    x = birds["temperature"] - birds.groupby("site", observed=True)["temperature"].transform("mean")
    x, y = x.to_numpy(), answer - answer.mean(axis=0)
    slope = x @ y / (x @ x)
    error = np.sqrt(np.sum((y - np.outer(x, slope)) ** 2, axis=0) / (len(x) - 2) / (x @ x))
    null = abs(slope.mean()) < 4 * slope.std() / np.sqrt(len(slope))
    look(null, "Your weather has an effect on average, so rejecting is right: let the typical slope be zero.")
    rate = (np.abs(slope / error) > student.ppf(0.975, len(x) - 2)).mean()
    look(
        rate > 0.1,
        "The pooled test keeps its level here: let the sites respond to weather in different ways.",
    )
    return (
        f"The pooled test rejects in {100 * rate:.0f} % of your studies, although the typical slope is zero."
    )
