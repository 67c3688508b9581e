"""Small functions that keep their digits where the obvious formula loses them.

Three of them are differences of nearly equal quantities: the remainder of Stirling's formula, that of the
digamma function, and ``log(1 + x) - x``. The negative binomial with little overdispersion (large k) and the
gamma with a small dispersion are made of these. `per_count` saves evaluations for counts, which repeat.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.types import FloatArray

# Coefficients B_2n / (2n (2n - 1)) and B_2n / 2n of the asymptotic series, n = 1 to 7 (Abramowitz & Stegun
# 1964, 6.1.40 and 6.3.18). From x = 10 on the first term left out is below 3e-17.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_ASYMPTOTIC_FROM = 10.0


def stirling_remainder(x: FloatArray) -> FloatArray:
    """What Stirling's formula leaves out: log Gamma(x) - [(x - 1/2) log x - x + log(2 pi)/2], for x > 0.

    Parameters
    ----------
    x : array_like
        Positive numbers.

    Returns
    -------
    ndarray
        The remainder, near 1 / (12 x) for large x.

    Examples
    --------
    >>> round(float(stirling_remainder(1e6)) * 12e6, 9)
    1.0
    """
    x = np.asarray(x, float)
    far = _odd_series(np.maximum(x, _ASYMPTOTIC_FROM), _STIRLING)
    if np.all(x >= _ASYMPTOTIC_FROM):
        return far
    near = sp.gammaln(x) - ((x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * np.pi))
    return np.where(x >= _ASYMPTOTIC_FROM, far, near)


def digamma_remainder(x: FloatArray) -> FloatArray:
    """What the digamma function falls short of log x - 1/(2x): log x - 1/(2x) - psi(x), for x > 0.

    Parameters
    ----------
    x : array_like
        Positive numbers.

    Returns
    -------
    ndarray
        The remainder, near 1 / (12 x^2) for large x.

    Examples
    --------
    >>> round(float(digamma_remainder(1e6)) * 12e12, 9)
    1.0
    """
    x = np.asarray(x, float)
    large = np.maximum(x, _ASYMPTOTIC_FROM)
    far = _odd_series(large, _DIGAMMA) / large
    if np.all(x >= _ASYMPTOTIC_FROM):
        return far
    return np.where(x >= _ASYMPTOTIC_FROM, far, np.log(x) - 0.5 / x - sp.digamma(x))


def log1pmx(x: FloatArray) -> FloatArray:
    """log(1 + x) - x for x > -1, accurate near 0, where it is -x^2 / 2.

    Parameters
    ----------
    x : array_like
        Numbers above -1.

    Returns
    -------
    ndarray
        Never positive.

    Examples
    --------
    >>> f"{log1pmx(1e-9):.12e}"  # -x^2/2 + x^3/3
    '-4.999999996667e-19'
    """
    x = np.asarray(x, float)
    small = np.clip(x, -0.1, 0.1)
    r = small / (2 + small)  # log(1 + x) = 2 atanh(r)
    r2 = r * r
    series = 1 / 3 + r2 * (1 / 5 + r2 * (1 / 7 + r2 * (1 / 9 + r2 * (1 / 11 + r2 / 13))))
    near = r * (2 * r2 * series - small)
    if np.array_equal(small, x):
        return near
    return np.where(small == x, near, np.log1p(x) - x)


def per_count(function: Callable[..., Any], y: FloatArray) -> FloatArray:
    """function(y) for whole numbers y, evaluated once a count where that is less work.

    Parameters
    ----------
    function : callable
        Elementwise, of one array.
    y : ndarray
        Counts, as floats.

    Returns
    -------
    ndarray
        In the shape of `y`.

    Examples
    --------
    >>> per_count(np.sqrt, np.array([4.0, 1.0, 4.0, 0.0, 4.0, 1.0, 1.0, 1.0, 0.0, 0.0, 4.0, 4.0]))
    array([2., 1., 2., 0., 2., 1., 1., 1., 0., 0., 2., 2.])
    """
    y = np.asarray(y, float)
    largest = np.max(y, initial=0)
    if not largest < y.size / 2:
        return function(y)
    index = y.astype(np.intp)
    if not np.array_equal(index, y):
        return function(y)
    return function(np.arange(largest + 1))[index]


def _odd_series(x: FloatArray, coefficients: Sequence[float]) -> FloatArray:
    """c1 / x + c2 / x^3 + c3 / x^5 + ... by Horner's rule."""
    z = 1 / (x * x)
    total = np.full_like(z, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * z + c
    return total / x
