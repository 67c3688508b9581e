"""From the information at the estimates, the Hessian of -2 log L, to the covariance of the estimates."""

import numpy as np

from glmmlib.types import BoolArray, FloatArray

FLAT = 10.0  # a standard error of a log dispersion that only an infinite or a zero dispersion has
FAR_FROM_DOUBT = 4.0  # times a standard error
LARGEST_CORRELATION = 1e3  # between the rows of a Hessian: 1 at a minimum, little more near one


def twice_inverse(hessian: FloatArray) -> FloatArray:
    """Return twice the inverse of Hessians (..., k, k) of -2 log L: covariances of the estimates.

    Directions in which nothing is known count as known: a pseudo-inverse, judged after scaling. So does a
    parameter on which nothing depends, as a range that ran to zero: its rows hold rounding errors alone,
    larger than its own curvature allows by far.
    """
    curvature = np.abs(np.einsum("...aa->...a", hessian))
    bound = LARGEST_CORRELATION * np.sqrt(curvature[..., :, None] * curvature[..., None, :])
    is_less = curvature[..., :, None] <= curvature[..., None, :]
    is_flat = ((np.abs(hessian) > bound) & is_less).any(axis=-1)
    hessian = np.where(is_flat[..., :, None] | is_flat[..., None, :], 0.0, hessian)
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.einsum("...aa->...a", hessian)), 1e-300))
    outer = scale[..., :, None] * scale[..., None, :]
    return 2.0 * np.linalg.pinv(hessian * outer, rcond=1e-12, hermitian=True) * outer


def covariance_held_at_ends(hessian: FloatArray, r: int) -> FloatArray:
    """Covariance (k, k) of parameters; those of the last r that run off are held for the others.

    So far off may one be that its numbers overflow, or that nothing depends on it: its variance is then zero.
    """
    lost = (np.arange(len(hessian)) >= len(hessian) - r) & ~np.isfinite(np.diag(hessian))
    hessian = np.where(lost | lost[:, None], 0.0, hessian)
    covariance = twice_inverse(hessian)
    off = np.append(np.zeros(len(hessian) - r, dtype=bool), runs_off(covariance, r))
    if off.any():
        covariance[off] = np.where(off, covariance[off], 0.0)
        covariance[np.ix_(~off, off)] = 0.0
        covariance[np.ix_(~off, ~off)] = twice_inverse(hessian[np.ix_(~off, ~off)])
    return covariance


def runs_off(covariance: FloatArray, r: int) -> BoolArray:
    """Mark those of the last r parameters that have no finite estimate: their errors are huge, or untold."""
    errors = np.sqrt(np.abs(np.diag(covariance)[len(covariance) - r :]))
    return (errors >= FLAT) | (errors == 0.0)


def stays(hessian: FloatArray, r: int) -> bool:
    """Do even rough differences say that each of the last r parameters has a finite estimate?"""
    if not np.isfinite(hessian).all() or np.linalg.eigvalsh(hessian)[0] <= 0.0:
        return False
    return not runs_off(FAR_FROM_DOUBT**2 * twice_inverse(hessian), r).any()


def complement(flat: FloatArray, size: int) -> FloatArray:
    """Return an orthonormal basis (size, size - d) of what is orthogonal to ``flat`` (p, d)."""
    p, d = flat.shape
    basis = np.zeros((size, size - d))
    basis[:p, : p - d] = np.linalg.qr(flat, mode="complete")[0][:, d:]
    basis[p:, p - d :] = np.eye(size - p)
    return basis
