"""Checkers of the chapter on reporting."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise(
    "ex-16-repeat", wrong=[(37.3, 12.2, 84.1), (42.0, -3.0, 87.0), (1764, 148, 7066), (42.0, 84.1, 12.2)]
)
def batches(answer: Any) -> str:
    sd, lower, upper = numbers(answer, "SD", "lower end", "upper end")
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    estimate = fit.varcorr["Batch"].sd["Intercept"]
    by_ml = fit.with_criterion(reml=False).varcorr["Batch"].sd["Intercept"]
    look(abs(sd - by_ml) > 0.05, "This is the estimate by ML; the exercise asks for REML.")
    look(abs(sd - estimate) < 0.05, "Look at the SD between batches: it is the root of the variance.")
    look(lower < upper, "The order is estimate, lower end, upper end.")
    ends = fit.conf_int(method="profile", parm="sd Batch.Intercept").iloc[0].to_numpy(float)
    fine = np.abs(np.array([lower, upper]) - ends).max() < 0.5
    look(fine, "Look at the interval: conf_int needs the method that follows the deviance.")
    return "Six batches leave more room above the estimate than below it."


@exercise("ex-16-herds", wrong=[(-1.0, -1.6, -0.4), (2.7, 1.5, 4.9), (0.37, -0.25, 0.99), (0.33, 0.17, 0.62)])
def second_period(answer: Any) -> str:
    given = numbers(answer, "odds ratio", "lower end", "upper end")
    fit = gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        gl.load("cbpp"),
        family="binomial",
        n_agq=9,
    )
    right = fit.exp_table().loc["period[T.2]"].iloc[:3].to_numpy(float)
    look(given[0] > 0, "An odds ratio is above zero: take the exponential of the log odds ratio.")
    look(abs(given[0] - 1 / right[0]) > 0.05, "The ratio asked for has period 2 above and period 1 below.")
    look(abs(given[0] - right[0]) < 0.01, "Look at the odds ratio: which coefficient belongs to period 2?")
    look(np.abs(given - right).max() < 0.01, "Look at the ends: transform the ends of the interval.")
    return "Say with it that the two periods are compared within one herd."


@exercise(
    "ex-13-think", wrong=[(0.291, 0.188, 0.449), (2.91, 1.88, 4.49), (1.11, 0.9, 1.3), (0.107, 0.063, 0.15)]
)
def ten_centimetres(answer: Any) -> str:
    given = numbers(answer, "odds ratio", "lower end", "upper end")
    frogs = gl.load("frogs")
    frogs["dm"] = 10 * (frogs["depth"] - 1.3)
    fit = gl.glmer("presence ~ dm + (dm | region)", frogs, family="binomial", n_agq=9)
    right = fit.exp_table().loc["dm"].iloc[:3].to_numpy(float)
    look(given[0] > 1, "A ratio below one would turn the effect round: on which scale do effects add up?")
    look(given[0] < right[0] ** 5, "This is the ratio of a metre, or nearly: how many steps of 10 cm has it?")
    look(np.abs(given - right).max() < 0.01, "Look at the limits: they are transformed as the ratio is.")
    return "Ten such factors make the ratio of a metre again."
