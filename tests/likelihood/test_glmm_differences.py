"""Hessians from many gradients at once are those from single ones."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.likelihood import glmm_differences
from glmmlib.likelihood.glmm_differences import central_hessian

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")

QUESTIONS = {
    "binomial": {"family": "binomial"},
    "slope": {"family": "binomial", "link": "cloglog", "formula": "y ~ x + (x | g)"},
    "dispersion": {"family": "negbinomial"},
    "dispersion by row": {"family": "negbinomial1", "dispersion": "~ x"},
    "not concave": {"family": "beta", "dispersion": "~ x"},
    "zeros": {"family": "poisson", "zi": "~ x"},
    "two parameters": {"family": "negbinomial", "zi": "~ 1", "dispersion": "~ x"},
    "categories": {"family": "ordinal"},
}


def fitted(question):
    rng = np.random.default_rng(7)
    g, x = np.repeat(np.arange(15), 8), rng.normal(size=120)
    eta = 0.5 * x + 0.7 * rng.normal(size=15)[g]
    y = {
        "binomial": rng.uniform(size=120) < 1 / (1 + np.exp(-eta)),
        "beta": np.clip(rng.beta(4 * np.exp(eta), 4), 1e-3, 1 - 1e-3),
        "ordinal": np.digitize(eta + rng.logistic(size=120), [-1.0, 0.5, 1.5]) + 1,
    }.get(question["family"], rng.poisson(np.exp(1.0 + eta) * rng.gamma(2, 0.5, 120)))
    if "zi" in question:
        y = np.where(rng.uniform(size=120) < 0.2, 0, y)
    question = dict(question)
    return gl.glmer(
        question.pop("formula", "y ~ x + (1 | g)"), pd.DataFrame({"y": y * 1, "x": x, "g": g}), **question
    )


@pytest.mark.parametrize("name", QUESTIONS)
def test_together_they_are_those_of_one_by_one(monkeypatch, name):
    fit = fitted(QUESTIONS[name])
    found = fit.solution
    steps = 0.01 * np.sqrt(np.diag(found.joint_covariance))
    together = central_hessian(found.problem, found.parameters, found.mode, steps)
    monkeypatch.setattr(glmm_differences, "CHUNK_NUMBERS", 0)
    alone = central_hessian(found.problem, found.parameters, found.mode, steps)
    scale = np.sqrt(np.diag(alone))
    np.testing.assert_allclose(together / scale / scale[:, None], alone / scale / scale[:, None], atol=1e-6)


def test_where_the_modes_together_are_lost_each_is_looked_for_alone(monkeypatch):
    found = fitted(QUESTIONS["binomial"]).solution
    steps = 0.01 * np.sqrt(np.diag(found.joint_covariance))
    right = central_hessian(found.problem, found.parameters, found.mode, steps)
    monkeypatch.setattr(glmm_differences, "_together", lambda problem, x, mode, points: points * np.nan)
    alone = central_hessian(found.problem, found.parameters, found.mode, steps)
    np.testing.assert_allclose(alone, right, rtol=1e-6, atol=1e-6 * np.abs(right).max())
