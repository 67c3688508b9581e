"""Well-conditioned columns: the reason why ``Days + 1e8`` and ``Days * 1e6`` give the same fit as ``Days``.

Sums of products of a column with a large mean, or of columns in very different units, lose their digits.
So the columns of X, and those of each random-effects term whose covariance is unrestricted, are replaced by
orthogonal combinations of themselves before anything is summed, and the results are mapped back.  Where the
covariance is restricted (``||``), mixing columns would change the model: there each column is only scaled,
and where all columns share one SD, all are scaled alike.
Known weights enter the scale of the random effects' columns, so that weights in other units are the same fit
too.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from glmmlib.linalg.crossing import CHUNK_ROWS
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray


def triangular_factor(columns: Callable[..., Any], n: int) -> FloatArray:
    """Return the upper-triangular R of a QR factorisation with a non-negative diagonal.

    ``columns(rows)`` gives the columns as rows of an array ``(k, rows)``. The matrix is factorised in slices
    and the factors are factorised again, so that no copy of it is made.
    """
    stacked = [
        np.linalg.qr(columns(slice(first, min(first + CHUNK_ROWS, n))).T, mode="r")
        for first in range(0, n, CHUNK_ROWS)
    ]
    R = np.asarray(np.linalg.qr(np.concatenate(stacked), mode="r") if len(stacked) > 1 else stacked[0])
    k = R.shape[1]
    if len(R) < k:
        R = np.concatenate([R, np.zeros((k - len(R), k))])
    return R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]


def inverses(matrices: FloatArray) -> FloatArray:
    """Return the inverses of matrices (m, k, k), NaN for those that are singular.

    >>> inverses(np.array([[[2.0]], [[0.0]]])).ravel()
    array([0.5, nan])
    """
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        found = np.full_like(matrices, np.nan)
        for one, matrix in zip(found, matrices, strict=True):
            with suppress(np.linalg.LinAlgError):
                one[:] = np.linalg.inv(matrix)
        return found


def standardising_map(Z: FloatArray, invariance: str, weights: FloatArray | None = None) -> FloatArray:
    """Return the (q, q) map to well-conditioned columns, ``z_standard = map' z``, for ``Z`` (q, n).

    ``invariance`` says which maps leave the covariance structure as it is: ``"linear"`` allows any (the
    columns become orthogonal), ``"scaling"`` a factor for each column, ``"none"`` one factor for all.
    """
    scale = scaled_columns(Z, weights)
    if invariance == "none":
        return np.eye(len(Z)) / np.sqrt(np.mean(1.0 / np.diag(scale) ** 2))
    if invariance == "scaling" or len(scale) == 1:
        return scale
    return scale @ orthogonal_columns(Z, weights, scale)


def orthogonal_columns(
    Z: FloatArray, weights: FloatArray | None = None, scale: FloatArray | None = None
) -> FloatArray:
    """Return the (q, q) map that makes the rows of ``Z`` (q, n), or of ``scale @ Z``, orthogonal with a
    (weighted) mean square of one.
    """
    n = Z.shape[1]

    def columns(rows: slice) -> FloatArray:
        here = Z[:, rows] if scale is None else scale @ Z[:, rows]
        return here if weights is None else here * np.sqrt(weights[rows])

    R = triangular_factor(columns, n) / np.sqrt(n)
    return solve_triangular(R, np.eye(len(R)))


def scaled_columns(Z: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Return the diagonal (q, q) map that gives each row of ``Z`` (q, n) a (weighted) mean square of one."""
    squares = np.einsum("an,an->a", Z, Z) if weights is None else np.einsum("an,n,an->a", Z, weights, Z)
    return np.diag(1.0 / np.sqrt(squares / Z.shape[1]))
