r"""The negative binomial whose variance is proportional to its mean, NB1.

With :math:`a = \mu / \phi`, the shape of the gamma variable by which a Poisson mean is scattered,

.. math::

    \log p = \log\Gamma(y + a) - \log\Gamma(a) - \log y! + y\log\frac{\phi}{1 + \phi} - a\log(1 + \phi).

Stirling's formula turns differences of large terms into what keeps its digits where :math:`\phi` is small and
the distribution nearly Poisson's. The log-density is not concave in eta.

Hilbe, J. M. (2011), *Negative Binomial Regression*, 2nd ed., Cambridge University Press, section 10.2.
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
from glmmlib.families.draws import poisson_draws
from glmmlib.families.links import Link, Log
from glmmlib.families.rising import Rising
from glmmlib.families.special import per_count
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times, weighted
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers

_FAR = 650.0  # beyond it the log-density goes on along its asymptotes
_TINY, _HUGE = 1e-300, 1e300
_MANY = 1e13  # counts, or gamma variables' shapes, from which on limits serve to seven digits
_NODES = np.exp(np.arange(-18.0, 4.3, 0.25))  # of the trapezium rule in log s, with weights of 0.25


@dataclass(frozen=True)
class NegativeBinomial1(Family):
    """Overdispersed counts, NB1: Var(y) = (1 + phi) mu with phi = `dispersion`.

    Examples
    --------
    >>> y, eta = np.array(2.0), np.log(3.0)
    >>> [round(float(NegativeBinomial1().logpdf(y, eta, dispersion=phi)), 4) for phi in (3.0, 0.03, 1e-9)]
    [-1.9617, -1.501, -1.4959]
    """

    link: Link = field(default_factory=Log)
    name = "negbinomial1"
    title = "negative binomial (NB1)"
    links = (Log(),)
    support = Support(0.0, np.inf, is_discrete=True)
    auxiliary = (
        Auxiliary(
            symbol="phi",
            sentence="The dispersion was phi = {}, where the variance given the random effects is "
            "(1 + phi) mean.",
            boundary="the dispersion phi runs to zero: the counts scatter as a Poisson model has it "
            "(family='poisson')",
        ),
    )
    is_log_concave = False
    ratios = {Log: "rate ratio"}
    law = "(1 + phi) mean"
    limits = {"poisson": "the dispersion phi is zero (a Poisson distribution)"}
    remedy_for_spread = "family='negbinomial', whose variance is mean + mean²/phi"

    def all_alike(self, sign: int) -> str:
        return "every count is zero"

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
        return times(-per_count(lambda y: sp.gammaln(y + 1), y), weights)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        p = _Parts(y, eta, dispersion)
        mean = p.mu / (1.0 + p.phi)
        logpdf = -p.score + (p.y - p.mu) / (1.0 + p.phi)
        return weighted(DispersionDerivatives(logpdf, p.weight - mean, mean - p.dweight), weights)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        p = _Parts(0.0, eta, dispersion)
        total = np.zeros(np.broadcast_shapes(p.a.shape, p.phi.shape))
        for s in _NODES:
            below = -np.expm1(-s / p.a)
            total += 0.25 * s**2 * np.exp(-s) * -np.expm1(-p.a * np.log1p(p.phi * below)) / below
        return times(total, weights)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(mu * (1.0 + dispersion), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y = np.asarray(y, float)
        best = np.log(np.maximum(y, 0.5))
        for _ in range(100):
            p = _Parts(y, best, dispersion)
            step = np.where(y > 0, np.clip(p.score / np.maximum(p.bend, _TINY), -2.0, 2.0), 0.0)
            best = best + step
            if np.max(np.abs(step), initial=0.0) < 1e-10:
                break
        most = np.where(y > 0, _Parts(y, best, dispersion).kernel, 0.0)
        return times(2 * np.maximum(most - _Parts(y, self.link.link(mu), dispersion).kernel, 0.0), weights)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        extra = np.mean((y - mu) ** 2 / np.maximum(mu, 0.1), axis=-1) - 1.0
        return np.maximum(
            0.5 * extra, 0.05
        )  # too large a start is left in small steps, too small in vast ones

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return self._probability(y, mu, dispersion, is_upper=False)

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return self._probability(y, mu, dispersion, is_upper=True)

    @staticmethod
    def _probability(y, mu, phi, is_upper):
        """P(Y <= y), or P(Y > y): an incomplete beta function, where that has no digits left Poisson's or
        the normal distribution.
        """
        y, mu, a = np.floor(y), np.asarray(mu, float), _shape(mu, phi)
        more, is_beta, is_few = np.maximum(y, 0.0) + 1.0, a < _MANY, mu < _MANY
        b, near = np.where(is_beta, more, 1.0), np.where(is_beta, a, 1.0)
        found = sp.betainc(b, near, phi / (1.0 + phi)) if is_upper else sp.betainc(near, b, 1.0 / (1.0 + phi))
        if not is_beta.all():
            b, few = np.where(is_few, more, 1.0), np.where(is_few, mu, 1.0)
            poisson = sp.gammainc(b, few) if is_upper else sp.gammaincc(b, few)
            with np.errstate(all="ignore"):
                z = (more - 0.5 - mu) / np.sqrt(mu * (1.0 + phi))
            normal = np.nan_to_num(sp.ndtr(-z if is_upper else z))
            found = np.where(is_beta, found, np.where(is_few, poisson, normal))
        return np.where(y < 0, float(is_upper), found)

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        mu = self.link.inverse(eta)
        a = np.broadcast_to(_shape(mu, dispersion), np.broadcast_shapes(np.shape(mu), np.shape(dispersion)))
        return poisson_draws(dispersion * rng.standard_gamma(a), rng)

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        response.refuse_trials(trials, self.name)
        return response.check_counts(y, name, labels), response.check_weights(weights, np.size(y), labels)


def _shape(mu, phi):
    return np.clip(np.asarray(mu, float) / phi, _TINY, _HUGE)


class _Parts:
    """What the log-density and its derivatives in eta are made of: a rising factorial of a."""

    def __init__(self, y, eta, phi):
        self.eta, self.y, self.phi = np.asarray(eta, float), np.asarray(y, float), np.asarray(phi, float)
        self.near = np.clip(self.eta, -_FAR, _FAR)
        self.mu = np.exp(self.near)
        self.a = np.clip(self.mu / self.phi, _TINY, _HUGE)
        self.up = Rising(self.y, self.a)

    @cached_property
    def log_ratio(self):
        """log((y + a) / a) - log(1 + phi)."""
        whole = self.a + self.mu
        excess = (self.y - self.mu) / whole
        return np.where(excess > -0.5, np.log1p(np.maximum(excess, -0.5)), np.log(self.up.z / whole))

    @property
    def kernel(self):
        far = np.where(self.y > 0, np.minimum(self.eta - self.near, 0.0), 0.0)
        smooth = self.y * self.near - self.y + self.up.z * self.log_ratio - 0.5 * np.log1p(self.y / self.a)
        return smooth + self.up.remainder + far

    @cached_property
    def score(self):
        return self.a * self.log_ratio + 0.5 * self.up.share + self.up.first_remainder

    @property
    def bend(self):
        """-a^2 (psi'(z) - psi'(a)), never negative."""
        return self.up.second

    @cached_property
    def weight(self):
        return self.bend - self.score

    @property
    def dweight(self):
        return 3.0 * self.bend - self.score - self.up.third
