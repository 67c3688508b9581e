"""The distribution of a new observation: its own scatter on top of an uncertain linear predictor."""

import numpy as np


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
        Quantiles of the response's distribution averaged over a normal linear predictor (for a binomial
        response as proportions): the smallest value whose probability is reached.
    """
    ends = [np.full(len(eta), np.nan) for _ in range(2)]
    ok = np.isfinite(eta)
    own = None if weights is None else weights[ok]
    for end, p in zip(ends, (1.0 - probability, probability), strict=True):
        end[ok] = fit.family.predictive_quantile(eta[ok], np.sqrt(variance[ok]), p, own, fit.auxiliary)
    return ends
