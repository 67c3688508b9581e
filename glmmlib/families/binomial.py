"""The binomial family: successes in a number of trials."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.families import densities
from glmmlib.families import responses as response
from glmmlib.families.densities import Derivatives
from glmmlib.families.links import Cloglog, Link, Logit, Probit
from glmmlib.families.trials import InTrials
from glmmlib.families.weighting import over, times
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers


@dataclass(frozen=True)
class Binomial(InTrials):
    """Successes in a number of trials, given as `weights`; without weights 0/1 responses (Bernoulli).

    log p = log C(n, y) + y log mu + (n - y) log(1 - mu).

    Examples
    --------
    >>> binomial = Binomial()
    >>> np.exp(binomial.logpdf(np.array([0.0, 1.0]), np.zeros(2)))
    array([0.5, 0.5])
    >>> binomial.derivatives(np.array([1.0]), np.array([0.0])).weight
    array([0.25])
    """

    link: Link = field(default_factory=Logit)
    name = title = "binomial"
    links = (Logit(), Probit(), Cloglog())
    ratios = {Logit: "odds ratio", Cloglog: "hazard ratio"}
    law = "mean (1 - mean) / trials"

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        return densities.binomial(y, eta, weights, self.link.name, order)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        if weights is None:
            return 0.0
        return -np.log1p(weights) - sp.betaln(weights - y + 1, y + 1)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return times(densities.binomial_fisher(eta, self.link.name), weights)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        return over(mu * (1 - mu), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        n = 1.0 if weights is None else weights
        return 2 * (sp.kl_div(y, n * mu) + sp.kl_div(n - y, n * (1 - mu)))

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        n = 1.0 if weights is None else weights
        y = np.floor(y)
        inside = sp.betainc(np.maximum(n - y, 1.0), np.maximum(y, 0.0) + 1.0, 1.0 - mu)
        return np.where(y < 0, 0.0, np.where(y >= n, 1.0, inside))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        n = 1.0 if weights is None else weights
        y = np.floor(y)
        inside = sp.betainc(np.maximum(y, 0.0) + 1.0, np.maximum(n - y, 1.0), mu)
        return np.where(y < 0, 1.0, np.where(y >= n, 0.0, inside))

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        mu = self.link.inverse(eta)
        if weights is None:
            return (rng.random(mu.shape) < mu).astype(float)
        return rng.binomial(np.asarray(weights).astype(int), mu).astype(float)

    @property
    def latent_variance(self) -> float | None:
        return self.link.latent_variance

    def counts_zeros(self, weights: FloatArray | None = None) -> bool:
        return weights is not None and bool(np.any(weights > 1))

    def can_scatter_more(self, weights: FloatArray | None = None) -> bool:
        return self.counts_zeros(weights)

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        return response.check_binomial(y, trials, weights, name, labels)
