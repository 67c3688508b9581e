"""Links: each inverts itself, its slope is the derivative, and nothing breaks far out."""

import warnings

import numpy as np
import pytest

from glmmlib.families.links import Cloglog, Identity, Inverse, Log, Logit, Probit, Sqrt

EVERYWHERE = [Identity(), Log(), Logit(), Probit(), Cloglog()]
POSITIVE = [Sqrt(), Inverse()]
ETA = np.array([0.05, 0.3, 1.0, 1.7])


@pytest.mark.parametrize("link", EVERYWHERE + POSITIVE, ids=lambda link: link.name)
def test_link_undoes_inverse(link):
    eta = ETA if link in POSITIVE else np.concatenate([-ETA, ETA])
    np.testing.assert_allclose(link.link(link.inverse(eta)), eta, rtol=1e-12)


@pytest.mark.parametrize("link", EVERYWHERE + POSITIVE, ids=lambda link: link.name)
def test_derivative_is_the_slope_of_the_inverse(link):
    eta = ETA if link in POSITIVE else np.concatenate([-ETA, ETA])
    h = 1e-4
    five_points = (
        -link.inverse(eta + 2 * h)
        + 8 * link.inverse(eta + h)
        - 8 * link.inverse(eta - h)
        + link.inverse(eta - 2 * h)
    )
    np.testing.assert_allclose(link.derivative(eta), five_points / (12 * h), rtol=1e-9)


@pytest.mark.parametrize("link", [Log(), Logit(), Probit(), Cloglog()], ids=lambda link: link.name)
def test_far_out_is_finite_and_silent(link):
    eta = np.array([-700.0, -40.0, 40.0, 700.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mu, slope = link.inverse(eta), link.derivative(eta)
    assert np.all(np.isfinite(mu)) and np.all(np.isfinite(slope))
    assert np.all(np.diff(mu) >= 0) and np.all(slope >= 0)


def test_small_probabilities_keep_their_digits():
    for link in (Logit(), Cloglog()):
        assert link.inverse(-100.0) == pytest.approx(np.exp(-100.0), rel=1e-14)


def test_latent_variances():
    from scipy import stats

    latent = {Logit(): stats.logistic, Probit(): stats.norm, Cloglog(): stats.gumbel_l}
    for link, distribution in latent.items():
        assert link.latent_variance == pytest.approx(distribution.var(), rel=1e-12)
        np.testing.assert_allclose(link.inverse(ETA), distribution.cdf(ETA), rtol=1e-12)
    assert Log().latent_variance is None


def test_links_are_equal_by_kind_and_hashable():
    assert Logit() == Logit() and Logit() != Probit()
    assert len({Log(), Log(), Sqrt()}) == 2
