"""Newton's method for many replicates at once, each with a trust radius and an end of its own."""

from dataclasses import dataclass, fields

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY
from glmmlib.likelihood.lmm_batch import State

TOLERANCE = 1e-8  # of g' H^-1 g, in units of the deviance
MAX_ITERATIONS = 60


@dataclass(frozen=True, eq=False)
class Solutions:
    """Optima of R replicates in standardised coordinates: ``theta`` (R, k), ``value`` (R,), ``converged``
    (R,), ``beta`` (R, p) relative to orthonormal X, ``XX`` (R, p, p) = X'V^-1X there, and ``r2`` (R,).
    """

    theta: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    beta: np.ndarray
    XX: np.ndarray
    r2: np.ndarray


def minimise_all(replicates):
    """Minimise the criterion of every replicate.

    As for a single fit, a replicate that ends near the boundary looks for a lower point elsewhere, and one
    that is singular but for rounding is put on the boundary itself.

    Returns
    -------
    Solutions
        ``converged`` is False where the caller should fit that replicate by itself.
    """
    found = _descend(replicates, replicates.start())
    zero = replicates.covariance.collapsed(found.theta)  # (R, k)
    near = np.flatnonzero(zero.any(axis=1) & found.converged)
    if near.size:
        some = replicates.subset(near)
        theta, value = _distant(some, found.theta[near], zero[near])
        lower = value < found.value[near] - 1e-9
        if lower.any():
            again = _descend(some.subset(lower), theta[lower])
            for f in fields(again):
                getattr(found, f.name)[near[lower]] = getattr(again, f.name)
    _snap(replicates, found)
    return found


def _distant(replicates, theta, zero):
    """Return the lowest of the points at which parameters near zero are large, and its value."""
    best, lowest, sizes = theta.copy(), np.full(len(theta), np.inf), replicates.covariance.sizes
    for raised in [*sizes[:, None], *([sizes] if len(sizes) > 1 else [])]:
        for size in (0.5, 1.0, 2.0, 4.0):
            trial = theta.copy()
            trial[:, raised] = np.where(zero[:, raised], size, trial[:, raised])
            value = replicates.state(trial).value
            better = (value < lowest) & zero[:, raised].any(axis=1)
            best[better], lowest[better] = trial[better], value[better]
    return best, lowest


def _snap(replicates, found):
    """Put a Lambda with a tiny singular value on the boundary, where that costs nothing."""
    covariance = replicates.covariance
    near = np.flatnonzero(covariance.boundary_distance(found.theta) < NEAR_BOUNDARY)
    if not near.size:
        return
    theta = np.stack([covariance.snapped(found.theta[r]) for r in near])
    state = replicates.subset(near).state(theta)
    free = state.value <= found.value[near] + 1e-8
    found.theta[near[free]] = theta[free]
    for name in ("value", "beta", "XX", "r2"):
        getattr(found, name)[near[free]] = getattr(state, name)[free]


def _descend(replicates, theta):
    """Newton's method with a trust radius for each replicate."""
    R = len(theta)
    radius = np.full(R, 1.0)
    state = replicates.state(theta)
    found = Solutions(
        theta.copy(),
        state.value.copy(),
        np.zeros(R, bool),
        state.beta.copy(),
        state.XX.copy(),
        state.r2.copy(),
    )
    active = np.arange(R)
    for _ in range(MAX_ITERATIONS):
        step, decrement, is_convex = _newton_step(state, radius)
        done = (decrement < TOLERANCE) & is_convex
        if done.any():
            _store(found, active, theta, state, done)
            keep = ~done
            active, theta, radius = active[keep], theta[keep], radius[keep]
            step, state = step[keep], _take(state, keep)
            replicates = replicates.subset(keep)
        if not active.size:
            break
        candidate = theta + step
        new = replicates.state(candidate)
        with np.errstate(invalid="ignore"):
            better = new.value <= state.value + 1e-12 * np.abs(state.value)
        length = np.linalg.norm(step, axis=1)
        radius = np.where(better, np.maximum(radius, 2.0 * length), 0.25 * length)
        theta = np.where(better[:, None], candidate, theta)
        state = _choose(better, new, state)
    _store(found, active, theta, state, np.zeros(active.size, bool))
    return found


def _newton_step(state, radius):
    values, vectors = np.linalg.eigh(state.hessian)
    projected = np.einsum("rak,ra->rk", vectors, state.gradient)
    size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max(axis=1, keepdims=True) + 1e-12)
    step = -np.einsum("rak,rk->ra", vectors, projected / size)
    length = np.linalg.norm(step, axis=1)
    step *= np.minimum(1.0, radius / np.maximum(length, 1e-300))[:, None]
    return step, (projected**2 / size).sum(axis=1), values[:, 0] > -1e-6 * np.abs(values[:, -1])


def _fields(state):
    return [getattr(state, f.name) for f in fields(state)]


def _take(state, keep):
    return State(*(array[keep] for array in _fields(state)))


def _choose(which, new, old):
    pairs = zip(_fields(new), _fields(old), strict=True)
    return State(*(np.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


def _store(found, active, theta, state, done):
    """Write the finished replicates (all of them, if none is marked) into the result."""
    chosen = done if done.any() else np.ones(active.size, bool)
    here = active[chosen]
    found.theta[here] = theta[chosen]
    found.converged[here] = done.any()
    for name in ("value", "beta", "XX", "r2"):
        getattr(found, name)[here] = getattr(state, name)[chosen]
