"""Groups of lines whose deviations have exactly the covariance asked for."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from glmmlib.errors import ModelError
from glmmlib.types import ArrayLike, FloatArray

MOST = 100_000  # groups


def deviations(sd: ArrayLike, corr: float, groups: int) -> FloatArray:
    r"""Intercept and slope deviations of groups whose means are 0 and whose covariance is exactly
    :math:`\Sigma`.

    Quantiles of N(0, 1), shuffled against each other in a fixed order, made uncorrelated, and multiplied by
    the Cholesky factor of :math:`\Sigma`.

    Parameters
    ----------
    sd : (float, float)
    corr : float
    groups : int

    Returns
    -------
    ndarray (2, groups)

    Raises
    ------
    ModelError
        If `corr` is not a correlation, an SD is negative, or for fewer groups than have a covariance.

    Examples
    --------
    >>> np.cov(deviations((2.0, 0.5), -0.7, 24), ddof=0).round(2).tolist()
    [[4.0, -0.7], [-0.7, 0.25]]
    """
    if not -1 <= corr <= 1:
        raise ModelError(f"corr is a correlation, between -1 and 1, not {corr!r}")
    if np.min(sd) < 0:
        raise ModelError(f"sd holds {np.min(sd):g}: an SD is zero or positive")
    if not 3 <= groups <= MOST:
        raise ModelError(f"groups is a number of lines from 3 to {MOST:,}, not {groups}")
    quantiles = ndtri((np.arange(groups) + 0.5) / groups)
    z = np.stack([quantiles, quantiles[np.argsort(np.random.default_rng(24).random(groups))]])
    z = np.linalg.solve(np.linalg.cholesky(np.cov(z, ddof=0)), z)
    return np.diag(sd) @ np.array([[1.0, 0.0], [corr, np.sqrt(1.0 - corr**2)]]) @ z
