"""Checkers of the chapter on ML and REML."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise("ex-06-repeat", wrong=[(0.6, 2988.0), (0.56, 3000.0), (0.5566, 2984.2), (2.0, 2991.0)])
def the_best_theta(answer: Any) -> str:
    theta, deviance = numbers(answer, "theta", "deviance")
    fit = gl.lmer("score ~ teaching + hours + (1 | classroom)", gl.load("exam"), reml=False)
    by_reml = fit.with_criterion(reml=True)
    look(
        abs(deviance - by_reml.deviance) > 0.05,
        "That is the REML criterion: the eight lines are ML, and the fit to compare with must be too.",
    )
    look(abs(deviance - fit.deviance) < 0.01, "Look at the deviance: teaching, hours, and the classes.")
    look(abs(theta - fit.theta.iloc[0]) < 0.005, "Look at theta: it is the ratio of the two SDs.")
    return "Nothing in the eight lines knows that the classes differ in size."


@exercise("ex-06-sleep", wrong=[(42.8, 42.8), (36.5, 42.8), (42.14, 36.5), (0, 6.36), (6.36, 42.8)])
def days_into_hours(answer: Any) -> str:
    valid, other = numbers(answer, "valid fall", "other fall")
    sleep = gl.load("sleepstudy")
    line, fan = (gl.lmer(f"Reaction ~ Days + ({term} | Subject)", sleep) for term in ("1", "Days"))
    fall = line.deviance - fan.deviance
    look(abs(valid - fall) < 0.02, "Look at the fall between the two REML fits with the same columns.")
    look(abs(other - valid) > 0.02, "Look at the other fall: a column of X was multiplied.")
    shift = 2 * np.log(24)
    look(abs(other - fall - shift) > 0.02, "Look at the direction: the criterion of the second model rises.")
    look(abs(other - fall + shift) < 0.02, "Look at the factor: the determinant has the square of it.")
    return "The unit alone moves the second fall; the model is the same."


@exercise("ex-06-predictors", wrong=[(1.0, 1.0), (0.9, 1.0), (0.6, 0.6), (1.0, 0.6)])
def predictors_of_groups(answer: Any) -> str:
    ml, reml = numbers(answer, "ML", "REML")
    look(0.9 < reml < 1.1, "Look at REML: what does it do about fitted coefficients?")
    fitted = 4 * (1 + 1 / 5) / 12
    look(
        1 - fitted - 0.04 < ml < 1 - fitted + 0.08,
        "Look at ML: how many coefficients are fitted to the means of the groups?",
    )
    return "ML pays once for each coefficient that belongs to the groups."


@exercise("ex-06-joint", wrong=[(1, 2, 3, 4), (350, 340, 330, 320), (0, 0, 0, 0), (320.6, 327.3, 330, 331)])
def joint_density(answer: Any) -> str:
    given = numbers(answer, *(f"at {sd}" for sd in (10, 1, 0.1, 0.001)))
    y = gl.load("Dyestuff")["Yield"].to_numpy(dtype=float)
    rest = -2 * norm.logpdf(y, 1527.5, 50).sum()
    true = np.array([rest - 12 * norm.logpdf(0, 0, sd) for sd in (10, 1, 0.1, 0.001)])
    look(bool(np.all(np.diff(given) < 0)), "Look at the density of six zeros when their SD gets smaller.")
    look(np.abs(given - true).max() < 0.1, "Look at both parts: thirty yields, and six random effects.")
    return "It falls without end: there is no maximum."
