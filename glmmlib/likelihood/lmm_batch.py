r"""Many responses, one design: the engine of simulation.

Refitting a linear mixed model with one grouping factor to another response changes nothing but :math:`Z'y`,
:math:`X'y` and :math:`y'y`. So R responses are one array axis: each replicate has its own theta, its own
Newton step and its own end, and one step for all of them is a few dozen array operations.

With :math:`T = \Lambda\Lambda'`, :math:`A_j = Z_j'WZ_j` and :math:`H_j = (I + T A_j)^{-1}`, the generalised
least squares products are :math:`G = [X\,y]'V^{-1}[X\,y] = G_0 - \sum_j C_j' B_j C_j` with :math:`B_j = H_j
T` and
:math:`C_j = Z_j'W[X\,y]`, and

.. math:: dB_j = H_j\,dT\,H_j', \quad d\log|I + T A_j| = \langle N_j, dT\rangle, \quad N_j = A_j H_j,

which give the exact gradient and Hessian. Groups with equal :math:`A_j` may be rotated among each other
without a change of G, so they are replaced by the few combinations of them that :math:`X` reaches and a root
of what y has beyond.

A symmetric (q, q) matrix is held as its s = q (q + 1) / 2 entries on and below the diagonal.  Arrays are
(replicate, entries, group).
"""

from copy import copy
from dataclasses import dataclass

import numpy as np

CHUNK_NUMBERS = 300_000  # size of the largest temporary array


@dataclass(frozen=True, eq=False)
class State:
    """The criterion of each replicate with its first and second derivatives in theta; ``dr2`` and ``dT`` are
    those of r2 and of Lambda Lambda'.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    beta: np.ndarray
    XX: np.ndarray
    r2: np.ndarray
    dr2: np.ndarray
    dT: np.ndarray


class LinearBatch:
    """Sums of products of R responses with a design of one grouping factor.

    Parameters
    ----------
    problem : ProfiledDeviance
        With one grouping factor; supplies all that does not depend on the response.
    Zy : (R, q, J) array
        Z'W y of each replicate, y being the residual after least squares on X (so that X'Wy = 0).
    yy : (R,) array
    """

    def __init__(self, problem, Zy, yy):
        cross, factor = problem.cross, problem.structure.factors[0]
        self.df, self.reml, self.constant = problem.df, problem.reml, problem.constant
        self.p, self.q, self.covariance = problem.p, factor.q, problem.covariance
        self.A, self.count, self.ZX, self.Zy = _rotated(cross.A[0], cross.ZX[0], Zy)
        self.yy, self.XX0 = yy, cross.XX
        self.pairs = [(a, b) for a in range(self.q) for b in range(a + 1)]
        self.twice = np.array(
            [1.0 if a == b else 2.0 for a, b in self.pairs]
        )  # an entry off the diagonal stands for two
        self.full = np.zeros((self.q, self.q), dtype=int)
        for i, (a, b) in enumerate(self.pairs):
            self.full[a, b] = self.full[b, a] = i
        self.C_XX = self._products_with_X()
        self.directions = problem.covariance.directions()

    @property
    def numbers(self):
        """The size of the largest temporary array, for each replicate."""
        return len(self.pairs) ** 2 * len(self.count)

    def _products_with_X(self):
        """Return the symmetric part in X of ``Z_j'WX (Z_j'WX)'``: (s G, p p)."""
        full = np.einsum("axj,byj->abjxy", self.ZX, self.ZX)
        C = np.stack([0.5 * (full[a, b] + full[b, a]) for a, b in self.pairs])
        return C.reshape(len(self.pairs) * len(self.count), self.p**2)

    def subset(self, which):
        """Return the same object for some of the replicates."""
        chosen = copy(self)
        chosen.Zy, chosen.yy = self.Zy[which], self.yy[which]
        return chosen

    def Lambda(self, theta):
        """Return Lambda (R, q, q) for theta (R, k)."""
        return np.einsum("rk,kab->rab", theta, self.directions)

    def start(self):
        """Return a first theta (R, k) by the method of moments (as for a single fit)."""
        a = np.einsum("aaj->aj", self.A)
        n_over, a2 = a @ self.count, a**2 @ self.count
        v = (self.yy / n_over[0])[:, None]
        excess = np.einsum("raj,raj->ra", self.Zy, self.Zy) - v * n_over
        s = np.clip(excess / np.maximum(a2 - n_over, 1e-9), 0.02 * v, 0.8 * v)
        residual = np.maximum(v - s.sum(axis=1, keepdims=True), 0.1 * v)
        return self.covariance.start([s / residual])

    def state(self, theta):
        """Evaluate criterion, gradient and Hessian of all replicates at theta (R, k)."""
        L = self.Lambda(theta)
        T = L @ L.swapaxes(1, 2)
        H, log_det = self._inverses(T)
        N = self._lower(
            [
                [sum(self.A[a, c] * H[c][b] for c in range(self.q)) for b in range(self.q)]
                for a in range(self.q)
            ]
        )
        XX, XX_inverse, beta, r2, e = self._generalised_least_squares(H, T)
        value = log_det + self.df * (1.0 + np.log(2.0 * np.pi * r2 / self.df)) + self.constant

        # g_j = H_j'e_j carries the derivatives of the quadratic forms with respect to T: dr2 = - sum_j g_j'
        # dT g_j
        g = np.stack([sum(H[c][a] * e[:, c] for c in range(self.q)) for a in range(self.q)], axis=1)
        scale = (self.df / r2)[:, None]
        S_v = self._lower(g @ g.swapaxes(1, 2))
        f_T = N @ self.count - scale * S_v
        pull = scale[:, :, None] * np.stack([g[:, a] * g[:, b] for a, b in self.pairs], axis=1)
        if self.reml and self.p:
            value = value + np.linalg.slogdet(XX)[1]
            K = self._congruences(H)
            C_F = (XX_inverse.reshape(len(theta), -1) @ self.C_XX.T).reshape(N.shape)
            S_F = np.einsum("rstg,rtg->rsg", K, C_F)
            f_T = f_T - S_F.sum(axis=2)
            pull += S_F
        # chain rule: T = Lambda Lambda'
        dT = np.einsum("kab,rcb->rkac", self.directions, L)
        dT = dT + dT.swapaxes(2, 3)
        f_T = f_T[:, self.full]
        gradient = np.einsum("rkab,rab->rk", dT, f_T)
        DD = np.einsum("kab,lcb->klac", self.directions, self.directions)
        hessian = 2.0 * np.einsum("klac,rac->rkl", DD, f_T) + self._curvature(dT, N, pull)
        dr2 = -np.einsum("rkab,rab->rk", dT, S_v[:, self.full])
        hessian -= (self.df / r2**2)[:, None, None] * dr2[:, :, None] * dr2[:, None, :]
        if self.p:
            dXv = -self._along(dT, self._pulled_X(H, g))
            hessian -= 2.0 * scale[:, :, None] * (dXv @ XX_inverse @ dXv.swapaxes(1, 2))
            if self.reml:
                dF = XX_inverse[:, None] @ self._along(dT, self._pulled_XX(K))
                hessian -= np.einsum("rkxz,rlzx->rkl", dF, dF)
        return State(value, gradient, 0.5 * (hessian + hessian.swapaxes(1, 2)), beta, XX, r2, dr2, dT)

    def _inverses(self, T):
        """Return ``H_j = (I + T A_j)^-1`` as rows of (R, G) arrays, and ``sum log |I + T A_j|`` (R,)."""
        q = self.q
        M = (T @ self.A.reshape(q, -1)).reshape(len(T), q, q, -1)
        M[:, range(q), range(q)] += 1.0
        if q == 1:
            det = M[:, 0, 0]
            H = [[1.0 / det]]
        elif q == 2:
            det = M[:, 0, 0] * M[:, 1, 1] - M[:, 0, 1] * M[:, 1, 0]
            H = [[M[:, 1, 1] / det, -M[:, 0, 1] / det], [-M[:, 1, 0] / det, M[:, 0, 0] / det]]
        else:
            blocks = np.moveaxis(M, 3, 1)
            det = np.linalg.det(blocks)
            inverse = np.moveaxis(np.linalg.inv(blocks), 1, 3)
            H = [[inverse[:, a, b] for b in range(q)] for a in range(q)]
        with np.errstate(invalid="ignore", divide="ignore"):
            return H, np.log(det) @ self.count

    def _generalised_least_squares(self, H, T):
        """Return X'V^-1X and its inverse, beta, the residual sum of squares, and e_j = Z_j'W(y - X beta)."""
        q, p, R = self.q, self.p, len(T)
        B = [[sum(H[a][c] * T[:, c, b, None] for c in range(q)) for b in range(q)] for a in range(q)]
        XX = self.XX0 - ((self._lower(B) * self.twice[:, None]).reshape(R, -1) @ self.C_XX).reshape(R, p, p)
        BZy = np.stack([sum(B[a][b] * self.Zy[:, b] for b in range(q)) for a in range(q)], axis=1)
        ZX = self.ZX.swapaxes(1, 2).reshape(self.Zy[0].size, p)
        Xy = -BZy.reshape(R, -1) @ ZX
        yy = self.yy - np.einsum("raj,raj->r", BZy, self.Zy)
        XX_inverse = np.linalg.inv(XX) if p else XX
        beta = np.einsum("rxy,ry->rx", XX_inverse, Xy)
        r2 = yy - np.einsum("rx,rx->r", beta, Xy)
        return XX, XX_inverse, beta, r2, self.Zy - (beta @ ZX.T).reshape(self.Zy.shape)

    def _lower(self, M):
        """Return the entries on and below the diagonal of symmetric matrices: (R, s) or (R, s, G)."""
        if isinstance(M, np.ndarray):
            return np.stack([M[:, a, b] for a, b in self.pairs], axis=1)
        return np.stack([M[a][b] for a, b in self.pairs], axis=1)

    def _congruences(self, H):
        """Return the maps ``C -> H_j' C H_j`` of symmetric matrices: (R, s, s, G)."""

        def entry(a, b, c, d):
            product = H[c][a] * H[d][b]
            return product if c == d else product + H[d][a] * H[c][b]

        return np.stack(
            [np.stack([entry(*ab, *cd) for cd in self.pairs], axis=1) for ab in self.pairs], axis=1
        )

    def _pulled_X(self, H, g):
        """Return the symmetric part of ``sum_j H_j' Z_j'WX g_j'``: (R, s, p)."""
        R, s, q = len(g), len(self.pairs), self.q
        P = np.stack(
            [0.5 * (H[c][a] * g[:, b] + H[c][b] * g[:, a]) for a, b in self.pairs for c in range(q)], axis=1
        )
        return (P.reshape(R * s, -1) @ self.ZX.swapaxes(1, 2).reshape(-1, self.p)).reshape(R, s, self.p)

    def _pulled_XX(self, K):
        """Return ``sum_j H_j' C_j H_j`` for ``C_j = Z_j'WX (Z_j'WX)'``: (R, s, p, p)."""
        R, s = K.shape[:2]
        return (K.reshape(R * s, -1) @ self.C_XX).reshape(R, s, self.p, self.p)

    def _along(self, dT, S):
        """Return ``<dT_k, S>`` for each entry k of theta; S holds (R, s, ...)."""
        lower = np.stack([dT[:, :, a, b] for a, b in self.pairs], axis=2) * self.twice
        return np.einsum("rks,rs...->rk...", lower, S)

    def _curvature(self, dT, N, pull):
        """``- tr(N E1 N E2)`` of the log-determinants and ``2 <E1 N E2, pull>`` of the quadratic forms,
        summed over groups.
        """
        NN = ((N * self.count) @ N.swapaxes(1, 2))[:, self.full][:, :, :, self.full]
        NP = (N @ pull.swapaxes(1, 2))[:, self.full][:, :, :, self.full]
        # tr(N E1 N E2) = N_ab E1_bc N_cd E2_da, and 2 E1_ab N_bc E2_cd P_da: E1's indices first, then E2's
        both = 2.0 * NP.transpose(0, 4, 1, 2, 3) - NN.transpose(0, 2, 3, 4, 1)
        half = np.einsum("rkab,rabcd->rkcd", dT, both)
        return np.einsum("rkcd,rlcd->rkl", half, dT)

    def satterthwaite(self, theta, contrasts):
        """Return the variances and the Satterthwaite degrees of freedom of linear combinations of beta.

        ``contrasts`` (c, p) act on the standardised beta; both results are (R, c). See
        :mod:`glmmlib.inference.satterthwaite`.
        """
        state, k = self.state(theta), theta.shape[1]
        s2 = state.r2 / self.df
        L = self.Lambda(theta)
        S_XX = self._pulled_XX(self._congruences(self._inverses(L @ L.swapaxes(1, 2))[0]))
        w = np.linalg.solve(state.XX, np.broadcast_to(contrasts.T, (len(theta), *contrasts.T.shape)))
        c = np.einsum("cx,rxc->rc", contrasts, w)
        dc = np.einsum("rmxy,rxc,ryc->rmc", self._along(state.dT, S_XX), w, w, optimize=True)
        full = np.zeros((len(theta), k + 1, k + 1))  # Hessian of -2 log L in (theta, sigma^2)
        cross = -state.dr2 / s2[:, None] ** 2
        full[:, :k, :k] = (
            state.hessian + np.einsum("rk,rl->rkl", state.dr2, state.dr2) / (self.df * s2**2)[:, None, None]
        )
        full[:, :k, k], full[:, k, :k] = cross, cross
        full[:, k, k] = self.df / s2**2
        gradient = np.concatenate([s2[:, None, None] * dc, c[:, None]], axis=1)
        covariance = 2.0 * np.linalg.pinv(full, rcond=1e-10, hermitian=True)
        variance = s2[:, None] * c
        spread = np.einsum("rmc,rml,rlc->rc", gradient, covariance, gradient, optimize=True)
        return variance, 2.0 * variance**2 / spread


# --- groups with equal matrices -------------------------------------------------------------------


def _rotated(A, ZX, Zy):
    """Replace the groups of each class of equal ``A_j`` by fewer combinations with the same sums of products.

    Returns A (q, q, G), how many groups' log-determinants each of the G stands for, ZX (q, p, G) and Zy (R,
    q, G).
    """
    q, J = len(A), A.shape[2]
    rounded = np.round(A.reshape(q * q, J).T / np.abs(A).max(), 13)
    _, of_class, size = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    parts = []
    order = np.argsort(of_class.ravel(), kind="stable")
    alone = order[np.repeat(size, size) <= q]  # nothing to gain
    parts.append((A[:, :, alone], np.ones(alone.size), ZX[:, :, alone], Zy[:, :, alone]))
    for k in np.flatnonzero(size > q):
        parts.append(_rotated_class(*(M[..., of_class.ravel() == k] for M in (A, ZX, Zy))))
    return tuple(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))


def _rotated_class(A, ZX, Zy):
    q, p, J = ZX.shape
    U, s, Vt = np.linalg.svd(ZX.reshape(q * p, J), full_matrices=False)
    kept = s > 1e-13 * max(1.0, s.max(initial=0.0))
    along = Vt[kept]  # orthonormal combinations of groups, (r, J)
    if len(along) + q >= J:
        return A, np.ones(J), ZX, Zy
    new_ZX = np.concatenate([(U[:, kept] * s[kept]).reshape(q, p, len(along)), np.zeros((q, p, q))], axis=2)
    seen = Zy @ along.T
    rest = Zy - seen @ along
    values, vectors = np.linalg.eigh(rest @ rest.swapaxes(1, 2))
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    G = len(along) + q
    count = np.zeros(G)
    count[0] = J
    return np.repeat(A[:, :, :1], G, axis=2), count, new_ZX, np.concatenate([seen, root], axis=2)
