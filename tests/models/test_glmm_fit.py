"""Everything a fit can do works for every family and link: predictions, simulation, refits, tests, tables,
pickles.
"""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtri
from test_glmm_hard_cases import PAIRS, quiet, simulated

import glmmlib as gl
from glmmlib.errors import GlmmlibError, ModelError
from glmmlib.families.registry import family

SHARED = [pair for pair in PAIRS if pair[1] != "inverse" and not family(*pair).no_shares]
by_pair = pytest.mark.parametrize("pair", PAIRS, ids="-".join)


@pytest.fixture(scope="module")
def fits():
    found = {}
    for pair in PAIRS:
        data = simulated(pair, sd=(3.0 if pair[1] in ("sqrt", "identity", "inverse") else 0.6, 0.0))
        found[pair] = quiet("y ~ x + (1 | g)", data, pair), quiet("y ~ 1 + (1 | g)", data, pair)
    return found


def located(fit):
    """What the methods of a family take for the mean, which it is unless responses are cut off."""
    return fit.family.link.inverse(fit.linear_predictor.to_numpy())


NEW = pd.DataFrame({"x": [0.0, 1.0, -0.5], "g": [1, 4, 999]})


# ---------------------------------------- predictions


@by_pair
def test_predictions_by_hand(fits, pair):
    fit = fits[pair][0]
    modes = fit.ranef()["g"]["Intercept"].reindex(NEW["g"]).fillna(0.0).to_numpy()
    fixed = fit.params["Intercept"] + fit.params["x"] * NEW["x"]
    mean_of, own = fit.family.mean, fit.dispersion
    np.testing.assert_allclose(
        fit.predict(NEW, kind="link", allow_new_levels=True), fixed + modes, rtol=1e-12
    )
    np.testing.assert_allclose(
        fit.predict(NEW, allow_new_levels=True), mean_of(fixed + modes, own), rtol=1e-12
    )
    np.testing.assert_allclose(fit.predict(NEW, re_form="~0"), mean_of(fixed, own), rtol=1e-12)
    np.testing.assert_allclose(fit.predict(), fit.fittedvalues, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(kind="link"), fit.linear_predictor, rtol=1e-12)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[1] != "inverse"], ids="-".join)
@pytest.mark.parametrize("term", ["(1 | g)", "(x | g)"])
def test_marginal_predictions_integrate_the_random_effects_out(pair, term):
    fit = quiet(f"y ~ x + {term}", simulated(pair, sd=(0.6, 0.4)), pair)
    for x in (-1.0, 0.0, 2.0):
        z = np.array([1.0, x])[: fit.groups[0].q]
        sd = np.sqrt(z @ fit.varcorr["g"].cov.to_numpy() @ z)
        eta = fit.params["Intercept"] + fit.params["x"] * x
        mean, located = (
            quad(lambda t, f=f, e=eta, s=sd: f(e + s * t) * np.exp(-0.5 * t * t), -12, 12, epsabs=1e-13)[0]
            for f in (lambda e: fit.family.mean(e, fit.dispersion), fit.family.link.inverse)
        )
        found = fit.predict({"x": [x]}, re_form="marginal").iloc[0]
        assert found == pytest.approx(mean / np.sqrt(2.0 * np.pi), rel=1e-8)
        on_link = fit.predict({"x": [x]}, re_form="marginal", kind="link").iloc[0]
        located = np.array(located / np.sqrt(2.0 * np.pi))
        assert on_link == pytest.approx(float(fit.family.link.link(located)), rel=1e-8)


@by_pair
def test_intervals_contain_the_estimate_and_widen(fits, pair):
    fit = fits[pair][0]
    confidence = fit.predict(NEW, allow_new_levels=True, interval="confidence")
    assert (confidence["lower"] < confidence["estimate"]).all() if pair[1] != "inverse" else True
    narrow, wide = (
        fit.predict(NEW, allow_new_levels=True, interval="confidence", kind="link", level=p)
        for p in (0.5, 0.95)
    )
    assert ((wide["upper"] - wide["lower"]) > 2.8 * (narrow["upper"] - narrow["lower"])).all()
    assert list(wide.columns) == ["estimate", "lower", "upper"]


# ---------------------------------------- simulation and refits


def test_a_limited_link_cannot_draw_from_a_wide_normal_distribution(fits):
    with pytest.raises(ModelError, match="needs a linear predictor above 0"):
        fits["poisson", "identity"][0].simulate(400, rng=np.random.default_rng(2))


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[1] != "inverse"], ids="-".join)
def test_simulated_responses_have_the_marginal_mean(fits, pair):
    fit = fits[pair][0]
    if fit.family.limited_range:
        fit = quiet("y ~ x + (1 | g)", simulated(pair, sd=(1.0, 0.0)), pair)  # far from the limit
    n = 400
    draws = fit.simulate(n, rng=np.random.default_rng(2))
    expected = fit.predict(re_form="marginal").mean()
    spread = draws.mean(axis=0).std(ddof=1) / np.sqrt(n)
    assert abs(draws.mean() - expected) < 4.5 * spread


@by_pair
def test_simulation_given_the_modes_has_the_familys_mean_and_variance(fits, pair):
    fit = fits[pair][0]
    draws = fit.simulate(1000, rng=np.random.default_rng(3), conditional=True)
    mu = fit.fittedvalues.to_numpy()
    variance = fit.family.variance(located(fit), fit.observations[1], fit.dispersion)
    z = (draws.mean(axis=1) - mu) / np.sqrt(variance / 1000)
    assert abs(z.mean()) < 4.5 / np.sqrt(len(z))
    assert draws.var(axis=1).mean() == pytest.approx(variance.mean(), rel=0.05)


@by_pair
def test_refit_to_its_own_data_and_to_new_ones(fits, pair):
    fit = fits[pair][0]
    assert fit.refit(fit.design.data["y"]).deviance == pytest.approx(fit.deviance, abs=1e-7)
    y = fit.simulate(rng=np.random.default_rng(4))
    again, fresh = fit.refit(y), quiet("y ~ x + (1 | g)", fit.design.data.assign(y=y), pair)
    assert again.deviance == pytest.approx(fresh.deviance, abs=1e-7)
    np.testing.assert_allclose(again.params, fresh.params, atol=1e-5 * fresh.bse.max())
    np.testing.assert_allclose(again.bse, fresh.bse, rtol=1e-4)


@by_pair
def test_update_leaves_a_term_out(fits, pair):
    fit, small = fits[pair]
    assert fit.update("~ . - x").llf == pytest.approx(small.llf, abs=1e-7)


@by_pair
def test_pickles(fits, pair):
    fit = fits[pair][0]
    copy = pickle.loads(pickle.dumps(fit))
    assert copy.llf == fit.llf
    pd.testing.assert_series_equal(
        copy.predict(NEW, allow_new_levels=True), fit.predict(NEW, allow_new_levels=True)
    )
    assert str(copy.summary()) == str(fit.summary())


# ---------------------------------------- tests and tables


@by_pair
def test_wald_tests_and_intervals_are_normal(fits, pair):
    fit = fits[pair][0]
    z = fit.params / fit.bse
    np.testing.assert_allclose(fit.pvalues, 2.0 * stats.norm.sf(np.abs(z)), rtol=1e-9)
    half = ndtri(0.95) * fit.bse
    np.testing.assert_allclose(fit.conf_int(level=0.9)["lower"], fit.params - half, rtol=1e-12)
    np.testing.assert_allclose(fit.conf_int(level=0.9)["upper"], fit.params + half, rtol=1e-12)


@by_pair
def test_likelihood_ratio(fits, pair):
    fit, small = fits[pair]
    table = gl.anova(small, fit).table
    ratio = 2.0 * (fit.llf - small.llf)
    assert table["chisq"].iloc[-1] == pytest.approx(ratio, rel=1e-9)
    assert table["p"].iloc[-1] == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-8)
    compared = gl.compare(small, fit).table
    assert compared["aic"].to_numpy() == pytest.approx([small.aic, fit.aic])


@by_pair
def test_ratios(fits, pair):
    fit = fits[pair][0]
    names = {
        ("binomial", "logit"): "odds ratio",
        ("binomial", "cloglog"): "hazard ratio",
        ("poisson", "log"): "rate ratio",
        ("negbinomial", "log"): "rate ratio",
        ("negbinomial1", "log"): "rate ratio",
        ("gamma", "log"): "mean ratio",
        ("beta", "logit"): "mean odds ratio",
        ("betabinomial", "logit"): "odds ratio",
        ("truncated_poisson", "log"): "rate ratio",  # of the counts before truncation, as the report says
        ("truncated_negbinomial", "log"): "rate ratio",
    }
    if pair not in names:
        with pytest.raises(ModelError, match="is no ratio"):
            fit.exp_table()
        return
    table = fit.exp_table(level=0.9)
    np.testing.assert_allclose(table[names[pair]], np.exp(fit.params), rtol=1e-12)
    np.testing.assert_allclose(np.log(table[["lower", "upper"]]), fit.conf_int(level=0.9), rtol=1e-12)
    np.testing.assert_allclose(table["p"], fit.pvalues)


def test_the_median_odds_ratio_of_slopes_depends_on_x():
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(np.arange(30), 12), "x": rng.uniform(-1, 1, 360)})
    b = rng.normal(size=(2, 30))
    d["y"] = rng.uniform(size=360) < 1 / (1 + np.exp(-b[0][d["g"]] - b[1][d["g"]] * d["x"]))
    fit = gl.glmer("y ~ x + (x | g)", d, family="binomial")
    S = fit.varcorr["g"].cov.to_numpy()
    found = gl.median_odds_ratio(fit, at=[0.0, 0.5])
    wanted = [np.exp(np.sqrt(2 * (np.array([1, x]) @ S @ [1, x])) * ndtri(0.75)) for x in (0.0, 0.5)]
    np.testing.assert_allclose(found["g"], wanted)
    assert found["g"].iloc[0] == pytest.approx(gl.median_odds_ratio(fit)["g"])
    assert gl.median_odds_ratio(fit, at={"x": 0.5})["g"] == pytest.approx(wanted[1])
    with pytest.raises(GlmmlibError):
        gl.median_odds_ratio(fit, at={"z": 0.5})


def test_the_median_odds_ratio_is_the_median_of_ratios(fits):
    """Two groups at random: the odds of the one with the larger effect over those of the other."""
    fit = fits["binomial", "logit"][0]
    b = np.random.default_rng(5).normal(size=(400_000, 2)) * fit.varcorr["g"].sd["Intercept"]
    assert gl.median_odds_ratio(fit)["g"] == pytest.approx(
        np.median(np.exp(np.abs(b[:, 0] - b[:, 1]))), rel=5e-3
    )


@pytest.mark.parametrize("pair", SHARED, ids="-".join)
def test_icc_on_the_observation_scale_is_the_correlation_of_simulated_responses(fits, pair):
    """Two responses of one group at x = 0, drawn 400,000 times."""
    fit = fits[pair][0]
    rng = np.random.default_rng(6)
    eta = fit.params["Intercept"] + rng.normal(size=400_000) * fit.varcorr["g"].sd["Intercept"]
    if fit.family.limited_range and eta.min() <= 0.0:
        eta = np.maximum(eta, 1e-6)  # one in a million
    first, second = (fit.family.draw(eta, None, fit.dispersion, rng) for _ in range(2))
    icc = float(gl.icc(fit, at={"x": 0.0}, scale="observation"))
    assert icc == pytest.approx(np.corrcoef(first, second)[0, 1], abs=0.01)


@pytest.mark.parametrize(
    ("link", "residual"), [("logit", np.pi**2 / 3), ("probit", 1.0), ("cloglog", np.pi**2 / 6)]
)
def test_icc_on_the_latent_scale(fits, link, residual):
    fit = fits["binomial", link][0]
    variance = fit.varcorr["g"].sd["Intercept"] ** 2
    assert float(gl.icc(fit)) == pytest.approx(variance / (variance + residual), rel=1e-9)


@by_pair
def test_residuals(fits, pair):
    fit = fits[pair][0]
    y, mu = fit.design.data["y"], fit.fittedvalues
    np.testing.assert_allclose(fit.resid, y - mu, atol=1e-12)
    response, weights = fit.observations
    sd = np.sqrt(fit.family.variance(located(fit), weights, fit.dispersion))
    np.testing.assert_allclose(fit.resid_pearson, (y - mu) / sd, rtol=1e-10)
    assert (np.sign(fit.resid_deviance) == np.sign(fit.resid)).all()
    saturated = fit.family.unit_deviance(response, located(fit), weights, fit.dispersion)
    np.testing.assert_allclose(fit.resid_deviance**2, np.maximum(saturated, 0.0), rtol=1e-10)


@by_pair
def test_modes_and_coefficients_of_groups(fits, pair):
    fit = fits[pair][0]
    table = fit.ranef(cond_sd=True)["g"]
    assert list(table.columns) == ["Intercept", "sd Intercept"]
    assert (table["sd Intercept"] < fit.varcorr["g"].sd["Intercept"]).all()
    np.testing.assert_allclose(fit.coef()["g"]["Intercept"], fit.params["Intercept"] + table["Intercept"])
    eta = fit.X @ fit.params.to_numpy() + fit.Z @ table["Intercept"].to_numpy()
    np.testing.assert_allclose(eta, fit.linear_predictor, rtol=1e-10)


@by_pair
def test_the_summary_names_family_integral_and_dispersion(fits, pair):
    fit = fits[pair][0]
    text, html = str(fit.summary()), fit._repr_html_()
    for part in (
        "Generalised linear mixed model",
        f"{pair[1]} link",
        "Laplace approximation",
        "Fixed effects (z tests)",
    ):
        assert part in text
        assert part in html
    assert ("ispersion" in text) == fit.family.has_dispersion
