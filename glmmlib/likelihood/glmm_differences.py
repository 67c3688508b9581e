"""The Hessian of -2 log L of a generalised model, from differences of its exact gradient."""

from collections.abc import Callable

import numpy as np

from glmmlib.likelihood.glmm import LaplaceDeviance, Mode, RangeError
from glmmlib.likelihood.glmm_batch import CHUNK_NUMBERS, TIGHT, LaplaceBatch
from glmmlib.likelihood.lmm_batch import suits
from glmmlib.types import FloatArray


def central_hessian(problem: LaplaceDeviance, x: FloatArray, mode: Mode, steps: FloatArray) -> FloatArray:
    """Return the Hessian (k, k) at x from central differences; their error is of the order of the steps'
    squares.

    Parameters
    ----------
    problem : LaplaceDeviance
    x : (k,) array
    mode : Mode
        At x.
    steps : (k,) array
        Half-widths.

    Raises
    ------
    numpy.linalg.LinAlgError, RangeError
        Where the parameters allow no value.
    """
    shifts = np.diag(steps)
    precise = problem.precise(mode.u)
    found = _gradients(precise, x, mode, np.concatenate([x + shifts, x - shifts]), precise.gradient)
    up, down = found[: len(x)], found[len(x) :]
    return _symmetric((up - down) / (2.0 * steps[:, None]))


def forward_hessian(
    problem: LaplaceDeviance, x: FloatArray, gradient: FloatArray, mode: Mode, scale: FloatArray
) -> FloatArray:
    """Return the Hessian (k, k) at x from one-sided differences; NaN where it cannot be had.

    Parameters
    ----------
    problem : LaplaceDeviance
    x, gradient : (k,) arrays
    mode : Mode
        At x.
    scale : (k,) array
        About a standard error of each parameter.
    """

    def slopes(steps: FloatArray) -> FloatArray:
        points = x + np.diag(steps)
        found = _gradients(problem, x, mode, points, lambda point: _gradient_or_none(problem, point))
        return (found - gradient) / steps[:, None]

    H = slopes(5e-4 * scale)
    for share in (-5e-4, 1e-5):
        lost = ~np.isfinite(H).all(axis=1)
        if lost.any():
            H[lost] = slopes(share * scale)[lost]
    return _symmetric(H)


def _symmetric(H):
    return 0.5 * (H + H.T)


def _gradient_or_none(problem, x):
    try:
        return problem.gradient(x)
    except (np.linalg.LinAlgError, RangeError):
        return np.full(len(x), np.nan)


def _gradients(
    problem: LaplaceDeviance,
    x: FloatArray,
    mode: Mode,
    points: FloatArray,
    alone: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Return the gradients (m, k) at points near x: many at once where arrays of them are small, and
    ``alone(point)`` at the others.
    """
    at_once = CHUNK_NUMBERS // problem.n
    if at_once > 1 and _can_share(problem):
        pieces = [points[first : first + at_once] for first in range(0, len(points), at_once)]
        found = np.concatenate([_together(problem, x, mode, piece) for piece in pieces])
    else:
        found = np.full(points.shape, np.nan)
    problem.keep(mode, x)
    for i in np.flatnonzero(~np.isfinite(found).all(axis=1)):
        found[i] = alone(points[i])
    return found


def _can_share(problem):
    structure = problem.structure
    return problem.quadrature is None and not structure.crossed and suits(structure, problem.covariance)


def _together(problem, x, mode, points):
    batch = LaplaceBatch(problem, np.broadcast_to(problem.y, (len(points), problem.n)))
    found = batch.evaluate(points, batch.follow(mode, x, points), TIGHT, with_slopes=False)
    return np.where(np.isfinite(found.value)[:, None], found.gradient, np.nan)
