r"""A likelihood at given estimates: what a fitted model's other rooms need of it.

A solution knows the estimates on the user's scale and the same point in the coordinates of the likelihood
(:class:`~glmmlib.likelihood.coordinates.Coordinates`), and computes from there, when first asked, the
conditional modes, the joint precision of fixed and random effects, covariances and the deviance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from scipy.linalg import solve_triangular

from glmmlib.covariance.groups import Group
from glmmlib.families.gaussian import Gaussian
from glmmlib.likelihood.coordinates import Coordinates
from glmmlib.likelihood.glmm import POLISH_TOLERANCE, LaplaceDeviance, Mode
from glmmlib.likelihood.information import complement, covariance_held_at_ends, runs_off, stays, twice_inverse
from glmmlib.likelihood.lmm import Point, ProfiledDeviance
from glmmlib.likelihood.optimise import Optimum, gradient_hessian
from glmmlib.likelihood.predictors import AuxiliaryPredictors
from glmmlib.likelihood.separation import Separation, find_separation
from glmmlib.likelihood.variance_moves import Moves
from glmmlib.linalg import blocks
from glmmlib.linalg.pls import Factorisation
from glmmlib.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Convergence:
    """How the optimiser ended.

    Attributes
    ----------
    converged : bool
    message : str
        Why the optimiser stopped.
    promise : float
        The decrease that a further step could still bring, on the scale of -2 log L itself.
    gradient : float
        The largest entry of the gradient in standardised parameters.
    n_evaluations : int
        How often the deviance was computed.
    approximation : str
        What was computed with a Monte Carlo error, and how large that is; empty for an exact solution.
    """

    converged: bool
    message: str
    promise: float
    gradient: float
    n_evaluations: int
    approximation: str = ""

    @classmethod
    def of(cls, optimum: Optimum) -> Convergence:
        """Say how a minimisation ended."""
        largest = float(np.abs(optimum.gradient).max())
        return cls(
            optimum.converged, optimum.message, 0.5 * optimum.decrement, largest, optimum.n_evaluations
        )

    def __str__(self) -> str:
        return (
            f"{self.message} after {self.n_evaluations} evaluations (a further step would gain "
            f"{self.promise:.1e})" + (f"; {self.approximation}" if self.approximation else "")
        )


GIVEN = Convergence(True, "estimates given, not searched for", np.nan, np.nan, 0)


@dataclass(frozen=True, eq=False)
class Estimates:
    """The parameters of a model, on the scale of the user's columns.

    Attributes
    ----------
    theta : (k,) array
        Of the relative covariance factors, in the order of the formula.
    beta : (p,) array
    auxiliary : float, (r,) array or None
        What the family has to estimate beside the mean: sigma, or the dispersion. Where it has a linear
        predictor, or where there are several, their coefficients on the scale of their links.
    """

    theta: FloatArray
    beta: FloatArray
    auxiliary: Any


class Solution(ABC):
    """A likelihood at given estimates.

    Attributes
    ----------
    problem : ProfiledDeviance or LaplaceDeviance
        The objective function.
    estimates : Estimates
    standard_theta : (k,) array
        Theta of the standardised columns.
    convergence : Convergence
        How the estimates were found.
    coordinates : Coordinates
        From the user's orders and scales to the likelihood's.
    """

    problem: Any
    estimates: Estimates
    standard_theta: FloatArray
    convergence: Convergence
    statistic: ClassVar[str] = "z"  # of the tests of the fixed effects

    @property
    def deviance_error(self) -> float:
        """The Monte Carlo error of the deviance: none, unless the likelihood says otherwise."""
        return 0.0

    @cached_property
    def coordinates(self) -> Coordinates:
        return Coordinates(self.problem.groups, self.problem.structure.order, self.problem.R)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The random effects by grouping factor, in the order of the formula."""
        return self.problem.groups

    @cached_property
    def Lambdas(self) -> list[FloatArray]:
        """The relative covariance factor (q, q) of each grouping factor of the formula."""
        return [g.covariance.factor(self.estimates.theta) for g in self.groups]

    @cached_property
    def standard_Lambdas(self) -> list[FloatArray]:
        """Those of the standardised columns, in the order of the likelihood."""
        return self.problem.covariance.factors(self.standard_theta)

    @property
    def separation(self) -> Separation | None:
        """The directions of the fixed effects without a finite estimate, or None."""
        return None

    def is_estimable(self, L: FloatArray) -> FloatArray:
        """Mark the linear combinations L (r, p) of the fixed effects that have a finite estimate (r,)."""
        return np.ones(len(L), dtype=bool) if self.separation is None else self.separation.moves(L) == 0

    # -- what each likelihood has of its own -------------------------------------------------------------

    @abstractmethod
    def at(self, estimates: Estimates, problem: Any = None) -> Solution:
        """Return the likelihood, or that of another response, at other estimates."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was found, as numbers, text and arrays, from which `restored` makes it again."""

    @classmethod
    @abstractmethod
    def restored(cls, problem: Any, state: Mapping[str, Any]) -> Self:
        """Return the solution of a problem from its state, to the last bit, without a search."""

    @property
    @abstractmethod
    def deviance(self) -> float:
        """-2 log L with all constants, or the REML criterion."""

    @property
    @abstractmethod
    def beta_cov(self) -> FloatArray:
        """Covariance (p, p) of the fixed effects; after separation that of all that has a finite estimate,
        the rest held fixed.
        """

    @property
    @abstractmethod
    def free(self) -> FloatArray:
        """The parameters (k,) on which an expected response depends, beta first, in coordinates of their own;
        what a linear model has beside beta does not move it.
        """

    @property
    @abstractmethod
    def free_cov(self) -> FloatArray:
        """Covariance (k, k) of the errors of `free`."""

    @abstractmethod
    def estimates_at(self, free: FloatArray) -> Estimates:
        """Return the estimates on the user's scale for other values of `free`."""

    @property
    def auxiliary(self) -> Any:
        """What the family has beside the mean, as it takes it: a number, or one for each row of the data."""
        return self.estimates.auxiliary

    def auxiliary_of(self, estimates: Estimates) -> Any:
        """Return the same of other estimates."""
        return estimates.auxiliary

    @property
    @abstractmethod
    def predictors(self) -> AuxiliaryPredictors:
        """The auxiliary parameters of the family."""

    @property
    @abstractmethod
    def modes(self) -> tuple[FloatArray, ...]:
        """Conditional modes (q, J) of the random effects of each grouping factor of the formula."""

    @abstractmethod
    def joint_precision(self) -> Factorisation:
        """Factorise the joint precision of u and beta, in the coordinates of the likelihood (and, for a
        linear model, over sigma^2).
        """

    @property
    @abstractmethod
    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        """Covariances (q, q, J) of the random effects given y and the parameters, by grouping factor."""

    # -- predictors --------------------------------------------------------------------------------------

    @property
    def X(self) -> FloatArray:
        """The fixed-effects columns (n, p), in the order of the data."""
        return self.problem.X

    @property
    @abstractmethod
    def offset(self) -> FloatArray | None:
        """The known part of the linear predictor (n,), in the order of the data."""

    def fixed_predictor(self) -> FloatArray:
        """Return ``X beta + offset`` (n,) for the rows of the data."""
        return self._with_offset(self.X @ self.estimates.beta)

    def linear_predictor(self, modes: Sequence[FloatArray] | None = None) -> FloatArray:
        """Return ``X beta + Z b + offset`` (n,) for the rows of the data, b being the modes unless given."""
        eta = self.X @ self.estimates.beta
        for g, b in zip(self.groups, self.modes if modes is None else modes, strict=True):
            for z, effect in zip(g.factor.Z, b, strict=True):
                eta += z * effect[g.factor.codes]
        return self._with_offset(eta)

    def _with_offset(self, eta: FloatArray) -> FloatArray:
        return eta if self.offset is None else eta + self.offset

    def _covariances_of_modes(self, inverse: Any, scale: float) -> tuple[FloatArray, ...]:
        maps = self.coordinates.maps(self.standard_Lambdas)
        pairs = zip(maps, inverse.block, strict=True)
        return self.coordinates.as_in_formula(
            blocks.right(blocks.left(scale * T, block), scale * T.T) for T, block in pairs
        )


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
            return float(value + factorisation.log_det_X + self.point.r2 / sigma2)
        more = self._root_of_information.T @ self._shift
        return float(value + (self.point.r2 + more @ more) / sigma2)

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
        """Covariance (r, r) of the auxiliary parameters' coefficients, on the scale of their links."""
        r, T = self.predictors.size, self.predictors.to_user
        k = len(self.parameters)
        return T @ self.joint_covariance[k - r :, k - r :] @ T.T

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
        H = gradient_hessian(self.problem.precise(self.mode.u).gradient, self.parameters, self._steps())
        if self.separation is not None:
            told = complement(self._flat, len(H))
            return told @ covariance_held_at_ends(told.T @ H @ told, self.predictors.size) @ told.T
        return covariance_held_at_ends(H, self.predictors.size)

    def runs_off(self) -> BoolArray:
        """Mark the coefficients (r,) of auxiliary parameters that run off to the end of their range.

        Where that is far from doubt, the Hessian of the search answers, which is there already.
        """
        if self._hessian is not None and stays(self._hessian, self.predictors.size):
            return np.zeros(self.predictors.size, dtype=bool)
        return runs_off(self.joint_covariance, self.predictors.size)

    @property
    def rough_covariance(self) -> FloatArray:
        """The same from the Hessian that the search for the estimates ended with, where there is one."""
        return self.joint_covariance if self._hessian is None else twice_inverse(self._hessian)

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
