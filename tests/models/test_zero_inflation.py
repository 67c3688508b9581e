"""Zero inflation, ``zi="~ shade"``: gradients, what a fit says of its zeros, nested models, refusals.

Against R: tests/models/test_auxiliary_predictors.py. Every room with ``zi="~ 1"``: tests/families.
"""

import copy
import pickle
import warnings

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
    return gl.glmer(FORMULA, traps, family="negbinomial", zi="~ shade")


@pytest.fixture(scope="module")
def one(fit):
    return fit.update(zi="~ 1")


@pytest.mark.parametrize("n_agq", [1, 5])
@pytest.mark.parametrize("family", ["poisson", "negbinomial", "negbinomial1"])
def test_the_gradient_is_that_of_the_likelihood(traps, family, n_agq):
    more = {} if family == "poisson" else {"dispersion": "~ shade"}
    found = gl.glmer(FORMULA, traps, family, n_agq=n_agq, zi="~ shade", **more)
    size = found.n_parameters
    x = found.solution.parameters + 0.03 * np.random.default_rng(1).standard_normal(size)
    problem, step = found.solution.problem.precise(found.solution.mode.u), 1e-4
    gradient = problem.gradient(x)
    for k in range(size):
        ends = [problem.evaluate(x + s * step * np.eye(size)[k])[0] for s in (1.0, -1.0)]
        assert gradient[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-4)


def test_the_mean_holds_the_zeros(fit, traps):
    response, counts, zero = (fit.predict(kind=kind) for kind in ("response", "conditional", "zero"))
    np.testing.assert_allclose(response, (1 - zero) * counts)
    np.testing.assert_allclose(response, fit.fittedvalues)
    np.testing.assert_allclose(zero, fit.zi)
    gamma = fit.auxiliary_params
    np.testing.assert_allclose(
        np.log(zero / (1 - zero)), gamma["zi Intercept"] + gamma["zi shade"] * traps["shade"]
    )
    for kind in ("response", "conditional", "zero"):
        there = fit.predict(traps.head(5).drop(columns="beetles"), kind=kind)
        pd.testing.assert_series_equal(there, fit.predict(kind=kind).head(5))
    average = fit.predict(re_form="marginal")
    half = 0.5 * fit.varcorr["site"].sd["Intercept"] ** 2
    np.testing.assert_allclose(average, fit.predict(re_form="~0") * np.exp(half))
    assert fit.resid.mean() == pytest.approx(0, abs=0.3) and 0.8 < fit.resid_pearson.var() < 1.2


def test_simulated_responses_have_the_zeros_and_the_means(fit):
    Y = fit.simulate(2000, rng=np.random.default_rng(1), conditional=True)
    np.testing.assert_allclose(Y.mean(axis=1), fit.fittedvalues, rtol=0.15)
    at_zero = np.exp(fit.family.logpdf(np.zeros(300), fit.linear_predictor.to_numpy(), None, fit.auxiliary))
    np.testing.assert_allclose((Y == 0).mean(axis=1), at_zero, atol=0.06)
    assert (at_zero > fit.zi).all()


def test_every_room(fit, traps, tmp_path):
    rng = np.random.default_rng(2)
    Y = fit.simulate(2, rng=rng)
    many, again = fit.refit_many(Y), fit.refit(Y[:, 1])
    np.testing.assert_allclose(
        many.auxiliary_estimates.iloc[1], list(again.auxiliary_estimates.values()), atol=1e-6
    )
    np.testing.assert_allclose(fit.at(many.estimates(1)).zi, again.zi, rtol=1e-6)
    assert {"dispersion", "zi Intercept", "zi shade"} <= set(fit.bootstrap(2, rng=rng).replicates)
    wald = fit.conf_int().loc["zi shade"]
    profile = fit.conf_int(method="profile", parm="zi shade").loc["zi shade"]
    assert np.ptp(profile) == pytest.approx(np.ptp(wald), rel=0.2)
    text = " ".join(gl.report(fit).text.split())
    assert "The zero inflation pi had a linear predictor of its own, ~ shade (logit link)" in text
    assert "The probability of a structural zero was 0.0304 to 0.808 (by ~ shade)" in text
    assert "A rate ratio is one of the counts" in text
    tidy = gl.tidy(fit, conf_int=True).query("component == 'zi'")
    assert list(tidy["term"]) == ["Intercept", "shade"] and tidy["conf_low"].notna().all()
    assert "Zero inflation pi (logit link, z tests)" in str(fit.summary())
    found = gl.simulated_residuals(fit, n=200, rng=rng)
    assert found.zeros.p > 0.01 and found.uniformity.p > 0.01
    assert gl.simulated_residuals(fit.update(zi=None), n=200, rng=rng).zeros.p < 0.05
    for copied in (pickle.loads(pickle.dumps(copy.deepcopy(fit))), saved_and_loaded(fit, tmp_path)):
        assert copied.deviance == fit.deviance and copied.family == fit.family
        np.testing.assert_array_equal(copied.zi, fit.zi)
    band = fit.predict(traps.head(3), interval="prediction")
    assert (band["lower"] == 0).all() and (band["upper"] > band["estimate"]).all()
    means = gl.means(fit, "shade", at={"shade": [0, 1]}, kind="conditional")
    np.testing.assert_allclose(
        means.table["mean"], np.exp(fit.params["Intercept"] + [0, fit.params["shade"]])
    )


def test_update_keeps_changes_and_drops_the_zeros(fit, one):
    assert (one.family.name, one.auxiliary_formulas) == ("zero-inflated negbinomial", {})
    assert one.update("~ . - shade").family == one.family
    without = one.update(zi=None)
    assert (without.family.name, without.zi) == ("negbinomial", None)
    assert fit.update(family="poisson").model_text == f"{FORMULA}, zi ~ shade"
    assert one.model_text == f"{FORMULA}, zi ~ 1" and isinstance(one.zi, float)


def test_nested_models_and_their_nulls(fit, one):
    without = one.update(zi=None)
    test = gl.anova(without, one)
    assert "no zero is a structural one (pi = 0); null distribution: 0.5 chi2(0)" in " ".join(
        str(test).split()
    )
    table = gl.anova(without, fit).table
    assert np.isnan(table["p"].iloc[1]) and table["p_naive"].iloc[1] < 1e-10
    assert "at the end of its range under H0" in " ".join(str(gl.anova(without, fit)).split())
    assert "H0: zi shade = 0; null distribution: chi2(1)" in str(gl.anova(one, fit))
    assert "shade = 0 and no zero is" in " ".join(str(gl.anova(without.update("~ . - shade"), one)).split())
    with pytest.raises(ModelError, match="not nested: the zero-inflated negbinomial family"):
        gl.anova(one, without.update("~ . + I(shade**2) + I(shade**3)"))
    with pytest.raises(ModelError, match="different families"):
        gl.anova(without.update(family="poisson"), one)
    assert len(gl.compare(without, one, fit).table) == 3


def test_the_null_of_the_test_for_zeros_is_a_mixture():
    """Half of the studies without structural zeros end at pi = 0."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 10)})
    plain = gl.simulate("~ 1 + (1 | g)", data, fixef=[0.5], sd={"g": 0.4}, family="poisson", n=10, rng=rng)
    gains = []
    for y in plain.T:
        smaller = gl.glmer("y ~ 1 + (1 | g)", data.assign(y=y), family="poisson")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            gains.append(smaller.deviance - smaller.update(zi="~ 1").deviance)
    assert min(gains) > -1e-4 and 2 <= np.sum(np.array(gains) < 1e-3) <= 8


def test_zeros_that_are_not_structural_are_said():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 10)})
    data["y"] = rng.poisson(4.0, 200)
    with pytest.warns(SingularFitWarning, match="structural zero runs to 0"):
        gl.glmer("y ~ 1 + (1 | g)", data.assign(y=data["y"].clip(lower=1)), family="poisson", zi="~ 1")


def test_a_level_of_nothing_but_zeros_is_separation(traps):
    rows = traps.assign(f=np.where(np.arange(300) % 10 < 3, "a", "b"))
    rows["beetles"] = rows["beetles"].where(rows["f"] == "b", 0)
    with pytest.warns(SeparationWarning, match="no finite estimate"):
        gl.glmer("beetles ~ f + (1 | site)", rows, family="poisson", zi="~ 1")


def test_drawn_from_parameters():
    data = pd.DataFrame({"g": np.repeat(np.arange(50), 200)})
    given = {"fixef": [1.0], "sd": {"g": 0.0}, "rng": np.random.default_rng(5)}
    y = gl.simulate("~ 1 + (1 | g)", data, family="poisson", zi=0.3, **given)
    assert (y == 0).mean() == pytest.approx(0.3 + 0.7 * np.exp(-np.e), abs=0.02)
    y = gl.simulate("~ 1 + (1 | g)", data, family="negbinomial", dispersion=2.0, zi=0.3, **given)
    assert y.mean() == pytest.approx(0.7 * np.e, rel=0.05)
    with pytest.raises(ModelError, match="zi is a number between 0 and 1"):
        gl.simulate("~ 1 + (1 | g)", data, family="poisson", zi=1.5, **given)


@pytest.mark.parametrize("family, y", [("binomial", "beetles > 3"), ("gamma", "beetles + 1"), ("beta", "p")])
def test_only_counts_have_structural_zeros(traps, family, y):
    rows = traps.assign(p=0.5, z=traps.eval(y) * 1.0 if y != "p" else 0.5)
    with pytest.raises(ModelError, match=rf"zi= is for counts.*not for '{family}'"):
        gl.glmer("z ~ shade + (1 | site)", rows, family=family, zi="~ 1")


@pytest.mark.parametrize(
    "formula, error, message",
    [
        ("shade", FormulaError, "a formula of its own without a response"),
        (0.3, FormulaError, "a formula of its own without a response"),
        ("~ shade + (1 | site)", FormulaError, "cannot have random effects"),
        ("~ 0", FormulaError, "has no column"),
        ("~ nothere", DataError, "'nothere' is not a column"),
    ],
)
def test_what_is_refused(traps, formula, error, message):
    with pytest.raises(error, match=message):
        gl.glmer(FORMULA, traps, family="poisson", zi=formula)


def test_what_a_fit_refuses(fit, one, traps):
    for function in (gl.icc, gl.r2):
        with pytest.raises(ModelError, match="no one residual variance"):
            function(fit)
    with pytest.raises(ModelError, match="one for responses"):
        fit.predict(kind="zero", interval="prediction")
    with pytest.raises(ModelError, match="the model has none"):
        one.update(zi=None).predict(kind="zero")
    with pytest.raises(ModelError, match="one for responses"):
        fit.predict(kind="conditional", interval="prediction")
    with pytest.raises(ModelError, match="kind is"):
        fit.predict(kind="zprob")
    with pytest.raises(DataError, match="never negative"):
        gl.glmer(FORMULA, traps.assign(beetles=traps["beetles"] - 1), family="poisson", zi="~ 1")
