r"""Arithmetic of relative covariance factors, :math:`\Sigma = \sigma^2 \Lambda \Lambda'`.

Arrays may have leading axes: ``(..., q, q)``.
"""

from collections.abc import Iterable

import numpy as np

from glmmlib.types import FloatArray, IntArray

SINGULAR = 1e-4  # a relative SD (or a remainder after correlation) below this counts as zero


def lower_triangle(columns: Iterable[int]) -> tuple[IntArray, IntArray]:
    """Return the rows and columns of a lower triangle, column by column."""
    pairs = [(i, j) for j in columns for i in columns if i >= j]
    rows, cols = (np.array(x, dtype=int) for x in zip(*pairs, strict=True))
    return rows, cols


def rectify(L: FloatArray) -> FloatArray:
    """Return ``L`` with the columns' signs changed so that its diagonal is not negative."""
    diagonal = np.diagonal(L, axis1=-2, axis2=-1)
    return L * np.where(diagonal < 0, -1.0, 1.0)[..., None, :]


def lower_factor(A: FloatArray) -> FloatArray:
    """Return the lower-triangular ``L`` with ``L L' = A A'`` and no negative diagonal entry (from LQ, never
    from A A').
    """
    R = np.linalg.qr(np.swapaxes(A, -2, -1), mode="r")
    return rectify(np.swapaxes(R, -2, -1))


def smallest_singular_value(L: FloatArray) -> FloatArray:
    return np.linalg.svd(L, compute_uv=False)[..., -1]


def unit_scaled(Sigma: FloatArray) -> FloatArray:
    """Divide by the SDs, so that rounding is judged in no unit; a variance of zero but for rounding gives
    zeros.
    """
    variance = np.diag(Sigma)
    scale = np.where(variance > 1e-9, 1.0 / np.sqrt(np.maximum(variance, 1e-9)), 0.0)
    return Sigma * np.outer(scale, scale)


def sds_and_correlations(covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Split a covariance matrix into SDs (q,) and the correlation matrix (q, q); NaN where an SD is zero."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.outer(sd, sd)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(scale > 0, covariance / scale, np.nan)
    np.fill_diagonal(correlation, 1.0)
    return sd, np.clip(correlation, -1.0, 1.0)
