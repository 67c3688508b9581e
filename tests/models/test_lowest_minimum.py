"""A fit reported as valid is the lowest of its minima: dominant groups, unequal groups, wide weights."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning, ModelError
from support.streams import generalised, linear

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")


@pytest.mark.parametrize(("family", "seed", "deviance"), [("gamma", 34, 142.450), ("poisson", 81, 165.027)])
def test_one_group_with_most_rows(family, seed, deviance):
    """The maximum lies away from variance zero; the deviances are glmmTMB's."""
    rng, sizes = np.random.default_rng(seed), [25, 1, 1, 1, 1, 1]
    g = np.repeat(np.arange(6), sizes)
    X = np.column_stack([np.ones(30)] + [rng.normal(size=30) for _ in range(2)])
    eta = 0.5 + 0.4 * X[:, 1:].sum(axis=1) + 1.5 * rng.normal(size=6)[g]
    y = np.exp(eta) * rng.gamma(2, 0.5, 30) if family == "gamma" else rng.poisson(np.exp(eta))
    table = pd.DataFrame({"g": g, "y": y, "x0": X[:, 1], "x1": X[:, 2]})
    fit = gl.glmer("y ~ x0 + x1 + (1 | g)", table, family)
    assert fit.deviance == pytest.approx(deviance, abs=2e-3)
    assert fit.refit(table["y"]).deviance == pytest.approx(fit.deviance, abs=1e-5)
    many = fit.refit_many(table["y"].to_numpy(dtype=float)[:, None])
    assert many.deviance[0] == pytest.approx(fit.deviance, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_two_unequal_groups(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat([0, 1], [30, 3])
    table = pd.DataFrame({"g": g, "y": 30 * rng.normal(size=2)[g] + rng.normal(size=33)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.lmer("y ~ 1 + (1 | g)", table)
    assert fit.convergence.converged
    assert fit.convergence.n_evaluations < 40
    assert fit.deviance <= min(fit.objective([t]) for t in np.geomspace(1e-2, 1e3, 400)) + 1e-8


@pytest.mark.parametrize("seed", range(12))
def test_weights_over_eight_orders(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat([0, 1], [15, 2])
    table = pd.DataFrame({f"x{k}": rng.normal(size=17) for k in range(4)}).assign(g=g)
    w = 10 ** rng.uniform(-4, 4, 17)
    table["y"] = 5 * rng.normal(size=2)[g] + rng.normal(size=17) / np.sqrt(w)
    fit = gl.lmer("y ~ x0 + x1 + x2 + x3 + (1 | g)", table, reml=False, weights=w)
    assert fit.deviance <= min(fit.objective([t]) for t in np.geomspace(1e-3, 1e4, 400)) + 1e-6


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("mean", [0.0, 1e6, 1e8])
def test_many_refits_far_from_zero(shift, mean):
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(8), 6)
    table = pd.DataFrame({"g": g, "x": rng.normal(size=48) + shift})
    table["y"] = mean + rng.normal(size=8)[g] + rng.normal(size=48)
    fit = gl.lmer("y ~ x + (1 | g)", table)
    Y = fit.simulate(4, rng=np.random.default_rng(1))
    many = fit.refit_many(Y)
    for k, single in enumerate(fit.refit(y) for y in Y.T):
        assert many.deviance[k] == pytest.approx(single.deviance, abs=1e-5)
        assert many.params["x"][k] == pytest.approx(single.params["x"], abs=1e-4 * single.bse["x"])
        assert many.bse["x"][k] == pytest.approx(single.bse["x"], rel=1e-4)


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6, 1e8])
def test_an_exact_response_is_refused_wherever_x_lies(shift):
    x = np.random.default_rng(3).normal(size=40) + shift
    table = pd.DataFrame({"g": np.repeat(np.arange(8), 5), "x": x, "y": 2.0 + 3.0 * (x - shift)})
    with pytest.raises(gl.errors.ModelError, match="reproduce the response exactly"):
        gl.lmer("y ~ x + (1 | g)", table)


def test_no_intercept_and_a_response_far_from_zero():
    """r2 is not the difference of two large sums."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(10), 6)
    e = rng.normal(size=10)[g] + rng.normal(size=60)
    far = gl.lmer("y ~ 0 + (1 | g)", pd.DataFrame({"g": g, "y": 3e5 + e}))
    within = pd.Series(e).groupby(g).var().mean()
    assert far.sigma == pytest.approx(np.sqrt(within), rel=1e-6)


@pytest.mark.parametrize(
    ("seed", "deviance"),
    [(1961, 115.465284), (2346, 98.960906), (2991, 70.690344)],
    ids=["a face beside an inner minimum", "a valley narrower than the grid", "weights over eight orders"],
)
def test_the_lowest_of_several_valleys(seed, deviance):
    """Each design misled a look over a grid of other steps; the deviances are the independent judge's."""
    fit, _ = linear(seed).fit()
    assert fit.deviance == pytest.approx(deviance, abs=1e-5)


def test_three_crossed_factors_of_which_one_has_a_dominant_level():
    """A start lay so high on the slope of its valley that the way to another saw no ridge (lme4 1.1-31)."""
    codes = {
        "a": "000000000000000000001234567",
        "b": "001100000000003002001221201",
        "c": "000321434233204114334013214",
    }
    y = [10.3, 7.1848, 5.3175, 5.0852, 11.8461, 0.3765, 18.4486, 3.9009, 21.0548, 11.5279, 4.8353, 8.0614]
    y += [14.5328, -2.462, 15.5685, 8.631, 9.5974, 15.3778, 8.3951, 10.6456, 6.13, 5.5943, 8.1275, 14.2298]
    y += [20.7282, 13.2157, 4.7652]
    data = pd.DataFrame({name: list(code) for name, code in codes.items()} | {"y": y})
    fit = gl.lmer("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", data)
    assert fit.deviance == pytest.approx(164.4933, abs=1e-4)
    np.testing.assert_allclose(fit.theta, [1.404, 0.0, 1.081], atol=2e-3)


def test_a_criterion_without_a_value_nearby_is_no_foreign_error():
    fit, _ = linear(1689).fit()
    assert np.isfinite(fit.deviance)


def test_many_correlations_of_nearly_nothing_are_one_start():
    """A slope of size nearly zero has one valley, whatever its correlation; the other is found too."""
    x = [-0.588168, 0.608375, 0.388235, -0.956303, -1.182895, 0.115536, 0.357712, 0.550956, 0.977643]
    x += [1.540681, -0.253140, 0.578729, -0.760622, 0.072673, -3.012720, 1.827367, 1.355086, -0.197628]
    y = [0.129310, 0.935972, 1.894240, 1.360761, -0.005863, 2.199840, 5.155956, 2.561159, 1.968121]
    y += [1.899254, 3.783115, 0.459265, 0.572512, 2.051002, 0.175184, 4.212928, 3.988278, 1.831500]
    g, h = list("001111222223333444"), list("012123022120312031")
    table = pd.DataFrame({"y": y, "x": x, "g": g, "h": h})
    smaller, larger = (gl.lmer(f"y ~ x + (x | g){more}", table, reml=False) for more in ("", " + (1 | h)"))
    assert larger.deviance <= smaller.deviance + 1e-6


@pytest.mark.parametrize(("seed", "deviance"), [(466, 83.12783), (496, 51.92380)])
def test_a_row_a_level_whose_effect_does_what_the_dispersion_does(seed, deviance):
    """Negative binomial: a large spread of the effects and almost no other; the judge's values."""
    fit, _ = generalised(seed).fit()
    assert fit.deviance == pytest.approx(deviance, abs=1e-4)
    Y = fit.simulate(4, rng=466)
    assert fit.refit_many(Y).deviance == pytest.approx([fit.refit(y).deviance for y in Y.T], abs=1e-4)


@pytest.mark.parametrize(
    ("seed", "deviance"),
    [(877, 26.688114), (836, 27.827427), (895, 20.529665)],
    ids=["two levels, the mean at the other", "six levels, no correlation", "four levels, both"],
)
def test_few_levels_about_another_mean(seed, deviance):
    """Where the mean lies depends on which level is thought to be typical; the judge's values."""
    case = generalised(seed)
    fit, _ = case.fit()
    assert fit.deviance == pytest.approx(deviance, abs=1e-5)
    assert fit.refit_many(case.data["y"].to_numpy(float)[:, None]).deviance[0] == pytest.approx(
        fit.deviance, abs=1e-4
    )


def almost_a_row_a_level(n_levels=26):
    rng = np.random.default_rng(827)
    table = pd.DataFrame({"g": [*range(n_levels), 0], "x": rng.normal(size=n_levels + 1)})
    return table.assign(y=rng.gamma(2.0, 1.0, n_levels + 1), p=rng.beta(2.0, 3.0, n_levels + 1))


@pytest.mark.parametrize(("response", "family"), [("y", "gamma"), ("p", "beta"), ("y", "normal")])
def test_effects_that_reproduce_any_response_are_refused(response, family):
    """One pair of rows, and a slope between them: as the dispersion vanishes the likelihood has no end."""
    table = almost_a_row_a_level()
    with pytest.raises(gl.errors.ModelError, match="the likelihood has no maximum"):
        if family == "normal":
            gl.lmer(f"{response} ~ x + (1 | g)", table, reml=False)
        else:
            gl.glmer(f"{response} ~ x + (1 | g)", table, family)


@pytest.mark.parametrize(("response", "family"), [("y", "gamma"), ("p", "beta")])
def test_one_degree_of_freedom_is_enough(response, family):
    assert np.isfinite(gl.glmer(f"{response} ~ 1 + (1 | g)", almost_a_row_a_level(), family).deviance)


def test_two_factors_that_reproduce_any_response_are_refused():
    """Three by three rows, two main effects and four columns for what is left."""
    rng = np.random.default_rng(9)
    table = pd.DataFrame({"g": [*"aaabbbccc"], "h": [*"xyzxyzxyz"], "y": rng.normal(size=9)})
    table[["a", "b", "c", "d"]] = rng.normal(size=(9, 4))
    with pytest.raises(gl.errors.ModelError, match="no maximum"):
        gl.lmer("y ~ a + b + c + d + (1 | g) + (1 | h)", table, reml=False)
    assert np.isfinite(gl.lmer("y ~ a + b + c + (1 | g) + (1 | h)", table, reml=False).deviance)


def test_a_count_s_dispersion_may_vanish():
    """The limit of a negative binomial is the Poisson distribution, which has a likelihood of its own."""
    table = almost_a_row_a_level().assign(k=lambda t: np.round(t["y"]))
    assert np.isfinite(gl.glmer("k ~ x + (1 | g)", table, "negbinomial").deviance)


def test_a_fit_that_runs_off_is_warned_of():
    """Nearly all successes and a cloglog link: the SDs run to infinity."""
    fit, caught = generalised(1460).fit()
    assert "ConvergenceWarning" in caught
    assert fit.deviance == pytest.approx(4.87413, abs=1e-4)


@pytest.mark.parametrize("units", [800.0, 1e6])
def test_a_predictor_out_of_range_is_refused_in_words(units):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"g": np.repeat(np.arange(6), 5), "x": rng.normal(size=30), "y": rng.poisson(2, 30)})
    with pytest.raises(ModelError, match="runs out of the range"):
        gl.glmer("y ~ x + (1 | g)", table, "poisson", offset=np.where(np.arange(30) == 3, units, 0.0))
