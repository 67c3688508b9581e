r"""Newton's method for one factor with very many levels: value, gradient and Hessian from one pass over them.

With :math:`T = \Lambda\Lambda'`, :math:`A_j = Z_j'WZ_j`, :math:`C_j = Z_j'W[X\,y]`,
:math:`H_j = (I + TA_j)^{-1}`, :math:`D_j = H_j'C_j` and :math:`N_j = A_jH_j`, a pass sums
:math:`\log|H_j|` and the products of C, D and N that the criterion and its derivatives in T consist of; the
rest has the size of q and p. Levels are taken in slices that fit a processor's cache, and no array is as long
as they are.

With v = (-beta, 1), :math:`s = df/r^2`, K = (X'V^-1X)^-1 and :math:`W = s vv' + K` (K for REML only), the
gradient in T is :math:`\sum_j N_j - D_jWD_j'`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.linalg import blocks
from glmmlib.types import FloatArray

SLICE = 8192
TOLERANCE = 1e-9  # of g' H^-1 g
MOST_STEPS = 30


@dataclass(frozen=True, eq=False)
class State:
    """The criterion at theta with its derivatives in theta (k), and its gradient in T (q, q)."""

    value: float
    gradient: FloatArray
    hessian: FloatArray
    in_T: FloatArray


class Levels:
    """One linear model with one grouping factor.

    Parameters
    ----------
    problem : ProfiledDeviance
        Whose Lambda is linear in theta.
    """

    def __init__(self, problem: ProfiledDeviance) -> None:
        self.problem = problem
        factor = problem.structure.factors[0]
        self.q, self.J, self.p = factor.q, factor.n_levels, problem.p
        self.G0 = np.block([[problem.cross.XX, problem.Xy[:, None]], [problem.Xy, problem.yy]])
        self.directions = problem.covariance.directions()
        self.upper = np.triu_indices(self.q * (self.p + 1))

    def _pass(self, T):
        """Return the sums over levels of log|H^-1|, C D', N, N N', N (D D')~, (D D')~; ~: upper half."""
        q, p, problem = self.q, self.p, self.problem
        r, s = q * (p + 1), len(self.upper[0])
        A, ZX, Zy = problem.cross.A[0], problem.cross.ZX[0], problem.Zy[0]
        log_det, CD, N_sum = 0.0, np.zeros((r, r)), np.zeros(q * q)
        NN, NDD, DD = np.zeros((q * q, q * q)), np.zeros((q * q, s)), np.zeros(s)
        for first in range(0, self.J, SLICE):
            here = slice(first, min(first + SLICE, self.J))
            C = np.concatenate([ZX[:, :, here], Zy[:, None, here]], axis=1)
            A_here = np.ascontiguousarray(A[:, :, here])
            H, log_det_here = _inverse(blocks.left(T, A_here) + np.eye(q)[:, :, None])
            D = blocks.transpose_multiply(H, C).reshape(r, -1)
            N = blocks.multiply(A_here, H).reshape(q * q, -1)
            pairs = np.concatenate([D[i] * D[i:] for i in range(r)])
            log_det += log_det_here
            CD += C.reshape(r, -1) @ D.T
            N_sum += N.sum(axis=1)
            NN += N @ N.T
            NDD += N @ pairs.T
            DD += pairs.sum(axis=1)
        return log_det, CD, N_sum.reshape(q, q), NN.reshape(q, q, q, q), self._full(NDD), self._full(DD)

    def _full(self, pairs):
        """Return sums of products (..., q, p + 1, q, p + 1) for those of the upper half."""
        r = self.q * (self.p + 1)
        full = np.empty((*pairs.shape[:-1], r, r))
        i, j = self.upper
        full[..., i, j] = full[..., j, i] = pairs
        return full.reshape(*pairs.shape[:-1], self.q, self.p + 1, self.q, self.p + 1)

    def state(self, theta: FloatArray) -> State | None:
        """Return the :class:`State` at theta, or None where there is no value."""
        q, p, problem = self.q, self.p, self.problem
        L = problem.covariance.factors(theta)[0]
        T = L @ L.T
        log_det, CD, N, NN, NDD, DD = self._pass(T)
        G = self.G0 - np.einsum("axbz,ab->xz", CD.reshape(q, p + 1, q, p + 1), T)
        K = np.linalg.inv(G[:p, :p])
        beta = K @ G[:p, p]
        r2 = G[p, p] - beta @ G[:p, p]
        if not (np.isfinite(log_det) and r2 > max(problem.least_r2, 1e-8 * problem.yy)):
            return None  # the sums have lost their digits: the caller knows a longer way
        s, v = problem.df / r2, np.append(-beta, 1.0)
        value = log_det + problem.df * (1.0 + np.log(2.0 * np.pi * r2 / problem.df)) + problem.constant
        W = s * np.outer(v, v)
        if problem.reml:
            value += np.linalg.slogdet(G[:p, :p])[1]
            W[:p, :p] += K
        in_T = N - np.einsum("axbz,xz->ab", DD, W)
        dT = self.directions @ L.T
        dT = dT + dT.swapaxes(1, 2)
        hessian = self._hessian_in_T(dT, NN, NDD, DD, W, v, s, r2, K)
        second = 2.0 * np.einsum("kac,lbc->klab", self.directions, self.directions)
        hessian += np.einsum("klab,ab->kl", second, in_T)
        gradient = np.einsum("kab,ab->k", dT, in_T)
        return State(float(value), gradient, 0.5 * (hessian + hessian.T), in_T)

    def _hessian_in_T(self, dT, NN, NDD, DD, W, v, s, r2, K):
        """Return the second derivatives along pairs of the directions dT (k, q, q)."""
        q, p, k = self.q, self.p, len(dT)
        flat = dT.reshape(k, q * q)
        NP = np.einsum("naxbz,xz->nab", NDD, W).reshape(q, q, q, q)
        both = (2.0 * NP - NN).transpose(3, 0, 1, 2).reshape(q * q, q * q)
        hessian = flat @ both @ flat.T
        dr2 = -flat @ np.einsum("axbz,x,z->ab", DD, v, v).ravel()
        hessian -= s / r2 * np.outer(dr2, dr2)
        dXv = -flat @ np.einsum("axbz,z->abx", DD[:, :p], v).reshape(q * q, p)
        hessian -= 2.0 * s * dXv @ K @ dXv.T
        if self.problem.reml:
            KX = K @ np.einsum("kab,axbz->kxz", dT, DD[:, :p, :, :p])
            hessian -= np.einsum("kxz,lzx->kl", KX, KX)
        return hessian


def _inverse(M):
    """Return the inverses of blocks (q, q, J) and the sum of the logarithms of their determinants."""
    q = len(M)
    if q == 1:
        return 1.0 / M, float(np.log(M).sum())
    if q == 2:
        det = M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0]
        inverse = np.stack([np.stack([M[1, 1], -M[0, 1]]), np.stack([-M[1, 0], M[0, 0]])]) / det
        return inverse, float(np.log(det).sum())
    first = np.moveaxis(M, 2, 0)
    inverse = np.ascontiguousarray(np.moveaxis(np.linalg.inv(first), 0, 2))
    return inverse, float(np.linalg.slogdet(first)[1].sum())


def newton(problem: ProfiledDeviance, theta: FloatArray) -> tuple[FloatArray, FloatArray, int] | None:
    """Minimise the criterion from theta: one step of EM, then Newton's method with a trust radius.

    Returns
    -------
    theta, inverse Hessian, number of evaluations; None where the search does not end in a convex place.
    """
    levels, covariance = Levels(problem), problem.covariance
    state = levels.state(theta)
    if state is None:
        return None
    L = covariance.factors(theta)[0]
    theta = covariance.em_step(theta, [np.eye(levels.q) - L.T @ state.in_T @ L / levels.J])
    state, radius = levels.state(theta), 1.0
    for evaluations in range(2, MOST_STEPS):
        if state is None:
            return None
        values, vectors = np.linalg.eigh(state.hessian)
        size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max())
        along = vectors.T @ state.gradient
        step = -vectors @ (along / size)
        if (along**2 / size).sum() < TOLERANCE:
            inverse = (vectors / size) @ vectors.T
            return (theta + step, inverse, evaluations) if values[0] > 0 else None
        length = float(np.linalg.norm(step))
        step *= min(1.0, radius / length)
        new = levels.state(theta + step)
        if new is not None and new.value <= state.value + 1e-12 * abs(state.value):
            theta, state, radius = theta + step, new, max(radius, 2.0 * length)
        else:
            radius = 0.25 * min(length, radius)
    return None
