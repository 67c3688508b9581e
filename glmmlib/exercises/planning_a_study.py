"""Checkers of the chapter on planning a study."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning
from glmmlib.exercises._check import exercise, look, numbers


def _share_of_singular_fits(groups: int, size: int, sd_slope: float, reps: int = 400) -> float:
    """Among studies with a residual SD of 1, levels with an SD of 0.7, and x of SD 1 in each group."""
    x = np.linspace(-1, 1, size)
    rows = pd.DataFrame({"site": np.repeat(np.arange(groups), size), "x": np.tile(x / x.std(), groups)})
    sd, rng = {"site": [0.7, sd_slope]}, np.random.default_rng(4)
    Y = gl.simulate("~ x + (x | site)", rows, fixef=[0, 0], sd=sd, sigma=1, n=reps, rng=rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        template = gl.lmer("y ~ x + (x | site)", rows.assign(y=Y[:, 0]))
    return float(np.mean(template.refit_many(Y).is_singular))


@exercise("ex-11-two-ways", wrong=[(0.0, 0.0), (0.5, 0.1), (0.1, 0.5), (12, 10)])
def two_ways_to_spend_240_plots(answer: Any) -> str:
    few, many = numbers(answer, "share with 12 groups", "share with 30 groups")
    look(0 <= few <= 1 and 0 <= many <= 1, "Give shares between 0 and 1.")
    close = abs(few - _share_of_singular_fits(12, 20, 0.3)) < 0.06
    look(close, "Look at 12 groups of 20: the slopes have an SD of 0.3 there.")
    close = abs(many - _share_of_singular_fits(30, 8, 0.3)) < 0.06
    look(close, "Look at 30 groups of 8: the slopes have an SD of 0.3 there.")
    return "Few sure slopes and many rough ones tell about as much of the spread; for the mean take the many."


@exercise("ex-11-soil", wrong=[37, 11, 5000, 20, 0.5])
def sites_for_a_standard_error(answer: Any) -> str:
    (sites,) = numbers(answer, "J")
    soil = gl.load("soil_pH").assign(warm=lambda d: d["temperature"] - 15)
    fit = gl.lmer("ph_change ~ warm + (warm | site)", soil)
    own, noise = fit.varcorr["site"].sd["warm"] ** 2, fit.sigma**2 / 90
    look(abs(sites - own / 0.01**2) > 0.7, "Look at the noise: each site's own line is not known exactly.")
    look(abs(sites - (own + noise) / 0.01**2) <= 1.1, "Look at the first formula and solve it for J.")
    return "Most of the variance is the sites' own, and only more sites make it smaller."


@exercise("ex-11-cost", wrong=[(10, 340), (40, 640), (20, 240), (24, 480)])
def the_cheapest_design(answer: Any) -> str:
    groups, cost = numbers(answer, "J", "cost in plots")
    look(groups in (10, 20, 40), "Choose one of the three designs.")
    error = np.sqrt((0.3**2 + groups / 240) / groups)
    look(0.3 / error > 2.8, "Look at the power: the mean slope must be nearly three standard errors.")
    look(groups < 40, "Look at the cost: a cheaper design has the power too.")
    look(cost == 240 + 10 * groups, "Look at the cost: the plots, and ten more for each group.")
    return "Enough power, and no more groups than it needs."


@exercise("ex-11-rule", wrong=[(10, 6, 0.1), (20, 6, 0.6), (40, 12, 0.3), (20, 6, 0), (20.5, 6, 0.1)])
def a_study_that_breaks_the_rule(answer: Any) -> str:
    groups, size, sd_slope = numbers(answer, "J", "n", "SD of slopes")
    look(groups == int(groups) and size == int(size), "Give whole numbers of groups and rows.")
    look(groups >= 20 and size >= 6, "Keep to the rule: its numbers of groups and rows are the least.")
    look(groups * size <= 5000, "Choose a smaller study: somebody has to measure it.")
    look(sd_slope > 0.01, "Let the slopes vary: their SD must be above zero.")
    share = _share_of_singular_fits(int(groups), int(size), sd_slope)
    look(
        share > 0.5, "Look at the ratio: how large is the SD of slopes beside the noise of one group's slope?"
    )
    return f"{100 * share:.0f} % of the fits are singular, in a study that keeps to the rule."
