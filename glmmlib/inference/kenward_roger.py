r"""Kenward and Roger's adjusted covariance and degrees of freedom, for REML fits of linear mixed models.

The covariance of the responses is linear in the variances and covariances, :math:`V = \sum_i \gamma_i G_i`;
the last
:math:`G_0 = W^{-1}` belongs to the residuals, every other is :math:`Z K_i Z'`. With :math:`\Phi =
(X'V^{-1}X)^{-1}`,

.. math::

    P_i = -X'V^{-1}G_iV^{-1}X, \quad Q_{ij} = X'V^{-1}G_iV^{-1}G_jV^{-1}X, \quad
    t_{ij} = \mathrm{tr}(V^{-1}G_iV^{-1}G_j),

the expected information of :math:`\gamma` is half of :math:`t_{ij} - 2\,\mathrm{tr}(\Phi Q_{ij}) +
\mathrm{tr}(\Phi P_i \Phi P_j)`; W is its inverse, and the adjusted covariance

.. math:: \Phi_A = \Phi + 2\,\Phi \Bigl[\sum_{ij} W_{ij}(Q_{ij} - P_i \Phi P_j)\Bigr] \Phi .

No matrix of n rows is formed. All that is needed of V is :math:`S = Z'V^{-1}Z` and :math:`B = Z'V^{-1}X`,
which fall apart into the blocks of Z'WZ (one for each level, with one grouping factor), and :math:`G_0`
follows from
:math:`V = \sum_i \gamma_i G_i`.

Kenward and Roger (1997), *Biometrics* 53; Halekoh and Højsgaard (2014), *Journal of Statistical Software*
59(9).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components

from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.kenward_roger_residual import check_residual_side, residual_sums
from glmmlib.likelihood.coordinates import Coordinates
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.types import FloatArray

LARGEST_BLOCK = (
    4000  # random effects that hang together; each dense matrix of them takes 8 LARGEST_BLOCK^2 bytes
)


@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """The adjustment, in the orthonormal columns ``X R^-1``.

    Attributes
    ----------
    Phi, adjusted : (p, p) arrays
        Covariance of the fixed effects before and after adjustment.
    P : (k, p, p) array
        Derivatives of ``X'V^-1 X`` in the variance parameters.
    W : (k, k) array
        Covariance of the variance parameters.
    coordinates : Coordinates
        They turn contrasts of the user's coefficients into contrasts here.
    """

    Phi: np.ndarray
    adjusted: np.ndarray
    P: np.ndarray
    W: np.ndarray
    coordinates: Coordinates

    @property
    def cov_params(self) -> pd.DataFrame:
        """The adjusted covariance of the user's coefficients, (p, p)."""
        return self.coordinates.covariance(self.adjusted)

    def f_test(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator df of the joint test of the rows of L, and the factor lambda of its F
        statistic.
        """
        L = self.coordinates.orthonormal(np.atleast_2d(L)).T
        q = len(L)
        Theta = L.T @ np.linalg.solve(L @ self.Phi @ L.T, L)
        TPPP = np.array([Theta @ self.Phi @ P @ self.Phi for P in self.P])
        traces = np.einsum("kpp->k", TPPP)
        A1 = traces @ self.W @ traces
        A2 = np.einsum("kl,kpq,lqp->", self.W, TPPP, TPPP)
        B = (A1 + 6.0 * A2) / (2.0 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
        c = np.array([g, q - g, q + 2 - g]) / (3 * q + 2 * (1 - g))
        v0, v1, v2 = 1.0 + c[0] * B, 1.0 - c[1] * B, 1.0 - c[2] * B
        v0 = 0.0 if abs(v0) < 1e-10 else v0
        ratio = 1.0 if abs(1.0 - A2 / q) < 1e-14 and abs(v1) < 1e-14 else (1.0 - A2 / q) / v1
        rho = ratio**2 * v0 / (v2 * q)
        df = 4.0 + (q + 2) / (q * rho - 1.0)
        scale = 1.0 if abs(df - 2.0) < 0.01 else df * (1.0 - A2 / q) / (df - 2.0)
        return float(df), float(scale)

    def df(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of each row of L (r, p): shape (r,)."""
        return np.array([self.f_test(row)[0] for row in np.atleast_2d(L)])


def kenward_roger(fit: FittedModel) -> KenwardRoger:
    """Compute the :class:`KenwardRoger` adjustment of a REML fit.

    Raises
    ------
    ModelError
        For a fit by ML, for a covariance structure that is not linear in its parameters, and where crossed
        factors tie more than ``LARGEST_BLOCK`` random effects together.
    """
    if fit.has_residual_side:
        check_residual_side(fit)
    if any(member.covariance_basis() is None for member in fit.solution.problem.covariance.members):
        raise ModelError(
            "Kenward and Roger's adjustment is worked out for covariances linear in their parameters,"
            f" and those of {_nonlinear_terms(fit)} are not: use ddf='satterthwaite'"
        )
    if not fit.reml:
        raise ModelError(
            "Kenward and Roger's adjustment is defined for REML fits and this one is by ML: fit with "
            "reml=True, or use"
            " ddf='satterthwaite'"
        )
    with one_blas_thread():
        if fit.has_residual_side:
            return _adjusted(fit, *residual_sums(fit))
        return _adjustment(fit, *_sums(fit))


def _nonlinear_terms(fit: FittedModel):
    parts = (part for g in fit.groups for part in g.parts_of_covariance())
    return " and ".join(t.text for b, _, t in parts if b.structure.covariance_basis() is None)


def _sums(fit):
    """Return ``tr(V^-1 G_i)``, ``t``, ``P`` and ``Q`` for the parameters of the random effects, summed over
    blocks.
    """
    problem, sigma2 = fit.solution.problem, fit.sigma**2
    Z, Q = _columns(problem), fit.solution.coordinates.orthonormal(fit.X).T
    w = np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights
    ZZ, ZX = (Z.T @ (Z * w[:, None])).tocsr(), Z.T @ (w[:, None] * Q)
    factor, column, level = _places(problem)
    parameters = [
        (f, basis)
        for f, member in enumerate(problem.covariance.members)
        for basis in member.covariance_basis()
    ]
    k, p = len(parameters), problem.p
    single, double = np.zeros(k), np.zeros((k, k))
    P, QQ = np.zeros((k, p, p)), np.zeros((k, k, p, p))
    for members in _components(ZZ, factor, level):
        A, B0 = ZZ[members][:, members].toarray(), np.asarray(ZX[members])
        Lambda = _block_Lambda(
            fit.solution.standard_Lambdas, factor[members], column[members], level[members]
        )
        AL = A @ Lambda
        M = cho_factor(Lambda.T @ AL + np.eye(len(members)))
        S = (A - AL @ cho_solve(M, AL.T)) / sigma2
        B = (B0 - AL @ cho_solve(M, Lambda.T @ B0)) / sigma2
        here = factor[members], column[members]
        KS, KB = ([_K_times(parameter, *here, x) for parameter in parameters] for x in (S, B))
        single += [np.trace(x) for x in KS]
        P -= np.array([B.T @ x for x in KB]).reshape(k, p, p)
        for i in range(k):
            for j in range(i + 1):
                double[i, j] += np.einsum("ab,ba->", KS[i], KS[j])
                QQ[i, j] += KB[i].T @ S @ KB[j]
    for i in range(k):
        for j in range(i):
            double[j, i], QQ[j, i] = double[i, j], QQ[i, j].T
    Sigmas = [sigma2 * L @ L.T for L in fit.solution.standard_Lambdas]
    gamma = np.concatenate(
        [member.coefficients(S) for member, S in zip(problem.covariance.members, Sigmas, strict=True)]
    )
    return gamma, single, double, P, QQ


def _adjustment(fit, gamma, single, double, P, Q):
    """Add the residual variance to the parameters, by ``G_0 = (V - sum gamma_i G_i) / sigma^2``, and put all
    together.
    """
    sigma2, n = fit.sigma**2, fit.nobs
    Phi = fit.solution.coordinates.orthonormal_covariance(fit.solution.beta_cov)
    information = np.linalg.inv(Phi)
    k = len(gamma) + 1
    t, PP, QQ = np.zeros((k, k)), np.zeros((k, *Phi.shape)), np.zeros((k, k, *Phi.shape))
    t[:-1, :-1], PP[:-1], QQ[:-1, :-1] = double, P, Q
    t[-1, :-1] = t[:-1, -1] = (single - double @ gamma) / sigma2
    t[-1, -1] = ((n - gamma @ single) / sigma2 - gamma @ t[:-1, -1]) / sigma2
    PP[-1] = -(information + np.einsum("i,ipq->pq", gamma, P)) / sigma2
    QQ[-1, :-1] = (-P - np.einsum("i,ijpq->jpq", gamma, Q)) / sigma2
    QQ[:-1, -1] = QQ[-1, :-1].swapaxes(1, 2)
    QQ[-1, -1] = (-PP[-1] - np.einsum("i,ipq->pq", gamma, QQ[:-1, -1])) / sigma2
    return _adjusted(fit, t, PP, QQ)


def _adjusted(fit, t, PP, QQ):
    """Put the sums for all variance parameters together."""
    Phi = fit.solution.coordinates.orthonormal_covariance(fit.solution.beta_cov)
    PhiP = Phi @ PP
    expected = t - 2.0 * np.einsum("pq,ijqp->ij", Phi, QQ) + np.einsum("ipq,jqp->ij", PhiP, PhiP)
    W = 2.0 * np.linalg.pinv(0.5 * (expected + expected.T), rcond=1e-12, hermitian=True)
    inner = QQ - np.einsum("ipq,jqr->ijpr", PP, PhiP)
    U = np.einsum("ij,ijpq->pq", W, inner)
    return KenwardRoger(Phi, Phi + Phi @ (U + U.T) @ Phi, PP, W, fit.solution.coordinates)


def _columns(problem: ProfiledDeviance) -> FloatArray:
    """Return the standardised Z as a sparse array, factor by factor, column by column, level by level."""
    n, found = problem.n, []
    for f in problem.structure.factors:
        place = f.codes + f.n_levels * np.arange(f.q)[:, None]
        rows = np.broadcast_to(np.arange(n), place.shape)
        values = f.columns(slice(0, n)).ravel()
        found.append(sparse.csr_array((values, (rows.ravel(), place.ravel())), shape=(n, f.q * f.n_levels)))
    return sparse.csr_array(sparse.hstack(found))


def _places(problem: ProfiledDeviance):
    """Return for each column of Z its factor, its random effect and its level."""
    parts = [
        (
            np.full(f.q * f.n_levels, k),
            np.repeat(np.arange(f.q), f.n_levels),
            np.tile(np.arange(f.n_levels), f.q),
        )
        for k, f in enumerate(problem.structure.factors)
    ]
    return tuple(np.concatenate(x) for x in zip(*parts, strict=True))


def _components(ZZ, factor, level):
    """Yield the columns of Z that hang together through shared rows; those of one level always do."""
    _, unit = np.unique(np.stack([factor, level]), axis=1, return_inverse=True)
    unit = unit.ravel()
    member = sparse.csr_array((np.ones(len(unit)), (np.arange(len(unit)), unit)))
    graph = member.T @ abs(ZZ) @ member
    # SciPy 1.11 wants the graph's indices as 32-bit integers
    graph.indices, graph.indptr = (x.astype(np.int32) for x in (graph.indices, graph.indptr))
    _, label = connected_components(graph, directed=False)
    label = label[unit]
    sizes = np.bincount(label)
    if sizes.max() > LARGEST_BLOCK:
        raise ModelError(
            f"Kenward and Roger's adjustment needs a dense matrix over the {sizes.max():,} random effects "
            "that hang"
            f" together here (the largest allowed is {LARGEST_BLOCK:,}): use ddf='satterthwaite'"
        )
    order = np.argsort(label, kind="stable")
    yield from np.split(order, np.cumsum(sizes)[:-1])


def _block_Lambda(Lambdas, factor, column, level):
    same = (factor[:, None] == factor) & (level[:, None] == level)
    values = np.zeros(same.shape)
    for f, L in enumerate(Lambdas):
        here = np.ix_(factor == f, factor == f)
        values[here] = L[np.ix_(column[factor == f], column[factor == f])]
    return np.where(same, values, 0.0)


def _K_times(parameter, factor, column, S):
    """Return K S, for the matrix K that one parameter multiplies in the covariance of the random effects.

    Within a factor the columns of each random effect stand in the same order of levels, so an entry of the
    basis moves rows.
    """
    f, basis = parameter
    product = np.zeros_like(S)
    rows = [np.flatnonzero((factor == f) & (column == a)) for a in range(len(basis))]
    for a, b in np.argwhere(basis):
        product[rows[a]] += basis[a, b] * S[rows[b]]
    return product
