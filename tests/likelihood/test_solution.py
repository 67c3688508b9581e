"""A solution against the theory written out in full, and its two coordinate systems against each other."""

from dataclasses import replace

import numpy as np
import pytest

import glmmlib as gl

LINEAR = {
    "one factor": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes"),
}


@pytest.fixture(scope="module", params=LINEAR)
def linear(request):
    formula, name = LINEAR[request.param]
    data = gl.load(name)
    rng = np.random.default_rng(4)
    return gl.lmer(formula, data, weights=rng.uniform(0.5, 2.0, len(data)), offset=rng.normal(size=len(data)))


@pytest.fixture(scope="module")
def binomial():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return gl.glmer(formula, gl.load("cbpp"), family="binomial")


def moved(fit):
    """Estimates beside those of the fit."""
    found = fit.solution.estimates
    auxiliary = None if found.auxiliary is None else 1.3 * found.auxiliary
    return replace(found, theta=0.7 * found.theta, beta=found.beta + fit.bse.to_numpy(), auxiliary=auxiliary)


def dense(fit, estimates):
    """Z Lambda, the residual of the fixed part and its covariance over sigma^2, all written out."""
    other = fit.at(estimates)
    U = (fit.Z @ other.Lambda).toarray()
    W = np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights
    offset = 0.0 if fit.design.offset is None else fit.design.offset
    return U, fit.design.y - fit.X @ estimates.beta - offset, U @ U.T + np.diag(1.0 / W)


@pytest.mark.parametrize("reml", [True, False])
def test_deviance_of_a_linear_model_at_other_estimates(linear, reml):
    fit = linear.with_criterion(reml)
    estimates = moved(fit)
    _, r, V = dense(fit, estimates)
    sigma2, information = estimates.auxiliary**2, fit.X.T @ np.linalg.solve(V, fit.X)
    quadratic = r @ np.linalg.solve(V, r)
    df = fit.nobs
    expected = np.linalg.slogdet(V)[1]
    if reml:  # the fixed effects are integrated out
        half = fit.X.T @ np.linalg.solve(V, r)
        quadratic -= half @ np.linalg.solve(information, half)
        df -= fit.X.shape[1]
        expected += np.linalg.slogdet(information)[1]
    expected += df * np.log(2 * np.pi * sigma2) + quadratic / sigma2
    assert fit.at(estimates).deviance == pytest.approx(expected, abs=1e-7)


def test_modes_and_covariances_of_a_linear_model_at_other_estimates(linear):
    estimates = moved(linear)
    other = linear.at(estimates)
    U, r, V = dense(linear, estimates)
    b = other.Lambda @ (U.T @ np.linalg.solve(V, r))
    modes = np.concatenate([m.T.ravel() for m in other.solution.modes])
    np.testing.assert_allclose(modes, b, atol=1e-8)
    covariance = estimates.auxiliary**2 * np.linalg.inv(linear.X.T @ np.linalg.solve(V, linear.X))
    np.testing.assert_allclose(other.cov_params(), covariance, rtol=1e-8)
    np.testing.assert_allclose(
        other.solution.linear_predictor(), other.solution.fixed_predictor() + linear.Z @ b, atol=1e-8
    )


def test_at_its_own_estimates_a_linear_fit_is_itself(linear):
    same = linear.at(linear.solution.estimates)
    assert same.deviance == pytest.approx(linear.deviance, abs=1e-8)
    np.testing.assert_allclose(same.bse, linear.bse, rtol=1e-8)
    for found, expected in zip(same.solution.modes, linear.solution.modes, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-7)
    for found, expected in zip(same.conditional_covariances, linear.conditional_covariances, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("n_agq", [1, 9])
def test_at_its_own_estimates_a_generalised_fit_is_itself(binomial, n_agq):
    fit = binomial.update(n_agq=n_agq)
    same = fit.at(fit.solution.estimates)
    assert same.deviance == pytest.approx(fit.deviance, abs=1e-7)
    np.testing.assert_allclose(same.bse, fit.bse, rtol=1e-4)
    np.testing.assert_allclose(same.solution.modes[0], fit.solution.modes[0], atol=1e-6)
    np.testing.assert_allclose(same.fittedvalues, fit.fittedvalues, atol=1e-7)


def test_a_generalised_model_at_other_estimates(binomial):
    """Its deviance is larger, and its modes are where the derivative of the joint density vanishes."""
    estimates = moved(binomial)
    other = binomial.at(estimates)
    assert other.deviance > binomial.deviance
    y, weights = binomial.observations
    score = binomial.family.derivatives(y, other.solution.linear_predictor(), weights, None, order=1).score
    b, variance = other.solution.modes[0][0], estimates.theta[0] ** 2
    by_herd = np.bincount(binomial.groups[0].factor.codes, score)
    np.testing.assert_allclose(by_herd, b / variance, atol=1e-6)


def test_the_two_orders_and_the_two_scales_lead_back_to_each_other(linear):
    coordinates, rng = linear.solution.coordinates, np.random.default_rng(1)
    names = [g.name for g in linear.groups]
    assert list(coordinates.as_in_formula(coordinates.ordered(names))) == names
    factors = [f.name for f in linear.solution.problem.structure.factors]
    assert coordinates.ordered(names) == factors
    p = linear.X.shape[1]
    beta, C = rng.normal(size=p), np.cov(rng.normal(size=(p, 9))).reshape(p, p)
    np.testing.assert_allclose(coordinates.orthonormal_beta(coordinates.beta(beta)), beta)
    np.testing.assert_allclose(coordinates.orthonormal_covariance(coordinates.covariance(C)), C)
    Q = coordinates.orthonormal(linear.X)
    np.testing.assert_allclose(Q.T @ coordinates.orthonormal_beta(beta), linear.X @ beta)
