r"""Coordinates of covariance factors in which an SD or a correlation is one coordinate.

- An SD, :math:`|t'\Lambda|` with the row t of the standardising map, is the corner of the triangular factor
  of
  :math:`B\Lambda\Lambda'B'`, where the first row of the basis B is :math:`t/|t|` and the others are
  orthogonal to it.
- A correlation is that between the first two rows of such a factor.

So either can be held while the other coordinates move freely.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glmmlib.covariance.factors import lower_factor
from glmmlib.types import FloatArray, Numbers


class Free:
    """Covariance factors with nothing held: their coordinates are theta.

    ``start`` holds the coordinates of the given theta, and ``sizes`` the positions at which zero is a
    stationary point.
    """

    def __init__(self, covariance: Any, theta: FloatArray) -> None:
        self.covariance, self.start, self.sizes = covariance, theta, covariance.sizes

    def factors(self, x: FloatArray, value: float) -> list[FloatArray]:
        return self.covariance.factors(x)

    def gradient(self, x: FloatArray, value: float, G: Any) -> tuple[FloatArray, float]:
        """Return the derivatives in the coordinates and in the held value, for G (q, q) of each factor."""
        return self.covariance.pullback(x, G), 0.0


class HeldBlock(Free):
    """Covariance factors of which one block, the f-th factor's ``block``, holds a quantity.

    ``inside`` are the block's own coordinates, as :meth:`CovarianceStructure.held` returns them.
    """

    def __init__(self, covariance: Any, theta: FloatArray, f: int, block: Any, inside: InBasis) -> None:
        super().__init__(covariance, theta)
        self.theta, self.f, self.here, self.inside = theta, f, block.here, inside
        self.outside = np.setdiff1d(np.arange(len(theta)), block.index)
        n, is_outside = len(self.outside), np.isin(self.outside, covariance.sizes)
        self.start = np.concatenate([theta[self.outside], inside.start])
        self.sizes = np.concatenate([np.flatnonzero(is_outside), n + inside.sizes])

    def _theta(self, x: FloatArray) -> FloatArray:
        theta = self.theta.copy()
        theta[self.outside] = x[: len(self.outside)]
        return theta

    def factors(self, x: FloatArray, value: float) -> list[FloatArray]:
        found = self.covariance.factors(self._theta(x))
        found[self.f][self.here] = self.inside.factor(x[len(self.outside) :], value)
        return found

    def gradient(self, x: FloatArray, value: float, G: Any) -> tuple[FloatArray, float]:
        outside = self.covariance.pullback(self._theta(x), G)[self.outside]
        inside, held = self.inside.gradient(x[len(self.outside) :], value, G[self.f][self.here])
        return np.concatenate([outside, inside]), held


class HeldParameter:
    """A structure one of whose parameters is held, because it alone is the quantity.

    Parameters
    ----------
    structure : CovarianceStructure
    par : (k,) array
    k : int
    parameter : callable
        Returns, for a value of the quantity, the parameter and its derivative.
    unit : float
        A typical size of the quantity.
    """

    is_perfect = False

    def __init__(
        self,
        structure: Any,
        par: FloatArray,
        k: int,
        parameter: Callable[[float], tuple[float, float]],
        unit: float,
    ) -> None:
        self.structure, self.k, self.parameter, self.unit = structure, k, parameter, unit
        self.others = np.delete(np.arange(structure.n_parameters), k)
        self.start = np.asarray(par, dtype=float)[self.others]
        self.sizes = np.flatnonzero(np.isin(self.others, structure.sizes))

    def _par(self, x, value):
        return np.insert(x, self.k, self.parameter(value)[0])

    def factor(self, x: FloatArray, value: float) -> FloatArray:
        return self.structure.factor(self._par(x, value))

    def gradient(self, x: FloatArray, value: float, G: Any) -> tuple[FloatArray, float]:
        gradient = self.structure.pullback(self._par(x, value), G)
        return gradient[self.others], gradient[self.k] * self.parameter(value)[1]


def scaled(unit: float) -> Callable[[float], tuple[float, float]]:
    """Return the parameter of a quantity that is ``unit`` times it, for :class:`HeldParameter`."""
    return lambda value: (value / unit, 1.0 / unit)


class InBasis:
    """An unrestricted factor, written in a basis in which the held quantity is in the corner.

    ``rows`` (1 or 2, q) are the combinations of the standardised effects whose SD or correlation is held.
    """

    def __init__(self, corner: HeldCorrelation | HeldSD, inverse: FloatArray, unit: float) -> None:
        self.corner, self.inverse, self.unit = corner, inverse, unit
        self.start, self.sizes, self.is_perfect = corner.start, corner.sizes, corner.is_perfect

    @classmethod
    def of(
        cls,
        L: FloatArray,
        rows: FloatArray,
        corner: type[HeldCorrelation] | type[HeldSD],
        scale: Numbers,
    ) -> InBasis:
        size = np.linalg.norm(rows, axis=1, keepdims=True)
        complement = np.linalg.qr(rows.T, mode="complete")[0][:, len(rows) :].T
        basis = np.concatenate([rows / size, complement])
        unit = scale * size[0, 0] if len(rows) == 1 else 1.0
        return cls(corner(lower_factor(basis @ L), unit), np.linalg.inv(basis), unit)

    def factor(self, x: FloatArray, value: float) -> FloatArray:
        return self.inverse @ self.corner.factor(x, value)

    def gradient(self, x: FloatArray, value: float, G: Any) -> tuple[FloatArray, float]:
        return self.corner.gradient(x, value, self.inverse.T @ G)


class HeldSD:
    """A triangular factor (m, m) with a held corner: ``K[0, 0] = value / unit``; its other entries are the
    coordinates.
    """

    is_perfect = False

    def __init__(self, K: FloatArray, unit: float) -> None:
        self.m, self.unit = len(K), unit
        self.rows, self.cols = (index[1:] for index in np.tril_indices(self.m))
        self.start = K[self.rows, self.cols]
        self.sizes = np.flatnonzero(self.rows == self.cols)

    def factor(self, x: FloatArray, value: float) -> FloatArray:
        K = np.zeros((self.m, self.m))
        K[0, 0], K[self.rows, self.cols] = value / self.unit, x
        return K

    def gradient(self, x: FloatArray, value: float, dK: FloatArray) -> tuple[FloatArray, float]:
        return dK[self.rows, self.cols], dK[0, 0] / self.unit


class HeldCorrelation:
    """A triangular factor (m, m) with a held correlation of its first two rows.

    Coordinates: the logarithms of the two SDs, then the entries of the other rows.
    """

    def __init__(self, K: FloatArray, unit: float) -> None:
        self.m = len(K)
        rows, cols = np.tril_indices(self.m)
        self.rows, self.cols = rows[rows > 1], cols[rows > 1]
        sds = [K[0, 0], np.hypot(K[1, 0], K[1, 1])]
        self.is_perfect = bool(abs(K[1, 1]) < 1e-8 * sds[1])
        self.start = np.concatenate([np.log(np.maximum(sds, 1e-10)), K[self.rows, self.cols]])
        self.sizes = 2 + np.flatnonzero(self.rows == self.cols)

    def factor(self, x: FloatArray, value: float) -> FloatArray:
        K = np.zeros((self.m, self.m))
        K[0, 0], sd = np.exp(x[:2])
        K[1, :2] = sd * value, sd * np.sqrt(max(1.0 - value**2, 0.0))
        K[self.rows, self.cols] = x[2:]
        return K

    def gradient(self, x: FloatArray, value: float, dK: FloatArray) -> tuple[FloatArray, float]:
        K = self.factor(x, value)
        logs = [dK[0, 0] * K[0, 0], dK[1, 0] * K[1, 0] + dK[1, 1] * K[1, 1]]
        sd, rest = np.exp(x[1]), np.sqrt(max(1.0 - value**2, 0.0))
        held = sd * (dK[1, 0] - (dK[1, 1] * value / rest if rest else np.nan))
        return np.concatenate([logs, dK[self.rows, self.cols]]), held
