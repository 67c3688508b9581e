"""Tidy tables hold the numbers of the fit under the names of broom.mixed."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.diagnostics.leverage import hat_values
from glmmlib.errors import DataError, ModelError

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def slopes():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


@pytest.fixture(scope="module")
def herds():
    return gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )


@pytest.fixture(scope="module")
def counts():
    return gl.glmer("TICKS ~ YEAR + (1 | LOCATION)", gl.load("grouseticks"), family="negbinomial")


def test_fixed_effects(slopes):
    table = gl.tidy(slopes, conf_int=True, effects="fixed").set_index("term")
    tests, intervals = gl.coef_tests(slopes), slopes.conf_int()
    assert list(table) == [
        "effect",
        "group",
        "estimate",
        "std_error",
        "statistic",
        "df",
        "p_value",
        "conf_low",
        "conf_high",
    ]
    for ours, theirs in {
        "estimate": "estimate",
        "std_error": "se",
        "statistic": "statistic",
        "df": "df",
        "p_value": "p",
    }.items():
        np.testing.assert_allclose(table[ours], tests[theirs])
    np.testing.assert_allclose(table[["conf_low", "conf_high"]], intervals)


def test_random_effects_are_named_as_in_broom(slopes):
    table = gl.tidy(slopes, effects="ran_pars").set_index(["group", "term"])["estimate"]
    sleep = slopes.varcorr["Subject"]
    expected = {
        ("Subject", "sd__Intercept"): sleep.sd["Intercept"],
        ("Subject", "sd__Days"): sleep.sd["Days"],
        ("Subject", "cor__Intercept.Days"): sleep.corr.loc["Intercept", "Days"],
        ("Residual", "sd__Observation"): slopes.sigma,
    }
    assert table.to_dict() == pytest.approx(expected)


def test_no_correlation_where_the_formula_has_none():
    fit = gl.lmer("Reaction ~ Days + (Days || Subject)", gl.load("sleepstudy"))
    assert gl.tidy(fit)["term"].tolist() == [
        "Intercept",
        "Days",
        "sd__Intercept",
        "sd__Days",
        "sd__Observation",
    ]


def test_profile_intervals_reach_the_random_effects(slopes):
    table = gl.tidy(slopes, conf_int=True, method="profile", level=0.9)
    intervals = slopes.conf_int(0.9, "profile")
    rows = table.set_index("term").loc[["sd__Days", "cor__Intercept.Days", "sd__Observation", "Days"]]
    names = ["sd Subject.Days", "corr Subject.Days.Intercept", "sigma", "Days"]
    np.testing.assert_allclose(rows[["conf_low", "conf_high"]], intervals.loc[names])
    assert table.attrs["notes"] == intervals.attrs["notes"] != ()


def test_bootstrap_intervals(slopes):
    table = gl.tidy(slopes, conf_int=True, method="bootstrap", n=100, rng=np.random.default_rng(1))
    assert table[["conf_low", "conf_high"]].notna().all(axis=None)


def test_conditional_modes(slopes):
    table = gl.tidy(slopes, conf_int=True, effects="ran_vals")
    modes = slopes.ranef(cond_sd=True)["Subject"]
    days = table[table["term"] == "Days"].set_index("level")
    np.testing.assert_allclose(days["estimate"], modes["Days"])
    np.testing.assert_allclose(days["std_error"], modes["sd Days"])
    np.testing.assert_allclose(days["conf_high"] - days["estimate"], 1.959964 * modes["sd Days"], rtol=1e-6)
    assert len(table) == 36


def test_generalised_models_have_no_df(herds, counts):
    table = gl.tidy(herds, conf_int=True)
    assert "df" not in table
    assert table["term"].tolist()[-1] == "sd__Intercept"
    np.testing.assert_allclose(table["p_value"][:4], herds.pvalues)
    last = gl.tidy(counts).iloc[-1]
    assert (last["group"], last["term"], last["estimate"]) == ("Residual", "dispersion", counts.dispersion)


def test_unknown_effects_are_refused(slopes):
    with pytest.raises(ModelError, match="there are no effects 'random'"):
        gl.tidy(slopes, effects="random")


def test_glances_stack(slopes, herds, counts):
    table = pd.concat(
        [gl.glance(fit) for fit in (slopes, slopes.with_criterion(False), herds, counts)], ignore_index=True
    )
    assert table["nobs"].tolist() == [180, 180, 56, 403]
    np.testing.assert_allclose(table["logLik"], -0.5 * table["REMLcrit"].fillna(table["deviance"]))
    assert table["REMLcrit"].notna().tolist() == [True, False, False, False]
    assert table["sigma"].isna().tolist() == [False, False, True, True]
    assert table["dispersion"].isna().tolist() == [True, True, True, False]
    assert table["converged"].all() and not table["is_singular"].any()


def test_augment_keeps_the_rows_that_the_fit_used():
    sleep = gl.load("sleepstudy")
    sleep["Reaction"] = sleep["Reaction"].where(sleep.index % 7 != 0)
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    table = gl.augment(fit)
    assert table.index.equals(sleep.index[sleep.index % 7 != 0])
    np.testing.assert_allclose(table["_fitted"] + table["_resid"], table["Reaction"])
    np.testing.assert_allclose(table["_fixed"], fit.X @ fit.params)
    np.testing.assert_allclose(table["_hat"], hat_values(fit))
    assert "_fitted" not in fit.design.data


def test_augment_of_a_generalised_model_is_on_the_scale_of_the_response(herds):
    table = gl.augment(herds)
    observed = table["incidence"] / table["size"]
    np.testing.assert_allclose(table["_fitted"] + table["_resid"], observed)
    np.testing.assert_allclose(table["_fixed"], 1 / (1 + np.exp(-herds.X @ herds.params)))
    assert "_hat" not in table


def test_augment_shows_the_offset():
    epil = gl.load("Dyestuff").assign(known=3.0)
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", epil, offset="known")
    assert (gl.augment(fit)["_offset"] == 3.0).all()


def test_augment_refuses(slopes):
    taken = gl.load("sleepstudy").assign(_resid=0.0)
    with pytest.raises(DataError, match="the data have a column '_resid' already"):
        gl.augment(gl.lmer("Reaction ~ Days + (1 | Subject)", taken))
    with pytest.raises(ModelError, match="given to refit"):
        gl.augment(slopes.refit(slopes.design.y[::-1]))
