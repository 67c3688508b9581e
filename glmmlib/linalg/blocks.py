"""Algebra on many small matrices at once.

A block-diagonal matrix with one ``q x q`` block for each of ``J`` levels is stored as an
array of shape ``(q, q, J)``, the level last.  The loops below run over ``q``, which is 1, 2 or 3
in most models; each step inside them is one NumPy operation over all levels.  For 100,000 blocks of
2 x 2 this is about ten times faster than a call of LAPACK for each block.
"""

import numpy as np
from scipy.linalg import blas

from glmmlib.types import FloatArray, IntArray

WIDE = 5  # inner products of this size and more are for BLAS
LARGE = 4  # blocks of this size and more may be


def multiply(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``A_j B_j`` for each level: ``(q, k, J)`` times ``(k, r, J)`` gives ``(q, r, J)``."""
    if A.shape[1] >= WIDE:
        return _level_last(np.matmul(_level_first(A), _level_first(B)))
    product = A[:, 0, None, :] * B[None, 0, :, :]
    for k in range(1, A.shape[1]):
        product += A[:, k, None, :] * B[None, k, :, :]
    return product


def transpose_multiply(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``A_j' B_j`` for each level."""
    return multiply(A.swapaxes(0, 1), B)


def multiply_transpose(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``A_j B_j'`` for each level."""
    return multiply(A, B.swapaxes(0, 1))


def sum_of_products(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return the ``(q, r)`` matrix ``sum_j A_j B_j'`` of two arrays ``(q, k, J)`` and ``(r, k, J)``."""
    return A.reshape(A.shape[0], -1) @ B.reshape(B.shape[0], -1).T


def left(L: FloatArray, A: FloatArray) -> FloatArray:
    """Return ``L A_j`` for one matrix ``L`` and all blocks ``A_j``."""
    return (L @ A.reshape(A.shape[0], -1)).reshape(L.shape[0], *A.shape[1:])


def right(A: FloatArray, L: FloatArray) -> FloatArray:
    """Return ``A_j L`` for all blocks ``A_j`` and one matrix ``L``."""
    if L.shape == (1, 1):
        return A * L[0, 0]
    if len(L) >= WIDE:
        return (A.swapaxes(1, 2) @ L).swapaxes(1, 2)
    return np.einsum("abj,bc->acj", A, L)


def cholesky(A: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of each block, ``A_j = C_j C_j'``.

    A block that is not positive definite gives NaN, and its neighbours stay right.
    """
    q = A.shape[0]
    if _is_for_lapack(A):
        try:
            return _level_last(np.linalg.cholesky(_level_first(A)))
        except np.linalg.LinAlgError:
            pass  # the loop tells which block it is
    C = np.zeros_like(A)
    with np.errstate(invalid="ignore", divide="ignore"):
        for k in range(q):
            pivot = A[k, k] - np.einsum("bj,bj->j", C[k, :k], C[k, :k]) if k else A[k, k]
            C[k, k] = np.sqrt(pivot)
            for i in range(k + 1, q):
                rest = A[i, k] - np.einsum("bj,bj->j", C[i, :k], C[k, :k]) if k else A[i, k]
                C[i, k] = rest / C[k, k]
    return C


def solve_lower(C: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``C_j^-1 B_j`` for lower-triangular blocks."""
    if _is_for_lapack(C):
        return _solved(C, B, 0)
    X = np.empty((*B.shape[:2], C.shape[2]))
    for k in range(C.shape[0]):
        row = B[k]
        for b in range(k):
            row = row - C[k, b] * X[b]
        np.divide(row, C[k, k], out=X[k])
    return X


def solve_upper(C: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``C_j'^-1 B_j`` for lower-triangular blocks ``C_j``."""
    if _is_for_lapack(C):
        return _solved(C, B, 1)
    q = C.shape[0]
    X = np.empty((*B.shape[:2], C.shape[2]))
    for k in reversed(range(q)):
        row = B[k]
        for b in range(k + 1, q):
            row = row - C[b, k] * X[b]
        np.divide(row, C[k, k], out=X[k])
    return X


def _is_for_lapack(C):
    """Are the blocks so few and so large that a call for each is the faster way?"""
    q, J = len(C), C.shape[2]
    return q >= LARGE and q * q >= 3 * J


def _solved(C, B, transposed):
    X = np.empty((*B.shape[:2], C.shape[2]))
    B = np.broadcast_to(B, X.shape)
    for j in range(C.shape[2]):
        X[:, :, j] = blas.dtrsm(1.0, C[:, :, j], B[:, :, j], lower=1, trans_a=transposed)
    return X


def _level_first(A):
    return np.moveaxis(A, 2, 0)


def _level_last(A):
    return np.moveaxis(A, 0, 2)


def log_determinant(C: FloatArray) -> float:
    """Return ``sum_j log |C_j C_j'|`` for Cholesky factors ``C_j``."""
    return 2.0 * sum(np.log(C[k, k]).sum() for k in range(C.shape[0]))


def sum_by(index: IntArray, blocks: FloatArray, size: int) -> FloatArray:
    """Add up blocks that share an index: ``(q, r, P)`` and ``(P,)`` give ``(q, r, size)``."""
    q, r = blocks.shape[:2]
    total = np.empty((q, r, size))
    for a in range(q):
        for b in range(r):
            total[a, b] = np.bincount(index, blocks[a, b], minlength=size)
    return total
