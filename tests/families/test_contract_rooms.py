"""The contract of a family in every room that works on a fit: right, or refused in one sentence.

Nothing here names a family: each that is registered is fitted with each of its links to data of its own.
"""

import pickle

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibError
from support.family_cases import FITTED, case
from support.saving import saved_and_loaded

mpl.use("Agg")
every_family = pytest.mark.parametrize("name, link", FITTED)
NEW = pd.DataFrame({"g": [3, 900], "x": [0.5, -0.5], "f": ["a", "b"]})


def refused(function, *args, **kwargs):
    """Return what a function gives, or None where it refuses in one sentence."""
    try:
        return function(*args, **kwargs)
    except GlmmlibError as refusal:
        text = str(refusal)
        assert len(text) > 30 and "\n" not in text
        return None


def in_range(of, values):
    low, high = of.family.support.lower, of.family.support.upper
    return ((values >= low) & (values <= high)).all()


@every_family
def test_the_fit_finds_the_truth(name, link):
    of = case(name, link)
    fit, truth = of.fit, of.truth
    assert fit.convergence.converged and fit.family == of.family
    for coefficient, value in truth["fixef"].items():
        assert abs(fit.params[coefficient] - value) < 5 * fit.bse[coefficient]
    assert fit.varcorr["g"].sd["Intercept"] == pytest.approx(truth["sd"]["g"], rel=0.7)
    for (auxiliary, value), wanted in zip(fit.named_auxiliary(), of.named_auxiliary.values(), strict=True):
        assert value == pytest.approx(wanted, rel=0.5), auxiliary.name


@every_family
@pytest.mark.parametrize("new", [None, NEW], ids=["rows of the fit", "new rows"])
def test_predictions_and_their_intervals(name, link, new):
    of = case(name, link)
    options = {"allow_new_levels": new is not None}
    mean = of.fit.predict(new, **options)
    assert in_range(of, mean)
    eta = of.fit.predict(new, kind="link", **options)
    own = of.fit.one_auxiliary("a mean")
    np.testing.assert_allclose(of.family.mean(eta, own), mean)
    conditional = of.fit.predict(new, kind="conditional", **options)
    np.testing.assert_allclose(of.family.counted.mean(eta, of.family.counted_auxiliary(own)), conditional)
    if new is None:
        np.testing.assert_allclose(mean, of.fit.fittedvalues)
    for interval in ("confidence", "prediction"):
        own = {} if new is None or interval == "confidence" else {"weights": of.trials_of(new)}
        band = refused(of.fit.predict, new, interval=interval, **options, **own)
        if band is None:
            assert of.family.errors_of_mean_need_auxiliary and interval == "confidence"
            continue
        assert in_range(of, band.to_numpy()) and (band["lower"] < band["upper"]).all()
        if interval == "confidence":
            assert ((band["lower"] <= band["estimate"]) & (band["estimate"] <= band["upper"])).all()
    average = refused(of.fit.predict, new, re_form="marginal")
    assert average is None or in_range(of, average)


@every_family
def test_prediction_intervals_hold_new_observations(name, link):
    of, rng = case(name, link), np.random.default_rng(7)
    asked = {"allow_new_levels": True, "interval": "prediction", "level": 0.9, "weights": of.trials_of(1)}
    band = of.fit.predict(NEW.iloc[[1]], **asked)
    both = pd.concat([NEW] * 5_000, ignore_index=True).assign(g=np.arange(10_000))
    asked = both["f"] == "b"
    y = of.simulated(both.assign(x=both["x"].where(asked, rng.uniform(-1, 1, 10_000))), rng)[asked]
    lower, upper = band[["lower", "upper"]].iloc[0]
    assert y.between(lower, upper).mean() > 0.86
    assert y.between(lower, upper, inclusive="neither").mean() < 0.94


@every_family
def test_simulated_responses_are_responses_and_refits_are_fits(name, link):
    of = case(name, link)
    Y = of.fit.simulate(3, rng=np.random.default_rng(8))
    for y in Y.T:
        of.family.check_response(y, of.fit.design.trials)
    many, one = of.fit.refit_many(Y), of.fit.refit(Y[:, 1])
    np.testing.assert_allclose(many.params.iloc[1], one.params, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(many.deviance[1], one.deviance, atol=1e-5)
    np.testing.assert_allclose(many.sd.iloc[1], one.varcorr["g"].sd, rtol=1e-3, atol=1e-4)
    if one.has_dispersion:
        estimates = list(one.auxiliary_estimates.values())
        np.testing.assert_allclose(many.auxiliary_estimates.iloc[1], estimates, rtol=1e-4)
    again = of.fit.refit(of.data["y"])
    assert again.deviance == pytest.approx(of.fit.deviance, abs=1e-6)


@every_family
def test_profiles_hold_the_estimates(name, link):
    fit = case(name, link).fit
    fit = fit.with_criterion(reml=False) if fit.reml else fit
    names = ["sd g.Intercept", "x", *(auxiliary.name for auxiliary, _ in fit.named_auxiliary())]
    intervals = gl.profile(fit, parm=names).conf_int(0.95)
    estimates = [fit.varcorr["g"].sd["Intercept"], fit.params["x"], *(v for _, v in fit.named_auxiliary())]
    assert ((intervals["lower"] < estimates) & (estimates < intervals["upper"])).all()
    wald = fit.conf_int().loc["x"]
    width = intervals.loc["x", "upper"] - intervals.loc["x", "lower"]
    assert width == pytest.approx(wald["upper"] - wald["lower"], rel=0.15)


@every_family
def test_residuals_of_every_kind(name, link):
    fit = case(name, link).fit
    pearson, deviance = fit.resid_pearson, fit.resid_deviance
    assert np.isfinite(pearson).all() and np.isfinite(deviance).all()
    assert 0.6 < pearson.var() < 1.4
    assert (np.sign(fit.resid) == np.sign(deviance)).mean() > 0.97
    found = gl.simulated_residuals(fit, n=100, rng=np.random.default_rng(9))
    assert found.uniformity.p > 1e-4 and found.dispersion.p > 0.001
    assert found.zeros is None or found.zeros.p > 0.001


@every_family
def test_the_check_of_a_right_model_finds_no_fault(name, link, monkeypatch):
    fit, n = case(name, link).fit, 19
    monkeypatch.setattr("glmmlib.diagnostics.check.MIN_REFITS", n)  # enough to see a fault of every study
    page = gl.check(fit, n=n, rng=np.random.default_rng(10))
    tests = page.table["p"].dropna()
    assert len(tests) >= 4 and (tests > 1 / (n + 1)).sum() >= len(tests) - 1
    assert page["convergence"].verdict == "fine" and "residuals" not in page.table.index


@every_family
def test_shares_of_variance(name, link):
    of = case(name, link)
    v = of.fit.varcorr["g"].sd["Intercept"] ** 2
    for scale in (None, "latent", "observation"):
        found = refused(gl.icc, of.fit, scale=scale)
        assert found is None or 0 < found.value < 1
        if found is not None and scale is None:
            assert found.value == pytest.approx(v / (v + found.residual))
        share = refused(gl.r2, of.fit, scale=scale)
        assert share is None or 0 <= share.marginal <= share.conditional <= 1
    assert gl.between_variance(of.fit) == pytest.approx(v)


@every_family
def test_the_residual_variance_of_an_icc_is_that_of_simulated_responses(name, link):
    """On the scale of the observations it is the mean variance within groups, in a study of the fit's own."""
    of = case(name, link)
    found = refused(gl.icc, of.fit, scale="observation")
    if found is None:
        assert np.isinf(of.family.link.inverse(0.0)) or of.family.no_shares
        return
    Y = of.fit.simulate(4000, rng=np.random.default_rng(11))
    Y -= Y.mean(axis=1, keepdims=True)
    within_group = np.mean([(Y[i::8] * Y[j::8]).mean() for i in range(8) for j in range(i)])
    assert within_group / (Y**2).mean() == pytest.approx(found.value, abs=0.05)


@every_family
def test_means_and_ratios(name, link):
    of = case(name, link)
    kind = "conditional" if of.family.has_structural_zeros else "response"
    means = gl.means(of.fit, "f", kind=kind)
    ends = means.table[["lower", "mean", "upper"]].to_numpy()
    assert in_range(of, ends) and (np.diff(ends, axis=1) > 0).all()
    assert means.differences().table["p"].between(0, 1).all()
    change = gl.comparisons(of.fit, {"f": "pairwise"}, re_form="~0").table
    assert np.isfinite(change.drop(columns="df")).all(axis=None) and (change["se"] > 0).all()
    if not of.family.is_linear:
        ratios = refused(of.fit.exp_table)
        assert (ratios is None) == (of.family.ratio is None)
    assert refused(gl.median_odds_ratio, of.fit) is None or of.family.ratio == "odds ratio"
    assert gl.wald_test(of.fit, "x").p == pytest.approx(of.fit.pvalues["x"])
    assert gl.anova(of.fit).table["p"].between(0, 1).all()


@every_family
def test_likelihood_ratios_and_aic(name, link):
    of = case(name, link)
    larger = of.fit.with_criterion(reml=False) if of.fit.reml else of.fit
    smaller = larger.update("~ . - x")
    test = gl.anova(smaller, larger)
    assert 0 < test.table["p"].iloc[1] < 1
    assert len(gl.compare(smaller, larger).table) == 2
    assert of.fit.n_parameters == 3 + 1 + len(of.family.auxiliary)


@every_family
def test_tables_and_texts(name, link):
    of = case(name, link)
    tidy = gl.tidy(of.fit, conf_int=True)
    shown = of.family.auxiliary if of.fit.thresholds is None else of.fit.thresholds
    assert len(tidy) == 4 + len(shown)
    glance, augment = gl.glance(of.fit), gl.augment(of.fit)
    assert glance["nobs"].iloc[0] == len(augment) == 320 and np.isfinite(augment["_pearson"]).all()
    text = gl.report(of.fit).text
    assert of.fit.is_linear or of.family.title in text
    for auxiliary in of.family.auxiliary:
        assert auxiliary.sentence.split("{}")[0] in " ".join(text.split())
    summary = str(of.fit.summary())
    assert max(map(len, summary.splitlines())) <= 80
    assert of.fit.is_linear or f"{of.family.name}, {of.family.link.name} link" in summary


@every_family
@pytest.mark.parametrize(
    "draw",
    [
        lambda fit: gl.plots.caterpillar(fit),
        lambda fit: gl.plots.icc_curve(fit, x="x"),
        lambda fit: gl.plots.variance_function(fit, x="x"),
        lambda fit: gl.plots.group_lines(fit, x="x"),
        lambda fit: gl.plots.ingredients(fit, x="x", level=3, at=0.5),
        lambda fit: gl.plots.shrinkage_arrows(fit),
        lambda fit: gl.plots.likelihood_surface(fit),
        lambda fit: gl.plots.simple_effect(fit, effect="x", product="x:f[T.b]", x=[0, 1]),
        lambda fit: gl.plots.profile(gl.profile(fit, parm="x")),
        lambda fit: gl.plots.residual_panel(gl.simulated_residuals(fit, rng=np.random.default_rng(1))),
    ],
    ids=range(10),
)
def test_pictures(name, link, draw):
    import matplotlib.pyplot as plt

    refused(draw, case(name, link).fit)
    plt.close("all")


@every_family
def test_a_fit_survives_pickling_and_a_file(name, link, tmp_path):
    fit = case(name, link).fit
    for again in (pickle.loads(pickle.dumps(fit)), saved_and_loaded(fit, tmp_path)):
        assert again.family == fit.family and again.deviance == fit.deviance
        np.testing.assert_array_equal(again.predict(NEW, re_form="~0"), fit.predict(NEW, re_form="~0"))
        pd.testing.assert_frame_equal(again.conf_int(), fit.conf_int(), check_exact=True)


@every_family
def test_what_else_works_on_a_fit(name, link):
    fit = case(name, link).fit
    _, _, coefficient, change = gl.influence(fit, n_refits=2).largest
    assert coefficient in fit.params and np.isfinite(change)
    sd = fit.ranef(cond_sd=True)["g"]["sd Intercept"]
    assert (sd > 0).all() and (sd <= 1.01 * fit.varcorr["g"].sd["Intercept"]).all()
    for function in (gl.shrinkage, gl.conditional_aic, gl.correlation):
        refused(function, fit) if function is not gl.correlation else refused(function, fit, 0, 1)
    boot = fit.bootstrap(4, rng=np.random.default_rng(12))
    assert np.isfinite(boot.replicates.to_numpy()).all()


@every_family
def test_simulation_refuses_what_the_family_has_not(name, link):
    of = case(name, link)
    for what in ("sigma", "dispersion"):
        truth = dict(of.truth)
        wrong = truth.pop(what, None) is None
        given = {what: 1.0} if wrong else {}
        with pytest.raises(GlmmlibError, match=what):
            gl.simulate(
                "~ x + f + (1 | g)",
                of.data,
                family=of.family,
                rng=np.random.default_rng(1),
                **truth,
                **given,
            )
