r"""Toeplitz residuals: one correlation for each distance in steps.

The correlations :math:`r_1 \dots r_{q-1}` follow from partial autocorrelations :math:`\pi_k = \sin \phi_k` by
the recursion of Levinson and Durbin, so that every :math:`\phi` gives a positive definite matrix
(Barndorff-Nielsen and Schou 1973, *Journal of Multivariate Analysis* 3, 408-419).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import toeplitz

from glmmlib.covariance.ar1 import steps
from glmmlib.covariance.base import Quantity
from glmmlib.covariance.residual_base import ResidualStructure
from glmmlib.errors import DataError
from glmmlib.types import FloatArray

_LARGEST = 0.95  # of a partial autocorrelation from which a search begins


class Toeplitz(ResidualStructure):
    """Parameters: logarithms of the SDs relative to the first (none with ``hom=True``), then q - 1 angles."""

    word = "toep"

    def __init__(self, times: Any, hom: bool = False) -> None:
        self.q, self.hom = len(times), hom
        if len(set(steps(times))) > 1:
            raise DataError(
                "the times of toep are not equally spaced, so a distance in steps is not one in time: make "
                "them a factor if only their order counts, or use us()"
            )
        self.n_sizes = 0 if hom else self.q - 1
        self.n_parameters = self.n_sizes + self.q - 1

    def _split(self, par):
        return np.exp(np.append(0.0, par[: self.n_sizes])), par[self.n_sizes :]

    def sds(self, par: FloatArray) -> FloatArray:
        return np.ones(self.q) if self.hom else self._split(par)[0]

    def matrix(self, par: FloatArray) -> FloatArray:
        sd, phi = self.sds(par), self._split(par)[1]
        return toeplitz(autocorrelations(np.sin(phi))) * np.outer(sd, sd)

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        sd, phi = self.sds(par), self._split(par)[1]
        scaled = G * np.outer(sd, sd)
        by_lag = np.array([2.0 * np.trace(scaled, k) for k in range(1, self.q)])
        found = [0.0] * 0
        for k in range(len(phi)):  # derivatives by a complex step, exact to rounding
            moved = phi.astype(complex)
            moved[k] += 1e-30j
            found.append(float(by_lag @ autocorrelations(np.sin(moved))[1:].imag) / 1e-30)
        sizes = 2.0 * (scaled * toeplitz(autocorrelations(np.sin(phi)))).sum(axis=1)
        return np.concatenate([sizes[1 : 1 + self.n_sizes], found])

    def nearest(self, S: FloatArray) -> FloatArray:
        sd = np.sqrt(np.diag(S))
        R = S / np.outer(sd, sd)
        partial = partial_autocorrelations([np.diagonal(R, k).mean() for k in range(self.q)])
        return np.concatenate([np.log(sd[1:] / sd[0])[: self.n_sizes], np.arcsin(partial)])

    def starts(self) -> Sequence[FloatArray]:
        found = []
        for rho in (0.3, 0.8):
            partial = partial_autocorrelations(rho ** np.arange(self.q))
            found.append(np.concatenate([np.zeros(self.n_sizes), np.arcsin(partial)]))
        return found

    def covariance_basis(self) -> FloatArray | None:
        return np.stack([toeplitz(unit) for unit in np.eye(self.q)]) if self.hom else None

    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        targets = [label] if self.hom else columns
        sds = [Quantity("sd", target, 0.0, np.inf) for target in targets]
        rhos = [Quantity("rho", f"{label} lag {k}", -1.0, 1.0) for k in range(1, self.q)]
        return (*sds, *rhos)

    def values(self, par: FloatArray, sigma: float) -> FloatArray:
        sd, phi = self._split(par)
        return np.concatenate([sigma * sd, autocorrelations(np.sin(phi))[1:]])


def autocorrelations(partial: FloatArray) -> FloatArray:
    """Return the correlations at distances 0, 1 ... k for k partial autocorrelations.

    >>> autocorrelations(np.array([0.5, 0.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    r, weights, rest = np.ones(1, dtype=partial.dtype), np.zeros(0, dtype=partial.dtype), 1.0
    for pi in partial:
        r = np.append(r, weights @ r[:0:-1] + pi * rest)
        weights = np.append(weights - pi * weights[::-1], pi)
        rest = rest * (1.0 - pi**2)
    return r


def partial_autocorrelations(r: Sequence[float] | FloatArray) -> FloatArray:
    """Return the inverse, held within the range from which a search may begin.

    >>> partial_autocorrelations([1.0, 0.5, 0.25]).round(9).tolist()
    [0.5, 0.0]
    """
    r = np.asarray(r, dtype=float)
    weights, rest, found = np.zeros(0), 1.0, []
    for k in range(1, len(r)):
        pi = float(np.clip((r[k] - weights @ r[k - 1 : 0 : -1]) / rest, -_LARGEST, _LARGEST))
        found.append(pi)
        weights = np.append(weights - pi * weights[::-1], pi)
        rest *= 1.0 - pi**2
    return np.array(found)
