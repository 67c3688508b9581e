"""Minimise -2 log L of a generalised model: quasi-Newton steps, then Newton's, whose Hessian gives the
standard errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.likelihood.glmm import (
    PIRLS_TOLERANCE,
    POLISH_TOLERANCE,
    ExactFitError,
    LaplaceDeviance,
    RangeError,
)
from glmmlib.likelihood.glmm_start import first_parameters, other_parameters, parameters_at
from glmmlib.likelihood.optimise import Optimum, minimise
from glmmlib.types import BoolArray, FloatArray

OTHER_SIZES = (1.0, 3.0, 10.0)  # of random effects, in units of the root of 1 / information
FEW_LEVELS, FEW_ROWS = 6.0, 2_000  # an effective number of levels below which there may be several minima
ROWS_TO_TELL = 3  # rows a level, on average, that tell its effect from the dispersion


def minimise_deviance(problem: LaplaceDeviance) -> tuple[Optimum, FloatArray]:
    """Minimise over all parameters.

    Quasi-Newton steps first, then Newton steps with a Hessian from differences of the exact gradient, which
    also judges the end and gives standard errors.

    Returns
    -------
    optimum : Optimum
    hessian : (k, k) array
        Of -2 log L in (beta, theta, tau), standardised.
    """
    optimum, hessian = _local_minimum(problem, *_first_parameters(problem))
    optimum, hessian = _lowest(problem, optimum, hessian)
    snapped = _snap(problem, optimum)
    if not np.array_equal(snapped.x, optimum.x):  # standard errors are those of the point that is reported
        scale = np.sqrt(np.maximum(np.diag(optimum.inverse_hessian), 1e-12))
        problem.pirls_tolerance = POLISH_TOLERANCE
        hessian = _hessian(problem, snapped.x, problem.gradient(snapped.x), scale)
        problem.pirls_tolerance = PIRLS_TOLERANCE
    problem._anchor = None  # nothing large is kept
    return snapped, hessian


def _lowest(problem: LaplaceDeviance, optimum: Optimum, hessian: FloatArray) -> tuple[Optimum, FloatArray]:
    """Look for a lower minimum where a variance ends near zero, which is always a stationary point, and where
    few levels hold what there is to know.
    """
    for theta in _other_sizes(problem, optimum.x):
        try:
            x, H = parameters_at(problem, theta)
            if not np.isfinite(problem.objective(x)[0]):
                continue
            again = minimise(problem.objective, x, H, tolerance=1e-3)
            if again.value < optimum.value - 1e-4:
                again, other_hessian = _local_minimum(problem, again.x, again.inverse_hessian)
                if again.value < optimum.value:
                    optimum, hessian = again, other_hessian
        except (np.linalg.LinAlgError, RangeError, ExactFitError):
            continue
    problem._last = [np.zeros_like(u) for u in problem._last]
    return optimum, hessian


def _other_sizes(problem, x):
    """Return thetas with other sizes of the random effects, in units of what the levels tell about them."""
    covariance, theta = problem.covariance, problem.theta(x)

    def information():
        return [np.einsum("aaj->aj", A)[:, None] for A in problem.evaluate(x)[2].cross.A]

    (chosen,), (typical,) = to_be_resized(
        covariance, theta[None], information, problem.n, problem.predictors.size > 0
    )
    return [np.where(chosen, size * typical, theta) for size in OTHER_SIZES if chosen.any()]


def to_be_resized(
    covariance: CovarianceParameters,
    theta: FloatArray,
    information: Callable[[], Sequence[FloatArray]],
    n: int,
    has_dispersion: bool,
) -> tuple[BoolArray, FloatArray]:
    """Tell which parameters a search for a lower minimum gives other sizes, and the unit of these sizes.

    Those that ended near zero, which is always a stationary point. All, where there may be several minima:
    few levels hold what there is to know, or the dispersion can do what the effects of levels of few rows do.

    Parameters
    ----------
    covariance : CovarianceParameters
    theta : (R, k) array
        Where R minimisations ended.
    information : callable
        Returns for each factor the diagonals (q, R, J) of ``Z_j'WZ_j`` there; asked only where it matters.
    n : int
        The number of rows.
    has_dispersion : bool

    Returns
    -------
    chosen : (R, k) bool array
    typical : (R,) array
        The size of effects of which a typical level tells about half.
    """
    chosen = covariance.collapsed(theta)
    if n >= FEW_ROWS and not chosen.any():
        return chosen, np.ones(len(theta))
    totals = [np.maximum(a.sum(axis=0), 1e-300) for a in information()]
    effective = np.min([a.sum(axis=1) ** 2 / (a**2).sum(axis=1) for a in totals], axis=0)
    can_trade = has_dispersion and n < ROWS_TO_TELL * max(a.shape[1] for a in totals)
    few = (effective < FEW_LEVELS) | can_trade
    if n < FEW_ROWS and few.any():
        rest = few & ~chosen.any(axis=1)
        chosen[np.ix_(rest, covariance.sizes)] = True
    return chosen, 1.0 / np.sqrt(np.max([a.mean(axis=1) for a in totals], axis=0))


def _local_minimum(problem: LaplaceDeviance, x: FloatArray, H: FloatArray) -> tuple[Optimum, FloatArray]:
    """Descend from one start: return the optimum and the Hessian there."""
    optimum = minimise(problem.objective, x, H, tolerance=1e-3)
    for _ in range(12):
        optimum, hessian = _polish(problem, optimum)
        if (
            not optimum.converged
        ):  # a curved valley, as near a singular Lambda: Newton's steps leave it, short ones follow it
            problem.pirls_tolerance = POLISH_TOLERANCE
            again = minimise(problem.objective, optimum.x, optimum.inverse_hessian, tolerance=1e-8)
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
        again = minimise(
            problem.objective, start, np.abs(optimum.inverse_hessian) * np.eye(len(start)), tolerance=1e-3
        )
        if again.value >= optimum.value - 1e-7:
            break
        optimum = again
    return optimum, hessian


def _first_parameters(problem):
    """Return where to begin, and a guess of the inverse Hessian there.

    Where a covariance parameter may have several optima, that is the lowest to which its first values lead.
    """
    x, H = first_parameters(problem)
    others = list(other_parameters(problem, x))
    if not others:
        return x, H
    starts = [x, *(other for other in others if np.isfinite(problem.objective(other)[0]))]
    optima = [minimise(problem.objective, start, H, tolerance=1e-3) for start in starts]
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
        problem._keep(mode, x)
        if shift > 0.05:
            hessian = _hessian(problem, x, gradient, np.sqrt(np.maximum(np.diag(H), 1e-12)))
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
            found = _evaluated(problem, x + length * step, value + 1e-10 * abs(value))
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


def _evaluated(problem, x, highest):
    """Return what ``problem.evaluate`` does, or None where the value is above the highest allowed or does not
    exist.
    """
    try:
        found = problem.evaluate(x)
    except (np.linalg.LinAlgError, RangeError):
        return None
    return found if found[0] <= highest else None


def _hessian(problem: LaplaceDeviance, x: FloatArray, gradient: FloatArray, scale: FloatArray) -> FloatArray:
    """Return the Hessian of -2 log L from forward differences of its exact gradient."""
    H = np.empty((len(x), len(x)))
    for i, s in enumerate(scale):
        for h in (5e-4 * s, -5e-4 * s, 1e-5 * s):
            shifted = x.copy()
            shifted[i] += h
            try:
                H[i] = (problem.gradient(shifted) - gradient) / h
                break
            except (np.linalg.LinAlgError, RangeError):
                H[i] = np.nan
    return 0.5 * (H + H.T)


def _scaled_hessian(hessian: FloatArray, inverse: FloatArray) -> FloatArray:
    scale = np.sqrt(np.maximum(np.diag(inverse), 1e-12))
    return hessian * np.outer(scale, scale)
