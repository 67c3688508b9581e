r"""How the criterion of a linear model and the covariance of its fixed effects move with the variances.

The variance parameters are those in which Lambda moves without leaving its boundary
(:class:`~glmmlib.covariance.tangent.Tangent`), those of the residual side, and
:math:`\tau = \log \sigma^2`. With the profiled criterion D and :math:`b = -\nabla r^2 / \sigma^2`, the
Hessian in all of them is

.. math::

    \begin{bmatrix} D'' + bb'/\mathrm{df} & b \\ b' & \mathrm{df} \end{bmatrix}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.covariance.tangent import Tangent
from glmmlib.likelihood.lmm import Point, ProfiledDeviance
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray

_STEP = 1e-4  # half-width of the differences, relative to the (standardised) column of Lambda


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives at the estimates, by central differences of exact first ones.

    Attributes
    ----------
    hessian : (k + 1, k + 1) array
        Of the criterion in the variance parameters, log sigma^2 last.
    C : (p, p) array
        Covariance of the fixed effects in the orthonormal columns.
    gradient : (k + 1, p, p) array
        Derivatives of C.
    """

    hessian: FloatArray
    C: FloatArray
    gradient: FloatArray

    @property
    def covariance(self) -> FloatArray:
        """The asymptotic covariance (k + 1, k + 1) of the variance parameters."""
        return 2.0 * positive_inverse(self.hessian)


class Moves:
    """The ways in which the variances of an ordinary linear model can move from their estimates."""

    def __init__(self, problem: ProfiledDeviance, theta: FloatArray) -> None:
        self.problem, self.tangent = problem, Tangent(problem.covariance, theta)

    @property
    def size(self) -> FloatArray:
        """What a step of each is measured by (k,)."""
        return self.tangent.size

    def at(self, k: int | None = None, step: float = 0.0) -> Any:
        """Return the model with one parameter moved: what :meth:`slopes` and :meth:`point` take."""
        return self.problem.at(self.tangent.factors if k is None else self.tangent.moved(k, step))

    def point(self, moved: Any) -> Point:
        return moved

    def slopes(self, moved: Any, k: int, step: float) -> FloatArray:
        """Return the derivatives (k,) of the criterion there."""
        return self.tangent.pullback(self.problem.gradient_matrices(moved), k, step)

    def r2_slopes(self, moved: Any) -> FloatArray:
        """Return the derivatives (k,) of the residual sum of squares at the estimates."""
        return self.tangent.pullback(r2_slopes(self.problem, moved))


def curvature(moves: Moves) -> Curvature:
    """Return the :class:`Curvature`: two evaluations for each parameter."""
    problem, k, p = moves.problem, len(moves.size), moves.problem.p
    here = moves.at()
    point = moves.point(here)
    sigma2 = point.r2 / problem.df
    hessian, gradient = np.zeros((k + 1, k + 1)), np.zeros((k + 1, p, p))
    b = -moves.r2_slopes(here) / sigma2
    for row, step in enumerate(_STEP * moves.size):
        ends = [moves.at(row, s) for s in (step, -step)]
        up, down = (moves.slopes(end, row, s) for end, s in zip(ends, (step, -step), strict=True))
        hessian[row, :k] = (up - down) / (2.0 * step)
        high, low = (_unscaled(problem, moves.point(end)) for end in ends)
        gradient[row] = sigma2 * (high - low) / (2.0 * step)
    C = sigma2 * _unscaled(problem, point)
    hessian[:k, :k] = 0.5 * (hessian[:k, :k] + hessian[:k, :k].T) + np.outer(b, b) / problem.df
    hessian[:k, k] = hessian[k, :k] = b
    hessian[k, k] = problem.df
    gradient[k] = C
    return Curvature(hessian, C, gradient)


def r2_slopes(problem: ProfiledDeviance, point: Point) -> Sequence[FloatArray]:
    """Return the derivatives of the residual sum of squares in each Lambda, (q, q)."""
    return [-2.0 * e @ u.T for e, u in zip(problem.residual_products(point), point.u, strict=True)]


def _unscaled(problem: ProfiledDeviance, point: Point) -> FloatArray:
    """Return ``(X'V^-1 X)^-1`` in the orthonormal columns, V without sigma^2."""
    m = problem.structure.m
    half = solve_triangular(point.factorisation.L[m:, m:], np.eye(problem.p), lower=True)
    return half.T @ half


def positive_inverse(hessian: FloatArray) -> FloatArray:
    """Invert on the directions of positive curvature: along a flat one the data say nothing, and nothing is
    added.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    good = values > 1e-8 * values[-1]
    half = scale[:, None] * vectors[:, good] / np.sqrt(values[good])
    return half @ half.T
