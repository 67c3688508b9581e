"""Which columns of a matrix repeat those before them.

R's rule, made safe for the origin and the unit of x: column j is aliased when what is left of it
after projection on the columns kept before it is below 1e-7 of its length. With an intercept in
front, lengths are taken about the mean, so that ``Days + 1e8`` counts as the column it is.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-7
_ROUNDING = 1e-13  # of the raw length: what is left of a constant column after centring
_SAFE = 1e-8  # squared; a Gram matrix cannot tell smaller remainders from rounding
_CHUNK = 1 << 15


def independent_rows(rows: np.ndarray) -> np.ndarray:
    """Mark the rows that are not linear combinations of those before them.

    Parameters
    ----------
    rows : (p, n) array
        The transposed design matrix: row k is column k of X.

    Returns
    -------
    (p,) array of bool
        True for the columns to keep.

    Examples
    --------
    >>> x = np.arange(6.0)
    >>> independent_rows(np.array([np.ones(6), x + 1e8, 2 * x, x**2]))
    array([ True,  True, False,  True])
    """
    p, n = rows.shape
    if p == 0:
        return np.zeros(0, dtype=bool)
    centred = p > 1 and bool(rows[0, 0]) and bool((rows[0] == rows[0, 0]).all())
    shift = np.where(np.arange(p) > 0, rows.mean(axis=1), 0.0) if centred else np.zeros(p)
    gram = np.zeros((p, p))
    for start in range(0, n, _CHUNK):
        chunk = rows[:, start : start + _CHUNK] - shift[:, None]
        gram += chunk @ chunk.T
    length = np.sqrt(np.diag(gram))
    raw = np.sqrt(length**2 + n * shift**2)
    if (length > np.sqrt(_ROUNDING) * raw).all() and (_pivots(gram / np.outer(length, length)) > _SAFE).all():
        return np.ones(p, dtype=bool)
    triangle = np.asarray(np.linalg.qr((rows - shift[:, None]).T, mode="r"))
    return _independent(triangle, np.maximum(TOLERANCE * length, _ROUNDING * raw))


def _pivots(gram: np.ndarray) -> np.ndarray:
    """Squared remainders of unit columns, from the Cholesky factor of their Gram matrix."""
    try:
        return np.diag(np.linalg.cholesky(gram)) ** 2
    except np.linalg.LinAlgError:
        return np.zeros(1)


def _independent(triangle: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Gram-Schmidt (twice, for accuracy) over the columns of R in X = QR."""
    kept = np.zeros(triangle.shape[1], dtype=bool)
    basis = np.zeros((triangle.shape[0], 0))
    for j, column in enumerate(triangle.T):
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        size = np.linalg.norm(rest)
        if size > threshold[j] and basis.shape[1] < triangle.shape[0]:
            kept[j] = True
            basis = np.column_stack([basis, rest / size])
    return kept
