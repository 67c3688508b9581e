"""Quasi-Newton minimisation that judges convergence in the metric of the problem."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.types import FloatArray

MOST_STEPS = 40  # of a search by the gradient alone
TURNED = 0.9  # the slope along a step may turn to at most this share of what it was


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a minimisation ended: point, value, gradient there, and what it took.

    ``decrement`` is ``g' H^-1 g``, the (doubled) decrease that a further step could promise: a number on the
    scale of the objective, whatever the units of the parameters.
    """

    x: np.ndarray
    value: float
    gradient: np.ndarray
    decrement: float
    n_evaluations: int
    converged: bool
    message: str
    inverse_hessian: np.ndarray
    path: tuple


def minimise(
    objective: Callable,
    x0: FloatArray,
    inverse_hessian: FloatArray,
    *,
    tolerance: float = 1e-7,
    max_iterations: int = 500,
    max_evaluations: int = 100_000,
    rectify: Callable[..., Any] = lambda x: x,
    is_known: Callable[[FloatArray, float], bool] = lambda x, value: False,
) -> Optimum:
    """Minimise a smooth function by BFGS with backtracking.

    Parameters
    ----------
    objective : callable
        ``objective(x)`` returns the value and a function that gives the gradient there; so a rejected step
        costs no gradient.  A value or a gradient that is not finite is a rejected step.
    x0 : (k,) array
    inverse_hessian : (k, k) array
        First guess; it sets the length of the first step.
    tolerance : float
        Stop when ``g' H^-1 g`` is below it twice in a row, or once below a hundredth of it.
    max_iterations, max_evaluations : int
        After so many the search is given up where it is.
    rectify : callable
        Maps a point to an equivalent one (the sign of a column of Lambda is arbitrary).
    is_known : callable
        Says of a point and its value that only a minimum found before can follow, so that the rest is saved.

    Returns
    -------
    Optimum

    Raises
    ------
    numpy.linalg.LinAlgError
        If there is no value at ``x0``: another start may have one.

    Notes
    -----
    Nocedal and Wright (2006), *Numerical Optimization*, chapter 6.
    """
    x, H = np.array(x0, dtype=float), np.array(inverse_hessian, dtype=float)
    value, get_gradient = objective(x)
    gradient = get_gradient() if np.isfinite(value) else np.full(len(x), np.nan)
    if not np.isfinite(gradient).all():
        raise np.linalg.LinAlgError("the search begins where the objective has no value")
    del get_gradient  # it holds the whole factorisation of its point
    n_evaluations, path, calm = 1, [(x.copy(), value)], 0
    message = f"no convergence in {max_iterations} iterations"
    converged = False
    for _ in range(max_iterations):
        step = -H @ gradient
        slope = gradient @ step
        if not slope < 0:  # H lost its meaning: start it afresh
            H = np.array(inverse_hessian, dtype=float)
            step = -H @ gradient
            slope = gradient @ step
        calm = calm + 1 if -slope < tolerance else 0
        if calm == 2 or -slope < 1e-2 * tolerance:
            converged, message = True, "converged"
            break
        found = _backtrack(objective, x, value, step, slope)
        n_evaluations += found[3]
        if found[0] is None:
            if calm:
                converged, message = True, "converged to the precision of the objective"
            elif H is not None and not np.array_equal(H, inverse_hessian):
                H = np.array(inverse_hessian, dtype=float)
                continue
            else:
                message = "no step lowers the objective although the gradient is not zero"
            break
        x_new, value_new, gradient_new, _ = found
        H = bfgs_update(H, x_new - x, gradient_new - gradient)
        x, value, gradient = x_new, value_new, gradient_new
        path.append((x.copy(), value))
        if n_evaluations >= max_evaluations:
            message = f"no convergence in {n_evaluations} evaluations"
            break
        if is_known(x, value):
            message = "on the way to a minimum found before"
            break
    decrement = float(gradient @ H @ gradient)
    return Optimum(x, float(value), gradient, decrement, n_evaluations, converged, message, H, tuple(path))


def _backtrack(objective, x, value, step, slope):
    """Shorten the step until the objective falls enough (Armijo), by quadratic interpolation."""
    length = 1.0
    noise = 4.0 * np.finfo(float).eps * max(abs(value), 1.0)
    for trial in range(1, 31):
        candidate = x + length * step
        new, get_gradient = objective(candidate)
        if np.isfinite(new) and new <= value + 1e-4 * length * slope + noise:
            gradient = get_gradient()
            if np.isfinite(gradient).all():
                return candidate, new, gradient, trial
        shrink = 0.1
        if np.isfinite(new):
            curvature = new - value - length * slope
            shrink = np.clip(-0.5 * length * slope / curvature, 0.1, 0.5) if curvature > 0 else 0.5
        length *= shrink
        if -length * slope < noise:
            break
    return None, None, None, trial


def bfgs_update(H: FloatArray, s: FloatArray, y: FloatArray) -> FloatArray:
    """Return the BFGS update of an inverse Hessian; a step without positive curvature teaches nothing."""
    sy = s @ y
    if not sy > 1e-10 * np.sqrt((s @ s) * (y @ y)):
        return H
    Hy = H @ y
    return H + np.outer(s, s) * (1.0 + y @ Hy / sy) / sy - (np.outer(Hy, s) + np.outer(s, Hy)) / sy


def vanishing_gradient(
    gradient: Callable[[FloatArray], FloatArray],
    x: FloatArray,
    inverse_hessian: FloatArray,
    tolerance: float,
    length: Callable[[FloatArray, FloatArray], float],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return where a gradient g vanishes, ``g' H^-1 g < tolerance``, the inverse Hessian and g there.

    BFGS on the gradient alone, for a function whose value is dear: a step is as long as the slope along it
    allows.

    Parameters
    ----------
    gradient : callable
    x : (k,) array
        Where to begin.
    inverse_hessian : (k, k) array
        A guess there.
    tolerance : float
    length : callable
        ``length(x, step)`` is the largest share of a step that may be taken, before anything is known of it.

    Raises
    ------
    numpy.linalg.LinAlgError
        If there is no such point.
    """
    H, g = inverse_hessian, gradient(x)
    for _ in range(MOST_STEPS):
        if g @ H @ g < tolerance:
            return x, H, g
        step = -H @ g
        step = step * min(1.0, length(x, step))
        slope = g @ step
        for _ in range(8):
            new = gradient(x + step)
            if new @ step <= TURNED * abs(slope):
                break
            step = 0.5 * step
            slope *= 0.5
        H = bfgs_update(H, step, new - g)
        x, g = x + step, new
    raise np.linalg.LinAlgError(f"the gradient does not vanish within {MOST_STEPS} steps")


def gradient_hessian(gradient: Callable[..., Any], x: FloatArray, step: FloatArray) -> FloatArray:
    """Return the Hessian as symmetrised central differences of an exact gradient.

    ``step`` (k,) is the half-width for each parameter; the error is of the order of its square.
    """
    k = len(x)
    H = np.empty((k, k))
    for i in range(k):
        shift = np.zeros(k)
        shift[i] = step[i]
        H[i] = (gradient(x + shift) - gradient(x - shift)) / (2.0 * step[i])
    return 0.5 * (H + H.T)
