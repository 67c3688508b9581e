"""The criterion of a small linear model at many thetas at once, whatever its factors: one stack of Cholesky
factorisations of the whole penalised least squares matrix.
"""

from typing import Any

import numpy as np

from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.types import FloatArray

CHUNK_NUMBERS = 1_000_000


def n_dense_columns(problem: ProfiledDeviance) -> int:
    """Return the size of the whole matrix: all random effects, the columns of X, and the response."""
    return sum(f.n_columns for f in problem.structure.factors) + problem.p + 1


def scan(problem: ProfiledDeviance, theta: FloatArray) -> FloatArray:
    """Return the criterion at every theta (S, k), as an array (S,); infinite where there is none."""
    products = _all_products(problem)
    step = max(1, CHUNK_NUMBERS // products.size)
    parts = [_scan(problem, products, theta[s : s + step]) for s in range(0, len(theta), step)]
    return np.concatenate(parts)


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
        r2 = pivots[:, -1] ** 2
        value = 2.0 * np.log(pivots[:, : -1 if problem.reml else m]).sum(axis=1)
        value += problem.df * (1.0 + np.log(2.0 * np.pi * r2 / problem.df)) + problem.constant
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
