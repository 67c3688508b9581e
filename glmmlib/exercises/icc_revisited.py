"""Checkers of the chapter on the ICC of a random-slope model."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


def _people():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


@exercise(
    "ex-08-repeat",
    wrong=[
        (0.48, 0.66, 0.85, 0.3),
        (0.48, 0.6, 0.7, -0.3),
        (612, 1287, 3700, -0.3),
        (0.69, 0.81, 0.92, -0.3),
    ],
)
def icc_of_three_days(answer: Any) -> str:
    *given, day = numbers(answer, "ICC on day 0", "on day 4", "on day 9", "day of the lowest ICC")
    fit = _people()
    true = np.asarray(gl.icc(fit, at=np.array([0, 4, 9])))
    look(max(given) <= 1, "Look at the formula: a share, so divide by the whole variance.")
    look(
        np.abs(given - true).max() < 0.006,
        "Look at the variance between people: it has three parts at each day.",
    )
    (_, s01), (_, s11) = fit.varcorr["Subject"].cov.to_numpy()
    look(abs(day + s01 / s11) < 0.05, "Look at the lowest point of the parabola, and at its sign.")
    return "Within the study the ICC only rises: people part."


@exercise("ex-08-apply", wrong=[(4, 4), (1.3, 2.3), (1.77, 3.03), (2.3, 2.3)])
def four_plots_a_site(answer: Any) -> str:
    cool, warm = numbers(answer, "worth at 13 degrees", "worth at 20 degrees")
    soil = gl.load("soil_pH").assign(warm=lambda d: d["temperature"] - 15)
    fit = gl.lmer("ph_change ~ warm + (warm | site)", soil)
    true = [4 / gl.design_effect(float(gl.icc(fit, at=place)), 4) for place in (-2, 5)]
    look(cool > warm, "Look at the order: plots that are alike are worth less.")
    look(abs(cool - true[0]) < 0.03, "Look at 13 degrees: four plots divided by the design effect.")
    look(abs(warm - true[1]) < 0.03, "Look at 20 degrees: count temperature as the fit does.")
    return "Where plots of a site are alike, the money goes further in new sites."


@exercise("ex-08-think", wrong=[(0.3, 0.83), (0.27, 0.78), (0.48, 0.84), (0.69, 0.09)])
def what_an_earlier_day_tells(answer: Any) -> str:
    first, last = numbers(answer, "share from day 0", "share from day 8")
    fit = _people()
    true = [float(gl.correlation(fit, day, 9)) ** 2 for day in (0, 8)]
    look(abs(first**2 - true[0]) > 0.01 or first < 0.2, "That is the correlation: take its square.")
    look(
        abs(first - true[0]) < 0.01, "Look at the model's correlation of days 0 and 9, not the people's own."
    )
    look(abs(last - true[1]) < 0.01, "Look at the model's correlation of days 8 and 9.")
    return "A baseline is a weak predictor where slopes vary."


@exercise("ex-08-break", wrong=[(0.95, 0.95), (0.83, 0.73), (73, 83), (0.92, 0.93)])
def caterpillars_of_six_sites(answer: Any) -> str:
    conditional, with_error = numbers(answer, "share with the conditional SD", "share with the other SD")
    look(conditional <= 1 and with_error <= 1, "Give shares between 0 and 1.")
    look(conditional < with_error, "Look at the order: the conditional SD is the smaller one.")
    look(
        0.6 < conditional < 0.82,
        "Look at the truth: six sites, and the slope of each, drawn anew every time.",
    )
    look(0.72 < with_error < 0.9, "Look at the second SD: it lets the error of the fixed effects in.")
    return "Six sites say little about how much sites differ, so both kinds of interval are too short."
