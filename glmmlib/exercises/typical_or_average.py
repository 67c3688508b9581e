"""Checkers of the chapter on typical and average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise(
    "ex-11-repeat", wrong=[(0.26, 0.20, 0.78), (0.20, 0.20, 0.78), (-1.36, -1.05, 1.3), (0.64, 0.58, 0.97)]
)
def half_a_metre(answer: Any) -> str:
    given = numbers(answer, "typical", "average", "region r12")
    look(bool(np.all((given > 0) & (given < 1))), "Give chances between zero and one, not log-odds.")
    frogs = gl.load("frogs")
    frogs["deep"] = frogs["depth"] - 1.3
    fit = gl.glmer("presence ~ deep + (deep | region)", frogs, family="binomial", n_agq=9)
    at = pd.DataFrame({"deep": [0.5 - 1.3]})
    right = np.array(
        [
            fit.predict(at, re_form="~0")[0],
            fit.predict(at, re_form="marginal")[0],
            fit.predict(at.assign(region="r12"))[0],
        ]
    )
    look(np.abs(given - right[[1, 0, 2]]).max() > 0.01, "The order is first typical, then average.")
    look(
        abs(given[0] - right[0]) < 0.01, "Look at the typical region: count the depth from the middle first."
    )
    look(
        abs(given[1] - right[1]) < 0.01,
        "Look at the average: it lies nearer to one half than the typical one.",
    )
    look(abs(given[2] - right[2]) < 0.01, "Look at r12: a region of the data is asked for by its name.")
    return "Below one half the average lies above the typical region."


@exercise(
    "ex-11-apply",
    wrong=[(-0.45, -0.45, -0.2), (-0.45, -1.15, -0.2), (-0.2, -0.08, -0.45), (0.64, 0.84, 0.82)],
)
def toenails(answer: Any) -> str:
    within, attenuated, pooled = numbers(answer, "slope within", "attenuated slope", "pooled slope")
    toe = gl.load("toenail")
    toe["severe"] = (toe["outcome"] == "moderate or severe").astype(int)
    fit = gl.glmer("severe ~ time + (1 | patientID)", toe, family="binomial", n_agq=25)
    slope = fit.params["time"]
    variance = fit.varcorr["patientID"].sd["Intercept"] ** 2
    look(max(within, attenuated, pooled) < 0, "Give slopes in log-odds a month, not odds ratios.")
    look(abs(within - slope) < 0.01, "Look at the slope within patients: it needs many points of quadrature.")
    fine = abs(attenuated - slope / np.sqrt(1 + 0.346 * variance)) < 0.01
    look(fine, "Look at the attenuation: divide by the root, with the variance between patients.")
    look(within < pooled < attenuated + 0.01, "Look at the pooled slope: it is that of the clinic's average.")
    return "The formula is an approximation; with an SD of four it shows."


@exercise("ex-11-think", wrong=[(0.5, 0.5), (0.7, 0.7), (0.58, 0.9), (1.0, 1.32)])
def slope_of_the_average(answer: Any) -> str:
    at_zero, at_two = numbers(answer, "slope at zero", "slope at two")
    look(abs(at_zero - 0.5) > 0.01, "A slope that varies with the intercept does change the average's slope.")
    look(abs(at_zero - 0.7) < 0.005, "Look at zero: which part of half the variance is linear in x?")
    look(abs(at_two - at_zero) > 0.01, "Look at two: the variance grows with x, so the average bends.")
    look(abs(at_two - 1.02) < 0.005, "Look at two: take the derivative of half the variance there.")
    return "Far out the average belongs to the groups that grow fastest."


@exercise("ex-11-break", wrong=[(1.0, 0.65, 0.14, 0.14), (1.0, 1.0, 0.14, 0.14), (0.65, 1.0, 0.14, 0.3)])
def shade(answer: Any) -> str:
    short, full, line_short, line_full = numbers(
        answer, "logit without z", "logit with z", "linear without z", "linear with z"
    )
    look(short < full, "The order is without shade, then with it: leaving it out flattens the slope.")
    look(abs(full - 1) < 0.12, "Look at the full logit model: its slope should be near the true one.")
    look(
        abs(short - 1 / np.sqrt(1 + 0.346 * 4)) < 0.08,
        "Look at the short model: shade plays a random effect.",
    )
    look(abs(line_short - line_full) < 0.01, "Look at the linear model: is shade independent of depth?")
    return "A confounder would have moved the linear slope as well."
