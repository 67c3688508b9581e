r"""The deviance of a model with one of its parameters held at a value: what a profile is made of.

A held parameter becomes a coordinate of its own, and the others stay free, so that the minimisation over them
has no constraints:

- An SD or a correlation of random effects becomes one by a change of basis
  (:mod:`glmmlib.covariance.coordinates`).
- sigma and the dispersion are coordinates already.
- For a coefficient of a linear model the free fixed effects have a closed form: with the multiplier
  :math:`\lambda = (v - a'\hat\beta) / c`, :math:`c = a'(X'V^{-1}X)^{-1}a`, the solution moves by
  :math:`\lambda M^{-1}[0; a]` and the residual sum of squares grows by :math:`\lambda^2 c`.

Gradients are those of the model's own objective, by the chain rule; the derivative in the held value comes
with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmmlib.covariance.coordinates import Free, HeldBlock
from glmmlib.covariance.groups import places_of, values_of
from glmmlib.families.links import Link
from glmmlib.fitted import FittedGeneralizedModel, FittedModel
from glmmlib.likelihood.glmm import RangeError
from glmmlib.likelihood.optimise import gradient_hessian, minimise
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray

NEAR_ZERO = 0.05  # a relative SD below this may sit at the stationary point zero
NEAR_END = (
    8.0  # an auxiliary parameter farther out, on the scale of its link, may have lost sight of its minimum
)
BEYOND = 25.0  # of that scale, where a parameter has run off: the deviance no longer depends on it
TOLERANCE = 1e-9  # of the deviance at the minimum over the free parameters


# --- the deviance in all parameters -------------------------------------------------------------


class LinearDeviance:
    """-2 log L of a linear mixed model in factors relative to the estimated sigma, and ``rest = (log(sigma /
    estimate),)``.

    The fixed effects are profiled out; if ``coefficient`` is given, that one is held.
    """

    def __init__(self, fit: FittedModel, coefficient: int | None = None) -> None:
        self.problem, self.sigma = fit.solution.problem, fit.sigma
        self.theta, self.rest, self.taus = fit.solution.standard_theta, np.zeros(1), np.zeros(0, dtype=int)
        if coefficient is not None:
            self.origin = self.problem.beta_ols[coefficient]
            unit = np.eye(self.problem.p)[coefficient]
            self.a = solve_triangular(self.problem.R, unit, trans=True)
        self.holds_coefficient = coefficient is not None

    def evaluate(self, factors: Sequence[FloatArray], rest: FloatArray, value: float) -> tuple[float, Any]:
        """Return the deviance and a function giving its derivatives in factors, rest and the held
        coefficient.
        """
        problem, least = self.problem, np.sqrt(self.problem.least_r2 / self.problem.n)
        is_least = self.sigma * np.exp(rest[0]) < least  # a process without a nugget: see lmm.WITHOUT_NUGGET
        shrink = self.sigma / least if is_least else np.exp(-rest[0])
        s2 = (self.sigma / shrink) ** 2
        point, multiplier, c = problem.at([shrink * L for L in factors]), 0.0, 0.0
        if self.holds_coefficient:
            zero = [np.zeros_like(u) for u in point.u]
            du, dbeta, c = point.factorisation.solve(zero, self.a)
            multiplier = (value - self.origin - self.a @ point.beta) / c
            u = [x + multiplier * d for x, d in zip(point.u, du, strict=True)]
            point = replace(point, u=u, beta=point.beta + multiplier * dbeta)
        n, r2 = problem.n, point.penalised + multiplier**2 * c
        deviance = point.factorisation.log_det_Z + problem.constant + n * np.log(2.0 * np.pi * s2) + r2 / s2

        def derivatives() -> tuple[list[FloatArray], FloatArray, float]:
            # with n s2 for r2 the gradient is that at this sigma, not at the sigma that would be best
            G = problem.gradient_matrices(replace(point, r2=n * s2))
            inner = sum(np.vdot(g, L) for g, L in zip(G, point.Lambda, strict=True))
            rest_gradient = np.array([0.0 if is_least else 2.0 * n - 2.0 * r2 / s2 - inner])
            return [shrink * g for g in G], rest_gradient, 2.0 * multiplier / s2

        return deviance, derivatives


class GeneralisedDeviance:
    """-2 log L of a generalised linear mixed model in its factors and ``rest``: beta and the coefficients of
    the auxiliary parameters.

    If ``coefficient`` is given, a fixed effect by its position or an auxiliary one by its own counted from
    the last fixed effect on, ``rest`` holds their coordinates across the direction that is held; ``taus``
    are the positions there of auxiliary parameters with one value, on the scale of their links.
    """

    def __init__(self, fit: FittedGeneralizedModel, coefficient: int | None = None) -> None:
        solution = fit.solution
        problem = solution.problem.precise(solution.mode.u)
        self.problem, self.theta = problem, solution.standard_theta
        beta, factors, _ = problem.split(solution.parameters)
        free = np.concatenate([beta, problem.tau(solution.parameters)])
        self.across, self.along = np.eye(len(free)), np.zeros(len(free))
        if coefficient is not None:
            a = self._direction(problem, coefficient)
            self.along = a / (a @ a)
            self.across = _across(a)
        self.rest = self.across.T @ free
        single = np.concatenate([np.zeros(problem.p, dtype=bool), ~problem.predictors.is_modelled])
        self.taus = np.flatnonzero(single @ self.across)
        # a grid of points in two dimensions is that of the triangular factor; everything else is the same in
        # any basis
        self.needs_triangle = [problem.quadrature is not None and len(L) == 2 for L in factors]

    @staticmethod
    def _direction(problem, coefficient):
        """Return how the coefficient depends on beta and tau of the orthonormal columns."""
        p = problem.p
        a = np.zeros(p + problem.predictors.size)
        if coefficient < p:
            a[:p] = solve_triangular(problem.R, np.eye(p)[coefficient], trans=True)
        else:
            a[p:] = problem.predictors.to_user[coefficient - p]
        return a

    def evaluate(
        self, factors: Sequence[FloatArray], rest: FloatArray, value: float
    ) -> tuple[float, Callable[..., Any]]:
        """Return -2 log L and a function giving its derivatives in factors, rest and the held coefficient."""
        problem, given = self.problem, factors
        factors = [_triangle(L) if turn else L for L, turn in zip(given, self.needs_triangle, strict=True)]
        free = self.across @ rest + self.along * value
        auxiliary = problem.predictors.values(free[problem.p :])
        deviance, (g_beta, G, g_tau), mode = problem.evaluate_at(free[: problem.p], factors, auxiliary)
        slopes = np.concatenate([g_beta, g_tau])
        if not np.isfinite(slopes).all():  # a parameter has left the floating-point numbers
            raise RangeError("an auxiliary parameter runs out of the range of floating-point numbers")

        def derivatives():
            problem.begin_at(mode.u)
            turned = [
                _turn_back(L, triangle, g) if turn else g
                for L, triangle, g, turn in zip(given, factors, G, self.needs_triangle, strict=True)
            ]
            return turned, self.across.T @ slopes, self.along @ slopes

        return deviance, derivatives


def _across(a):
    """Return orthonormal columns across a direction: those of its own entries, then the unit vectors."""
    own = np.flatnonzero(a)
    others = np.setdiff1d(np.arange(len(a)), own)
    found = np.zeros((len(a), len(a) - 1))
    found[np.ix_(own, np.arange(len(own) - 1))] = np.linalg.qr(a[own][:, None], mode="complete")[0][:, 1:]
    found[others, np.arange(len(own) - 1, len(a) - 1)] = 1.0
    return found


def _triangle(L: FloatArray) -> FloatArray:
    """Turn L (2, 2) from the right until it is lower-triangular."""
    c, s = _angle(L)
    return L @ np.array([[c, -s], [s, c]]) * [[1.0, 0.0], [1.0, 1.0]]


def _turn_back(L: FloatArray, triangle: FloatArray, G: FloatArray) -> FloatArray:
    """Return the derivatives in L for those in its triangle (G, whose upper entry has no meaning)."""
    c, s = _angle(L)
    size = max(np.hypot(*L[0]), 1e-300)
    turn = G[1, 0] * triangle[1, 1] - G[1, 1] * triangle[1, 0]  # in the angle
    first = G[0, 0] * np.array([c, s]) + turn / size * np.array([-s, c])
    return np.array([first, G[1, 0] * np.array([c, s]) + G[1, 1] * np.array([-s, c])])


def _angle(L: FloatArray):
    size = np.hypot(*L[0])
    return L[0] / size if size else (1.0, 0.0)


# --- one parameter held -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Minimum:
    """The least deviance with the parameter held at ``value``, where it is, and its ``slope`` there."""

    value: float
    x: np.ndarray
    deviance: float
    slope: float
    inverse_hessian: np.ndarray


class Held:
    """One parameter of a model, held.

    Parameters
    ----------
    name : str
    estimate, lower, upper : float
        Where the deviance is least, and the range of the parameter.
    deviance : LinearDeviance or GeneralisedDeviance
    coordinates : Free or HeldBlock
    unit : float
        A typical size of the parameter, the measure of small steps.
    scale : float, optional
        For sigma, which is the last entry of the rest, as a logarithm relative to this scale.
    link : Link, optional
        What the deviance takes is the link of the parameter.
    """

    def __init__(
        self,
        name: str,
        estimate: float,
        limits: Sequence[float],
        deviance: LinearDeviance,
        coordinates: Free | HeldBlock,
        unit: float,
        scale: float | None = None,
        link: Link | None = None,
    ) -> None:
        self.name, self.estimate, (self.lower, self.upper) = name, float(estimate), limits
        self.deviance, self.coordinates, self.unit, self.scale = deviance, coordinates, unit, scale
        self.link = link
        rest = deviance.rest if scale is None else deviance.rest[:-1]
        self.start = np.concatenate([coordinates.start, rest])
        self.taus = len(coordinates.start) + deviance.taus
        self.farthest = np.maximum(BEYOND, np.abs(self.start[self.taus]))

    def objective(self, x: FloatArray, value: float) -> tuple[float, Any]:
        """Return the deviance at free coordinates x, and a function giving its derivatives in x and in the
        value.
        """
        n, x, ran_off = len(self.coordinates.start), x.copy(), np.zeros(len(x), dtype=bool)
        ran_off[self.taus] = np.abs(x[self.taus]) > self.farthest
        x[self.taus] = np.clip(x[self.taus], -self.farthest, self.farthest)
        rest = x[n:] if self.scale is None else np.append(x[n:], np.log(value / self.scale))
        held = value if self.link is None else float(self.link.link(value))
        try:
            deviance, derivatives = self.deviance.evaluate(self.coordinates.factors(x[:n], value), rest, held)
        except (np.linalg.LinAlgError, RangeError):
            return np.inf, None

        def gradient() -> tuple[FloatArray, float]:
            G, g_rest, g_value = derivatives()
            g_factors, g_held = self.coordinates.gradient(x[:n], value, G)
            if self.scale is not None:
                g_rest, g_value = g_rest[:-1], g_rest[-1] / value
            if self.link is not None:
                g_value = g_value / float(self.link.derivative(held))
            return np.where(ran_off, 0.0, np.concatenate([g_factors, g_rest])), float(g_held + g_value)

        return deviance, gradient

    def hessian(self) -> FloatArray:
        """Return the Hessian at the estimate in (x, value / unit), the value last; NaN where it cannot be
        had.
        """

        def gradient(point: FloatArray) -> FloatArray:
            _, derivatives = self.objective(point[:-1], self.unit * point[-1])
            if derivatives is None:
                return np.full(len(point), np.nan)
            g, slope = derivatives()
            return np.append(g, self.unit * slope)

        value, step = self.estimate / self.unit, np.full(len(self.start) + 1, 1e-4)
        if np.isfinite(self.upper - self.lower):  # a correlation must stay inside
            step[-1] = min(1e-4, max(0.5 * (1.0 - abs(value)), 1e-12))
            value = np.clip(value, step[-1] - 1.0, 1.0 - step[-1])
        point = np.append(self.start, value)
        return gradient_hessian(gradient, point, step)

    def solve(self, value: float, x: FloatArray, inverse_hessian: FloatArray) -> Minimum | None:
        """Minimise over the free parameters; returns a :class:`Minimum`, or None where the deviance has no
        value.

        An SD of zero is a stationary point: where one is near it, larger ones are tried. So are nearer
        values of an auxiliary parameter that has run off, where the deviance is flat.
        """

        slopes, evaluated = {}, {}
        x = x.copy()
        x[self.taus] = np.clip(x[self.taus], -self.farthest, self.farthest)

        def objective(point: FloatArray) -> tuple[float, Any]:
            key = point.tobytes()
            if key not in evaluated:
                with np.errstate(all="ignore"):  # a trial step may lead where no number is: no value there
                    evaluated[key] = self.objective(point, value)
            deviance, gradient = evaluated[key]

            def free() -> FloatArray:
                g, slopes[key] = gradient()
                return g

            return deviance, free

        if not np.isfinite(objective(x)[0]):
            return None
        found = minimise(objective, x, inverse_hessian, tolerance=TOLERANCE)
        for _ in range(3):
            best = min(self._raised(found.x), key=lambda p: objective(p)[0], default=None)
            if best is None or not objective(best)[0] < found.value - 1e-9:
                break
            found = minimise(objective, best, inverse_hessian, tolerance=TOLERANCE)
        return Minimum(float(value), found.x, found.value, slopes[found.x.tobytes()], found.inverse_hessian)

    def _raised(self, x: FloatArray) -> Iterator[Any]:
        for i in self.coordinates.sizes:
            if abs(x[i]) < NEAR_ZERO:
                yield from (_with(x, i, size) for size in (0.02, 0.1, 0.3, 1.0))
        for i in self.taus:
            if abs(x[i]) > NEAR_END:
                end = np.sign(x[i]) * min(abs(x[i]), BEYOND)
                yield from (_with(x, i, share * end) for share in (0.75, 0.5, 0.25))


def _with(x: FloatArray, i: int, value: float) -> FloatArray:
    changed = x.copy()
    changed[i] = value
    return changed


def held_parameters(fit: FittedModel) -> tuple[list[Held], list[Any]]:
    """Return every parameter of an ML fit as a :class:`Held`, and the names of correlations that are
    undefined.

    SDs and correlations come in the order of theta, then sigma or the dispersion, then the fixed effects.
    """
    make: Any = LinearDeviance if fit.is_linear else GeneralisedDeviance
    deviance = make(fit)
    free = Free(fit.solution.problem.covariance, deviance.theta)
    covariances = list(_held_covariances(fit, deviance))
    undefined = [name for name, held in covariances if held is None]
    found = [held for _, held in covariances if held is not None]
    found += _held_auxiliaries(fit, deviance, free)
    for k, (name, estimate) in enumerate(fit.params.items()):
        unit = fit.bse[name] if np.isfinite(fit.bse[name]) else 0.1 * abs(estimate)  # separated data
        found.append(Held(name, estimate, (-np.inf, np.inf), make(fit, k), free, unit))
    return found, undefined


def _held_auxiliaries(fit, deviance, free):
    """Yield sigma, or each auxiliary parameter of one value and each coefficient of the others."""
    own = {auxiliary.name: auxiliary for auxiliary, _ in fit.named_auxiliary()}
    for k, (name, estimate) in enumerate(fit.auxiliary_estimates.items()):
        free_name = f"{name} of the residuals" if name in fit.params.index else name
        if fit.is_linear:
            yield Held(free_name, estimate, (0.0, np.inf), deviance, free, estimate, estimate)
            continue
        held = GeneralisedDeviance(fit, len(fit.params) + k)
        if name in own:
            limits, link = own[name].range, own[name].link
            yield Held(free_name, estimate, limits, held, free, own[name].unit(estimate), link=link)
        else:
            yield Held(free_name, estimate, (-np.inf, np.inf), held, free, fit.auxiliary_bse[name])


def _held_covariances(fit, deviance):
    """Yield the name of each SD and correlation with its Held, or with None for a correlation with an SD of
    zero.
    """
    covariance, order = fit.solution.problem.covariance, fit.solution.problem.structure.order
    values = values_of(fit.groups, fit.theta.to_numpy(), fit.scale)
    for place, estimate in zip(places_of(fit.groups), values, strict=True):
        if np.isnan(estimate):
            yield place.name, None
            continue
        block, theta = place.block, deviance.theta
        inside = block.structure.held(place.k, theta[block.index], block.to_standard, fit.scale)
        if inside.is_perfect:
            estimate = np.sign(estimate)  # without rounding
        coordinates = HeldBlock(covariance, theta, order.index(place.position), block, inside)
        limits = place.quantity.lower, place.quantity.upper
        yield place.name, Held(place.name, estimate, limits, deviance, coordinates, inside.unit)
