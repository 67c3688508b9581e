"""A linear model at the estimates that :mod:`glmmlib.likelihood.lmm_iterative` found, with their errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.likelihood.linear_solution import LinearSolution
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.likelihood.lmm_iterative import (
    SEED,
    IterativeDeviance,
    IterativePoint,
    enough_probes,
    solve_gradient,
)
from glmmlib.likelihood.patience import FACTORISATIONS, announced, dense_price
from glmmlib.likelihood.solution import Convergence, Estimates
from glmmlib.types import FloatArray

ENOUGH = 1e-5  # g' H^-1 g at which the search ends: a few thousandths of a standard error


class IterativeSolution(LinearSolution):
    """The likelihood of a linear model with large crossed factors, with a Monte Carlo error.

    What needs entries of the inverse (profiles, conditional variances, degrees of freedom) is still computed
    with the dense matrix, or refused where that has no room: :attr:`point` is the exact one.

    Attributes
    ----------
    deviance_error : float
        The Monte Carlo error of the deviance.
    """

    statistic = "z"

    def __init__(
        self,
        problem: ProfiledDeviance,
        theta: FloatArray,
        convergence: Convergence,
        iterative: IterativeDeviance | None = None,
        found: IterativePoint | None = None,
    ) -> None:
        self._iterative = IterativeDeviance(problem) if iterative is None else iterative
        self.found = self._iterative.at(problem.Lambdas(theta)) if found is None else found
        super().__init__(problem, theta, convergence)

    @classmethod
    def restored(cls, problem: ProfiledDeviance, state: Mapping[str, Any]) -> IterativeSolution:
        iterative = IterativeDeviance(problem, state["probes"])
        return cls(problem, state["theta"], Convergence(**state["convergence"]), iterative)

    def state(self) -> dict[str, Any]:
        return super().state() | {"probes": self._iterative.z.shape[1]}

    def _best(self) -> Estimates:
        problem, found = self.problem, self.found
        beta = problem.beta_ols + self.coordinates.beta(found.beta)
        sigma = float(np.sqrt(found.r2 / problem.df))
        return Estimates(problem.covariance.to_user(self.standard_theta), beta, sigma)

    @cached_property
    def _value(self) -> tuple[float, float]:
        return self._iterative.value(self.found)

    @cached_property
    def deviance(self) -> float:
        return self._value[0]

    @property
    def deviance_error(self) -> float:
        return self._value[1]

    @cached_property
    def beta_cov(self) -> FloatArray:
        return self.sigma**2 * self.coordinates.covariance(np.linalg.inv(self.found.information))

    @cached_property
    def modes(self) -> tuple[FloatArray, ...]:
        return self.coordinates.modes(self.standard_Lambdas, self.found.u)


def solve_iteratively(problem: ProfiledDeviance) -> IterativeSolution:
    """Fit a linear model with crossed factors without a dense matrix.

    Raises
    ------
    ModelError
        If the search does not end.
    """
    iterative, n_before = IterativeDeviance(problem), 0
    try:
        theta, H = solve_gradient(iterative, ENOUGH)
        moved, in_se = _moved(iterative, theta, H)
        if (more := enough_probes(iterative.z.shape[1], in_se)) > iterative.z.shape[1]:
            n_before, iterative = iterative.n_evaluations, IterativeDeviance(problem, more)
            theta, H = solve_gradient(iterative, ENOUGH, (theta, H))
            moved, in_se = _moved(iterative, theta, H)
        gradient = iterative.gradient(theta)
        found = iterative.at(iterative.Lambdas(theta))
    except np.linalg.LinAlgError as error:
        raise ModelError(
            f"the iterative solution of the crossed factors failed: {error}; try exact=True, which takes "
            f"{_price(problem)}"
        ) from None
    beta_in_se = _shift_of_beta(iterative, found, theta + moved)
    said = announced(iterative.z.shape[1], SEED, in_se, beta_in_se, _price(problem), " tests are normal (z);")
    convergence = Convergence(
        True,
        "converged",
        0.5 * float(gradient @ H @ gradient),
        float(np.abs(gradient).max()),
        n_before + iterative.n_evaluations,
        said,
    )
    snapped = problem.covariance.snapped(theta)
    snapped = problem.covariance.rectified(snapped)
    if not np.array_equal(snapped, theta):
        found = iterative.at(iterative.Lambdas(snapped))
    return IterativeSolution(problem, snapped, convergence, iterative, found)


def _moved(iterative, theta, H):
    """Return the Monte Carlo errors (k,) of theta, and the largest in standard errors."""
    point = iterative.at(iterative.Lambdas(theta))
    moved = np.sqrt(np.diag(H @ iterative.gradient_covariance(theta, point) @ H))
    return moved, float((moved / np.sqrt(2.0 * np.diag(H))).max())


def _shift_of_beta(iterative, found, theta):
    """Return how far beta moves, in standard errors, when theta moves by its Monte Carlo error."""
    if not iterative.p:
        return 0.0
    there = iterative.without_probes(iterative.Lambdas(theta))
    scale = np.sqrt(found.r2 / iterative.df * np.diag(np.linalg.inv(found.information)))
    return float((np.abs(there.beta - found.beta) / scale).max())


def _price(problem):
    """Return what the dense way takes, in words."""
    return dense_price(problem.structure, problem.p, FACTORISATIONS)
