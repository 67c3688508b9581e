r"""Many responses, one design: the engine of simulation.

Refitting a linear mixed model with one grouping factor to another response changes nothing but :math:`Z'y`, :math:`X'y`
and :math:`y'y`.  So R responses are one array axis: each replicate has its own theta, its own Newton step and
its own end, and one step for all of them is a few dozen array operations.

With :math:`T = \Lambda\Lambda'`, :math:`A_j = Z_j'WZ_j` and :math:`H_j = (I + T A_j)^{-1}`, the generalised least squares
products are :math:`G = [X\,y]'V^{-1}[X\,y] = G_0 - \sum_j C_j' B_j C_j` with :math:`B_j = H_j T` and
:math:`C_j = Z_j'W[X\,y]`, and

.. math:: dB_j = H_j\,dT\,H_j', \quad d\log|I + T A_j| = \langle N_j, dT\rangle, \quad N_j = A_j H_j,

which give the exact gradient and Hessian.  Groups with equal :math:`A_j` share their matrices.
"""

from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-8  # of g' H^-1 g, in units of the deviance
MAX_ITERATIONS = 60
CHUNK_NUMBERS = 400_000  # size of the largest temporary array


@dataclass(frozen=True, eq=False)
class Solutions:
    """Optima of R replicates in standardised coordinates: ``theta`` (R, k), ``value`` (R,), ``converged`` (R,),
    ``beta`` (R, p) relative to orthonormal X, ``XX`` (R, p, p) = X'V^-1X there, and ``r2`` (R,)."""

    theta: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    beta: np.ndarray
    XX: np.ndarray
    r2: np.ndarray


@dataclass(frozen=True, eq=False)
class _State:
    """The criterion of each replicate with its first and second derivatives in theta; ``dr2`` and ``dT`` are those
    of r2 and of Lambda Lambda'."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    beta: np.ndarray
    XX: np.ndarray
    r2: np.ndarray
    dr2: np.ndarray
    dT: np.ndarray


class Replicates:
    """Sums of products of R responses with a design of one grouping factor.

    Parameters
    ----------
    problem : ProfiledDeviance
        With one grouping factor; supplies all that does not depend on the response.
    Zy : (R, J, q) array
        Z'W y of each replicate, y being the residual after least squares on X (so that X'Wy = 0).
    yy : (R,) array
    """

    def __init__(self, problem, Zy, yy):
        cross, factor = problem.cross, problem.structure.factors[0]
        self.df, self.reml, self.constant = problem.df, problem.reml, problem.constant
        self.p, self.q, self.J = problem.p, factor.q, factor.n_levels
        self.pattern = problem.patterns[0]
        A = np.moveaxis(cross.A[0], 2, 0)
        self.of_class, self.A, self.count = _classes(A)
        K = len(self.A)
        ZX = np.moveaxis(cross.ZX[0], 2, 0)  # (J, q, p)
        self.C_XX = _sum_classes(np.einsum("jax,jby->jabxy", ZX, ZX), self.of_class, K)
        member = np.zeros((K, self.J))
        member[self.of_class, np.arange(self.J)] = 1.0
        self.C_Xy = _class_products(member, Zy, ZX)
        self.C_yy = _class_squares(member, Zy)
        self.yy, self.XX0 = yy, cross.XX
        self.directions = self._directions()

    def _directions(self):
        """Return dLambda / dtheta: one (q, q) matrix for each entry of theta."""
        k = len(self.pattern.index)
        D = np.zeros((k, self.q, self.q))
        D[self.pattern.index, self.pattern.rows, self.pattern.cols] = 1.0
        return D

    def subset(self, which):
        """Return the same object for some of the replicates."""
        chosen = object.__new__(Replicates)
        chosen.__dict__.update(self.__dict__)
        chosen.C_Xy, chosen.C_yy, chosen.yy = self.C_Xy[which], self.C_yy[which], self.yy[which]
        return chosen

    def Lambda(self, theta):
        """Return Lambda (R, q, q) for theta (R, k)."""
        return np.einsum("rk,kab->rab", theta, self.directions)

    def start(self):
        """Return a first theta (R, k) by the method of moments (as for a single fit)."""
        n_over = np.einsum("kaa,k->a", self.A, self.count)
        a2 = np.einsum("kaa,kaa,k->a", self.A, self.A, self.count)
        n = n_over[0]
        v = (self.yy / n)[:, None]
        excess = np.einsum("rkaa->ra", self.C_yy) - v * n_over
        s = np.clip(excess / np.maximum(a2 - n_over, 1e-9), 0.02 * v, 0.8 * v)
        residual = np.maximum(v - s.sum(axis=1, keepdims=True), 0.1 * v)
        sd = np.sqrt(s / residual)
        theta = np.zeros((len(v), len(self.pattern.index)))
        diagonal = self.pattern.rows == self.pattern.cols
        theta[:, self.pattern.index[diagonal]] = sd[:, self.pattern.rows[diagonal]]
        return theta

    def state(self, theta):
        """Evaluate criterion, gradient and Hessian of all replicates at theta (R, k)."""
        p, D = self.p, self.directions
        L = self.Lambda(theta)
        T = L @ L.swapaxes(1, 2)
        TA = T[:, None] @ self.A  # (R, K, q, q)
        I_TA = TA + np.eye(self.q)
        H = np.linalg.inv(I_TA) if self.q > 1 else 1.0 / I_TA
        N = self.A @ H
        log_det = np.log(np.linalg.det(I_TA) if self.q > 1 else I_TA[..., 0, 0]) @ self.count
        B = H @ T[:, None]
        XX = self.XX0 - np.einsum("rkab,kabxy->rxy", B, self.C_XX, optimize=True)
        Xy = -np.einsum("rkab,rkabx->rx", B, self.C_Xy)
        yy = self.yy - np.einsum("rkab,rkab->r", B, self.C_yy)
        XX_inverse = np.linalg.inv(XX) if p else XX
        beta = np.einsum("rxy,ry->rx", XX_inverse, Xy)
        r2 = yy - np.einsum("rx,rx->r", beta, Xy)
        value = log_det + self.df * (1.0 + np.log(2.0 * np.pi * r2 / self.df)) + self.constant

        # S_j = H_j' (...) H_j carries derivatives with respect to T: dG = - sum_j <dT, S_j>
        residual_Xy = self.C_Xy - np.einsum("kabxy,ry->rkabx", self.C_XX, beta)
        residual_Xy = 0.5 * (residual_Xy + residual_Xy.swapaxes(2, 3))
        C_v = self.C_yy - np.einsum("rkabx,rx->rkab", residual_Xy + self.C_Xy, beta)
        Ht = H.swapaxes(2, 3)
        S_v = Ht @ (0.5 * (C_v + C_v.swapaxes(2, 3))) @ H
        S_Xv = np.einsum("rkca,rkcdx,rkdb->rabx", H, residual_Xy, H, optimize=True)
        count_N = N * self.count[:, None, None]
        scale = (self.df / r2)[:, None, None]
        f_T = count_N.sum(axis=1) - scale * S_v.sum(axis=1)
        pull = scale[:, None] * S_v  # what enters d2f as <E1 N E2 + E2 N E1, .>
        if self.reml and p:
            value = value + np.linalg.slogdet(XX)[1]
            C_F = np.einsum("kabxy,rxy->rkab", self.C_XX, XX_inverse)
            S_F = Ht @ C_F @ H
            f_T = f_T - S_F.sum(axis=1)
            pull = pull + S_F
            S_XX = np.einsum("rkca,kcdxy,rkdb->rabxy", H, self.C_XX, H, optimize=True)
        # chain rule: T = Lambda Lambda'
        dT = np.einsum("kab,rcb->rkac", D, L)
        dT = dT + dT.swapaxes(2, 3)
        f_T = 0.5 * (f_T + f_T.swapaxes(1, 2))
        gradient = np.einsum("rkab,rab->rk", dT, f_T)
        DD = np.einsum("kab,lcb->klac", D, D)
        hessian = 2.0 * np.einsum("klac,rac->rkl", DD, f_T)
        hessian = hessian + self._curvature(dT, N, count_N, pull)
        dr2 = -np.einsum("rkab,rab->rk", dT, S_v.sum(axis=1))
        hessian = hessian - (self.df / r2**2)[:, None, None] * dr2[:, :, None] * dr2[:, None, :]
        if p:
            dXv = -np.einsum("rkab,rabx->rkx", dT, S_Xv)
            hessian = hessian - 2.0 * scale * np.einsum("rkx,rxy,rly->rkl", dXv, XX_inverse, dXv, optimize=True)
            if self.reml:
                dF = np.einsum("rxy,rkab,rabyz->rkxz", XX_inverse, dT, S_XX, optimize=True)
                hessian = hessian - np.einsum("rkxz,rlzx->rkl", dF, dF)
        return _State(value, gradient, 0.5 * (hessian + hessian.swapaxes(1, 2)), beta, XX, r2, dr2, dT)

    def satterthwaite(self, theta, contrasts):
        """Return the variances and the Satterthwaite degrees of freedom of linear combinations of beta.

        ``contrasts`` (c, p) act on the standardised beta; both results are (R, c).  See :mod:`glmmlib.satterthwaite`.
        """
        state, k = self.state(theta), theta.shape[1]
        s2 = state.r2 / self.df
        T = self.Lambda(theta) @ self.Lambda(theta).swapaxes(1, 2)
        H = np.linalg.inv(T[:, None] @ self.A + np.eye(self.q))
        S_XX = np.einsum("rkca,kcdxy,rkdb->rabxy", H, self.C_XX, H, optimize=True)
        w = np.linalg.solve(state.XX, np.broadcast_to(contrasts.T, (len(theta), *contrasts.T.shape)))
        c = np.einsum("cx,rxc->rc", contrasts, w)
        dc = np.einsum("rmab,rabxy,rxc,ryc->rmc", state.dT, S_XX, w, w, optimize=True)
        full = np.zeros((len(theta), k + 1, k + 1))  # Hessian of -2 log L in (theta, sigma^2)
        cross = -state.dr2 / s2[:, None] ** 2
        full[:, :k, :k] = state.hessian + np.einsum("rk,rl->rkl", state.dr2, state.dr2) / (self.df * s2**2)[:, None, None]
        full[:, :k, k], full[:, k, :k] = cross, cross
        full[:, k, k] = self.df / s2**2
        gradient = np.concatenate([s2[:, None, None] * dc, c[:, None]], axis=1)
        covariance = 2.0 * np.linalg.pinv(full, rcond=1e-10, hermitian=True)
        variance = s2[:, None] * c
        spread = np.einsum("rmc,rml,rlc->rc", gradient, covariance, gradient, optimize=True)
        return variance, 2.0 * variance**2 / spread

    def _curvature(self, dT, N, count_N, pull):
        """``- tr(N E1 N E2)`` of the log-determinants and ``<E1 N E2 + E2 N E1, S>`` of the quadratic forms."""
        if self.q == 1:
            weight = (-N * count_N + 2.0 * N * pull)[..., 0, 0].sum(axis=1)
            e = dT[:, :, 0, 0]
            return weight[:, None, None] * e[:, :, None] * e[:, None, :]
        EN = np.einsum("rkab,rjbc->rjkac", dT, N)
        ENE = np.einsum("rjkac,rlcd->rjklad", EN, dT)
        return 2.0 * np.einsum("rjklad,rjad->rkl", ENE, pull) - np.einsum("rjklad,rjda->rkl", ENE, count_N)


def _classes(A):
    """Number the groups with equal ``A_j``; return (class of each group, A of each class, size of each class)."""
    rounded = np.round(A.reshape(len(A), -1) / np.abs(A).max(), 13)
    _, first, of_class, count = np.unique(rounded, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return of_class.ravel(), A[first], count.astype(float)


def _sum_classes(values, of_class, K):
    total = np.zeros((K, *values.shape[1:]))
    np.add.at(total, of_class, values)
    return total


def _class_products(member, Zy, ZX):
    """``sum over the groups of a class of Z_j'y (Z_j'X)'``: (R, K, q, q, p)."""
    if len(member) == member.shape[1]:
        order = np.argmax(member, axis=1)
        return np.einsum("rja,jbx->rjabx", Zy[:, order], ZX[order])
    return np.einsum("kj,rja,jbx->rkabx", member, Zy, ZX, optimize=True)


def _class_squares(member, Zy):
    if len(member) == member.shape[1]:
        Zy = Zy[:, np.argmax(member, axis=1)]
        return np.einsum("rja,rjb->rjab", Zy, Zy)
    return np.stack(
        [np.einsum("rja,rjb->rab", Zy[:, m > 0], Zy[:, m > 0], optimize=True) for m in member], axis=1
    )


def minimise_all(replicates):
    """Minimise the criterion of every replicate by Newton's method with a trust radius each.

    Returns
    -------
    Solutions
        ``converged`` is False where the caller should fit that replicate by itself.
    """
    R = len(replicates.yy)
    theta = replicates.start()
    radius = np.full(R, 1.0)
    state = replicates.state(theta)
    found = Solutions(theta.copy(), state.value.copy(), np.zeros(R, bool), state.beta.copy(), state.XX.copy(), state.r2.copy())
    active = np.arange(R)
    for _ in range(MAX_ITERATIONS):
        step, decrement, is_convex = _newton_step(state, radius)
        done = (decrement < TOLERANCE) & is_convex
        if done.any():
            _store(found, active, theta, state, done)
            keep = ~done
            active, theta, radius = active[keep], theta[keep], radius[keep]
            step, state = step[keep], _take(state, keep)
            replicates = replicates.subset(keep)
        if not active.size:
            break
        candidate = theta + step
        new = replicates.state(candidate)
        with np.errstate(invalid="ignore"):
            better = new.value <= state.value + 1e-12 * np.abs(state.value)
        length = np.linalg.norm(step, axis=1)
        radius = np.where(better, np.maximum(radius, 2.0 * length), 0.25 * length)
        theta = np.where(better[:, None], candidate, theta)
        state = _choose(better, new, state)
    _store(found, active, theta, state, np.zeros(active.size, bool))
    return found


def _newton_step(state, radius):
    values, vectors = np.linalg.eigh(state.hessian)
    projected = np.einsum("rak,ra->rk", vectors, state.gradient)
    size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max(axis=1, keepdims=True) + 1e-12)
    step = -np.einsum("rak,rk->ra", vectors, projected / size)
    length = np.linalg.norm(step, axis=1)
    step *= np.minimum(1.0, radius / np.maximum(length, 1e-300))[:, None]
    return step, (projected**2 / size).sum(axis=1), values[:, 0] > -1e-6 * np.abs(values[:, -1])


def _fields(state):
    return [getattr(state, name) for name in ("value", "gradient", "hessian", "beta", "XX", "r2", "dr2", "dT")]


def _take(state, keep):
    return _State(*(array[keep] for array in _fields(state)))


def _choose(which, new, old):
    pairs = zip(_fields(new), _fields(old), strict=True)
    return _State(*(np.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


def _store(found, active, theta, state, done):
    """Write the finished replicates (all of them, if none is marked) into the result."""
    chosen = done if done.any() else np.ones(active.size, bool)
    here = active[chosen]
    found.theta[here] = theta[chosen]
    found.converged[here] = done.any()
    for name in ("value", "beta", "XX", "r2"):
        getattr(found, name)[here] = getattr(state, name)[chosen]
