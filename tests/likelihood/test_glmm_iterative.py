"""Generalised models by conjugate gradients and random signs against the exact engine, at small size."""

import warnings
from copy import copy

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from glmmlib.likelihood import glmm_iterative
from glmmlib.likelihood.glmm_iterative import gradient_covariance, iterative
from glmmlib.linalg import resources
from glmmlib.linalg.probed import Probes
from support.what_works import ROOMS, cell

FORMULA = "y ~ x + (1 | a) + (1 | b)"


def at_random(a, rng):
    return rng.integers(60, size=a.size)


def in_communities(a, rng):
    """Nineteen rows in twenty stay within one of ten blocks."""
    return np.where(rng.random(a.size) < 0.95, a % 10 * 6 + rng.integers(6, size=a.size), at_random(a, rng))


def to_neighbours(a, rng):
    return (a // 2 + rng.integers(2, size=a.size)) % 60


def crossed(seed, draw, sd_a=0.7, sd_b=0.5, meet=at_random, n=2400):
    """Return n rows of 90 x 60 levels; ``draw`` makes responses of linear predictors."""
    rng = np.random.default_rng(seed)
    a = np.concatenate([np.arange(90), rng.integers(90, size=n - 90)])
    b = meet(a, rng)
    x = rng.normal(size=n)
    eta = -0.3 + 0.5 * x + sd_a * rng.normal(size=90)[a] + sd_b * rng.normal(size=60)[b]
    return pd.DataFrame({"y": draw(eta, rng), "x": x, "a": a, "b": b, "c": a // 5})


def bernoulli(eta, rng):
    return (rng.random(eta.size) < 1.0 / (1.0 + np.exp(-eta))).astype(float)


def counts(eta, rng):
    return rng.poisson(np.exp(eta)).astype(float)


def of_ten(eta, rng):
    return rng.binomial(10, 1.0 / (1.0 + np.exp(-eta))) / 10.0


CASES = {
    "bernoulli": (crossed(1, bernoulli), FORMULA, {"family": "binomial"}),
    "probit": (crossed(2, bernoulli), FORMULA, {"family": "binomial", "link": "probit"}),
    "trials": (crossed(3, of_ten).assign(ten=10), FORMULA, {"family": "binomial", "weights": "ten"}),
    "cbind": (
        crossed(4, of_ten).assign(won=lambda d: 10 * d["y"], lost=lambda d: 10 - 10 * d["y"]),
        "cbind(won, lost) ~ x + (1 | a) + (1 | b)",
        {"family": "binomial"},
    ),
    "poisson, offset": (
        crossed(5, counts).assign(o=lambda d: 0.2 * np.sin(d["x"])),
        FORMULA,
        {"family": "poisson", "offset": "o"},
    ),
    "three factors, one nested": (crossed(6, counts), FORMULA + " + (1 | c)", {"family": "poisson"}),
    "communities": (crossed(7, bernoulli, meet=in_communities), FORMULA, {"family": "binomial"}),
    "neighbours": (crossed(8, counts, meet=to_neighbours), FORMULA, {"family": "poisson"}),
    "large theta": (crossed(9, bernoulli, 6.0, 3.0), FORMULA, {"family": "binomial"}),
    "variance zero": (crossed(10, bernoulli, 0.7, 0.0), FORMULA, {"family": "binomial"}),
}


def fits(case):
    data, formula, kwargs = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.errors.SingularFitWarning)
        return [gl.glmer(formula, data, exact=exact, **kwargs) for exact in (True, False)]


@pytest.mark.parametrize("case", ["three factors, one nested"])
def test_with_all_unit_vectors_for_signs_value_and_gradient_are_exact(case, monkeypatch):
    data, formula, kwargs = CASES[case]
    fit = gl.glmer(formula, data, exact=True, **kwargs)
    exact = fit.solution.problem.precise(fit.solution.mode.u)
    x = 1.1 * fit.solution.parameters
    value, gradient, mode = exact.evaluate(x)
    probed = copy(exact)
    probed.factorise = Probes(exact.structure, mode.cross, 10**6, 1, 1e-10)
    found, found_gradient, _ = probed.evaluate(x)
    assert found == pytest.approx(value, abs=1e-7)
    np.testing.assert_allclose(found_gradient, gradient, atol=1e-5)


def test_the_error_of_the_gradient_is_that_which_other_signs_show():
    data, formula, kwargs = CASES["bernoulli"]
    fit = gl.glmer(formula, data, exact=True, **kwargs)
    problem, x = fit.solution.problem.precise(fit.solution.mode.u), fit.solution.parameters
    gradients, told = [], []
    for seed in range(32):
        other = copy(problem)
        probes = Probes(problem.structure, problem.cross_products(np.ones(problem.n)), 16, seed, 1e-4)
        other.factorise = probes
        _, gradient, mode = other.evaluate(x)
        gradients.append(gradient)
        told.append(np.diag(gradient_covariance(other, x, mode)))
    ratio = np.var(gradients, axis=0, ddof=1) / np.mean(told, axis=0)
    assert (ratio > 0.4).all() and (ratio < 2.2).all()
    mean, error = np.mean(gradients, axis=0), np.sqrt(np.mean(told, axis=0) / 32)
    assert (np.abs(mean - problem.evaluate(x)[1]) < 4 * error + 1e-3).all()


@pytest.mark.parametrize("case", CASES)
def test_an_iterative_fit_is_as_near_to_the_exact_one_as_it_says(case):
    exact, found = fits(case)
    assert found.convergence.approximation and not exact.convergence.approximation
    cov = exact.solution.joint_covariance
    moved = np.abs(found.solution.parameters - exact.solution.parameters) / np.sqrt(np.diag(cov))
    assert moved.max() < 0.05
    assert found.deviance == pytest.approx(exact.deviance, abs=0.1 + 5 * found.solution.deviance_error)
    np.testing.assert_allclose(found.bse, exact.bse, rtol=0.02)
    assert found.is_singular == exact.is_singular
    scale = np.ptp(exact.fittedvalues)
    assert np.abs(found.fittedvalues - exact.fittedvalues).max() < 0.02 * scale


def test_an_iterative_fit_says_what_it_is_and_can_be_repeated(tmp_path):
    data, formula, kwargs = CASES["bernoulli"]
    fit, again = (gl.glmer(formula, data, exact=False, **kwargs) for _ in range(2))
    assert "solved iteratively" in repr(fit)
    for text in (str(fit.summary()), str(fit.convergence)):
        told = " ".join(text.split())
        assert "random probes (seed 1)" in told and "exact=True would take" in told
    assert "log-likelihood has a Monte Carlo error" in " ".join(str(fit.summary()).split())
    assert again.deviance == fit.deviance and (again.theta == fit.theta).all()
    assert fit.refit(data["y"]).deviance == fit.deviance
    assert fit.update("~ . - x").convergence.approximation
    fit.save(tmp_path / "one.fit")
    read = gl.load_fit(tmp_path / "one.fit")
    assert read.deviance == fit.deviance and str(read.summary()) == str(fit.summary())
    noise = data.assign(z=np.random.default_rng(8).normal(size=len(data)))
    larger = gl.glmer(formula + " + z", noise, exact=False, **kwargs)
    with pytest.raises(ModelError, match="Monte Carlo error"):
        gl.anova(fit.with_design(fit.design), larger)
    smaller = gl.glmer("y ~ 1 + (1 | a) + (1 | b)", data, exact=False, **kwargs)
    assert gl.anova(smaller, fit).table["p"].iloc[1] < 1e-6


def test_rooms_do_for_an_iterative_fit_what_they_do_for_an_exact_one():
    exact, found = fits("cbind")
    slow = (
        "`profile`",
        "`cross_",
        "`influ",
        "`boot",
        "`simulated_",
        "`refit_many",
        "`anova` of two",
        "`update`",
    )
    for name, room in ROOMS.items():
        if not name.startswith(slow):
            assert cell(found, room) == cell(exact, room), name


def test_the_size_decides_unless_you_do_and_what_it_cannot_is_refused(monkeypatch):
    data, formula, kwargs = CASES["bernoulli"]
    monkeypatch.setattr(glmm_iterative, "MOST_DENSE", 20)
    fit = gl.glmer(formula, data, **kwargs)
    assert "random probes" in fit.convergence.approximation
    assert not gl.glmer(formula, data, exact=True, **kwargs).convergence.approximation
    assert not gl.glmer("y ~ x + (1 | a)", data, **kwargs).convergence.approximation
    slopes = "y ~ x + (x | a) + (1 | b)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.errors.SingularFitWarning)
        assert not gl.glmer(slopes, data, **kwargs).convergence.approximation
    whole = data.assign(y=counts(0.5 * data["x"].to_numpy(), np.random.default_rng(1)))
    for wrong, rows, family in ((slopes, data, "binomial"), (formula, whole, "negbinomial")):
        with pytest.raises(ModelError, match="take exact=True"):
            gl.glmer(wrong, rows, family, exact=False)
    with pytest.raises(ModelError, match="take exact=True"):
        gl.glmer(formula, whole, "poisson", link="identity", exact=False)
    with pytest.raises(ModelError, match="exact is True, False or None"):
        gl.glmer(formula, data, exact="yes", **kwargs)


def test_without_room_for_the_dense_matrix_the_rest_is_refused_in_a_sentence(monkeypatch):
    data, formula, kwargs = CASES["bernoulli"]
    monkeypatch.setattr(resources, "free_memory", lambda: 10_000)
    fit = gl.glmer(formula, data, exact=False, **kwargs)
    assert np.isfinite(fit.bse).all() and len(fit.ranef()["a"]) == 90
    with pytest.raises(ModelError, match="are crossed"):
        fit.ranef(cond_sd=True)


def test_the_model_is_the_same_one_and_keeps_its_own_solver():
    data, formula, kwargs = CASES["trials"]
    problem = gl.glmer(formula, data, exact=False, **kwargs).solution.problem
    assert iterative(problem, 16).factorise != problem.factorise
