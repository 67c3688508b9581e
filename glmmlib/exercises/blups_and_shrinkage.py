"""Checkers of the chapter on BLUPs and shrinkage."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise("ex-05-repeat", wrong=[(2.7, 66.0, 6.19), (1.6, 64.9, 6.19), (1.61, 1.61, 3.9), (1.1, 64.4, 4.8)])
def class_c24(answer: Any) -> str:
    blup, mean, sd = numbers(answer, "BLUP", "estimated mean", "conditional SD")
    fit = gl.lmer("score ~ 1 + (1 | classroom)", gl.load("exam"))
    truth = fit.ranef(cond_sd=True)["classroom"].loc["c24"]
    look(abs(blup - truth["Intercept"]) < 0.05, "Look at the BLUP: it is the factor times the raw deviation.")
    look(
        abs(mean - truth["Intercept"] - fit.params["Intercept"]) < 0.1,
        "Look at the mean: a BLUP is a deviation from the typical class.",
    )
    look(
        abs(sd - truth["sd Intercept"]) < 0.05,
        "Look at the conditional SD: what is left of the SD between classes once the class has been seen.",
    )
    return "Three pupils keep three fifths of their deviation and leave most of the uncertainty."


@exercise("ex-05-apply", wrong=[(6, 19), (18, 5), (13, 3), (19, 19)])
def who_keeps_ninety_per_cent(answer: Any) -> str:
    pupils, visits = numbers(answer, "pupils", "visits")
    birds = gl.load("birds")
    birds = birds.assign(log_count=np.log(birds["count"] + 1))
    exam_fit = gl.lmer("score ~ 1 + (1 | classroom)", gl.load("exam"))
    bird_fit = gl.lmer("log_count ~ 1 + (1 | site)", birds)
    needed = [np.ceil(9 / fit.theta.iloc[0] ** 2) for fit in (exam_fit, bird_fit)]
    look(
        pupils == needed[0],
        "Look at the pupils: solve the formula of the factor for the size, and round up.",
    )
    look(visits == needed[1], "Look at the visits: the birds have their own two SDs.")
    return "Sites differ more, in units of their scatter, than classes do."


@exercise("ex-05-think", wrong=[(-8.7, -8.2), (-5.5, -8.5), (-8.5, -11.0), (8.5, 5.5)])
def with_hours_in_the_model(answer: Any) -> str:
    c06, c17 = numbers(answer, "BLUP of c06", "BLUP of c17")
    exam = gl.load("exam")
    without = gl.lmer("score ~ 1 + (1 | classroom)", exam).ranef()["classroom"]["Intercept"]
    truth = gl.lmer("score ~ hours + (1 | classroom)", exam).ranef()["classroom"]["Intercept"]
    look(
        abs(c17 - without["c17"]) > 0.1,
        "Look at c17: part of its low mean goes with the few hours of its pupils.",
    )
    look(abs(c06 - truth["c06"]) < 0.06, "Look at c06: take its effect from the model with hours.")
    look(abs(c17 - truth["c17"]) < 0.06, "Look at c17: take its effect from the model with hours.")
    return "The question has changed: how far below classes whose pupils study as long?"


@exercise("ex-05-break", wrong=[(4.0, 4.0), (4.0, 2.9), (2.9, 2.9), (1.1, 4.0)])
def two_steps_and_one(answer: Any) -> str:
    two, one = numbers(answer, "two steps", "one step")
    kept = 6**2 / (6**2 + 9**2 / 5)
    look(two < 3.6, "Look at the two steps: average the BLUPs of the model that knows nothing of workshops.")
    look(
        abs(two - 4 * kept) < 0.3,
        "Look at the two steps: workshop classes less lecture classes, averaged over a thousand schools.",
    )
    look(
        abs(one - 4) < 0.3,
        "Look at the one step: the coefficient of workshop in the model that holds it.",
    )
    return "What the first model shrank away, the second step cannot find."
