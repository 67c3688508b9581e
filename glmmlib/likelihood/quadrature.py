r"""Adaptive Gauss-Hermite quadrature for one grouping factor with one or two random effects.

The integral over a group's random effects u (standardised, q of them) is a weighted sum of the integrand at
points around its mode, scaled by the Cholesky factor of :math:`H_j = C_j C_j'`:

.. math::

    \int e^{\ell_j(u) - |u|^2/2}\,\frac{du}{(2\pi)^{q/2}} \approx |C_j|^{-1} \sum_k \omega_k\,
    e^{\ell_j(u_k) - |u_k|^2/2 + |t_k|^2/2}, \quad u_k = \hat u_j + C_j'^{-1} t_k.

With one point, t = 0, this is Laplace's approximation (Pinheiro and Bates 1995, *Journal of Computational and
Graphical Statistics* 4(1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from glmmlib.families.densities import Derivatives
from glmmlib.linalg import blocks
from glmmlib.linalg.crossing import Factor
from glmmlib.types import FloatArray, Numbers

STORE_NUMBERS = 20_000_000  # keep the scores of all points when they fit; compute them twice otherwise


@dataclass(frozen=True, eq=False)
class Correction:
    """What quadrature adds to Laplace's approximation.

    ``value`` is added to -2 log L. The rest enters the gradient: ``metric`` (q, q, J) is added to ``H^-1``,
    ``pull`` (q, J) to the derivative with respect to the mode, ``score`` (n,) takes the place of the score at
    the mode, ``gradient`` (q, q) and ``tau`` (of the auxiliary coefficients) hold the direct derivatives.
    """

    value: float
    metric: np.ndarray
    pull: np.ndarray
    score: np.ndarray
    gradient: np.ndarray
    tau: np.ndarray


class Quadrature:
    """Nodes ``t`` (K, q) and log-weights of a product Gauss-Hermite rule for the standard normal
    distribution.
    """

    def __init__(self, n_points: int, q: int) -> None:
        t, w = hermegauss(n_points)
        grids = np.meshgrid(*[t] * q, indexing="ij")
        weights = np.meshgrid(*[w / w.sum()] * q, indexing="ij")
        nodes = np.stack([g.ravel() for g in grids], axis=1)
        log_weights = np.log(np.prod([g.ravel() for g in weights], axis=0)) + 0.5 * (nodes**2).sum(axis=1)
        used = log_weights > log_weights.max() - 700.0
        self.nodes, self.log_weights, self.n_points = nodes[used], log_weights[used], n_points

    def correction(
        self, model: Any, mode: Any, Lambdas: Sequence[FloatArray], dispersion: Numbers | None
    ) -> Correction:
        """Return the :class:`Correction` of a Laplace deviance at its mode."""
        factor, L, u = model.structure.factors[0], Lambdas[0], mode.u[0]
        C = mode.factorisation.C[0]
        points = [u + _scaled(C, t) for t in self.nodes]  # each (q, J)
        spread = [_row_values(factor, L, _scaled(C, t)) for t in self.nodes] if self._fits(model) else None
        scores, log_terms = [], np.empty((len(points), factor.n_levels))
        at_mode = _sum_by_level(factor, self._kernel(model, mode.eta, dispersion, 0).kernel) - 0.5 * (
            u**2
        ).sum(axis=0)
        for k, point in enumerate(points):
            eta = mode.eta + (spread[k] if spread else _row_values(factor, L, point - u))
            d = self._kernel(model, eta, dispersion, 1)
            log_terms[k] = _sum_by_level(factor, d.kernel) - 0.5 * (point**2).sum(axis=0) - at_mode
            if spread:
                scores.append(d.score)
        log_terms += self.log_weights[:, None]
        largest = log_terms.max(axis=0)
        share = np.exp(log_terms - largest)
        total = share.sum(axis=0)
        share /= total
        value = -2.0 * float((largest + np.log(total)).sum())
        return self._derivatives(model, mode, L, C, dispersion, points, share, scores, value)

    def _fits(self, model: Any) -> bool:
        return len(self.nodes) * model.n <= STORE_NUMBERS

    @staticmethod
    def _kernel(model: Any, eta: FloatArray, dispersion: Numbers | None, order: int) -> Derivatives:
        with np.errstate(over="ignore", invalid="ignore"):
            return model.family.derivatives(model.y, eta, model.weights, dispersion, order=order)

    def _derivatives(self, model, mode, L, C, dispersion, points, share, scores, value):
        """Average what enters the gradient over the points, each with its share of its group's integral."""
        factor, u = model.structure.factors[0], mode.u[0]
        q, J = u.shape
        mean_score = np.zeros(model.n)
        mean_g, spread, gradient = np.zeros((q, J)), np.zeros((q, q, J)), np.zeros((q, q))
        tau = np.zeros(model.predictors.size)
        for k, (t, point) in enumerate(zip(self.nodes, points, strict=True)):
            eta = mode.eta + _row_values(factor, L, point - u) if not scores or tau.size else None
            score = scores[k] if scores else self._kernel(model, eta, dispersion, 1).score
            weight = share[k][factor.codes]
            score = np.where(
                weight > 0.0, score, 0.0
            )  # not a number where a point is out of the link's range
            mean_score += weight * score
            Z_score = model.by_level(score)[0]
            gradient -= 2.0 * (share[k] * Z_score) @ point.T
            g = L.T @ Z_score - point
            mean_g += share[k] * g
            gamma = blocks.solve_lower(C, g[:, None, :])[:, 0]
            spread += share[k] * t[:, None, None] * gamma[None]
            if tau.size:
                d = model.family.dispersion_derivatives(model.y, eta, model.weights, dispersion)
                tau -= 2.0 * model.predictors.pull(np.where(weight > 0.0, weight * d.logpdf.T, 0.0).T)
        return Correction(value, _metric(C, spread), -2.0 * mean_g, mean_score, gradient, tau)


def _scaled(C: FloatArray, t: FloatArray) -> FloatArray:
    """Return ``C_j'^-1 t`` (q, J)."""
    repeated = np.broadcast_to(t[:, None, None], (len(t), 1, C.shape[2]))
    return blocks.solve_upper(C, repeated)[:, 0]


def _row_values(factor: Factor, L: FloatArray, u: FloatArray) -> FloatArray:
    b = L @ u
    return np.einsum("an,an->n", factor.Z, b[:, factor.codes])


def _sum_by_level(factor, values):
    return np.bincount(factor.codes, np.broadcast_to(values, factor.codes.shape), minlength=factor.n_levels)


def _metric(C: FloatArray, spread: FloatArray) -> FloatArray:
    """Return ``2 C'^-1 G C^-1``: how the moving points feel a change of H.

    ``G`` is the average of ``t (C^-1 g)'``, its lower triangle with half weight on the diagonal, made
    symmetric.
    """
    q = len(C)
    G = np.zeros_like(spread)
    for a in range(q):
        for b in range(a + 1):
            G[a, b] = G[b, a] = 0.5 * spread[a, b]
    half = blocks.solve_upper(C, 2.0 * G)
    return blocks.solve_upper(C, half.swapaxes(0, 1))
