r"""The posterior of a linear model with one grouping factor: exact, many points at once.

Given the variances everything is normal, so coefficients with priors :math:`N(m, Q^{-1})` are integrated out
as p further rows in penalised least squares: with :math:`s = \sigma`, :math:`M = \Lambda'Z'WZ\Lambda + I` and
:math:`A = X'V^{-1}X + s^2 Q` (V without :math:`s^2`),

.. math::

    -2 \log \int p(y, \beta)\, d\beta = \log|M| + \log|A| - \log|Q| + n \log 2\pi s^2 - p \log s^2
    + r^2 / s^2,

where :math:`r^2` is the penalised residual sum of squares with these rows. A t prior is a normal one whose
variance is divided by a gamma variable with a score of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.bayes.marginal import Effects, Marginal, chunks, standardised
from glmmlib.bayes.scores import NormalScores, Parameters
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.glmm_batch import cholesky, left
from glmmlib.linalg import blocks
from glmmlib.types import FloatArray, IntArray

CHUNK_NUMBERS = 400_000


@dataclass(frozen=True, eq=False)
class PriorOfCoefficients:
    """Normal priors (R of them) of the deviations from least squares, in the orthonormal columns."""

    mean: FloatArray  # (p,)
    precision: FloatArray  # (R, p, p)
    log_det: FloatArray  # (R,), of the precision, up to a constant


def coefficients_prior(problem: Any, scores: NormalScores, spread: FloatArray) -> PriorOfCoefficients:
    """Return the prior for SDs ``spread`` (R, p) of the coefficients at the means."""
    mean = problem.R @ (scores.to_user @ scores.location - problem.beta_ols)
    from_orthonormal = np.linalg.inv(problem.R @ scores.to_user)
    half = from_orthonormal / spread[:, :, None]
    return PriorOfCoefficients(mean, half.swapaxes(1, 2) @ half, -2.0 * np.log(spread).sum(axis=1))


@dataclass(frozen=True, eq=False)
class _Solved:
    """Penalised least squares at R points: Cholesky factors and right-hand sides."""

    Lambda: FloatArray  # (R, q, q)
    C: FloatArray  # (q, q, R, J), of I + L'AL
    root: FloatArray  # (R, p, p), of X'V^-1 X + s^2 Q
    half: FloatArray  # (R, p)
    value: FloatArray  # (R,)


class LinearMarginal(Marginal):
    """A linear model with one grouping factor.

    Parameters
    ----------
    fit : LinearMixedModelFit
    scores : NormalScores
    """

    method = "coefficients and random effects are integrated out exactly"

    def __init__(self, fit: FittedModel, scores: NormalScores) -> None:
        self.scores, self.problem, self.groups = scores, fit.solution.problem, fit.groups
        problem = self.problem
        (self.A,), (self.ZX,), (self.Zy,) = problem.cross.A, problem.cross.ZX, problem.Zy
        self.right = np.concatenate([self.ZX, self.Zy[:, None]], axis=1)  # (q, p + 1, J)
        p = problem.p
        self.products = np.empty((p + 1, p + 1))
        self.products[:p, :p], self.products[p, p] = problem.cross.XX, problem.yy
        self.products[:p, p] = self.products[p, :p] = problem.Xy

    def log_likelihood(self, Z: FloatArray) -> FloatArray:
        parts = [self._solve(self.scores.at(Z[rows])).value for rows in self._chunks(len(Z))]
        return -0.5 * np.concatenate(parts)

    def effects(self, Z: FloatArray, drawn: Any, which: IntArray, rng: np.random.Generator) -> Effects:
        parts = [self._draw(self.scores.at(Z[rows]), rng) for rows in self._chunks(len(Z))]
        beta, random = zip(*parts, strict=True)
        return Effects(np.concatenate(beta), [np.concatenate(random)])

    def _chunks(self, R: int) -> Any:
        return chunks(R, self.right.size, CHUNK_NUMBERS)

    def _solve(self, par: Parameters) -> _Solved:
        assert par.auxiliary is not None and par.spread is not None
        problem, p, sigma = self.problem, self.problem.p, par.auxiliary
        R, (q, _, J) = len(sigma), self.right.shape
        with np.errstate(all="ignore"):
            (L,) = standardised(self.groups, [par.roots[0] / sigma[:, None, None]])
            C = cholesky(np.broadcast_to(self.A[:, :, None, :], (q, q, R, J)), L)
            E = left(L.swapaxes(1, 2), np.broadcast_to(self.right[:, :, None, :], (q, p + 1, R, J)))
            T: Any = blocks.solve_lower(C.reshape(q, q, -1), E.reshape(q, p + 1, -1)).reshape(E.shape)
            T = np.moveaxis(T, 2, 0).swapaxes(1, 2).reshape(R, p + 1, q * J)
            G = self.products - T @ T.swapaxes(1, 2)
            prior = coefficients_prior(problem, self.scores, par.spread)
            s2 = sigma**2
            Qm = prior.precision @ prior.mean
            XX = G[:, :p, :p] + s2[:, None, None] * prior.precision
            Xy = G[:, :p, p] + s2[:, None] * Qm
            yy = G[:, p, p] + s2 * (Qm @ prior.mean)
            root = np.moveaxis(blocks.cholesky(np.moveaxis(XX, 0, 2)), 2, 0)
            sound = np.isfinite(root).all(axis=(1, 2), keepdims=True)
            half = np.linalg.solve(np.where(sound, root, np.eye(p)), Xy[:, :, None])[:, :, 0]
            value = 2.0 * np.log(np.einsum("aarj->arj", C)).sum(axis=(0, 2)) - prior.log_det
            value += 2.0 * np.log(np.einsum("rxx->rx", root)).sum(axis=1)
            value += (problem.n - p) * np.log(s2) + (yy - (half**2).sum(axis=1)) / s2
        return _Solved(L, C, root, half, np.where(np.isfinite(value), value, np.inf))

    def _draw(self, par: Parameters, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        assert par.auxiliary is not None
        s, problem, sigma = self._solve(par), self.problem, par.auxiliary
        noisy = s.half + sigma[:, None] * rng.standard_normal(s.half.shape)
        gamma = np.linalg.solve(s.root.swapaxes(1, 2), noisy[:, :, None])[:, :, 0]
        q, R, J = len(self.A), len(sigma), self.A.shape[2]
        rest = self.Zy[:, None] - np.einsum("axj,rx->arj", self.ZX, gamma)
        flat = s.C.reshape(q, q, -1)
        half = blocks.solve_lower(flat, left(s.Lambda.swapaxes(1, 2), rest).reshape(q, 1, -1))
        half = half + np.repeat(sigma, J) * rng.standard_normal((q, 1, R * J))
        u = blocks.solve_upper(flat, half).reshape(q, R, J)
        b = np.einsum("rab,brj->raj", par.roots[0] / sigma[:, None, None], u)
        return problem.beta_ols + gamma @ np.linalg.inv(problem.R).T, b
