r"""Sandwich covariances of the fixed effects of a model whose rows fall into independent clusters.

In a linear model, with the model's covariance :math:`V_j` of the rows of cluster j, :math:`M =
(X'V^{-1}X)^{-1}`, residuals :math:`e_j = y_j - X_j\hat\beta` and adjustment matrices :math:`A_j`,

.. math:: \hat C = M \Big[\sum_j X_j'V_j^{-1} A_j e_j e_j' A_j' V_j^{-1} X_j\Big] M.

CR0 has :math:`A_j = I`. CR2 has :math:`A_j = D_j' B_j^{-1/2} D_j` with :math:`V_j = D_j'D_j` and :math:`B_j =
D_j (V_j - X_j M X_j') D_j'`: then :math:`\hat C` is without bias where the model's V is right. A contrast's
:math:`l'\hat C l` is a sum of squares of :math:`g_j'e_j`, :math:`g_j = A_j'V_j^{-1}X_jMl`, whose covariances
under the model are

.. math:: \Omega_{ij} = \delta_{ij}\, g_j'V_jg_j - h_i'Mh_j, \qquad h_j = X_j'g_j,

and which has the degrees of freedom :math:`(\mathrm{tr}\,\Omega)^2 / \sum_{ij}\Omega_{ij}^2`.

In a generalised one CR0 takes the scores :math:`s_j` of the clusters' log-likelihoods in all parameters
together, and the inverse :math:`C` of the observed information (White 1982, *Econometrica* 50, 1-25):
:math:`C \big[\sum_j s_j s_j'\big] C`.

Bell and McCaffrey (2002), Bias reduction in standard errors for linear regression with multi-stage samples,
*Survey Methodology* 28, 169-181; Pustejovsky and Tipton (2018), Small-sample methods for cluster-robust
variance estimation and hypothesis testing in fixed effects models, *Journal of Business & Economic
Statistics* 36, 672-683.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import chdtrc, fdtrc

from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.cluster_scores import cluster_scores
from glmmlib.types import BoolArray, FloatArray, IntArray

LARGEST = 5_000  # rows of one cluster: its covariance is a dense matrix
_RANK = 1e-10  # of the largest eigenvalue, or of the model's own variance: what lies below is zero


@dataclass(frozen=True, eq=False)
class Sandwich:
    """What the clusters say of the errors of the fixed effects.

    Attributes
    ----------
    M : (p, p) array
        The model's own covariance of the fixed effects.
    E : (J, p) array
        The score of each cluster, adjusted, times M: ``E'E`` is the sandwich.
    G : (J, p, p) array
        ``G_j' V_j G_j``, :math:`G_j = A_j'V_j^{-1}X_jM` having a column for each coefficient.
    H : (J, p, p) array
        ``X_j'G_j``.
    """

    M: FloatArray
    E: FloatArray
    G: FloatArray
    H: FloatArray
    statistics: ClassVar[tuple[str, str]] = "t", "F"

    @cached_property
    def covariance(self) -> FloatArray:
        return self.E.T @ self.E

    def df(self, L: FloatArray) -> FloatArray:
        """Return Satterthwaite's degrees of freedom of each row of L (r, p); NaN where the clusters tell
        nothing of it, as of a difference between two of them.
        """
        return np.array([self._df_of_all(row[None]) for row in L])

    def joint(self, L: FloatArray, distance: FloatArray) -> tuple[float, tuple[float, ...], float]:
        """Return F, its degrees of freedom and p of all rows of L at once (HTZ: an approximate Hotelling's T
        squared), for the distances (r,) of the estimates from H0.
        """
        q, eta = len(L), self._df_of_all(L)
        if np.isnan(eta):
            raise ModelError(
                "the rows of the contrast are linearly dependent, or the clusters tell nothing of some of "
                "them"
            )
        wald = float(distance @ np.linalg.solve(L @ self.covariance @ L.T, distance))
        df = eta - q + 1.0
        if df < 1e-6:  # none, but for rounding
            raise ModelError(
                f"the clusters tell too little for a test of {q} hypotheses at once: test fewer, or one by "
                "one"
            )
        F = df / (eta * q) * wald
        return F, (float(q), df), float(fdtrc(q, df, F))

    def _df_of_all(self, L: FloatArray) -> float:
        """Return the degrees of freedom of a Wishart matrix with the spread of ``L C L'``."""
        expected = L @ (self.G.sum(axis=0) - np.einsum("jap,ab,jbq->pq", self.H, self.M, self.H)) @ L.T
        scale = 1.0 / np.sqrt(np.diag(L @ self.M @ L.T))
        values, vectors = np.linalg.eigh(expected * np.outer(scale, scale))
        if values[0] <= _RANK:
            return np.nan
        C = (vectors / np.sqrt(values)).T @ (scale[:, None] * L)
        h, g = self.H @ C.T, np.einsum("sp,jpq,tq->jst", C, self.G, C)
        K = np.einsum("jas,ab,jbt->jst", h, self.M, h)
        cross = np.einsum("jas,jbt->abst", h, h)
        total = 0.0
        for s in range(len(C)):
            for t in range(len(C)):
                total += self._sum(g, K, cross, (s, s), (t, t)) + self._sum(g, K, cross, (s, t), (t, s))
        return len(C) * (len(C) + 1) / total

    def _sum(self, g, K, cross, one, two):
        """Return the sum over i and j of two of the matrices Omega, element by element."""
        (s, t), (k, m) = one, two
        a, b = g[:, s, t], g[:, k, m]
        both = np.trace(self.M @ cross[:, :, t, m] @ self.M @ cross[:, :, k, s])
        return a @ b - a @ K[:, k, m] - b @ K[:, s, t] + both


@dataclass(frozen=True, eq=False)
class ScoreSandwich:
    """The same of a generalised model, by the scores of the clusters: z and chi-square tests.

    Attributes
    ----------
    E : (J, p) array
        The score of each cluster times the covariance of all parameters: ``E'E`` is the sandwich.
    told : (p,) array of bool
        Which fixed effects have a finite estimate.
    """

    E: FloatArray
    told: BoolArray
    statistics: ClassVar[tuple[str, str]] = "z", "chi2"

    @cached_property
    def covariance(self) -> FloatArray:
        return self.E.T @ self.E

    def df(self, L: FloatArray) -> FloatArray:
        """Return infinity for each row of L (r, p); NaN where a coefficient has no finite estimate."""
        return np.where((L[:, ~self.told] != 0.0).any(axis=1), np.nan, np.inf)

    def joint(self, L: FloatArray, distance: FloatArray) -> tuple[float, tuple[float, ...], float]:
        """Return chi-square, its degrees of freedom and p of all rows of L at once."""
        if np.isnan(self.df(L)).any():
            raise ModelError("the contrast holds coefficients without a finite estimate (separation)")
        C = L @ self.covariance @ L.T
        scale = np.sqrt(np.diag(C))
        if np.linalg.matrix_rank(C / np.outer(scale, scale), hermitian=True, tol=_RANK) < len(L):
            raise ModelError(
                f"the rows of the contrast are linearly dependent, or {len(self.E)} clusters are too few for "
                f"a test of {len(L)} hypotheses at once"
            )
        value = float(distance @ np.linalg.solve(C, distance))
        return value, (float(len(L)),), float(chdtrc(len(L), value))


def score_sandwich(fit: FittedModel, codes: IntArray) -> ScoreSandwich:
    """Compute the sandwich of a generalised model; ``codes`` (n,) counts the clusters from 0."""
    solution, p = fit.solution, len(fit.params)
    E = cluster_scores(solution, codes) @ solution.joint_covariance[:, :p]
    return ScoreSandwich(
        np.array([solution.coordinates.beta(row) for row in E]), solution.is_estimable(np.eye(p))
    )


def sandwich(fit: FittedModel, codes: IntArray, adjusted: bool) -> Sandwich:
    """Compute a sandwich; ``codes`` (n,) counts the clusters from 0, and ``adjusted`` asks for CR2."""
    M, residual = fit.solution.beta_cov, fit.design.y - fit.solution.fixed_predictor()
    found = []
    for rows, V in _clusters(fit, codes):
        X = fit.X[rows]
        root = cho_factor(V)
        WXM = cho_solve(root, X) @ M
        G = _adjustment(V, X, M, root).T @ WXM if adjusted else WXM
        found.append((G.T @ residual[rows], G.T @ V @ G, X.T @ G))
    E, G, H = (np.array(parts) for parts in zip(*found, strict=True))
    return Sandwich(M, E, G, H)


def _adjustment(V, X, M, root):
    D = np.triu(root[0])
    B = D @ (V - X @ M @ X.T) @ D.T
    values, vectors = np.linalg.eigh(0.5 * (B + B.T))
    is_told = values > _RANK * values[-1]
    roots = np.where(is_told, 1.0 / np.sqrt(np.where(is_told, values, 1.0)), 0.0)
    return D.T @ (vectors * roots) @ vectors.T @ D


def _clusters(fit, codes) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield the rows of each cluster, and the model's covariance of their responses."""
    half = fit.scale * (fit.Z @ fit.Lambda)
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(codes))[:-1]):
        part = half[rows]
        yield rows, (part @ part.T).toarray() + fit.solution.error_covariance(rows)


def is_nested(fit: FittedModel, codes: IntArray) -> bool:
    """Are responses of different clusters independent in the model?"""
    half = (fit.Z @ fit.Lambda).tocoo()
    blocks: Sequence[IntArray] = () if fit.design.residual is None else (fit.design.residual.grouping.codes,)
    pairs = [(half.col[half.data != 0.0], codes[half.row[half.data != 0.0]])]
    pairs += [(block, codes) for block in blocks]
    return all(_one_each(inner, outer) for inner, outer in pairs)


def _one_each(inner, outer):
    """Does each value of one array go with one value of the other?"""
    both = np.unique(np.stack([inner, outer]), axis=1)
    return len(np.unique(both[0])) == both.shape[1]
