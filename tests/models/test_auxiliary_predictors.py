"""A formula for the dispersion: against R, by differences, and in every room that works on a fit."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, FormulaError, ModelError
from glmmlib.families.registry import FAMILIES
from support import reference_values as rv
from support.family_cases import CASES, case
from support.gradients import assert_gradient

FAMILY = {
    "epil_trt": {"family": "negbinomial"},
    "ticks_year": {"family": "negbinomial"},
    "counts_x": {"family": "negbinomial"},
    "orthodont_sex": {"family": "gamma"},
    "shares_x": {"family": "beta"},
    "epil_nb1": {"family": "negbinomial1"},
    "ticks_nb1": {"family": "negbinomial1"},
    "counts_nb1_x": {"family": "negbinomial1"},
    "cbpp_bb": {"family": "betabinomial"},
    "trials_bb": {"family": "betabinomial"},
    "trials_bb_x": {"family": "betabinomial"},
    "zip_1": {"family": "poisson", "zi": "~ 1"},
    "zip_ticks": {"family": "poisson", "zi": "~ cHEIGHT"},
    "traps_nb": {"family": "negbinomial", "zi": "~ shade"},
    "traps_nb_1": {"family": "negbinomial", "zi": "~ 1"},
    "traps_nb_both": {"family": "negbinomial", "zi": "~ shade"},
    "traps_nb1": {"family": "negbinomial1", "zi": "~ shade"},
    "positive_1": {"family": "truncated_poisson"},
    "positive_ticks": {"family": "truncated_poisson"},
    "positive_traps": {"family": "truncated_negbinomial"},
    "positive_traps_shade": {"family": "truncated_negbinomial"},
    "hurdle_1": {"family": "truncated_poisson", "zi": "~ 1"},
    "hurdle_ticks": {"family": "truncated_poisson", "zi": "~ YEAR + cHEIGHT"},
    "hurdle_traps": {"family": "truncated_negbinomial", "zi": "~ shade"},
    "hurdle_traps_both": {"family": "truncated_negbinomial", "zi": "~ shade"},
}
with_auxiliary = pytest.mark.parametrize(
    "name, link",
    [c for c in CASES if c[0] in FAMILIES and "dispersion" in [a.name for a in case(*c).family.auxiliary]],
)
EPIL = "y ~ base + trt + (1 | subject)"


def fitted(name):
    ref = rv.auxiliary(name)
    formulas = {"dispersion": ref["disp_formula"]} if ref["disp"] else {}
    data = rv.data(ref["data"])
    data = data[data[ref["positive"]] > 0] if ref.get("positive") else data
    return ref, gl.glmer(rv.formula(ref), data, **FAMILY[name], **formulas)


@pytest.fixture(scope="module")
def epil():
    return gl.load("epil")


@pytest.fixture(scope="module")
def fit(epil):
    return gl.glmer(EPIL, epil, family="negbinomial", dispersion="~ trt")


@pytest.mark.parametrize("name", rv.auxiliary_names())
def test_estimates_and_standard_errors_are_those_of_r(name):
    ref, ours = fitted(name)
    assert ours.deviance == pytest.approx(ref["minus2logLik"], abs=1e-6)
    assert (ours.n_parameters, ours.nobs) == (ref["npar"], ref["nobs"])
    order = rv.positions(ref, ours.params.index)
    np.testing.assert_allclose(ours.params, np.array(ref["fixef"]["estimate"])[order], atol=1e-5)
    np.testing.assert_allclose(ours.bse, np.array(ref["fixef"]["se"])[order], rtol=1e-3)
    for g, sd in ref["sd"].items():
        sd = sd if sd > 1e-4 else 0.0  # glmmTMB moves log(sd), which no zero has
        assert ours.varcorr[g].sd["Intercept"] == pytest.approx(sd, abs=1e-5)
    for own, part in (("dispersion", "disp"), ("zi", "zi")):
        if not ref.get(part):
            continue
        if own not in ours.auxiliary_formulas:
            link = next(a.link for a in ours.family.auxiliary if a.name == own)
            assert link.link(ours.auxiliary_values[own]) == pytest.approx(ref[part]["estimate"][0], abs=1e-5)
            continue
        tests = gl.coef_tests(ours, predictor=own)
        order = rv.positions(ref, tests.index, part)
        np.testing.assert_allclose(tests["estimate"], np.array(ref[part]["estimate"])[order], atol=1e-5)
        np.testing.assert_allclose(tests["se"], np.array(ref[part]["se"])[order], rtol=1e-3)


@with_auxiliary
@pytest.mark.parametrize("n_agq", [1, 5])
def test_the_gradient_is_that_of_the_likelihood(name, link, n_agq):
    of = case(name, link)
    found = gl.glmer(of.formula, of.data, of.family, n_agq=n_agq, dispersion="~ x * f")
    x = found.solution.parameters + 0.03 * np.random.default_rng(1).standard_normal(8)
    problem = found.solution.problem.precise(found.solution.mode.u)
    assert_gradient(lambda z: problem.evaluate(z)[0], problem.gradient(x), x, 1e-4, rtol=1e-5, atol=1e-4)


@with_auxiliary
def test_a_constant_is_no_formula(name, link):
    of = case(name, link)
    same = gl.glmer(of.formula, of.data, of.family, dispersion="~ 1")
    assert same.deviance == of.fit.deviance and same.dispersion == of.fit.dispersion
    assert not len(same.auxiliary_params) and same.model_text == same.formula


@with_auxiliary
def test_every_room(name, link):
    """The truth is constant: coefficients of x are near zero, and all else is as without a formula."""
    of, rng = case(name, link), np.random.default_rng(2)
    found = gl.glmer(of.formula, of.data, of.family, dispersion="~ x")
    z = gl.coef_tests(found, predictor="dispersion")["statistic"]["x"]
    assert abs(z) < 4 and found.deviance <= of.fit.deviance + 1e-7
    assert found.n_parameters == of.fit.n_parameters + 1
    np.testing.assert_allclose(found.dispersion.mean(), of.auxiliary, rtol=0.7)
    assert 0.6 < found.resid_pearson.var() < 1.4 and np.isfinite(found.resid_deviance).all()
    new = of.data.sample(7, random_state=1)
    for interval in ("confidence", "prediction"):
        own = {"weights": of.trials_of(new)} if interval == "prediction" else {}
        here, there = found.predict(interval=interval), found.predict(new, interval=interval, **own)
        pd.testing.assert_frame_equal(here.loc[new.index], there)
    Y = found.simulate(3, rng=rng)
    many, one = found.refit_many(Y), found.refit(Y[:, 1])
    np.testing.assert_allclose(many.auxiliary_estimates.iloc[1], one.auxiliary_params, atol=1e-6)
    np.testing.assert_allclose(found.at(many.estimates(1)).dispersion, one.dispersion, rtol=1e-6)
    assert {"dispersion Intercept", "dispersion x"} <= set(found.bootstrap(3, rng=rng).replicates)
    wald = found.conf_int().loc["dispersion x"]
    profile = found.conf_int(method="profile", parm="dispersion x").loc["dispersion x"]
    assert np.ptp(profile) == pytest.approx(np.ptp(wald), rel=0.3)
    assert profile["lower"] < found.auxiliary_params["dispersion x"] < profile["upper"]
    text = " ".join(gl.report(found).text.split())
    assert "had a linear predictor of its own, ~ x (log link)" in text and "(by ~ x)" in text
    summary = str(found.summary())
    assert max(map(len, summary.splitlines())) <= 80 and "(log link, z tests)" in summary
    tidy = gl.tidy(found, conf_int=True).query("component == 'dispersion'")
    assert list(tidy["term"]) == ["Intercept", "x"] and tidy["conf_low"].notna().all()
    assert gl.simulated_residuals(found, n=100, rng=rng).uniformity.p > 1e-4
    assert np.isfinite(gl.influence(found, n_refits=1).largest[-1])
    for function in (gl.icc, gl.r2):
        with pytest.raises(
            ModelError, match="differs between|mean .* does not exist|no (one )?residual variance"
        ):
            function(found)
    again = pickle.loads(pickle.dumps(found))
    assert again.deviance == found.deviance
    np.testing.assert_array_equal(copy.deepcopy(found).dispersion, found.dispersion)


def test_nested_models_and_what_the_hypothesis_is(epil, fit):
    smaller = fit.update(dispersion=None)
    text = str(gl.anova(smaller, fit))
    assert "H0: dispersion trt[T.progabide] = 0" in text and "dispersion ~ trt" in text
    assert gl.anova(smaller, fit).table["p"].iloc[1] == pytest.approx(0.4953, abs=1e-3)
    by_age = gl.glmer("y ~ base + (1 | subject)", epil, family="negbinomial", dispersion="~ age")
    with pytest.raises(ModelError, match="the dispersion of .* is no special case"):
        gl.anova(by_age, gl.glmer(EPIL, epil, family="negbinomial", dispersion="~ trt + V4"))
    assert len(gl.compare(smaller, fit).table) == 2


def test_each_group_of_a_factor_has_its_own_dispersion(epil):
    """Without random effects to share, two dispersions are those of two fits."""
    both = gl.glmer("y ~ trt + trt:base + (0 + trt || subject)", epil, "negbinomial", dispersion="~ 0 + trt")
    for level, rows in epil.groupby("trt", observed=True):
        alone = gl.glmer("y ~ base + (1 | subject)", rows, family="negbinomial")
        name = f"dispersion trt[{level}]"
        assert np.exp(both.auxiliary_params[name]) == pytest.approx(alone.dispersion, rel=1e-4)
        assert both.dispersion[rows.index].iloc[0] == pytest.approx(alone.dispersion, rel=1e-4)


@pytest.mark.parametrize("scale, shift", [(1e6, 0.0), (1e-6, 0.0), (1.0, 1e4)])
def test_units_and_origins_of_a_covariate_do_not_matter(epil, scale, shift):
    plain = gl.glmer(EPIL, epil, family="negbinomial", dispersion="~ age")
    moved = gl.glmer(
        EPIL, epil.assign(age=epil["age"] * scale + shift), family="negbinomial", dispersion="~ age"
    )
    assert moved.deviance == pytest.approx(plain.deviance, abs=1e-6)
    slope = [f.auxiliary_params["dispersion age"] for f in (plain, moved)]
    assert slope[1] * scale == pytest.approx(slope[0], rel=1e-4)
    np.testing.assert_allclose(moved.dispersion, plain.dispersion, rtol=1e-4)


def test_missing_values_are_counted_together(epil):
    holes = epil.assign(age=epil["age"].where(epil.index % 50 > 0), base=epil["base"].where(epil.index != 7))
    found = gl.glmer(EPIL, holes, family="negbinomial", dispersion="~ age")
    assert (found.nobs, found.design.n_missing) == (236 - 6, 6)
    with pytest.raises(DataError, match="age"):
        gl.glmer(EPIL, holes, family="negbinomial", dispersion="~ age", na_action="raise")
    new = holes.head(3)
    assert found.predict(new).notna().tolist() == [True, True, True]
    assert found.predict(new, interval="prediction")["lower"].notna().tolist() == [False, True, True]


def test_a_dispersion_that_runs_off_is_said(epil):
    """Counts of one arm scatter less than a Poisson's."""
    rng = np.random.default_rng(3)
    mu = 4.0 * np.exp(0.3 * rng.standard_normal(59).repeat(4))
    many, few = rng.poisson(mu * rng.gamma(2.0, size=236) / 2.0), rng.binomial(20, np.minimum(mu / 20, 1))
    y = np.where(epil["trt"] == "placebo", many, few)
    with pytest.warns(gl.errors.SingularFitWarning, match="in some rows"):
        gl.glmer("y ~ trt + (1 | subject)", epil.assign(y=y), family="negbinomial", dispersion="~ trt")


def test_new_data_know_the_same_columns(epil):
    found = gl.glmer(EPIL, epil, family="negbinomial", dispersion="~ scale(age) + trt")
    new = epil.iloc[[0, 150]].drop(columns="y")
    band = found.predict(new, interval="prediction")
    pd.testing.assert_frame_equal(band, found.predict(interval="prediction").loc[new.index])
    found.predict(new.drop(columns="age"))  # its column is needed where its dispersion is
    with pytest.raises(DataError, match="age"):
        found.predict(new.drop(columns="age"), interval="prediction")


def test_update_keeps_and_changes_the_formula(fit):
    assert fit.update("~ . - base").auxiliary_formulas == {"dispersion": "~ trt"}
    assert fit.update(dispersion="~ base").auxiliary_formulas == {"dispersion": "~ base"}
    with pytest.raises(ModelError, match="poisson family has no dispersion"):
        fit.update(family="poisson")


@pytest.mark.parametrize(
    "family, formula, error, message",
    [
        ("poisson", "~ trt", ModelError, "no dispersion to model"),
        ("negbinomial", "trt", FormulaError, "a formula of its own without a response"),
        ("negbinomial", 3, FormulaError, "a formula of its own without a response"),
        ("negbinomial", "~ trt + (1 | subject)", FormulaError, "cannot have random effects"),
        ("negbinomial", "~ trt + offset(age)", FormulaError, "cannot have an offset"),
        ("negbinomial", "~ 0", FormulaError, "has no column"),
        ("negbinomial", "~ nothere", DataError, "'nothere' is not a column"),
        ("negbinomial", "~ age + I(2 * age)", ModelError, r"I\(2 \* age\) is constant or a linear comb"),
    ],
)
def test_what_is_refused(epil, family, formula, error, message):
    with pytest.raises(error, match=message):
        gl.glmer(EPIL, epil, family=family, dispersion=formula)


def test_no_coefficients_without_a_formula(epil):
    with pytest.raises(ModelError, match="'dispersion' has no formula of its own"):
        gl.coef_tests(gl.glmer(EPIL, epil, family="negbinomial"), predictor="dispersion")


def test_the_picture_of_a_response_needs_one_dispersion(epil):
    found = gl.glmer("y ~ base + (1 | subject)", epil, family="negbinomial", dispersion="~ trt")
    with pytest.raises(ModelError, match="differs between rows"):
        gl.plots.ingredients(found, x="base", level=1, at=20)


def test_the_check_of_a_right_model_finds_no_fault(monkeypatch):
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(60), 6)
    data = pd.DataFrame({"g": g, "x": rng.uniform(-1, 1, g.size)})
    mu, k = np.exp(1.5 + 0.5 * data["x"] + 0.4 * rng.standard_normal(60)[g]), np.exp(1.0 + 1.5 * data["x"])
    data["y"] = rng.poisson(mu * rng.gamma(k) / k)
    found = gl.glmer("y ~ x + (1 | g)", data, family="negbinomial", dispersion="~ x")
    assert found.auxiliary_params["dispersion x"] == pytest.approx(1.5, abs=0.6)
    monkeypatch.setattr("glmmlib.diagnostics.check.MIN_REFITS", 39)
    tests = gl.check(found, n=39, rng=rng).table["p"].dropna()
    assert len(tests) >= 4 and (tests > 1 / 40).sum() >= len(tests) - 1
