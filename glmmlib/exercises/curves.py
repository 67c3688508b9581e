"""Checkers of the chapter on curves."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import choice, exercise, look, numbers


@exercise("ex-20-repeat", wrong=[(7.0, 2.0), (1.15, -2.0), (4.3, -156.0), (1.15, 0.0)])
def frogs_along_depth(answer: Any) -> str:
    edf, difference = numbers(answer, "degrees of freedom", "difference of AIC")
    frogs = gl.load("frogs")
    line, curve = (
        gl.glmer(f"presence ~ {x} + (1 | region)", frogs, "binomial") for x in ("depth", "s(depth, k=8)")
    )
    right = gl.smooths(curve)["edf"].iloc[0]
    look(abs(edf - right) < 0.05, "Look at the column edf of the smooths, for presence and not for tadpoles.")
    look(difference > 0, "Look at the sign: the difference is that of the curve minus that of the line.")
    fine = abs(difference - (curve.aic - line.aic)) < 0.1
    look(fine, "Look at the AIC of both fits: a parameter that does nothing costs what AIC charges for it.")
    return "Along depth the frogs need no bend."


@exercise("ex-20-oats", wrong=[(3.0, 0.7), (1.73, -0.69), (1.73, 2.7), (1.0, 0.0)])
def nitrogen(answer: Any) -> str:
    edf, fall = numbers(answer, "degrees of freedom", "fall of the criterion")
    oats = gl.load("Oats")
    line, curve = (
        gl.lmer(f"yield ~ Variety + {x} + (1 | Block / Variety)", oats) for x in ("nitro", "s(nitro, k=4)")
    )
    right = gl.smooths(curve)["edf"].iloc[0]
    look(
        abs(edf - right) < 0.05, "Look at the column edf of the smooths, and not at the most that is allowed."
    )
    look(fall > 0, "Look at the sign: the criterion of the larger model is the lower one.")
    fine = abs(fall - (line.deviance - curve.deviance)) < 0.02
    look(fine, "Look at deviance of two REML fits with the same random part, Variety within Block.")
    return "A bend that these plots suggest and do not settle."


@exercise("ex-20-think", wrong=["edf", "knots"])
def mean_and_members(answer: Any) -> str:
    said = choice(answer, "edf", "members", "knots")
    look(said == "members", "Look at whose curve was fitted, and of whom the sentence speaks.")
    return "A mean may be straight while no member is."


@exercise("ex-20-break", wrong=[(2.76, 6.6), (1.0, 1.0), (0.69, 0.83), (0.94, 0.5)])
def starved_curve(answer: Any) -> str:
    given = numbers(answer, "share with 4 knots", "share with 8 knots")
    birds = gl.load("birds")
    birds["y"] = np.log(birds["count"] + 1)
    rows = [gl.smooths(gl.lmer(f"y ~ s(month, k={k}) + (1 | site)", birds)).iloc[0] for k in (4, 8)]
    right = np.array([row["edf"] / row["largest"] for row in rows])
    look(bool((given <= 1).all()), "Give shares: divide edf by the most that the knots allow.")
    fine = np.abs(given - right).max() < 0.01
    look(fine, "Look at the two columns of the smooths: the most is one less than the number of knots.")
    return "A curve near the most that it may take wants more knots."
