"""Checkers of the chapter on fixed and random effects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import t as student

import glmmlib as gl
from glmmlib.exercises._check import exercise, look, numbers


@exercise("ex-02-new", wrong=[(72.2, 0.0), (63.3, 0.03), (0.05, 72), (66.0, 0.057)])
def a_new_workshop_class(answer: Any) -> str:
    mean, chance = numbers(answer, "expected mean", "chance")
    fit = gl.lmer("score ~ teaching + hours + (1 | classroom)", gl.load("exam"))
    x = np.array([1, 1, 6])
    expected = float(x @ fit.params)
    line = float(x @ fit.cov_params() @ x)
    between = float(fit.varcorr["classroom"].sd["Intercept"]) ** 2
    df = fit.ngroups["classroom"] - 2
    look(
        abs(mean - expected) < 0.1, "Look at the mean: intercept, workshop, and six times the slope of hours."
    )
    alone = float(student.sf((75 - expected) / np.sqrt(between), df))
    chance_true = float(student.sf((75 - expected) / np.sqrt(between + line), df))
    look(0 <= chance <= 1, "A chance lies between zero and one.")
    look(
        abs(chance - alone) > 0.002,
        "Look at the spread: the line of the fixed effects is an estimate and has a variance too.",
    )
    look(
        abs(chance - chance_true) < 0.004,
        "Look at the spread: add the variance between classes to that of the line, and use t.",
    )
    return "Both variances count: how classes differ, and how well the line is known."


@exercise("ex-02-dyestuff", wrong=[(45.6, 49.5, 45.6), (37.3, 49.5, 39.8), (49.5, 45.6, 39.8)])
def batches_of_dyestuff(answer: Any) -> str:
    means, within, between = numbers(answer, "SD of means", "SD within", "SD between batches")
    batches = gl.load("Dyestuff").groupby("Batch", observed=True)["Yield"]
    inside = float(np.sqrt(batches.var().mean()))
    outside = float(batches.mean().std())
    look(abs(means - outside) < 0.1, "Look at the SD of the six batch means.")
    look(
        abs(within - inside) < 0.1,
        "Look at the SD within batches: the root of the mean of the six variances.",
    )
    look(
        abs(between - outside) > 0.1,
        "Look at the last number: a batch mean holds the luck of its five samples as well.",
    )
    look(
        abs(between - np.sqrt(outside**2 - inside**2 / 5)) < 0.1,
        "Look at the last number: subtract variances, and the mean of five has a fifth of the variance.",
    )
    return "With equal groups REML does just this subtraction."


@exercise("ex-02-size", wrong=[(61.84, 63.6, -0.25), (63.3, 63.3, -0.25), (63.6, 61.84, 0.25)])
def two_averages(answer: Any) -> str:
    average_class, average_pupil, slope = numbers(answer, "average class", "average pupil", "slope")
    exam = gl.load("exam")
    size = exam.groupby("classroom", observed=True)["score"].transform("size")
    sizes = exam["classroom"].value_counts()
    fits = [
        gl.lmer("score ~ size + (1 | classroom)", exam.assign(size=size - centre)).params
        for centre in (sizes.mean(), size.mean())
    ]
    look(abs(slope - fits[0]["size"]) < 0.01, "Look at the slope: which way do large classes lie?")
    look(
        abs(average_class - fits[0]["Intercept"]) < 0.1,
        "Look at the average class: subtract the mean of the class sizes, one size for each class.",
    )
    look(
        abs(average_pupil - fits[1]["Intercept"]) < 0.1,
        "Look at the average pupil: subtract the mean size over all rows of the data.",
    )
    return "More pupils sit in large classes, and here these score lower."


def _classes_that_lose() -> tuple[set[str], set[str]]:
    """Classes that partial pooling makes worse, and those about which 2,000 school years cannot tell."""
    truth, exam = gl.load_truth("exam"), gl.load("exam")
    groups, b = truth.groups, truth.parameters
    level = b["intercept"] + b["teaching_workshop"] * (groups["teaching"] == "workshop")
    level = (level + groups["intercept_deviation"]).to_numpy()[:, None]
    code, n = exam["classroom"].cat.codes.to_numpy(), groups["size"].to_numpy()[:, None]
    scores = level[code] + np.random.default_rng(1).normal(0, 9, (len(exam), 2000))
    own = np.eye(len(n))[code].T @ scores / n
    refits = gl.lmer("score ~ 1 + (1 | classroom)", exam).refit_many(scores)
    between, luck = (np.asarray(v) ** 2 for v in (refits.sd["classroom.Intercept"], refits.sigma))
    keep = between / (between + luck / n)
    partial = keep * own + (1 - keep) * refits.params["Intercept"].to_numpy()
    worse = (partial - level) ** 2 - (own - level) ** 2
    z = worse.mean(axis=1) / worse.std(axis=1) * np.sqrt(worse.shape[1])
    names = groups.index.astype(str)
    return set(names[z > 4]), set(names[np.abs(z) <= 4])


@exercise("ex-02-loses", wrong=[["c20"], ["c17"], ["c06", "c17"], ["c20", "c16", "c06", "c17"], "c17"])
def where_partial_pooling_loses(answer: Any) -> str:
    listed = isinstance(answer, Iterable) and not isinstance(answer, str | bytes | dict)
    look(listed, "Give a list of classes, such as those of an index.")
    given = {str(name) for name in answer}
    losers, ties = _classes_that_lose()
    known = {str(name) for name in gl.load("exam")["classroom"].unique()}
    look(bool(given) and given <= known, "Give the names of classes, such as c01.")
    look(
        losers <= given and len(given) > 3,
        "Some class is missing: compare the two columns of errors class by class.",
    )
    look(given <= losers | ties, "One of these classes is estimated better by partial pooling.")
    return "They lie farthest from the middle, and nothing in the exam says that they do."
