r"""Linear models with one grouping factor, many at once: R responses, or one response at R places.

Another response changes nothing but what it projects on the design. So R responses are one array axis: each
has its own theta, its own Newton step and its own end, and one step for all of them is a few dozen array
operations.

With :math:`T = \Lambda\Lambda'`, each group reduced to :math:`K_j, c_j`
(:mod:`glmmlib.likelihood.lmm_reduced`) and :math:`P_j = (I + K_j'TK_j)^{-1}`, the generalised least squares
products are :math:`G = [X\,y]'V^{-1}[X\,y] = G_0 + \sum_j c_j'P_jc_j`, and

.. math::

    dP_j = -P_jK_j'\,dT\,K_jP_j, \quad d\log|I + TA_j| = \langle N_j, dT\rangle, \quad N_j = K_jP_jK_j',

which give the exact gradient and Hessian. Groups with equal :math:`K_j` may be rotated among each other
without a change of G, so they are replaced by the few combinations of them that :math:`X` reaches and a root
of what y has beyond.

A symmetric (q, q) matrix is held as its s = q (q + 1) / 2 entries on and below the diagonal.  Arrays are
(replicate, entries, group).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.likelihood.lmm_reduced import ReducedDesign, ReducedResponses
from glmmlib.linalg.crossing import Structure
from glmmlib.types import FloatArray, IntArray

CHUNK_NUMBERS = 300_000  # size of the largest temporary array
FEW_PER_LEVEL = 12  # effects of each level: the arrays grow with the fourth power of their number
FEW_GROUPS = 30  # so few, and one response: nothing to gain from classes of equal groups


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


def suits(structure: Structure, covariance: CovarianceParameters) -> bool:
    """Can models of this design be arrays over the levels of its factor, and so many be fitted at once?"""
    first, *others = structure.factors
    return not others and first.q <= FEW_PER_LEVEL and covariance.is_linear


class LinearBatch:
    """R linear models of one design with one grouping factor.

    Parameters
    ----------
    design : ReducedDesign
    responses : ReducedResponses
        Held here in units of the root of their sum of squares ``yy``, as are beta and r2 of a :class:`State`;
        values and degrees of freedom are those of the responses themselves.
    """

    def __init__(self, design: ReducedDesign, responses: ReducedResponses) -> None:
        problem = design.problem
        self.df, self.reml, self.constant = problem.df, problem.reml, problem.constant
        self.p, self.q, self.covariance = problem.p, design.q, problem.covariance
        self.K, self.count, self.cX, self.cy = _rotated(design.K, design.cX, responses.cy)
        self.RX, self.ty, self.rest, self.yy = design.RX, responses.ty, responses.rest, responses.yy
        self._to_unit_length()
        self.pairs = [(a, b) for a in range(self.q) for b in range(a + 1)]
        self.twice = np.array(
            [1.0 if a == b else 2.0 for a, b in self.pairs]
        )  # an entry off the diagonal stands for two
        self.full = np.zeros((self.q, self.q), dtype=int)
        for i, (a, b) in enumerate(self.pairs):
            self.full[a, b] = self.full[b, a] = i
        self.c_XX = self._products_with_X()
        self.XX0 = self.RX.T @ self.RX
        self.directions = problem.covariance.directions()

    @property
    def numbers(self) -> int:
        """The size of the largest temporary array, for each replicate."""
        return len(self.pairs) ** 2 * len(self.count)

    def _to_unit_length(self) -> None:
        """Give every response a sum of squares of one, so that neither it nor its square leaves the
        numbers.
        """
        scale = np.sqrt(np.where(self.yy > 0, self.yy, 1.0))
        self.cy, self.ty = self.cy / scale[:, None, None], self.ty / scale[:, None]
        self.rest = self.rest / scale / scale

    def _products_with_X(self) -> FloatArray:
        """Return the symmetric part in X of ``c_Xj c_Xj'``: (s G, p p)."""
        full = np.einsum("axj,byj->abjxy", self.cX, self.cX)
        C = np.stack([0.5 * (full[a, b] + full[b, a]) for a, b in self.pairs])
        return C.reshape(len(self.pairs) * len(self.count), self.p**2)

    def subset(self, which: IntArray | slice) -> LinearBatch:
        """Return the same object for some of the models, or for one several times."""
        chosen = copy(self)
        for name in ("cy", "ty", "rest", "yy"):
            setattr(chosen, name, getattr(self, name)[which])
        return chosen

    def Lambda(self, theta: FloatArray) -> FloatArray:
        """Return Lambda (R, q, q) for theta (R, k)."""
        return np.einsum("rk,kab->rab", theta, self.directions)

    def information(self) -> FloatArray:
        """Return what each level tells about each effect: the diagonals of ``Z_j'WZ_j``, (q, G)."""
        return np.einsum("abj,abj->aj", self.K, self.K)

    def moments(self) -> FloatArray:
        """Return a first theta (R, k) by the method of moments (as for a single fit)."""
        a = self.information()
        Zy = np.stack(
            [sum(self.K[i, c] * self.cy[:, c] for c in range(i + 1)) for i in range(self.q)], axis=1
        )
        n_over, a2 = a @ self.count, a**2 @ self.count
        v = (1.0 / n_over[0]) * np.ones((len(self.yy), 1))
        excess = np.einsum("raj,raj->ra", Zy, Zy) - v * n_over
        s = np.clip(excess / np.maximum(a2 - n_over, 1e-9), 0.02 * v, 0.8 * v)
        residual = np.maximum(v - s.sum(axis=1, keepdims=True), 0.1 * v)
        return self.covariance.start([s / residual])

    # -- values ----------------------------------------------------------------------------------------

    def scan(self, theta: FloatArray) -> FloatArray:
        """Return the criterion of every response at every theta (S, k), as an array (R, S); infinite where
        there is none.

        What does not depend on the response is computed once, and the rest are matrix products.
        """
        size = self.cy[0].size * max(self.p, 1) * self.q
        step = max(1, CHUNK_NUMBERS // max(size, len(self.yy)))
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [self._scan(theta[first : first + step]) for first in range(0, len(theta), step)]
        values = np.concatenate(parts, axis=1)
        return np.where(np.isfinite(values), values, np.inf)

    def _scan(self, theta: FloatArray) -> FloatArray:
        (R, q, G), S, p = self.cy.shape, len(theta), self.p
        P, log_det = self._inverses(self.Lambda(theta))
        P_lower = (self._lower(P) * self.twice[:, None]).reshape(S, -1)
        cycy = np.stack([self.cy[:, a] * self.cy[:, b] for a, b in self.pairs], axis=1).reshape(R, -1)
        r2 = (self.rest + np.einsum("rk,rk->r", self.ty, self.ty))[:, None] + cycy @ P_lower.T
        value = log_det + self.constant
        if p:
            XX = self.XX0 + (P_lower @ self.c_XX).reshape(S, p, p)
            PcX = np.stack([sum(P[a][b][:, None] * self.cX[b] for b in range(q)) for a in range(q)], axis=1)
            Xy = self.cy.reshape(R, -1) @ PcX.swapaxes(2, 3).reshape(S, q * G, p) + self.ty @ self.RX
            r2 -= np.einsum("srx,sxr->rs", Xy, np.linalg.solve(XX, Xy.swapaxes(1, 2)))
            if self.reml:
                value = value + np.linalg.slogdet(XX)[1]
        return value + self.df * (1.0 + np.log(2.0 * np.pi * r2 / self.df) + np.log(self.yy)[:, None])

    def value(self, theta: FloatArray) -> FloatArray:
        """Return the criterion of all models at theta (R, k), infinite where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            P, log_det = self._inverses(self.Lambda(theta))
            XX, _, _, r2, _ = self._generalised_least_squares(P)
            value = self._criterion(log_det, XX, r2)
        return np.where(np.isfinite(value), value, np.inf)

    def _criterion(self, log_det, XX, r2):
        value = (
            log_det + self.df * (1.0 + np.log(2.0 * np.pi * r2 / self.df) + np.log(self.yy)) + self.constant
        )
        return value + np.linalg.slogdet(XX)[1] if self.reml and self.p else value

    def state(self, theta: FloatArray) -> State:
        """Evaluate criterion, gradient and Hessian of all models at theta (R, k)."""
        q = range(self.q)
        L = self.Lambda(theta)
        P, log_det = self._inverses(L)
        KP = self._times_K(P)
        N = self._lower([[sum(KP[a][c] * self.K[b, c] for c in range(b + 1)) for b in q] for a in q])
        XX, XX_inverse, beta, r2, e = self._generalised_least_squares(P)
        value = self._criterion(log_det, XX, r2)

        # g_j = K_j P_j e_j carries the derivatives of the quadratic forms with respect to T: dr2 = - sum_j
        # g_j' dT g_j
        g = np.stack([sum(KP[a][c] * e[:, c] for c in q) for a in q], axis=1)
        scale = (self.df / r2)[:, None]
        S_v = self._lower(g @ g.swapaxes(1, 2))
        f_T = N @ self.count - scale * S_v
        pull = scale[:, :, None] * np.stack([g[:, a] * g[:, b] for a, b in self.pairs], axis=1)
        if self.reml and self.p:
            maps = self._congruences(KP)
            C_F = (XX_inverse.reshape(len(theta), -1) @ self.c_XX.T).reshape(N.shape)
            S_F = np.einsum("rstg,rtg->rsg", maps, C_F)
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
            dXv = -self._along(dT, self._pulled_X(KP, g))
            hessian -= 2.0 * scale[:, :, None] * (dXv @ XX_inverse @ dXv.swapaxes(1, 2))
            if self.reml:
                dF = XX_inverse[:, None] @ self._along(dT, self._pulled_XX(maps))
                hessian -= np.einsum("rkxz,rlzx->rkl", dF, dF)
        return State(value, gradient, 0.5 * (hessian + hessian.swapaxes(1, 2)), beta, XX, r2, dr2, dT)

    def _inverses(self, L):
        """Return ``P_j = (I + K_j'TK_j)^-1`` as rows of (R, G) arrays, and the sum of their ``-log |P_j|``
        (R,).

        The determinant of two effects is a sum of squares (Cauchy and Binet).
        """
        q, R = self.q, len(L)
        F = (L.swapaxes(1, 2) @ self.K.reshape(q, -1)).reshape(R, q, q, -1)  # Lambda'K_j
        if q == 1:
            det = 1.0 + F[:, 0, 0] ** 2
            P = [[1.0 / det]]
        elif q == 2:
            one, two = 1.0 + F[:, 0, 0] ** 2 + F[:, 1, 0] ** 2, 1.0 + F[:, 0, 1] ** 2 + F[:, 1, 1] ** 2
            between = F[:, 0, 0] * F[:, 0, 1] + F[:, 1, 0] * F[:, 1, 1]
            det = one + two - 1.0 + (F[:, 0, 0] * F[:, 1, 1] - F[:, 0, 1] * F[:, 1, 0]) ** 2
            off = -between / det
            P = [[two / det, off], [off, one / det]]
        else:
            blocks = np.einsum("rcag,rcbg->rgab", F, F) + np.eye(q)
            det = np.linalg.det(blocks)
            inverse = np.moveaxis(np.linalg.inv(blocks), 1, 3)
            P = [[inverse[:, a, b] for b in range(q)] for a in range(q)]
        with np.errstate(invalid="ignore", divide="ignore"):
            return P, np.log(det) @ self.count

    def _generalised_least_squares(
        self, P: Sequence[list[FloatArray]]
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return X'V^-1X and its inverse, beta, the residual sum of squares, and ``e_j = c_yj - c_Xj
        beta``.
        """
        q, p, R = self.q, self.p, len(self.yy)
        XX = self.XX0 + ((self._lower(P) * self.twice[:, None]).reshape(R, -1) @ self.c_XX).reshape(R, p, p)
        Pcy = np.stack([sum(P[a][b] * self.cy[:, b] for b in range(q)) for a in range(q)], axis=1)
        cX = self.cX.swapaxes(1, 2).reshape(self.cy[0].size, p)
        Xy = Pcy.reshape(R, -1) @ cX + self.ty @ self.RX
        XX_inverse = np.linalg.inv(XX) if p else XX
        beta = np.einsum("rxy,ry->rx", XX_inverse, Xy)
        e = self.cy - (beta @ cX.T).reshape(self.cy.shape)
        within = self.ty - beta @ self.RX.T
        Pe = np.stack([sum(P[a][b] * e[:, b] for b in range(q)) for a in range(q)], axis=1)
        r2 = self.rest + np.einsum("rk,rk->r", within, within) + np.einsum("raj,raj->r", Pe, e)
        return XX, XX_inverse, beta, r2, e

    def _times_K(self, P: Sequence[list[FloatArray]]) -> list[list[FloatArray]]:
        """Return ``K_j P_j``, as rows of (R, G) arrays."""
        q = range(self.q)
        return [[sum(self.K[a, c] * P[c][b] for c in range(a + 1)) for b in q] for a in q]

    def _lower(self, M: FloatArray | Sequence[list[FloatArray]]) -> FloatArray:
        """Return the entries on and below the diagonal of symmetric matrices: (R, s) or (R, s, G)."""
        if isinstance(M, np.ndarray):
            return np.stack([M[:, a, b] for a, b in self.pairs], axis=1)
        return np.stack([M[a][b] for a, b in self.pairs], axis=1)

    def _congruences(self, M: Sequence[list[FloatArray]]) -> FloatArray:
        """Return the maps ``C -> M_j C M_j'`` of symmetric matrices: (R, s, s, G)."""

        def entry(a: int, b: int, c: int, d: int) -> FloatArray:
            product = M[a][c] * M[b][d]
            return product if c == d else product + M[a][d] * M[b][c]

        return np.stack(
            [np.stack([entry(*ab, *cd) for cd in self.pairs], axis=1) for ab in self.pairs], axis=1
        )

    def _pulled_X(self, KP: Sequence[list[FloatArray]], g: FloatArray) -> FloatArray:
        """Return the symmetric part of ``sum_j K_j P_j c_Xj g_j'``: (R, s, p)."""
        R, s, q = len(g), len(self.pairs), self.q
        P = np.stack(
            [0.5 * (KP[a][c] * g[:, b] + KP[b][c] * g[:, a]) for a, b in self.pairs for c in range(q)], axis=1
        )
        return (P.reshape(R * s, -1) @ self.cX.swapaxes(1, 2).reshape(-1, self.p)).reshape(R, s, self.p)

    def _pulled_XX(self, maps: FloatArray) -> FloatArray:
        """Return ``sum_j K_j P_j c_Xj c_Xj' P_j K_j'``: (R, s, p, p)."""
        R, s = maps.shape[:2]
        return (maps.reshape(R * s, -1) @ self.c_XX).reshape(R, s, self.p, self.p)

    def _along(self, dT: FloatArray, S: FloatArray) -> FloatArray:
        """Return ``<dT_k, S>`` for each entry k of theta; S holds (R, s, ...)."""
        lower = np.stack([dT[:, :, a, b] for a, b in self.pairs], axis=2) * self.twice
        return np.einsum("rks,rs...->rk...", lower, S)

    def _curvature(self, dT: FloatArray, N: FloatArray, pull: FloatArray) -> FloatArray:
        """``- tr(N E1 N E2)`` of the log-determinants and ``2 <E1 N E2, pull>`` of the quadratic forms,
        summed over groups.
        """
        NN = ((N * self.count) @ N.swapaxes(1, 2))[:, self.full][:, :, :, self.full]
        NP = (N @ pull.swapaxes(1, 2))[:, self.full][:, :, :, self.full]
        # tr(N E1 N E2) = N_ab E1_bc N_cd E2_da, and 2 E1_ab N_bc E2_cd P_da: E1's indices first, then E2's
        both = 2.0 * NP.transpose(0, 4, 1, 2, 3) - NN.transpose(0, 2, 3, 4, 1)
        half = np.einsum("rkab,rabcd->rkcd", dT, both)
        return np.einsum("rkcd,rlcd->rkl", half, dT)

    def satterthwaite(self, theta: FloatArray, contrasts: FloatArray) -> FloatArray:
        """Return the Satterthwaite degrees of freedom (R, c) of linear combinations of beta.

        ``contrasts`` (c, p) act on the standardised beta. See :mod:`glmmlib.inference.satterthwaite`.
        """
        state, k = self.state(theta), theta.shape[1]
        s2 = state.r2 / self.df
        S_XX = self._pulled_XX(self._congruences(self._times_K(self._inverses(self.Lambda(theta))[0])))
        w = np.linalg.solve(state.XX, np.broadcast_to(contrasts.T, (len(theta), *contrasts.T.shape)))
        c = np.einsum("cx,rxc->rc", contrasts, w)
        dc = np.einsum("rmxy,rxc,ryc->rmc", self._along(state.dT, S_XX), w, w, optimize=True)
        full = np.zeros((len(theta), k + 1, k + 1))  # Hessian of -2 log L in (theta, log sigma^2)
        cross = -state.dr2 / s2[:, None]
        full[:, :k, :k] = state.hessian + np.einsum("rk,rl->rkl", cross, cross) / self.df
        full[:, :k, k], full[:, k, :k] = cross, cross
        full[:, k, k] = self.df
        gradient = np.concatenate([dc, c[:, None]], axis=1)
        scale = 1.0 / np.sqrt(np.maximum(np.abs(np.einsum("raa->ra", full)), 1e-300))
        inverse = np.linalg.pinv(full * scale[:, :, None] * scale[:, None, :], rcond=1e-10, hermitian=True)
        gradient = gradient * scale[:, :, None]
        return c**2 / np.einsum("rmc,rml,rlc->rc", gradient, inverse, gradient, optimize=True)


# --- groups with equal matrices -------------------------------------------------------------------


def _rotated(K, cX, cy):
    """Replace the groups of each class of equal ``K_j`` by fewer combinations with the same sums of products.

    Returns K (q, q, G), how many groups' log-determinants each of the G stands for, cX (q, p, G) and cy (R,
    q, G).
    """
    q, J = len(K), K.shape[2]
    if J <= FEW_GROUPS and len(cy) == 1:
        return K, np.ones(J), cX, cy
    rounded = np.round(K.reshape(q * q, J).T / max(np.abs(K).max(), 1e-300), 13)
    _, of_class, size = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    of_class = of_class.ravel()
    order = np.argsort(of_class, kind="stable")
    alone = order[np.repeat(size, size) <= q]  # nothing to gain
    parts = [(K[:, :, alone], np.ones(alone.size), cX[:, :, alone], cy[:, :, alone])]
    for k in np.flatnonzero(size > q):
        parts.append(_rotated_class(*(M[..., of_class == k] for M in (K, cX, cy))))
    return tuple(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))


def _rotated_class(K, cX, cy):
    q, p, J = cX.shape
    U, s, Vt = np.linalg.svd(cX.reshape(q * p, J), full_matrices=False)
    kept = s > 1e-13 * max(1.0, s.max(initial=0.0))
    along = Vt[kept]  # orthonormal combinations of groups, (r, J)
    if len(along) + q >= J:
        return K, np.ones(J), cX, cy
    new_cX = np.concatenate([(U[:, kept] * s[kept]).reshape(q, p, len(along)), np.zeros((q, p, q))], axis=2)
    seen = cy @ along.T
    rest = cy - seen @ along
    root = np.linalg.qr(rest.swapaxes(1, 2), mode="r").swapaxes(1, 2)
    G = len(along) + q
    count = np.zeros(G)
    count[0] = J
    return np.repeat(K[:, :, :1], G, axis=2), count, new_cX, np.concatenate([seen, root], axis=2)
