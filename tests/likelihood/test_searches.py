"""A search for the optimum goes on from another start where there is no value, and none goes on for ever."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from glmmlib.likelihood import glmm_minimise, glmm_start, lmm_minimise
from glmmlib.likelihood.optimise import minimise


def test_a_step_to_where_there_is_no_slope_is_shortened():
    def objective(x):
        return float((x[0] - 3.0) ** 2), lambda: np.array([np.nan if x[0] > 5.0 else 2.0 * (x[0] - 3.0)])

    found = minimise(objective, np.zeros(1), np.eye(1))  # its first step goes to 6, then to 3
    assert found.converged
    assert found.x[0] == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_search_that_begins_without_a_value_says_so(value):
    with pytest.raises(np.linalg.LinAlgError, match="no value"):
        minimise(lambda x: (value, None), np.zeros(1), np.eye(1))
    with pytest.raises(np.linalg.LinAlgError, match="no value"):
        minimise(lambda x: (1.0, lambda: np.array([value])), np.zeros(1), np.eye(1))


@pytest.mark.parametrize("most", [10, 80])
def test_a_search_ends_after_so_many_evaluations(most):
    asked = []

    def objective(x):  # a slope without an end
        asked.append(x)
        return float(-np.log1p(np.abs(x[0]))), lambda: -np.sign(x) / (1.0 + np.abs(x))

    found = minimise(objective, np.ones(1), np.eye(1), max_evaluations=most)
    assert most <= len(asked) <= most + 31
    assert not found.converged


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 10)
    d = pd.DataFrame({"g": g, "h": rng.integers(0, 6, 120), "x": rng.normal(size=120)})
    d["w"] = rng.uniform(0.5, 2.0, 120)
    eta = 0.3 + 0.4 * d.x + rng.normal(0, 0.5, 12)[g]
    d["y"], d["k"] = eta + rng.normal(0, 0.7, 120), rng.poisson(np.exp(eta))
    d["b"], d["p"] = (d.y > 0.5).astype(int), rng.gamma(2.0, np.exp(eta) / 2.0)
    return d


MODELS = {
    "linear": (gl.lmer, "y ~ x + (x | g)", {}),
    "crossed": (gl.lmer, "y ~ x + (1 | g) + (1 | h)", {}),
    "poisson": (gl.glmer, "k ~ x + (x | g)", {"family": "poisson"}),
    "binomial": (gl.glmer, "b ~ x + (1 | g)", {"family": "binomial"}),
    "negbinomial": (gl.glmer, "k ~ x + (1 | g)", {"family": "negbinomial"}),
    "inverse link": (gl.glmer, "p ~ x + (1 | g)", {"family": "gamma", "link": "inverse"}),
    "curve": (gl.glmer, "k ~ x + exp(w | 1)", {"family": "poisson"}),
}


@pytest.mark.parametrize("model", ["poisson", "binomial", "negbinomial", "inverse link", "curve"])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_generalised_model_whose_first_starts_have_no_value_is_fitted_from_another(
    data, model, failures, monkeypatch
):
    function, formula, options = MODELS[model]
    expected = function(formula, data, **options)
    real, left = glmm_minimise.first_parameters, [failures]

    def first_parameters(problem, shrink):
        x, H = real(problem, shrink)
        if left[0]:
            left[0] -= 1
            x[:] = np.nan
        return x, H

    monkeypatch.setattr(glmm_minimise, "first_parameters", first_parameters)
    fit = function(formula, data, **options)
    assert not left[0]
    assert fit.deviance == pytest.approx(expected.deviance, abs=1e-5)


def test_a_linear_model_is_fitted_from_the_starts_that_have_a_value(data, monkeypatch):
    function, formula, options = MODELS["crossed"]
    expected = function(formula, data, **options)

    def no_start(problem, n_steps=1):
        raise np.linalg.LinAlgError
        yield

    def no_guess(problem, theta):
        raise np.linalg.LinAlgError

    monkeypatch.setattr(lmm_minimise, "first_thetas", no_start)
    assert function(formula, data, **options).deviance == pytest.approx(expected.deviance, abs=1e-6)
    monkeypatch.setattr(lmm_minimise, "curvature_guess", no_guess)
    with pytest.raises(ModelError, match="centre and scale"):
        function(formula, data, **options)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "term",
    ["(y + x | g)", "(0 + y | g)", "(y || g)", "(z + x + w | g)", "(y | g) + (1 | h)", "(y | g/h)"],
)
def test_a_response_among_the_random_effects_is_refused_in_one_sentence(data, term, reml):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="reproduce the response"):
            gl.lmer(f"y ~ 1 + {term}", data.assign(z=1e9 * data.y), reml=reml)


@pytest.mark.parametrize("family", ["negbinomial", "negbinomial1"])
def test_a_dispersion_that_runs_off_in_some_rows_has_infinite_errors(family):
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(12):
        g = np.repeat(np.arange(12), 8)
        d = pd.DataFrame({"g": g, "x": rng.normal(size=96), "w": rng.uniform(0.5, 2.0, 96)})
        d["k"] = rng.poisson(np.exp(0.3 + 0.4 * d.x + rng.normal(0, 0.5, 12)[g]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", gl.errors.GlmmlibWarning)
            fit = gl.glmer("k ~ x + (1 | g)", d, family=family, dispersion="~ w")
            poisson = gl.glmer("k ~ x + (1 | g)", d, family="poisson")
            assert (gl.coef_tests(fit, predictor="dispersion")["se"] > 0).all()
        assert fit.deviance < poisson.deviance + 1e-4
        assert np.isfinite(np.diag(fit.cov_params())).all()
        found += bool(fit.singular_terms)
    assert found


def test_the_sign_of_a_column_is_no_matter_to_where_a_search_begins():
    rng = np.random.default_rng(28)
    g = np.repeat(np.arange(8), 8)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=64), "z": rng.normal(size=64)})
    d["k"] = rng.poisson(np.exp(0.5 + 0.4 * d.x + 0.6 * rng.normal(size=8)[g]))
    problem = gl.glmer("k ~ x + (x + z | g)", d, family="poisson").solution.problem
    theta = np.array([0.3, 0.1, -0.1, 0.2, 0.05, 0.1])
    x, H = glmm_start.parameters_at(problem, theta)
    assert (np.diag(H)[problem.p :] < 1.0).all()
    for signs in ([1, 1, 1, -1, -1, 1], [-1, -1, -1, 1, 1, -1]):
        other, other_H = glmm_start.parameters_at(problem, theta * signs)
        np.testing.assert_allclose(other[: problem.p], x[: problem.p], rtol=1e-6)
        np.testing.assert_allclose(other_H, H, rtol=1e-6, atol=1e-12)
