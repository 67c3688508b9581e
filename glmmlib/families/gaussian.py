"""The normal distribution: the family of linear mixed models."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.families import responses as response
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Identity, Link
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times
from glmmlib.types import AuxiliaryValue, FloatArray


@dataclass(frozen=True)
class Gaussian(Family):
    """Responses that scatter normally about their mean with variance sigma^2 / w, sigma being `dispersion`.

    log p = -w (y - mu)^2 / (2 sigma^2) - log sigma + log(w) / 2 - log(2 pi) / 2. :func:`glmmlib.lmer` has a
    likelihood of its own, in which the integral over the random effects is exact.

    Examples
    --------
    >>> round(float(Gaussian().logpdf(np.array(1.0), np.array(0.0), dispersion=1.0)), 4)
    -1.4189
    """

    link: Link = field(default_factory=Identity)
    name = "gaussian"
    title = "normal"
    links = (Identity(),)
    support = Support()
    auxiliary = (
        Auxiliary(
            name="sigma",
            symbol="sigma",
            term="sd__Observation",
            title="SD",
            sentence="The residual SD was {}.",
            boundary="the residual SD runs to zero: the random effects take up all variation of the response",
        ),
    )
    weights_scatter = True
    is_linear = True
    law = "sigma²"
    remedy_for_spread = "a log of the response, weights, or another family"
    noise = "residual"

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        precision = self._precision(weights, dispersion)
        residual = y - np.asarray(eta, float)
        score = precision * residual
        weight = np.broadcast_to(precision, np.shape(score))
        return Derivatives(-0.5 * score * residual, *(score, weight, np.zeros_like(score))[:order])

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return np.zeros_like(y) + 0.5 * np.log(self._precision(weights, dispersion) / (2.0 * np.pi))

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        d = self.derivatives(y, eta, weights, dispersion, order=2)
        return DispersionDerivatives(-2.0 * d.kernel - 1.0, -2.0 * d.score, -2.0 * d.weight)

    @staticmethod
    def _precision(weights: FloatArray | None, dispersion: AuxiliaryValue) -> FloatArray:
        return times(1.0 / np.square(np.asarray(dispersion, float)), weights)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return np.zeros_like(np.asarray(eta, float)) + self._precision(weights, dispersion)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        return np.sqrt(np.mean((y - mu) ** 2, axis=-1))

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(np.zeros_like(np.asarray(mu, float)) + np.square(dispersion), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return times(np.square(y - mu), weights)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return np.asarray(y, float)

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return sp.ndtr((y - mu) * np.sqrt(self._precision(weights, dispersion)))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return sp.ndtr((mu - y) * np.sqrt(self._precision(weights, dispersion)))

    def quantile(
        self,
        probability: float,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return mu + sp.ndtri(probability) * np.sqrt(1.0 / self._precision(weights, dispersion))

    def predictive_quantile(
        self,
        eta: FloatArray,
        sd: FloatArray,
        probability: float,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        total, z = np.square(sd) + 1.0 / self._precision(weights, dispersion), sp.ndtri(probability)
        return eta + z * np.sqrt(total) if z else np.array(eta)

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        scale = dispersion if weights is None else dispersion / np.sqrt(weights)
        return eta + scale * rng.standard_normal(np.shape(eta))

    @property
    def residual_needs_mean(self) -> bool:
        return False

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        response.refuse_trials(trials, self.name)
        return response.check_numbers(y, name, labels), response.check_weights(weights, np.size(y), labels)
