"""Minimise the profiled deviance (or the REML criterion) of a linear model over theta."""

from dataclasses import replace

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.likelihood.lmm_start import first_theta
from glmmlib.likelihood.optimise import gradient_hessian, minimise

EXACT_MEAN = 1e-13  # residual SD over that of the response: below this the fixed effects leave only rounding
EXACT_GROUPS = 1e-6  # below this the residual sum of squares has lost most of its digits


def minimise_deviance(problem):
    """Minimise over theta; returns the :class:`~glmmlib.likelihood.optimise.Optimum` (in standardised
    coordinates).

    ``theta = 0`` is always a stationary point, no gradient can tell whether it is a minimum, and with few
    groups there may be a lower one elsewhere. So where a column of some Lambda ends near zero the search
    looks around, and goes on from a lower point if there is one.
    """
    if problem.yy <= EXACT_MEAN**2 * problem.total:
        raise ModelError(
            "the fixed effects reproduce the response exactly, so nothing is left for random effects to "
            "explain:"
            " is the response, or a copy of it, among the predictors?"
        )
    theta, H = first_theta(problem)
    is_large = problem.structure.m > 300 or max(f.n_columns for f in problem.structure.factors) > 20_000
    tolerance = 1e-7 if is_large else 1e-10
    optimum = _descend(problem, theta, H, tolerance)
    for _ in range(5):
        candidates = _curvature_candidates(problem, optimum.x)
        if not is_large:
            candidates += _distant_candidates(problem, optimum.x)
        lower = min(candidates, key=lambda x: problem.objective(x)[0], default=None)
        if lower is None or problem.objective(lower)[0] >= optimum.value - 1e-9:
            break
        optimum = _descend(problem, lower, H, tolerance)
    return _snap(problem, optimum)


def _descend(problem, theta, H, tolerance):
    optimum = minimise(problem.objective, theta, H, tolerance=tolerance)
    if problem.at(problem.Lambdas(optimum.x)).r2 <= EXACT_GROUPS**2 * problem.yy:
        raise ModelError(
            "the random effects reproduce the response to six digits: without residual variation the "
            "likelihood has no"
            " maximum; is the response constant within groups, or has each group too few rows?"
        )
    return optimum


def _curvature_candidates(problem, theta):
    """Return points along a direction of negative curvature, if theta is near the boundary and there is
    one.
    """
    if not problem.covariance.collapsed(theta).any():
        return []
    hessian = gradient_hessian(problem.gradient, theta, np.full(problem.n_theta, 1e-3))
    values, vectors = np.linalg.eigh(hessian)
    if values[0] > -1e-3 * max(1.0, values[-1]):
        return []
    return [theta + s * size * vectors[:, 0] for s in (1, -1) for size in (0.05, 0.3)]


def _distant_candidates(problem, theta):
    """Return points at which parameters that are near zero are large, one by one and all together."""
    zero = list(np.flatnonzero(problem.covariance.collapsed(theta)))
    candidates = []
    for chosen in [[z] for z in zero] + ([zero] if len(zero) > 1 else []):
        for size in (0.5, 1.0, 2.0, 4.0):
            raised = theta.copy()
            raised[chosen] = size
            candidates.append(raised)
    return candidates


def _snap(problem, optimum):
    """Put a Lambda that is singular but for rounding on the boundary itself, where that costs nothing."""
    covariance = problem.covariance
    for theta in (covariance.snapped(optimum.x), covariance.rectified(optimum.x)):
        if np.array_equal(theta, optimum.x):
            break
        value, get_gradient = problem.objective(theta)
        if value <= optimum.value + 1e-8:
            return replace(optimum, x=theta, value=value, gradient=get_gradient())
    return optimum
