"""Intraclass correlation: closed forms, R's numbers, values of x, and the scales of generalised models."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, ModelError, SingularFitWarning
from support import reference_values as rv

REFERENCE = rv.extra("icc_r2")
CASES = {
    "sleep_null": ("Reaction ~ 1 + (1 | Subject)", {}),
    "sleep_ri": ("Reaction ~ Days + (1 | Subject)", {}),
    "sleep_rs": ("Reaction ~ Days + (Days | Subject)", {}),
    "sleep_rs_ml": ("Reaction ~ Days + (Days | Subject)", {"reml": False}),
}


@pytest.fixture(scope="module")
def sleep():
    return rv.data("sleepstudy")


@pytest.fixture(scope="module")
def slopes(sleep):
    return gl.lmer("Reaction ~ Days + (Days | Subject)", sleep)


@pytest.fixture(scope="module")
def herds():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return gl.glmer(formula, rv.data("cbpp"), family="binomial")


@pytest.mark.parametrize("case", CASES)
def test_linear_models_agree_with_performance(sleep, case):
    formula, options = CASES[case]
    fit, theirs = gl.lmer(formula, sleep, **options), REFERENCE[case]
    adjusted, unadjusted = gl.icc(fit), gl.icc(fit, kind="unadjusted")
    assert float(adjusted) == pytest.approx(theirs["icc_adjusted"], abs=1e-6)
    assert float(unadjusted) == pytest.approx(theirs["icc_unadjusted"], abs=1e-6)
    assert adjusted.residual == pytest.approx(theirs["variance"]["var.residual"], rel=1e-5)
    assert adjusted.between.sum() == pytest.approx(theirs["variance"]["var.random"], rel=1e-5)
    assert (adjusted.fixed, unadjusted.fixed) == pytest.approx(
        (0.0, theirs["variance"]["var.fixed"]), rel=1e-5
    )


def test_binomial_on_the_latent_scale(herds):
    theirs = REFERENCE["cbpp"]
    assert float(gl.icc(herds)) == pytest.approx(theirs["icc_adjusted"], abs=2e-5)
    assert float(gl.icc(herds, kind="unadjusted")) == pytest.approx(theirs["icc_unadjusted"], abs=2e-5)
    assert gl.icc(herds).residual == pytest.approx(np.pi**2 / 3)


def test_balanced_one_way_closed_form():
    """ANOVA: (MSB - MSW) / (MSB + (m - 1) MSW)."""
    table = rv.data("Dyestuff")
    groups = table.groupby("Batch", observed=True)["Yield"]
    m = 5
    within, between = groups.var().mean(), m * groups.mean().var()
    expected = (between - within) / (between + (m - 1) * within)
    assert float(gl.icc(gl.lmer("Yield ~ 1 + (1 | Batch)", table))) == pytest.approx(expected, rel=1e-6)


def test_no_variance_no_correlation():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", rv.data("Dyestuff2"))
    assert float(gl.icc(fit)) == 0.0


def test_several_factors_add_up():
    fit = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", rv.data("Penicillin"))
    found, sd = gl.icc(fit), {name: fit.varcorr[name].sd.iloc[0] for name in ("plate", "sample")}
    total = sum(s**2 for s in sd.values()) + fit.sigma**2
    assert found.by_group.to_dict() == pytest.approx({name: s**2 / total for name, s in sd.items()})
    assert float(found) == pytest.approx(found.by_group.sum())
    assert float(gl.icc(fit, group="plate")) == found.by_group["plate"]


# -- values of x --------------------------------------------------------------------------------------


def test_at_a_value_of_x(slopes):
    s = slopes.varcorr["Subject"].cov.to_numpy()
    x = np.arange(10.0)
    between = s[0, 0] + 2 * x * s[0, 1] + x**2 * s[1, 1]
    curve = gl.icc(slopes, at=x)
    np.testing.assert_allclose(curve, between / (between + slopes.sigma**2), rtol=1e-10)
    assert curve.index.name == "Days" and list(curve.index) == list(x)
    assert float(gl.icc(slopes, at=5)) == float(gl.icc(slopes, at={"Days": 5})) == pytest.approx(curve[5.0])
    np.testing.assert_allclose(gl.between_variance(slopes, at=x), between, rtol=1e-10)
    assert gl.between_variance(slopes) == pytest.approx(between.mean())


def test_a_random_intercept_is_the_same_everywhere(sleep):
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    assert gl.icc(fit, at=[0, 9]).tolist() == [float(gl.icc(fit))] * 2
    assert float(gl.icc(fit, at={})) == float(gl.icc(fit))


def test_the_origin_of_x_does_not_matter(sleep, slopes):
    far = gl.lmer("Reaction ~ D + (D | Subject)", sleep.assign(D=sleep["Days"] + 1e6))
    assert float(gl.icc(far)) == pytest.approx(float(gl.icc(slopes)), abs=1e-6)
    np.testing.assert_allclose(
        gl.icc(far, at=1e6 + np.arange(10)), gl.icc(slopes, at=np.arange(10)), atol=1e-6
    )


def test_transformed_covariates_and_factors(sleep):
    fit = gl.lmer("Reaction ~ Days + (scale(Days) | Subject)", sleep)
    plain = gl.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    assert float(gl.icc(fit, at=7)) == pytest.approx(float(gl.icc(plain, at=7)), abs=1e-6)
    machines = gl.lmer("score ~ Machine + (0 + Machine | Worker)", rv.data("Machines"))
    variance = machines.varcorr["Worker"].sd ** 2
    found = gl.between_variance(machines, at=["A", "B", "C"])
    np.testing.assert_allclose(found, variance, rtol=1e-10)


def test_two_covariates_need_names():
    table = rv.data("sim_crossed")
    table["z"] = np.random.default_rng(2).normal(size=len(table))
    fit = gl.lmer("y ~ x + z + (x | a) + (z | b)", table)
    cov_a, cov_b = (fit.varcorr[name].cov.to_numpy() for name in "ab")
    at = {"x": 1.0, "z": np.array([0.0, 2.0])}
    expected = [np.array([1, 1]) @ cov_a @ [1, 1] + np.array([1, z]) @ cov_b @ [1, z] for z in (0, 2)]
    np.testing.assert_allclose(gl.between_variance(fit, at=at), expected)
    np.testing.assert_allclose(
        gl.between_variance(fit, at=at, group="a"), [np.ones(2) @ cov_a @ np.ones(2)] * 2
    )
    with pytest.raises(ModelError, match="write {'x': ..., 'z': ...}"):
        gl.icc(fit, at=1.0)
    with pytest.raises(DataError, match="gives no value of z"):
        gl.icc(fit, at={"x": 1.0})


def test_correlation_of_two_observations(slopes):
    s = slopes.varcorr["Subject"].cov.to_numpy()
    x = np.arange(10.0)
    V = s[0, 0] + (x[:, None] + x) * s[0, 1] + np.outer(x, x) * s[1, 1]
    sd = np.sqrt(np.diag(V) + slopes.sigma**2)
    np.testing.assert_allclose(gl.correlation(slopes, x[:, None], x), V / np.outer(sd, sd), rtol=1e-10)
    assert gl.correlation(slopes, 3, 3) == pytest.approx(float(gl.icc(slopes, at=3)))
    assert gl.correlation(slopes, 0, 9) == gl.correlation(slopes, {"Days": 9}, {"Days": 0})


def test_correlation_within_one_of_two_factors():
    fit = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", rv.data("Penicillin"))
    found = gl.icc(fit)
    assert gl.correlation(fit, 0, 0, group="plate") == pytest.approx(found.by_group["plate"])
    assert gl.correlation(fit, 0, 0) == pytest.approx(float(found))


def test_the_implied_correlation_shows_in_data(slopes):
    """Simulated residuals of new subjects at days 0 and 9 correlate as the formula says."""
    rng = np.random.default_rng(3)
    s, n = slopes.varcorr["Subject"].cov.to_numpy(), 200_000
    b = rng.multivariate_normal([0, 0], s, size=n)
    y = b[:, :1] + b[:, 1:] * np.array([0, 9]) + rng.normal(scale=slopes.sigma, size=(n, 2))
    assert np.corrcoef(y.T)[0, 1] == pytest.approx(gl.correlation(slopes, 0, 9), abs=0.01)


# -- generalised models ---------------------------------------------------------------------------------


def test_observation_scale_of_a_binary_model(herds):
    """By simulation: the variance over herds of the probability, against the mean of p (1 - p)."""
    rng = np.random.default_rng(4)
    eta = herds.params["Intercept"] + rng.normal(scale=herds.varcorr["herd"].sd.iloc[0], size=400_000)
    p = 1 / (1 + np.exp(-eta))
    expected = p.var() / (p.var() + (p * (1 - p)).mean())
    assert float(gl.icc(herds, at={"period": "1"}, scale="observation")) == pytest.approx(expected, rel=0.01)
    by_period = gl.icc(herds, at={"period": ["1", "4"]}, scale="observation")
    assert by_period.iloc[0] == pytest.approx(expected, rel=0.01)
    assert by_period.iloc[1] < by_period.iloc[0] < float(gl.icc(herds))


def test_poisson_closed_forms():
    """Log link: Var over groups of exp(eta + b) is mu^2 (exp(s^2) - 1); latent residual log(1 + 1/mu)."""
    fit = gl.glmer("y ~ 1 + (1 | g)", _counts(np.random.default_rng(5)), family="poisson")
    variance = fit.varcorr["g"].sd.iloc[0] ** 2
    mu = np.exp(fit.params["Intercept"] + variance / 2)
    latent, observed = gl.icc(fit), gl.icc(fit, scale="observation")
    assert float(latent) == pytest.approx(variance / (variance + np.log1p(1 / mu)), rel=1e-6)
    between = mu**2 * np.expm1(variance)
    assert float(observed) == pytest.approx(between / (between + mu), rel=1e-6)


def _counts(rng):
    g = np.repeat(np.arange(40), 6)
    return pd.DataFrame(
        {
            "g": g,
            "h": np.tile(np.arange(6), 40),
            "y": rng.poisson(np.exp(0.5 + rng.normal(scale=0.6, size=40)[g])),
        }
    )


def test_two_factors_on_the_observation_scale():
    """Those that share one factor are less alike than those that share both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = gl.glmer("y ~ 1 + (1 | g) + (1 | h)", _counts(np.random.default_rng(6)), family="poisson")
    s2 = {name: fit.varcorr[name].sd.iloc[0] ** 2 for name in "gh"}
    total = sum(s2.values())
    mu = np.exp(fit.params["Intercept"] + total / 2)
    found = gl.icc(fit, scale="observation")
    everything = mu**2 * np.expm1(total) + mu
    for name in "gh":
        assert found.by_group[name] == pytest.approx(mu**2 * np.expm1(s2[name]) / everything, rel=1e-6)
    assert float(found) >= found.by_group.sum() - 1e-9


# -- shown, refused -------------------------------------------------------------------------------------


def test_the_line_it_prints(slopes, herds):
    assert repr(gl.icc(slopes)) == (
        "ICC = 0.722 (adjusted, averaged over the data): variance 1698 between levels of Subject, 654.9 "
        "residual"
    )
    assert "(adjusted, at Days = 5)" in repr(gl.icc(slopes, at=5))
    assert "(adjusted, latent scale)" in repr(gl.icc(herds))
    assert "(unadjusted, observation scale)" in repr(gl.icc(herds, kind="unadjusted", scale="observation"))


def test_refusals(slopes, herds):
    with pytest.raises(ModelError, match="kind is 'adjusted' or 'unadjusted', not 'conditional'"):
        gl.icc(slopes, kind="conditional")
    with pytest.raises(ModelError, match="scale is 'latent' or 'observation'"):
        gl.icc(herds, scale="logit")
    with pytest.raises(ModelError, match="no grouping factor 'subject'; those of this fit are Subject"):
        gl.icc(slopes, group="subject")
    with pytest.raises(DataError, match="days does not belong"):
        gl.icc(slopes, at={"days": 3})
    with pytest.raises(ModelError, match="unadjusted ICC is over the data"):
        gl.icc(slopes, at=3, kind="unadjusted")
    with pytest.raises(ModelError, match="linear mixed models"):
        gl.correlation(herds, 0, 0)
    with pytest.raises(ModelError, match="two places"):
        gl.correlation(slopes, 1)


def test_design_effect(slopes):
    assert gl.design_effect(0.05, 21) == pytest.approx(2.0)
    assert gl.design_effect(gl.icc(slopes, at=0), 1) == 1.0
    np.testing.assert_allclose(gl.design_effect(0.1, [1, 11]), [1.0, 2.0])
    with pytest.raises(ModelError, match="at least one observation, not 0"):
        gl.design_effect(0.1, 0)


@pytest.mark.parametrize("value", [np.nan, None, [1.0, np.nan]])
def test_a_missing_place_is_no_place(slopes, sleep, value):
    for room in (gl.icc, gl.between_variance):
        with pytest.raises(DataError, match="missing value of Days"):
            room(slopes, at={"Days": value})
    with pytest.raises(DataError, match="missing value of Days"):
        gl.correlation(slopes, {"Days": value}, 9)
    intercepts = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    with pytest.raises(ModelError, match="says nothing"):
        gl.correlation(intercepts, -np.inf, 9)


@pytest.mark.parametrize(
    ("formula", "residual", "words"),
    [
        (
            "Reaction ~ Days + (1 | Subject)",
            "ar1(Days | Subject)",
            "residuals are correlated besides, as ar1(Days",
        ),
        ("Reaction ~ Days + ar1(0 + t | Subject)", None, "effects of Subject differ between times"),
    ],
)
def test_a_share_that_is_no_correlation_says_so(sleep, formula, residual, words):
    few = sleep[sleep["Days"] < 8].assign(t=lambda d: d["Days"].astype(str))
    fit = gl.lmer(formula, few, residual=residual)
    found = gl.icc(fit)
    assert "a share of variance, not the correlation of any two rows of a group" in repr(found)
    assert words in repr(found)
    assert "The share of variance between groups (ICC, adjusted" in " ".join(str(gl.report(fit)).split())
    with pytest.raises(ModelError, match="correlation of any two rows"):
        gl.design_effect(found, 10)


def test_a_share_that_is_a_correlation_says_nothing_more(slopes):
    assert "correlation" not in repr(gl.icc(slopes))
    assert "The intraclass correlation (adjusted" in " ".join(str(gl.report(slopes)).split())


# --- curves -------------------------------------------------------------------------------------


def test_curves_belong_to_the_fixed_part():
    sleep = gl.load("sleepstudy").assign(z=lambda d: np.sin(np.arange(len(d))))
    fit = gl.lmer("Reaction ~ z + s(Days, k=8) + (z | Subject)", sleep)
    cov, residual = fit.varcorr["Subject"].cov.to_numpy(), fit.sigma**2
    between = np.mean([[1, z] @ cov @ [1, z] for z in sleep["z"]])
    found = gl.icc(fit)
    assert found.value == pytest.approx(between / (between + residual), rel=1e-9)
    assert list(found.by_group.index) == ["Subject"]
    at = np.array([1.0, 0.5])
    assert gl.icc(fit, at={"z": 0.5}).value == pytest.approx(at @ cov @ at / (at @ cov @ at + residual))
    assert gl.between_variance(fit, at={"z": 0.5}) == pytest.approx(at @ cov @ at)
    fixed = fit.predict(re_form="~0").var()
    whole = fixed + between + residual
    shares = gl.r2(fit)
    assert shares.marginal == pytest.approx(fixed / whole, rel=1e-9)
    assert shares.conditional == pytest.approx((fixed + between) / whole, rel=1e-9)
    with pytest.raises(ModelError, match="no groups"):
        gl.icc(gl.lmer("Reaction ~ s(Days, k=8)", sleep))
    with pytest.raises(ModelError, match="shrinkage is not there yet for a model with curves"):
        gl.shrinkage(fit, "Subject")


def test_of_counts_the_curve_moves_the_mean_of_responses():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 10), "x": rng.uniform(-2, 2, 120)})
    data["y"] = rng.poisson(np.exp(1 + np.sin(2 * data["x"]) + 0.4 * rng.normal(size=12)[data["g"]]))
    fit = gl.glmer("y ~ s(x, k=7) + (1 | g)", data, family="poisson")
    v = fit.varcorr["g"].sd["Intercept"] ** 2
    mean = fit.predict(re_form="marginal").mean()
    assert gl.icc(fit).value == pytest.approx(v / (v + np.log1p(1 / mean)), rel=1e-6)
    mu = fit.predict(pd.DataFrame({"x": [1.0]}), re_form="marginal").iloc[0]
    assert gl.icc(fit, at={"x": 1.0}).value == pytest.approx(v / (v + np.log1p(1 / mu)), rel=1e-6)
