"""What a family has to estimate beside its mean: an SD, a dispersion."""

from dataclasses import dataclass, field

import numpy as np

from glmmlib.families.links import Link, Log


@dataclass(frozen=True)
class Auxiliary:
    """A further parameter of a family: ``tau = link(value)`` is what an optimiser moves.

    Attributes
    ----------
    name : str
        What tables, profiles and bootstraps call it.
    symbol : str
        What formulas call it.
    term : str
        What tidy tables call it.
    title : str
        What tables of a report call it.
    sentence : str
        Of a report, with ``{}`` for the number.
    link : Link
        Its range is mapped to the real line; the logarithm where it is positive.
    allowed : (float, float)
        Beyond these the model reproduces the response, and the likelihood has no maximum.
    boundary : str
        What it means that it runs out of its range.
    first : float
        A value to begin with, before the data are looked at.
    is_optional : bool
        Is it there only where a formula asks for it?
    """

    name: str = "dispersion"
    symbol: str = "phi"
    term: str = "dispersion"
    title: str = "dispersion"
    sentence: str = "The dispersion was {}."
    link: Link = field(default_factory=Log)
    allowed: tuple[float, float] = (0.0, np.inf)
    boundary: str = "the dispersion runs out of its range"
    first: float = 1.0
    is_optional: bool = False

    @property
    def range(self) -> tuple[float, float]:
        """Its smallest and its largest value."""
        low, high = self.link.inverse(np.array([-np.inf, np.inf]))
        return float(low), float(high)

    def unit(self, value: float) -> float:
        """A typical size of the parameter about a value: how far it moves with one unit of its link."""
        return float(self.link.derivative(self.link.link(value)))

    @property
    def may_be_exact(self) -> bool:
        """Is there a value at which the model reproduces the response?"""
        return self.allowed[0] > self.range[0] or self.allowed[1] < self.range[1]

    def is_exact(self, value: float) -> bool:
        """Does the model reproduce the response at this value?"""
        return not self.allowed[0] <= value <= self.allowed[1]
