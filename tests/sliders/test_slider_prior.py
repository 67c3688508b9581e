"""The posterior of the slider `prior_of_sigma` is Bayes' theorem, and prior and groups move it as the chapter
says.
"""

import numpy as np
import pytest

from glmmlib.sliders._prior_of_sigma import ERROR, interval, posterior


def test_posterior_is_that_of_draws_that_reproduce_the_data():
    """Draw sigma_a from the prior and data from sigma_a; keep the draws whose variance of estimates is close
    to the observed one.
    """
    groups, scale, best = 5, 1.0, 0.3
    rng = np.random.default_rng(3)
    sigma = np.abs(rng.normal(0, scale, 1_500_000))
    drawn = (sigma**2 + ERROR**2) * rng.chisquare(groups - 1, len(sigma)) / (groups - 1)
    kept = sigma[np.abs(drawn - (best**2 + ERROR**2)) < 0.01]
    assert len(kept) > 15_000
    expected = np.quantile(kept, [0.025, 0.5, 0.975])
    np.testing.assert_allclose(interval(groups, scale, best), expected, atol=0.03)


def test_likelihood_peaks_at_the_sd_that_fits_best():
    sigma, p = posterior(groups=20, scale=1e6, best=0.7)
    assert sigma[p.argmax()] == pytest.approx(0.7)


def test_prior_matters_with_few_groups_and_hardly_with_many():
    few = [interval(5, scale, 0.5)[1] for scale in (0.2, 3)]
    many = [interval(60, scale, 0.5)[1] for scale in (0.2, 3)]
    assert few[1] > 2 * few[0]
    assert many[1] < 1.15 * many[0]
