r"""A likelihood at given estimates: what a fitted model's other rooms need of it.

A solution knows the estimates on the user's scale and the same point in the coordinates of the likelihood
(:class:`~glmmlib.likelihood.coordinates.Coordinates`), and computes from there, when first asked, the
conditional modes, the joint precision of fixed and random effects, covariances and the deviance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.likelihood.coordinates import Coordinates
from glmmlib.likelihood.optimise import Optimum
from glmmlib.likelihood.predictors import AuxiliaryPredictors
from glmmlib.likelihood.separation import Separation
from glmmlib.linalg import blocks
from glmmlib.linalg.pls import Factorisation
from glmmlib.types import FloatArray


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
