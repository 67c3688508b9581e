"""Families of counts: Poisson and negative binomial."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.families import densities
from glmmlib.families import responses as response
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.draws import poisson_draws
from glmmlib.families.links import Identity, Link, Log, Sqrt
from glmmlib.families.special import log1pmx, per_count, stirling_remainder
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times, weighted
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers

_ALL_GAMMA = 1e-12  # a phi / (phi + mu) below which the Poisson's scatter is nothing beside that of its mean


class _Counts(Family):
    """What the Poisson and the negative binomial share."""

    support = Support(0.0, np.inf, is_discrete=True)
    ratios = {Log: "rate ratio"}

    def all_alike(self, sign: int) -> str:
        return "every count is zero"

    def check_response(self, y, trials=None, weights=None, name="response", labels=None):
        response.refuse_trials(trials, self.name)
        return response.check_counts(y, name, labels), response.check_weights(weights, np.size(y), labels)


@dataclass(frozen=True)
class Poisson(_Counts):
    """Counts whose variance is their mean: log p = y log mu - mu - log y!.

    Examples
    --------
    >>> round(float(Poisson().logpdf(np.array(2.0), np.log(3.0))), 6)
    -1.495923
    """

    link: Link = field(default_factory=Log)
    name = "poisson"
    title = "Poisson"
    links = (Log(), Sqrt(), Identity())
    law = "the mean"
    caveat = "The Poisson distribution takes the variance given the random effects as equal to the mean."
    remedy = "family='negbinomial'"

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        terms = {
            "log": densities.poisson_log,
            "sqrt": densities.poisson_sqrt,
            "identity": densities.poisson_identity,
        }
        return weighted(terms[self.link.name](y, eta, order), weights)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        return times(per_count(densities.poisson_constant, y), weights)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        eta = np.asarray(eta, float)
        information: dict[str, Callable[..., Any]] = {
            "log": self.link.inverse,
            "sqrt": lambda e: np.full_like(e, 4.0),
            "identity": np.reciprocal,
        }
        return times(information[self.link.name](eta), weights)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(mu, weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return times(2 * sp.kl_div(y, mu), weights)

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y = np.floor(y)
        return np.where(y < 0, 0.0, sp.gammaincc(np.maximum(y, 0.0) + 1.0, mu))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y = np.floor(y)
        return np.where(y < 0, 1.0, sp.gammainc(np.maximum(y, 0.0) + 1.0, mu))

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        self.check_range(eta)
        return poisson_draws(self.link.inverse(eta), rng)


@dataclass(frozen=True)
class NegativeBinomial(_Counts):
    """Overdispersed counts, NB2: Var(y) = mu + mu^2 / phi with phi = `dispersion`.

    log p = log Gamma(y + phi) - log Gamma(phi) - log y! + y log(mu / (mu + phi)) + phi log(phi / (mu + phi)):
    a Poisson whose mean is multiplied by a gamma variable of mean 1 and variance 1 / phi.

    Examples
    --------
    >>> y, eta = np.array(2.0), np.log(3.0)
    >>> nb = NegativeBinomial()
    >>> [round(float(nb.logpdf(y, eta, dispersion=phi)), 4) for phi in (1.0, 100.0, 1e10)]
    [-1.9617, -1.501, -1.4959]
    """

    link: Link = field(default_factory=Log)
    name = "negbinomial"
    title = "negative binomial"
    links = (Log(),)
    auxiliary = (
        Auxiliary(
            symbol="phi",
            sentence="The dispersion was phi = {}, where the variance given the random effects is "
            "mean + mean²/phi.",
            boundary="the dispersion phi runs to infinity: the counts scatter as a Poisson model has it "
            "(family='poisson')",
        ),
    )
    law = "mean + mean²/phi"
    limits = {"poisson": "the dispersion phi is infinite (a Poisson distribution)"}

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        return weighted(densities.negbinomial_log(y, eta, dispersion, order), weights)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        # log Gamma(y + phi) - log Gamma(phi) - y log phi by Stirling, for a difference of two gammaln
        # loses all digits
        def log_ratio(y, phi=dispersion):
            u = y / phi
            smooth = phi * (log1pmx(u) + u * np.log1p(u)) - 0.5 * np.log1p(u)
            return smooth + stirling_remainder(y + phi) - stirling_remainder(phi) - sp.gammaln(y + 1)

        return times(per_count(log_ratio, y) if np.ndim(dispersion) == 0 else log_ratio(y), weights)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        return weighted(densities.negbinomial_log_dispersion(y, eta, dispersion), weights)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return times(densities.negbinomial_log_fisher(eta, dispersion), weights)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(mu + mu**2 / dispersion, weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        delta = (y - mu) / (mu + dispersion)
        less = (mu + dispersion) * (log1pmx(delta) + delta * np.log1p(delta))
        return times(2 * np.maximum(sp.kl_div(y, mu) - less, 0), weights)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        extra = np.mean(((y - mu) ** 2 - mu) / np.maximum(mu, 0.1) ** 2, axis=-1)
        return np.clip(2.0 / np.maximum(extra, 1e-2), 0.2, 50.0)

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y, (q, _) = np.floor(y), _shares(mu, dispersion)
        more = np.maximum(y, 0.0) + 1.0
        found = np.where(q < _ALL_GAMMA, sp.gammainc(dispersion, more * q), sp.betainc(dispersion, more, q))
        return np.where(y < 0, 0.0, found)

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y, (q, p) = np.floor(y), _shares(mu, dispersion)
        more = np.maximum(y, 0.0) + 1.0
        found = np.where(q < _ALL_GAMMA, sp.gammaincc(dispersion, more * q), sp.betainc(more, dispersion, p))
        return np.where(y < 0, 1.0, found)

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        mu = self.link.inverse(eta)
        phi = np.broadcast_to(dispersion, mu.shape)
        return poisson_draws(mu * (rng.standard_gamma(phi) / phi), rng)


def _shares(mu, phi):
    """phi / (phi + mu) and mu / (phi + mu), also for a mean of zero or infinity."""
    with np.errstate(divide="ignore", over="ignore"):
        return 1.0 / (1.0 + mu / phi), 1.0 / (1.0 + phi / np.asarray(mu, float))
