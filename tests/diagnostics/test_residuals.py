"""Simulated residuals: distribution functions, uniformity under the model, and wrong models."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.diagnostics.quantile_residuals import normal_scores, tails, zero_probability
from glmmlib.errors import DataError, GlmmlibWarning, ModelError
from glmmlib.families.gaussian import Gaussian
from glmmlib.families.registry import family
from glmmlib.replicates.views import conditional_predictors
from support import reference_values as rv

COUNTS = np.array([0.0, 1.0, 2.0, 5.0, 40.0])
MEANS = np.array([0.5, 1.0, 4.0, 3.0, 30.0])


def grouped(rng, J=20, m=10):
    g = np.repeat(np.arange(J), m)
    data = pd.DataFrame({"g": g, "h": np.tile(np.arange(m), J), "x": rng.normal(size=J * m)})
    return data, 0.6 * rng.normal(size=J)[g]


@pytest.fixture(scope="module")
def sleep_slopes():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", rv.data("sleepstudy"))


# -- distribution functions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, k, frozen",
    [
        ("poisson", None, stats.poisson(MEANS)),
        ("negbinomial", 1.7, stats.nbinom(1.7, 1.7 / (1.7 + MEANS))),
    ],
)
def test_counts_have_the_tails_of_scipys_distributions(name, k, frozen):
    found = tails(family(name), COUNTS, np.log(MEANS), None, k)
    np.testing.assert_allclose(found.below, frozen.cdf(COUNTS - 1), rtol=1e-10)
    np.testing.assert_allclose(found.at, frozen.pmf(COUNTS), atol=1e-14)
    np.testing.assert_allclose(found.above, frozen.sf(COUNTS), rtol=1e-8)
    np.testing.assert_allclose(zero_probability(family(name), np.log(MEANS), None, k), frozen.pmf(0))


def test_binomial_tails():
    n, y, p = (
        np.array([1.0, 1.0, 4.0, 40.0, 7.0]),
        np.array([0.0, 1.0, 2.0, 39.0, 7.0]),
        np.array([0.2, 0.3, 0.5, 0.9, 0.4]),
    )
    found, frozen = tails(family("binomial"), y, np.log(p / (1 - p)), n), stats.binom(n, p)
    np.testing.assert_allclose(found.below, frozen.cdf(y - 1), atol=1e-14)
    np.testing.assert_allclose(found.at, frozen.pmf(y), atol=1e-14)
    np.testing.assert_allclose(found.above, frozen.sf(y), atol=1e-14)


def test_continuous_tails():
    y, mu, w = np.array([0.1, 2.0, 30.0]), np.array([1.0, 1.0, 3.0]), np.array([1.0, 2.0, 4.0])
    found = tails(family("gamma"), y, np.log(mu), w, 0.5)
    np.testing.assert_allclose(found.below, stats.gamma(2 * w, scale=mu / (2 * w)).cdf(y), rtol=1e-12)
    normal = tails(Gaussian(), y, mu, w, 2.0)
    np.testing.assert_allclose(normal.above, stats.norm(mu, 2.0 / np.sqrt(w)).sf(y), rtol=1e-10)
    assert (found.at == 0).all() and (normal.at == 0).all()


def test_an_extreme_observation_keeps_its_digits():
    found = tails(Gaussian(), np.array([20.0, -20.0]), np.zeros(2), None, 1.0)
    assert normal_scores(*found.randomised(np.random.default_rng(1))) == pytest.approx([20.0, -20.0])


# -- a fit at the parameters of its refits ---------------------------------------------------------------

MODELS = {
    "slopes": ("y ~ x + (x | g)", None),
    "two factors": ("y ~ x + (1 | g) + (1 | h)", None),
    "poisson": ("c ~ x + (x | g)", "poisson"),
    "negbinomial": ("c ~ x + (1 | g)", "negbinomial"),
    "crossed poisson": ("c ~ x + (1 | g) + (1 | h)", "poisson"),
}


@pytest.mark.parametrize("case", MODELS)
def test_views_and_modes_equal_those_of_refits(case):
    formula, name = MODELS[case]
    rng = np.random.default_rng(3)
    data, b = grouped(rng)
    data = data.assign(
        y=b + rng.normal(size=len(data)), c=rng.negative_binomial(2, 2 / (2 + np.exp(1 + b))), e=0.1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = (
            gl.lmer(formula, data, offset="e")
            if name is None
            else gl.glmer(formula, data, family=name, offset="e")
        )
        Y = fit.simulate(4, rng=rng)
        many = fit.refit_many(Y)
        single = fit.refit(Y[:, 2])
        eta = conditional_predictors(fit, many, Y)[:, 2]
        np.testing.assert_allclose(eta, single.solution.linear_predictor(), atol=2e-4)
        view = fit.at(many.estimates(2))
        assert float(gl.icc(view)) == pytest.approx(float(gl.icc(single)), abs=1e-4)
        assert gl.r2(view).conditional == pytest.approx(gl.r2(single).conditional, abs=1e-4)
        draws = [one.simulate(rng=np.random.default_rng(9)) for one in (view, single)]
    if name is None:
        np.testing.assert_allclose(*draws, atol=1e-3)


# -- simulated residuals ---------------------------------------------------------------------------------


def test_residuals_are_ranks_among_the_simulations(sleep_slopes):
    found = gl.simulated_residuals(sleep_slopes, n=50, rng=np.random.default_rng(1))
    drawn = sleep_slopes.simulate(50, rng=np.random.default_rng(1))
    below = (drawn < sleep_slopes.design.y[:, None]).sum(axis=1)
    assert ((found.values > below / 51) & (found.values < (below + 1) / 51)).all()
    np.testing.assert_allclose(found.fitted, drawn.mean(axis=1))
    assert list(found.values.index) == list(sleep_slopes.design.index)


def test_the_same_seed_the_same_residuals(sleep_slopes):
    a, b = (gl.simulated_residuals(sleep_slopes, rng=np.random.default_rng(5)) for _ in range(2))
    assert a.values.equals(b.values) and repr(a) == repr(b)


def test_conditional_residuals_leave_the_groups_out():
    """Group means of unconditional residuals differ by the random intercepts, those of conditional ones
    hardly.
    """
    rng = np.random.default_rng(2)
    data, b = grouped(rng, 30, 20)
    fit = gl.lmer("y ~ x + (1 | g)", data.assign(y=3 * b + rng.normal(size=len(data))))
    spread = {
        kind: gl.simulated_residuals(fit, rng=rng, conditional=kind).values.groupby(data["g"]).mean().std()
        for kind in (False, True)
    }
    assert spread[False] > 4 * spread[True]


@pytest.mark.parametrize("conditional", [False, True])
def test_raw_uniformity_is_conservative_for_right_models(conditional):
    """Parameters (and modes) come from the same data: far fewer than one p-value in twenty is below 0.05."""
    rng, low = np.random.default_rng(4), 0
    for _ in range(60):
        data, b = grouped(rng, 15, 10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlmmlibWarning)
            fit = gl.lmer("y ~ x + (1 | g)", data.assign(y=b + rng.normal(size=len(data))))
        low += gl.simulated_residuals(fit, n=100, rng=rng, conditional=conditional).uniformity.p < 0.05
    assert low <= 3


def test_overdispersion_and_zeros_show():
    rng = np.random.default_rng(6)
    data, b = grouped(rng, 40, 40)
    mu = np.exp(1 + b)
    right = gl.glmer("y ~ x + (1 | g)", data.assign(y=rng.poisson(mu)), family="poisson")
    spread = gl.glmer(
        "y ~ x + (1 | g)", data.assign(y=rng.poisson(mu * rng.standard_gamma(1.0, len(mu)))), family="poisson"
    )
    empty = gl.glmer(
        "y ~ x + (1 | g)", data.assign(y=rng.poisson(mu) * (rng.random(len(mu)) > 0.25)), family="poisson"
    )
    right, spread, empty = (
        gl.simulated_residuals(f, rng=rng, conditional=True) for f in (right, spread, empty)
    )
    assert right.dispersion.ratio == pytest.approx(1.0, abs=0.12) and right.zeros.p > 0.05
    assert spread.dispersion.ratio > 1.5 and spread.dispersion.p < 0.01 and spread.uniformity.p < 0.01
    assert empty.zeros.ratio > 1.5 and empty.zeros.p < 0.01


def test_zeros_are_counted_only_where_they_can_be_a_fault(sleep_slopes):
    assert gl.simulated_residuals(sleep_slopes, n=20, rng=np.random.default_rng(1)).zeros is None
    rng = np.random.default_rng(1)
    data, b = grouped(rng, 40, 10)
    binary = gl.glmer(
        "y ~ x + (1 | g)", data.assign(y=(3 * b + rng.logistic(size=len(b)) > 0) * 1), family="binomial"
    )
    assert gl.simulated_residuals(binary, n=20, rng=rng).zeros is None


def test_outliers_lie_outside_all_simulations():
    rng = np.random.default_rng(7)
    data, b = grouped(rng, 40, 10)
    y = b + rng.normal(size=len(b))
    fit = gl.lmer("y ~ x + (1 | g)", data.assign(y=y))
    assert gl.simulated_residuals(fit, n=1000, rng=rng).outliers.p > 0.05
    y[[3, 77, 150, 222, 390]] = 12.0
    found = gl.simulated_residuals(gl.lmer("y ~ x + (1 | g)", data.assign(y=y)), n=1000, rng=rng)
    assert found.outliers.statistic >= 5 and found.outliers.p < 0.01
    assert (found.values[[3, 77, 150, 222, 390]] > 1000 / 1001).all()


# -- time ------------------------------------------------------------------------------------------------


def series(rng, rho, J=30, m=12):
    """A random intercept and AR(1) errors, rows shuffled."""
    e = np.empty((J, m))
    e[:, 0] = rng.normal(size=J)
    for t in range(1, m):
        e[:, t] = rho * e[:, t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=J)
    data = pd.DataFrame(
        {
            "g": np.repeat(np.arange(J), m),
            "t": np.tile(np.arange(m), J),
            "y": (e + rng.normal(size=(J, 1))).ravel(),
        }
    )
    return data.sample(frac=1.0, random_state=int(rng.integers(1000)))


@pytest.mark.parametrize("conditional", [False, True])
def test_autocorrelation_shows_in_time_order_only(conditional):
    rng = np.random.default_rng(8)
    data = series(rng, 0.5)
    found = gl.simulated_residuals(gl.lmer("y ~ 1 + (1 | g)", data), rng=rng, conditional=conditional)
    in_order = found.autocorrelation("t", rng=rng)
    assert in_order.p < 0.01 and in_order.statistic > 0.2 and in_order.expected < 0
    data["any"] = rng.permutation(len(data))
    assert (
        gl.simulated_residuals(gl.lmer("y ~ 1 + (1 | g)", data), rng=rng).autocorrelation("any", rng=rng).p
        > 0.01
    )


def test_autocorrelation_holds_its_level():
    rng = np.random.default_rng(9)
    p = []
    for _ in range(80):
        fit = gl.lmer("y ~ 1 + (1 | g)", series(rng, 0.0, 15, 8))
        p.append(gl.simulated_residuals(fit, n=100, rng=rng).autocorrelation("t", n=199, rng=rng).p)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_refusals(sleep_slopes):
    rng = np.random.default_rng(1)
    with pytest.raises(ModelError, match="numpy Generator"):
        gl.simulated_residuals(sleep_slopes)
    with pytest.raises(ModelError, match="20 or more, not 5"):
        gl.simulated_residuals(sleep_slopes, n=5, rng=rng)
    found = gl.simulated_residuals(sleep_slopes, n=20, rng=rng)
    with pytest.raises(DataError, match="no column 'day'"):
        found.autocorrelation("day", rng=rng)
    with pytest.raises(DataError, match="the same value twice within a group"):
        found.autocorrelation("Subject", rng=rng)
    with pytest.raises(ModelError, match="numpy Generator"):
        found.autocorrelation("Days")


# -- picture ---------------------------------------------------------------------------------------------


def test_the_panel_draws_into_the_axes_given(sleep_slopes):
    plt = pytest.importorskip("matplotlib.pyplot")
    found = gl.simulated_residuals(sleep_slopes, n=50, rng=np.random.default_rng(1))
    figure, axes = plt.subplots(1, 3)
    drawn = gl.plots.residual_panel(found, ax=axes)
    assert list(drawn) == list(axes)
    np.testing.assert_allclose(np.sort(drawn[0].lines[1].get_ydata()), np.sort(found.values))
    assert drawn[2].get_xlabel() == "Days"
    with pytest.raises(ModelError, match="three axes, not 1"):
        gl.plots.residual_panel(found, ax=axes[0])
    with pytest.raises(DataError, match="'Subject' is not numeric"):
        gl.plots.residual_panel(found, x="Subject", ax=axes)
    plt.close(figure)
