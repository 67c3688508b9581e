"""The lowest point of many one-factor models at once: a look at the whole parameter space, then Newton's
method from the lowest places, each with a trust radius and an end of its own.

A profile in theta may have several minima, and ``theta = 0`` is a stationary point of every one. So each
model is looked at over all sizes of its random effects (:mod:`glmmlib.likelihood.candidates`), and polished
from each place that is lower than its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY
from glmmlib.likelihood.candidates import in_own_valleys, spread_out
from glmmlib.likelihood.lmm_batch import LinearBatch, State
from glmmlib.types import BoolArray, FloatArray, IntArray

TOLERANCE = 1e-10  # of g' H^-1 g, in units of the deviance
MAX_ITERATIONS = 100
MOST_STARTS = 8  # of each model
HOPELESS, HOPELESS_PER_LEVEL = 10.0, 0.3  # so far above the lowest place looked at, a valley ends no lower
MOST_STALLED = 8  # steps without descent: the precision of the criterion is reached
SAME_PLACE = 0.03
MOST_NUMBERS = 400_000  # of a look at all sizes
AT_THETA = ("value", "beta", "XX", "r2", "gradient", "hessian")


@dataclass(frozen=True, eq=False)
class Solutions:
    """Optima of R models in standardised coordinates: ``theta`` (R, k), ``value`` (R,), ``converged`` (R,),
    ``beta`` (R, p) relative to orthonormal X and beyond least squares, ``XX`` (R, p, p) = X'V^-1X there,
    ``r2`` (R,), ``gradient`` (R, k), ``hessian`` (R, k, k), and the ``evaluations`` (R,) that they took.
    """

    theta: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    beta: np.ndarray
    XX: np.ndarray
    r2: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    evaluations: np.ndarray


def joined(parts: Sequence[Solutions]) -> Solutions:
    """Return the solutions of several batches as those of one."""
    return Solutions(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Solutions)))


def minimise_all(batch: LinearBatch) -> Solutions:
    """Minimise the criterion of every model of the batch.

    A Lambda that is singular but for rounding is put on the boundary itself.

    Returns
    -------
    Solutions
        ``converged`` is False where the caller should fit that model by itself.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # what has no value is left out
        model, theta = _starts(batch)
        found = _lowest(_descend(batch.subset(model), theta, model), model)
        _snap(batch, found)
    root = np.sqrt(batch.yy)
    return replace(found, beta=found.beta * root[:, None], r2=found.r2 * batch.yy)


def _starts(batch):
    """Return from where to descend: the numbers of the models, sorted, and thetas.

    Where a look at all sizes would cost more than the descent, that is the method of moments. One model
    descends from many places at the price of one, so there nothing is left out.
    """
    is_alone = len(batch.yy) == 1
    size = batch.q**2 * batch.K.shape[2]
    for step in (None, 4.0, 12.0):
        candidates = spread_out(batch.covariance, [batch.information()], step, faces_apart=is_alone)
        if len(candidates) * size <= MOST_NUMBERS:
            break
    else:
        return np.arange(len(batch.yy)), batch.moments()
    values = batch.scan(candidates.theta)
    order, is_low = candidates.lowest(values, MOST_STARTS)
    height = np.take_along_axis(values, order, axis=1) - values.min(axis=1, keepdims=True)
    is_low &= height < HOPELESS + HOPELESS_PER_LEVEL * batch.count.sum()
    is_low[:, 0] = True
    model, rank = np.nonzero(is_low)
    chosen = order[model, rank]
    if is_alone:
        return model, candidates.theta[chosen]
    return in_own_valleys(
        model,
        candidates.theta[chosen],
        values[model, chosen],
        lambda which, theta: batch.subset(which).value(theta),
    )


def _lowest(found: Solutions, model: IntArray) -> Solutions:
    """Return of each model the lowest of its solutions, and what all of them cost."""
    order = np.lexsort((np.where(np.isfinite(found.value), found.value, np.inf), model))
    first = order[np.flatnonzero(np.diff(model[order], prepend=-1))]
    evaluations = np.bincount(model, found.evaluations).astype(int)
    best = {f.name: getattr(found, f.name)[first] for f in fields(found)}
    return Solutions(**best | {"evaluations": evaluations})


def _snap(batch: LinearBatch, found: Solutions) -> None:
    """Put a Lambda with a tiny singular value on the boundary, where that costs nothing."""
    covariance = batch.covariance
    near = np.flatnonzero(covariance.boundary_distance(found.theta) < NEAR_BOUNDARY)
    if not near.size:
        return
    theta = np.stack([covariance.snapped(found.theta[r]) for r in near])
    state = batch.subset(near).state(theta)
    free = state.value <= found.value[near] + 1e-8
    found.theta[near[free]] = theta[free]
    for name in AT_THETA:
        getattr(found, name)[near[free]] = getattr(state, name)[free]


def _descend(batch: LinearBatch, theta: FloatArray, model: IntArray) -> Solutions:
    """Newton's method with a trust radius for each start; ``model`` (R,) says which starts compete.

    A start that cannot come down to the lowest value of its model any more, or that meets another, is given
    up.
    """
    R = len(theta)
    radius = np.maximum(1.0, _lengths(theta))
    state = batch.state(theta)
    found = Solutions(
        theta.copy(),
        np.where(np.isfinite(state.value), state.value, np.inf),
        np.zeros(R, bool),
        state.beta.copy(),
        state.XX.copy(),
        state.r2.copy(),
        state.gradient.copy(),
        state.hessian.copy(),
        np.ones(R, int),
    )
    lowest = np.full(model.max(initial=0) + 1, np.inf)
    np.minimum.at(lowest, model, found.value)
    active = np.flatnonzero(_has_value(state))
    theta, radius, state, batch = theta[active], radius[active], _take(state, active), batch.subset(active)
    stalled = np.zeros(active.size, int)
    for _ in range(MAX_ITERATIONS):
        step, decrement, is_convex = _newton_step(state, radius)
        done = (decrement < TOLERANCE) & is_convex
        hopeless = is_convex & (state.value - 4.0 * decrement > lowest[model[active]] + 1e-6)
        leaving = done | hopeless | (stalled > MOST_STALLED) | _joins_another(model[active], theta, is_convex)
        if leaving.any():
            _store(found, active, theta, state, leaving, done)
            keep = ~leaving
            active, theta, radius, stalled = active[keep], theta[keep], radius[keep], stalled[keep]
            step, state = step[keep], _take(state, keep)
            batch = batch.subset(keep)
        if not active.size:
            break
        candidate = theta + step
        new = batch.state(candidate)
        found.evaluations[active] += 1
        better = _has_value(new) & (new.value <= state.value + 1e-12 * np.abs(state.value))
        stalled = np.where(new.value < state.value - 1e-9, 0, stalled + 1)
        length = _lengths(step)
        radius = np.where(better, np.maximum(radius, 2.0 * length), 0.25 * length)
        theta = np.where(better[:, None], candidate, theta)
        state = _choose(better, new, state)
        np.minimum.at(lowest, model[active], state.value)
    _store(found, active, theta, state, np.ones(active.size, bool), np.zeros(active.size, bool))
    return found


def _has_value(state: State) -> BoolArray:
    """Where there is a criterion with a slope and a curvature: not where a matrix is singular."""
    slopes = np.isfinite(state.gradient).all(axis=1) & np.isfinite(state.hessian).all(axis=(1, 2))
    return np.isfinite(state.value) & slopes


def _joins_another(model: IntArray, theta: FloatArray, is_convex: BoolArray) -> BoolArray:
    """Which starts have come close to one before them that belongs to the same model, both in convex
    places.
    """
    joins, size = np.zeros(len(model), bool), np.abs(theta)
    for lag in range(1, min(MOST_STARTS, len(model))):
        apart = np.abs(size[lag:] - size[:-lag]) > SAME_PLACE * (1.0 + size[lag:])
        joins[lag:] |= (model[lag:] == model[:-lag]) & is_convex[lag:] & is_convex[:-lag] & ~apart.any(axis=1)
    return joins


def _newton_step(state: State, radius: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return steps no longer than the radii, their decrements, and where the Hessian is convex.

    A direction of negative curvature is taken with the curvature's absolute value.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.einsum("raa->ra", state.hessian)), 1e-300))
    values, vectors = np.linalg.eigh(state.hessian * scale[:, :, None] * scale[:, None, :])
    projected = np.einsum("rak,ra->rk", vectors, scale * state.gradient)
    size = np.maximum(np.abs(values), 1e-10 * np.abs(values).max(axis=1, keepdims=True))
    step = -scale * np.einsum("rak,rk->ra", vectors, projected / size)
    length = _lengths(step)
    step *= np.minimum(1.0, radius / np.maximum(length, 1e-300))[:, None]
    return step, (projected**2 / size).sum(axis=1), values[:, 0] > -1e-6 * np.abs(values[:, -1])


def _lengths(vectors: FloatArray) -> FloatArray:
    return np.sqrt(np.einsum("rk,rk->r", vectors, vectors))


def _fields(state: State) -> list[FloatArray]:
    return [getattr(state, f.name) for f in fields(state)]


def _take(state: State, keep: BoolArray | IntArray) -> State:
    return State(*(array[keep] for array in _fields(state)))


def _choose(which: BoolArray, new: State, old: State) -> State:
    if which.all():
        return new
    pairs = zip(_fields(new), _fields(old), strict=True)
    return State(*(np.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


def _store(
    found: Solutions,
    active: IntArray,
    theta: FloatArray,
    state: State,
    chosen: BoolArray,
    converged: BoolArray,
) -> None:
    """Write the starts that leave into the result."""
    here = active[chosen]
    found.theta[here] = theta[chosen]
    found.converged[here] = converged[chosen]
    for name in AT_THETA:
        getattr(found, name)[here] = getattr(state, name)[chosen]
