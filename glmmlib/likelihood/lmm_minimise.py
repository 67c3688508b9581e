"""Minimise the profiled deviance (or the REML criterion) of a linear model over theta.

The criterion may have several minima: with few groups, with one that holds most rows, with weights over many
orders. So a small model is looked at over all sizes of its random effects before anything is polished, and a
large one, whose criterion is close to a parabola, where an estimate ends near zero, which is always a
stationary point.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.likelihood.candidates import ON_THE_WAY, in_own_valleys, spread_out
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.likelihood.lmm_batch import LinearBatch, suits
from glmmlib.likelihood.lmm_dense import DenseCriterion, n_dense_columns
from glmmlib.likelihood.lmm_iterative import IterativeDeviance, solve_gradient
from glmmlib.likelihood.lmm_levels import newton
from glmmlib.likelihood.lmm_newton import minimise_all
from glmmlib.likelihood.lmm_reduced import ReducedDesign
from glmmlib.likelihood.lmm_start import curvature_guess, first_theta, first_thetas, moments
from glmmlib.likelihood.optimise import Optimum, gradient_hessian, minimise
from glmmlib.likelihood.saturation import is_reproduced
from glmmlib.types import FloatArray

EXACT_GROUPS = 1e-6  # below this share of the response's SD the residual one is none
ALMOST_EXACT = 1e-3  # the same for random effects as many as rows
FEW_ROWS, FEW_EFFECTS = 20_000, 4_000  # up to here a model with one factor is small
FEW_COLUMNS = 120  # of the whole matrix, up to where a model with several factors is
DENSE_COLUMNS = 70  # of it, up to where a dense factorisation takes less time than a sparse one
MANY_CROSSED = 300  # columns of crossed factors, from where on a factorisation costs more than iterations
MANY_EFFECTS = 20_000  # of one factor: from here on a model is large, whatever else
SETTLED = 1e-7  # g' H^-1 g of the criterion where Newton's method over slices has ended
CLOSE = 1e-4  # g' H^-1 g at which iterations end and factorisations begin
MANY_SIZES = 30  # from where on those near zero are not looked at one by one
LADDER = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)
MOST_STARTS, MOST_LOOKED_AT, MOST_LOWS = 5, 20, 2
# With a process that may leave no residual: steps of Newton's method, of each start before it, of all starts
MOST_STEPS, FEW_ITERATIONS, FIRST_ITERATIONS = 10, 60, 15
ENTIRE = 0.99  # of the residual sum of squares at its floor: a process without residual variation beside it
LOOSE = 1e-9  # of the criterion: two ways to compute it agree better, where neither has lost its digits
NO_RESIDUAL = (
    "the random effects reproduce the response: without residual variation the likelihood has "
    "no maximum; is the response constant within groups, or among the effects of a random term, or has each "
    "group too few rows?"
)
NO_START = (
    "the likelihood has no value that the search for its maximum could begin with: columns of very different "
    "sizes, or nearly the same ones, leave no digits, so centre and scale them"
)


def minimise_deviance(problem: ProfiledDeviance) -> Optimum:
    """Minimise over theta.

    Returns
    -------
    Optimum
        In standardised coordinates.

    Raises
    ------
    ModelError
        If no residual variation is left.
    """
    if problem.yy <= problem.rounding:
        raise ModelError(
            "the fixed effects reproduce the response exactly, so nothing is left for random effects to "
            "explain: is the response, or a copy of it, among the predictors?"
        )
    if problem.is_saturated and not problem.reml:
        raise ModelError(NO_RESIDUAL)
    if problem.least_share and problem.keeps_rows:
        y = problem.y if problem.offset is None else problem.y - problem.offset
        if is_reproduced(problem.structure, problem.X, np.asarray(y, dtype=float)):
            raise ModelError(NO_RESIDUAL)
    is_small = problem.n <= FEW_ROWS and problem.structure.factors[0].n_columns <= FEW_EFFECTS
    if is_small and problem.keeps_rows and suits(problem.structure, problem.covariance):
        optimum = _by_newton(problem)
    else:
        optimum = _by_quasi_newton(problem)
        if problem.least_share and not optimum.converged:
            optimum = _without_nugget(problem, optimum)
        optimum = _checked(problem, optimum)
    return _snap(problem, optimum)


def _checked(problem, optimum):
    """Refuse an optimum without residual variation, unless a process in time or space takes its place.

    The criterion with its residual variance held at the floor falls with that floor, by ``df (1 - share)``
    in its logarithm: not at all where the process reproduces the response as it does any other, and without
    end where it does so because the response is constant in groups, say.
    """
    point = problem.at(problem.Lambdas(optimum.x))
    if problem.least_share and point.share < ENTIRE:
        raise ModelError(NO_RESIDUAL)
    if not problem.least_share:
        _check_residual(problem, point.r2)
    return optimum


def least_residual(problem: ProfiledDeviance) -> float:
    """Return the share of the response's sum of squares below which the residual one is none.

    Effects as many as rows reproduce any response. Then the likelihood may rise all the way to a residual
    variance of zero, and ever more slowly, so that a search ends long before.
    """
    is_full = (
        sum(factor.n_columns for factor in problem.structure.factors) >= problem.n or problem.is_saturated
    )
    return (ALMOST_EXACT if is_full else EXACT_GROUPS) ** 2


def _without_nugget(problem: ProfiledDeviance, optimum: Optimum) -> Optimum:
    """Go on by Newton's method where a process leaves no residual variation: there theta is large in one
    direction, and the curvature jumps where the residual variance meets its floor.
    """
    x, value = optimum.x, optimum.value
    for _ in range(MOST_STEPS):
        hessian = gradient_hessian(problem.gradient, x, 1e-4 * np.maximum(np.abs(x), 0.1))
        if not np.isfinite(hessian).all():
            break
        inverse, gradient = _inverse(hessian), problem.gradient(x)
        decrement = float(gradient @ inverse @ gradient)
        if abs(decrement) < SETTLED:
            message, path = "converged", ((x, value),)
            n_evaluations = optimum.n_evaluations
            return Optimum(x, value, gradient, abs(decrement), n_evaluations, True, message, inverse, path)
        places = [x - share * inverse @ gradient for share in (1.0, 0.25, 0.05)]
        new = min(places, key=lambda place: problem.objective(place)[0])
        if not problem.objective(new)[0] < value:
            break
        x, value = new, problem.objective(new)[0]
    return optimum


def _check_residual(problem, r2):
    least = least_residual(problem)
    if r2 <= least * problem.yy and r2 <= least * problem.varying():
        raise ModelError(NO_RESIDUAL)


# -- one grouping factor -----------------------------------------------------------------------------


def _by_newton(problem: ProfiledDeviance) -> Optimum:
    """Look at all sizes, and go on with Newton's method: for one factor either costs little."""
    design = ReducedDesign(problem)
    y = np.asarray(problem.y, dtype=float)[:, None]
    found = minimise_all(LinearBatch(design, design.responses(y)))
    theta, n_evaluations = found.theta[0], int(found.evaluations[0])
    if found.converged[0]:
        inverse = _inverse(found.hessian[0])
        end = theta - inverse @ found.gradient[0]  # the step before which Newton's method stopped
        value, get_gradient = problem.objective(end)
        if value <= found.value[0] + LOOSE * abs(found.value[0]):
            _check_residual(problem, found.r2[0])
            gradient = get_gradient()
            decrement, path = float(gradient @ inverse @ gradient), ((end, value),)
            return Optimum(end, value, gradient, decrement, n_evaluations, True, "converged", inverse, path)
    return _checked(problem, _from_several(problem, [theta], n_evaluations))


def _inverse(hessian: FloatArray) -> FloatArray:
    scale = 1.0 / np.sqrt(np.maximum(np.abs(hessian.diagonal()), 1e-300))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    is_felt = np.abs(values) > 1e-10 * np.abs(values).max()
    vectors = scale[:, None] * vectors[:, is_felt]
    return (vectors / values[is_felt]) @ vectors.T


# -- several factors, or many groups -----------------------------------------------------------------


def _by_quasi_newton(problem: ProfiledDeviance) -> Optimum:
    most = max(f.n_columns for f in problem.structure.factors)
    if len(problem.structure.factors) > 1 and n_dense_columns(problem) <= FEW_COLUMNS:
        return _densely(problem)
    if not problem.keeps_rows and most <= FEW_EFFECTS:
        return _from_several(problem, _low_places(problem, lambda thetas: _one_by_one(problem, thetas)))
    is_large = problem.structure.m > MANY_CROSSED or most > MANY_EFFECTS
    tolerance = 1e-7 if is_large else 1e-10
    if is_large and problem.n_theta > 1 and suits(problem.structure, problem.covariance):
        optimum = _by_slices(problem)
        if optimum is not None:
            return _away_from_zero(problem, optimum, is_large)
    if problem.least_share:
        optimum = _lowest(_in_own_valleys(problem))
    else:
        optimum = _lowest([_descend(problem, *start, tolerance) for start in _starts(problem)])
    return _away_from_zero(problem, optimum, is_large)


def _by_slices(problem: ProfiledDeviance) -> Optimum | None:
    """Newton's method over slices of many levels, checked at its end by the criterion itself."""
    found = newton(problem, next(problem.covariance.starts(moments(problem))))
    if found is None:
        return None
    theta, inverse, n_evaluations = found
    value, get_gradient = problem.objective(theta)
    if not np.isfinite(value):
        return None
    gradient = get_gradient()
    decrement = float(gradient @ inverse @ gradient)
    if decrement > SETTLED:
        return None
    path = ((theta, value),)
    return Optimum(theta, value, gradient, decrement, n_evaluations, True, "converged", inverse, path)


def _in_own_valleys(problem: ProfiledDeviance) -> Iterator[Optimum]:
    """Yield the optima of a process in time or space to which its starts lead, each once.

    Where no residual variation is left the valley is long and bent, and several starts follow it. So all go
    down a few steps, and those go on from which the straight way to the lowest one rises.
    """
    search = partial(minimise, problem.objective, tolerance=1e-10)
    optima = [search(*start, max_iterations=FIRST_ITERATIONS) for start in _starts(problem)]
    for theta in _lows_of_ladders(problem):
        with suppress(np.linalg.LinAlgError):
            optima.append(search(theta, curvature_guess(problem, theta), max_iterations=FIRST_ITERATIONS))
    lowest = min(optima, key=lambda optimum: optimum.value)
    for optimum in optima:
        way = [optimum.x + share * (lowest.x - optimum.x) for share in ON_THE_WAY]
        if optimum is not lowest and _one_by_one(problem, way).max() <= optimum.value:
            continue
        more = FEW_ITERATIONS - FIRST_ITERATIONS
        is_there = optimum.converged
        yield optimum if is_there else search(optimum.x, optimum.inverse_hessian, max_iterations=more)


def _lows_of_ladders(problem: ProfiledDeviance) -> list[FloatArray]:
    """Return where the criterion is low as the sizes of all processes change together, for each of the first
    values of their other parameters: the lowest few.

    White noise has shallow minima at sizes of a few hundredths, others where no residual variation is left.
    """
    sizes = np.concatenate(
        [b.index[b.structure.sizes] for _, b in problem.covariance.places if not b.structure.is_linear]
    )
    found = []
    for first in problem.covariance.starts(moments(problem)):
        ladder = np.tile(first, (len(LADDER), 1))
        ladder[:, sizes] *= np.array(LADDER)[:, None]
        values = _one_by_one(problem, ladder)
        beside = np.pad(values, 1, constant_values=np.inf)
        is_low = np.isfinite(values) & (values <= np.minimum(beside[:-2], beside[2:]))
        found += [(values[k], ladder[k]) for k in np.flatnonzero(is_low)]
    return [theta for _, theta in sorted(found, key=lambda pair: pair[0])[:MOST_LOWS]]


def _starts(problem: ProfiledDeviance) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield thetas and inverse Hessians to begin with: with many crossed columns, those of the iterative
    solution, which is within a hundredth of a standard error and leaves two or three factorisations to do.
    """
    if problem.structure.m > MANY_CROSSED and problem.covariance.is_linear:
        try:
            yield solve_gradient(IterativeDeviance(problem), CLOSE)
        except np.linalg.LinAlgError:  # as where a variance is zero
            pass
        else:
            return
    yield from first_thetas(problem)


def _densely(problem: ProfiledDeviance) -> Optimum:
    """Look at all sizes by dense matrices, and if they are small descend by them, too."""
    dense = DenseCriterion(problem)
    starts = _low_places(problem, dense.scan)
    is_quick = n_dense_columns(problem) <= DENSE_COLUMNS
    return _from_several(problem, starts, objective=dense.objective if is_quick else None)


def _one_by_one(problem: ProfiledDeviance, thetas: FloatArray | Sequence[FloatArray]) -> FloatArray:
    return np.array([problem.objective(theta)[0] for theta in thetas])


def _low_places(problem: ProfiledDeviance, scan: Callable[..., FloatArray]) -> list[FloatArray]:
    information = [np.einsum("aaj->aj", A) for A in problem.cross.A]
    candidates = spread_out(problem.covariance, information)
    values = scan(candidates.theta)
    order, is_low = candidates.lowest(values[None], MOST_LOOKED_AT)
    chosen = order[0][is_low[0]]
    alone = np.zeros(len(chosen), dtype=int)
    _, theta = in_own_valleys(alone, candidates.theta[chosen], values[chosen], lambda _, way: scan(way))
    return list(theta[:MOST_STARTS])


def _from_several(
    problem: ProfiledDeviance,
    starts: Sequence[FloatArray],
    n_evaluations: int = 0,
    objective: Callable[..., Any] | None = None,
) -> Optimum:
    """Return the lowest of the optima that the method of moments and some other places lead to.

    The criterion may have a way of its own to be computed on the way down.
    """
    optima = []
    with suppress(np.linalg.LinAlgError):  # where there is no value
        optima += [_descend(problem, *start, 1e-10, objective) for start in first_thetas(problem)]
    for theta in starts:
        with suppress(np.linalg.LinAlgError):
            optima.append(_descend(problem, theta, curvature_guess(problem, theta), 1e-10, objective))
    if not optima:
        raise ModelError(NO_START)
    return _away_from_zero(problem, _lowest(optima, n_evaluations))


def _lowest(optima, n_evaluations=0):
    optima = list(optima)
    lowest = min(optima, key=lambda optimum: optimum.value)
    return replace(lowest, n_evaluations=n_evaluations + sum(o.n_evaluations for o in optima))


def _descend(
    problem: ProfiledDeviance,
    theta: FloatArray,
    H: FloatArray,
    tolerance: float,
    objective: Callable[..., Any] | None = None,
) -> Optimum:
    most = FEW_ITERATIONS if problem.least_share else 500
    objective_or_own = objective or problem.objective
    optimum = minimise(objective_or_own, theta, H, tolerance=tolerance, max_iterations=most)
    return optimum if objective is None else _judged(problem, optimum)


def _judged(problem: ProfiledDeviance, optimum: Optimum) -> Optimum:
    """Return an optimum that was found by another way to the criterion, with the problem's own numbers."""
    value, get_gradient = problem.objective(optimum.x)
    if get_gradient is None:
        raise np.linalg.LinAlgError("the search ended where the criterion has no value")
    gradient = get_gradient()
    decrement = float(gradient @ optimum.inverse_hessian @ gradient)
    return replace(optimum, value=value, gradient=gradient, decrement=decrement)


def _away_from_zero(problem: ProfiledDeviance, optimum: Optimum, is_large: bool = False) -> Optimum:
    """Look around where a column of some Lambda ends near zero, and go on from a lower point if there is
    one.
    """
    for _ in range(5):
        candidates = _curvature_candidates(problem, optimum.x)
        if not is_large:
            candidates += _distant_candidates(problem, optimum.x)
        lower = min(candidates, key=lambda x: problem.objective(x)[0], default=None)
        if lower is None or problem.objective(lower)[0] >= optimum.value - 1e-9:
            break
        optimum = _descend(problem, lower, first_theta(problem)[1], 1e-7 if is_large else 1e-10)
    return optimum


def _curvature_candidates(problem: ProfiledDeviance, theta: FloatArray) -> list[FloatArray]:
    """Return points along a direction of negative curvature, if theta is near the boundary and there is
    one.
    """
    if not problem.covariance.collapsed(theta).any():
        return []
    if len(problem.covariance.sizes) == problem.n_theta > MANY_SIZES:
        return _bent_down(problem, theta)
    hessian = gradient_hessian(problem.gradient, theta, np.full(problem.n_theta, 1e-3))
    if not np.isfinite(hessian).all():
        return []
    values, vectors = np.linalg.eigh(hessian)
    if values[0] > -1e-3 * max(1.0, values[-1]):
        return []
    return [theta + s * size * vectors[:, 0] for s in (1, -1) for size in (0.05, 0.3)]


def _bent_down(problem: ProfiledDeviance, theta: FloatArray) -> list[FloatArray]:
    """Return points at which all sizes near zero are larger, along which the criterion bends down.

    Independent effects may change their signs one by one. So the criterion is even in each size, at zero its
    Hessian is diagonal there, and one gradient tells all of it.
    """
    zero = problem.covariance.collapsed(theta)
    beside = np.where(zero, 1e-3, theta)
    bent = zero & (problem.gradient(beside) < -1e-3 * 1e-3)
    return [np.where(bent, size, theta) for size in (0.05, 0.3)] if bent.any() else []


def _distant_candidates(problem: ProfiledDeviance, theta: FloatArray) -> list[FloatArray]:
    """Return points at which parameters that are near zero are large, one by one and all together."""
    zero = list(np.flatnonzero(problem.covariance.collapsed(theta)))
    candidates = []
    for chosen in [[z] for z in zero] + ([zero] if len(zero) > 1 else []):
        few = len(chosen) > 1 or problem.n_theta <= MANY_SIZES
        for size in (0.5, 1.0, 2.0, 4.0) if few else (1.0,):
            raised = theta.copy()
            raised[chosen] = size
            candidates.append(raised)
    return candidates


def _snap(problem: ProfiledDeviance, optimum: Optimum) -> Optimum:
    """Put a Lambda that is singular but for rounding on the boundary itself, where that costs nothing."""
    covariance = problem.covariance
    for theta in (covariance.snapped(optimum.x), covariance.rectified(optimum.x)):
        if np.array_equal(theta, optimum.x):
            break
        value, get_gradient = problem.objective(theta)
        if value <= optimum.value + 1e-8:
            return replace(optimum, x=theta, value=value, gradient=get_gradient())
    return optimum
