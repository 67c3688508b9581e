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

So are the contributions of a level: with :math:`g_j = K_jP_je_j` of the residuals, :math:`D_j =
K_jP_jc_{Xj}` and :math:`E_j = [g_j\;D_j]`, all that T does to a quadratic form is :math:`-E_j'\,dT\,E_j`.

Arrays are (replicate, rows, columns, group).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.likelihood.lmm_reduced import ReducedDesign, ReducedResponses
from glmmlib.linalg.conditioning import inverses
from glmmlib.linalg.crossing import Structure
from glmmlib.types import FloatArray, IntArray

CHUNK_NUMBERS = 300_000  # size of the largest temporary array
FEW_PER_LEVEL = 12  # effects of each level: the arrays grow with the fourth power of their number
FEW_GROUPS = 30  # so few, and one response: nothing to gain from classes of equal groups


@dataclass(frozen=True, eq=False)
class State:
    """The criterion of each replicate with its first and second derivatives in theta; ``dr2`` and ``dXX``
    are those of r2 and, their sign turned, of XX.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    beta: np.ndarray
    XX: np.ndarray
    r2: np.ndarray
    dr2: np.ndarray
    dXX: np.ndarray


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
        q, G = self.q, len(self.count)
        self.rows_of_X = self.cX.swapaxes(1, 2).reshape(q * G, self.p)
        self.KX = np.concatenate([self.K.swapaxes(0, 1), self.cX], axis=1)
        self.c_XX = np.einsum("axj,byj->abjxy", self.cX, self.cX).reshape(q * q * G, self.p**2)
        self.XX0 = self.RX.T @ self.RX
        self.directions = problem.covariance.directions()
        self.pairs_of_directions = np.einsum("kab,lcb->klac", self.directions, self.directions)

    @property
    def numbers(self) -> int:
        """The size of the largest temporary array, for each replicate."""
        return max(self.q**4, self.q * (1 + self.p)) * len(self.count)

    def _to_unit_length(self) -> None:
        """Give every response a sum of squares of one, so that neither it nor its square leaves the
        numbers.
        """
        scale = np.sqrt(np.where(self.yy > 0, self.yy, 1.0))
        self.cy, self.ty = self.cy / scale[:, None, None], self.ty / scale[:, None]
        self.rest = self.rest / scale / scale

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
        flat = P.reshape(S, q * q * G)
        cycy = np.einsum("rag,rbg->abgr", self.cy, self.cy).reshape(q * q * G, R)
        r2 = self.rest + np.einsum("rk,rk->r", self.ty, self.ty) + flat @ cycy
        value = log_det + self.constant
        if p:
            cXcy = np.einsum("axg,rbg->abgxr", self.cX, self.cy).reshape(q * q * G, p * R)
            Xy = (flat @ cXcy).reshape(S, p, R) + (self.ty @ self.RX).T
            explained, log_det_X = _explained(self._XX(P), Xy)
            r2 -= explained
            if self.reml:
                value = value + log_det_X
        return value + self.df * (1.0 + np.log(2.0 * np.pi * r2.T / self.df) + np.log(self.yy)[:, None])

    def value(self, theta: FloatArray) -> FloatArray:
        """Return the criterion of all models at theta (R, k), infinite where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            P, log_det = self._inverses(self.Lambda(theta))
            XX, _, _, r2, _, _ = self._generalised_least_squares(P)
            value = self._criterion(log_det, XX, r2)
        return np.where(np.isfinite(value), value, np.inf)

    def _criterion(self, log_det, XX, r2):
        value = (
            log_det + self.df * (1.0 + np.log(2.0 * np.pi * r2 / self.df) + np.log(self.yy)) + self.constant
        )
        return value + np.linalg.slogdet(XX)[1] if self.reml and self.p else value

    def state(self, theta: FloatArray) -> State:
        """Evaluate criterion, gradient and Hessian of all models at theta (R, k)."""
        L = self.Lambda(theta)
        P, log_det = self._inverses(L)
        XX, XX_inverse, beta, r2, _, Pe = self._generalised_least_squares(P)
        value = self._criterion(log_det, XX, r2)
        R, q, p = len(theta), self.q, self.p

        N_and_D = np.einsum("rabg,bmg->ramg", np.einsum("acg,rcbg->rabg", self.K, P), self.KX)
        N, E = N_and_D[:, :, :q], np.empty((R, q, 1 + p, len(self.count)))
        E[:, :, 0], E[:, :, 1:] = np.einsum("acg,rcg->rag", self.K, Pe), N_and_D[:, :, q:]
        weight = np.zeros((R, 1 + p, 1 + p))
        weight[:, 0, 0], weight[:, 1:, 1:] = self.df / r2, XX_inverse
        m = 1 + p if self.reml else 1
        pull = np.einsum("ramg,rbmg->rabg", weight[:, None, :m, :m] @ E[:, :, :m], E[:, :, :m])
        f_T = N @ self.count - pull.sum(axis=3)

        # chain rule: T = Lambda Lambda'
        dT = np.einsum("kab,rcb->rkac", self.directions, L)
        dT = dT + dT.swapaxes(2, 3)
        gradient = np.einsum("rkab,rab->rk", dT, f_T)
        flat = E.reshape(R, q * (1 + p), -1)
        EE = (flat @ flat.swapaxes(1, 2)).reshape(R, q, 1 + p, q, 1 + p).swapaxes(2, 3)
        moved = dT.reshape(R, -1, q * q) @ EE.reshape(R, q * q, (1 + p) ** 2)
        moved = moved.reshape(R, -1, 1 + p, 1 + p)
        share = weight[:, None] @ moved
        share[:, :, 0, 0] /= np.sqrt(self.df)
        if not self.reml:
            share[:, :, 1:, 1:] = 0.0
        hessian = 2.0 * np.einsum("klac,rac->rkl", self.pairs_of_directions, f_T)
        hessian += self._curvature(dT, N, pull) - _traces(share)
        hessian = 0.5 * (hessian + hessian.swapaxes(1, 2))
        return State(value, gradient, hessian, beta, XX, r2, -moved[:, :, 0, 0], moved[:, :, 1:, 1:])

    def _inverses(self, L):
        """Return ``P_j = (I + K_j'TK_j)^-1`` (R, q, q, G), and the sum of their ``-log |P_j|`` (R,).

        The determinant of two effects is a sum of squares (Cauchy and Binet).
        """
        q, R = self.q, len(L)
        F = (L.swapaxes(1, 2).reshape(R * q, q) @ self.K.reshape(q, -1)).reshape(R, q, q, -1)  # Lambda'K_j
        if q == 1:
            det = 1.0 + F[:, 0, 0] ** 2
            P = (1.0 / det)[:, None, None]
        elif q == 2:
            one, two = 1.0 + F[:, 0, 0] ** 2 + F[:, 1, 0] ** 2, 1.0 + F[:, 0, 1] ** 2 + F[:, 1, 1] ** 2
            between = F[:, 0, 0] * F[:, 0, 1] + F[:, 1, 0] * F[:, 1, 1]
            det = one + two - 1.0 + (F[:, 0, 0] * F[:, 1, 1] - F[:, 0, 1] * F[:, 1, 0]) ** 2
            P = np.empty(F.shape)
            P[:, 0, 0], P[:, 1, 1] = two / det, one / det
            P[:, 0, 1] = P[:, 1, 0] = -between / det
        else:
            blocks = np.einsum("rcag,rcbg->rgab", F, F) + np.eye(q)
            det = np.linalg.det(blocks)
            P = np.ascontiguousarray(np.moveaxis(inverses(blocks), 1, 3))
        with np.errstate(invalid="ignore", divide="ignore"):
            return P, np.log(det) @ self.count

    def _XX(self, P: FloatArray) -> FloatArray:
        """Return ``X'V^-1X`` (R, p, p)."""
        return self.XX0 + (P.reshape(len(P), -1) @ self.c_XX).reshape(len(P), self.p, self.p)

    def _generalised_least_squares(self, P: FloatArray) -> tuple[FloatArray, ...]:
        """Return X'V^-1X and its inverse, beta, the residual sum of squares, ``e_j = c_yj - c_Xj beta``, and
        ``P_j e_j``.
        """
        XX, Pcy = self._XX(P), np.einsum("rabg,rbg->rag", P, self.cy)
        Xy = Pcy.reshape(len(P), -1) @ self.rows_of_X + self.ty @ self.RX
        XX_inverse = inverses(XX) if self.p else XX
        beta = np.einsum("rxy,ry->rx", XX_inverse, Xy)
        e = self.cy - (beta @ self.rows_of_X.T).reshape(self.cy.shape)
        within = self.ty - beta @ self.RX.T
        Pe = np.einsum("rabg,rbg->rag", P, e)
        r2 = self.rest + np.einsum("rk,rk->r", within, within) + np.einsum("rag,rag->r", Pe, e)
        return XX, XX_inverse, beta, r2, e, Pe

    def _curvature(self, dT: FloatArray, N: FloatArray, pull: FloatArray) -> FloatArray:
        """``- tr(N E1 N E2)`` of the log-determinants and ``2 <E1 N E2, pull>`` of the quadratic forms,
        summed over groups.
        """
        R, k, q = dT.shape[:3]
        first = (2.0 * pull - self.count * N).reshape(R, q * q, -1)
        both = first @ N.reshape(R, q * q, -1).swapaxes(1, 2)
        # tr(P E1 N E2) = P_ab E1_bc N_cd E2_da: E1's indices first, then E2's
        both = both.reshape(R, q, q, q, q).transpose(0, 2, 3, 4, 1).reshape(R, q * q, q * q)
        flat = dT.reshape(R, k, q * q)
        return flat @ both @ flat.swapaxes(1, 2)

    def satterthwaite(self, theta: FloatArray, contrasts: FloatArray) -> FloatArray:
        """Return the Satterthwaite degrees of freedom (R, c) of linear combinations of beta.

        ``contrasts`` (c, p) act on the standardised beta. See :mod:`glmmlib.inference.satterthwaite`.
        """
        state, k = self.state(theta), theta.shape[1]
        s2 = state.r2 / self.df
        w = np.linalg.solve(state.XX, np.broadcast_to(contrasts.T, (len(theta), *contrasts.T.shape)))
        c = np.einsum("cx,rxc->rc", contrasts, w)
        dc = np.einsum("rmxy,rxc,ryc->rmc", state.dXX, w, w, optimize=True)
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


def _traces(M: FloatArray) -> FloatArray:
    """Return the traces of all ``M_k M_l`` (R, k, k), for M (R, k, m, m)."""
    R, k = M.shape[:2]
    return M.reshape(R, k, -1) @ M.swapaxes(2, 3).reshape(R, k, -1).swapaxes(1, 2)


def _explained(A: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the diagonals of ``b'A^-1b`` (S, R), and ``log |A|`` (S,), for A (S, p, p) and b (S, p, R)."""
    if b.shape[2] > 1:
        return np.einsum("sxr,sxr->sr", b, inverses(A) @ b), np.linalg.slogdet(A)[1]
    # so small systems are eliminated side by side: LAPACK's calls would take longer
    M = np.ascontiguousarray(np.moveaxis(np.concatenate([A, b], axis=2), 0, 2))
    explained: FloatArray = np.zeros(len(A))
    log_det: FloatArray = np.zeros(len(A))
    for k in range(len(M)):
        pivot = M[k, k]
        explained, log_det = explained + M[k, -1] ** 2 / pivot, log_det + np.log(pivot)
        M[k + 1 :, k + 1 :] -= (M[k + 1 :, k] / pivot)[:, None] * M[k, k + 1 :]
    return explained[:, None], log_det


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
    return tuple(np.ascontiguousarray(np.concatenate(some, axis=-1)) for some in zip(*parts, strict=True))


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
