r"""The posterior of a generalised model with one grouping factor, many points at once.

With one grouping factor the likelihood is a product of small integrals, one for each group,

.. math:: \int e^{\ell_j(u) - |u|^2/2} \frac{du}{(2\pi)^{q/2}},

each by adaptive Gauss-Hermite quadrature around its mode (``likelihood.quadrature``): 7 points
for one random effect, 9 x 9 for two. For more effects it is an average over a few draws of a t distribution
around the mode, which is unbiased, and so are then the weights of the posterior draws (Andrieu and Roberts
2009, *Annals of Statistics* 37(2)). The random effects are drawn by an independence sampler within each
group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.bayes.marginal import STEP, Effects, Marginal, chunks, standardised
from glmmlib.bayes.scores import NormalScores
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.glmm import RangeError
from glmmlib.likelihood.glmm_batch import CHUNK_NUMBERS, LaplaceBatch, left
from glmmlib.likelihood.quadrature import product_rule
from glmmlib.linalg import blocks
from glmmlib.types import FloatArray, IntArray

POINTS = {1: 7, 2: 9}  # of quadrature along each effect, by their number
N_AVERAGED = 8  # draws of each group's effects where there is no quadrature
DF = 6.0  # of the t distribution around a group's mode
N_STEPS = 8  # of the independence sampler
TOLERANCE = 1e-7  # of PIRLS: points around a mode need it no better


class JointGradient(Marginal):
    """A generalised model: one point with the exact gradient of Laplace's approximation."""

    problem: Any
    groups: Any

    def gradient(self, z: FloatArray) -> tuple[float, FloatArray]:
        try:
            value, (in_beta, in_Lambda, in_tau), _ = self.problem.evaluate_at(*self.engine_point(z))
        except (np.linalg.LinAlgError, RangeError):
            return -math.inf, np.full(len(z), np.nan)
        shift = STEP * np.eye(len(z))
        up, down = (self.scores.at(z + sign * shift) for sign in (1.0, -1.0))
        assert up.beta is not None and down.beta is not None
        gradient = (up.beta - down.beta) @ (self.problem.R.T @ in_beta)
        for place, k in enumerate(self.problem.structure.order):
            G = np.linalg.inv(self.groups[k].factor.to_standard).T @ in_Lambda[place]
            gradient += np.einsum("rab,ab->r", up.roots[k] - down.roots[k], G)
        if up.auxiliary is not None and down.auxiliary is not None:
            gradient += np.log(up.auxiliary / down.auxiliary).reshape(len(z), -1) @ in_tau
        return -0.5 * value, -0.5 * gradient / (2.0 * STEP)

    def engine_point(self, z: FloatArray) -> tuple[FloatArray, list[FloatArray], Any]:
        """Return beta, the factors and the dispersion in the coordinates of the likelihood."""
        par = self.scores.at(z[None])
        assert par.beta is not None
        roots = standardised(self.groups, [root[0] for root in par.roots])
        Lambdas = [roots[k] for k in self.problem.structure.order]
        logs = [] if par.auxiliary is None else np.log(np.atleast_1d(par.auxiliary[0]))
        dispersion = self.problem.predictors.values(np.asarray(logs, dtype=float))
        return self.problem.R @ par.beta[0], Lambdas, dispersion


@dataclass(frozen=True, eq=False)
class _Found:
    """The modes of each group at R points: Lambda (R, q, q), u and C of the batch, and the log-likelihood."""

    batch: LaplaceBatch
    Lambda: FloatArray
    dispersion: Any
    modes: Any
    value: FloatArray  # (R,), Laplace's

    def log_ratio(self, d: FloatArray) -> FloatArray:
        """Return by how much (R, J) the log integrand of each group at u + d is above that at the mode."""
        eta = self.modes.eta + self.batch.row_effects(left(self.Lambda, d))
        return self._integrand(eta, self.modes.u + d) - self._at_modes

    @cached_property
    def _at_modes(self) -> FloatArray:
        return self._integrand(self.modes.eta, self.modes.u)

    def _integrand(self, eta, u):
        kernel = self.batch.derivatives(eta, self.dispersion, order=0).kernel
        return self.batch.by_group(np.broadcast_to(kernel, eta.shape)) - 0.5 * (u**2).sum(axis=0)

    def around(self, t: FloatArray) -> FloatArray:
        """Return ``C'^-1 t`` for t (q, R, J)."""
        C = self.modes.C
        flat = C.reshape(*C.shape[:2], -1)
        return blocks.solve_upper(flat, t.reshape(len(t), 1, -1))[:, 0].reshape(t.shape)


class GeneralisedMarginal(JointGradient):
    """A generalised model with one grouping factor.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
    scores : NormalScores
    """

    def __init__(self, fit: FittedModel, scores: NormalScores) -> None:
        self.scores, self.groups = scores, fit.groups
        self.problem = copy(fit.solution.problem)
        self.problem.quadrature = None
        self.batch = LaplaceBatch(self.problem, self.problem.y[None])
        self.q, self.J = self.batch.q, self.batch.J
        self.rule = product_rule(POINTS[self.q], self.q) if self.q in POINTS else None
        self.method = self._method()

    def _method(self) -> str:
        if self.rule is None:
            return f"random effects are integrated out by {N_AVERAGED} draws around each group's mode"
        points = " x ".join([str(self.rule.n_points)] * self.q)
        return f"random effects are integrated out by quadrature with {points} points"

    def log_likelihood(self, Z: FloatArray) -> FloatArray:
        return self._values(Z, lambda found: self._corrected(found, self._rule_points()))

    def weigh(self, Z: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, Any]:
        if self.rule is not None:
            return self.log_likelihood(Z), None
        return self._values(Z, lambda found: self._corrected(found, _random_points(found.modes.u, rng))), None

    def effects(self, Z: FloatArray, drawn: Any, which: IntArray, rng: np.random.Generator) -> Effects:
        par = self.scores.at(Z)
        assert par.beta is not None
        to_standard = self.groups[0].factor.to_standard
        b = np.empty((len(Z), self.q, self.J))
        for rows in self._chunks(len(Z)):
            found = self._modes(Z[rows])
            with np.errstate(over="ignore", invalid="ignore"):
                u = found.modes.u + _independence_sampler(found, rng)
            b[rows] = np.moveaxis(left(found.Lambda, u), 0, 1)
        return Effects(par.beta, [to_standard @ b])

    def _chunks(self, R: int) -> Iterator[slice]:
        return chunks(R, self.problem.n, CHUNK_NUMBERS)

    def _values(self, Z: FloatArray, value: Callable[[_Found], FloatArray]) -> FloatArray:
        with np.errstate(all="ignore"):
            parts = [value(self._modes(Z[rows])) for rows in self._chunks(len(Z))]
        values = np.concatenate(parts)
        return np.where(np.isfinite(values), values, -np.inf)

    def _modes(self, Z: FloatArray) -> _Found:
        """Find the modes of each group at scores (R, size)."""
        par, R = self.scores.at(Z), len(Z)
        assert par.beta is not None
        theta = self.problem.covariance.parameters(standardised(self.groups, par.roots))
        tau = None if par.auxiliary is None else np.log(par.auxiliary)
        batch = self.batch.subset(np.zeros(R, dtype=int))
        x = batch.join(par.beta @ self.problem.R.T, theta, tau)
        _, Lambda, dispersion = batch.split(x)
        with np.errstate(all="ignore"):
            modes = batch.modes(x, np.zeros((self.q, R, self.J)), TOLERANCE)
            log_det = 2.0 * np.log(np.einsum("aarj->arj", modes.C)).sum(axis=(0, 2))
            value = -0.5 * (modes.penalised + log_det + batch.constants(dispersion))
        return _Found(batch, Lambda, dispersion, modes, value)

    def _rule_points(self) -> list[tuple[FloatArray, Any]]:
        if self.rule is None:
            return []
        return [(t[:, None, None], w) for t, w in zip(self.rule.nodes, self.rule.log_weights, strict=True)]

    def _corrected(self, found: _Found, points: list[tuple[FloatArray, Any]]) -> FloatArray:
        """Return the log-likelihood with each group's integral a weighted sum over points t (q, R, J)."""
        if not points:
            return found.value
        shape = found.modes.u.shape
        terms = [found.log_ratio(found.around(np.broadcast_to(t, shape))) + w for t, w in points]
        return found.value + np.logaddexp.reduce(np.stack(terms), axis=0).sum(axis=1)


def _t_points(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw t (q, R, J) from a t distribution; return it and its log-density (R, J)."""
    q = shape[0]
    t = rng.standard_normal(shape) / np.sqrt(rng.chisquare(DF, size=shape[1:]) / DF)
    constant = math.lgamma(0.5 * (DF + q)) - math.lgamma(0.5 * DF) - 0.5 * q * math.log(DF * math.pi)
    return t, constant - 0.5 * (DF + q) * np.log1p((t**2).sum(axis=0) / DF)


def _random_points(u: FloatArray, rng: np.random.Generator) -> list[tuple[FloatArray, Any]]:
    """Draw points for an average, with the logarithms of their weights."""
    constant = math.log(N_AVERAGED) + 0.5 * len(u) * math.log(2.0 * math.pi)
    drawn = [_t_points(u.shape, rng) for _ in range(N_AVERAGED)]
    return [(t, -log_density - constant) for t, log_density in drawn]


def _independence_sampler(found: _Found, rng: np.random.Generator) -> FloatArray:
    """Draw deviations (q, R, J) from the modes: Metropolis steps with proposals from a t around them."""
    shape = found.modes.u.shape
    t, proposed = _t_points(shape, rng)
    kept = found.around(t)
    excess = found.log_ratio(kept) - proposed
    for _ in range(N_STEPS):
        t, proposed = _t_points(shape, rng)
        d = found.around(t)
        new = found.log_ratio(d) - proposed
        accepted = np.log(rng.random(shape[1:])) < new - excess
        kept, excess = np.where(accepted, d, kept), np.where(accepted, new, excess)
    return kept
