"""Averages over a normal linear predictor: the population beside the typical group, a new observation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from glmmlib.types import AuxiliaryValue, BoolArray, FloatArray


def normal_nodes(reach: float, n: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of the trapezium rule for averages over a standard normal variable.

    It converges geometrically for a smooth function that dies away like the normal density, if its step is
    short beside the width on which the function changes; Gauss-Hermite stays behind where that is narrow.

    Parameters
    ----------
    reach : float
        Nodes run from ``-reach`` to ``reach``.
    n : int

    Returns
    -------
    nodes, weights : (n,) arrays
        The weights sum to one.

    Examples
    --------
    >>> nodes, weights = normal_nodes(8.0, 65)
    >>> round(float(weights @ nodes**4), 9)
    3.0
    """
    nodes = np.linspace(-reach, reach, n)
    weights = np.exp(-0.5 * nodes**2)
    return nodes, weights / weights.sum()


def normal_average(function: Callable[..., Any], eta: FloatArray, variance: FloatArray) -> FloatArray:
    r"""Return the mean of ``function(eta + v)`` over :math:`v \sim N(0, variance)`.

    Parameters
    ----------
    function : callable
        Elementwise, smooth on the scale of 0.4.
    eta, variance : (n,) arrays

    Returns
    -------
    (n,) array

    Examples
    --------
    >>> normal_average(np.exp, np.zeros(1), np.ones(1)).round(6)  # exp(1/2)
    array([1.648721])
    """
    sd = np.sqrt(variance)
    steps = np.ceil(8.5 * max(2.0, np.nanmax(sd, initial=0.0)) / 0.4)
    nodes, weights = normal_nodes(8.5, 2 * int(steps) + 1)
    return sum(w * function(eta + z * sd) for z, w in zip(nodes, weights, strict=True))


def mixture_quantile(
    family: Any,
    eta: FloatArray,
    sd: FloatArray,
    probability: float,
    weights: FloatArray | None = None,
    dispersion: AuxiliaryValue = None,
) -> FloatArray:
    """Return the quantile of a response whose linear predictor is normal.

    Parameters
    ----------
    family : Family
    eta, sd : (n,) arrays
        Mean and SD of the linear predictor. A value beyond the link's range counts as the end of the range.
        Where either is unknown or infinite, any response is possible, and the quantile is an end of the
        support.
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
    support = family.support
    found = np.full(eta.shape, support.lower if probability < 0.5 else support.upper)
    is_known = np.isfinite(eta) & np.isfinite(sd)
    steep = _steepness(family, eta, np.where(is_known, sd, 0.0), weights, dispersion)
    for n_nodes, low, high in _RULES:
        rows = np.flatnonzero(is_known & (low <= steep) & (steep < high))
        for some in np.array_split(rows, 1 + rows.size * n_nodes // _AT_A_TIME):
            if some.size:
                w, d = (_of_rows(values, some) for values in (weights, dispersion))
                found[some] = _quantile(family, eta[some], sd[some], probability, w, d, n_nodes)
    return found


# The distribution function of a response is a step in eta, as wide as the response tells eta. These are
# numbers of nodes, with the ratios of the predictor's SD to this width for which they are dense enough.
_RULES = ((49, 0.0, 4.0), (201, 4.0, 16.0), (801, 16.0, np.inf))
_AT_A_TIME = 500_000


def _steepness(
    family: Any, eta: FloatArray, sd: FloatArray, weights: FloatArray | None, dispersion: AuxiliaryValue
) -> FloatArray:
    """The SD of the linear predictor over the width in eta of a narrow distribution of the response."""
    with np.errstate(all="ignore"):
        places = (np.clip(eta + z * sd, *family.eta_range) for z in (-2.0, 0.0, 2.0))
        ratios = [sd * np.sqrt(family.fisher(place, weights, dispersion)) for place in places]
    return np.nan_to_num(np.max(ratios, axis=0), nan=1e300, posinf=1e300)


def _of_rows(values, rows):
    return values if np.ndim(values) == 0 else values[rows]


def _quantile(family, eta, sd, probability, weights, dispersion, n_nodes):
    nodes, shares = normal_nodes(6.0, n_nodes)
    means = family.link.inverse(np.clip(eta + nodes[:, None] * sd, *family.eta_range))

    def reached(y: FloatArray) -> BoolArray:
        return shares @ family.cdf(y, means, weights, dispersion) >= probability

    return family.observed(family.support.smallest(reached, len(eta), weights), weights)
