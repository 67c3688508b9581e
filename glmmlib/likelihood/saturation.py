"""Whether fixed and random effects together reproduce any response, or this one: then there is no maximum."""

import numpy as np

from glmmlib.linalg.crossing import Factor, Structure
from glmmlib.types import FloatArray

MOST_NUMBERS = 1_000_000  # of a dense matrix: the ranks of larger ones are not looked at
EXACT = 1e-9  # of the size of a response: less is rounding
LOST = 1e-20  # of a column's sum of squares within a level: below this the columns before it hold all


def is_saturated(structure: Structure, X: FloatArray) -> bool:
    r"""Do fixed and random effects together reproduce any response, and the random ones alone do not?

    With a residual variance (or dispersion) :math:`\phi \to 0` the rows' densities together rise as
    :math:`\phi^{-n/2}`, and the integral over the random effects takes back :math:`\phi^{r/2}`, for the rank
    r of Z. If :math:`r < n` and (X, Z) has rank n, the likelihood therefore has no maximum.

    Parameters
    ----------
    structure : Structure
    X : (n, p) array
        In the order of the structure's rows.
    """
    n, p = X.shape
    first, *others = structure.factors
    columns = sum(factor.n_columns for factor in others) + p
    if first.n_columns + columns < n or columns * n > MOST_NUMBERS:
        return False
    rest = np.concatenate([*(_dense(factor) for factor in others), X.T])
    rank, rest = _apart(first, rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-300))
    random = rank + (np.linalg.matrix_rank(rest[:-p] if p else rest, 1e-10) if others else 0)
    return bool(random < n == rank + np.linalg.matrix_rank(rest, 1e-10))


def is_reproduced(structure: Structure, X: FloatArray, y: FloatArray) -> bool:
    """Do fixed effects and the effects of fewer levels than rows reproduce this response?

    A process with a place for each row may leave no residual variation; beside groups in which the response
    is constant the likelihood then has no maximum.

    Parameters
    ----------
    structure : Structure
    X : (n, p) array
    y : (n,) array
        Both in the order of the structure's rows.
    """
    n, p = X.shape
    few = [factor for factor in structure.factors if factor.n_columns < n]
    columns = sum(factor.n_columns for factor in few) + p
    if not few or columns >= n or columns * n > MOST_NUMBERS:
        return False
    rows = np.concatenate([*(_dense(factor) for factor in few), X.T])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    left = y - np.linalg.lstsq(rows.T, y, rcond=1e-10)[0] @ rows
    return bool(left @ left <= EXACT**2 * (y @ y))


def _dense(factor: Factor) -> FloatArray:
    """Return the columns of Z as rows (q J, n)."""
    columns = factor.columns()
    q, n = columns.shape
    Z = np.zeros((q, factor.n_levels, n))
    Z[:, factor.codes, np.arange(n)] = columns
    return Z.reshape(-1, n)


def _apart(factor: Factor, rows: FloatArray) -> tuple[int, FloatArray]:
    """Return the rank of a factor's columns, and what is left of each row (k, n) beside them."""
    before: list[FloatArray] = []
    rows, rank = np.array(rows), 0
    for column in factor.columns():
        total = _sums(factor, column**2)
        for z in before:
            column = _beside(factor, z, column)
        left = _sums(factor, column**2)
        kept = left > LOST * total
        z = column * (kept / np.sqrt(np.where(kept, left, 1.0)))[factor.codes]
        before.append(z)
        rank += int(kept.sum())
        rows = np.array([_beside(factor, z, row) for row in rows]).reshape(rows.shape)
    return rank, rows


def _beside(factor: Factor, z: FloatArray, row: FloatArray) -> FloatArray:
    """Return what a column of length one within each level does not explain."""
    return row - z * _sums(factor, z * row)[factor.codes]


def _sums(factor: Factor, values: FloatArray) -> FloatArray:
    return np.asarray(np.bincount(factor.codes, values, minlength=factor.n_levels), dtype=float)
