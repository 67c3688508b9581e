"""The distribution of a new observation: its own scatter on top of an uncertain linear predictor."""

import numpy as np

from glmmlib.families.base import Family
from glmmlib.types import AuxiliaryValue, FloatArray


def response_ends(
    family: Family,
    eta: FloatArray,
    variance: FloatArray,
    weights: FloatArray | None,
    auxiliary: AuxiliaryValue,
    probability: float,
) -> list[FloatArray]:
    """Return both ends of the interval of a new observation with this upper probability.

    Parameters
    ----------
    family : Family
    eta, variance : (n,) arrays
        Mean and variance of the linear predictor.
    weights : (n,) array or None
        Known precisions; for a binomial response the trials.
    auxiliary : float, (n, ...) array or None
        What the family has beside the mean, as it takes it.
    probability : float
        Of the upper end; one minus it that of the lower.

    Returns
    -------
    list of two (n,) arrays
        Quantiles of the response's distribution averaged over a normal linear predictor (for a binomial
        response as proportions): the smallest value whose probability is reached. Where the variance is
        infinite, the whole range of the response.
    """
    support = family.support
    whole = np.isfinite(eta) & np.isinf(variance)
    ends = [np.where(whole, end, np.nan) for end in (support.lower, support.upper)]
    ok = np.isfinite(eta) & np.isfinite(variance)
    own = None if weights is None else weights[ok]
    rows = auxiliary if np.ndim(auxiliary) == 0 else auxiliary[ok]
    for end, p in zip(ends, (1.0 - probability, probability), strict=True):
        end[ok] = family.predictive_quantile(eta[ok], np.sqrt(variance[ok]), p, own, rows)
    return ends
