"""Two orders and two scales: the user's, and those in which the likelihood works.

The user's grouping factors stand in the order of the formula and act on the columns as they are in the data.
The likelihood eliminates the factors in an order of its own, standardises the columns of each, and makes the
fixed-effects columns orthonormal, ``X = Q R``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The way from the user's coordinates to the likelihood's, and back.

    Attributes
    ----------
    groups : tuple of Group
        In the order of the formula.
    order : sequence of int
        The position in ``groups`` of each factor of the likelihood.
    R : (p, p) array
        Upper triangular, ``X = Q R``.
    """

    groups: tuple[Group, ...]
    order: Sequence[int]
    R: FloatArray

    # -- random effects --------------------------------------------------------------------------------

    def ordered(self, of_groups: Sequence[Any]) -> list[Any]:
        """Bring what stands in the order of the formula into the order of the likelihood."""
        return [of_groups[k] for k in self.order]

    def as_in_formula(self, of_factors: Iterable[Any]) -> tuple[Any, ...]:
        """The inverse of :meth:`ordered`."""
        places = dict(zip(self.order, of_factors, strict=True))
        return tuple(places[k] for k in range(len(self.groups)))

    def maps(self, Lambdas: Sequence[FloatArray]) -> list[FloatArray]:
        """Return, in the order of the likelihood, the (q, q) maps T of ``b = T u`` on the user's columns."""
        groups = self.ordered(self.groups)
        return [g.factor.to_standard @ L for g, L in zip(groups, Lambdas, strict=True)]

    def modes(self, Lambdas: Sequence[FloatArray], u: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """Return the modes b (q, J) of each grouping factor of the formula, for those of the likelihood."""
        groups = self.ordered(self.groups)
        return self.as_in_formula(
            g.factor.to_standard @ L @ uf for g, L, uf in zip(groups, Lambdas, u, strict=True)
        )

    # -- fixed effects ---------------------------------------------------------------------------------

    def orthonormal(self, X: FloatArray) -> FloatArray:
        """Return ``R'^-1 X'`` (p, n): rows of X, or contrasts (n, p), in the orthonormal columns."""
        if not len(self.R):
            return X.T
        return solve_triangular(self.R, X.T, trans=True)

    def beta(self, beta: FloatArray) -> FloatArray:
        """Return the user's coefficients (p,) for those of the orthonormal columns."""
        return solve_triangular(self.R, beta) if len(self.R) else beta

    def orthonormal_beta(self, beta: FloatArray) -> FloatArray:
        """The inverse of :meth:`beta`."""
        return self.R @ beta

    def orthonormal_covariance(self, C: FloatArray) -> FloatArray:
        """The inverse of :meth:`covariance`."""
        return self.R @ C @ self.R.T

    def covariance(self, C: FloatArray) -> FloatArray:
        """Return the covariance (p, p) of the user's coefficients for that of the orthonormal columns."""
        half = solve_triangular(self.R, np.eye(len(self.R))) if len(self.R) else self.R
        return half @ C @ half.T
