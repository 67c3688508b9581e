"""Type I error rate of the pooled slope test, from a predictor within groups to one between groups."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from glmmlib.types import ArrayLike, FloatArray

NOMINAL = 0.05


def type_one_rate(
    between: ArrayLike, icc: ArrayLike, group_size: ArrayLike, n_groups: ArrayLike
) -> FloatArray:
    r"""Type I error rate of ordinary least squares when observations come in groups.

    The data are :math:`J` groups of :math:`n`, the response has intra-class correlation :math:`\rho`, and a
    share :math:`B` of the predictor's sum of squares lies between the groups. With the total variance as the
    unit, the pooled slope has variance :math:`V = (1 + \rho (n B - 1)) / S_{xx}`. Least squares claims
    :math:`s^2 / S_{xx}`, where

    .. math:: E(s^2) = \frac{nJ - (1 + \rho (n - 1)) - (1 + \rho (n B - 1))}{nJ - 2}.

    The rate is :math:`2 \Phi(-z_{0.975} \sqrt{E(s^2) / (S_{xx} V)})`: both are exact up to the use of
    :math:`E(s^2)` for :math:`s^2` and of the normal for the t distribution. Moulton (1986) has the factor.

    Parameters
    ----------
    between : array_like
        :math:`B`, from 0 (all variation of x within groups) to 1 (all of it between groups).
    icc : array_like
        :math:`\rho`, from 0 to 1.
    group_size, n_groups : array_like
        :math:`n` and :math:`J`.

    Returns
    -------
    ndarray or float
        The share of tests at the 5 % level that reject a true null hypothesis.

    References
    ----------
    Moulton, B. R. (1986). Random group effects and the precision of regression estimates. Journal of
    Econometrics 32, 385-397.

    Examples
    --------
    >>> float(type_one_rate(between=0.3, icc=0.0, group_size=24, n_groups=15).round(3))
    0.05
    >>> float(type_one_rate(between=1.0, icc=0.3, group_size=24, n_groups=15).round(3))
    0.494
    """
    between, icc, n, groups = np.broadcast_arrays(between, icc, group_size, n_groups)
    true = 1 + icc * (n * between - 1)
    claimed = (n * groups - (1 + icc * (n - 1)) - true) / (n * groups - 2)
    return 2 * norm.cdf(-norm.isf(NOMINAL / 2) * np.sqrt(claimed / true))
