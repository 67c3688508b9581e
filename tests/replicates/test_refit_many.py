"""``refit_many``: every replicate is the fit that ``refit`` would have given, and there are thousands of
them.
"""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, ModelError
from glmmlib.likelihood.glmm_batch import LaplaceBatch
from glmmlib.likelihood.lmm_batch import LinearBatch
from glmmlib.likelihood.lmm_reduced import ReducedDesign
from glmmlib.replicates.views import conditional_predictors

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")


def unbalanced(seed=1, n_groups=30, smallest=4, largest=15):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(smallest, largest, n_groups)
    data = pd.DataFrame({"g": np.repeat(np.arange(n_groups), sizes)})
    n = len(data)
    data["x"], data["z"] = rng.normal(size=n), rng.normal(size=n)
    data["w"], data["o"] = rng.uniform(0.5, 2, n), rng.normal(size=n)
    data["trials"] = rng.integers(1, 9, n)
    return data, rng


def balanced(n_groups=12, size=10):
    return pd.DataFrame(
        {"g": np.repeat(np.arange(n_groups), size), "x": np.tile(np.arange(size, dtype=float), n_groups)}
    )


LINEAR = {
    "random intercept": ("~ x + (1 | g)", {"g": 0.6}, {}),
    "no fixed effects": ("~ 0 + (1 | g)", {"g": 0.6}, {}),
    "random slope": ("~ x + (x | g)", {"g": [0.6, 0.4]}, {}),
    "random slope, ML": ("~ x + (x | g)", {"g": [0.6, 0.4]}, {"reml": False}),
    "uncorrelated": ("~ x + (x || g)", {"g": [0.6, 0.4]}, {}),
    "three random effects": ("~ x + z + (x + z | g)", {"g": [0.6, 0.4, 0.5]}, {}),
    "weights and offset": ("~ x + (x | g)", {"g": [0.6, 0.4]}, {"weights": "w", "offset": "o"}),
}


def linear_case(name, data=None):
    formula, sd, options = LINEAR[name]
    if data is None:
        data, rng = unbalanced()
    else:
        rng = np.random.default_rng(2)
    n_fixed = 0 if "~ 0" in formula else formula.split("(")[0].count("+") + 1
    known = {k: v for k, v in options.items() if k != "reml"}
    data["y"] = gl.simulate(formula, data, fixef=[0.5] * n_fixed, sd=sd, sigma=1.0, rng=rng, **known)
    fit = gl.lmer("y " + formula, data, **options)
    return fit, rng


@pytest.mark.parametrize("name", LINEAR)
def test_each_replicate_is_its_single_linear_fit(name):
    fit, rng = linear_case(name)
    Y = fit.simulate(60, rng)
    many = fit.refit_many(Y)
    for r in range(15):
        single = fit.refit(Y[:, r])
        assert abs(many.deviance[r] - single.deviance) < 1e-7
        np.testing.assert_allclose(many.params.iloc[r], single.params, rtol=0, atol=2e-5 * single.sigma)
        np.testing.assert_allclose(many.bse.iloc[r], single.bse, rtol=2e-4)
        np.testing.assert_allclose(many.sigma[r], single.sigma, rtol=1e-4)
        assert many.is_singular[r] == single.is_singular
        if not single.is_singular:
            np.testing.assert_allclose(many.df.iloc[r], single.df, rtol=2e-3)
            np.testing.assert_allclose(many.pvalues().iloc[r], single.pvalues, rtol=5e-3, atol=1e-9)


@pytest.mark.parametrize("data", ["unbalanced", "balanced"])
@pytest.mark.parametrize("name", ["random slope", "random slope, ML", "uncorrelated", "random intercept"])
def test_gradient_and_hessian_are_the_derivatives_of_the_value(name, data):
    fit, rng = linear_case(name, balanced() if data == "balanced" else None)
    Y = fit.simulate(3, rng)
    problem = fit.solution.problem
    design = ReducedDesign(problem)
    replicates = LinearBatch(design, design.responses(Y))
    theta = rng.uniform(0.2, 0.9, (3, problem.n_theta))
    state, h = replicates.state(theta), 1e-5
    for r in range(3):
        value = problem.with_response(Y[:, r]).objective(theta[r])[0]
        assert abs(value - state.value[r]) < 1e-9 * abs(value)
    for k in range(problem.n_theta):
        shift = h * (np.arange(problem.n_theta) == k)
        up, down = replicates.state(theta + shift), replicates.state(theta - shift)
        np.testing.assert_allclose(
            (up.value - down.value) / (2 * h), state.gradient[:, k], rtol=1e-6, atol=1e-5
        )
        np.testing.assert_allclose(
            (up.gradient - down.gradient) / (2 * h), state.hessian[:, k], rtol=1e-6, atol=1e-5
        )


def test_singular_replicates_of_ten_thousand_studies_are_right():
    """Balanced one-way data have a closed form: the variance is zero where the mean squares say so."""
    data = balanced().drop(columns="x")
    rng = np.random.default_rng(5)
    data["y"] = gl.simulate("~ 1 + (1 | g)", data, fixef=[0.0], sd={"g": 0.4}, sigma=1.0, rng=rng)
    fit = gl.lmer("y ~ 1 + (1 | g)", data)
    Y = gl.simulate("~ 1 + (1 | g)", data, fixef=[0.0], sd={"g": 0.4}, sigma=1.0, n=10_000, rng=rng)
    many = fit.refit_many(Y)
    cells = Y.reshape(12, 10, -1)
    means = cells.mean(axis=1)
    between = 10 * means.var(axis=0, ddof=1)
    within = ((cells - means[:, None]) ** 2).sum(axis=(0, 1)) / 108
    inside = between > within
    assert 0.01 < 1 - inside.mean() < 0.2
    np.testing.assert_array_equal(many.is_singular[inside], False)
    np.testing.assert_array_equal(many.theta.to_numpy()[~inside], 0.0)
    np.testing.assert_allclose(many.sigma[inside], np.sqrt(within[inside]), rtol=1e-4)
    estimate = np.sqrt((between - within)[inside] / 10)
    np.testing.assert_allclose(many.sd["g.Intercept"][inside], estimate, atol=2e-3)
    np.testing.assert_allclose(many.params["Intercept"], Y.mean(axis=0), atol=1e-10)


def test_a_thousand_refits_of_sleepstudy():
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    Y = fit.simulate(1000, np.random.default_rng(3))
    many = fit.refit_many(Y)
    assert len(many) == 1000
    for r in range(0, 1000, 100):
        assert abs(many.deviance[r] - fit.refit(Y[:, r]).deviance) < 1e-7
    standard_error = many.params["Days"].std() / np.sqrt(1000)
    assert abs(many.params["Days"].mean() - fit.params["Days"]) < 4 * standard_error
    assert abs(many.bse["Days"].mean() / many.params["Days"].std() - 1) < 0.1
    single = fit.refit(Y[:, 0])
    assert many.corr.iloc[0, 0] == pytest.approx(single.varcorr["Subject"].corr.iloc[0, 1], abs=1e-4)


@pytest.mark.parametrize("family", [None, "binomial"])
def test_crossed_factors_are_fitted_one_by_one(family):
    data, rng = unbalanced(n_groups=8)
    data["h"] = rng.integers(0, 5, len(data))
    known = {"sigma": 1.0} if family is None else {"family": family}
    data["y"] = gl.simulate(
        "~ x + (1 | g) + (1 | h)", data, fixef=[0, 1], sd={"g": 1, "h": 1}, rng=rng, **known
    )
    formula = "y ~ x + (1 | g) + (1 | h)"
    fit = gl.lmer(formula, data) if family is None else gl.glmer(formula, data, family)
    Y = fit.simulate(3, rng)
    many = fit.refit_many(Y)
    for r in range(3):
        single = fit.refit(Y[:, r])
        assert many.deviance[r] == single.deviance
        assert many.params.iloc[r].equals(single.params.rename(r))
        assert many.sd.iloc[r]["h.Intercept"] == pytest.approx(single.varcorr["h"].sd["Intercept"])


GENERALISED = {
    "Bernoulli": ("~ x + (1 | g)", {"family": "binomial"}, {"sd": {"g": 0.6}}),
    "Bernoulli, weak": ("~ x + (1 | g)", {"family": "binomial"}, {"sd": {"g": 0.05}}),
    "Bernoulli, random slope": ("~ x + (x | g)", {"family": "binomial"}, {"sd": {"g": [0.8, 0.5]}}),
    "cloglog": ("~ x + (1 | g)", {"family": "binomial", "link": "cloglog"}, {"sd": {"g": 0.6}}),
    "trials": ("~ x + (1 | g)", {"family": "binomial", "weights": "trials"}, {"sd": {"g": 0.6}}),
    "Poisson, offset": ("~ x + (x || g)", {"family": "poisson", "offset": "o"}, {"sd": {"g": [0.6, 0.4]}}),
    "Poisson, square root": (
        "~ x + (1 | g)",
        {"family": "poisson", "link": "sqrt"},
        {"sd": {"g": 0.2}, "fixef": [3, 0.2]},
    ),
    "negative binomial": ("~ x + (1 | g)", {"family": "negbinomial"}, {"sd": {"g": 0.5}, "dispersion": 1.5}),
    "gamma": ("~ x + (1 | g)", {"family": "gamma"}, {"sd": {"g": 0.5}, "dispersion": 0.5}),
    "no fixed effects": ("~ 0 + (1 | g)", {"family": "binomial"}, {"sd": {"g": 0.6}, "fixef": []}),
}


def generalised_case(name):
    formula, options, truth = GENERALISED[name]
    data, rng = unbalanced(n_groups=25, smallest=8, largest=25)
    data["y"] = gl.simulate(formula, data, rng=rng, **{"fixef": [0.2, 0.5], **truth}, **options)
    return gl.glmer("y " + formula, data, **options), rng


@pytest.mark.parametrize("name", GENERALISED)
def test_each_replicate_is_its_single_generalised_fit(name):
    fit, rng = generalised_case(name)
    Y = fit.simulate(40, rng)
    many = fit.refit_many(Y)
    assert many.sigma is None
    for r in range(8):
        single = fit.refit(Y[:, r])
        assert abs(many.deviance[r] - single.deviance) < 1e-7
        np.testing.assert_allclose(many.params.iloc[r], single.params, atol=1e-4)
        np.testing.assert_allclose(many.bse.iloc[r], single.bse, rtol=0.01)
        np.testing.assert_allclose(many.theta.iloc[r], single.theta, atol=1e-3)
        np.testing.assert_allclose(many.pvalues().iloc[r], single.pvalues, atol=2e-3)
        assert many.is_singular[r] == single.is_singular
        if single.dispersion is not None:
            assert many.dispersion[r] == pytest.approx(single.dispersion, rel=1e-3)


@pytest.mark.parametrize("name", GENERALISED)
def test_the_linear_predictors_of_all_replicates_are_those_of_the_single_fits(name):
    """Also with random slopes, whose factor in standardised columns is not the triangle that theta fills."""
    fit, rng = generalised_case(name)
    Y = fit.simulate(3, rng)
    eta = conditional_predictors(fit, fit.refit_many(Y), Y)
    for r in range(3):
        np.testing.assert_allclose(eta[:, r], fit.refit(Y[:, r]).linear_predictor, atol=2e-3)


@pytest.mark.parametrize("name", ["Bernoulli, random slope", "negative binomial", "Poisson, offset"])
def test_laplace_values_and_gradients_are_those_of_the_single_problem(name):
    fit, rng = generalised_case(name)
    Y = fit.simulate(3, rng)
    problem = fit.solution.problem
    replicates = LaplaceBatch(problem, Y.T[:, problem.rows])
    x = fit.solution.parameters + rng.uniform(-0.1, 0.1, (3, problem.n_parameters))
    points = replicates.evaluate(x, np.zeros((replicates.q, 3, replicates.J)), tolerance=1e-14)
    for r in range(3):
        single = problem.with_response(Y[:, r], fit.observations[1])
        single.pirls_tolerance = 1e-14
        value, gradient, _ = single.evaluate(x[r])
        assert abs(points.value[r] - value) < 1e-9 * abs(value)
        np.testing.assert_allclose(points.gradient[r], gradient, atol=1e-5)


def test_a_separated_replicate_is_found_and_fitted_by_itself():
    fit, rng = generalised_case("Bernoulli")
    Y = fit.simulate(5, rng)
    Y[:, 2] = (fit.design.data["x"] > 0).astype(float)
    many = fit.refit_many(Y)
    assert np.isinf(many.bse["x"][2]) and np.isfinite(many.bse["x"][[0, 1, 3, 4]]).all()


def test_quadrature_is_fitted_one_by_one():
    data, rng = unbalanced(n_groups=10)
    data["y"] = gl.simulate("~ x + (1 | g)", data, fixef=[0, 1], sd={"g": 1}, family="binomial", rng=rng)
    fit = gl.glmer("y ~ x + (1 | g)", data, "binomial", n_agq=5)
    Y = fit.simulate(2, rng)
    assert fit.refit_many(Y).deviance[1] == fit.refit(Y[:, 1]).deviance


def test_what_refit_many_refuses():
    fit, rng = linear_case("random intercept")
    with pytest.raises(DataError, match="Y has shape"):
        fit.refit_many(np.zeros(fit.nobs))
    with pytest.raises(DataError, match="1 of the 2 responses hold missing"):
        fit.refit_many(np.column_stack([fit.design.y, np.full(fit.nobs, np.nan)]))
    glmm, rng = generalised_case("Bernoulli")
    with pytest.raises(DataError, match="is 0 or 1"):
        glmm.refit_many(np.full((glmm.nobs, 2), 0.5))
    with pytest.raises(ModelError, match="tests are normal"):
        glmm.refit_many(glmm.simulate(2, rng)).pvalues("satterthwaite")


def test_replicates_do_not_depend_on_their_company():
    fit, rng = linear_case("random slope")
    Y = fit.simulate(30, rng)
    together, alone = fit.refit_many(Y), fit.refit_many(Y[:, [7]])
    assert abs(together.deviance[7] - alone.deviance[0]) < 1e-7
