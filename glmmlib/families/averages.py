"""Averages over a normal linear predictor: the population beside the typical group, a new observation."""

import numpy as np


def normal_nodes(reach, n):
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


def normal_average(function, eta, variance):
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


_NODES, _WEIGHTS = normal_nodes(6.0, 49)


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

    def reached(y):
        return _WEIGHTS @ family.cdf(y, means, weights, dispersion) >= probability

    return family.observed(family.support.smallest(reached, len(eta), weights), weights)
