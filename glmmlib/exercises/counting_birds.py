"""Checkers of the chapter on counting birds."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise("ex-12-repeat", wrong=[(4.094, 0.0), (0.0, 0.0), (-4.094, 0.031), (-60.0, 0.0)])
def offset_in_minutes(answer: Any) -> str:
    intercept, weather = numbers(answer, "change of the intercept", "change of the slope of weather")
    look(abs(weather) < 0.005, "Look at weather: does a day's warmth multiply the rate differently now?")
    look(
        intercept < 0, "Look at the intercept: are there more birds in a minute or in an hour, new minus old?"
    )
    fine = abs(intercept + np.log(60)) < 0.01
    look(fine, "Look at the size of the change: what is added to the offset, on the scale of logarithms?")
    return "Only the unit of the rate has changed."


@exercise(
    "ex-12-epil", wrong=[(0.85, 0.77, 0.95), (-0.115, -0.29, 0.06), (1.12, 0.94, 1.33), (0.89, 0.7, 1.2)]
)
def fourth_period(answer: Any) -> str:
    given = numbers(answer, "rate ratio", "lower end", "upper end")
    formula, data = "y ~ lbase + trt + lage + V4 + (1 | subject)", gl.load("epil")
    right, poisson = (
        gl.glmer(formula, data, family=family).exp_table().loc["V4"].iloc[:3].to_numpy(float)
        for family in ("negbinomial", "poisson")
    )
    look(given[0] > 0, "A rate ratio is above zero: take the exponential of the coefficient.")
    look(given[0] < 1, "Look at the direction: is the fourth period the one above or below the line?")
    look(
        np.abs(given - poisson).max() > 0.01, "These are Poisson's numbers, whose variance is too small here."
    )
    look(
        np.abs(given - right).max() < 0.01, "Look at the row of V4 in exp_table of the negative binomial fit."
    )
    return "The interval has room for no change at all, which Poisson's had not."


@exercise("ex-12-think", wrong=[(0.0111, 0.0125), (0.0107, 0.0107), (0.0265, 0.0249), (0.0125, 0.0125)])
def more_years_or_more_sites(answer: Any) -> str:
    years, sites = numbers(answer, "ten years at 15 sites", "two years at 75 sites")
    right = np.sqrt(0.024**2 / 5 + 0.025**2 / np.array([15, 75]))
    look(
        years > sites,
        "Which design has more slopes to average? The order is ten years first, then more sites.",
    )
    look(max(years, sites) < 0.02, "Both designs have five times as many surveys: what falls to a fifth?")
    fine = np.abs(np.array([years, sites]) - right).max() < 0.0004
    look(fine, "Look at the two parts: one falls with the surveys, the other with the number of sites alone.")
    return "More years cannot wear down the part that comes from the sites."


@exercise("ex-12-break", wrong=[(0.05, 1.0), (0.2, 0.5), (0.0, 1.0), (0, 45)])
def eggs(answer: Any) -> str:
    rate, ratio = numbers(answer, "rate as a share of tests", "standard error over true scatter")
    look(0 <= rate <= 1, "Give the rate as a share of all tests, not in per cent.")
    look(rate < 0.02, "Look at the rate: six eggs with a high chance scatter less than Poisson counts do.")
    expected = 1 / np.sqrt(0.2)
    fine = abs(ratio - expected) < 0.4
    look(fine, "Look at the ratio: the mean standard error over the SD of the slopes of all studies.")
    return "Its square is what Poisson's variance is too large by: one over the chance that an egg fails."
