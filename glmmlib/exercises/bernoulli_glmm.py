"""Checkers of the chapter on the Bernoulli GLMM."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


def _frogs():
    """The frogs with depth from 1.3 metres, and the fit with a random intercept."""
    frogs = gl.load("frogs")
    frogs["deep"] = frogs["depth"] - 1.3
    return gl.glmer("presence ~ deep + (1 | region)", frogs, family="binomial")


@exercise("ex-10-repeat", wrong=[(0.43, -1.69), (-0.39, 1.73), (1.82, 1.82), (0.87, 2.99)])
def even_odds(answer: Any) -> str:
    given = numbers(answer, "depth in r21", "depth in r30")
    fit = _frogs()
    b0, b1 = fit.params
    right = 1.3 - (b0 + fit.ranef()["region"]["Intercept"][["r21", "r30"]].to_numpy()) / b1
    look(
        np.abs(given - right + 1.3).max() > 0.05, "This is counted from the middle: add what was subtracted."
    )
    look(np.abs(given - right[::-1]).max() > 0.05, "The order is r21, then r30.")
    fine = np.abs(given - right).max() < 0.02
    look(fine, "Look at the log-odds: even odds are log-odds of zero, in this region.")
    return "A depth below zero says that no pond of that region is so shallow."


@exercise("ex-10-apply", wrong=[(-1.58, -2.4, -0.7), (4.85, 2.1, 11.3), (0.37, 0.2, 0.67), (0.21, -0.6, 1.0)])
def fourth_period_of_herds(answer: Any) -> str:
    given = numbers(answer, "odds ratio", "lower end", "upper end")
    fit = gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )
    right = fit.exp_table().loc["period[T.4]"].iloc[:3].to_numpy(float)
    look(given[0] > 0, "An odds ratio is above zero: take the exponential of the log odds ratio.")
    look(abs(given[0] - 1 / right[0]) > 0.1, "The ratio asked for has period 4 above and period 1 below.")
    look(abs(given[0] - right[0]) < 0.01, "Look at the odds ratio: which coefficient belongs to period 4?")
    look(np.abs(given - right).max() < 0.015, "Look at the ends: transform the ends of the interval.")
    return "Say with it that it compares two periods of one herd."


@exercise("ex-10-think", wrong=[(0.37, 0.064), (0.1, 0.5), (0.064, 0.5), (6.4, 37)])
def newspaper(answer: Any) -> str:
    rare, impossible = numbers(answer, "largest chance for which it is right", "where it is impossible")
    odds_ratio = np.exp(_frogs().params["deep"])
    look(0 < rare < 1 and 0 < impossible < 1, "Give both as chances between zero and one.")
    look(rare < impossible, "The order is first where it is nearly right, then where it is impossible.")
    look(
        abs(impossible - 1 / odds_ratio) < 0.01,
        "Look at the second: which chance would the factor take past 1?",
    )
    fine = abs(rare - (1 / 0.9 - 1) / (odds_ratio - 1)) < 0.005
    look(fine, "Look at the first: go to odds, multiply, come back, and divide the two chances.")
    return "For rare events an odds ratio is nearly a ratio of chances, and for common ones it is not."


@exercise("ex-10-break", wrong=[(2.0, 2.0), (1.93, 1.49), (1.5, 1.5), (4.0, 1.9)])
def starved(answer: Any) -> str:
    laplace, nine = numbers(answer, "mean by Laplace", "mean with nine points")
    look(laplace < nine, "The order is first Laplace, then nine points: which of the two falls short here?")
    look(1.2 < laplace < 1.75, "Look at Laplace's mean: are there two ponds in each of the regions?")
    look(1.75 < nine < 2.2, "Look at the nine points: refit the same studies, with n_agq in the template.")
    return "Two zeros or ones say little about a region, and Laplace's bell says more than they do."
