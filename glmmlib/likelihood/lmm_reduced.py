r"""A linear model with one grouping factor, reduced group by group: a QR factorisation of each group's rows.

With the rows of group j (times the roots of their weights) written as
:math:`[Z_j\;X_j\;y_j] = Q_j[K_j'\;c_{Xj}\;c_{yj}] + [0\;\tilde X_j\;\tilde y_j]`, a :math:`K_j` (q, q) lower
triangular and the rest orthogonal to :math:`Z_j`,

.. math:: [X\,y]'V^{-1}[X\,y] = [\tilde X\,\tilde y]'[\tilde X\,\tilde y] + \sum_j c_j'(I + K_j'TK_j)^{-1}c_j,

a sum of squares: no digit is lost, however large the variances in :math:`T = \Lambda\Lambda'` are, however
far from zero the response, and however unequal the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray

LOST = 1e-30  # of a column's sum of squares within a group: below this the columns before it hold all
SINGULAR_X = 1e-13


class ReducedDesign:
    """The part that all responses share.

    Attributes
    ----------
    K : (q, q, J) array
        ``K_j K_j' = Z_j'WZ_j``.
    cX : (q, p, J) array
        ``Q_j'X_j`` of the orthonormalised columns of X.
    RX : (r, p) array
        A root of ``X~'X~``.
    """

    def __init__(self, problem: ProfiledDeviance) -> None:
        self.problem, factor = problem, problem.structure.factors[0]
        self.root = None if problem.weights is None else np.sqrt(problem.weights)
        self.codes, self.J, self.q, self.p = factor.codes, factor.n_levels, factor.q, problem.p
        self.K, self.Q = self._orthonormal(self._weighted(factor.columns()))
        X = solve_triangular(problem.R, problem.X.T, trans=True) if self.p else np.zeros((0, problem.n))
        self.X = self._weighted(X)
        self.cX, within = np.zeros((self.q, self.p, self.J)), np.empty_like(self.X)
        for k, x in enumerate(self.X):
            self.cX[:, k], within[k] = self._apart(x)
        V, s, self.U = np.linalg.svd(within, full_matrices=False)
        kept = s > SINGULAR_X
        self.RX, self.U = s[kept, None] * V[:, kept].T, self.U[kept]

    def _weighted(self, rows: FloatArray) -> FloatArray:
        return rows if self.root is None else rows * self.root

    def _sums(self, values):
        return np.bincount(self.codes, values, minlength=self.J)

    def _orthonormal(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gram and Schmidt within all groups at once, each column twice."""
        K, Q = np.zeros((self.q, self.q, self.J)), np.empty_like(Z)
        for a, z in enumerate(Z):
            size = self._sums(z * z)
            for _ in range(2 if a else 0):
                for b in range(a):
                    c = self._sums(Q[b] * z)
                    K[a, b] += c
                    z = z - Q[b] * c[self.codes]
            rest = self._sums(z * z)
            K[a, a] = np.where(rest > LOST * size, np.sqrt(rest), 0.0)
            Q[a] = z * np.divide(1.0, K[a, a], out=np.zeros(self.J), where=K[a, a] > 0)[self.codes]
        return K, Q

    def _apart(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the coefficients of one vector on Q (q, J), and what is left of it (n,)."""
        total = np.zeros((self.q, self.J))
        for _ in range(2):
            for a, q in enumerate(self.Q):
                c = self._sums(q * values)
                total[a] += c
                values = values - q * c[self.codes]
        return total, values

    def responses(self, Y: FloatArray) -> ReducedResponses:
        """Return the :class:`ReducedResponses` of responses Y (n, R)."""
        problem = self.problem
        if problem.offset is not None:
            Y = Y - problem.offset[:, None]
        E = Y if self.root is None else Y * self.root[:, None]
        total, beta = np.einsum("nr,nr->r", E, E), np.zeros((self.p, Y.shape[1]))
        for _ in range(2 if self.p else 0):
            step = self.X @ E
            beta += step
            E = E - self.X.T @ step
        yy = np.einsum("nr,nr->r", E, E)
        cy, E = self._all_apart(E)
        ty = self.U @ E
        E = E - self.U.T @ ty
        rest = np.einsum("nr,nr->r", E, E)
        coefficients: FloatArray = (solve_triangular(problem.R, beta) if self.p else beta).T
        is_exact = yy <= problem.least_square(total, coefficients)
        return ReducedResponses(coefficients, cy, ty.T, rest, yy, is_exact)

    def _all_apart(self, E: FloatArray) -> tuple[FloatArray, FloatArray]:
        n, R = E.shape
        cy = np.zeros((R, self.q, self.J))
        if R == 1:
            cy[0], rest = self._apart(E[:, 0])
            return cy, rest[:, None]
        for _ in range(2):
            for a, q in enumerate(self.Q):
                basis = sparse.csr_array((q, (self.codes, np.arange(n))), shape=(self.J, n))
                c = basis @ E
                cy[:, a] += c.T
                E = E - basis.T @ c
        return cy, E


@dataclass(frozen=True, eq=False)
class ReducedResponses:
    """R responses, reduced.

    ``beta`` (R, p) are the least squares coefficients. Of the residuals, with sum of squares ``yy`` (R,),
    ``cy`` (R, q, J) lies in each group's Z, ``ty`` (R, r) along the columns of X within groups, and ``rest``
    (R,) is the sum of squares beyond. ``is_exact`` (R,) says where the residual is rounding.
    """

    beta: np.ndarray
    cy: np.ndarray
    ty: np.ndarray
    rest: np.ndarray
    yy: np.ndarray
    is_exact: np.ndarray
