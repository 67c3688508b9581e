"""Hurdle models, a truncated family with ``zi=``: two fits shown as one.

Against R: tests/models/test_auxiliary_predictors.py. Every room with ``zi="~ 1"``: tests/families.
"""

import pickle

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, FormulaError, ModelError, SeparationWarning, SingularFitWarning
from support import reference_values as rv
from support.saving import saved_and_loaded

FORMULA = "beetles ~ shade + (1 | site)"


@pytest.fixture(scope="module")
def traps():
    return rv.data("traps")


@pytest.fixture(scope="module")
def fit(traps):
    return gl.glmer(FORMULA, traps, family="truncated_negbinomial", zi="~ shade")


def test_it_is_two_fits(fit, traps):
    counts = gl.glmer(FORMULA, traps.query("beetles > 0"), family="truncated_negbinomial")
    is_zero, pi = traps["beetles"] == 0, fit.zi
    zeros = np.log(np.where(is_zero, pi, 1 - pi)).sum()
    assert fit.llf == pytest.approx(counts.llf + zeros, abs=1e-8)
    np.testing.assert_allclose(fit.params, counts.params, atol=1e-6)
    np.testing.assert_allclose(fit.bse, counts.bse, rtol=1e-5)
    assert fit.dispersion == pytest.approx(counts.dispersion, rel=1e-5)
    X = np.column_stack([np.ones(300), traps["shade"]])
    np.testing.assert_allclose(X.T @ (is_zero - pi), 0, atol=1e-5)  # the maximum of a logistic regression
    information = (X.T * (pi * (1 - pi)).to_numpy()) @ X
    np.testing.assert_allclose(fit.auxiliary_bse, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-4)
    assert fit.n_parameters == counts.n_parameters + 2 and fit.aic == pytest.approx(2 * 6 - 2 * fit.llf)


def test_means_are_those_of_zeros_and_counts(fit, traps):
    response, above, zero = (fit.predict(kind=kind) for kind in ("response", "conditional", "zero"))
    np.testing.assert_allclose(response, (1 - zero) * above)
    np.testing.assert_allclose(response, fit.fittedvalues)
    np.testing.assert_allclose(zero, fit.zi)
    mu, k = np.exp(fit.predict(kind="link")), fit.dispersion
    np.testing.assert_allclose(above, mu / (1 - (k / (k + mu)) ** k))
    for kind in ("response", "conditional", "zero", "link"):
        there = fit.predict(traps.head(5).drop(columns="beetles"), kind=kind)
        pd.testing.assert_series_equal(there, fit.predict(kind=kind).head(5))
    band = fit.predict(traps.head(3), kind="conditional", interval="confidence")
    assert (band["lower"] >= 1).all() and (band["upper"] > band["lower"]).all()
    means = gl.means(fit, "shade", at={"shade": [-1, 1]}, kind="conditional").table
    new = pd.DataFrame({"shade": [-1.0, 1.0]})
    np.testing.assert_allclose(means["mean"], fit.predict(new, kind="conditional", re_form="~0"))
    whole = gl.means(fit, "shade", at={"shade": [-1, 1]}).table
    np.testing.assert_allclose(whole["mean"], fit.predict(new, re_form="~0"))
    band = fit.predict(new, re_form="~0", interval="confidence")
    np.testing.assert_allclose(band[["lower", "upper"]], whole[["lower", "upper"]], rtol=1e-8)
    assert 0.8 < fit.resid_pearson.var() < 1.2


def test_simulated_zeros_are_those_of_the_model(fit):
    Y = fit.simulate(1000, rng=np.random.default_rng(1), conditional=True)
    np.testing.assert_allclose((Y == 0).mean(axis=1), fit.zi, atol=0.07)
    np.testing.assert_allclose(Y.mean(axis=1), fit.fittedvalues, rtol=0.2)
    found = gl.simulated_residuals(fit, n=200, rng=np.random.default_rng(2))
    assert found.zeros.p > 0.01 and found.uniformity.p > 0.01


def test_every_room(fit, traps, tmp_path):
    rng = np.random.default_rng(2)
    Y = fit.simulate(2, rng=rng)
    many, again = fit.refit_many(Y), fit.refit(Y[:, 1])
    estimates = list(again.auxiliary_estimates.values())
    np.testing.assert_allclose(many.auxiliary_estimates.iloc[1], estimates, atol=1e-5)
    wald = fit.conf_int().loc["zi shade"]
    profile = fit.conf_int(method="profile", parm="zi shade").loc["zi shade"]
    assert np.ptp(profile) == pytest.approx(np.ptp(wald), rel=0.2)
    text = " ".join(gl.report(fit).text.split())
    assert "(hurdle negative binomial distribution, log link)" in text
    assert "The zero probability pi had a linear predictor of its own, ~ shade (logit link)" in text
    assert "The probability of a zero was 0.0651 to 0.719 (by ~ shade)" in text
    tidy = gl.tidy(fit, conf_int=True).query("component == 'zi'")
    assert list(tidy["term"]) == ["Intercept", "shade"] and tidy["conf_low"].notna().all()
    assert "Zero probability pi (logit link, z tests)" in str(fit.summary())
    assert list(fit.varcorr) == ["site"]
    for copied in (pickle.loads(pickle.dumps(fit)), saved_and_loaded(fit, tmp_path)):
        assert copied.deviance == fit.deviance and copied.family == fit.family
    band = fit.predict(traps.head(3), interval="prediction")
    assert (band["lower"] == 0).all() and (band["upper"] > band["estimate"]).all()
    with pytest.raises(ModelError, match="no one residual variance"):
        gl.r2(fit)


def test_nested_models(fit):
    one = fit.update(zi="~ 1")
    assert (one.family.name, one.auxiliary_formulas) == ("hurdle negbinomial", {})
    assert "H0: zi shade = 0; null distribution: chi2(1)" in str(gl.anova(one, fit))
    poisson = " ".join(str(gl.anova(fit.update(family="truncated_poisson"), fit)).split())
    infinite = "the dispersion phi is infinite (a Poisson distribution)"
    assert f"{infinite}; null distribution: 0.5 chi2(0)" in poisson
    inflated = fit.update(family="negbinomial")
    with pytest.raises(ModelError, match="different families"):
        gl.anova(inflated, fit)
    assert len(gl.compare(inflated, fit).table) == 2
    with pytest.raises(DataError, match="counts are never zero"):
        fit.update(zi=None)


def test_the_gradient_is_that_of_the_likelihood(traps):
    found = gl.glmer(FORMULA, traps, "truncated_negbinomial", dispersion="~ shade", zi="~ shade")
    x = found.solution.parameters + 0.03 * np.random.default_rng(1).standard_normal(found.n_parameters)
    problem, step = found.solution.problem.precise(found.solution.mode.u), 1e-4
    gradient = problem.gradient(x)
    for k in range(len(x)):
        ends = [problem.evaluate(x + s * step * np.eye(len(x))[k])[0] for s in (1.0, -1.0)]
        assert gradient[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-4)


def test_what_the_rows_do_not_tell_is_said(traps):
    rare = traps.assign(rare=np.where(traps["site"].cat.codes < 3, "yes", "no"))
    is_rare = rare["rare"] == "yes"
    formula, family = "beetles ~ rare + (1 | site)", "truncated_poisson"
    with pytest.raises(ModelError, match=r"with a count above zero the column of rare\[T.yes\] is constant"):
        gl.glmer(formula, rare.assign(beetles=rare["beetles"].mask(is_rare, 0)), family, zi="~ 1")
    with pytest.raises(ModelError, match="every count in 'beetles' is zero"):
        gl.glmer(FORMULA, traps.assign(beetles=0), family, zi="~ 1")
    ones = rare["beetles"].mask(is_rare, rare["beetles"].clip(upper=1))
    with pytest.warns(SeparationWarning, match="nothing but zeros and counts of one"):
        gl.glmer(formula, rare.assign(beetles=ones), family, zi="~ 1")
    with pytest.warns(SingularFitWarning, match=r"the probability of a zero runs to 0 \(or to 1\)"):
        gl.glmer(FORMULA, traps.query("beetles > 0"), family, zi="~ 1")


@pytest.mark.parametrize(
    "change, error, sentence",
    [
        (
            {"zi": "~ (1 | site)"},
            FormulaError,
            "zi= takes columns of the data, and cannot",
        ),
        ({"zi": "~ shade + dark"}, DataError, "dark"),
        ({"beetles": -1.0}, DataError, "Counts are never negative"),
        ({"beetles": 0.5}, DataError, "Counts are whole numbers"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(traps, change, error, sentence):
    bad = traps.assign(beetles=traps["beetles"].where(traps.index != 5, change.get("beetles", 1.0)))
    with pytest.raises(error, match=sentence):
        gl.glmer(FORMULA, bad, family="truncated_poisson", zi=change.get("zi", "~ 1"))
