"""Checkers of the chapter on random intercepts."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


def _soil_sds() -> tuple[np.ndarray, float, float]:
    """Fixed effects, SD between sites and residual SD of the chapter's model."""
    fit = gl.lmer("ph_change ~ temperature + (1 | site)", gl.load("soil_pH"))
    return fit.params.to_numpy(), float(fit.varcorr["site"].sd["Intercept"]), fit.sigma


@exercise("ex-03-repeat", wrong=[(-0.311, 0.061), (0.599, 0.91), (0.548, 0.061), (-1.22, 0.061)])
def zero_at_fifteen(answer: Any) -> str:
    intercept, slope = numbers(answer, "intercept", "slope")
    beta, _, _ = _soil_sds()
    look(abs(slope - beta[1]) < 0.001, "Look at the slope: does it depend on where zero is?")
    look(
        abs(intercept - beta[0] - 15 * beta[1]) < 0.005,
        "Look at the intercept: how high is the old line fifteen degrees from its zero?",
    )
    return "Only the intercept moves: it is the same model in other coordinates."


@exercise("ex-03-apply", wrong=[(18, 180, 0.589), (180, 18, 0.545), (180, 20, 0.589), (180, 18, 0.41)])
def days_of_one_person(answer: Any) -> str:
    rows, columns, correlation = numbers(answer, "rows of Z", "columns of Z", "correlation")
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    look(rows == fit.nobs, "Look at the rows of Z: there is one for each row of the data.")
    look(
        columns == fit.ngroups["Subject"],
        "Look at the columns of Z: one for each person, and none for the typical one.",
    )
    between = float(fit.varcorr["Subject"].sd["Intercept"]) ** 2
    look(
        abs(correlation - between / (between + fit.sigma**2)) < 0.005,
        "Look at the correlation: the share of a variance, not of an SD.",
    )
    return "More than half of the variance around the common line is between people."


@exercise("ex-03-think", wrong=[(0.361, 0.416), (0.588, 0.511), (0.511, 0.511), (0.261, 0.346)])
def difference_of_two_plots(answer: Any) -> str:
    one, two = numbers(answer, "SD within a site", "SD between two sites")
    _, between, within = _soil_sds()
    look(two > one, "Which comparison holds two baselines, and which none?")
    look(
        abs(one - np.sqrt(2) * within) < 0.003,
        "Look at one site: the baseline cancels, and the variances of two residuals add.",
    )
    look(
        abs(two - np.sqrt(2 * (within**2 + between**2))) < 0.003,
        "Look at two sites: two residuals and two baselines, and their variances add.",
    )
    return "A slope read within sites is free of the baselines."


@exercise("ex-03-break", wrong=[(0.0, 0.21), (57, 0.1), (0.57, 0.206), (0.05, 0.1)])
def sites_destroyed(answer: Any) -> str:
    zeros, largest = numbers(answer, "share of zeros", "largest estimate")
    _, between, _ = _soil_sds()
    look(0 <= zeros <= 1, "Give the share of zeros as a number between zero and one.")
    look(
        0.4 < zeros < 0.75,
        "Look at the share: count estimates below a small limit, in a few hundred shuffles.",
    )
    look(
        0 < largest < 0.75 * between,
        "Look at the largest: shuffle the residuals over all plots, and not the sites as wholes.",
    )
    return "A label without meaning is often worth exactly nothing, and never this much."
