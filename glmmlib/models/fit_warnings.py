"""What a fit warns of when it is made: boundaries, infinite estimates, a rough approximation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmmlib.display.words import listed
from glmmlib.errors import (
    ConvergenceWarning,
    QuadratureWarning,
    SeparationWarning,
    SingularFitWarning,
)
from glmmlib.fitted import FittedGeneralizedModel, FittedModel
from glmmlib.likelihood.glmm import RangeError
from glmmlib.likelihood.quadrature import Quadrature
from glmmlib.types import FloatArray


def warn_about(fit: FittedModel, stacklevel: int = 3) -> None:
    """Warn where an estimate is on the boundary, or where the optimiser gave up."""
    if not fit.convergence.converged:
        warnings.warn(
            f"The fit of {fit.formula!r} has not converged: {fit.convergence}; look at gl.check(fit, "
            "rng=rng), and try fewer"
            " random effects or rescaled columns.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
    if fit.singular_terms:
        advice = (
            ": the process alone describes the rows, and a second measurement in a place would repeat it"
            if fit.singular_terms == (fit.no_residual,)
            else ", but the data do not support this much variation; consider a simpler random-effects term"
        )
        warnings.warn(
            f"Singular fit: {'; '.join(fit.singular_terms)}.  The estimates are valid maximum likelihood "
            f"answers{advice}.",
            SingularFitWarning,
            stacklevel=stacklevel,
        )


def warn_about_categories(fit: FittedGeneralizedModel, Y: FloatArray, stacklevel: int = 3) -> None:
    """Warn of responses (n, R) of which some lack a category."""
    absent = [found for y in Y.T if (found := fit.family.absent(y))]
    if absent:
        levels = list(dict.fromkeys(level for found in absent for level in found))
        warnings.warn(
            f"{fit.formula!r}: {len(absent)} of {Y.shape[1]} responses have no row {in_category(levels)}, so "
            "their thresholds beside it are infinite, or equal; all else is as without it.",
            SeparationWarning,
            stacklevel=stacklevel,
        )


def in_category(levels: Sequence[Any]) -> str:
    """Name categories for a message.

    >>> in_category(["low"]), in_category([1, 4])
    ('in the category low', 'in the categories 1, 4')
    """
    return f"in the {'category' if len(levels) == 1 else 'categories'} {listed(levels)}"


INFINITE_SD = (
    15.0  # on a logit or log scale: odds or means that differ by a factor of millions between groups
)


def warn_about_estimates(fit: FittedGeneralizedModel, stacklevel: int = 3) -> None:
    """Warn of what makes the estimates doubtful, the gravest first and alone."""
    if absent := fit.family.absent(fit.solution.observations[0]):
        warnings.warn(
            f"{fit.formula!r}: the response has no row {in_category(absent)}, so the thresholds beside it "
            "are infinite, or equal; all else is as without it.",
            SeparationWarning,
            stacklevel=stacklevel,
        )
        return
    if fit.separation is not None:
        warnings.warn(f"{fit.formula!r}: {fit.separation}.", SeparationWarning, stacklevel=stacklevel)
        return
    warn_about(fit, stacklevel=stacklevel + 1)
    if fit.convergence.converged and not _warn_about_infinite_spread(fit, stacklevel + 1):
        _warn_about_quadrature(fit, stacklevel + 1)


def _warn_about_infinite_spread(fit: FittedModel, stacklevel) -> bool:
    """Warn where an SD on the scale of the link has no finite estimate."""
    if fit.family.limited_range:
        return False
    for g, L in zip(fit.groups, fit.solution.Lambdas, strict=True):
        if g.is_curve:
            continue
        sd = np.sqrt(
            np.mean((L.T @ g.factor.Z) ** 2) * g.q
        )  # of the group's part of the linear predictor, in a typical row
        if sd > INFINITE_SD:
            warnings.warn(
                f"The effects of {g.name} have an SD of {sd:.3g} on the {fit.family.link.name} scale, which "
                "runs to infinity:"
                " within most groups all responses are alike, so the data say only that it is large; "
                "describe the"
                " groups instead of their rows, or use a prior (a Bayesian model).",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )
            return True
    return False


def _warn_about_quadrature(fit, stacklevel):
    """Warn where more quadrature points would visibly move an estimate."""
    shift = quadrature_shift(fit)
    if shift is None or shift.size < (VISIBLE_SHIFT if len(fit.groups) == 1 else WORTH_THE_COST):
        return
    found = (
        "Laplace's approximation is rough here"
        if fit.n_agq == 1
        else f"{fit.n_agq} quadrature points are too few here"
    )
    warnings.warn(
        f"{found}: more points would move the estimate of {shift.parameter} by about {shift.size:.1g} "
        "standard errors;"
        f" refit with n_agq={max(9, 2 * fit.n_agq + 1)}, then with more, until the answer stays.",
        QuadratureWarning,
        stacklevel=stacklevel,
    )


# In standard errors. An estimate that is off by d of them has a 95 % interval that covers with probability
# Phi(1.96 - d) - Phi(-1.96 - d): 94.9 % at 0.1, 94.5 % at 0.2, 92.1 % at 0.5, 83 % at 1.
VISIBLE_SHIFT = 0.1
WORTH_THE_COST = 0.2  # where factors are nested, and half a point of coverage costs the rows a power more


@dataclass(frozen=True)
class Shift:
    """The parameter that a finer rule would move most, and by how many standard errors."""

    parameter: str
    size: float
    n_points: int


def quadrature_shift(fit: FittedGeneralizedModel, n_points: int | None = None) -> Shift | None:
    """Estimate what more quadrature points would change, by a Newton step with the finer rule's gradient.

    Where that is visible, the gradient at its end, or a standard error away if the step is longer, tells how
    much of it is too much. Returns None where there is no quadrature (crossed factors, or more than two
    random effects of one) and where the check would cost more than the fit (over five million evaluations of
    the density).
    """
    solution, sizes = fit.solution, [g.q for g in fit.groups]
    if solution.problem.structure.crossed or max(sizes) > 2 or any(g.is_whole for g in fit.groups):
        return None
    if n_points is None:
        n_points = (5 if sum(sizes) == 1 else 3) if fit.n_agq == 1 else 2 * fit.n_agq + 1
    if n_points ** sum(sizes) * fit.nobs > 5_000_000:
        return None
    finer = copy(solution.problem)
    finer.quadrature = Quadrature(n_points)
    finer.keep(solution.mode, solution.parameters)
    gradient = finer.evaluate(solution.parameters, solution.mode)[1]
    found = shift_of(fit, gradient, n_points)
    if found.size < VISIBLE_SHIFT:
        return found
    length = min(1.0, 1.0 / found.size)
    step = -0.5 * length * solution.rough_covariance @ gradient
    slope, left = gradient @ step, _slope(finer, solution.parameters + step, step)
    if not left > 0.0 > slope:
        return found
    return replace(found, size=float(length * found.size * slope / (slope - left)))


def _slope(problem, x, step):
    """Return the derivative along a step at its end; none where the parameters allow no value."""
    try:
        return problem.gradient(x) @ step
    except (np.linalg.LinAlgError, RangeError):
        return -np.inf


def shift_of(fit: FittedGeneralizedModel, gradient: FloatArray, n_points: int) -> Shift:
    """Return the largest move, in standard errors, that Newton's step makes for a gradient of -2 log L."""
    solution, p = fit.solution, len(fit.params)
    problem, covariance = solution.problem, solution.rough_covariance
    step = 0.5 * covariance @ gradient
    T = np.eye(len(step))
    T[:p, :p] = solution.coordinates.beta(np.eye(p))
    T[p + problem.n_theta :, p + problem.n_theta :] = problem.predictors.to_user
    moved = np.abs(T @ step) / np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", T, covariance, T), 1e-300))
    names = [*fit.params.index, *_spreads(problem), *problem.predictors.names]
    worst = int(np.argmax(moved))
    return Shift(names[worst], float(moved[worst]), n_points)


def _spreads(problem):
    """Name what each entry of theta is about."""
    names = np.empty(problem.n_theta, dtype=object)
    for f, block in problem.covariance.places:
        name = problem.structure.factors[f].name
        names[block.index] = f"the random effects' spread between the levels of {name}"
    return names
