"""Checkers of the chapter on common errors."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise("ex-14-repeat", wrong=[(0.5, 0.7071), (2.0, 2.0), (1.0, 1.0), (1.8, 0.9)])
def conditional_logit(answer: Any) -> str:
    slope, error = numbers(answer, "ratio of slopes", "ratio of standard errors")
    look(slope > 1, "Divide the dummies' numbers by those of the conditional logit, not the reverse.")
    look(abs(slope - 2) < 0.01, "Look at the slopes: both fits should use the regions whose ponds differ.")
    fine = abs(error - np.sqrt(2)) < 0.01
    look(fine, "Look at the standard errors: they do not grow as the slope does.")
    return "So the dummies' z is too large by the root of two."


@exercise(
    "ex-14-apply", wrong=[(0.64, 0.64, 0.89), (0.41, 0.03, 0.79), (0.18, 0.64, 0.89), (0.64, 0.89, 0.18)]
)
def herds_and_rows(answer: Any) -> str:
    given = numbers(answer, "SD of herds before", "SD of herds after", "SD of rows")
    cows = gl.load("cbpp")
    cows["row"] = np.arange(len(cows)).astype(str)
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    plain = gl.glmer(formula, cows, family="binomial")
    mended = gl.glmer(formula + " + (1 | row)", cows, family="binomial")
    right = [
        plain.varcorr["herd"].sd.iloc[0],
        mended.varcorr["herd"].sd.iloc[0],
        mended.varcorr["row"].sd.iloc[0],
    ]
    look(
        abs(given[0] - right[0]) < 0.01,
        "Look at the first: the SD of herds, not the variance, in the plain fit.",
    )
    look(abs(given[1] - right[1]) < 0.02, "Look at the herds in the second fit: what did the rows take over?")
    look(abs(given[2] - right[2]) < 0.01, "Look at the rows: each row needs a level of its own.")
    return "What looked like herds was mostly the single visit."


@exercise("ex-14-break", wrong=[(2010.0, -470.0), (19.4, -2000.0), (-19.4, -19.4), (0, 0)])
def logarithm_of_the_response(answer: Any) -> str:
    in_ms, in_s = numbers(answer, "difference in milliseconds", "difference in seconds")
    data = gl.load("sleepstudy")
    plain = gl.lmer("Reaction ~ Days + (Days | Subject)", data, reml=False)
    logs = gl.lmer("np.log(Reaction) ~ Days + (Days | Subject)", data, reml=False)
    right = plain.aic - logs.aic - 2 * np.log(data["Reaction"]).sum()
    look(abs(in_ms - in_s) < 0.01, "The unit of the response still matters: mend the AIC in both units.")
    look(in_ms > 0, "Take the AIC of the first model minus the mended one of the second.")
    look(abs(in_ms - right) < 0.05, "Look at the mending: twice the sum of the logarithms of all responses.")
    return "A comparison that survives a change of unit compares models."


@exercise(
    "ex-14-review", wrong=[(1.43, 0.018, 1.3), (1.52, 0.028, 1.3), (1.52, 0.018, 0.0), (2.3, 0.018, 1.3)]
)
def the_draft(answer: Any) -> str:
    sd, p, depth = numbers(answer, "SD of all regions", "p of varying slopes", "best depth for tadpoles")
    frogs = gl.load("frogs")
    whole = gl.glmer("presence ~ depth + (1 | region)", frogs, family="binomial", n_agq=9)
    look(abs(sd - whole.varcorr["region"].sd.iloc[0]) < 0.02, "Look at the SD: do all regions take part?")
    slopes = whole.update("presence ~ depth + (depth | region)")
    right = gl.anova(whole, slopes).table["p"].iloc[-1]
    look(abs(p - right) < 0.002, "Look at the p-value: a variance of zero lies on the boundary.")
    curve = whole.update("tadpoles ~ depth + I(depth**2) + (1 | region)")
    b = curve.params
    best = -b["depth"] / (2 * b["I(depth ** 2)"])
    look(abs(depth - best) < 0.05, "Look at the tadpoles: where is the top of the hump, in metres of depth?")
    return "Three of the eight are mended; write the sentences, too."
