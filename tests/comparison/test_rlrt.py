"""The simulated exact test of one variance: RLRsim's values, a null distribution by refitting, what is
refused.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.comparison.exact_rlrt import Spectrum
from glmmlib.errors import ModelError
from support import reference_values as reference

MODELS = {
    "sleep_ri": ("sleepstudy", "Reaction ~ Days + (1 | Subject)"),
    "dyestuff": ("Dyestuff", "Yield ~ 1 + (1 | Batch)"),
    "rail": ("Rail", "travel ~ 1 + (1 | Rail)"),
    "ergostool": ("ergoStool", "effort ~ Type + (1 | Subject)"),
}


@pytest.mark.parametrize("name", MODELS)
def test_statistic_and_p_are_those_of_rlrsim(name):
    data, formula = MODELS[name]
    frozen = reference.extra("exactRLRT")[name]
    test = gl.exact_rlrt(gl.lmer(formula, reference.data(data)), n=100_000, rng=np.random.default_rng(1))
    assert test.statistic == pytest.approx(frozen["stat"], rel=1e-6)
    error = np.sqrt((frozen["p"] + 2e-5) / 100_000)  # of theirs; ours is as large
    assert test.p == pytest.approx(frozen["p"], abs=4 * np.sqrt(2) * error)


@pytest.mark.parametrize("reml", [True, False])
def test_a_draw_is_the_statistic_of_the_response_it_stands_for(reml):
    """For y with the coordinates w_s along the eigenvectors of PZZ'P, the formula gives what refitting y
    gives.
    """
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy").iloc[:57], reml=reml)
    Y = np.random.default_rng(4).normal(size=(57, 500))
    Q = np.linalg.qr(fit.X)[0]
    PZ = fit.Z.toarray() - Q @ (Q.T @ fit.Z.toarray())
    directions, root, _ = np.linalg.svd(PZ, full_matrices=False)
    residual = Y - Q @ (Q.T @ Y)
    rss, w2 = (residual**2).sum(axis=0), (directions.T @ Y)[root > 1e-9] ** 2
    spectrum = Spectrum.of(fit.solution.problem)
    mu = np.sort(spectrum.mu)
    of = np.abs(np.subtract.outer(root[root > 1e-9] ** 2, spectrum.mu)).argmin(axis=1)
    np.testing.assert_allclose(mu, np.unique(np.round(root[root > 1e-9] ** 2, 8)), rtol=1e-7)
    sums = np.stack([w2[of == k].sum(axis=0) for k in range(len(mu))], axis=1)
    statistics = spectrum.statistics(sums, rss - w2.sum(axis=0))

    df = 55 if reml else 57
    null = df * (1 + np.log(2 * np.pi * rss / df)) + (np.linalg.slogdet(fit.X.T @ fit.X)[1] if reml else 0.0)
    refitted = np.maximum(null - fit.refit_many(Y).deviance, 0.0)
    assert 0.3 < (refitted > 1e-8).mean() < 0.6
    np.testing.assert_allclose(statistics, refitted, rtol=0, atol=1e-4)


def test_a_balanced_one_way_layout_has_a_null_probability_of_zero_in_closed_form():
    """REML estimates zero when the mean square between is at most that within: P(F(5, 24) <= 1)."""
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    test = gl.exact_rlrt(fit, n=100_000, rng=np.random.default_rng(5))
    assert test.share_zero == pytest.approx(stats.f.cdf(1.0, 5, 24), abs=0.006)
    # the p-value too: the restricted likelihood ratio grows with F
    y = fit.design.y.reshape(6, 5)
    F = (5 * ((y.mean(axis=1) - y.mean()) ** 2).sum() / 5) / (
        ((y - y.mean(axis=1, keepdims=True)) ** 2).sum() / 24
    )
    assert test.p == pytest.approx(stats.f.sf(F, 5, 24), abs=4 * test.p_se)


def test_known_weights_in_other_units_change_nothing():
    data = gl.load("Dyestuff").assign(w=lambda d: 1.0 + np.arange(len(d)) % 3)
    tests = [
        gl.exact_rlrt(
            gl.lmer("Yield ~ 1 + (1 | Batch)", data.assign(w=s * data["w"]), weights="w"),
            500,
            np.random.default_rng(1),
        )
        for s in (1.0, 1e4)
    ]
    assert tests[0].statistic == pytest.approx(tests[1].statistic, rel=1e-8)
    np.testing.assert_allclose(tests[0].draws, tests[1].draws, atol=1e-9)


def test_a_variance_estimated_as_zero_has_p_of_one():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", reference.data("Dyestuff2"))
    test = gl.exact_rlrt(fit, 200, np.random.default_rng(1))
    assert (test.statistic, test.p, test.p_mixture) == (0.0, 1.0, 1.0)


def test_a_random_slope_alone_is_one_variance_too():
    fit = gl.lmer("Reaction ~ Days + (0 + Days | Subject)", gl.load("sleepstudy"))
    test = gl.exact_rlrt(fit, 500, np.random.default_rng(1))
    assert "H0: the variance of Days between levels of Subject is zero" in str(test)
    assert test.p == pytest.approx(1 / 501)


def test_it_prints_its_null_hypothesis_and_distribution():
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False)
    text = " ".join(str(gl.exact_rlrt(fit, 1000, np.random.default_rng(1))).split())
    assert text.startswith("Exact likelihood-ratio test of one variance (1,000 simulated null values)")
    assert "H0: the variance of Intercept between levels of Batch is zero" in text
    assert "0.5 chi2(0) + 0.5 chi2(1) would say" in text


@pytest.mark.parametrize(
    ("fit", "options", "message"),
    [
        (
            lambda d: gl.lmer("Reaction ~ Days + (Days | Subject)", d),
            {},
            r"has 2 \(2 of Subject\).*bootstrap",
        ),
        (
            lambda d: gl.lmer("Reaction ~ Days + (1 | Subject) + (1 | half)", d),
            {},
            "1 of Subject, 1 of half.*bootstrap",
        ),
        (
            lambda d: gl.glmer("fast ~ Days + (1 | Subject)", d, family="binomial"),
            {},
            "for linear mixed models.*bootstrap",
        ),
        (lambda d: gl.lmer("Reaction ~ Days + (1 | Subject)", d), {"rng": None}, "need a numpy Generator"),
        (lambda d: gl.lmer("Reaction ~ Days + (1 | Subject)", d), {"n": 0}, "n is the number of draws"),
    ],
)
def test_what_has_no_exact_test_is_refused_with_the_reason(fit, options, message):
    data = gl.load("sleepstudy").assign(
        half=lambda d: pd.Categorical(np.arange(len(d)) % 7), fast=lambda d: (d["Reaction"] < 290).astype(int)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fit(data)
    with pytest.raises(ModelError, match=message):
        gl.exact_rlrt(model, **{"rng": np.random.default_rng(1)} | options)
