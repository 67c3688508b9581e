"""Checkers of the chapter on reading the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers
from glmmlib.models.linear_fit import LinearMixedModelFit


def _soil() -> pd.DataFrame:
    return gl.load("soil_pH")


def _interaction(zero: float = 0.0) -> LinearMixedModelFit:
    """The model with the interaction of temperature and fertiliser, temperature measured from `zero`."""
    soil = _soil()
    moved = soil.assign(t=soil["temperature"] - zero)
    return gl.lmer("ph_change ~ t * fertiliser + (1 | site)", moved)


@exercise(
    "ex-04-repeat",
    wrong=[(-0.072, 0.039, -0.5, 0.044), (0.4, 0.039, -0.5, 0.044), (0.4, 0.47, 0.03, 0.044)],
)
def zero_at_twelve(answer: Any) -> str:
    given = numbers(answer, "intercept", "slope", "fertiliser", "product")
    off = np.abs(given - _interaction(12).params.to_numpy()) > [0.01, 0.001, 0.01, 0.001]
    look(not off[1] and not off[3], "Look at the slope and the product: does a new zero move them?")
    look(not off[0], "Look at the intercept: how high is the line of A, twelve degrees further on?")
    look(not off[2], "Look at the line of B: how far is B from A, twelve degrees further on?")
    return "The intercept and the main effect of fertiliser follow the zero of temperature; the rest stays."


@exercise("ex-04-orthodont", wrong=[(11, -2.3), (0, 1.03), (0, 2.32), (8, 1.03)])
def girls_at_eleven(answer: Any) -> str:
    age, difference = numbers(answer, "age", "girls minus boys at 11 years")
    teeth = gl.load("Orthodont")
    fit = gl.lmer("distance ~ a * Sex + (1 | Subject)", teeth.assign(a=teeth["age"] - 11))
    truth = fit.params["Sex[T.Female]"]
    look(age == 0, "Look at the age: where is the zero of the variable that interacts with sex?")
    look(abs(difference + truth) > 0.02, "Look at the sign: girls minus boys.")
    look(
        abs(difference - truth) < 0.02, "Look at the difference: move the zero of age to the age you ask for."
    )
    return "The first sentence is about the day of birth, eight years before the first measurement."


@exercise("ex-04-halves", wrong=[(0.039, -0.5), (0.0837, -0.5), (0.0615, 0.165), (0.0615, -0.25)])
def main_effects_of_halves(answer: Any) -> str:
    slope, step = numbers(answer, "temperature", "fertiliser")
    b = _interaction().params.to_numpy()
    look(abs(slope - b[1]) > 0.002, "Look at temperature: zero no longer stands for fertiliser A.")
    look(
        abs(slope - b[1] - b[3] / 2) < 0.001,
        "Look at temperature: which fertiliser lies at zero, half-way between A and B?",
    )
    look(
        abs(step - b[2]) < 0.01,
        "Look at fertiliser: one unit is still the step from A to B, and where is the zero of temperature?",
    )
    return "Each main effect follows the zero of the other variable."


@exercise("ex-04-nothing", wrong=[(0, 13), (15, 13), (11.27, 12), (11.27, 15)])
def no_effect_at_all(answer: Any) -> str:
    zero, degree = numbers(answer, "zero of temperature", "first whole degree")
    raw = _interaction()
    b = raw.params.to_numpy()
    look(abs(zero + b[2] / b[3]) < 0.06, "Look at the zero: where do the two lines cross?")
    for first in range(10, 21):
        test = gl.wald_test(raw, {"fertiliser[T.B]": 1, "t:fertiliser[T.B]": first})
        if test.rows["p"].iloc[0] < 0.05:
            break
    look(degree == first, "Look at the degree: test the difference at each whole degree with wald_test.")
    return "A table may say that B does nothing, and the same model that it helps on every warm farm."
