"""The distribution of a new observation: its own scatter on top of an uncertain linear predictor."""

import numpy as np
from scipy import special as sp

_NODES = np.linspace(-6.0, 6.0, 49)
_WEIGHTS = np.exp(-0.5 * _NODES**2)
_WEIGHTS /= _WEIGHTS.sum()


def response_ends(fit, eta, variance, weights, probability):
    """Return both ends of the interval of a new observation with this upper probability.

    Parameters
    ----------
    fit : MixedModelFit
    eta, variance : (n,) arrays
        Mean and variance of the linear predictor.
    weights : (n,) array or None
        Known precisions; for a binomial response the trials.
    probability : float
        Of the upper end; one minus it that of the lower.

    Returns
    -------
    list of two (n,) arrays
        Normal quantiles for a linear model. Otherwise quantiles of the response's distribution averaged over
        a normal linear predictor (for a binomial response as proportions): the smallest value whose
        probability is reached.
    """
    if fit.family is None:
        half = sp.ndtri(probability) * np.sqrt(
            variance + fit.sigma**2 / (1.0 if weights is None else weights)
        )
        return [eta - half, eta + half]
    ends = [np.full(len(eta), np.nan) for _ in range(2)]
    ok = np.isfinite(eta)
    dispersion = getattr(fit, "dispersion", None)
    own = None if weights is None else weights[ok]
    for end, p in zip(ends, (1.0 - probability, probability), strict=True):
        end[ok] = mixture_quantile(fit.family, eta[ok], np.sqrt(variance[ok]), p, own, dispersion)
    return ends


def mixture_quantile(family, eta, sd, probability, weights=None, dispersion=None):
    """Return the quantile of a response whose linear predictor is normal.

    Parameters
    ----------
    family : Family
    eta, sd : (n,) arrays
        Mean and SD of the linear predictor.
    probability : float
    weights, dispersion
        As the family takes them.

    Returns
    -------
    (n,) array
        The smallest value at which the distribution function reaches `probability`; binomial ones as
        proportions.

    Examples
    --------
    A count with mean 3, then one whose log mean scatters by 0.5:

    >>> import numpy as np
    >>> from glmmlib.families.registry import family
    >>> mixture_quantile(family("poisson"), np.log([3.0, 3.0]), np.array([0.0, 0.5]), 0.975)
    array([ 7., 10.])
    """
    means = family.link.inverse(eta + _NODES[:, None] * sd)
    trials = np.ones(len(eta)) if weights is None else weights

    def reached(y):
        return _WEIGHTS @ _distribution(family, y, means, trials, dispersion) >= probability

    if family.name == "gamma":
        return np.exp(
            _bisect(lambda x: reached(np.exp(x)), np.full(len(eta), -700.0), np.full(len(eta), 700.0), 60)
        )
    high = trials.copy() if family.name == "binomial" else _first_reached(reached, len(eta))
    low = np.full(len(eta), -1.0)
    while (high - low > 1).any():
        middle = np.ceil(0.5 * (low + high))
        at = reached(middle) | (high - low <= 1)
        low, high = np.where(at, low, middle), np.where(at, np.where(high - low <= 1, high, middle), high)
    return high / trials if family.name == "binomial" else high


def _distribution(family, y, mean, weights, dispersion):
    """Return P(Y <= y) for responses with these means (nodes, n)."""
    if family.name == "binomial":
        left = np.maximum(weights - y, 1.0)
        return np.where(y >= weights, 1.0, 1.0 - sp.betainc(y + 1.0, left, mean))
    if family.name == "poisson":
        return sp.pdtr(y, mean)
    if family.name == "negbinomial":
        return sp.betainc(dispersion, y + 1.0, dispersion / (dispersion + mean))
    shape = weights / dispersion
    return sp.gammainc(shape, shape * y / mean)


def _first_reached(reached, n):
    """Return powers of two at which the probability is reached."""
    high = np.ones(n)
    while not (done := reached(high)).all():
        high = np.where(done, high, 2.0 * high)
    return high


def _bisect(reached, low, high, steps):
    for _ in range(steps):
        middle = 0.5 * (low + high)
        at = reached(middle)
        low, high = np.where(at, low, middle), np.where(at, middle, high)
    return high
