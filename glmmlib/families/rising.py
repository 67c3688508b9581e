"""Rising factorials, of which the densities of scattered counts are made."""

from functools import cached_property

import numpy as np
from scipy import special as sp

from glmmlib.families.special import digamma_remainder, log1pmx, stirling_remainder
from glmmlib.types import FloatArray

_LARGE = 1e3  # from which on series serve to all digits


class Rising:
    r"""The logarithm of :math:`\Gamma(y + a) / \Gamma(a)`, and its derivatives in a times powers of a.

    Parameters
    ----------
    y : array
        Zero or positive.
    a : array
        Positive.

    Attributes
    ----------
    excess : array
        ``log Gamma(y + a) - log Gamma(a) - y log a``.
    first, second, third : arrays
        a times the first derivative, minus a^2 times the second, a^3 times the third: never negative.
    share, rest : arrays
        ``y / (y + a)`` and ``a / (y + a)``.
    remainder, first_remainder : arrays
        The parts of `excess` and `first` that are more than logarithms and `share`.

    Examples
    --------
    >>> rising = Rising(np.array(2.0), np.array(3.0))  # log 3 + log 4
    >>> [round(float(v), 4) for v in (rising.first, rising.second, rising.third)]
    [1.75, 1.5625, 2.8438]
    """

    def __init__(self, y: FloatArray, a: FloatArray) -> None:
        self.y, self.a, self.z = y, a, y + a
        self.share = y / self.z
        self.rest = a / self.z

    @property
    def excess(self) -> FloatArray:
        u = self.y / self.a
        smooth = self.a * (log1pmx(u) + u * np.log1p(u)) - 0.5 * np.log1p(u)
        return smooth + self.remainder

    @property
    def remainder(self) -> FloatArray:
        return stirling_remainder(self.z) - stirling_remainder(self.a)

    @cached_property
    def first(self) -> FloatArray:
        return self.a * np.log1p(self.y / self.a) + 0.5 * self.share + self.first_remainder

    @cached_property
    def first_remainder(self) -> FloatArray:
        return self.a * (digamma_remainder(self.a) - digamma_remainder(self.z))

    @cached_property
    def second(self) -> FloatArray:
        s, r = self.share, self.rest
        return self.a * s + 0.5 * s * (1.0 + r) + _second(self.a) - r**2 * _second(self.z)

    @cached_property
    def third(self) -> FloatArray:
        s, r = self.share, self.rest
        return s * (self.a * (1.0 + r) + 1.0 + r + r**2) + _third(self.a) - r**3 * _third(self.z)


def _second(a: FloatArray) -> FloatArray:
    """a^2 psi'(a) - a - 1/2, which goes to zero as a grows."""
    near = 1.0 + a**2 * sp.polygamma(1, 1.0 + np.minimum(a, _LARGE)) - a - 0.5
    return np.where(a < _LARGE, near, _series(a, (1 / 6, -1 / 30, 1 / 42)))


def _third(a: FloatArray) -> FloatArray:
    """-a^3 psi''(a) - a - 1, which goes to zero as a grows."""
    near = 2.0 - a**3 * sp.polygamma(2, 1.0 + np.minimum(a, _LARGE)) - a - 1.0
    return np.where(a < _LARGE, near, _series(a, (1 / 2, -1 / 6, 1 / 6)))


def _series(a: FloatArray, c: tuple[float, ...]) -> FloatArray:
    x = 1.0 / np.maximum(a, 1.0)
    return x * (c[0] + x**2 * (c[1] + x**2 * c[2]))
