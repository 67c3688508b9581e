"""Where the fit of a generalised model begins: cheap first parameters, and a guess of the curvature there."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from glmmlib.likelihood.glmm import LaplaceDeviance, RangeError
from glmmlib.types import FloatArray, Numbers


def first_parameters(problem: LaplaceDeviance) -> tuple[FloatArray, FloatArray]:
    """Return a start at which there is a value: with a link of limited range the variances may have to be
    small.
    """
    if not problem.family.limited_range:
        return _start(problem)
    for shrink in (1.0, 0.3, 0.1, 0.01):
        try:
            x, H = _start(problem, shrink)
            problem.evaluate(x)
        except (np.linalg.LinAlgError, RangeError):
            problem._last = [np.zeros_like(u) for u in problem._last]
            continue
        return x, H
    raise RangeError


def other_parameters(problem: Any, x: FloatArray) -> Iterator[FloatArray]:
    """Yield the parameters x with other values of the covariance parameters that may have several optima."""
    variances = [np.mean(np.diagonal(L @ L.T)) * np.ones(len(L)) for L in problem.split(x)[1]]
    for theta in list(problem.covariance.starts(variances))[1:]:
        other = x.copy()
        problem.theta(other)[:] = theta
        yield other


def _start(problem: LaplaceDeviance, shrink: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Return first parameters and a guess of the inverse Hessian there.

    A generalised linear model without random effects, variances by the method of moments from its scores,
    then some steps of PIRLS for beta and u together, whose Schur complement tells the curvature in beta.
    """
    beta, tau = _glm(problem)
    variances = _moments(problem, beta, problem.predictors.values(tau))
    theta = problem.covariance.start([shrink**2 * v for v in variances])
    return _joint_steps(problem, beta, theta, tau, problem._last)


def parameters_at(problem: LaplaceDeviance, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return parameters with the given theta, and a guess of the inverse Hessian there."""
    beta, tau = _glm(problem)
    return _joint_steps(problem, beta, theta, tau, [np.zeros_like(u) for u in problem._last])


def _joint_steps(problem, beta, theta, tau, u):
    """Steps of PIRLS for beta and u together."""
    Lambdas, dispersion = problem.covariance.factors(theta), problem.predictors.values(tau)
    for _ in range(4):
        eta = problem.linear_predictor(beta, Lambdas, u)
        d = problem.family.derivatives(problem.y, eta, problem.weights, dispersion, order=2)
        _, factorisation, _ = problem.curvature(d.weight, eta, Lambdas, dispersion, with_X=True)
        rhs = [s - x for s, x in zip(problem.by_level(d.score, Lambdas), u, strict=True)]
        du, dbeta, gain = factorisation.solve(rhs, problem.Q @ d.score)
        value, length = problem._penalised(beta, Lambdas, u, dispersion)[0], 1.0
        while length > 1e-4:
            trial_u = [x + length * s for x, s in zip(u, du, strict=True)]
            trial_beta = beta + length * dbeta
            if problem._penalised(trial_beta, Lambdas, trial_u, dispersion)[0] <= value:
                u, beta = trial_u, trial_beta
                break
            length *= 0.5
        if gain < 1e-2:
            break
    problem._last = u
    return _with_curvature(problem, beta, theta, tau, factorisation)


def _with_curvature(problem, beta, theta, tau, factorisation):
    m = problem.structure.m
    inverse = factorisation.inverse(with_X=False)
    guess = []
    Lambdas = problem.covariance.factors(theta)
    for L, block, factor in zip(Lambdas, inverse.block, problem.structure.factors, strict=True):
        r = np.clip(1.0 - np.einsum("aaj->a", block) / factor.n_levels, 0.1, 1.0)
        scale = np.outer(np.diag(L) / r, np.diag(L) / r) / factor.n_levels
        guess.append(np.where(np.eye(len(L)) > 0, scale / 4.0, scale / 2.0))
    spread = problem.covariance.inverse_curvature(theta, guess)
    H = np.diag(problem.join(np.zeros(problem.p), spread, np.zeros_like(tau)))
    if problem.p:
        half = np.linalg.inv(factorisation.L[m:, m:])
        H[: problem.p, : problem.p] = 0.5 * half.T @ half
    x = problem.join(beta, theta, tau)
    for k in range(len(x) - len(tau), len(x)):
        shift = np.zeros(len(x))
        shift[k] = 0.1
        curvature = (problem.gradient(x + shift)[k] - problem.gradient(x - shift)[k]) / 0.2
        H[k, k] = 1.0 / np.clip(abs(curvature), 0.5, 4.0 * problem.n)
    return x, H


def _glm(problem):
    """Fit the model without random effects by Fisher scoring, roughly; returns beta and tau."""
    family, tau = problem.family, problem.predictors.constant(problem.family.first_auxiliary)
    dispersion = problem.predictors.values(tau)
    eta = family.link.link(family.start_mean(problem.y, problem.weights))
    offset = 0.0 if problem.offset is None else problem.offset
    w = family.fisher(eta, problem.weights, dispersion)
    beta = np.linalg.lstsq((problem.Q * w) @ problem.Q.T, (problem.Q * w) @ (eta - offset), rcond=None)[0]
    value = _glm_value(problem, beta, dispersion)
    for _ in range(25):
        if not np.isfinite(value):
            break
        eta = beta @ problem.Q + offset
        d = family.derivatives(problem.y, eta, problem.weights, dispersion, order=1)
        w = family.fisher(eta, problem.weights, dispersion)
        step = np.linalg.lstsq((problem.Q * w) @ problem.Q.T, problem.Q @ d.score, rcond=None)[0]
        length = 1.0
        while length > 1e-3 and not _glm_value(problem, beta + length * step, dispersion) <= value:
            length *= 0.5
        beta = beta + (length if length > 1e-3 else 0.0) * step
        value, previous = _glm_value(problem, beta, dispersion), value
        if previous - value < 1e-3:
            break
    if not np.isfinite(value):
        raise RangeError
    if dispersion is not None:
        mu = family.link.inverse(beta @ problem.Q + offset)
        tau = problem.predictors.constant(family.start_auxiliary(problem.y, mu, problem.weights))
    return beta, tau


def _glm_value(problem: LaplaceDeviance, beta: FloatArray, dispersion: Numbers | None) -> float:
    zero = [np.zeros_like(x) for x in problem._last]
    return problem._penalised(beta, _unit_factors(problem), zero, dispersion)[0]


def _moments(problem, beta, dispersion):
    """Variances from the spread of the scores' sums: without random effects ``Var(Z_j'r) = Z_j'WZ_j``."""
    zero = [np.zeros_like(x) for x in problem._last]
    eta = problem.linear_predictor(beta, _unit_factors(problem), zero)
    d = problem.family.derivatives(problem.y, eta, problem.weights, dispersion, order=2)
    A = problem.cross_products(
        np.maximum(d.weight, problem.family.fisher(eta, problem.weights, dispersion) * 0.1)
    ).A
    variances = []
    for Ak, s in zip(A, problem.by_level(d.score), strict=True):
        a = np.einsum("aaj->aj", Ak)
        variance = ((s * s).sum(axis=1) - a.sum(axis=1)) / (a * a).sum(axis=1)
        typical = 1.0 / np.maximum(a.mean(axis=1), 1e-12)
        variances.append(np.clip(variance, 0.05 * typical, 20.0 * typical))
    return variances


def _unit_factors(problem: LaplaceDeviance) -> list[FloatArray]:
    return [np.eye(f.q) for f in problem.structure.factors]
