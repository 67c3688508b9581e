r"""Many responses, one design, for generalised models: Laplace's approximation for R replicates at once.

The formulas are those of :mod:`glmmlib.likelihood.glmm`, for one grouping factor; every array has the
replicate as an axis: (R, n) for rows, (q, R, J) for random effects. Rows are sorted by group, so sums by
group are sums of neighbours. Each replicate has its own parameters, its own steps (those of PIRLS inside,
those of BFGS and then Newton's method outside) and its own end; the ones that are done leave.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from glmmlib.families.densities import Derivatives
from glmmlib.likelihood.glmm import MODE_FOUND, SURE, LaplaceDeviance, Mode
from glmmlib.linalg import blocks
from glmmlib.types import BoolArray, FloatArray, IntArray, Numbers

CHUNK_NUMBERS = 150_000  # replicates times rows that are worked on at a time
MAX_PIRLS = 60
SUFFICIENT = 2e-4  # of the decrement, times the length of the step: less descent than this is none
SHORTEST = 1e-8
ROUGH, TIGHT = 1e-7, 1e-13  # g' H^-1 g of PIRLS, during the descent and for the last steps


@dataclass(frozen=True, eq=False)
class Points:
    """-2 log L of each replicate, its gradient in (beta, theta, tau), the conditional modes (q, R, J), and
    how these move with each parameter, (P, q, R, J): where the next search for them begins.
    """

    value: np.ndarray
    gradient: np.ndarray
    u: np.ndarray
    slopes: np.ndarray

    def follow(self, which: IntArray, step: FloatArray) -> FloatArray:
        """Return where the modes of some replicates should be after a step (R, P) of their parameters."""
        return self.u[:, which] + np.einsum("rk,kqrj->qrj", step, self.slopes[:, :, which])

    def subset(self, which: IntArray) -> Points:
        """Return the points of some replicates."""
        return Points(self.value[which], self.gradient[which], self.u[:, which], self.slopes[:, :, which])

    def put(self, which: IntArray, new: Points, chosen: BoolArray) -> None:
        """Write the chosen of other replicates' points in the places ``which``."""
        self.value[which], self.gradient[which] = new.value[chosen], new.gradient[chosen]
        self.u[:, which], self.slopes[:, :, which] = new.u[:, chosen], new.slopes[:, :, chosen]


@dataclass(frozen=True, eq=False)
class Modes:
    """The conditional modes with what PIRLS computed there; the names are those of
    :class:`glmmlib.likelihood.glmm.Mode`.
    """

    u: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    dweight: np.ndarray
    eta: np.ndarray
    penalised: np.ndarray
    gradient: np.ndarray
    A: np.ndarray
    C: np.ndarray


class LaplaceBatch:
    """The Laplace approximations of R responses.

    Parameters
    ----------
    problem : LaplaceDeviance
        With one grouping factor, without quadrature; its own response is not used.
    Y : (R, n) array
        Responses as ``family.check_response`` returns them, one a row, in the order of the problem's rows.
    """

    def __init__(self, problem: LaplaceDeviance, Y: FloatArray) -> None:
        factor = problem.structure.factors[0]
        self.family, self.weights, self.offset = problem.family, problem.weights, problem.offset
        self.problem, self.Y, self.Q, self.Z = problem, Y, problem.Q, factor.Z
        self.p, self.q, self.covariance = problem.p, factor.q, problem.covariance
        self.directions = problem.covariance.directions()
        self.codes, self.J = factor.codes, factor.n_levels
        self.starts = np.searchsorted(factor.codes, np.arange(factor.n_levels))
        self.is_one = [bool((z == 1.0).all()) for z in factor.Z]
        sizes = np.diff(np.append(self.starts, factor.codes.size))
        self.common_size = int(sizes[0]) if (sizes == sizes[0]).all() else None
        self.constant = None
        if not self.family.has_dispersion:
            constant = self.family.constant(Y, self.weights)
            self.constant = -2.0 * np.broadcast_to(constant, Y.shape).sum(axis=1)

    def subset(self, which: IntArray | slice) -> LaplaceBatch:
        """Return the same object for some of the replicates."""
        chosen = copy(self)
        chosen.Y = self.Y[which]
        chosen.constant = None if self.constant is None else self.constant[which]
        return chosen

    # -- parameters and rows ---------------------------------------------------------------------------

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Return beta (R, p), Lambda (R, q, q) and what the family has beside the mean, (R, 1) or (R, n), of
        parameters (R, P).
        """
        (L,) = self.covariance.factors(self.theta(x))
        gamma = x[:, self.p + self.covariance.size :]
        return x[:, : self.p], L, self.problem.predictors.values_of_many(gamma)

    def theta(self, x: FloatArray) -> FloatArray:
        return x[:, self.p : self.p + self.covariance.size]

    def join(self, beta: FloatArray, theta: FloatArray, tau: FloatArray | None = None) -> FloatArray:
        """Return beta, theta and the auxiliary coefficients in one array; or the gradients in them."""
        return np.concatenate([beta, theta] + ([] if tau is None else [tau.reshape(len(tau), -1)]), axis=1)

    def by_group(self, values: FloatArray) -> FloatArray:
        """Return the sums over each group: (R, n) to (R, J)."""
        if self.common_size is not None:
            return (values.reshape(-1, self.common_size) @ np.ones(self.common_size)).reshape(-1, self.J)
        return np.add.reduceat(values, self.starts, axis=1)

    def Z_products(self, values: FloatArray) -> FloatArray:
        """Return ``Z_j'values`` of each group: (q, R, J)."""
        return np.stack([self.by_group(self._times(a, values)) for a in range(self.q)])

    def row_effects(self, b: FloatArray) -> FloatArray:
        """Return ``Z b`` (R, n) for effects (q, R, J)."""
        total = self._times(0, b[0][:, self.codes])
        for a in range(1, self.q):
            total = total + self._times(a, b[a][:, self.codes])
        return total

    def _times(self, a: int, values: FloatArray) -> FloatArray:
        return values if self.is_one[a] else values * self.Z[a]

    def fixed_part(self, beta: FloatArray) -> FloatArray:
        eta = beta @ self.Q
        return eta if self.offset is None else eta + self.offset

    def derivatives(self, eta: FloatArray, dispersion: Numbers | None, order: int = 3) -> Derivatives:
        with np.errstate(over="ignore", invalid="ignore"):
            return self.family.derivatives(self.Y, eta, self.weights, dispersion, order=order)

    def weighted_blocks(self, weight: FloatArray) -> FloatArray:
        """Return ``Z_j'WZ_j``: (q, q, R, J)."""
        weight = np.broadcast_to(weight, self.Y.shape)
        A = np.empty((self.q, self.q, len(weight), self.J))
        for a in range(self.q):
            wz = self._times(a, weight)
            for b in range(a + 1):
                A[a, b] = A[b, a] = self.by_group(self._times(b, wz))
        return A

    def information(self, x: FloatArray) -> FloatArray:
        """Return the diagonals of ``Z_j'WZ_j`` at the conditional modes: (q, R, J)."""
        modes = self.modes(x, np.zeros((self.q, len(x), self.J)), 1e-3)
        return np.nan_to_num(np.einsum("aarj->arj", modes.A))

    # -- PIRLS -----------------------------------------------------------------------------------------

    def modes(self, x: FloatArray, u: FloatArray, tolerance: float) -> Any:
        """Find the conditional modes from ``u`` on; a replicate without a mode has an infinite ``penalised``.

        Newton's method, each group of each replicate with a length of its own: a step that does not lower the
        group's part enough is halved, any other is followed by the next.
        """
        beta, L, dispersion = self.split(x)
        fixed, trial = self.fixed_part(beta), u
        active, batch, found, last = np.arange(len(x)), self, None, np.full(len(x), np.inf)
        search = _Search.begin(u)
        for iteration in range(MAX_PIRLS):
            eta = fixed + batch.row_effects(left(L, trial))
            d = batch.derivatives(eta, dispersion)
            kernel = np.broadcast_to(d.kernel, eta.shape)
            value = np.einsum("arj,arj->rj", trial, trial) - 2.0 * batch.by_group(kernel)
            gradient = left(L.swapaxes(1, 2), batch.Z_products(d.score)) - trial
            A = batch.weighted_blocks(d.weight)
            C = cholesky(A, L)
            newton = solve(C, gradient)
            decrement = np.einsum("arj,arj->rj", newton, gradient)
            ended = search.judge(trial, value, newton, decrement, iteration)
            left_over = decrement.sum(axis=1)
            is_calm = (left_over < SURE) & (left_over > 0.5 * last)  # to the precision of the score
            done = ended & ~((left_over >= tolerance) & ~is_calm)
            done |= search.is_stuck | (iteration == MAX_PIRLS - 1)
            last = left_over
            if found is None or done.any():
                total = value.sum(axis=1)
                is_mode = ended & (left_over < MODE_FOUND * (1.0 + 1e-9 * np.abs(total)))
                penalised = np.where(is_mode, total - left_over, np.inf)
                parts = Modes(trial, d.score, d.weight, d.dweight, eta, penalised, gradient, A, C)
                found = _copied(parts) if found is None else _written(found, parts, active, done)
            if done.all():
                break
            if done.any():
                keep = ~done
                active, batch, L, fixed = active[keep], batch.subset(keep), L[keep], fixed[keep]
                dispersion = None if dispersion is None else dispersion[keep]
                search, last = search.subset(keep), last[keep]
            trial = search.next_trial()
        return found

    # -- value and gradient ----------------------------------------------------------------------------

    def evaluate(
        self, x: FloatArray, u: FloatArray, tolerance: float = ROUGH, with_slopes: bool = True
    ) -> Points:
        """Return the :class:`Points` at parameters x (R, P), the modes searched from u (q, R, J); without
        slopes for those from which nothing is followed.
        """
        _, L, dispersion = self.split(x)
        with np.errstate(invalid="ignore", divide="ignore"):
            m = self.modes(x, u, tolerance)
            log_det = 2.0 * sum(np.log(m.C[a, a]).sum(axis=1) for a in range(self.q))
            H_inverse = inverse(m.C)
            K = left(L, left(L, H_inverse).swapaxes(0, 1))  # Lambda H^-1 Lambda'
            leverage = self._leverage(K)
            c = leverage * m.dweight
            kappa = solve(m.C, left(L.swapaxes(1, 2), self.Z_products(c)))
            value = (
                m.penalised
                + log_det
                + np.einsum("arj,arj->r", kappa, m.gradient)
                + self.constants(dispersion)
            )
            V_kappa = self.row_effects(left(L, kappa))
            a = c - m.weight * V_kappa - 2.0 * m.score
            Z_score = self.Z_products(m.score)
            G = np.einsum("arj,brj->rab", self.Z_products(a), m.u) + np.einsum("arj,brj->rab", Z_score, kappa)
            AL = np.einsum("abrj,rbc->acrj", m.A, L) if self.q > 1 else m.A * L[:, 0, 0, None]
            G += 2.0 * np.einsum("acrj,cbrj->rab", AL, H_inverse)
            tau = None if dispersion is None else self._gradient_tau(m, leverage, V_kappa, dispersion)
            gradient = self.join(a @ self.Q.T, self.covariance.pullback(self.theta(x), [G]), tau)
            slopes = self._slopes(m, L, Z_score, dispersion) if with_slopes else np.empty(0)
        value = np.where(np.isfinite(value) & np.isfinite(gradient).all(axis=1), value, np.inf)
        return Points(value, gradient, m.u, slopes)

    def _slopes(self, m: Modes, L: FloatArray, Z_score: FloatArray, dispersion: Numbers | None) -> FloatArray:
        """Return the derivatives of the modes in all parameters, implicitly."""
        Lt = L.swapaxes(1, 2)
        changes = [-left(Lt, self.Z_products(m.weight * column)) for column in self.Q]
        for D in self.directions:
            change = np.zeros_like(m.u)
            for a, b in np.argwhere(D):
                change -= D[a, b] * left(Lt, m.A[:, a] * m.u[b])
                change[b] += D[a, b] * Z_score[a]
            changes.append(change)
        if dispersion is not None:
            d = self.family.dispersion_derivatives(self.Y, m.eta, self.weights, dispersion)
            moved = self.problem.predictors.along(d.score)
            changes += [left(Lt, self.Z_products(rows)) for rows in moved]
        return np.stack([solve(m.C, change) for change in changes])

    def follow(self, mode: Mode, x: FloatArray, points: FloatArray) -> FloatArray:
        """Return where the modes (q, R, J) at points (R, P) should be, from that of a single fit at x."""
        one = self.subset(slice(0, 1))
        _, L, dispersion = one.split(x[None])
        (u,), (A,), (C,) = mode.u, mode.cross.A, mode.factorisation.C
        score, weight, eta = mode.score[None], mode.weight[None], mode.eta[None]
        none = np.empty(0)  # of what the slopes do not ask for
        m = Modes(u[:, None], score, weight, none, eta, none, none, A[:, :, None], C[:, :, None])
        slopes = one._slopes(m, L, one.Z_products(score), dispersion)
        return m.u + np.einsum("rk,kqj->qrj", points - x, slopes[:, :, 0])

    def _leverage(self, K):
        total = 0.0
        for a in range(self.q):
            for b in range(a + 1):
                product = self._times(a, self._times(b, K[a, b][:, self.codes]))
                total = total + (product if a == b else 2.0 * product)
        return total

    def constants(self, dispersion: Numbers | None) -> Any:
        """Return -2 times what the kernels leave out of each log-likelihood (R,)."""
        if dispersion is None:
            return self.constant
        constant = self.family.constant(self.Y, self.weights, dispersion)
        return -2.0 * np.broadcast_to(constant, self.Y.shape).sum(axis=1)

    def _gradient_tau(self, m, leverage, V_kappa, dispersion):
        d = self.family.dispersion_derivatives(self.Y, m.eta, self.weights, dispersion)
        # by columns: each is (R, n), or (R, n, parameters)
        rowwise = (leverage.T * d.weight.T + V_kappa.T * d.score.T - 2.0 * d.logpdf.T).T
        return np.stack([rows.sum(axis=1) for rows in self.problem.predictors.along(rowwise)], axis=1)


@dataclass(eq=False)
class _Search:
    """Where the search for the modes stands: the best u (q, R, J) of each group with its value and decrement
    (R, J), and the step (q, R, J) that is tried from it with a length (R, J). ``is_stuck`` (R,) says which
    replicates have no way to go.
    """

    u: np.ndarray
    value: np.ndarray
    decrement: np.ndarray
    step: np.ndarray
    length: np.ndarray
    is_stuck: np.ndarray

    @classmethod
    def begin(cls, u: FloatArray) -> _Search:
        shape = u.shape[1:]
        return cls(
            u,
            np.full(shape, np.inf),
            np.zeros(shape),
            np.zeros_like(u),
            np.ones(shape),
            np.zeros(shape[0], bool),
        )

    def judge(
        self, trial: FloatArray, value: FloatArray, newton: FloatArray, decrement: FloatArray, iteration: int
    ) -> BoolArray:
        """Take the trials that are good enough; return the replicates whose groups are all at their best."""
        with np.errstate(invalid="ignore"):
            rounding = 1e-12 * (1.0 + np.abs(value))
            enough = self.value - SUFFICIENT * self.length * self.decrement + rounding
        good = np.isfinite(value) & (value <= enough)
        is_short = ~good & (self.length < SHORTEST)
        lost = ~good & np.isinf(self.value)  # no value where the search begins, nor at zero
        self.u = np.where(good, trial, 0.0 if iteration == 0 else self.u)
        self.step = np.where(good, newton, self.step)
        self.value, self.decrement = (
            np.where(good, value, self.value),
            np.where(good, decrement, self.decrement),
        )
        self.length = np.where(good, 1.0, np.where(lost, 1.0, 0.5 * self.length))
        self.is_stuck = is_short.any(axis=1) | (lost.any(axis=1) if iteration else False)
        return (good | is_short).all(axis=1)

    def next_trial(self) -> FloatArray:
        return self.u + self.length * self.step

    def subset(self, keep: BoolArray) -> _Search:
        parts = (self.u[:, keep], self.value[keep], self.decrement[keep], self.step[:, keep])
        return _Search(*parts, self.length[keep], self.is_stuck[keep])


# --- blocks (q, q, R, J) ----------------------------------------------------------------------------


def left(L: FloatArray, M: FloatArray) -> FloatArray:
    """Return ``L_r M_rj`` for L (R, q, q) and M (q, ..., R, J)."""
    if len(M) == 1:
        return M * L[:, 0, 0, None]
    return np.einsum("rab,b...rj->a...rj", L, M)


def _flat(M: FloatArray) -> FloatArray:
    return M.reshape(*M.shape[:-2], -1)


def cholesky(A: FloatArray, L: FloatArray) -> FloatArray:
    """Return the Cholesky factors of ``H = I + L'AL``."""
    Lt = L.swapaxes(1, 2)
    H = left(Lt, left(Lt, A).swapaxes(0, 1))
    H[range(len(A)), range(len(A))] += 1.0
    return blocks.cholesky(_flat(H)).reshape(A.shape)


def solve(C: FloatArray, g: FloatArray) -> FloatArray:
    """Return ``H^-1 g`` for g (q, R, J)."""
    if len(C) == 1:
        return g / (C[0] * C[0])
    half = blocks.solve_lower(_flat(C), _flat(g)[:, None])
    return blocks.solve_upper(_flat(C), half).reshape(g.shape)


def inverse(C: FloatArray) -> FloatArray:
    if len(C) == 1:
        return 1.0 / (C * C)
    one = np.broadcast_to(np.eye(len(C))[:, :, None], _flat(C).shape)
    return blocks.solve_upper(_flat(C), blocks.solve_lower(_flat(C), one)).reshape(C.shape)


def _copied(parts: Modes) -> Any:
    arrays = (np.array(np.broadcast_to(getattr(parts, f.name), _shape(parts, f.name))) for f in fields(parts))
    return Modes(*arrays)


def _shape(parts: Modes, name: str) -> tuple[int, ...]:
    """A weight that is free of y may come in the shape of a row."""
    return parts.score.shape if name in ("weight", "dweight") else getattr(parts, name).shape


def _written(found: Modes, parts: Modes, active: IntArray, done: BoolArray) -> Any:
    """Write the replicates that are done into the arrays of all of them."""
    for f in fields(parts):
        part = np.broadcast_to(getattr(parts, f.name), _shape(parts, f.name))
        if f.name in ("score", "weight", "dweight", "eta", "penalised"):
            getattr(found, f.name)[active[done]] = part[done]
        else:
            getattr(found, f.name)[..., active[done], :] = part[..., done, :]
    return found
