"""Minimisation for many replicates of a generalised model at once: BFGS, then Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY
from glmmlib.likelihood.glmm_batch import TIGHT, LaplaceBatch, Points
from glmmlib.likelihood.glmm_batch_start import start
from glmmlib.likelihood.glmm_search import STEPS, other_starts
from glmmlib.types import BoolArray, FloatArray, IntArray

MAX_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class Optima:
    """Where R minimisations ended: parameters (R, P), values, Hessians (R, P, P), and whether to believe
    them.
    """

    x: np.ndarray
    value: np.ndarray
    hessian: np.ndarray
    converged: np.ndarray


def minimise_all(replicates: LaplaceBatch) -> Optima:
    """Minimise -2 log L of every replicate: BFGS, then Newton's method with a Hessian from differences of the
    gradient.
    """
    found = _polish(replicates, *_descend(replicates, *start(replicates)))
    for begin in other_starts(
        replicates.covariance,
        replicates.theta(found.x).copy(),
        found.value.copy(),
        lambda: [replicates.information(found.x)],
        replicates.Y.shape[1],
        replicates.family.has_dispersion,
    ):
        near, some = begin.rows, replicates.subset(begin.rows)
        x, H, u = start(some, begin.theta)
        x[:, : replicates.p] += begin.shift[:, None] * replicates.problem.level
        x, H, point, arrived = _descend(some, x, H, u, steps=STEPS)
        lower = np.flatnonzero(point.value < found.value[near] - 1e-4)
        if lower.size:
            some, point = some.subset(lower), point.subset(lower)
            again = _polish(some, x[lower], H[lower], point, arrived[lower])
            better = again.value < found.value[near[lower]]  # not converged, it is fitted by itself
            for name in ("x", "value", "hessian", "converged"):
                getattr(found, name)[near[lower[better]]] = getattr(again, name)[better]
    return found


def _descend(
    replicates: LaplaceBatch,
    x: FloatArray,
    H: FloatArray,
    u: FloatArray,
    tolerance: float = 1e-3,
    steps: int = MAX_ITERATIONS,
) -> tuple[FloatArray, FloatArray, Points, BoolArray]:
    """BFGS with backtracking, each replicate by itself; returns x, H, the points and which arrived."""
    R = len(x)
    point = replicates.evaluate(x, u)
    x, H, first = x.copy(), H.copy(), H.copy()
    value, gradient = point.value, point.gradient
    arrived, length = np.zeros(R, bool), np.ones(R)
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(steps):
        step = -np.einsum("rab,rb->ra", H[active], gradient[active])
        slope = np.einsum("ra,ra->r", step, gradient[active])
        lost = ~(slope < 0)
        if lost.any():
            H[active[lost]] = first[active[lost]]
            step[lost] = -np.einsum("rab,rb->ra", first[active[lost]], gradient[active[lost]])
            slope[lost] = np.einsum("ra,ra->r", step[lost], gradient[active[lost]])
        arrived[active[-slope < tolerance]] = True
        going = ~arrived[active] & (length[active] > 1e-6)
        active, step, slope = active[going], step[going], slope[going]
        if not active.size:
            break
        s = length[active, None] * step
        new = replicates.subset(active).evaluate(x[active] + s, point.follow(active, s))
        change = new.value - value[active]
        good = change <= 1e-4 * length[active] * slope + 1e-12 * np.abs(value[active])
        curvature = np.where(np.isfinite(change), change - length[active] * slope, np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            shrink = np.clip(-0.5 * length[active] * slope / curvature, 0.1, 0.5)
        length[active] = np.where(good, 1.0, shrink * length[active])
        here = active[good]
        H[here] = _bfgs_update(H[here], s[good], new.gradient[good] - gradient[here])
        x[here] += s[good]
        point.put(here, new, good)
    return x, H, point, arrived


def _bfgs_update(H: FloatArray, s: FloatArray, y: FloatArray) -> FloatArray:
    sy = np.einsum("ra,ra->r", s, y)
    norms = np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1)
    teaches = sy > 1e-10 * norms
    sy = np.where(teaches, sy, 1.0)
    Hy = np.einsum("rab,rb->ra", H, y)
    factor = (1.0 + np.einsum("ra,ra->r", y, Hy) / sy) / sy
    cross = Hy[:, :, None] * s[:, None, :] / sy[:, None, None]
    new = H + factor[:, None, None] * s[:, :, None] * s[:, None, :] - cross - cross.swapaxes(1, 2)
    return np.where(teaches[:, None, None], new, H)


def _polish(
    replicates: LaplaceBatch, x: FloatArray, H: FloatArray, point: Points, arrived: BoolArray
) -> Optima:
    """Newton's method to the end, with a Hessian of its own for each replicate."""
    R, P = x.shape
    scale = np.sqrt(np.maximum(np.einsum("raa->ra", H), 1e-12))
    point = replicates.evaluate(x, point.u, TIGHT)
    value, gradient = point.value, point.gradient
    hessian, inverse = np.tile(np.eye(P), (R, 1, 1)), np.tile(np.eye(P), (R, 1, 1))
    converged, is_convex = np.zeros(R, bool), np.ones(R, bool)
    active, stale = np.flatnonzero(arrived & np.isfinite(value)), np.ones(R, bool)
    for _ in range(8):
        here = active[stale[active]]
        if here.size:
            hessian[here] = _hessian(replicates.subset(here), x[here], point, here, scale[here])
            inverse[here], is_convex[here] = _inverse_hessian(hessian[here], scale[here])
            stale[here] = False
        step = -np.einsum("rab,rb->ra", inverse[active], gradient[active])
        decrement = -np.einsum("ra,ra->r", step, gradient[active])
        done = decrement < 1e-9
        converged[active[done]] = True
        active, step, decrement = active[~done], step[~done], decrement[~done]
        if not active.size:
            break
        new = replicates.subset(active).evaluate(x[active] + step, point.follow(active, step), TIGHT)
        good = new.value <= value[active] + 1e-10 * np.abs(value[active])
        converged[active[~good & (decrement < 1e-7)]] = True  # to the precision of the objective
        here = active[good]
        x[here] += step[good]
        point.put(here, new, good)
        stale[here] = decrement[good] > 0.05**2
        scale[here] = np.sqrt(np.maximum(np.einsum("raa->ra", inverse[here]), 1e-12))
        active = here
    return _snapped(replicates, Optima(x, value, hessian, converged & is_convex), point.u, scale)


def _hessian(
    replicates: LaplaceBatch, x: FloatArray, point: Points, here: IntArray, scale: FloatArray
) -> FloatArray:
    """Return the Hessians from forward differences of the exact gradients."""
    rows = []
    for i in range(x.shape[1]):
        shift = np.zeros_like(x)
        shift[:, i] = 1e-3 * scale[:, i]
        new = replicates.evaluate(x + shift, point.follow(here, shift), TIGHT, with_slopes=False)
        rows.append((new.gradient - point.gradient[here]) / shift[:, i : i + 1])
    H = np.stack(rows, axis=1)
    return 0.5 * (H + H.swapaxes(1, 2))


def _inverse_hessian(hessian: FloatArray, scale: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return inverses with all eigenvalues made positive, and whether they were."""
    outer = scale[:, :, None] * scale[:, None, :]
    scaled = np.nan_to_num(hessian * outer)
    values, vectors = np.linalg.eigh(scaled)
    largest = np.maximum(values[:, -1:], 1e-6)
    inverse = (
        (vectors / np.maximum(np.abs(values), 1e-6 * largest)[:, None, :]) @ vectors.swapaxes(1, 2) * outer
    )
    return inverse, (values[:, 0] > -1e-4 * np.maximum(values[:, -1], 1.0)) & np.isfinite(hessian).all(
        axis=(1, 2)
    )


def _snapped(replicates: LaplaceBatch, optima: Optima, u: FloatArray, scale: FloatArray) -> Optima:
    """Put a Lambda that is singular but for rounding on the boundary itself, where that costs nothing."""
    covariance, theta = replicates.covariance, replicates.theta(optima.x)
    near = np.flatnonzero((covariance.boundary_distance(theta) < NEAR_BOUNDARY) & optima.converged)
    if not near.size:
        return optima
    x = optima.x[near]
    replicates.theta(x)[:] = [covariance.snapped(theta[r]) for r in near]
    value = replicates.subset(near).evaluate(x, u[:, near], TIGHT).value
    free = value <= optima.value[near] + 1e-7
    moved = near[free & (x != optima.x[near]).any(axis=1)]
    optima.x[near[free]], optima.value[near[free]] = x[free], value[free]
    if moved.size:  # standard errors are those of the point that is reported
        some = replicates.subset(moved)
        point = some.evaluate(optima.x[moved], u[:, moved], TIGHT)
        everything = np.arange(moved.size)
        optima.hessian[moved] = _hessian(some, optima.x[moved], point, everything, scale[moved])
    return optima
