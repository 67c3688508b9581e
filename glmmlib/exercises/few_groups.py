"""Checkers of the chapter on few groups."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers

SD = "sd district.Intercept"


@cache
def _medians(prior: str) -> tuple[float, float]:
    """Posterior medians of the SD between districts: the chapter's five, and all sixty."""
    survey = gl.load("Contraception")
    users = (survey["use"] == "Y").groupby(survey["district"])
    districts = users.agg(n="size", share="mean").reset_index()
    five = districts.iloc[np.random.default_rng(2).choice(60, 5, replace=False)]
    found = []
    for data in (five, districts):
        with warnings.catch_warnings(record=True):  # the five have an estimate of zero
            fit = gl.glmer("share ~ 1 + (1 | district)", data, family="binomial", weights="n")
        draws = gl.posterior(fit, sd=prior, draws=1000, rng=np.random.default_rng(7))
        found.append(float(draws.summary().loc[SD, "median"]))
    return found[0], found[1]


@exercise("ex-21-repeat", wrong=[(0, 0), (3.7, 2.08), (0, 4.8), (2.08, 0)])
def batches(answer: Any) -> str:
    sd, upper = numbers(answer, "SD between batches", "upper end of its profile interval")
    with warnings.catch_warnings(record=True):  # an estimate of zero
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff2"))
    fine = abs(sd - fit.varcorr["Batch"].sd["Intercept"]) < 0.01
    look(fine, "Look at the SD of the batches, not at the residual SD.")
    end = gl.profile(fit).conf_int().loc["sd Batch.Intercept", "upper"]
    look(abs(upper - end) < 0.06, "Look at the upper end of the profile's row for the SD of the batches.")
    return "A zero, and yet batches may differ."


@exercise("ex-21-apply", wrong=[(8.4, 5.9), (2.96, 4.19), (5.92, 5.92), (12.9, 25.6)])
def two_widths(answer: Any) -> str:
    z, kr = numbers(answer, "width by z", "width by Kenward and Roger")
    sleep = gl.load("sleepstudy")
    last = sleep[sleep["Subject"].isin(sleep["Subject"].cat.categories[-5:])]
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", last)
    right = [np.ptp(fit.conf_int(ddf=ddf).loc["Days"]) for ddf in ("z", "kenward-roger")]
    fine = abs(z - right[0]) < 0.06
    look(fine, "Look at the whole width of the interval by z: its upper end less its lower end.")
    look(abs(kr - right[1]) < 0.06, "Look at the width by Kenward and Roger: it counts the people.")
    return "The same standard error, and another multiplier."


@exercise("ex-21-think", wrong=[(29, 81.1), (30, 0.81), (30, 87.8), (20, 81.1)])
def enough_groups(answer: Any) -> str:
    groups, share = numbers(answer, "number of groups", "per cent with three groups")
    right = next(j for j in range(2, 1000) if 2 * stats.t(j - 1).cdf(1.96) - 1 >= 0.94)
    look(groups == right, "Look at the degrees of freedom: they are one less than the groups.")
    fine = abs(share - 100 * (2 * stats.t(2).cdf(1.96) - 1)) < 0.6
    look(fine, "Look at a t distribution with two degrees of freedom, and give per cent.")
    return "With three groups the multiplier matters, with thirty hardly."


@exercise("ex-21-break", wrong=[(0.034, 0.5), (0.2, 0.5), (0.216, 0.034), (0.26, 0.52)])
def too_narrow(answer: Any) -> str:
    five, sixty = numbers(answer, "median for five districts", "median for sixty")
    right = _medians("half_normal(0.05)")
    fine = abs(five - right[0]) < 0.006
    look(fine, "Look at the prior of the five districts: it leaves the SD little room.")
    look(abs(sixty - right[1]) < 0.012, "Look at the sixty districts under the same narrow prior.")
    return "A prior that is sure of a small SD can overrule sixty districts."
