"""Checkers of the chapter on choosing a model."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise(
    "ex-13-repeat", wrong=[(21.4, 0.002, 0.002), (42.8, 0.0, 0.0), (42.8, 0.002, 0.0), (42.8, 0.002, 0.05)]
)
def slopes_of_sleepers(answer: Any) -> str:
    statistic, p, smallest = numbers(answer, "statistic", "p of the bootstrap", "smallest possible p")
    sleep = gl.load("sleepstudy")
    fall = {}
    for reml in (True, False):
        flat, steep = (gl.lmer(f"Reaction ~ Days + ({x} | Subject)", sleep, reml=reml) for x in ("1", "Days"))
        fall[reml] = 2 * (steep.llf - flat.llf)
    right = min(abs(statistic - value) for value in fall.values()) < 0.05
    look(
        right, "Look at the statistic: it is the fall of the deviance, twice the rise of the log-likelihood."
    )
    look(0 < p < 0.01, "Look at the bootstrap: the data count as one more draw, so its p is above zero.")
    fine = abs(smallest - 1 / 500) < 1e-4
    look(fine, "Look at the smallest p: how many draws are there, with the data counted as one of them?")
    return "Only a bootstrap with more draws could say less than that."


@exercise(
    "ex-13-apply",
    wrong=[(-81, -108, -0.03, 0.0), (81, 108, 0.03, 0.03), (0, 0, 0, 0), (81, 0, 0.03, 0.0)],
)
def slope_of_soils(answer: Any) -> str:
    aic, caic, rows, sites = numbers(answer, "AIC", "cAIC", "error in new rows", "error at new sites")
    soil = gl.load("soil_pH")
    soil["warm"] = soil["temperature"] - 15
    fits = [
        gl.lmer(f"ph_change ~ warm * fertiliser + ({part} | site)", soil, reml=False)
        for part in ("1", "warm")
    ]
    gain = fits[0].aic - fits[1].aic
    look(aic > 0, "Take the value without the slope minus that with it, in this order.")
    look(
        abs(aic - gain) < 0.5, "Look at AIC: both fits by ML, with the fixed effects of warm and fertiliser."
    )
    gain = gl.conditional_aic(fits[0]).value - gl.conditional_aic(fits[1]).value
    look(abs(caic - gain) < 1, "Look at cAIC: the value of gl.conditional_aic for both fits.")
    error = np.std(fits[0].resid)
    look(0.005 < rows < error, "Look at the held-out rows: their sites are known, so their slopes help.")
    look(abs(sites) < 0.01, "Look at the held-out sites: whole sites must be missing from the fit.")
    return "The slope helps where a site is known; at a new site the mean is that of the fixed effects."


@exercise("ex-13-break", wrong=[(0.05, 0.05), (0.23, 0.23), (23, 5), (0.23, 0.0)])
def smallest_of_five(answer: Any) -> str:
    broken, mended = numbers(answer, "share with the smallest p", "share in the other half")
    look(0 <= broken <= 1 and 0 <= mended <= 1, "Give both as shares of all studies, not in per cent.")
    expected = 1 - 0.95**5
    look(
        abs(broken - expected) < 0.05, "Look at the smallest p of five: each has its own chance to be small."
    )
    fine = 0.02 < mended < 0.085
    look(fine, "Look at the second half: choose on the first sites only, and test on the others only.")
    return (
        "A test on data that took no part in the choice keeps its level, at the price of half of the sites."
    )
