"""Standard errors are those of the reported point: the judge recomputes them there."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import SingularFitWarning
from support import streams
from support.judge import Model, Term
from support.judge_errors import standard_errors

DOUBTFUL = {"SeparationWarning", "ConvergenceWarning"}  # these say themselves that errors mean little


def compare(model, fit, rtol, label):
    right = standard_errors(model, fit)
    np.testing.assert_allclose(fit.bse, right, rtol=rtol, err_msg=str(label))


@pytest.mark.parametrize("kind", range(len(streams.LINEAR)))
def test_linear_models(kind):
    for seed in range(kind, 2 * len(streams.LINEAR), len(streams.LINEAR)):
        case = streams.linear(seed)
        fit, caught = case.fit()
        if not DOUBTFUL & set(caught):
            compare(case.model, fit, 1e-4, case)


@pytest.mark.parametrize("family", range(len(streams.FAMILIES)))
def test_generalised_models(family):
    for seed in range(family, 3 * len(streams.FAMILIES), len(streams.FAMILIES)):
        case = streams.generalised(seed)
        fit, caught = case.fit()
        if not DOUBTFUL & set(caught):
            compare(case.model, fit, 2e-3, case)


@pytest.mark.parametrize("family", ["negbinomial", "negbinomial1"])
def test_a_dispersion_that_runs_off_leaves_the_errors_of_its_limit(family):
    """Counts that scatter less than a Poisson model has it."""
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(8), 6), rng.normal(size=48)
    eta = 0.4 * x + 0.3 * rng.normal(size=8)[g]
    table = pd.DataFrame({"g": g, "x": x, "y": rng.binomial(6, 1 / (1 + np.exp(-eta)))})
    limit = gl.glmer("y ~ x + (1 | g)", table, "poisson")
    with pytest.warns(SingularFitWarning, match="as a Poisson model has it"):
        fit = gl.glmer("y ~ x + (1 | g)", table, family)
    np.testing.assert_allclose(fit.bse, limit.bse, rtol=1e-3)
    np.testing.assert_allclose(fit.refit_many(table[["y"]].to_numpy(float)).bse.iloc[0], limit.bse, rtol=1e-3)


@pytest.mark.parametrize("mean", [1.0, 1e3, 1e9])
@pytest.mark.parametrize("family", ["poisson", "negbinomial", "binomial"])
@pytest.mark.parametrize("sd", [0.5, 0.0])
def test_large_counts_and_many_trials(mean, family, sd):
    """Counts to 1e9, trials to 1e7, and the responses of replicates."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(8), 6)
    x, f = rng.normal(size=48), np.tile([0.0, 1.0], 24)
    eta = sd * rng.normal(size=8)[g] + 0.3 * x + 0.2 * f
    table = pd.DataFrame({"g": g, "x": x, "f": f})
    weights, formula, link = None, "y ~ x + f + (1 | g)", "log"
    if family == "binomial":
        n = np.full(48, int(min(mean, 1e7)))
        table["y"] = rng.binomial(n, 1 / (1 + np.exp(-eta)))
        table["rest"] = n - table["y"]
        weights, formula, link = n.astype(float), "cbind(y, rest) ~ x + f + (1 | g)", "logit"
    else:
        scatter = rng.gamma(2, 0.5, 48) if family == "negbinomial" else 1.0
        table["y"] = rng.poisson(mean * np.exp(eta) * scatter)
    X = np.column_stack([np.ones(48), x, f])
    terms = (Term(g, np.ones((48, 1))),)
    model = Model(table["y"].to_numpy(float), X, terms, weights, None, False, (family, link))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = gl.glmer(formula, table, family)
        many = fit.refit_many(table[["y"]].to_numpy(float))
    compare(model, fit, 0.01, (family, mean))
    np.testing.assert_allclose(many.bse.iloc[0], fit.bse, rtol=0.01)


@pytest.mark.parametrize("family", ["poisson", "truncated_poisson", "zi", "binomial"])
@pytest.mark.parametrize("size", [1e8, 1e9])
def test_counts_that_tell_each_group_exactly(family, size):
    """Eight levels that are known exactly are eight numbers: the intercept has the error SD / sqrt(8)."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        g, x = np.repeat(np.arange(8), 6), rng.normal(size=48)
        eta = 0.3 * x + rng.normal(0, 0.5, 8)[g]
        data = {"x": x, "g": g.astype(str), "y": rng.poisson(size * np.exp(eta)).astype(float)}
        question = {"family": family}
        if family == "zi":
            data["y"][::7] = 0.0
            question = {"family": "poisson", "zi": "~ 1"}
        if family == "binomial":
            data["y"] = rng.binomial(int(size), 1 / (1 + np.exp(-eta))).astype(float)
            data["rest"] = size - data["y"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit = gl.glmer(
                "cbind(y, rest) ~ x + (1 | g)" if "rest" in data else "y ~ x + (1 | g)", data, **question
            )
        np.testing.assert_allclose(fit.bse["Intercept"], fit.theta.iloc[0] / np.sqrt(8), rtol=0.01)
