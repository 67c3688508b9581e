"""The line on which a mean has a symmetric interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmlib.families.links import Link, Log, Logit
from glmmlib.families.support import Support
from glmmlib.types import FloatArray


@dataclass(frozen=True)
class IntervalScale:
    """The log of a mean, or the logit of its place in a range: an interval there stays inside the range.

    >>> scale = IntervalScale.of(Support(1.0, 5.0))
    >>> scale.place(3.0).item(), scale.back(0.0).item()
    (0.0, 3.0)
    """

    link: Link
    low: float = 0.0
    width: float = 1.0

    @classmethod
    def of(cls, support: Support) -> IntervalScale:
        """Return the scale of the means of a family with this support."""
        two_ends = np.isfinite(support.upper)
        return cls(Logit(), support.lower, support.upper - support.lower) if two_ends else cls(Log())

    def place(self, mean: FloatArray) -> FloatArray:
        return self.link.link((mean - self.low) / self.width)

    def back(self, at: FloatArray) -> FloatArray:
        return self.low + self.width * self.link.inverse(at)

    def slope(self, at: FloatArray) -> FloatArray:
        return self.width * self.link.derivative(at)
