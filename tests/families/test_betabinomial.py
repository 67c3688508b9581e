"""The beta-binomial by itself: exact values, its tails, its limit, its start, and what it refuses."""

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.errors import DataError, ModelError
from glmmlib.families.registry import family

BETABINOMIAL = family("betabinomial")
EXACT = [(0, 7, 0.2, 3.0), (3, 7, -1.5, 0.05), (7, 7, 4.0, 1e9), (150, 400, 0.3, 40.0), (1, 2, 30.0, 2.0)]


def exact_log_density(y, n, eta, phi):
    mu = 1 / (1 + mp.exp(-eta))
    a, b = mu * phi, phi / (1 + mp.exp(eta))
    return mp.log(mp.binomial(n, y)) + mp.log(mp.beta(y + a, n - y + b)) - mp.log(mp.beta(a, b))


@pytest.mark.parametrize("y, n, eta, phi", EXACT)
def test_log_density_and_derivatives_to_nine_digits(y, n, eta, phi):
    with mp.workdps(60):
        eta, phi = mp.mpf(eta), mp.mpf(phi)
        wanted = [mp.diff(lambda e: exact_log_density(y, n, e, phi), eta, order) for order in range(4)]
        by_phi = mp.diff(lambda tau: exact_log_density(y, n, eta, mp.exp(tau)), mp.log(phi))
        wanted = [float(value) for value in wanted]
    row = np.array(float(y)), np.array(float(eta)), np.array(float(n)), float(phi)
    d = BETABINOMIAL.derivatives(*row)
    found = [BETABINOMIAL.logpdf(*row), d.score, -d.weight, -d.dweight]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    changed = BETABINOMIAL.dispersion_derivatives(*row).logpdf
    assert changed == pytest.approx(float(by_phi), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 40])
@pytest.mark.parametrize("phi", [0.01, 3.0, 1e3])
def test_both_tails_keep_their_digits(n, phi):
    y, mu, trials = np.arange(-1.0, n + 1), np.full(n + 2, 0.03), np.full(n + 2, float(n))
    of = stats.betabinom(n, 0.03 * phi, 0.97 * phi)
    mass = of.pmf(np.arange(n + 1))
    below, above = (f(y, mu, trials, phi) for f in (BETABINOMIAL.cdf, BETABINOMIAL.sf))
    np.testing.assert_allclose(below, np.append(0.0, np.cumsum(mass)), rtol=1e-9)
    np.testing.assert_allclose(above, np.append(np.cumsum(mass[::-1])[::-1], 0.0), rtol=1e-9)


@pytest.mark.parametrize("phi", [0.3, 7.0, 1e3, 1e6, 1e10])
def test_many_trials_are_no_sum_of_as_many_terms(phi):
    n, mu = 6000, 0.2
    y = np.array([0.0, 400, 499, 500, 900, 1200, 1250, 3000, 5499, 5500, 5990, 5999, 6000])
    rows = y, np.full(y.size, mu), np.full(y.size, float(n)), phi
    j = np.arange(n + 1.0)
    mass = np.exp(
        BETABINOMIAL.logpdf(j, np.full(n + 1, BETABINOMIAL.link.link(mu)), np.full(n + 1, float(n)), phi)
    )
    np.testing.assert_allclose(BETABINOMIAL.cdf(*rows), np.cumsum(mass)[y.astype(int)], rtol=1e-8, atol=1e-14)
    above = np.append(np.cumsum(mass[::-1])[::-1], 0.0)[y.astype(int) + 1]
    np.testing.assert_allclose(BETABINOMIAL.sf(*rows), above, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("n", [1e7, 1e12])
def test_a_share_of_very_many_trials_is_a_beta_variable(n):
    share, mu = np.linspace(0.02, 0.9, 12), np.full(12, 0.3)
    below = BETABINOMIAL.cdf(np.floor(n * share), mu, np.full(12, n), 6.0)
    np.testing.assert_allclose(below, stats.beta(1.8, 4.2).cdf(share), atol=1e-6)
    above = BETABINOMIAL.sf(np.floor(n * share), mu, np.full(12, n), 6.0)
    np.testing.assert_allclose(below + above, 1.0, atol=1e-9)


def test_a_large_phi_is_binomial():
    y, trials = np.arange(13.0), np.full(13, 12.0)
    mu, binomial = np.full(13, 0.3), family("binomial")
    for method in ("cdf", "sf", "unit_deviance"):
        plain = getattr(binomial, method)(y, mu, trials)
        np.testing.assert_allclose(getattr(BETABINOMIAL, method)(y, mu, trials, 1e13), plain, rtol=1e-9)
    eta = binomial.link.link(mu)
    fisher = BETABINOMIAL.fisher(eta, trials, 1e13)
    np.testing.assert_allclose(fisher, binomial.fisher(eta, trials), rtol=1e-9)


@pytest.mark.parametrize("n", [1.0, 9.0])
def test_the_unit_deviance_is_measured_from_the_best_mean(n):
    y = np.arange(n + 1)
    trials, grid = np.full(y.size, n), np.linspace(-40.0, 40.0, 80_001)[:, None]
    best = BETABINOMIAL.logpdf(y, grid, trials, 2.0).max(axis=0)
    lost = 2 * (best - BETABINOMIAL.logpdf(y, np.full(y.size, 0.7), trials, 2.0))
    mu = BETABINOMIAL.link.inverse(np.full(y.size, 0.7))
    np.testing.assert_allclose(BETABINOMIAL.unit_deviance(y, mu, trials, 2.0), lost, atol=1e-6)


@pytest.mark.parametrize(
    "data",
    [{"y": [0, 1, 1]}, {"y": [0, 1, 1], "trials": [1, 1, 1]}, {"y": [0, 1, 1], "weights": [1, 1, 1]}],
)
def test_single_trials_are_refused(data):
    with pytest.raises(DataError, match=r"^The dispersion .* more than one trial, which 'y' has not: .*\.$"):
        BETABINOMIAL.check_response(**data, name="y")


def test_some_rows_of_one_trial_are_welcome():
    y, n = BETABINOMIAL.check_response([0.5, 1.0], weights=[4, 1])
    assert y.tolist() == [2, 1] and n.tolist() == [4, 1]


def test_what_other_software_calls_it():
    for name in ("betabin", "beta_binomial", "beta-binomial"):
        with pytest.raises(ModelError, match=r"did you mean 'betabinomial'\?"):
            family(name)
    with pytest.raises(ModelError, match="has no link 'probit'"):
        family("betabinomial", "probit")


def test_successes_that_scatter_no_more_than_binomial_ones():
    """The estimates are those of the binomial model, and it is said."""
    x = np.tile(np.linspace(-1, 1, 8), 20)
    g = np.repeat(np.arange(20), 8)
    share = 1 / (1 + np.exp(-0.8 * x - 0.7 * np.sin(g)))
    data = pd.DataFrame({"g": g, "x": x, "y": np.round(10 * share), "n": 10})
    formula = "cbind(y, n - y) ~ x + (1 | g)"
    with pytest.warns(gl.errors.SingularFitWarning, match="phi runs to infinity.*family='binomial'"):
        fit = gl.glmer(formula, data, family="betabinomial")
    plain = gl.glmer(formula, data, family="binomial")
    assert fit.deviance == pytest.approx(plain.deviance, abs=1e-3)
    np.testing.assert_allclose(fit.params, plain.params, rtol=1e-3)
    np.testing.assert_allclose(fit.bse, plain.bse, rtol=1e-3)
