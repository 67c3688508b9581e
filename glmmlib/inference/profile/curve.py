r"""One profile curve: follow the minimum of the deviance while a parameter moves, and find where it crosses a
level.

The derivative of the minimum in the parameter is that of the deviance itself, so the curve of the signed root
:math:`\zeta` is interpolated with exact slopes, and the ends of intervals are found by Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri

from glmmlib.errors import ModelError
from glmmlib.inference.profile.deviances import Held, Minimum
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.types import FloatArray

STEP = 0.45  # of zeta between neighbouring points
FLAT = 1e-4  # of zeta: two growing steps that change it less have found its limit
MAX_STEPS = 40  # on each side of the estimate
LAST_STEP = 1e-4  # in zeta: Newton's step from here leaves an error of the order of its square
LOWER_MINIMUM = 1e-4  # a profile that gets this far below the fit's deviance has found a better fit


@dataclass(frozen=True, eq=False)
class Curve:
    """The profile of one parameter: ``zeta`` and its ``slope`` at increasing ``values``.

    ``start`` and ``end`` say how the curve ends on each side: ``"level"`` (it reaches the level asked for),
    ``"boundary"`` (of the parameter's range) or ``"open"`` (the deviance stays below the level as far as was
    looked).
    """

    name: str
    estimate: float
    values: np.ndarray
    zeta: np.ndarray
    slope: np.ndarray
    start: str
    end: str
    _held: Held = field(repr=False)
    _minima: tuple = field(repr=False)

    @property
    def is_monotone(self) -> bool:
        """Does zeta grow all along the curve?"""
        return bool((np.diff(self.zeta) > -FLAT).all())

    def __call__(self, values: float) -> FloatArray:
        """Interpolate zeta at values within the curve (NaN outside)."""
        if len(self.values) < 2:
            return np.where(np.asarray(values) == self.estimate, 0.0, np.nan)
        return self._spline(values)

    @cached_property
    def _spline(self) -> Any:
        from scipy.interpolate import CubicHermiteSpline  # slow to import

        return CubicHermiteSpline(self.values, self.zeta, self.slope, extrapolate=False)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the ends of the interval: where zeta is the normal quantile, or the end of the range."""
        z = float(-ndtri(0.5 * (1.0 - level)))
        return self._end(-1, z), self._end(1, z)

    def _end(self, side: int, z: float) -> float:
        """Find where zeta is ``side * z``, between the two points of the curve around it."""
        how = self.start if side < 0 else self.end
        outward = range(self._centre, -1, -1) if side < 0 else range(self._centre, len(self.values))
        outside = next((i for i in outward if side * self.zeta[i] >= z), None)
        if outside is None:
            return (self._held.lower if side < 0 else self._held.upper) if how != "level" else np.nan
        if side * self.zeta[outside] == z:
            return float(self.values[outside])
        with one_blas_thread():
            return self._solve(side * z, outside - side, outside)

    def _solve(self, target: float, inside: int, outside: int) -> float:
        """Newton's method on zeta, each step a minimisation; kept between the points by bisection."""
        low, high = sorted((self.values[inside], self.values[outside]))
        a, b = self._minima[inside], self._minima[outside]
        value, d0 = self._interpolated(target, low, high), self._minima[self._centre].deviance
        for _ in range(20):
            share = (value - a.value) / (b.value - a.value)
            found = self._held.solve(value, a.x + share * (b.x - a.x), b.inverse_hessian)
            if found is None:
                return np.nan
            zeta, slope = signed_root(found, self.estimate, d0)
            low, high = (value, high) if zeta < target else (low, value)
            new = value - (zeta - target) / slope if slope > 0 else 0.5 * (low + high)
            new = new if low < new < high else 0.5 * (low + high)
            if abs(zeta - target) < LAST_STEP or abs(new - value) <= 1e-10 * abs(
                self.values[outside] - self.estimate
            ):
                return float(new)
            value = new
        return float(value)

    @property
    def _centre(self) -> int:
        return int(np.flatnonzero(self.values == self.estimate)[0])

    def _interpolated(self, target: float, low: float, high: float) -> float:
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self(middle) < target else (low, middle)
        return 0.5 * (low + high)


def signed_root(minimum: Minimum, estimate: float, d0: float) -> tuple[float, float]:
    """Return zeta and its slope at a minimum, d0 being the least deviance of all."""
    excess = minimum.deviance - d0
    if excess < -LOWER_MINIMUM:
        raise ModelError(
            f"with a parameter held at {minimum.value:.6g} the deviance is lower by {-excess:.2g} than at "
            "the estimates: the fit"
            " is at a local optimum only; look at its convergence and at its scaling, and refit"
        )
    zeta = np.sign(minimum.value - estimate) * np.sqrt(max(excess, 0.0))
    return float(zeta), float(minimum.slope / (2.0 * zeta)) if zeta else np.inf


def trace(held: Held, z: float) -> Curve:
    """Follow the profile of one parameter from its estimate outwards until ``|zeta|`` reaches z, or its range
    ends.
    """
    hessian = held.hessian()
    hessian = np.where(np.isfinite(hessian), hessian, np.eye(len(hessian)))
    inverse = _positive_inverse(hessian[:-1, :-1])
    tangent = -inverse @ hessian[:-1, -1]
    curvature = hessian[-1, -1] + hessian[-1, :-1] @ tangent
    slope = np.sqrt(max(0.5 * curvature, 0.0)) / held.unit
    deviance = held.objective(held.start, held.estimate)[0]
    centre = (held.estimate, 0.0, slope, Minimum(held.estimate, held.start, deviance, 0.0, inverse))
    below, start = _walk(held, -1, z, centre, tangent / held.unit)
    above, end = _walk(held, 1, z, centre, tangent / held.unit)
    values, zeta, rates, minima = zip(*below[::-1], centre, *above, strict=True)
    slopes = _finite_slopes(np.array(values), np.array(zeta), np.array(rates))
    return Curve(held.name, held.estimate, np.array(values), np.array(zeta), slopes, start, end, held, minima)


def _walk(held, side, z, centre, tangent):
    """Return the points (value, zeta, slope, minimum) on one side, and how the curve ends there."""
    limit = held.lower if side < 0 else held.upper
    value, zeta, slope, minimum = centre
    d0, inverse, points, n_flat, last = minimum.deviance, minimum.inverse_hessian, [], 0, 0.0
    if value == limit:
        return points, "boundary"
    typical = STEP / slope if slope > 0 else 0.2 * held.unit
    step = min(typical, 2.0 * held.unit) if not slope > 1e-3 / held.unit else typical
    for _ in range(MAX_STEPS):
        new = value + side * step
        if side * (new - limit) >= 0 or abs(limit - new) < 0.02 * abs(limit - value):
            new = limit
        found = held.solve(new, minimum.x + tangent * (new - value), inverse)
        if found is None:
            found = held.solve(new, minimum.x, inverse)
        # towards an end of the range every decade may tell more than the one before
        least = 1e-3 * min(typical, abs(limit - value))
        if found is None or not np.isfinite(found.deviance):
            if step < least:
                return points, "level"
            step = 0.9 * abs(limit - value) if new == limit else 0.25 * step
            continue
        new_zeta, slope = signed_root(found, held.estimate, d0)
        if abs(new_zeta - zeta) > 3.0 * STEP and new != limit and step > least:
            step *= 0.4
            continue
        tangent, inverse = (found.x - minimum.x) / (new - value), found.inverse_hessian
        is_flat = abs(new_zeta - zeta) < FLAT and abs(new - value) >= last
        n_flat = n_flat + 1 if is_flat else 0
        last, value, zeta, minimum = abs(new - value), new, new_zeta, found
        points.append((value, zeta, slope, minimum))
        if side * zeta >= z:
            return points, "level"
        if value == limit:
            return points, "boundary"
        if n_flat == 2:
            return points, "open"
        step = min(STEP / slope, 3.0 * last) if 0 < slope < np.inf else 1.5 * last
    return points, "open"


def _positive_inverse(H: FloatArray) -> FloatArray:
    """Return an inverse of a Hessian with its eigenvalues made positive, judged after scaling."""
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-12))
    values, vectors = np.linalg.eigh(H * np.outer(scale, scale))
    floor = 1e-3 * max(values[-1], 1e-12) if len(values) else 0.0
    return (vectors / np.maximum(np.abs(values), floor)) @ vectors.T * np.outer(scale, scale)


def _finite_slopes(values: FloatArray, zeta: FloatArray, slopes: FloatArray) -> FloatArray:
    """Give points without a derivative (ends of a range) the slope of a parabola through their neighbour."""
    slopes = slopes.copy()
    for i in np.flatnonzero(~np.isfinite(slopes)):
        j = 1 if i == 0 else i - 1
        if len(values) > 1:
            secant = (zeta[i] - zeta[j]) / (values[i] - values[j])
            slopes[i] = max(2.0 * secant - slopes[j], 0.0) if np.isfinite(slopes[j]) else secant
    return slopes
