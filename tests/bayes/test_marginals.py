"""Marginal likelihoods: against dense algebra, against the engine, one point against many."""

import warnings
from copy import copy
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import glmmlib as gl
from glmmlib.bayes.crossed import CrossedGeneralisedMarginal, CrossedLinearMarginal
from glmmlib.bayes.generalised import GeneralisedMarginal
from glmmlib.bayes.linear import LinearMarginal
from glmmlib.bayes.scores import NormalScores
from glmmlib.bayes.specification import priors_of
from glmmlib.errors import GlmmlibWarning
from glmmlib.likelihood.quadrature import Quadrature

RNG = np.random.default_rng(11)
TABLE = pd.DataFrame(
    {"g": np.repeat(list("abcdef"), 8), "h": np.tile(list("rstu"), 12), "x": RNG.normal(5, 2, 48)}
)
TABLE["w"] = RNG.uniform(0.5, 2.0, 48)
TABLE["o"] = RNG.normal(size=48)
TABLE["y"] = 3 + 0.5 * TABLE["x"] + RNG.normal(size=48) + TABLE["o"]
TABLE["k"] = RNG.poisson(2.0, 48)
TABLE["b"] = RNG.integers(0, 2, 48)
TABLE["r"] = 1 + TABLE["k"].clip(0, 3)


@cache
def fitted(formula, family):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return gl.glmer(formula, TABLE, family=family)


@cache
def fitted_linear(name):
    formula, options, priors = LINEAR[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return gl.lmer(formula, TABLE, **options), priors


LINEAR = {
    "intercepts": ("y ~ x + (1 | g)", {}, {}),
    "slopes": ("y ~ x + (x | g)", {}, {"corr": "lkj(2)"}),
    "uncorrelated": ("y ~ x + (x || g)", {}, {}),
    "weights and offset": ("y ~ x + offset(o) + (x | g)", {"weights": "w"}, {}),
    "no intercept": ("y ~ 0 + x + (1 | g)", {}, {"sd": "gamma(2, 1)"}),
    "t priors": ("y ~ x + (1 | g)", {}, {"fixef": {"Intercept": "t(4, 1, 2)", "x": "t(3, 0, 1)"}}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {}, {}),
    "crossed": ("y ~ x + (x | g) + (1 | h)", {}, {}),
}


def marginal_of(make, fit, fixef=None, sd=None, corr=None):
    scores = NormalScores(fit, priors_of(fit, fixef, sd, corr))
    return make(fit, scores), 0.6 * np.random.default_rng(2).standard_normal((6, scores.size))


def dense(fit, scores, z):
    """The density of y with coefficients and random effects integrated out, in one normal distribution."""
    par = scores.at(z[None])
    T = scores.to_user
    V = par.auxiliary[0] ** 2 * np.diag(
        1.0 / (fit.design.weights if fit.design.weights is not None else np.ones(fit.nobs))
    )
    V = V + fit.X @ T @ np.diag(par.spread[0] ** 2) @ T.T @ fit.X.T
    for g, root in zip(fit.groups, par.roots, strict=True):
        same = g.factor.codes[:, None] == g.factor.codes
        V = V + same * (g.factor.Z.T @ root[0] @ root[0].T @ g.factor.Z)
    offset = 0.0 if fit.design.offset is None else fit.design.offset
    return multivariate_normal(fit.X @ T @ scores.location + offset, V).logpdf(fit.design.y)


@pytest.mark.parametrize("name", LINEAR)
def test_the_linear_marginal_is_one_normal_density(name):
    fit, priors = fitted_linear(name)
    make = CrossedLinearMarginal if len(fit.groups) > 1 else LinearMarginal
    marginal, Z = marginal_of(make, fit, **priors)
    found = marginal.log_likelihood(Z) - [dense(fit, marginal.scores, z) for z in Z]
    np.testing.assert_allclose(found - found[0], 0.0, atol=1e-7)  # but for a constant
    if len(fit.groups) == 1:
        single = marginal_of(CrossedLinearMarginal, fit, **priors)[0].log_likelihood(Z)
        np.testing.assert_allclose(single, marginal.log_likelihood(Z), atol=1e-7)


@pytest.mark.parametrize("name", ["slopes", "weights and offset", "crossed"])
def test_what_is_integrated_out_is_drawn_from_its_normal_distribution(name):
    """Mean and covariance of coefficients and effects at one point, against the formulas for normal y."""
    fit, priors = fitted_linear(name)
    make = CrossedLinearMarginal if len(fit.groups) > 1 else LinearMarginal
    marginal, Z = marginal_of(make, fit, **priors)
    n, scores = 300 if len(fit.groups) > 1 else 4000, marginal.scores
    found = marginal.effects(np.tile(Z[0], (n, 1)), None, np.arange(n), np.random.default_rng(4))
    par, T = scores.at(Z[:1]), scores.to_user
    blocks, covariance = [fit.X], [T @ np.diag(par.spread[0] ** 2) @ T.T]
    for g, root in zip(fit.groups, par.roots, strict=True):
        for level in range(len(g.levels)):
            blocks.append((g.factor.Z * (g.factor.codes == level)).T)
            covariance.append(root[0] @ root[0].T)
    A = np.concatenate(blocks, axis=1)
    P = np.zeros((A.shape[1], A.shape[1]))
    at = 0
    for C in covariance:
        P[at : at + len(C), at : at + len(C)] = C
        at += len(C)
    w = np.ones(48) if fit.design.weights is None else fit.design.weights
    V = A @ P @ A.T + par.auxiliary[0] ** 2 * np.diag(1.0 / w)
    gain = P @ A.T @ np.linalg.inv(V)
    prior = np.concatenate([T @ scores.location, np.zeros(len(P) - len(T))])
    offset = 0.0 if fit.design.offset is None else fit.design.offset
    mean, cov = prior + gain @ (fit.design.y - offset - A @ prior), P - gain @ A @ P
    drawn = np.concatenate([found.beta, *(np.moveaxis(b, 1, 2).reshape(n, -1) for b in found.random)], axis=1)
    sd = np.sqrt(np.diag(cov))
    assert np.abs((drawn.mean(axis=0) - mean) / sd).max() < 4.5 / np.sqrt(n)
    spread = (np.cov(drawn.T) - cov) / np.outer(sd, sd)
    assert np.abs(spread).max() < 5.5 / np.sqrt(n)


GENERALISED = {
    "binomial": ("b ~ x + (1 | g)", "binomial", 7),
    "slopes": ("b ~ x + (x | g)", "binomial", 9),
    "negbinomial": ("k ~ x + (1 | g)", "negbinomial", 7),
    "ordinal": ("r ~ x + (1 | g)", "ordinal", 7),
}


@pytest.mark.parametrize("name", GENERALISED)
def test_the_generalised_marginal_is_the_engine_s_with_as_many_points(name):
    formula, family, points = GENERALISED[name]
    fit = fitted(formula, family)
    marginal, Z = marginal_of(GeneralisedMarginal, fit)
    engine = copy(fit.solution.problem)
    engine.quadrature = Quadrature(points)
    values = [engine.evaluate_at(*marginal.engine_point(z))[0] for z in Z]
    np.testing.assert_allclose(-2.0 * marginal.log_likelihood(Z), values, atol=1e-5)


def test_the_origin_of_a_predictor_is_no_matter():
    marginal, Z = marginal_of(GeneralisedMarginal, fitted("k ~ x + (x | g)", "poisson"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        moved = gl.glmer("k ~ x + (x | g)", TABLE.assign(x=TABLE["x"] + 1000.0), family="poisson")
    there = marginal_of(GeneralisedMarginal, moved)[0]
    np.testing.assert_allclose(there.log_likelihood(Z), marginal.log_likelihood(Z), atol=1e-6)


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("b ~ x + (x | g)", "binomial"),
        ("k ~ x + (1 | g) + (1 | h)", "negbinomial"),
        ("r ~ x + (1 | g) + (1 | h)", "ordinal"),
    ],
)
def test_the_gradient_is_that_of_laplace_s_approximation(formula, family):
    marginal, Z = marginal_of(CrossedGeneralisedMarginal, fitted(formula, family))
    z, h = 0.5 * Z[0], 1e-4
    steps = h * np.eye(len(z))
    numeric = [(marginal.gradient(z + s)[0] - marginal.gradient(z - s)[0]) / (2 * h) for s in steps]
    np.testing.assert_allclose(marginal.gradient(z)[1], numeric, atol=1e-5)


@pytest.mark.parametrize("formula", ["b ~ x + (1 | g)", "b ~ x + (x | g)"])
def test_a_few_draws_estimate_the_likelihood_without_bias(formula):
    """Of a model with one grouping factor, where quadrature tells the truth; and they draw the effects."""
    fit = fitted(formula, "binomial")
    exact, Z = marginal_of(GeneralisedMarginal, fit)
    one_by_one = marginal_of(CrossedGeneralisedMarginal, fit)[0]
    point = np.tile(0.5 * Z[0], (150, 1))
    value = exact.log_likelihood(point[:1])[0]
    estimates, drawn = one_by_one.weigh(point, np.random.default_rng(7))
    ratios = np.exp(estimates - value)
    assert ratios.mean() == pytest.approx(1.0, abs=4.5 * ratios.std() / np.sqrt(150))
    rng, which = np.random.default_rng(8), np.arange(150)
    ours = exact.effects(point, None, which, rng).random[0]
    theirs = one_by_one.effects(point, drawn, which, rng).random[0]
    weights = ratios / ratios.sum()
    gap = ours.mean(axis=0) - np.einsum("r,rqj->qj", weights, theirs)
    assert np.abs(gap / ours.std(axis=0)).max() < 0.45
