"""Checkers of the chapter on zeros."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@cache
def _traps() -> pd.DataFrame:
    """The traps of the chapter."""
    rng = np.random.default_rng(1)
    traps = pd.DataFrame({"site": np.repeat(np.arange(30), 10)})
    traps["shade"] = rng.normal(size=300)
    truth: dict[str, Any] = {"fixef": [2, 0.4], "sd": {"site": 0.5}, "family": "negbinomial", "dispersion": 5}
    beetles = gl.simulate("~ shade + (1 | site)", traps, **truth, rng=rng)
    dry = rng.random(300) > 1 / (1 + np.exp(1.2 - 0.8 * traps["shade"]))
    return traps.assign(beetles=beetles * dry)


def _of_beetles(data: pd.DataFrame, family: str, zi: str | None = None) -> Any:
    """A model of the beetles."""
    return gl.glmer("beetles ~ shade + (1 | site)", data, family=family, zi=zi)


@exercise("ex-19-repeat", wrong=[(126, 126), (9, 63), (10, 9), (9, 0)])
def birds_without_excess(answer: Any) -> str:
    seen, expected = numbers(answer, "surveys without a bird", "expected by the model")
    birds = gl.load("birds")
    none = (birds["count"] == 0).sum()
    look(seen == none, "Look at the counts of the birds: how many of them are zero?")
    hours = np.log(birds["minutes"] / 60)
    fit = gl.glmer("count ~ season + temperature + (1 | site)", birds, "negbinomial", offset=hours)
    drawn = (fit.simulate(400, rng=np.random.default_rng(5)) == 0).sum(axis=0).mean()
    fine = abs(expected - drawn) < 1.2
    look(fine, "Look at what the negative binomial GLMM draws: the mean number of zeros over repetitions.")
    return "A model without any special zero expects as many."


@exercise("ex-19-excess", wrong=[(0.1, 0.02), (14, 17), (0.98, 0.9), (0.5, 0.5)])
def seizures_without_inflation(answer: Any) -> str:
    poisson, negbinomial = numbers(answer, "share of the Poisson GLMM", "share of the negative binomial GLMM")
    shares = []
    epil = gl.load("epil")
    for family in ("poisson", "negbinomial"):
        fit = gl.glmer("y ~ trt + lbase + (1 | subject)", epil, family)
        drawn = (fit.simulate(1000, rng=np.random.default_rng(5)) == 0).sum(axis=0)
        shares.append(np.mean(drawn >= (epil["y"] == 0).sum()))
    fine = abs(poisson - shares[0]) < 0.02
    look(fine, "Look at the Poisson GLMM: in which share of its studies are there as many zeros, or more?")
    fine = abs(negbinomial - shares[1]) < 0.04
    look(fine, "Look at the negative binomial GLMM: count its studies with as many zeros, or more.")
    return "A few zeros more than expected, and no more than chance produces."


@exercise("ex-19-apply", wrong=[(-87.6, 0.454), (87.6, 0.441), (87.6, 0.84), (22.8, 0.454)])
def poisson_for_the_traps(answer: Any) -> str:
    difference, slope = numbers(answer, "difference of the two AICs", "slope of shade in the count")
    zip_fit, zinb = (_of_beetles(_traps(), family, "~ shade") for family in ("poisson", "negbinomial"))
    look(difference > 0, "Look at the order: the AIC of the Poisson model less that of the other.")
    fine = abs(difference - (zip_fit.aic - zinb.aic)) < 0.6
    look(fine, "Look at the two models: both have a zero part that changes with shade.")
    fine = abs(slope - zip_fit.params["shade"]) < 0.003
    look(fine, "Look at the slope of the count in the Poisson model, not at its zero part.")
    return "Zeros are one thing, and the scatter of the rest is another."


@exercise("ex-19-think", wrong=[(0.5, 0.38), (0.135, 2.0), (0.135, 2.63), (0.865, 0.38)])
def half_zeros(answer: Any) -> str:
    share, phi = numbers(answer, "share of zeros of a Poisson count", "dispersion for half of zeros")
    fine = abs(share - np.exp(-2)) < 0.005
    look(fine, "Look at the Poisson probability of a zero: a power of e that holds the mean.")
    right = brentq(lambda k: (k / (k + 2)) ** k - 0.5, 0.01, 100)
    fine = abs(phi - right) < 0.02
    look(
        fine,
        "Look at the probability of a zero in the door: put in the mean, ask for a half.",
    )
    return "The same mean, and no structural zero."


@exercise("ex-19-break", wrong=[(0.441, 5.06), (0.229, 0.77), (0.44, 5.9), (0.84, 5.06)])
def without_the_empty(answer: Any) -> str:
    slope, phi = numbers(answer, "slope of shade", "phi")
    caught = _traps().query("beetles > 0")
    fit = _of_beetles(caught, "negbinomial")
    fine = abs(phi - fit.dispersion) < 0.05
    look(fine, "Look at the dispersion of the model of the traps that caught something, without a zero part.")
    fine = abs(slope - fit.params["shade"]) < 0.003
    look(fine, "Look at the slope of the model of the traps that caught something.")
    return "Some of the zeros that went were ordinary counts."
