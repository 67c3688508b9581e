r"""The residual side of a linear model: correlated residuals, and SDs that differ between rows.

.. math:: \mathrm{Cov}(\epsilon) = \sigma^2 W^{-1/2} D R D W^{-1/2}, \quad D_{ii} = \exp(b_i'\gamma),

R being block-diagonal, with the positions of each block taken from one matrix, and the columns b those of the
formula for the logarithm of the SD without what is constant: that is :math:`\sigma`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.covariance.residual_base import Independent, ResidualStructure
from glmmlib.linalg.whitening import BlockRows, Whitening
from glmmlib.types import FloatArray, IntArray

WIDEST = 14.0  # logarithms between the SDs of two rows: beyond, some rows are reproduced exactly


@dataclass(frozen=True, eq=False)
class Whitener:
    """Rows divided by their SDs, then whitened block by block.

    Attributes
    ----------
    whitening : Whitening
    sd : (n,) array
        Of the rows relative to sigma, without those of the structure.
    """

    whitening: Whitening
    sd: FloatArray

    @property
    def log_det(self) -> float:
        """Of the covariance of all residuals over sigma^2."""
        return self.whitening.log_det + 2.0 * float(np.log(self.sd).sum())

    def apply(self, values: FloatArray) -> FloatArray:
        """Return values (k, n) or (n,), whitened."""
        return self.whitening.apply(np.atleast_2d(values) / self.sd).reshape(np.shape(values))

    def color(self, values: FloatArray) -> FloatArray:
        """Return independent values (k, n), correlated and scaled: the inverse of :meth:`apply`."""
        return self.whitening.color(np.atleast_2d(values)).reshape(np.shape(values)) * self.sd


@dataclass(frozen=True, eq=False)
class ResidualSide:
    """What the data say of the residual side before any parameter is known.

    Parameters
    ----------
    n : int
        Rows.
    structure : ResidualStructure
    block, position : (n,) integer arrays or None
        None where residuals are independent.
    D : (n, r) array or None
        The columns of the formula for log sigma, whose span holds the constant.
    weights : (n,) array or None
        Known precisions.
    """

    n: int
    structure: ResidualStructure = field(default_factory=Independent)
    block: IntArray | None = None
    position: IntArray | None = None
    D: FloatArray | None = None
    weights: FloatArray | None = None

    @cached_property
    def blocks(self) -> BlockRows:
        rows = np.arange(self.n)
        block = rows if self.block is None else self.block
        return BlockRows(block, np.zeros(self.n, int) if self.position is None else self.position)

    @cached_property
    def columns(self) -> FloatArray:
        """The columns b (r - 1, n): orthogonal to the constant, of mean square one."""
        if self.D is None:
            return np.zeros((0, self.n))
        centred = self.D - self.D.mean(axis=0)
        size = np.maximum(np.abs(centred).max(axis=0), 1e-300)
        U, s, _ = np.linalg.svd(centred / size, full_matrices=False)
        return np.sqrt(self.n) * U[:, s > 1e-9 * s[0]].T if len(s) and s[0] > 0 else np.zeros((0, self.n))

    @property
    def n_parameters(self) -> int:
        return self.structure.n_parameters + len(self.columns)

    def split(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the parameters of the structure, and gamma."""
        k = self.structure.n_parameters
        return phi[:k], phi[k:]

    def whitener(self, phi: FloatArray) -> Whitener:
        """Return the map that makes the residuals independent, with the SD sigma.

        Raises
        ------
        numpy.linalg.LinAlgError
            If R is not positive definite, or the SDs differ by more than numbers can hold.
        """
        par, gamma = self.split(phi)
        log_sd = gamma @ self.columns
        if np.ptp(log_sd) > WIDEST:
            raise np.linalg.LinAlgError("the SDs of two rows differ beyond all measure")
        R = self.structure.matrix(par)
        if not (np.isfinite(R).all() and np.diag(R).min() > 0):
            raise np.linalg.LinAlgError("the covariance of the residuals is not positive definite")
        sd = np.exp(log_sd)
        return Whitener(Whitening(self.blocks, R), sd if self.weights is None else sd / np.sqrt(self.weights))

    def covariance(self, phi: FloatArray, whitener: Whitener, rows: IntArray) -> FloatArray:
        """Return the covariance (m, m) of the residuals of m rows, over sigma^2."""
        R, sd = self.structure.matrix(self.split(phi)[0]), whitener.sd[rows]
        if self.block is None or self.position is None:
            return np.diag(R[0, 0] * sd**2)
        block, position = self.block[rows], self.position[rows]
        return np.where(block[:, None] == block, R[np.ix_(position, position)], 0.0) * np.outer(sd, sd)

    def pull(self, phi: FloatArray, whitener: Whitener, inner: list[FloatArray]) -> FloatArray:
        """Return the derivatives in phi, for those that :meth:`Whitening.pull` takes."""
        in_R, in_log_sd = whitener.whitening.pull(inner)
        return np.append(self.structure.pullback(self.split(phi)[0], in_R), self.columns @ in_log_sd)

    # -- the search --------------------------------------------------------------------------------------

    def starts(self, residual: FloatArray) -> list[FloatArray]:
        """Return parameters from which to begin, for least squares residuals (n,)."""
        gamma, q = np.zeros(len(self.columns)), self.structure.q
        found = list(self.structure.starts())
        if self.position is not None:
            even = residual if self.weights is None else residual * np.sqrt(self.weights)
            found.insert(0, self.structure.nearest(_definite(self.blocks.second_moments(even, q))))
        return [np.append(par, gamma) for par in found]

    def inverse_curvature(self, phi: FloatArray) -> FloatArray:
        """Return a guess of the inverse second derivatives in phi."""
        own = self.structure.inverse_curvature(self.split(phi)[0], self.blocks.n_blocks)
        return np.append(own, np.full(len(self.columns), 0.25 / self.n))

    # -- on the user's scale -----------------------------------------------------------------------------

    @cached_property
    def _to_coefficients(self) -> tuple[FloatArray, FloatArray]:
        """The user's coefficients (r,) of log sigma: ``one log(sigma) + others gamma``."""
        assert self.D is not None, "there is no formula for sigma"
        scale = np.maximum(np.abs(self.D).max(axis=0), 1e-300)
        wanted = np.vstack([np.ones(self.n), self.columns]).T
        found = np.linalg.lstsq(self.D / scale, wanted, rcond=1e-12)[0] / scale[:, None]
        return found[:, 0], found[:, 1:]

    def to_user(self, sigma: float, phi: FloatArray) -> FloatArray:
        """Return the coefficients of log sigma (or log sigma itself), then the structure's parameters."""
        par, gamma = self.split(phi)
        if self.D is None:
            return np.append(np.log(sigma), par)
        one, others = self._to_coefficients
        return np.concatenate([one * np.log(sigma) + others @ gamma, par])

    @cached_property
    def jacobian(self) -> FloatArray:
        """The derivative of :meth:`to_user` in (phi, log sigma)."""
        k, r = self.structure.n_parameters, len(self.columns)
        one, others = (np.ones(1), np.zeros((1, 0))) if self.D is None else self._to_coefficients
        J = np.zeros((len(one) + k, k + r + 1))
        J[: len(one), k : k + r], J[: len(one), -1] = others, one
        J[len(one) :, :k] = np.eye(k)
        return J

    def from_user(self, values: FloatArray) -> tuple[float, FloatArray]:
        """Return sigma and phi: the inverse of :meth:`to_user`."""
        r = 1 if self.D is None else self.D.shape[1]
        if self.D is None:
            return float(np.exp(values[0])), np.array(values[1:], dtype=float)
        log_sd = self.D @ values[:r]
        gamma = self.columns @ log_sd / self.n
        return float(np.exp(log_sd.mean())), np.append(values[r:], gamma)


def _definite(S: FloatArray) -> FloatArray:
    """Return a positive definite matrix near to S, its variances those of S."""
    sd = np.sqrt(np.maximum(np.diag(S), 1e-12 * max(np.diag(S).max(), 1e-300)))
    values, vectors = np.linalg.eigh(S / np.outer(sd, sd))
    R = (vectors * np.maximum(values, 0.05)) @ vectors.T
    return R / np.sqrt(np.outer(np.diag(R), np.diag(R))) * np.outer(sd, sd)


def inner_matrices(
    side: ResidualSide, V: FloatArray, T: FloatArray, e: FloatArray, shares: Any = (1.0, 1.0, 1.0)
) -> list[FloatArray]:
    """Return the matrices ``a I - b T'V - c e e'`` (B, m, m) of all blocks, for ``shares`` (a, b, c).

    V, T (k, n) are the whitened columns and the inverse times them, e (n,) the whitened residuals.
    """
    a, b, c = shares
    found = []
    for part in side.blocks.parts:
        m = part.rows.shape[1]
        v, t, r = (np.moveaxis(x[..., part.rows], 0, -1) for x in (V, T, e[None]))
        h = t @ np.swapaxes(v, 1, 2)
        found.append(a * np.eye(m) - 0.5 * b * (h + np.swapaxes(h, 1, 2)) - c * r @ np.swapaxes(r, 1, 2))
    return found
