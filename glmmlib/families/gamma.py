"""The gamma family: positive responses with a constant coefficient of variation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.families import densities
from glmmlib.families import responses as response
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Inverse, Link, Log
from glmmlib.families.special import digamma_remainder, log1pmx, stirling_remainder
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers


@dataclass(frozen=True)
class Gamma(Family):
    """Positive responses with a constant coefficient of variation: Var(y) = phi mu^2 with phi = `dispersion`.

    With the shape a = w / phi: log p = a log(a y / mu) - a y / mu - log y - log Gamma(a).

    Examples
    --------
    >>> round(float(Gamma().logpdf(np.array(2.0), np.log(3.0), dispersion=1.0)), 4)  # phi = 1: exponential
    -1.7653
    """

    link: Link = field(default_factory=Log)
    name = title = "gamma"
    links = (Log(), Inverse())
    support = Support(0.0, np.inf)
    auxiliary = (
        Auxiliary(
            symbol="phi",
            sentence="The dispersion was phi = {}, where the variance given the random effects is phi mean².",
            allowed=(1e-10, np.inf),  # a coefficient of variation of 1e-5
            boundary="the dispersion phi runs to zero: the random effects take up all variation of the "
            "response",
        ),
    )
    weights_scatter = True
    ratios = {Log: "mean ratio"}
    law = "phi mean²"

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        terms = densities.gamma_log if self.link == Log() else densities.gamma_inverse
        return terms(y, eta, self.shape(weights, dispersion), order)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        a = self.shape(weights, dispersion)
        return 0.5 * np.log(a / (2 * np.pi)) - stirling_remainder(a) - np.log(y)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        terms = self.derivatives(y, eta, weights, dispersion, order=2)
        a = self.shape(weights, dispersion)
        return DispersionDerivatives(
            -terms.kernel - 0.5 - a * digamma_remainder(a), -terms.score, -terms.weight
        )

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        eta = np.asarray(eta, float)
        information = np.ones_like(eta) if self.link == Log() else 1 / np.square(eta)
        return times(information / dispersion, weights)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(dispersion * mu**2, weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return times(-2 * log1pmx((y - mu) / mu), weights)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return np.asarray(y, float)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        return np.clip(0.7 * np.mean((y - mu) ** 2 / mu**2, axis=-1), 1e-6, 10.0)

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return sp.gammainc(*self._in_units_of_scale(y, mu, weights, dispersion))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return sp.gammaincc(*self._in_units_of_scale(y, mu, weights, dispersion))

    def _in_units_of_scale(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None, dispersion: AuxiliaryValue
    ):
        shape = self.shape(weights, dispersion)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return shape, shape * (np.maximum(y, 0.0) / mu)

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        self.check_range(eta)
        mu = self.link.inverse(eta)
        shape = np.broadcast_to(self.shape(weights, dispersion), mu.shape)
        # a gamma variable is positive; with a tiny shape it can be too small for a float
        return np.maximum(mu * (rng.standard_gamma(shape) / shape), np.finfo(float).tiny)

    @staticmethod
    def shape(weights: FloatArray | None = None, dispersion: AuxiliaryValue = None) -> FloatArray:
        """The shape a = w / phi of the gamma distribution."""
        return times(1 / np.asarray(dispersion, float), weights)

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        response.refuse_trials(trials, self.name)
        y = response.check_positive(y, self.title, name, labels)
        return y, response.check_weights(weights, np.size(y), labels)
