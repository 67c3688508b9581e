"""Minimise the criterion of a linear model with a residual side over (phi, theta)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.likelihood.lmm_minimise import EXACT_GROUPS, NO_RESIDUAL, minimise_deviance
from glmmlib.likelihood.lmm_start import first_theta
from glmmlib.likelihood.optimise import Optimum, minimise
from glmmlib.likelihood.residual_deviance import ResidualDeviance
from glmmlib.types import FloatArray

TOLERANCE = 1e-10
FEW_ROWS = 20_000  # up to here theta is searched for from everywhere once phi is known
NEARLY_SINGULAR = 1e-10  # least eigenvalue of a correlation matrix of residuals
WITHOUT_VALUE = (
    "the residual covariance has no estimate: some combination of the positions of {} does not vary at all, "
    "or the SD of some rows runs to zero; take a simpler residual structure, or more blocks"
)


def minimise_residual(problem: ResidualDeviance, label: str, near: FloatArray | None = None) -> Optimum:
    """Minimise over (phi, theta), in standardised coordinates; ``label`` names the residual side.

    ``near`` (k,) is the optimum of a similar response: the search begins there alone.

    Raises
    ------
    ModelError
        If no residual variation is left, in all rows or in some direction.
    """
    plain = problem.plain
    if plain.yy <= plain.rounding:
        raise ModelError(
            "the fixed effects reproduce the response exactly, so nothing is left to vary: is the response, "
            "or a copy of it, among the predictors?"
        )
    found = [] if near is None else [_descend(problem, *problem.split(near))]
    if not any(found):
        found = [_descend(problem, phi) for phi in problem.side.starts(problem.e)]
    optima = [optimum for optimum in found if optimum is not None]
    if not optima:
        raise ModelError(WITHOUT_VALUE.format(label))
    best = min(optima, key=lambda optimum: optimum.value)
    best = replace(best, n_evaluations=sum(o.n_evaluations for o in optima))
    if problem.n_theta and plain.n <= FEW_ROWS:
        best = _looked_around(problem, best)
    best = _snapped(problem, best)
    _check(problem, best, label)
    return best


def _descend(problem: ResidualDeviance, phi: FloatArray, theta: FloatArray | None = None) -> Optimum | None:
    """Go down from one start; None where the criterion has no value there."""
    try:
        white = problem.at(phi)
        guess = np.diag(problem.side.inverse_curvature(phi))
        if problem.n_theta:
            first, curvature = first_theta(white.problem)
            theta = first if theta is None else theta
            guess = np.block(
                [
                    [guess, np.zeros((problem.n_phi, problem.n_theta))],
                    [np.zeros((problem.n_theta, problem.n_phi)), curvature],
                ]
            )
    except np.linalg.LinAlgError:
        return None
    x = phi if theta is None else np.append(phi, theta)
    if not np.isfinite(problem.objective(x)[0]):
        return None
    return minimise(problem.objective, x, guess, tolerance=TOLERANCE)


def _looked_around(problem: ResidualDeviance, best: Optimum) -> Optimum:
    """Go on from a lower theta for the same phi, if the search of the ordinary model finds one."""
    phi, _ = problem.split(best.x)
    try:
        found = minimise_deviance(problem.at(phi).problem)
    except ModelError:
        return best
    if found.value >= best.value - 1e-6:
        return best
    other = _descend(problem, phi, found.x)
    return best if other is None or other.value >= best.value else other


def _snapped(problem: ResidualDeviance, best: Optimum) -> Optimum:
    """Put theta on the boundary, and give it the usual signs, where that costs nothing."""
    phi, theta = problem.split(best.x)
    covariance = problem.plain.covariance
    for moved in (covariance.snapped(theta), covariance.rectified(theta)):
        if np.array_equal(moved, theta):
            break
        x = np.append(phi, moved)
        value, get_gradient = problem.objective(x)
        if value <= best.value + 1e-8:
            return replace(best, x=x, value=value, gradient=get_gradient())
    return best


def _check(problem, best, label):
    phi, theta = problem.split(best.x)
    R = problem.side.structure.matrix(problem.side.split(phi)[0])
    sd = np.sqrt(np.diag(R))
    white = problem.at(phi).problem
    r2 = white.at(white.Lambdas(theta)).r2
    if np.linalg.eigvalsh(R / np.outer(sd, sd))[0] < NEARLY_SINGULAR or sd.min() < 1e-6 * sd.max():
        raise ModelError(WITHOUT_VALUE.format(label))
    if r2 <= EXACT_GROUPS**2 * white.yy:
        raise ModelError(NO_RESIDUAL)
