"""Priors: maps from normal scores, their texts, and their defaults."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.bayes.priors import Exponential, Gamma, HalfNormal, HalfT, Lkj, Normal, StudentT, parse_prior
from glmmlib.bayes.scores import NormalScores
from glmmlib.bayes.specification import priors_of
from glmmlib.errors import ModelError

EACH = [
    Normal(1.0, 2.0),
    StudentT(3.0, -1.0, 2.0),
    HalfNormal(1.5),
    HalfT(3.0, 2.5),
    HalfT(1.0, 0.1),
    Exponential(0.5),
    Gamma(2.0, 0.1),
    Gamma(0.5, 3.0),
]


@pytest.mark.parametrize("prior", EACH, ids=str)
def test_a_score_is_normal_where_the_parameter_has_its_prior(prior):
    """The density of the map from z is that of the prior, on either side and far out."""
    z = np.array([-7.0, -5.01, -4.99, -3.0, -1.0, 0.2, 1.0, 3.0, 6.0])
    x, h = prior.from_normal(z), 1e-4
    slope = (prior.from_normal(z + h) - prior.from_normal(z - h)) / (2 * h)
    normal = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(prior.logpdf(x) + np.log(slope), normal, atol=2e-3)
    np.testing.assert_allclose(prior.to_normal(x)[3:8], z[3:8], atol=1e-7)
    assert (np.diff(x) > 0).all()


@pytest.mark.parametrize("prior", EACH, ids=str)
def test_a_scaled_prior_is_that_of_the_scaled_parameter(prior):
    location = getattr(prior, "location", 0.0)
    z = np.linspace(-2, 2, 9)
    wide = prior.scaled(3.0).from_normal(z) - location
    np.testing.assert_allclose(wide, 3.0 * (prior.from_normal(z) - location), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [1.0, 2.5])
def test_lkj_gives_each_correlation_the_same_distribution(shape):
    """That of 2 B - 1, B being beta(a, a) with a = shape + (q - 2) / 2, in any place."""
    q, n = 4, 40_000
    L = Lkj(shape).root(np.random.default_rng(1).standard_normal((n, 6)), q)
    np.testing.assert_allclose((L**2).sum(axis=2), 1.0, atol=1e-12)
    R = L @ L.swapaxes(1, 2)
    variance = 1.0 / (2.0 * (shape + 0.5 * (q - 2)) + 1.0)
    for i in range(q):
        for j in range(i):
            assert np.var(R[:, i, j]) == pytest.approx(variance, rel=0.04)
            assert abs(np.mean(R[:, i, j])) < 5 * np.sqrt(variance / n)


@pytest.mark.parametrize(
    ("text", "positive", "said"),
    [
        ("flat", False, "no distribution"),
        ("uniform()", True, "no distribution"),
        ("student_t(3, 0, 1)", False, r"t\(df, location, scale\)"),
        ("half_cauchy(1)", True, r"half_t\(1, scale\)"),
        ("normal(0, 1)", True, "is never negative"),
        ("half_t(3, 1)", False, "may be negative"),
        ("norml(0, 1)", False, "did you mean 'normal'"),
        ("normal(0)", False, "needs 2 numbers"),
        ("normal(0, -1)", False, "scale of .* positive"),
        ("half_t(3, inf)", True, "cannot be read"),
        ("half_t(3, 1e400)", True, "finite"),
        ("normal(0, 1", False, "cannot be read"),
        ("normal(x, 1)", False, "cannot be read"),
        ("__import__('os')", False, "cannot be read"),
        (2.5, True, "is a text"),
    ],
)
def test_what_is_no_prior_is_refused_in_a_sentence(text, positive, said):
    with pytest.raises(ModelError, match=said):
        parse_prior(text, "sd g.x", positive)


def two_columns():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": np.repeat(np.arange(6), 8), "x": rng.normal(3, 2, 48), "b": np.tile([0, 1], 24)})
    d["y"] = 10 + d["x"] + rng.normal(size=6)[d["g"]] + rng.normal(size=48)
    return d


def test_defaults_are_those_of_the_page():
    d = two_columns()
    fit = gl.lmer("y ~ x + b + (x | g)", d)
    shown = dict(priors_of(fit, None, None, None).described())
    s = d["y"].std()
    assert shown == {
        "Intercept at the means": str(Normal(d["y"].mean(), 2.5 * s)),
        "x": str(Normal(0.0, 2.5 * s / d["x"].std())),
        "b": str(Normal(0.0, 2.5 * s)),
        "sd g.Intercept at the means": str(HalfT(3.0, 2.5 * s)),
        "sd g.x": str(HalfT(3.0, 2.5 * s / d["x"].std())),
        "correlations of g": "lkj(1)",
        "sigma": str(HalfT(3.0, 2.5 * s)),
    }


def test_what_is_given_takes_the_place_of_the_default_and_the_rest_stays():
    fit = gl.lmer("y ~ x + b + (x | g)", two_columns())
    found = priors_of(
        fit,
        {"x": "t(4, 1, 2)"},
        {"g": {"x": "half_normal(0.5)"}},
        {"g": "lkj(2)"},
        sigma="exponential(2)",
    )
    shown = dict(found.described())
    assert shown["x"] == "t(4, 1, 2)"
    assert shown["sd g.x"] == "half_normal(0.5)"
    assert shown["sd g.Intercept at the means"].startswith("half_t(3, ")
    assert shown["correlations of g"] == "lkj(2)"
    assert shown["sigma"] == "exponential(2)"
    to_all = dict(priors_of(fit, "normal(0, 1)", "gamma(2, 1)", None).described())
    assert to_all["x"] == to_all["b"] == "normal(0, 1)"
    assert to_all["Intercept at the means"] != "normal(0, 1)"
    assert to_all["sd g.x"] == "gamma(2, 1)"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"fixef": {"z": "normal(0, 1)"}}, "no coefficient"),
        ({"sd": {"h": "half_t(3, 1)"}}, "no grouping factor"),
        ({"sd": {"g": {"b": "half_t(3, 1)"}}}, "no random effect"),
        ({"corr": {"h": "lkj(1)"}}, "no grouping factor"),
        ({"corr": "lkj"}, "lkj"),
        ({"dispersion": "exponential(1)"}, "has no dispersion"),
    ],
)
def test_a_prior_of_nothing_is_refused(given, said):
    fit = gl.lmer("y ~ x + b + (x | g)", two_columns())
    with pytest.raises(ModelError, match=said):
        gl.posterior(fit, rng=1, **given)


def test_prior_draws_of_the_scores_have_the_priors():
    """Also where an SD is meant at the mean of its column."""
    d = two_columns()
    fit = gl.lmer("y ~ x + (x | g)", d)
    scores = NormalScores(fit, priors_of(fit, None, "exponential(1)", "lkj(3)"))
    par = scores.at(np.random.default_rng(3).standard_normal((20_000, scores.size)))
    at_mean = np.array([1.0, d["x"].mean()]) @ par.roots[0]
    assert np.sqrt((at_mean**2).sum(axis=1)).mean() == pytest.approx(1.0, rel=0.03)
    assert np.sqrt((par.roots[0][:, 1] ** 2).sum(axis=1)).mean() == pytest.approx(1.0, rel=0.03)
