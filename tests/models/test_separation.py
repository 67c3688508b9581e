"""After separation everything that is asked of a fit tells one story."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibError, GlmmlibWarning


@pytest.fixture(autouse=True)
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        yield


def with_an_empty_level(seed=6):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(12), 12)
    d = pd.DataFrame({"g": g, "f": np.tile(list("abcdef"), 24), "x": rng.normal(size=144)})
    u = 0.6 * rng.normal(size=12)
    eta = 0.3 + 0.3 * d["x"] + 0.5 * (d["f"] == "b") + u[g]
    d["k"] = np.where(d["f"] == "d", 0, rng.poisson(np.exp(eta)))
    d["b"] = np.where(d["f"] == "d", 0, (rng.uniform(size=144) < 1 / (1 + np.exp(-eta))).astype(int))
    return d, d[d["f"] != "d"].reset_index(drop=True)


SEPARATED = [
    ("k", "poisson", "log"),
    ("k", "negbinomial", "log"),
    ("b", "binomial", "logit"),
    ("b", "binomial", "probit"),
    ("b", "binomial", "cloglog"),
]


@pytest.mark.parametrize("y, family, link", SEPARATED)
def test_the_other_coefficients_are_those_without_the_level(y, family, link):
    whole, rest = with_an_empty_level()
    others = [f"{y} ~ f + x + (x || g)", f"{y} ~ 0 + f + x + (1 | g)"] if link == "logit" else []
    for formula in (f"{y} ~ f + x + (1 | g)", *others):
        fit = gl.glmer(formula, whole, family=family, link=link)
        right = gl.glmer(formula, rest, family=family, link=link)
        here = right.params.index
        np.testing.assert_allclose(fit.params[here], right.params, atol=2e-3)
        np.testing.assert_allclose(fit.bse[here], right.bse, rtol=2e-3)
        assert fit.deviance == pytest.approx(right.deviance, abs=0.01)
        new = {"f": ["a", "b"], "x": [0.0, 1.0]}
        one, other = (m.predict(new, re_form="~0", interval="confidence") for m in (fit, right))
        np.testing.assert_allclose(one, other, rtol=5e-3)
        many = fit.refit_many(whole[[y]].to_numpy(float))
        np.testing.assert_allclose(many.bse[here].iloc[0], right.bse, rtol=2e-3)
        np.testing.assert_allclose(fit.conf_int().loc[here], right.conf_int(), atol=5e-3)


@pytest.mark.parametrize("y, family, link", SEPARATED)
def test_the_empty_level_is_uncertain_everywhere(y, family, link):
    whole, _ = with_an_empty_level()
    fit = gl.glmer(f"{y} ~ f + x + (1 | g)", whole, family=family, link=link)
    at_level = fit.predict({"f": ["d"], "x": [0.0]}, re_form="~0", interval="confidence").iloc[0]
    top = 1.0 if family == "binomial" else np.inf
    assert at_level["lower"] == pytest.approx(0.0, abs=1e-6) or np.isnan(at_level["lower"])
    assert at_level["upper"] == top or np.isnan(at_level["upper"])
    mean = gl.means(fit, "f").table.loc["d"]
    assert np.isnan(mean["upper"]) or mean["upper"] == top
    ends = fit.conf_int().loc["f[T.d]"]
    assert (not np.isfinite(ends["lower"]) and not np.isfinite(ends["upper"])) or ends.isna().all()
    assert not np.isfinite(fit.bse["f[T.d]"])


ALL_ZERO = [
    ("binomial", "y ~ x + (1 | a) + (x | b)"),
    ("binomial", "y ~ x + (1 | a)"),
    ("poisson", "y ~ x + (1 | a) + (1 | b)"),
    ("poisson", "y ~ x + (1 | a)"),
    ("negbinomial", "y ~ x + (1 | a)"),
]


@pytest.mark.parametrize("family, formula", ALL_ZERO)
@pytest.mark.parametrize("value", [0, 1])
def test_one_response_throughout(family, formula, value):
    """Either the fit is refused, or whatever is asked of it answers without a foreign error."""
    if value and family != "binomial":
        return
    rng = np.random.default_rng(0)
    d = pd.DataFrame(
        {"y": value, "x": rng.normal(size=40), "a": np.arange(40) % 5, "b": rng.integers(0, 6, 40)}
    )
    try:
        fit = gl.glmer(formula, d, family)
    except GlmmlibError:
        return
    for ask in (
        lambda: fit.ranef(error_sd=True, cond_sd=True),
        lambda: fit.predict(interval="confidence"),
        lambda: fit.predict(interval="prediction"),
        lambda: fit.predict({"x": [0.0]}, re_form="~0", interval="confidence"),
        lambda: fit.conf_int(),
        lambda: fit.summary(),
        lambda: fit.resid_pearson,
        lambda: fit.resid_deviance,
        lambda: gl.coef_tests(fit),
        lambda: gl.tidy(fit, conf_int=True),
        lambda: gl.report(fit),
        lambda: gl.anova(fit),
        lambda: gl.wald_test(fit, "x"),
        lambda: gl.means(fit, "x", at={"x": [0.0, 1.0]}),
        lambda: gl.icc(fit),
        lambda: gl.r2(fit),
        lambda: fit.refit_many(d[["y"]].to_numpy(float)),
    ):
        try:
            answer = ask()
        except GlmmlibError:
            continue
        if isinstance(answer, pd.Series):
            assert not answer.isna().any()
        if isinstance(answer, pd.DataFrame) and {"lower", "upper"} <= set(answer):
            width = answer["upper"] - answer["lower"]
            assert not (width == 0).any()


def test_wald_tests_say_that_separation_makes_them_meaningless():
    """The Wald test says p = 0.98 where the likelihood ratio says 0.03."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {
            "g": np.repeat(np.arange(8), 24),
            "a": np.tile(list("abcdef"), 32),
            "b": np.tile(np.repeat(["u", "v"], 6), 16),
        }
    )
    d["y"] = np.where((d["a"] == "c") & (d["b"] == "v"), 0, rng.integers(0, 2, 192))
    large = gl.glmer("y ~ a * b + (1 | g)", d, family="binomial")
    small = gl.glmer("y ~ a + b + (1 | g)", d, family="binomial")
    ratio = gl.anova(small, large).table.iloc[-1]
    assert ratio.filter(like="p").iloc[-1] < 0.05
    wald = gl.anova(large)
    row = wald.table.loc["a:b"]
    assert np.isnan(row["p"]), "a Wald test of a separated term is no test"
    assert "separat" in str(wald)
    with pytest.raises(GlmmlibError):
        gl.wald_test(large, "a[T.c]:b[T.v]")


def test_two_levels_at_both_ends():
    """All failures in one level, all successes in another, and a slope within a third."""
    whole, _ = with_an_empty_level()
    whole["b"] = np.where(whole["f"] == "e", 1, whole["b"])
    rest = whole[~whole["f"].isin(["d", "e"])]
    fit, right = (gl.glmer("b ~ f + x + (1 | g)", rows, "binomial") for rows in (whole, rest))
    here = right.params.index
    assert set(fit.separation.coefficients) == {"f[T.d]", "f[T.e]"}
    np.testing.assert_allclose(fit.bse[here], right.bse, rtol=2e-3)
    assert np.isinf(fit.bse[["f[T.d]", "f[T.e]"]]).all()
    covariance = fit.cov_params()
    np.testing.assert_allclose(covariance.loc[here, here], right.cov_params(), rtol=1e-2, atol=1e-5)
    assert np.isinf(np.diag(covariance.loc[["f[T.d]", "f[T.e]"], ["f[T.d]", "f[T.e]"]])).all()
    assert fit.tvalues[["f[T.d]", "f[T.e]"]].isna().all()
    table = gl.means(fit, "f").table
    np.testing.assert_allclose(table.loc[["d", "e"], ["lower", "upper"]], [[0, 1], [0, 1]])
    pairs = gl.means(fit, "f").differences().table
    assert pairs.loc["d - e", "p"] != pairs.loc["d - e", "p"]
    assert np.isfinite(pairs.loc["a - b", "p"])
    np.testing.assert_allclose(
        fit.ranef(error_sd=True)["g"], right.ranef(error_sd=True)["g"], rtol=5e-3, atol=5e-3
    )


def test_a_reference_level_without_events_leaves_differences_alone():
    whole, _ = with_an_empty_level()
    whole["f"] = pd.Categorical(whole["f"], list("dabcef"))
    fit = gl.glmer("k ~ f + x + (1 | g)", whole, "poisson")
    assert np.isinf(fit.bse.drop("x")).all()
    assert np.isfinite(fit.bse["x"])
    right = gl.glmer(
        "k ~ f + x + (1 | g)", whole[whole["f"] != "d"].assign(f=lambda d: d["f"].astype(str)), "poisson"
    )
    found = gl.wald_test(fit, "f[T.b] - f[T.a] = 0").rows.iloc[0]
    assert found["se"] == pytest.approx(right.bse["f[T.b]"], rel=2e-3)
    with pytest.raises(GlmmlibError, match="separation"):
        gl.wald_test(fit, "f[T.b]")


def test_a_slope_that_separates_within_one_level():
    """The direction is a combination of columns: only what lies across it has no estimate."""
    rng = np.random.default_rng(5)
    d = pd.DataFrame(
        {"g": np.repeat(np.arange(10), 12), "f": np.tile(list("ab"), 60), "x": rng.normal(size=120)}
    )
    d["y"] = np.where(d["f"] == "b", (d["x"] > 0.2), rng.integers(0, 2, 120)).astype(int)
    fit = gl.glmer("y ~ f * x + (1 | g)", d, "binomial")
    right = gl.glmer("y ~ x + (1 | g)", d[d["f"] == "a"], "binomial")
    np.testing.assert_allclose(fit.bse[["Intercept", "x"]], right.bse, rtol=2e-3)
    assert np.isinf(fit.bse[["f[T.b]", "f[T.b]:x"]]).all()
    with pytest.raises(GlmmlibError, match="finite"):
        gl.r2(fit)


def test_influence_of_the_only_group_with_events():
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"g": np.repeat(np.arange(6), 20), "f": np.tile(list("ab"), 60)})
    d["k"] = np.where((d["f"] == "b") & (d["g"] != 2), 0, rng.poisson(2.0, 120))
    found = gl.influence(gl.glmer("k ~ f + (1 | g)", d, "poisson"))
    assert found.table.loc[("g", 2), "f[T.b]"] == -np.inf
    assert "has no estimate" in repr(found)
