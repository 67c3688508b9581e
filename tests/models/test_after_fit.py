"""What is computed from a fit: draws, tests and tables keep to its weights, trials, cells and rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import glmmlib as gl
from glmmlib.errors import GlmmlibError, GlmmlibWarning, ModelError


@pytest.fixture(autouse=True)
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        yield


def missing_cell(order, seed=1):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame(
        {
            "f": np.repeat(list("abc"), 24),
            "t": np.tile(np.repeat(["u", "v"], 12), 3),
            "g": np.tile(np.arange(12), 6),
            "x": rng.normal(size=72),
        }
    )
    d = d[~((d["f"] == "c") & (d["t"] == "v"))].reset_index(drop=True)
    u = rng.normal(size=12)
    d["y"] = 10 + 2 * (d["f"] == "b") + (d["f"] == "b") * (d["t"] == "v") + u[d["g"]] + rng.normal(size=60)
    d["k"] = rng.poisson(np.exp(0.1 * d["y"]))
    return d.assign(f=pd.Categorical(d["f"], list(order)))


def exposures(seed=25):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame(
        {"g": np.repeat(np.arange(10), 12), "x": rng.normal(size=120), "t": rng.uniform(1, 5, 120)}
    )
    return d.assign(k=rng.poisson(np.exp(0.3 * d["x"] + 0.5 * rng.normal(size=10)[d["g"]]) * d["t"]))


@pytest.mark.parametrize("family", ["poisson", "negbinomial", "beta"])
def test_nothing_is_drawn_where_weights_multiply_the_density(family, monkeypatch):
    d = exposures().query("g < 4").reset_index(drop=True)
    d["share"] = (d["k"] + 0.5) / (d["k"].max() + 1)
    y, rng = "share" if family == "beta" else "k", np.random.default_rng(1)
    fit = gl.glmer(f"{y} ~ x + (1 | g)", d, family, weights=np.full(48, 25.0))
    for ask in (
        lambda: fit.simulate(2, rng=rng),
        lambda: fit.bootstrap(3, rng=rng),
        lambda: gl.simulated_residuals(fit, n=20, rng=rng),
        lambda: gl.icc_conf_int(fit, n=25, rng=rng),
    ):
        with pytest.raises(GlmmlibError, match="weights"):
            ask()
    monkeypatch.setattr("glmmlib.diagnostics.check.MIN_REFITS", 20)  # none of them is a matter here
    assert "weights of the" in " ".join(str(gl.check(fit, n=20, rng=rng)).split())
    ones = gl.glmer(f"{y} ~ x + (1 | g)", d, family, weights=np.ones(48))
    assert np.isfinite(ones.simulate(rng=rng)).all()


def test_the_trials_of_cbind_are_those_of_the_data():
    d = pd.DataFrame({"g": np.repeat(np.arange(15), 6), "s": 3, "f": 7})
    options = {"fixef": {"Intercept": 0.0}, "sd": {"g": 0.1}, "family": "binomial", "n": 200}
    try:
        y = gl.simulate("cbind(s, f) ~ 1 + (1 | g)", d, rng=np.random.default_rng(1), **options)
    except GlmmlibError as error:
        if "weights" not in str(error):
            raise
        return
    assert np.mean(y) == pytest.approx(5.0, abs=0.3)
    assert np.max(y) > 8


def test_trials_that_the_data_do_not_hold_are_asked_for():
    d = pd.DataFrame({"g": np.repeat(np.arange(15), 6), "x": 0.0})
    options = {"fixef": {"Intercept": 0.0}, "sd": {"g": 0.1}, "family": "binomial", "rng": 1}
    with pytest.raises(GlmmlibError, match="weights="):
        gl.simulate("cbind(s, f) ~ 1 + (1 | g)", d, **options)
    assert gl.simulate("cbind(s, f) ~ 1 + (1 | g)", d, weights=np.full(90, 9), **options).max() > 2


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("n_agq", [1, 9])
def test_one_binary_row_a_level_is_told(link, n_agq):
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"o": np.arange(400), "x": np.arange(400) % 2})
    d["y"] = (rng.uniform(size=400) < np.where(d["x"] == 1, 0.7, 0.4)).astype(int)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            gl.glmer("y ~ x + (1 | o)", d, family="binomial", link=link, n_agq=n_agq)
        except GlmmlibError as error:
            if "one" not in str(error):
                raise
            return
    said = " ".join(str(w.message) for w in caught)
    assert "identif" in said or "one row" in said or "one observation" in said, said


def test_one_row_a_level_of_counts_or_trials_is_a_model():
    """Observation-level effects of counts are identified."""
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"o": np.arange(200), "x": rng.normal(size=200)})
    d["k"] = rng.poisson(np.exp(1 + 0.3 * d["x"] + 0.7 * rng.normal(size=200)))
    assert 0.4 < gl.glmer("k ~ x + (1 | o)", d, family="poisson").theta.iloc[0] < 1.0


def test_one_row_a_level_beside_another_factor():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"o": np.arange(80), "g": np.arange(80) % 8, "y": rng.integers(0, 2, 80)})
    with pytest.raises(GlmmlibError, match="each level of o has one"):
        gl.glmer("y ~ 1 + (1 | g) + (1 | o)", d, "binomial")
    d["n"] = 10
    gl.glmer("cbind(y, n - y) ~ 1 + (1 | o)", d, "binomial")  # ten trials a level tell


def test_a_duplicate_column_does_not_stop_tests_and_report():
    """The rows of the other terms are those of the model without the duplicate (lmerTest says the same)."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame(
        {"f": np.repeat(list("abc"), 20), "g": np.tile(np.arange(12), 5), "x": rng.normal(size=60)}
    )
    d["y"] = (d["f"] == "b") + d["x"] + rng.normal(size=12)[d["g"]] + rng.normal(size=60)
    d["x2"] = 2 * d["x"]
    right = gl.anova(gl.lmer("y ~ f + x + (1 | g)", d)).table
    for formula in ("y ~ f + x + x2 + (1 | g)", "y ~ f + x2 + x + (1 | g)"):
        fit = gl.lmer(formula, d)
        found = gl.anova(fit).table
        np.testing.assert_allclose(
            found.loc["f", ["F", "p"]].astype(float), right.loc["f", ["F", "p"]].astype(float), rtol=1e-5
        )
        name = "x" if "x" in found.index and np.isfinite(found.loc["x", "F"]) else "x2"
        assert found.loc[name, "F"] == pytest.approx(right.loc["x", "F"], rel=1e-5)
        assert str(gl.report(fit))


def test_report_of_a_fit_with_an_empty_cell():
    assert str(gl.report(gl.lmer("y ~ f * t + (1 | g)", missing_cell("abc"))))


def overdispersed(seed=4):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "x": rng.normal(size=60)})
    mu = np.exp(1 + 0.3 * d["x"] + 0.3 * rng.normal(size=10)[d["g"]])
    return d.assign(k=rng.negative_binomial(2, 2 / (2 + mu)))


@pytest.mark.parametrize("family", ["negbinomial", "negbinomial1"])
def test_poisson_is_nested_in_the_negative_binomials(family):
    d = overdispersed()
    poisson, negative = (gl.glmer("k ~ x + (1 | g)", d, family=f) for f in ("poisson", family))
    for pair in ((poisson, negative), (negative, poisson)):
        row = gl.anova(*pair).table.iloc[-1]
        statistic = 2 * (negative.llf - poisson.llf)
        assert row["chisq"] == pytest.approx(statistic, abs=1e-6)
        p = [float(v) for name, v in row.items() if str(name).startswith("p")]
        assert any(v == pytest.approx(chi2.sf(statistic, 1) / 2, rel=1e-6) for v in p)


def test_the_same_rows_in_another_order_are_the_same_rows():
    d = overdispersed()
    one = gl.glmer("k ~ 1 + (1 | g)", d.sort_values("k"), family="poisson")
    other = gl.glmer("k ~ x + (1 | g)", d, family="poisson")
    right = gl.anova(gl.glmer("k ~ 1 + (1 | g)", d, family="poisson"), other).table
    pd.testing.assert_frame_equal(gl.anova(one, other).table, right, rtol=1e-6)
    d = d.assign(y=d["k"] + 0.5 * d["x"])
    small, large = (
        gl.lmer("y ~ 1 + (1 | g)", d.sort_values("y"), reml=False),
        gl.lmer("y ~ x + (1 | g)", d, reml=False),
    )
    assert np.isfinite(gl.anova(small, large).table["chisq"].iloc[-1])


def test_other_rows_are_still_refused():
    d = overdispersed()
    with pytest.raises(ModelError):
        gl.anova(
            gl.glmer("k ~ 1 + (1 | g)", d.iloc[1:], family="poisson"),
            gl.glmer("k ~ x + (1 | g)", d, family="poisson"),
        )


def test_types_of_tests_with_an_empty_cell():
    """Averages over the empty cell are undefined; the interaction and terms beside it are not."""
    d = missing_cell("abc")
    tests = gl.anova(gl.lmer("y ~ f * t + x + (1 | g)", d))
    assert tests.table.loc[["f", "t"]].isna().all(axis=None)
    assert "f, t: an average over cells" in str(tests)
    assert tests.table.loc["f:t", "df_num"] == 1
    other = gl.anova(gl.lmer("y ~ f * t + x + (1 | g)", missing_cell("cab"))).table
    np.testing.assert_allclose(tests.table.loc[["f:t", "x"]], other.loc[["f:t", "x"]], rtol=1e-5)


def test_models_in_another_order_by_bootstrap_and_reml():
    d = missing_cell("abc")
    shuffled = d.sample(frac=1, random_state=1)
    small, large = gl.lmer("y ~ x + (1 | g)", shuffled, reml=False), gl.lmer("y ~ x + (x | g)", d, reml=False)
    same = gl.lmer("y ~ x + (1 | g)", d, reml=False)
    one, other = (gl.anova(m, large).table for m in (small, same))
    pd.testing.assert_frame_equal(one, other, rtol=1e-6, atol=1e-6)
    null = [gl.bootstrap_test(m, large, n=40, rng=np.random.default_rng(1)).null for m in (small, same)]
    assert abs(np.mean(null[0]) - np.mean(null[1])) < 1.0
    reml = [gl.lmer(f, rows) for f, rows in (("y ~ x + (1 | g)", shuffled), ("y ~ x + (x | g)", d))]
    assert np.isfinite(gl.anova(*reml, refit=False).table["chisq"].iloc[-1])


def test_the_modelled_event_is_named():
    d = exposures().assign(grown=lambda t: np.where(t["k"] > 2, "yes", "no"))
    assert "grown is 'yes' (not 'no')" in str(gl.glmer("grown ~ x + (1 | g)", d, "binomial").summary())


@pytest.mark.parametrize("n", [2, 39, 40])
def test_a_bootstrap_of_any_size_can_be_shown(n):
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    shown = repr(fit.bootstrap(n, rng=1))
    assert ("too few" in shown) == (n < 40)


def test_icc_of_responses_where_effects_pass_the_end_of_the_link():
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(12), 8), rng.uniform(0, 1, 96)
    for sd, is_told in ((0.03, True), (0.5, False)):
        eta = np.maximum(1 + 0.5 * x + sd * rng.normal(size=12)[g], 0.05)
        d = pd.DataFrame({"g": g, "x": x, "y": rng.gamma(50, 1 / (50 * eta))})
        fit = gl.glmer("y ~ x + (1 | g)", d, "gamma", link="inverse")
        for at in (None, {"x": 0.5}):
            if is_told:
                assert 0 < float(gl.icc(fit, scale="observation", at=at)) < 1
            else:
                with pytest.raises(GlmmlibError, match="past the end of the inverse link"):
                    gl.icc(fit, scale="observation", at=at)
