"""The likelihood of a linear mixed model at given estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.families.gaussian import Gaussian
from glmmlib.likelihood.lmm import Point, ProfiledDeviance
from glmmlib.likelihood.predictors import AuxiliaryPredictors
from glmmlib.likelihood.solution import GIVEN, Convergence, Estimates, Solution
from glmmlib.likelihood.variance_moves import Moves
from glmmlib.linalg.pls import Factorisation
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray, IntArray

AT_FLOOR = 100.0  # times the least residual sum of squares: so near, -2 log L no longer depends on it


class LinearSolution(Solution):
    """The likelihood (or REML criterion) of a linear mixed model.

    Parameters
    ----------
    problem : ProfiledDeviance
    theta : (k,) array
        Of the standardised columns.
    convergence : Convergence
    estimates : Estimates, optional
        Without them, beta and sigma are the best for this theta.
    """

    problem: ProfiledDeviance
    statistic = "t"

    def __init__(
        self,
        problem: ProfiledDeviance,
        theta: FloatArray,
        convergence: Convergence = GIVEN,
        estimates: Estimates | None = None,
    ) -> None:
        self.problem, self.standard_theta, self.convergence = problem, theta, convergence
        self._is_best = estimates is None
        self.estimates = self._best() if estimates is None else estimates

    def at(self, estimates: Estimates, problem: ProfiledDeviance | None = None) -> LinearSolution:
        problem = self.problem if problem is None else problem
        theta = problem.covariance.to_standardised(estimates.theta)
        return LinearSolution(problem, theta, GIVEN, estimates)

    def state(self) -> dict[str, Any]:
        given = None if self._is_best else asdict(self.estimates)
        return {"theta": self.standard_theta, "convergence": asdict(self.convergence), "estimates": given}

    @classmethod
    def restored(cls, problem: ProfiledDeviance, state: Mapping[str, Any]) -> LinearSolution:
        given = state["estimates"]
        estimates = None if given is None else Estimates(**given)
        return cls(problem, state["theta"], Convergence(**state["convergence"]), estimates)

    def _best(self) -> Estimates:
        problem = self.problem
        beta = problem.beta_ols + self.coordinates.beta(self.point.beta)
        sigma = float(np.sqrt(self.point.r2 / problem.df))
        return Estimates(problem.covariance.to_user(self.standard_theta), beta, sigma)

    @cached_property
    def point(self) -> Point:
        """Penalised least squares at this theta."""
        return self.problem.at(self.standard_Lambdas)

    @property
    def is_without_residual(self) -> bool:
        """Does a process in time or space leave no residual variation beside it?"""
        return self.problem.least_share > 0.0 and self.point.r2 < AT_FLOOR * self.problem.least_r2

    @property
    def sigma(self) -> float:
        """The residual SD."""
        assert self.estimates.auxiliary is not None, "a linear model has a residual SD"
        return self.estimates.auxiliary

    @cached_property
    def _shift(self) -> FloatArray:
        """How far beta lies from the best one for this theta, in the orthonormal columns."""
        beta = self.estimates.beta - self.problem.beta_ols
        return self.coordinates.orthonormal_beta(beta) - self.point.beta

    @property
    def _root_of_information(self) -> FloatArray:
        """The lower triangular root of ``X'V^-1 X``, in the orthonormal columns and V without sigma^2."""
        m = self.problem.structure.m
        return self.point.factorisation.L[m:, m:]

    @cached_property
    def deviance(self) -> float:
        if self._is_best:
            return self.point.value
        problem, factorisation, sigma2 = self.problem, self.point.factorisation, self.sigma**2
        value = factorisation.log_det_Z + problem.constant + problem.df * np.log(2.0 * np.pi * sigma2)
        if problem.reml:
            return float(value + factorisation.log_det_X + self.point.penalised / sigma2)
        more = self._root_of_information.T @ self._shift
        return float(value + (self.point.penalised + more @ more) / sigma2)

    @cached_property
    def beta_cov(self) -> FloatArray:
        root = self._root_of_information
        half = solve_triangular(root, np.eye(len(root)), lower=True) if len(root) else root
        return self.sigma**2 * self.coordinates.covariance(half.T @ half)

    @property
    def free(self) -> FloatArray:
        return self.estimates.beta

    @property
    def free_cov(self) -> FloatArray:
        return self.beta_cov

    def estimates_at(self, free: FloatArray) -> Estimates:
        return replace(self.estimates, beta=free)

    def with_response(self, y: FloatArray) -> Any:
        """Return the criterion of another response, as :meth:`at` takes it."""
        return self.problem.with_response(y)

    def unit_of(self, auxiliary: Any) -> float:
        """Return the unit of theta that goes with an estimate of what is beside the mean."""
        return auxiliary

    def moves(self) -> Moves:
        """Return the ways in which the variances can move from here."""
        return Moves(self.problem, self.standard_theta)

    def error_covariance(self, rows: IntArray) -> FloatArray:
        """Return the covariance of the residuals of these m rows (m, m), given the random effects."""
        w = self.problem.weights
        return np.diag(self.sigma**2 / (np.ones(len(rows)) if w is None else w[rows]))

    def normalised(self, residual: FloatArray) -> FloatArray:
        """Return residuals (n,) over their SDs, and independent under the model."""
        w = self.problem.weights
        return (residual if w is None else np.sqrt(w) * residual) / self.sigma

    @cached_property
    def modes(self) -> tuple[FloatArray, ...]:
        u = self.point.u
        if not self._is_best and self.problem.p:
            root = self._root_of_information
            zero = [np.zeros_like(x) for x in u]
            change, _, _ = self.point.factorisation.solve(zero, root @ (root.T @ self._shift))
            u = [x + d for x, d in zip(u, change, strict=True)]
        return self.coordinates.modes(self.standard_Lambdas, u)

    def joint_precision(self) -> Factorisation:
        return self.point.factorisation

    @cached_property
    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        inverse = self.point.factorisation.inverse(with_X=False)
        return self._covariances_of_modes(inverse, self.sigma)

    @cached_property
    def predictors(self) -> AuxiliaryPredictors:
        return AuxiliaryPredictors.of(Gaussian(), {}, self.problem.n)

    @property
    def offset(self) -> FloatArray | None:
        return self.problem.offset
