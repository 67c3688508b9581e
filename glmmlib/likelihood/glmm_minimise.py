"""Minimise -2 log L of a generalised model: quasi-Newton steps, then Newton's, whose Hessian gives the
standard errors.
"""

from dataclasses import replace

import numpy as np

from glmmlib.likelihood.glmm import (
    PIRLS_TOLERANCE,
    POLISH_TOLERANCE,
    ExactFitError,
    LaplaceDeviance,
    RangeError,
    SaturatedError,
)
from glmmlib.likelihood.glmm_differences import forward_hessian
from glmmlib.likelihood.glmm_search import STEPS, other_starts
from glmmlib.likelihood.glmm_start import first_parameters, other_parameters, parameters_at
from glmmlib.likelihood.optimise import Optimum, minimise
from glmmlib.likelihood.saturation import is_saturated
from glmmlib.types import FloatArray

SHRINKS = (1.0, 0.3, 0.1, 0.01)  # of the first SDs, until there is a value
LONG = 400  # evaluations of one search; where the deviance bends at each step, Newton's steps come on faster
EVALUATIONS = 80  # of a search from another start: far up a slope each step may take many
FLAT = 1e-2  # the least eigenvalue of a Hessian scaled to a diagonal of one that makes a bowl


def minimise_deviance(problem: LaplaceDeviance) -> tuple[Optimum, FloatArray]:
    """Minimise over all parameters.

    Quasi-Newton steps first, then Newton steps with a Hessian from differences of the exact gradient, which
    also judges the end and gives standard errors.

    Returns
    -------
    optimum : Optimum
    hessian : (k, k) array
        Of -2 log L in (beta, theta, tau), standardised.

    Raises
    ------
    SaturatedError, ExactFitError
        Where the likelihood has no maximum, as the model reproduces any response, or this one.
    """
    if problem.predictors.may_be_exact and is_saturated(problem.structure, problem.Q.T):
        raise SaturatedError
    optimum, hessian = _first_minimum(problem)
    optimum, hessian = _lowest(problem, optimum, hessian)
    snapped = _snap(problem, optimum)
    if not np.array_equal(snapped.x, optimum.x):  # standard errors are those of the point that is reported
        scale = np.sqrt(np.maximum(np.diag(optimum.inverse_hessian), 1e-12))
        problem.pirls_tolerance = POLISH_TOLERANCE
        _, gradient, mode = problem.evaluate(snapped.x)
        hessian = forward_hessian(problem, snapped.x, gradient, mode, scale)
        problem.pirls_tolerance = PIRLS_TOLERANCE
    problem._anchor = None  # nothing large is kept
    return snapped, hessian


def _lowest(problem: LaplaceDeviance, optimum: Optimum, hessian: FloatArray) -> tuple[Optimum, FloatArray]:
    """Look for a lower minimum where a variance ends near zero, which is always a stationary point, and where
    few levels hold what there is to know. The search for the mode of the lowest one begins at its own.
    """
    u = problem.nearest_mode
    for start in _other_starts(problem, optimum):
        try:
            x, H = parameters_at(problem, start.theta[0])
            x[: problem.p] += start.shift[0] * problem.level
            is_known = _bowl(optimum, hessian)
            again = minimise(
                problem.objective,
                x,
                H,
                tolerance=1e-3,
                max_iterations=STEPS,
                max_evaluations=EVALUATIONS,
                is_known=is_known,
            )
            if again.value < optimum.value - 1e-4:
                again, other_hessian = _local_minimum(problem, again.x, again.inverse_hessian)
                if again.value < optimum.value:
                    optimum, hessian, u = again, other_hessian, problem.nearest_mode
        except (np.linalg.LinAlgError, RangeError, ExactFitError):
            problem.pirls_tolerance = PIRLS_TOLERANCE
    problem.begin_at(u)
    return optimum, hessian


def _bowl(optimum, hessian):
    """Where the deviance is that of a minimum's own parabola, it leads nowhere but to that minimum; a valley
    that is nearly flat may have a second one.
    """
    size = np.sqrt(np.abs(np.diag(hessian)))
    if not np.all(size > 0) or np.linalg.eigvalsh(hessian / np.outer(size, size))[0] < FLAT:
        return lambda x, value: False

    def is_inside(x, value):
        away = x - optimum.x
        rise = 0.5 * away @ hessian @ away
        return rise < 1.0 and abs(value - optimum.value - rise) < 0.2 * rise + 1e-4

    return is_inside


def _other_starts(problem, optimum):
    def information():
        cross = problem.mode(*problem.split(optimum.x)).cross
        return [np.einsum("aaj->aj", A)[:, None] for A in cross.A]

    theta, value, has_dispersion = (
        problem.theta(optimum.x),
        np.array([optimum.value]),
        problem.predictors.size > 0,
    )
    return other_starts(problem.covariance, theta[None], value, information, problem.n, has_dispersion)


def _local_minimum(problem: LaplaceDeviance, x: FloatArray, H: FloatArray) -> tuple[Optimum, FloatArray]:
    """Descend from one start: return the optimum and the Hessian there."""
    optimum = minimise(problem.objective, x, H, tolerance=1e-3, max_evaluations=LONG)
    for _ in range(12):
        optimum, hessian = _polish(problem, optimum)
        if (
            not optimum.converged
        ):  # a curved valley, as near a singular Lambda: Newton's steps leave it, short ones follow it
            problem.pirls_tolerance = POLISH_TOLERANCE
            again = minimise(
                problem.objective, optimum.x, optimum.inverse_hessian, tolerance=1e-8, max_evaluations=LONG
            )
            problem.pirls_tolerance = PIRLS_TOLERANCE
            if again.value >= optimum.value - 1e-9:
                break
            optimum = again
            continue
        values, vectors = np.linalg.eigh(_scaled_hessian(hessian, optimum.inverse_hessian))
        if values[0] > -1e-4 * max(values[-1], 1.0):
            break
        direction = np.sqrt(np.diag(optimum.inverse_hessian)) * vectors[:, 0]
        trials = [optimum.x + s * size * direction for s in (1, -1) for size in (0.3, 1.5)]
        start = min(trials, key=lambda t: problem.objective(t)[0])
        away = np.abs(optimum.inverse_hessian) * np.eye(len(start))
        again = minimise(problem.objective, start, away, tolerance=1e-3, max_evaluations=LONG)
        if again.value >= optimum.value - 1e-7:
            break
        optimum = again
    return optimum, hessian


def _first_minimum(problem):
    """Descend from the first start at which there is a value: variances may have to be small."""
    for shrink in SHRINKS:
        try:
            return _local_minimum(problem, *_first_parameters(problem, shrink))
        except (np.linalg.LinAlgError, RangeError):
            if shrink == SHRINKS[-1]:
                raise
        _begin_again(problem)
    raise AssertionError("the last start returns or raises")


def _begin_again(problem):
    problem.begin_at([np.zeros_like(u) for u in problem.nearest_mode])
    problem._anchor, problem.pirls_tolerance = None, PIRLS_TOLERANCE


def _first_parameters(problem, shrink):
    """Return where to begin, and a guess of the inverse Hessian there.

    Where a covariance parameter may have several optima, that is the lowest to which its first values lead.
    """
    x, H = first_parameters(problem, shrink)
    others = list(other_parameters(problem, x))
    if not others:
        return x, H
    starts = [x, *(other for other in others if np.isfinite(problem.objective(other)[0]))]
    optima = [minimise(problem.objective, start, H, tolerance=1e-3, max_evaluations=LONG) for start in starts]
    lowest = min(optima, key=lambda found: found.value)
    return lowest.x, lowest.inverse_hessian


def _snap(problem: LaplaceDeviance, optimum: Optimum) -> Optimum:
    """Put a Lambda that is singular but for rounding on the boundary itself, where that costs nothing."""
    here = slice(problem.p, problem.p + problem.n_theta)
    theta, covariance = optimum.x[here], problem.covariance
    for candidate in (covariance.snapped(theta), covariance.rectified(theta)):
        x = optimum.x.copy()
        x[here] = candidate
        if np.array_equal(x, optimum.x):
            break
        value, get_gradient = problem.objective(x)
        if value <= optimum.value + 1e-7:
            return replace(optimum, x=x, value=value, gradient=get_gradient())
    return optimum


def _polish(problem, optimum):
    """Newton's method to the end; returns the optimum and the Hessian near it."""
    problem.pirls_tolerance = POLISH_TOLERANCE
    x, H = optimum.x, optimum.inverse_hessian
    value, gradient, mode = problem.evaluate(x)
    evaluations, hessian, decrement, shift = optimum.n_evaluations + 1, None, np.inf, np.inf
    for _ in range(20):
        problem.keep(mode, x)
        if shift > 0.05:
            hessian = forward_hessian(problem, x, gradient, mode, np.sqrt(np.maximum(np.diag(H), 1e-12)))
            evaluations += len(x)
            values, vectors = np.linalg.eigh(_scaled_hessian(hessian, H))
            scale = np.sqrt(np.maximum(np.diag(H), 1e-12))
            floor = 1e-6 * max(values[-1], 1e-6)
            inverse = (vectors / np.maximum(np.abs(values), floor)) @ vectors.T * np.outer(scale, scale)
        decrement = gradient @ inverse @ gradient
        if decrement < 1e-9:
            break
        step, length, found = -inverse @ gradient, 1.0, None
        while length > 1e-4 and found is None:
            found = _evaluated(problem, x + length * step, value + _rounding(value, mode))
            evaluations += 1
            length = length if found is not None else 0.25 * length
        if found is None:
            break
        x = x + length * step
        shift = length * np.sqrt(decrement)
        value, gradient, mode = found
        H = inverse
    problem.pirls_tolerance = PIRLS_TOLERANCE
    converged = bool(decrement < 1e-5)
    message = "converged" if converged else "the Newton steps stopped before the gradient vanished"
    path = (*optimum.path, (x, value))
    polished = replace(
        optimum,
        x=x,
        value=value,
        gradient=gradient,
        decrement=float(decrement),
        inverse_hessian=inverse,
        n_evaluations=evaluations,
        converged=converged,
        message=message,
        path=path,
    )
    return polished, hessian


def _rounding(value, mode):
    """Return by how much a value may rise without a meaning: counts of billions are sums of large numbers."""
    return 1e-10 * abs(value) + 4.0 * np.finfo(float).eps * abs(mode.penalised)


def _evaluated(problem, x, highest):
    """Return what ``problem.evaluate`` does, or None where the value is above the highest allowed or does not
    exist.
    """
    try:
        found = problem.evaluate(x)
    except (np.linalg.LinAlgError, RangeError):
        return None
    return found if found[0] <= highest and np.isfinite(found[1]).all() else None


def _scaled_hessian(hessian: FloatArray, inverse: FloatArray) -> FloatArray:
    scale = np.sqrt(np.maximum(np.diag(inverse), 1e-12))
    return hessian * np.outer(scale, scale)
