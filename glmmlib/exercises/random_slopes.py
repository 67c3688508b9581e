"""Checkers of the chapter on random slopes."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise("ex-07-repeat", wrong=[(10.5, 24.7, 1.93), (10.5, 5.9, 0.52), (251, 5.9, 1.93), (10.5, 35, 1.9)])
def a_slope_for_each_person(answer: Any) -> str:
    mean, sd, factor = numbers(answer, "mean slope", "SD of slopes", "factor")
    sleep = gl.load("sleepstudy")
    flat, steep = (gl.lmer(f"Reaction ~ Days + ({term} | Subject)", sleep) for term in ("1", "Days"))
    look(abs(mean - steep.params["Days"]) < 0.05, "Look at the mean slope: the fixed effect of days.")
    look(
        abs(sd - steep.varcorr["Subject"].sd["Days"]) < 0.05,
        "Look at the SD of the slopes, in the line of days.",
    )
    look(factor > 1, "Divide the larger standard error by the smaller one.")
    look(abs(factor - steep.bse["Days"] / flat.bse["Days"]) < 0.02, "Look at both standard errors of days.")
    return "People differ in how they slow down, and the mean of their slopes is less sure than it looked."


@exercise("ex-07-apply", wrong=[(25, 0.07, -0.3), (60, 0.07, -0.3), (3600, 0.91, -0.3), (60, 0.91, 9)])
def days_from_the_last(answer: Any) -> str:
    sd, rho, day = numbers(answer, "SD on day 9", "correlation on day 9", "day of no correlation")
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    (s00, s01), (_, s11) = fit.varcorr["Subject"].cov.to_numpy()
    true_sd = np.sqrt(s00 + 18 * s01 + 81 * s11)
    look(abs(sd - true_sd**2) > 20, "That is the variance on day 9: take its square root.")
    look(abs(sd - true_sd) < 0.5, "Look at the variance of a person's line on day 9: it has three parts.")
    look(abs(rho - (s01 + 9 * s11) / (true_sd * np.sqrt(s11))) < 0.01, "Look at the covariance on day 9.")
    look(abs(day + s01 / s11) < 0.05, "Look at the day where the covariance with the slope is zero.")
    return "One fit, described from its other end."


@exercise("ex-07-think", wrong=[(0.01, 0.01), (0.0107, 0.02), (0.0098, 0.0201), (0.0004, 0.0001)])
def ten_sites_or_forty(answer: Any) -> str:
    few, many = numbers(answer, "SE with 10 sites", "SE with 40 sites")
    soil = gl.load("soil_pH").assign(warm=lambda d: d["temperature"] - 15)
    fit = gl.lmer("ph_change ~ warm + (warm | site)", soil)
    true = []
    for groups, size in ((10, 24), (40, 6)):
        squares = np.sum(np.linspace(-5, 5, size) ** 2)
        own = fit.varcorr["site"].sd["warm"] ** 2 + fit.sigma**2 / squares
        true.append(np.sqrt(own / groups))
    look(few > many, "Look at the number of sites: the formula divides by it.")
    look(
        abs(few / true[0] - 1) < 0.05,
        "Look at 10 sites of 24 plots: the SD of slopes and the noise of one line.",
    )
    look(abs(many / true[1] - 1) < 0.05, "Look at 40 sites of 6 plots: the sum of squares is smaller there.")
    return "Sites, not plots, are what the mean slope is short of."


@exercise("ex-07-break", wrong=[(5.92, 1.55), (5.9, 0.97), (2.7, 1.55), (24.7, 0.97)])
def days_of_the_month(answer: Any) -> str:
    sd, se = numbers(answer, "SD of slopes", "SE")
    sleep = gl.load("sleepstudy").assign(date=lambda d: d["Days"] + 10)
    free, held = (gl.lmer(f"Reaction ~ date + (date {bar} Subject)", sleep) for bar in ("|", "||"))
    free_sd, held_sd = (m.varcorr["Subject"].sd["date"] for m in (free, held))
    look(abs(sd - free_sd) > 0.05, "That is the fit with a correlation: use two bars.")
    look(abs(sd - held_sd) < 0.05, "Look at the SD of the slopes with two bars and the day of the month.")
    look(abs(se - held.bse["date"]) < 0.02, "Look at the standard error of the same fit.")
    return "The double bar claims that people parted ten days before the study."
