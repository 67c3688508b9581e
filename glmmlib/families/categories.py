"""What a family knows of categories as responses; most have none."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from glmmlib.types import AuxiliaryValue, FloatArray


class Categories:
    """The part of a family that concerns a response of ordered categories. By default there are none."""

    levels: ClassVar[tuple[Any, ...]] = ()
    example_levels: ClassVar[tuple[Any, ...] | None] = None  # which the contract of a family fits

    def with_levels(self, levels: tuple[Any, ...] | None) -> Self:
        """Return the family for a response of these categories; itself, where it needs none."""
        return self

    def probabilities(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        """Probabilities (n, K) of the categories, for a family that has them."""
        raise NotImplementedError

    def average_probabilities(
        self, eta: FloatArray, variance: FloatArray, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        """Probabilities (n, K) of the categories where the linear predictor is normal."""
        raise NotImplementedError

    def thresholds(self, intercept: float, dispersion: AuxiliaryValue = None) -> dict[str, float]:
        """Thresholds between the categories by name, for an intercept and one value of each parameter."""
        return {}

    def from_thresholds(self, values: FloatArray) -> tuple[float, AuxiliaryValue]:
        """Return the intercept and the auxiliary parameters that thresholds are."""
        raise NotImplementedError
