"""Checkers of the chapter on complexity and convergence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning
from glmmlib.exercises._check import exercise, look, numbers


def _soil() -> pd.DataFrame:
    soil = gl.load("soil_pH")
    return soil.assign(warm=soil["temperature"] - 15)


def _quietly(formula: str, data: pd.DataFrame):
    """A fit whose message the exercise has shown already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return gl.lmer(formula, data)


@exercise(
    "ex-09-repeat",
    wrong=[(-1, 1, -0.02, 0.07), (1, 1, 0.05, 0.11), (-0.5, 0.9, 0.02, 0.12), (1, -1, 0.1, 0.05)],
)
def the_last_eight_sites(answer: Any) -> str:
    rho_low, rho_high, low, high = numbers(answer, "rho low", "rho high", "slope low", "slope high")
    look(rho_low < rho_high and low < high, "Give each interval with its lower end first.")
    edges = abs(rho_low + 1) < 0.01 and abs(rho_high - 1) < 0.01
    look(edges, "Look at the interval of the correlation, not at its estimate.")
    soil = _soil()
    last = soil[soil["site"].isin([f"s{n}" for n in range(43, 51)])].groupby("site", observed=True).head(5)
    fit = _quietly("ph_change ~ warm + (warm | site)", last)
    limits = gl.profile(fit).conf_int().loc["warm"].to_numpy()
    same = np.abs(np.array([low, high]) - limits).max() < 0.003
    look(
        same, "Look at the typical slope: five plots a site, the last eight sites, x counted from 15 degrees."
    )
    return "The edge tells nothing about the correlation; the typical slope is told all the same."


@exercise("ex-09-apply", wrong=[(0.22, 0.22), (0.22, 0), (0, 0.05), (0, 0)])
def hours_from_two_zeros(answer: Any) -> str:
    from_0, from_6 = numbers(answer, "SD from 0", "SD from 6")
    exam = gl.load("exam").assign(from_6=lambda d: d["hours"] - 6)
    sds = []
    for x in ("hours", "from_6"):
        fit = _quietly(f"score ~ {x} + ({x} || classroom)", exam)
        sds.append(fit.varcorr["classroom"].sd[x])
    look(abs(from_0 - sds[0]) < 0.01, "Look at the first SD: two bars, and hours as they stand.")
    look(abs(from_6 - sds[1]) < 0.01, "Look at the second SD: two bars, and hours counted from their middle.")
    return "The message was about the origin: the double bar is another model at each zero."


@exercise("ex-09-think", wrong=[(0.23, 0.54), (17.5, 0.9999), (17.7, -0.54), (306, -0.9999)])
def lines_at_absolute_zero(answer: Any) -> str:
    sd, rho = numbers(answer, "SD at 0 K", "correlation at 0 K")
    cov = _quietly("ph_change ~ warm + (warm | site)", _soil()).varcorr["site"].cov.to_numpy()
    far = np.array([1.0, -288.15])
    variance = far @ cov @ far
    look(sd < variance / 2 or abs(sd - variance) > 2, "That is the variance: take its square root.")
    look(abs(sd - np.sqrt(variance)) < 0.1, "Look at the variance of a site's line at a place x.")
    true = (far @ cov)[1] / np.sqrt(variance * cov[1, 1])
    look(rho < 0, "Look at the sign: cold is to the left, and a steep line is low there.")
    look(abs(rho - true) < 1e-3, "Look at the covariance of the level at that place with the slope.")
    return "At 0 K level and slope are all but the same thing: there lies the slot."


@exercise("ex-09-break", wrong=[(0.54, 0.01), (1, 0.5), (0, 0), (-0.3, 0.02)])
def two_fertilisers(answer: Any) -> str:
    rho, difference = numbers(answer, "rho", "difference of the slopes")
    look(abs(abs(rho) - 1) < 1e-3, "Look at the correlation in the fit with fertiliser behind the bar.")
    fit = _quietly("ph_change ~ warm * fertiliser + (warm | site)", _soil())
    look(
        abs(abs(difference) - abs(fit.params.iloc[-1])) < 0.002,
        "Look at the difference: it is an interaction of two fixed effects, with the sites behind the bar.",
    )
    return "Two groups are two means: through two points there is always a line."
