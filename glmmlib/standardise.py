"""Well-conditioned columns: the reason why ``Days + 1e8`` and ``Days * 1e6`` give the same fit as ``Days``.

Sums of products of a column with a large mean, or of columns in very different units, lose their digits.
So the columns of X, and those of each random-effects term whose covariance is unrestricted, are replaced by
orthogonal combinations of themselves before anything is summed, and the results are mapped back.  Where the
covariance is restricted (``||``), mixing columns would change the model: there each column is only scaled.
"""

import numpy as np
from scipy.linalg import solve_triangular

from .structure import CHUNK_ROWS


def triangular_factor(columns, n):
    """Return the upper-triangular R of a QR factorisation with a non-negative diagonal.

    ``columns(rows)`` gives the columns as rows of an array ``(k, rows)``.  The matrix is factorised in slices and the
    factors are factorised again, so that no copy of it is made.
    """
    stacked = [
        np.linalg.qr(columns(slice(first, min(first + CHUNK_ROWS, n))).T, mode="r")
        for first in range(0, n, CHUNK_ROWS)
    ]
    R = np.linalg.qr(np.concatenate(stacked), mode="r") if len(stacked) > 1 else stacked[0]
    k = R.shape[1]
    if len(R) < k:
        R = np.concatenate([R, np.zeros((k - len(R), k))])
    return R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]


def orthogonal_columns(Z):
    """Return the (q, q) map that makes the rows of ``Z`` (q, n) orthogonal with mean square one."""
    n = Z.shape[1]
    R = triangular_factor(lambda rows: Z[:, rows], n) / np.sqrt(n)
    return solve_triangular(R, np.eye(len(R)))


def scaled_columns(Z):
    """Return the diagonal (q, q) map that gives each row of ``Z`` (q, n) a mean square of one."""
    return np.diag(1.0 / np.sqrt(np.einsum("an,an->a", Z, Z) / Z.shape[1]))
