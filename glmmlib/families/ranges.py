"""Where the means of a family, and so its linear predictors, can lie, and what happens at the ends."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.families.links import Link
from glmmlib.families.support import Support
from glmmlib.types import BoolArray, FloatArray


class MeanRange:
    """The part of a family that follows from its support and its link."""

    link: Link
    name: ClassVar[str]
    support: ClassVar[Support]
    lowest: ClassVar[str] = "zero counts"

    @property
    @abstractmethod
    def fixes_variance(self) -> bool: ...

    @abstractmethod
    def observed(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray: ...

    @property
    def location_range(self) -> tuple[float, float]:
        """The range of mu, the inverse link of a linear predictor."""
        return self.support.lower, self.support.upper

    @property
    def eta_range(self) -> tuple[float, float]:
        """The linear predictors whose means lie in the range of the response."""
        with np.errstate(divide="ignore"):
            ends = [float(self.link.link(np.asarray(end))) for end in self.location_range]
        return min(ends), max(ends)

    def within(self, eta: FloatArray) -> FloatArray:
        """Linear predictors, those outside their range at its end."""
        return np.clip(eta, *self.eta_range)

    def is_within(self, eta: FloatArray) -> BoolArray:
        """Which linear predictors have a mean: those in their range; an infinite one has its end."""
        low, high = self.eta_range
        return (eta >= low) & (eta <= high)

    @property
    def limited_range(self) -> bool:
        """Whether the link leaves the linear predictor only a part of the real line."""
        return bool(np.isfinite(self.eta_range).any())

    def counts_zeros(self, weights: FloatArray | None = None) -> bool:
        """Whether a surplus of zeros is a fault of its own, and not one of the mean."""
        return self.support.is_discrete

    def can_scatter_more(self, weights: FloatArray | None = None) -> bool:
        """Whether the mean alone fixes the variance of a discrete response, so that there can be too much."""
        return self.support.is_discrete and self.fixes_variance

    @property
    def separable(self) -> bool:
        """Whether rows of lowest (or highest) responses alone can send a coefficient to infinity."""
        return self.support.is_discrete and any(self._open_ends)

    @property
    def _open_ends(self):
        """Does the mean reach the lower, the upper end of its range only where eta is infinite?"""
        with np.errstate(divide="ignore"):
            return tuple(np.isinf(self.link.link(e)) and np.isfinite(e) for e in self.location_range)

    def extreme(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """Mark responses that pull their mean to an end of its range: -1 the lower, 1 the upper, else 0."""
        low, high = self._open_ends
        share = self.observed(y, weights)
        return np.where(
            low & (share <= self.support.lower),
            -1.0,
            np.where(high & (share >= self.support.upper), 1.0, 0.0),
        )

    def separating_rows(
        self, X: FloatArray, y: FloatArray, weights: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return rows (m, k), and the direction in which each likes its linear predictor to go: -1, 1, or 0.

        The first columns are those of X; others stand for parameters that go to infinity with a coefficient.
        """
        return X, self.extreme(y, weights)

    def tells_of_mean(self, y: FloatArray) -> BoolArray | None:
        """Which responses tell something of their linear predictor; None where all do."""
        return None

    def distance_from_ends(self, mu: FloatArray) -> FloatArray:
        """How near means come to an end of their range that only an infinite linear predictor reaches."""
        ends = zip(self.location_range, self._open_ends, strict=True)
        gaps = [np.abs(mu - end) for end, is_open in ends if is_open]
        return np.min(gaps, axis=0)

    def all_alike(self, sign: int) -> str:
        """What the responses are if all of them are extreme in this direction, in words."""
        return f"all responses are {(self.support.lower, self.support.upper)[sign > 0]:g}"

    def check_range(self, eta: FloatArray) -> None:
        """Raise if a linear predictor left the range of a limited link; do nothing for the others.

        Raises
        ------
        ModelError
            Says in how many rows, how far, and which link has no such limit.
        """
        if self.limited_range and not np.all(np.asarray(eta) > 0):
            eta = np.asarray(eta, float)
            raise ModelError(
                f"With the {self.link.name} link a {self.name} mean needs a linear predictor above 0, but it "
                f"reached {np.min(eta):.4g} ({np.sum(~(eta > 0))} of {eta.size} values are not above 0): "
                "try the log link."
            )
