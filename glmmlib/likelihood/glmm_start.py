"""Where the fit of a generalised model begins: cheap first parameters, and a guess of the curvature there."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from glmmlib.likelihood.glmm import LaplaceDeviance, RangeError
from glmmlib.types import FloatArray

GLM_LENGTHS = tuple(0.5**k for k in range(10))  # of Fisher scoring's steps


def first_parameters(problem: LaplaceDeviance, shrink: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Return first parameters, SDs shrunk by a factor, and a guess of the inverse Hessian there.

    A generalised linear model without random effects, variances by the method of moments from its scores,
    then some steps of PIRLS for beta and u together, whose Schur complement tells the curvature in beta.
    """
    beta, tau = _glm(problem)
    variances = _moments(problem, beta, problem.predictors.values(tau))
    theta = problem.covariance.start([shrink**2 * v for v in variances])
    return _joint_steps(problem, beta, theta, tau, problem.nearest_mode)


def other_parameters(problem: Any, x: FloatArray) -> Iterator[FloatArray]:
    """Yield the parameters x with other values of the covariance parameters that may have several optima."""
    variances = [np.mean(np.diagonal(L @ L.T)) * np.ones(len(L)) for L in problem.split(x)[1]]
    for theta in list(problem.covariance.starts(variances))[1:]:
        other = x.copy()
        problem.theta(other)[:] = theta
        yield other


def parameters_at(problem: LaplaceDeviance, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return parameters with the given theta, and a guess of the inverse Hessian there."""
    beta, tau = _glm(problem)
    return _joint_steps(problem, beta, theta, tau, [np.zeros_like(u) for u in problem.nearest_mode])


def _joint_steps(problem, beta, theta, tau, u):
    """Steps of PIRLS for beta and u together."""
    Lambdas, dispersion = problem.covariance.factors(theta), problem.predictors.values(tau)
    value, eta, d = problem.valued(beta, Lambdas, u, dispersion, order=2)
    for _ in range(4):
        _, factorisation, _ = problem.curvature(d.weight, eta, Lambdas, dispersion, with_X=True)
        rhs = [s - x for s, x in zip(problem.by_level(d.score, Lambdas), u, strict=True)]
        du, dbeta, gain = factorisation.solve(rhs, problem.Q @ d.score)
        length = 1.0
        while length > 1e-4:
            trial_u = [x + length * s for x, s in zip(u, du, strict=True)]
            trial_beta = beta + length * dbeta
            trial, trial_eta, trial_d = problem.valued(trial_beta, Lambdas, trial_u, dispersion, order=2)
            if trial <= value:
                u, beta, value, eta, d = trial_u, trial_beta, trial, trial_eta, trial_d
                break
            length *= 0.5
        if gain < 1e-2 * problem.begins_with_every:
            break
    problem.nearest_mode = u
    return _with_curvature(problem, beta, theta, tau, factorisation)


def _with_curvature(problem, beta, theta, tau, factorisation):
    inverse = factorisation.inverse(with_X=False)
    guess = []
    Lambdas = problem.covariance.factors(theta)
    for L, block, factor in zip(Lambdas, inverse.block, problem.structure.factors, strict=True):
        r = np.clip(1.0 - np.einsum("aaj->a", block) / factor.n_levels, 0.1, 1.0)
        size = np.abs(np.diag(L)) / r  # the sign of a column is arbitrary
        scale = np.outer(size, size) / factor.n_levels
        guess.append(np.where(np.eye(len(L)) > 0, scale / 4.0, scale / 2.0))
    spread = problem.covariance.inverse_curvature(theta, guess)
    H = np.diag(problem.join(np.zeros(problem.p), spread, np.zeros_like(tau)))
    if problem.p:
        half = np.linalg.inv(factorisation.root_of_information)
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
    Q, y, weights, offset = _rows_to_begin_with(problem)
    eta = family.link.link(family.start_mean(y, weights))
    w = family.fisher(eta, weights, dispersion)
    beta = np.linalg.lstsq((Q * w) @ Q.T, (Q * w) @ (eta - offset), rcond=None)[0]

    def at(beta):
        eta = beta @ Q + offset
        with np.errstate(over="ignore", invalid="ignore"):
            d = family.derivatives(y, eta, weights, dispersion, order=1)
            value = -2.0 * d.kernel.sum()
        return (value if np.isfinite(value) else np.inf), eta, d.score

    value, eta, score = at(beta)
    for _ in range(25):
        if not np.isfinite(value):
            break
        w = family.fisher(eta, weights, dispersion)
        step = np.linalg.lstsq((Q * w) @ Q.T, Q @ score, rcond=None)[0]
        for length in GLM_LENGTHS:
            found = at(beta + length * step)
            if found[0] <= value:
                break
        else:
            break
        gain = value - found[0]
        beta, (value, eta, score) = beta + length * step, found
        if gain < 1e-3:
            break
    if not np.isfinite(value):
        raise RangeError
    if dispersion is not None:
        mu = family.link.inverse(beta @ Q + offset)
        tau = problem.predictors.constant(family.start_auxiliary(y, mu, weights))
    return beta, tau


def _rows_to_begin_with(problem):
    """Return columns, response, weights and offset of the rows that the first fixed effects come from."""
    rows = slice(None, None, problem.begins_with_every)
    weights = None if problem.weights is None else problem.weights[rows]
    return (
        problem.Q[:, rows],
        problem.y[rows],
        weights,
        0.0 if problem.offset is None else problem.offset[rows],
    )


def _moments(problem, beta, dispersion):
    """Variances from the spread of the scores' sums: without random effects ``Var(Z_j'r) = Z_j'WZ_j``."""
    zero = [np.zeros_like(x) for x in problem.nearest_mode]
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
