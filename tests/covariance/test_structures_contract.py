"""The contract of covariance structures: each that the registry knows is right in every room, or refused.

A new structure is tested without a line here: its class names an ``example``.
"""

import pickle
import re
import warnings
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.covariance.groups import places_of, values_of
from glmmlib.covariance.registry import STRUCTURES
from glmmlib.covariance.tangent import Tangent
from glmmlib.errors import GlmmlibError, GlmmlibWarning
from glmmlib.likelihood.glmm import LaplaceDeviance
from glmmlib.likelihood.lmm import ProfiledDeviance
from support.gradients import assert_gradient
from support.saving import saved_and_loaded

TERMS = {word: structure.example for word, structure in STRUCTURES.items()}
TERMS |= {  # with other options
    "ar1, SDs of their own": "ar1(0 + t | g, hom=False)",
    "cs, one SD": "cs(0 + f | g, hom=True)",
    "diag, one SD": "diag(0 + f | g, hom=True)",
    "Matern 5/2": "mat(lon + lat | 1, nu=2.5)",
    "two terms of a factor": "(1 | g) + ar1(0 + t | g)",
    "beside a crossed factor": "ar1(0 + t | g) + (1 | animal)",
}
ANIMALS = 12

pytestmark = [
    pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning"),
    pytest.mark.filterwarnings("error::RuntimeWarning"),  # a number that is none is nobody's message
]


@cache
def data():
    """Ten groups at four times, two rows each, at twelve places that are homes of animals."""
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"g": np.repeat(np.arange(10), 8), "t": np.tile(np.repeat(np.arange(4), 2), 10)})
    n = len(table)
    table["f"] = pd.Categorical(np.array(list("abcd"))[table["t"]])
    table["x"], animal = rng.normal(size=n), rng.integers(0, ANIMALS, n)
    home = rng.uniform(0, 4, (ANIMALS, 2)).round(1)
    table["animal"] = [f"a{k}" for k in animal]
    table["lon"], table["lat"] = home[animal].T
    process = np.zeros((10, 4))
    for t in range(4):
        process[:, t] = 0.7 * process[:, t - 1] * (t > 0) + 0.6 * rng.normal(size=10)
    relation = np.linalg.cholesky(relationship()) @ rng.normal(size=ANIMALS)
    table["eta"] = 0.5 + 0.4 * table["x"] + process[table["g"], table["t"]] + 0.5 * relation[animal]
    table["eta"] += 0.4 * rng.normal(size=10)[table["g"]] + 0.3 * rng.normal(size=10)[table["g"]] * table["x"]
    table["y"] = table["eta"] + 0.5 * rng.normal(size=n)
    table["count"] = rng.poisson(np.exp(0.5 * table["eta"]))
    return table


def relationship():
    place = np.arange(ANIMALS)
    return 0.5 ** np.abs(place[:, None] - place)


def known():
    names = [f"a{k}" for k in range(ANIMALS)]
    return {"A": pd.DataFrame(relationship(), names, names)}


@cache
def fitted(name, kind):
    options = {"known": known()}
    if kind == "poisson":
        return gl.glmer(f"count ~ x + {TERMS[name]}", data(), family="poisson", **options)
    return gl.lmer(f"y ~ x + {TERMS[name]}", data(), reml=kind == "REML", **options)


@pytest.fixture(params=TERMS)
def name(request):
    return request.param


@pytest.fixture(params=["ML", "REML", "poisson"])
def every_fit(name, request):
    return fitted(name, request.param)


@pytest.fixture(params=["linear", "poisson"])
def fit(name, request):
    """For what does not ask by which criterion a linear model was fitted: by ML and by REML, turn about."""
    by_turns = ("ML", "REML")[list(TERMS).index(name) % 2]
    return fitted(name, by_turns if request.param == "linear" else request.param)


@cache
def profiled(name):
    return gl.profile(fitted(name, "ML"), level=0.9)


def structures(name):
    return [b.structure for g in fitted(name, "ML").groups for b in g.covariance.blocks]


def some_parameters(structure, rng):
    """Draw parameters inside the usual range."""
    par = structure.starts(np.ones(structure.q))[0] * rng.uniform(0.6, 1.6, structure.n_parameters)
    return structure.rectified(par + 0.1 * rng.normal(size=len(par)))


# --- the map ------------------------------------------------------------------------------------------


def test_each_structure_names_an_example():
    for word, structure in STRUCTURES.items():
        assert re.search(rf"\b{word}\(", structure.example), (
            f"{word}: `example` is a term such as {word}(x | g)"
        )


def test_directions_are_the_derivatives_of_the_factor(name):
    rng, h = np.random.default_rng(1), 1e-6
    for structure in structures(name):
        par, G = some_parameters(structure, rng), rng.normal(size=(structure.q, structure.q))
        steps = h * np.eye(len(par))
        expected = [(structure.factor(par + s) - structure.factor(par - s)) / (2 * h) for s in steps]
        np.testing.assert_allclose(structure.directions(par), expected, atol=1e-7)
        gradient = np.einsum("kab,ab->k", structure.directions(par), G)
        np.testing.assert_allclose(structure.pullback(par, G), gradient, rtol=1e-10, atol=1e-12)


def test_parameters_are_the_inverse_of_the_factor_for_any_root(name):
    rng = np.random.default_rng(2)
    for structure in structures(name):
        par = some_parameters(structure, rng)
        L = structure.factor(par)
        turn = np.linalg.qr(rng.normal(size=L.shape))[0]
        for root in (L, L @ turn):
            np.testing.assert_allclose(structure.parameters(root), par, atol=1e-6)


def test_a_change_of_columns_is_a_change_of_parameters(name):
    rng = np.random.default_rng(3)
    for structure in structures(name):
        par, q = some_parameters(structure, rng), structure.q
        T = {
            "linear": np.eye(q) + 0.3 * rng.normal(size=(q, q)),
            "scaling": np.diag(rng.uniform(0.5, 2.0, q)),
            "none": 1.7 * np.eye(q),
        }[structure.invariance]
        moved, expected = structure.factor(structure.transformed(par, T)), T @ structure.factor(par)
        np.testing.assert_allclose(moved @ moved.T, expected @ expected.T, atol=1e-10)


def test_arrays_of_parameters_are_taken_row_by_row(name):
    rng = np.random.default_rng(4)
    for structure in structures(name):
        rows = np.stack([some_parameters(structure, rng) for _ in range(3)])
        scale = np.array([1.0, 2.0, 3.0])
        for r, par in enumerate(rows):
            np.testing.assert_allclose(structure.factor(rows)[r], structure.factor(par))
            np.testing.assert_allclose(structure.values(rows, scale)[r], structure.values(par, scale[r]))
            T = 1.3 * np.eye(structure.q)
            np.testing.assert_allclose(structure.transformed(rows, T)[r], structure.transformed(par, T))
            assert np.isclose(structure.boundary_distance(rows)[r], structure.boundary_distance(par))


def test_a_held_quantity_is_held_and_its_gradient_is_right(name):
    rng, h = np.random.default_rng(5), 1e-6
    for structure in structures(name):
        par, q = some_parameters(structure, rng), structure.q
        G, T, scale = rng.normal(size=(q, q)), 1.5 * np.eye(q), 2.0
        G = G @ structure.factor(par)  # as criteria have it, which depend on Lambda Lambda' alone
        values = structure.values(structure.transformed(par, T), scale)
        for k, value in enumerate(values):
            held = structure.held(k, par, T, scale)
            L = structure.factor(par)
            root = held.factor(held.start, value)
            np.testing.assert_allclose(root @ root.T, L @ L.T, atol=1e-8)
            other = held.factor(held.start + 0.05, value)
            found = structure.values(structure.transformed(structure.parameters(other), T), scale)
            assert found[k] == pytest.approx(value, abs=1e-6)

            def along(x, v, held=held, G=G):
                return float(np.sum(G * held.factor(x, v)))

            gradient, slope = held.gradient(held.start, value, G)
            steps = h * np.eye(len(held.start))
            expected = [
                (along(held.start + s, value) - along(held.start - s, value)) / (2 * h) for s in steps
            ]
            np.testing.assert_allclose(gradient, expected, atol=1e-5)
            up, down = along(held.start, value + h), along(held.start, value - h)
            assert slope == pytest.approx((up - down) / (2 * h), abs=1e-5)


def test_charts_start_at_the_point_and_keep_its_rank(name):
    covariance = fitted(name, "ML").solution.problem.covariance
    rng = np.random.default_rng(6)
    theta = np.concatenate([some_parameters(b.structure, rng) for _, b in covariance.places])
    order = np.concatenate([b.index for _, b in covariance.places])
    theta = theta[np.argsort(order)]
    tangent = Tangent(covariance, theta)
    assert len(tangent) == covariance.size
    for root, L in zip(tangent.factors, covariance.factors(theta), strict=True):
        np.testing.assert_allclose(root @ root.T, L @ L.T, atol=1e-10)
    at_zero = Tangent(covariance, np.where(np.isin(np.arange(len(theta)), covariance.sizes), 0.0, theta))
    assert len(at_zero) < covariance.size


def test_values_names_and_bounds_belong_together(name):
    fit = fitted(name, "ML")
    for group in fit.groups:
        for block, columns, term in group.parts_of_covariance():
            structure = block.structure
            quantities = structure.quantities(columns, term.label)
            names = structure.names(columns, term.label)
            assert len(quantities) == len(names) == len(set(names)) == structure.n_parameters
            values = structure.values(fit.theta.to_numpy()[block.index], 1.0)
            for quantity, value in zip(quantities, values, strict=True):
                assert np.isnan(value) or quantity.lower <= value <= quantity.upper
    assert fit.theta.index.is_unique


# --- the likelihood -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [False, True])
def test_the_gradient_of_a_linear_criterion_is_right(name, reml):
    fit = fitted(name, "ML")
    problem = ProfiledDeviance(fit.design.y, fit.design.X, fit.groups, reml)
    rng = np.random.default_rng(7)
    theta = (
        problem.covariance.rectified(fit.solution.standard_theta) * rng.uniform(0.8, 1.2, problem.n_theta)
        + 0.05
    )
    gradient = problem.gradient(theta)
    assert_gradient(lambda x: problem.objective(x)[0], gradient, theta, 1e-4, rtol=1e-6, atol=1e-5)


def test_the_gradient_of_laplace_s_approximation_is_right(name):
    fit = fitted(name, "poisson")
    y = fit.design.y
    problem = LaplaceDeviance(fit.family, y, fit.design.X, fit.groups)
    problem.pirls_tolerance = 1e-15
    rng = np.random.default_rng(8)
    x = fit.solution.parameters + 0.05 * rng.normal(size=problem.n_parameters)
    problem.theta(x)[:] += 0.1
    assert_gradient(lambda z: problem.evaluate(z)[0], problem.gradient(x), x, 1e-3, rtol=1e-5, atol=1e-4)


def test_no_point_nearby_is_lower(every_fit):
    fit = every_fit
    rng = np.random.default_rng(9)
    problem = fit.solution.problem
    if fit.is_linear:
        best, value = fit.solution.standard_theta, lambda theta: problem.objective(theta)[0]
    else:
        best, value = fit.solution.parameters, lambda x: problem.objective(x)[0]
    for size in (1e-3, 0.03, 0.3):
        for _ in range(4):
            assert value(best + size * rng.normal(size=len(best))) > fit.deviance - 1e-6


# --- every room ---------------------------------------------------------------------------------------


def test_the_fit_is_well(every_fit):
    fit = every_fit
    assert fit.convergence.converged and np.isfinite(fit.deviance) and np.isfinite(fit.bse).all()
    Sigma = fit.Z @ fit.Lambda @ fit.Lambda.T @ fit.Z.T
    assert Sigma.shape == (fit.nobs, fit.nobs)
    if fit.is_linear:
        assert fit.objective(fit.theta) == pytest.approx(fit.deviance, abs=1e-8)


def test_predictions_of_the_fits_own_rows_are_its_fitted_values(fit):
    np.testing.assert_allclose(fit.predict(data()), fit.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(fit.predict(data(), re_form="~0"), fit.predict(re_form="~0"), rtol=1e-9)
    text = " + ".join(term.text for g in fit.groups for term in g.terms)
    np.testing.assert_allclose(fit.predict(data(), re_form=f"~ {text}"), fit.fittedvalues, rtol=1e-9)
    found = fit.predict(data().head(5), interval="prediction")
    assert (found["lower"] <= found["upper"]).all() and np.isfinite(found).all(axis=None)


def test_what_the_fit_has_not_seen_is_refused(name):
    fit = fitted(name, "ML")
    new = data().head(3).assign(t=9, f="a", lon=77.0, animal="a99")
    if all(structure.left_side == "curve" for structure in structures(name)):
        assert fit.predict(new).notna().all()  # a curve goes on beyond the data
    elif {"t", "lon"} & set(re.findall(r"\w+", TERMS[name])) or "known" in TERMS[name]:
        with pytest.raises(GlmmlibError, match=r"has no effect for|has not seen"):
            fit.predict(new)


def test_simulated_responses_have_the_covariance_of_the_model(name):
    fit = fitted(name, "ML")
    Y = fit.simulate(4000, np.random.default_rng(10)) - fit.predict(re_form="~0").to_numpy()[:, None]
    drawn = np.repeat([float(not g.is_curve) for g in fit.groups], [g.q * len(g.levels) for g in fit.groups])
    Z = fit.Z.toarray() * drawn  # all responses share a curve
    V = fit.sigma**2 * (Z @ (fit.Lambda @ fit.Lambda.T) @ Z.T + np.eye(fit.nobs))
    error = np.sqrt((V**2 + np.outer(np.diag(V), np.diag(V))) / Y.shape[1])
    assert np.abs((Y @ Y.T / Y.shape[1] - V) / error).max() < 5.5


def test_a_refit_is_a_fit_and_many_are_refits(every_fit):
    fit = every_fit
    y = fit.design.y.copy()
    np.random.default_rng(11).shuffle(y)
    Y = np.column_stack([fit.design.y, y])
    many = fit.refit_many(Y)
    assert many.deviance[0] == pytest.approx(fit.deviance, abs=1e-5)
    single = fit.refit(y)
    assert many.deviance[1] == pytest.approx(single.deviance, abs=1e-5)
    np.testing.assert_allclose(many.params.iloc[1], single.params, atol=1e-3)
    assert list(many.quantities) == [place.name for place in places_of(fit.groups)]
    values = values_of(fit.groups, single.theta.to_numpy(), single.scale)
    np.testing.assert_allclose(many.quantities.iloc[1], values, atol=5e-3)


def test_profiles_start_at_the_estimates_and_hold_them(name):
    fit = fitted(name, "ML")
    profile = profiled(name)
    estimates = {c.parameter: c.sd for g in fit.varcorr.values() for c in g.components}
    for parameter, estimate in estimates.items():
        assert profile.curves[parameter].estimate == pytest.approx(estimate, rel=1e-6)
    table = profile.conf_int(0.9)
    for parameter, curve in profile.curves.items():
        lower, upper = table.loc[parameter]
        assert not lower > curve.estimate + 1e-9 and not upper < curve.estimate - 1e-9


def test_the_bootstrap_has_the_names_of_the_profile(name):
    fit = fitted(name, "ML")
    boot = fit.bootstrap(3, rng=np.random.default_rng(12))
    profile = profiled(name)
    assert set(boot.estimates.index) == set(profile.curves) | set(profile.undefined)


def test_update_pickle_file_and_the_formula_give_the_fit_again(fit, tmp_path):
    assert fit.update().deviance == pytest.approx(fit.deviance, abs=1e-8)
    for again in (pickle.loads(pickle.dumps(fit)), saved_and_loaded(fit, tmp_path)):
        np.testing.assert_array_equal(again.predict(), fit.predict())
        pd.testing.assert_frame_equal(again.conf_int(), fit.conf_int(), check_exact=True)
    terms = " + ".join(term.text for g in fit.groups for term in g.terms)
    left = fit.formula.split("~")[0]
    same = fit.update(f"{left} ~ x + {terms}", data=data())
    assert same.deviance == pytest.approx(fit.deviance, abs=1e-6)


def test_tables_and_reports_show_each_parameter_once(fit):
    tidy = gl.tidy(fit)
    rows = tidy[(tidy["effect"] == "ran_pars") & (tidy["group"] != "Residual")]
    assert len(rows) == len(fit.theta)
    summary = str(fit.summary())
    for g in fit.varcorr.values():
        for c in g.components:
            assert c.name[:20] in summary
            for kind, value in c.shared.items():
                assert f"{kind} {value:.3g}" in summary and kind in fit.varcorr.to_frame()
    assert str(gl.report(fit)) and fit._repr_html_() and repr(fit)


def test_random_effects_are_the_modes(fit):
    modes = fit.ranef(cond_sd=True, error_sd=True)
    n_effects = sum(g.q * len(g.levels) for g in fit.groups if not g.is_curve)
    assert (
        sum(len(t) * sum(not c.startswith(("sd ", "error sd ")) for c in t) for t in modes.values())
        == n_effects
    )
    assert all(np.isfinite(t).all(axis=None) for t in modes.values())
    assert bool(fit.ngroups) == bool(n_effects) and set(fit.coef()) <= set(fit.ngroups)


def test_satterthwaite_and_kenward_roger(name):
    fit = fitted(name, "REML")
    assert (fit.df > 1).all() and (fit.df <= fit.nobs).all()
    is_linear = all(s.covariance_basis() is not None for s in structures(name))
    if is_linear:
        assert (gl.coef_tests(fit, ddf="kenward-roger")["df"] > 1).all()
    else:
        with pytest.raises(GlmmlibError, match="linear in their parameters"):
            gl.coef_tests(fit, ddf="kenward-roger")


def test_a_test_of_a_fixed_effect_compares_models_of_one_structure(name):
    fit = fitted(name, "ML")
    found = gl.anova(fit.update("~ . - x"), fit)
    assert found.table["df"].iloc[1] == 1 and 0 <= found.table["p"].iloc[1] <= 1


ROOMS = {
    "icc": gl.icc,
    "r2": gl.r2,
    "shrinkage": gl.shrinkage,
    "means": lambda fit: gl.means(fit, "x", at={"x": [0.0, 1.0]}),
    "slopes": lambda fit: gl.slopes(fit, "x"),
    "robust": gl.robust,
    "anova": gl.anova,
    "conditional AIC": gl.conditional_aic,
    "residuals": lambda fit: gl.simulated_residuals(fit, n=20, rng=np.random.default_rng(1)),
    "glance": gl.glance,
    "augment": gl.augment,
    "all rows": lambda fit: gl.tidy(fit, effects=["fixed", "ran_pars", "ran_vals"]),
    "caterpillar": gl.plots.caterpillar,
    "surface": gl.plots.likelihood_surface,
    "profile picture": lambda fit: gl.plots.profile(gl.profile(fit, "x", level=0.5)),
    "the other criterion": lambda fit: fit.with_criterion(reml=not fit.reml) if fit.is_linear else fit,
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_right_or_refuses_in_a_sentence(fit, room):
    found, refused = None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlmmlibWarning)
            found = ROOMS[room](fit)
    except GlmmlibError as error:
        refused = str(error)
    assert found is not None or len(refused) > 30
    plt.close("all")


@pytest.mark.parametrize("name", ["ar1", "exp", "known"])
def test_a_check_of_the_fit_runs(name, monkeypatch):
    monkeypatch.setattr("glmmlib.diagnostics.check.MIN_REFITS", 9)  # its numbers are looked at elsewhere
    assert gl.check(fitted(name, "REML"), n=9, rng=np.random.default_rng(1)).lines
