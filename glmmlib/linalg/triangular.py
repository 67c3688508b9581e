"""Triangular systems straight from LAPACK: a small fit solves a dozen, and asks nothing else of each."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtrtrs

from glmmlib.types import FloatArray


def solve_triangular(a: FloatArray, b: FloatArray, lower: bool = False, trans: bool = False) -> FloatArray:
    """Return x of ``a x = b``, or of ``a' x = b``, for a triangular ``a`` (m, m) and ``b`` (m,) or (m, k).

    The other triangle is not looked at, nor is a number that is not finite.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a diagonal entry is zero.

    Examples
    --------
    >>> solve_triangular(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([4.0, 8.0]))
    array([1., 2.])
    """
    if not b.size:
        return np.zeros(b.shape)
    if a.strides[0] < a.strides[1]:  # LAPACK's order, or a corner of a matrix that is in it
        x, failed = dtrtrs(a, b, lower=lower, trans=trans)
    else:  # its transpose is
        x, failed = dtrtrs(a.T, b, lower=not lower, trans=not trans)
    if failed:
        raise np.linalg.LinAlgError(f"a triangular matrix is singular: diagonal entry {failed} is zero")
    return np.asarray(x.reshape(b.shape))
