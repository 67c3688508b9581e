"""The marginal likelihood of a generalised linear mixed model at given estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.likelihood.glmm import POLISH_TOLERANCE, LaplaceDeviance, Mode
from glmmlib.likelihood.glmm_differences import central_hessian
from glmmlib.likelihood.information import complement, covariance_held_at_ends, runs_off, stays, twice_inverse
from glmmlib.likelihood.predictors import AuxiliaryPredictors
from glmmlib.likelihood.separation import Separation, find_separation
from glmmlib.likelihood.solution import GIVEN, Convergence, Estimates, Solution
from glmmlib.linalg.pls import Factorisation
from glmmlib.types import BoolArray, FloatArray


class LaplaceSolution(Solution):
    """The likelihood of a generalised linear mixed model, by Laplace's approximation or by quadrature.

    Parameters
    ----------
    problem : LaplaceDeviance
    parameters : (k,) array
        (beta, theta, tau) of the standardised columns.
    convergence : Convergence
    estimates : Estimates, optional
        The same on the user's scale, where they are known.
    hessian : (k, k) array, optional
        Of -2 log L near ``parameters``, as the search for them knows it.
    value : float, optional
        -2 log L there, where it is known.
    """

    problem: LaplaceDeviance

    def __init__(
        self,
        problem: LaplaceDeviance,
        parameters: FloatArray,
        convergence: Convergence = GIVEN,
        estimates: Estimates | None = None,
        hessian: FloatArray | None = None,
        value: float | None = None,
    ) -> None:
        self.problem, self.parameters, self.convergence = problem, parameters, convergence
        self.standard_theta = problem.theta(parameters)
        self.standard_beta, _, self._dispersion = problem.split(parameters)
        self.estimates = self.estimates_at(parameters) if estimates is None else estimates
        self._hessian, self._value = hessian, value

    def at(self, estimates: Estimates, problem: LaplaceDeviance | None = None) -> LaplaceSolution:
        problem = self.problem if problem is None else problem
        theta = problem.covariance.to_standardised(estimates.theta)
        tau = problem.predictors.coefficients(estimates.auxiliary)
        beta = self.coordinates.orthonormal_beta(estimates.beta)
        return LaplaceSolution(problem, problem.join(beta, theta, tau), GIVEN, estimates)

    def state(self) -> dict[str, Any]:
        return {
            "parameters": self.parameters,
            "convergence": asdict(self.convergence),
            "estimates": asdict(self.estimates),
            "hessian": self._hessian,
            "value": self.deviance,
            "modes": self.mode.u,
        }

    @classmethod
    def restored(cls, problem: LaplaceDeviance, state: Mapping[str, Any]) -> LaplaceSolution:
        convergence, estimates = Convergence(**state["convergence"]), Estimates(**state["estimates"])
        solution = cls(problem, state["parameters"], convergence, estimates, state["hessian"], state["value"])
        problem.begin_at(state["modes"])
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            solution.mode = problem.mode(  # no step is taken
                solution.standard_beta, solution.standard_Lambdas, solution._dispersion, np.inf
            )
        return solution

    @property
    def free(self) -> FloatArray:
        return self.parameters

    @property
    def free_cov(self) -> FloatArray:
        return self.joint_covariance

    def estimates_at(self, free: FloatArray) -> Estimates:
        beta = self.coordinates.beta(free[: self.problem.p])
        theta = self.problem.covariance.to_user(self.problem.theta(free))
        return Estimates(theta, beta, self.predictors.estimate(self.problem.tau(free)))

    @property
    def predictors(self) -> AuxiliaryPredictors:
        return self.problem.predictors

    @property
    def auxiliary(self) -> Any:
        return self._in_data(self._dispersion)

    def auxiliary_of(self, estimates: Estimates) -> Any:
        predictors = self.predictors
        return self._in_data(predictors.values(predictors.coefficients(estimates.auxiliary)))

    def _in_data(self, values: Any) -> Any:
        return values if self.predictors.is_single else self.problem.as_in_data(values)

    @cached_property
    def auxiliary_cov(self) -> FloatArray:
        """Covariance (r, r) of the auxiliary parameters' coefficients, on the scale of their links.

        Infinite are the variances of those that the data do not tell.
        """
        r, T = self.predictors.size, self.predictors.to_user
        k = len(self.parameters)
        standard = self.joint_covariance[k - r :, k - r :]
        covariance = T @ standard @ T.T
        untold = (T[:, np.diag(standard) == 0.0] != 0.0).any(axis=1)
        covariance[untold, untold] = np.inf
        return covariance

    @cached_property
    def mode(self) -> Mode:
        """The conditional mode in the coordinates of the likelihood, and what was computed there."""
        return self.problem.mode(
            self.standard_beta, self.standard_Lambdas, self._dispersion, POLISH_TOLERANCE
        )

    @cached_property
    def deviance(self) -> float:
        return float(self.problem.evaluate(self.parameters)[0] if self._value is None else self._value)

    @cached_property
    def joint_covariance(self) -> FloatArray:
        """Covariance matrix (k, k) of all parameters, standardised: twice the inverse Hessian of -2 log L.

        The Hessian is that of central differences, a hundredth of a standard error wide: with one-sided ones,
        as the search takes them, the third derivative moves a standard error by a per cent. An auxiliary
        parameter that runs off to the end of its range is held there for the others: they have the errors of
        the limit.
        """
        H = self._differences()
        if self.separation is not None:
            told = complement(self._flat, len(H))
            return told @ covariance_held_at_ends(told.T @ H @ told, self.predictors.size) @ told.T
        return covariance_held_at_ends(H, self.predictors.size)

    def _differences(self) -> FloatArray:
        """Return the Hessian (k, k) of -2 log L from differences of its gradient."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return central_hessian(self.problem, self.parameters, self.mode, self._steps())

    def runs_off(self) -> BoolArray:
        """Mark the coefficients (r,) of auxiliary parameters that run off to the end of their range.

        Where that is far from doubt, the Hessian of the search answers, which is there already.
        """
        if self._hessian is not None and stays(self._hessian, self.predictors.size):
            return np.zeros(self.predictors.size, dtype=bool)
        return runs_off(self.joint_covariance, self.predictors.size)

    @property
    def rough_covariance(self) -> FloatArray:
        """The same from the Hessian that the search for the estimates ended with, where there is one that is
        no rounding: weights of billions leave little else of what changes from step to step.
        """
        rough = None if self._hessian is None else twice_inverse(self._hessian)
        return self.joint_covariance if rough is None or (np.diag(rough) < 0.0).any() else rough

    def _steps(self) -> FloatArray:
        """Widths (k,) of differences: small beside standard errors, large beside rounding."""
        if self._hessian is None:
            return 1e-3 * np.maximum(1.0, np.abs(self.parameters))
        curvature = np.maximum(np.abs(np.diag(self._hessian)), 1e-300)
        return 1e-2 * np.minimum(np.sqrt(2.0 / curvature), np.maximum(1.0, np.abs(self.parameters)))

    @cached_property
    def separation(self) -> Separation | None:
        problem = self.problem
        return find_separation(problem.family, self.fixed_predictor(), problem.X, *self.observations)

    @cached_property
    def _flat(self) -> FloatArray:
        """Orthonormal basis (p, d) of the directions of separation, in the orthonormal columns."""
        p = self.problem.p
        if self.separation is None:
            return np.zeros((p, 0))
        return np.asarray(np.linalg.qr(self.coordinates.R @ self.separation.directions)[0])

    @cached_property
    def beta_cov(self) -> FloatArray:
        p = self.problem.p
        return self.coordinates.covariance(self.joint_covariance[:p, :p])

    @cached_property
    def modes(self) -> tuple[FloatArray, ...]:
        return self.coordinates.modes(self.standard_Lambdas, self.mode.u)

    def joint_precision(self) -> Factorisation:
        cross = self.problem.cross_products(self.mode.weight, with_X=True)
        if self.separation is not None:  # what the data do not tell is held fixed
            firm = 1e3 * max(1.0, float(np.abs(np.diag(cross.XX)).max()))
            cross = replace(cross, XX=cross.XX + firm * self._flat @ self._flat.T)
        return Factorisation(self.problem.structure, cross, self.standard_Lambdas)

    @cached_property
    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        return self._covariances_of_modes(self.mode.factorisation.inverse(), 1.0)

    @property
    def offset(self) -> FloatArray | None:
        return None if self.problem.offset is None else self.problem.as_in_data(self.problem.offset)

    @cached_property
    def observations(self) -> tuple[FloatArray, FloatArray | None]:
        """Response and prior weights (n,) as the family takes them, in the order of the data."""
        y, weights = self.problem.y, self.problem.weights
        in_data = self.problem.as_in_data
        return in_data(y), None if weights is None else in_data(weights)
