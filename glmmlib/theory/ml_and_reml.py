"""The likelihoods of ML and of REML for the SD between groups, in a balanced study."""

from __future__ import annotations

import numpy as np

from glmmlib.types import ArrayLike, FloatArray


def criterion(
    theta: ArrayLike, ss_between: float, ss_within: float, groups: float, size: float, reml: bool = False
) -> FloatArray:
    r"""Profiled deviance, or REML criterion, of equal groups with a random intercept, from two sums of
    squares.

    With :math:`\lambda = 1 + n\theta^2`, J groups of n and :math:`r^2 = SS_w + SS_b / \lambda`,

    .. math:: d(\theta) = J \log\lambda + Jn \left[1 + \log(2\pi r^2 / (Jn))\right];

    the REML criterion has Jn - 1 in the place of Jn, and :math:`\log(Jn / \lambda)` beside.

    Parameters
    ----------
    theta : array_like
        :math:`\sigma_a / \sigma`.
    ss_between : float
        n times the sum of squares of the group means around the grand mean.
    ss_within : float
        The sum of squares of the observations around their group's mean.
    groups, size : int
        J and n.
    reml : bool

    Returns
    -------
    ndarray or float
        What ``fit.objective([theta])`` returns.

    References
    ----------
    Searle, S. R., Casella, G. and McCulloch, C. E. (1992). Variance Components. Wiley, chapter 3.

    Examples
    --------
    >>> ml = criterion(0.75, ss_between=56357.5, ss_within=58830.0, groups=6, size=5)
    >>> round(float(ml), 4)
    327.3271
    """
    scale = 1 + size * np.square(theta)
    df = groups * size - bool(reml)
    r2 = ss_within + ss_between / scale
    value = groups * np.log(scale) + df * (1 + np.log(2 * np.pi * r2 / df))
    return value + np.log(groups * size / scale) if reml else value


def maxima(ratio: ArrayLike, groups: float, size: float) -> tuple[FloatArray, FloatArray]:
    r"""The theta at which ML and REML have their maxima, when the mean squares are what the truth expects.

    The mean squares' ratio is then :math:`F = 1 + n\theta_0^2`; REML puts :math:`1 + n\theta^2` at F, which
    is the truth, and ML at F (J - 1) / J, or at its lowest value, 1.

    Parameters
    ----------
    ratio : array_like
        The true :math:`\theta_0 = \sigma_a / \sigma`.
    groups, size : int
        J and n.

    Returns
    -------
    tuple
        Theta of ML and of REML.

    Examples
    --------
    >>> ml, reml = maxima(ratio=1.0, groups=6, size=5)
    >>> round(float(ml), 3), round(float(reml), 3)
    (0.894, 1.0)
    """
    F = 1 + size * np.square(ratio)
    return np.sqrt(np.maximum(F * (groups - 1) / groups - 1, 0) / size), np.sqrt((F - 1) / size)


def curves(theta: ArrayLike, ratio: float, groups: float, size: float) -> tuple[FloatArray, ...]:
    """Relative likelihoods at `theta`, each 1 at its maximum: ML and REML, for mean squares that are what
    `ratio` expects.
    """
    ss = ((groups - 1) * (1 + size * ratio**2), groups * (size - 1))
    found = []
    for best, reml in zip(maxima(ratio, groups, size), (False, True), strict=True):
        fall = criterion(theta, *ss, groups, size, reml) - criterion(best, *ss, groups, size, reml)
        found.append(np.exp(-fall / 2))
    return tuple(found)
