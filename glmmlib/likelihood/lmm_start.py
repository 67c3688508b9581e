"""Where the fit of a linear model begins: a cheap first theta, and a guess of the curvature there."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.linalg.crossing import Structure
from glmmlib.linalg.pls import CrossProducts
from glmmlib.types import FloatArray

SMALL = 0.1  # the SD that a guess of the curvature takes in the place of a smaller one


class Criterion(Protocol):
    """What a start needs to know, of the exact criterion and of the iterative one."""

    n: int
    df: int
    structure: Structure
    covariance: CovarianceParameters
    cross: CrossProducts
    Zy: list
    yy: Any

    def Lambdas(self, theta: FloatArray) -> list[FloatArray]: ...
    def at(self, Lambdas: Sequence[FloatArray]) -> Any: ...
    def block_sums(self, point: Any) -> list[FloatArray]: ...


def first_theta(problem: Criterion) -> tuple[FloatArray, FloatArray]:
    """Return a first theta and a guess of the inverse Hessian there."""
    return next(first_thetas(problem))


def first_thetas(problem: Criterion, n_steps: int = 1) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield each theta from which the search should begin, and a guess of the inverse Hessian there.

    The method of moments, then EM, which needs nothing beyond what the gradient needs:
    ``Lambda <- Lambda chol(mean_j(M^-1_jj + (df / r2) u_j u_j'))``. The guess of the curvature is that of
    J groups whose effects are known with the reliability ``1 - mean_j M^-1_jj``.
    """
    for theta in problem.covariance.starts(moments(problem)):
        yield _after_em(problem, theta, n_steps)


def _after_em(problem, theta, n_steps):
    covariance = problem.covariance
    for _ in range(n_steps):
        point = problem.at(problem.Lambdas(theta))
        sums = problem.block_sums(point)
        means = [
            (block + problem.df / point.r2 * (u @ u.T)) / u.shape[1]
            for block, u in zip(sums, point.u, strict=True)
        ]
        theta = covariance.em_step(theta, means)
    return theta, _guess(problem, theta, sums)


def curvature_guess(problem: Criterion, theta: FloatArray) -> FloatArray:
    """Return a guess of the inverse Hessian at any theta."""
    return _guess(problem, theta, problem.block_sums(problem.at(problem.Lambdas(theta))))


def _guess(problem: Criterion, theta: FloatArray, sums: list[FloatArray]) -> FloatArray:
    guess = []
    factors = zip(problem.Lambdas(theta), sums, problem.structure.factors, strict=True)
    for L, block, factor in factors:
        size = np.maximum(np.sqrt((L**2).sum(axis=1)), SMALL)
        ratio = size / np.clip(1.0 - np.diag(block) / factor.n_levels, 0.1, 1.0)
        scale = np.outer(ratio, ratio) / factor.n_levels
        guess.append(np.where(np.eye(len(L)) > 0, scale / 4.0, scale / 2.0))
    return np.diag(problem.covariance.inverse_curvature(theta, guess))


def moments(problem: Criterion) -> list[FloatArray]:
    """Return the variances (q,) of each factor's effects, relative to sigma^2, by the method of moments.

    The columns have mean square one, so the total variance v is the sum of all variances, and a random
    effect with variance s contributes ``E (Z_j'y)^2 = (v - s) Z_j'Z_j + s (Z_j'Z_j)^2``.
    """
    v = problem.yy / problem.n
    variances = []
    for A, Zy in zip(problem.cross.A, problem.Zy, strict=True):
        a = np.einsum("aaj->aj", A)
        excess = (Zy**2).sum(axis=1) - v * a.sum(axis=1)
        variances.append(
            np.clip(excess / ((a * a).sum(axis=1) - a.sum(axis=1)).clip(1e-9), 0.02 * v, 0.8 * v)
        )
    residual = max(v - sum(s.sum() for s in variances), 0.1 * v)
    return [s / residual for s in variances]
