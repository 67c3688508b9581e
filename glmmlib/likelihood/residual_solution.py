"""The solution of a linear model with a residual side of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.likelihood.linear_solution import LinearSolution
from glmmlib.likelihood.residual_deviance import ResidualDeviance, Whitened
from glmmlib.likelihood.residual_moves import ResidualMoves
from glmmlib.likelihood.residual_parameters import ResidualParameters
from glmmlib.likelihood.solution import GIVEN, Convergence, Estimates
from glmmlib.likelihood.variance_moves import curvature
from glmmlib.types import AuxiliaryValue, FloatArray, IntArray


class ResidualSolution(LinearSolution):
    """A linear solution in whitened rows, told in the user's.

    Parameters
    ----------
    whole : ResidualDeviance
        The criterion; ``problem`` is the ordinary model in the rows whitened for the estimates.
    x : (k,) array
        ``(phi, theta)``, theta being that of the standardised columns.
    parameters : ResidualParameters
    convergence : Convergence
    estimates : Estimates, optional
    """

    def __init__(
        self,
        whole: ResidualDeviance,
        x: FloatArray,
        parameters: ResidualParameters,
        convergence: Convergence = GIVEN,
        estimates: Estimates | None = None,
    ) -> None:
        self.whole, self.parameters = whole, parameters
        phi, theta = whole.split(x)
        self.white: Whitened = whole.at(phi)
        self._unit: Any = None
        if estimates is not None:
            self._unit = whole.side.from_user(estimates.auxiliary)[0]
        super().__init__(self.white.problem, theta, convergence, estimates)

    @property
    def phi(self) -> FloatArray:
        """The parameters of the residual side, as the search has them."""
        return self.white.phi

    def _best(self) -> Estimates:
        found = super()._best()
        self._unit = found.auxiliary
        auxiliary = self.whole.side.to_user(found.auxiliary, self.phi)
        return Estimates(found.theta, found.beta, auxiliary)

    def at(self, estimates: Estimates, problem: Any = None) -> ResidualSolution:
        whole = self.whole if problem is None else problem
        _, phi = whole.side.from_user(estimates.auxiliary)
        theta = whole.plain.covariance.to_standardised(estimates.theta)
        return ResidualSolution(whole, np.append(phi, theta), self.parameters, GIVEN, estimates)

    def state(self) -> dict[str, Any]:
        return super().state() | {"phi": self.phi}

    @classmethod
    def restored_side(
        cls, whole: ResidualDeviance, parameters: ResidualParameters, state: Mapping[str, Any]
    ) -> ResidualSolution:
        """Return the solution of a problem from its state, without a search."""
        given = state["estimates"]
        estimates = None if given is None else Estimates(**given)
        x = np.append(state["phi"], state["theta"])
        return cls(whole, x, parameters, Convergence(**state["convergence"]), estimates)

    @property
    def sigma(self) -> float:
        """The unit of theta: the SD of the first position, and the mean over rows of its logarithm."""
        return self._unit

    def with_response(self, y: FloatArray) -> ResidualDeviance:
        return self.whole.with_response(y)

    def unit_of(self, auxiliary: Any) -> float:
        return self.whole.side.from_user(auxiliary)[0]

    @property
    def auxiliary(self) -> AuxiliaryValue:
        """The residual SD: a number where it is the same in all rows, else (n,)."""
        return self.parameters.values(self.estimates.auxiliary)

    def auxiliary_of(self, estimates: Estimates) -> AuxiliaryValue:
        return self.parameters.values(estimates.auxiliary)

    @property
    def predictors(self) -> ResidualParameters:
        return self.parameters

    @property
    def offset(self) -> FloatArray | None:
        return self.whole.plain.offset

    @property
    def X(self) -> FloatArray:
        return self.whole.plain.X

    # -- uncertainty of the variances --------------------------------------------------------------------

    def moves(self) -> ResidualMoves:
        return ResidualMoves(self.whole, self.white, self.standard_theta)

    @cached_property
    def auxiliary_cov(self) -> FloatArray:
        """Covariance (r, r) of the coefficients of log sigma and of the structure's own parameters."""
        A, n = curvature(self.moves()).covariance, self.whole.n_phi
        own = [*range(n), len(A) - 1]
        J = self.whole.side.jacobian.copy()
        J[:, -1] *= 0.5  # from log sigma^2 to log sigma
        return J @ A[np.ix_(own, own)] @ J.T

    def hat_values(self) -> FloatArray:
        """Return the diagonal (n,) of the matrix that makes fitted values of responses."""
        return self.whole.hat_values(self.white, self.point)

    # -- residuals ---------------------------------------------------------------------------------------

    def normalised(self, residual: FloatArray) -> FloatArray:
        """Return residuals (n,) divided by their SDs and made independent within their blocks."""
        return self.white.whitener.apply(residual) / self.sigma

    def score(self, residual: FloatArray) -> FloatArray:
        """Return the inverse of the residuals' covariance times residuals (n,)."""
        whitener = self.white.whitener
        return whitener.whitening.solve((residual / whitener.sd)[None])[0] / (whitener.sd * self.sigma**2)

    def error_covariance(self, rows: IntArray) -> FloatArray:
        return self.sigma**2 * self.whole.side.covariance(self.phi, self.white.whitener, rows)

    def correlated(self, noise: FloatArray) -> FloatArray:
        """Return independent standard normal numbers (k, n) as residuals of the model."""
        return self.sigma * self.white.whitener.color(noise)
