"""The criterion of a small linear model, whatever its factors, by Cholesky factorisations of the whole
penalised least squares matrix, with the response as its last column: at many thetas at once, or at one with
its gradient. For so few columns that is less work than what a sparse matrix needs to be told apart.
"""

from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack

from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray

CHUNK_NUMBERS = 1_000_000


def n_dense_columns(problem: ProfiledDeviance) -> int:
    """Return the size of the whole matrix: all random effects, the columns of X, and the response."""
    return sum(f.n_columns for f in problem.structure.factors) + problem.p + 1


class DenseCriterion:
    """The profiled deviance (or REML criterion) of a small model.

    Parameters
    ----------
    problem : ProfiledDeviance
    """

    def __init__(self, problem: ProfiledDeviance) -> None:
        self.problem, self.products = problem, _all_products(problem)

    def scan(self, theta: FloatArray) -> FloatArray:
        """Return the criterion at every theta (S, k), as an array (S,); infinite where there is none."""
        step = max(1, CHUNK_NUMBERS // self.products.size)
        parts = (theta[s : s + step] for s in range(0, len(theta), step))
        return np.concatenate([_scan(self.problem, self.products, part) for part in parts])

    def objective(self, theta: FloatArray) -> tuple[float, Any]:
        """Return the value at theta and a function that gives the gradient, as the problem itself does.

        With T the block diagonal matrix of all Lambdas and ones, the matrix is ``A = T'PT + I`` (without the
        ones of X and y), and its last squared pivot r2.
        """
        problem, k = self.problem, len(self.products)
        m = k - problem.p - 1
        T = np.eye(k)
        for place, L in zip(self._places, problem.Lambdas(theta), strict=True):
            T[place] = L[:, :, None]
        PT = self.products @ T
        A = T.T @ PT
        A[range(m), range(m)] += 1.0
        C, failed = lapack.dpotrf(A, lower=1, clean=1)
        pivots = C.diagonal()
        r2 = pivots[-1] ** 2
        if failed or not problem.cancelled * problem.yy < r2 < np.inf:
            return problem.objective(theta)
        n = k - 1 if problem.reml else m
        value = 2.0 * np.log(pivots[:n]).sum() + problem.df * (1.0 + np.log(2.0 * np.pi * r2 / problem.df))

        def gradient() -> FloatArray:
            residual = solve_triangular(C, np.eye(k)[-1], lower=True, trans=True)  # r2's derivatives' root
            slope = problem.df * np.outer(residual, residual)
            inverse = lapack.dpotri(C[:n, :n], lower=1)[0]
            slope[:n, :n] += inverse + np.tril(inverse, -1).T
            in_T = 2.0 * PT @ slope
            return problem.covariance.pullback(theta, [in_T[place].sum(axis=2) for place in self._places])

        return float(value + problem.constant), gradient

    @cached_property
    def _places(self) -> list[Any]:
        """Where in T the entries of each Lambda stand: rows (q, 1, J) and columns (1, q, J)."""
        places, start = [], 0
        for factor in self.problem.structure.factors:
            at = start + np.arange(factor.n_columns).reshape(factor.q, factor.n_levels)
            places.append((at[:, None], at[None]))
            start += factor.n_columns
        return places


def _all_products(problem: ProfiledDeviance):
    """Return the products of all columns with each other: those of each factor (effect by effect), X, and
    y.
    """
    factors, cross, p = problem.structure.factors, problem.cross, problem.p
    starts = np.cumsum([0] + [f.n_columns for f in factors])
    m, k = starts[-1], starts[-1] + p + 1
    products = np.zeros((k, k))
    for f, factor in enumerate(factors):
        q, J = factor.q, factor.n_levels
        here, at = slice(starts[f], starts[f] + q * J), starts[f] + np.arange(q * J).reshape(q, J)
        products[at[:, None], at[None]] = cross.A[f]
        products[m:-1, here] = np.moveaxis(cross.ZX[f], 1, 0).reshape(p, q * J)
        products[-1, here] = problem.Zy[f].ravel()
    for (f, h), C in cross.C.items():
        cells, J = problem.structure.cells[f, h], factors[h].n_levels
        for a in range(C.shape[0]):
            for c in range(C.shape[1]):
                row = starts[h] + c * J + cells.second
                products[row, starts[f] + a * factors[f].n_levels + cells.first] = C[a, c]
    products[m:-1, m:-1] = cross.XX
    products[-1, m:-1], products[-1, -1] = problem.Xy, problem.yy
    return np.tril(products) + np.tril(products, -1).T


def _scan(problem: ProfiledDeviance, products: Any, theta: FloatArray):
    S, k, m = len(theta), len(products), len(products) - problem.p - 1
    M, start = np.tile(products, (S, 1, 1)), 0
    for L, factor in zip(problem.covariance.factors(theta), problem.structure.factors, strict=True):
        q, J = factor.q, factor.n_levels
        here = slice(start, start + q * J)
        M[:, here] = np.einsum("sca,scx->sax", L, M[:, here].reshape(S, q, J * k)).reshape(S, q * J, k)
        columns = M[:, :, here].reshape(S, k, q, J)
        M[:, :, here] = np.einsum("skcj,sca->skaj", columns, L).reshape(S, k, q * J)
        start += q * J
    M[:, np.arange(m), np.arange(m)] += 1.0
    pivots = np.einsum("skk->sk", _cholesky(M))
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.maximum(pivots[:, -1] ** 2, problem.least_r2)
        share = pivots[:, -1] ** 2 / r2
        value = 2.0 * np.log(pivots[:, : -1 if problem.reml else m]).sum(axis=1)
        value += problem.df * (share + np.log(2.0 * np.pi * r2 / problem.df)) + problem.constant
    return np.where(np.isfinite(value), value, np.inf)


def _cholesky(M: FloatArray):
    try:
        return np.linalg.cholesky(M)
    except np.linalg.LinAlgError:  # one of them is singular but for rounding
        return np.stack([_cholesky_or_nan(matrix) for matrix in M])


def _cholesky_or_nan(matrix: FloatArray):
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan)
