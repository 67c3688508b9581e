r"""Generalised models with large crossed factors, iteratively: Laplace's approximation, no dense matrix.

PIRLS takes its steps by conjugate gradients. Of the inverse of H the gradient needs the entries where levels
meet; they are estimated with random signs, drawn once from a stated seed (:mod:`glmmlib.linalg.probed`), so
that everything is one smooth function of the parameters and a fit can be repeated. The rest is that of
:class:`~glmmlib.likelihood.glmm.LaplaceDeviance`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np

from glmmlib.likelihood.glmm import LaplaceDeviance, Mode
from glmmlib.likelihood.glmm_start import first_parameters
from glmmlib.likelihood.lmm import MOST_DENSE
from glmmlib.likelihood.lmm_iterative import FARTHEST, SEED
from glmmlib.likelihood.optimise import vanishing_gradient
from glmmlib.linalg.probed import CHUNK_NUMBERS, Probes
from glmmlib.types import FloatArray

PROBE_TOLERANCE, DIFFERENCE_TOLERANCE = 1e-3, 1e-5
SEARCH_TOLERANCE = 1e-7  # of PIRLS, while ten times as much is left of the gradient
ROWS_TO_BEGIN = 100_000  # tell the first fixed effects


def why_not_iterative(problem: LaplaceDeviance) -> str:
    """Say what a model has that the iterative solution cannot do; "" where there is nothing."""
    if problem.quadrature is not None:
        return "quadrature is exact"
    if problem.family.has_dispersion:
        return f"the {problem.family.name} family has parameters to be estimated beside the mean"
    if not problem.family.is_log_concave or problem.family.limited_range:
        return (
            f"the likelihood of the {problem.family.name} family with this link is not log-concave everywhere"
        )
    if any(f.q > 1 or f.n_levels == 1 for f in problem.structure.factors):
        return "it has other random effects than one for each level of a factor"
    return ""


def is_iterative(problem: LaplaceDeviance) -> bool:
    """Is a model so large, or is it asked, to be fitted by :func:`solve_gradient`?"""
    if len(problem.structure.factors) < 2:
        return False
    if problem.exact is not None:
        return not problem.exact
    return problem.structure.m > MOST_DENSE and not why_not_iterative(problem)


def iterative(problem: LaplaceDeviance, probes: int) -> LaplaceDeviance:
    """Return the same model with so many probes in the place of the dense matrix."""
    other, structure = copy(problem), problem.structure
    cross = problem.cross_products(np.ones(problem.n))
    other.factorise = Probes(structure, cross, probes, SEED, PROBE_TOLERANCE)
    other.pirls_tolerance = SEARCH_TOLERANCE
    other.begins_with_every = 1 + problem.n // ROWS_TO_BEGIN
    other.begin_at([np.zeros((f.q, f.n_levels)) for f in structure.factors])
    return other


@dataclass(frozen=True, eq=False)
class Found:
    """Where the gradient vanishes: parameters, inverse Hessian, gradient, -2 log L and mode there, and the
    number of evaluations.
    """

    parameters: FloatArray
    inverse_hessian: FloatArray
    gradient: FloatArray
    value: float
    mode: Mode
    n_evaluations: int


def solve_gradient(problem: LaplaceDeviance, tolerance: float, begun: Found | None = None) -> Found:
    """Find where the gradient vanishes, ``g' H^-1 g < tolerance``, or the boundary near by; ``begun`` is
    where it vanishes with other probes.

    Raises
    ------
    numpy.linalg.LinAlgError
        If there are no such parameters.
    RangeError
        If the linear predictor leaves the floating-point numbers.
    """
    last: list[tuple[float, FloatArray, Mode]] = []
    n_evaluations = 0

    def gradient(x: FloatArray) -> FloatArray:
        nonlocal n_evaluations
        n_evaluations += 1
        last[:] = []  # before the next one: it holds the products at every cell
        last[:] = [problem.evaluate(x)]
        problem.keep(last[0][2], x)
        return last[0][1]

    if begun is None:
        start = first_parameters(problem)
    else:
        start = begun.parameters, begun.inverse_hessian
        problem.begin_at(begun.mode.u)
        n_evaluations = begun.n_evaluations
    x, H, g = vanishing_gradient(gradient, *start, tolerance, _length(problem))
    theta = problem.covariance.rectified(problem.covariance.snapped(problem.theta(x)))
    if not np.array_equal(theta, problem.theta(x)):
        x = problem.join(x[: problem.p], theta)
        gradient(x)
    value, _, mode = last[0]
    return Found(x, H, g, float(value), mode, n_evaluations)


def _length(problem):
    def length(x, step):
        moved = np.linalg.norm(problem.theta(step))
        return float(FARTHEST * np.linalg.norm(problem.theta(x)) / max(moved, 1e-300))

    return length


def near(
    problem: LaplaceDeviance, parameters: FloatArray
) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Return the gradient at some parameters, and a function that gives it near by for less."""
    other = copy(problem)
    other.factorise = problem.factorise.with_tolerance(DIFFERENCE_TOLERANCE)
    _, gradient, mode = other.evaluate(parameters)
    other.keep(mode, parameters)
    other.factorise = mode.factorisation.probes.near(mode.factorisation)
    return gradient, other.gradient


def gradient_covariance(problem: LaplaceDeviance, parameters: FloatArray, mode: Mode) -> FloatArray:
    r"""Return the Monte Carlo covariance (k, k) of the gradient, from the spread over the probes.

    A probe enters through what it makes of :math:`h_i = v_i'H^{-1}v_i`, with v the rows of :math:`Z\Lambda`:
    the gradient holds :math:`\sum_i h_i\,(-\ell_i''')\,\partial\hat\eta_i/\partial x`, and in the Lambda of a
    factor :math:`2\sum_i w_i z_i (H^{-1}v_i)_f`.
    """
    factorisation = mode.factorisation
    if factorisation.probes.is_exact:
        return np.zeros((len(parameters), len(parameters)))
    _, Lambdas, _ = problem.split(parameters)
    factors, k = problem.structure.factors, factorisation.probes.number
    moves = _moves_of_modes(problem, mode, Lambdas)
    in_beta, in_theta = np.zeros((problem.p, k)), np.zeros((len(factors), k))
    a, c = factorisation.levels
    step = max(1, CHUNK_NUMBERS // k)
    for start in range(0, problem.n, step):
        rows = slice(start, start + step)
        scale = [float(L[0, 0]) * f.Z[0][rows] for L, f in zip(Lambdas, factors, strict=True)]
        h, by_factor = _of_probes(
            [x[0][f.codes[rows]] for x, f in zip(a, factors, strict=True)],
            [x[0][f.codes[rows]] for x, f in zip(c, factors, strict=True)],
            scale,
        )
        eta_moves = np.concatenate([problem.Q[:, rows], np.zeros((len(factors), h.shape[0]))])
        for f, (factor, u) in enumerate(zip(factors, mode.u, strict=True)):
            eta_moves[problem.p + f] = factor.Z[0][rows] * u[0][factor.codes[rows]]
        for s, move, factor in zip(scale, moves, factors, strict=True):
            eta_moves += s * move[:, factor.codes[rows]]
        moved = (mode.dweight[rows] * eta_moves) @ h
        in_beta += moved[: problem.p]
        in_theta += moved[problem.p :]
        for f, factor in enumerate(factors):
            in_theta[f] += 2.0 * (mode.weight[rows] * factor.Z[0][rows]) @ by_factor[f]
    theta = problem.theta(parameters)
    of_probe = [
        np.concatenate([b, problem.covariance.pullback(theta, [g.reshape(1, 1) for g in t])])
        for b, t in zip(in_beta.T, in_theta.T, strict=True)
    ]
    return np.atleast_2d(np.cov(np.array(of_probe).T)) / k


def _of_probes(a, c, scale):
    """Return what each probe makes of ``v'H^-1 v`` (rows, k), v being the row's part of Z Lambda, and of
    ``H^-1 v`` at the level of each factor, as :meth:`~glmmlib.linalg.probed.ProbedFactorisation.inverse`
    does.
    """
    first, s = scale[0][:, None], [x[:, None] for x in scale[1:]]
    of_a = sum(x * y for x, y in zip(s, a[1:], strict=True))
    of_c = sum(x * y for x, y in zip(s, c[1:], strict=True))
    own = first * c[0]
    h = own * (first * a[0] + 2.0 * of_a) + of_a * of_c
    by_factor = [c[0] * (first * a[0] + of_a)]
    by_factor += [x * own + 0.5 * (x * of_c + y * of_a) for x, y in zip(a[1:], c[1:], strict=True)]
    return h, by_factor


def _moves_of_modes(problem, mode, Lambdas):
    """Return the derivatives of the modes u in beta and in each (one by one) Lambda: (p + K, J) by factor."""
    factors, p = problem.structure.factors, problem.p
    sides = [np.zeros((p + len(factors), f.n_levels)) for f in factors]
    for j in range(p):
        for side, s in zip(sides, problem.by_level(mode.weight * problem.Q[j], Lambdas), strict=True):
            side[j] = -s[0]
    for f, factor in enumerate(factors):
        moved = mode.weight * factor.Z[0] * mode.u[f][0][factor.codes]
        for side, s in zip(sides, problem.by_level(moved, Lambdas), strict=True):
            side[p + f] = -s[0]
        sides[f][p + f] += factor.sums(mode.score)[0]
    found = mode.factorisation.solve_columns(sides[0].T, np.concatenate(sides[1:], axis=1).T)
    return [x[0].T for x in mode.factorisation.by_factor(*found)]
