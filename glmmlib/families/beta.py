r"""The beta family: shares between 0 and 1, such as cover or proportions of time.

With :math:`a = \mu\phi` and :math:`b = (1 - \mu)\phi`,

.. math:: \log p = \log\Gamma(\phi) - \log\Gamma(a) - \log\Gamma(b) + (a - 1)\log y + (b - 1)\log(1 - y).

Stirling's formula turns the large terms into a divergence, which keeps its digits where phi is large,

.. math::

    \log p = -\phi\,\mathrm{KL}(\mu \,\|\, y) + \tfrac12\log\frac{\phi\,\mu(1 - \mu)}{2\pi}
    + r(\phi) - r(a) - r(b) - \log y(1 - y),

r being what the formula leaves out. The log-density is not concave in eta.

Ferrari, S. and Cribari-Neto, F. (2004), Beta regression for modelling rates and proportions, *Journal of
Applied Statistics* 31(7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.families import responses as response
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Link, Logit
from glmmlib.families.saturated import likeliest_predictor
from glmmlib.families.special import digamma_remainder, log1pmx, stirling_remainder
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times, weighted
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers

_FAR = 650.0  # beyond it the log-density goes on along its asymptotes, whose slopes are 1 and -1
_TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Beta(Family):
    """Shares between 0 and 1 with Var(y) = mu (1 - mu) / (1 + phi), phi being `dispersion`.

    Examples
    --------
    >>> beta = Beta()
    >>> np.exp(beta.logpdf(np.array([0.2, 0.9]), np.zeros(2), dispersion=2.0)).round(12)  # uniform
    array([1., 1.])
    """

    link: Link = field(default_factory=Logit)
    name = title = "beta"
    links = (Logit(),)
    support = Support(0.0, 1.0)
    auxiliary = (
        Auxiliary(
            symbol="phi",
            sentence="The dispersion was phi = {}, where the variance given the random effects is "
            "mean (1 - mean) / (1 + phi).",
            allowed=(0.0, 1e10),
            boundary="the dispersion phi runs to infinity: the random effects take up all variation of the "
            "response",
        ),
    )
    is_log_concave = False
    ratios = {Logit: "mean odds ratio"}
    law = "mean (1 - mean) / (1 + phi)"

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        p = _Parts(y, eta, dispersion)
        terms = [p.kernel, *([p.score] if order else []), *([p.weight] if order > 1 else [])]
        return weighted(Derivatives(*terms, *([p.dweight] if order > 2 else [])), weights)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        phi = np.asarray(dispersion, float)
        own = 0.5 * np.log(phi / (2 * np.pi)) + stirling_remainder(phi)
        return times(own - np.log(y) - np.log1p(-np.asarray(y)), weights)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        p = _Parts(y, eta, dispersion)
        score = p.score - p.q * p.G(p.a) + p.mu * p.G(p.b)
        bend = p.q**2 * (2 * p.G(p.a) + p.K(p.a)) + p.mu**2 * (2 * p.G(p.b) + p.K(p.b))
        logpdf = (
            0.5 - p.divergence + _scaled_remainder(p.a) + _scaled_remainder(p.b) - _scaled_remainder(p.phi)
        )
        return weighted(DispersionDerivatives(logpdf, score, bend - (p.q - p.mu) * score), weights)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return times(_Parts(np.asarray(0.5), eta, dispersion).information, weights)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        spread = 0.7 * np.mean((y - mu) ** 2 / (mu * (1 - mu)), axis=-1)
        return np.clip(1 / np.maximum(spread, 1e-12) - 1, 0.5, 1e6)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return np.clip(np.asarray(y, float), 0.01, 0.99)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(mu * (1 - mu) / (1 + dispersion), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        def step(eta: FloatArray) -> FloatArray:
            p = _Parts(y, eta, dispersion)
            return p.score / p.information

        best = likeliest_predictor(step, sp.logit(np.clip(y, 1e-6, 1 - 1e-6)))
        lost = _Parts(y, best, dispersion).kernel - _Parts(y, sp.logit(mu), dispersion).kernel
        return times(2 * np.maximum(lost, 0.0), weights)

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        a, b = _shapes(mu, dispersion)
        return sp.betainc(a, b, np.clip(y, 0.0, 1.0))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        a, b = _shapes(mu, dispersion)
        return sp.betainc(b, a, 1.0 - np.clip(y, 0.0, 1.0))

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        y = rng.beta(*_shapes(self.link.inverse(eta), dispersion))
        return np.clip(y, _TINY, 1.0 - np.finfo(float).epsneg)  # a draw may round to 0 or 1

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        response.refuse_trials(trials, self.name)
        return response.check_shares(y, name, labels), response.check_weights(weights, np.size(y), labels)


def _shapes(mu, phi):
    return np.maximum(mu * phi, _TINY), np.maximum((1.0 - mu) * phi, _TINY)


class _Parts:
    """What the log-density and its derivatives in eta are made of."""

    def __init__(self, y: FloatArray, eta: FloatArray, phi: AuxiliaryValue) -> None:
        self.eta, self.y, self.phi = np.asarray(eta, float), np.asarray(y, float), np.asarray(phi, float)
        self.near = np.clip(self.eta, -_FAR, _FAR)
        self.mu, self.q = sp.expit(self.near), sp.expit(-self.near)
        self.a, self.b = self.mu * self.phi, self.q * self.phi

    @staticmethod
    def G(a: FloatArray):
        """a^2 psi'(a), finite as a goes to zero."""
        return 1 + a**2 * sp.polygamma(1, 1 + a)

    @staticmethod
    def K(a: FloatArray):
        """a^3 psi''(a)."""
        return -2 + a**3 * sp.polygamma(2, 1 + a)

    @property
    def divergence(self) -> FloatArray:
        """phi times Kullback and Leibler's of y from mu."""
        gap = self.y - self.mu
        return -self.a * log1pmx(gap / self.mu) - self.b * log1pmx(-gap / self.q)

    @property
    def kernel(self) -> FloatArray:
        remainders = stirling_remainder(self.a) + stirling_remainder(self.b)
        far = np.abs(self.eta - self.near)
        return 0.5 * (np.log(self.mu) + np.log(self.q)) - self.divergence - remainders - far

    @cached_property
    def score(self):
        log_odds = np.log(self.y) - np.log1p(-self.y)
        remainders = self.q * _scaled_remainder(self.a) - self.mu * _scaled_remainder(self.b)
        return self.a * self.q * (log_odds - self.near) + 0.5 * (self.q - self.mu) + remainders

    @cached_property
    def information(self):
        return self.q**2 * self.G(self.a) + self.mu**2 * self.G(self.b)

    @property
    def weight(self):
        return self.information - (self.q - self.mu) * self.score

    @property
    def dweight(self):
        tilt = self.q - self.mu
        cubes = self.q**3 * self.K(self.a) - self.mu**3 * self.K(self.b)
        return 3 * tilt * self.information + cubes - (tilt**2 - 2 * self.mu * self.q) * self.score


def _scaled_remainder(a: FloatArray) -> FloatArray:
    """a times what the digamma function falls short of log a - 1 / (2a): between 0 and 1/2."""
    return a * digamma_remainder(a)
