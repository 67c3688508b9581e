r"""Counts without zeros: a distribution of counts, given that they are not zero.

With the counts' own probability :math:`p(0) = e^{-t}` of a zero,

.. math:: P(y) = \frac{p(y)}{1 - p(0)}, \quad y > 0, \qquad \log(1 - e^{-t}) = G(\log t),

where G is the log-probability of a success under the complementary log-log link, whose derivatives keep their
digits where nearly all counts would be zeros. ``mu`` is the mean of the counts, zeros among them; a response
has the mean :math:`\mu / (1 - p(0))`.

Cameron, A. C. and Trivedi, P. K. (2013), *Regression Analysis of Count Data*, 2nd ed., Cambridge University
Press, section 4.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from glmmlib.families import responses as response
from glmmlib.families.base import Family
from glmmlib.families.counts import NegativeBinomial, Poisson
from glmmlib.families.densities import Derivatives, DispersionDerivatives, log_gumbel
from glmmlib.families.links import Link, Log
from glmmlib.families.saturated import likeliest_predictor
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times, weighted
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers

_ZERO = np.zeros(())
_FAR = 600.0  # of eta: beyond it the log-density goes on along its asymptotes
_LEAST = -30.0  # of eta: all counts are one to the last digit
_CANDIDATES = np.geomspace(0.1, 60.0, 12)  # of a dispersion to begin with


@dataclass(frozen=True)
class Truncated(Family):
    """What families of counts without zeros share; each names the family of its counts."""

    link: Link = field(default_factory=Log)
    counts: ClassVar[type[Family]]
    links = (Log(),)
    support = Support(1.0, np.inf, is_discrete=True)
    is_log_concave = False
    is_mean_of_link = False
    lowest = "counts of one"
    no_shares = (
        "of counts without zeros no residual variance on the scale of the linear predictor is known: look at "
        "fit.varcorr, or simulate"
    )

    def __init_subclass__(cls, counts: type[Family]) -> None:
        cls.counts = counts
        cls.name, cls.title = f"truncated_{counts.name}", f"zero-truncated {counts.title}"
        cls.auxiliary = tuple(replace(own, boundary=_truncated(own.boundary)) for own in counts.auxiliary)
        cls.limits = {f"truncated_{name}": text for name, text in counts.limits.items()}
        cls.ratios, cls.law = counts.ratios, f"{counts.law}, of the counts before truncation"
        cls.remedy, cls.remedy_for_spread = _truncated(counts.remedy), _truncated(counts.remedy_for_spread)
        cls.mean_needs_auxiliary = bool(counts.auxiliary)
        cls.caveat = "A rate ratio is one of the counts before truncation, zeros among them."

    @property
    def own(self) -> Family:
        """The family of the counts."""
        return self.counts(self.link)

    @property
    def location_range(self) -> tuple[float, float]:
        return 0.0, np.inf

    def counts_zeros(self, weights: FloatArray | None = None) -> bool:
        return False

    def all_alike(self, sign: int) -> str:
        return "every count is one"

    # --- the log-density ------------------------------------------------------------------------------------

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        d = self.own.derivatives(y, eta, None, dispersion, order)
        rest = _Rest(self.own, eta, dispersion, order)
        found = [np.where(np.asarray(y) > 0, d.kernel - rest.log_probability, -np.inf)]
        if order > 0:
            found.append(d.score - rest.first)
        if order > 1:
            weight = d.weight + rest.second
            found.append(np.maximum(weight, 0.0) if self.is_log_concave else weight)
        if order > 2:
            found.append(d.dweight + rest.third)
        return weighted(Derivatives(*found), weights)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        return self.own.constant(y, weights, dispersion)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        if not self.auxiliary:
            return super().dispersion_derivatives(y, eta, weights, dispersion)
        d = self.own.dispersion_derivatives(y, eta, None, dispersion)
        lost = _Rest(self.own, eta, dispersion, 3).by_own()
        score, weight = d.score - lost.score, d.weight + lost.weight
        return weighted(DispersionDerivatives(d.logpdf - lost.logpdf, score, weight), weights)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        rest = _Rest(self.own, eta, dispersion, 2)
        zeros = np.exp(-rest.t) * rest.zero.weight
        whole = (self.own.fisher(rest.near, None, dispersion) - zeros) / rest.probability
        return times(np.maximum(whole + rest.second, np.finfo(float).tiny), weights)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        if not self.auxiliary:
            return None
        eta = self.link.link(np.maximum(mu, np.exp(_LEAST)))
        terms = (
            np.where(np.asarray(y) > 0, self.logpdf(np.maximum(y, 1.0), eta, None, k), 0.0)
            for k in _CANDIDATES
        )
        best = np.argmax([each.sum(axis=-1) for each in terms], axis=0)
        return _CANDIDATES[best]

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return np.maximum(np.asarray(y, float) - 0.5, 0.5)

    # --- the mean -------------------------------------------------------------------------------------------

    def mean(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        rest = _Rest(self.own, eta, dispersion, 0)
        with np.errstate(over="ignore"):
            return np.exp(np.maximum(eta, -_FAR) - rest.G[0])

    def mean_slope(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        return self.mean(eta, dispersion) * (1.0 - _Rest(self.own, eta, dispersion, 1).first)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        mean = self.mean(self.link.link(np.maximum(mu, np.exp(-_FAR))), dispersion)
        spread = self.own.variance(mu, None, dispersion) / np.maximum(mu, np.finfo(float).tiny)
        return over(mean * np.maximum(spread - (mean - mu), 0.0), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y = np.maximum(y, 1.0)

        def step(eta: FloatArray) -> FloatArray:
            return self.derivatives(y, eta, None, dispersion, 1).score / self.fisher(eta, None, dispersion)

        best = likeliest_predictor(step, np.where(y > 1, np.log(y), _LEAST), _LEAST)
        eta = self.link.link(np.maximum(mu, np.exp(-_FAR)))
        most, found = (self.derivatives(y, at, None, dispersion, 0).kernel for at in (best, eta))
        return times(2 * np.maximum(most - found, 0.0), weights)

    # --- the distribution -----------------------------------------------------------------------------------

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        own, rest = self.own, self._rest(mu, dispersion)
        is_near = rest > 0.5  # where hardly any count is no zero, the upper tail has the digits
        found = np.zeros(np.broadcast_shapes(np.shape(y), np.shape(rest)))
        if is_near.any():
            found = (own.cdf(y, mu, None, dispersion) - (1.0 - rest)) / rest
        if not is_near.all():
            found = np.where(is_near, found, 1.0 - own.sf(y, mu, None, dispersion) / rest)
        return np.where(np.asarray(y) < 1, 0.0, np.clip(found, 0.0, 1.0))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        found = self.own.sf(y, mu, None, dispersion) / self._rest(mu, dispersion)
        return np.where(np.asarray(y) < 1, 1.0, np.minimum(found, 1.0))

    def _rest(self, mu, dispersion):
        """The counts' own probability of no zero."""
        with np.errstate(divide="ignore"):
            return _Rest(self.own, np.log(mu), dispersion, 0).probability

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        y = np.array(self.own.draw(eta, None, dispersion, rng))
        again = y == 0  # a draw that is no zero is one of this distribution
        if again.any():
            mu = np.broadcast_to(self.link.inverse(eta), y.shape)[again]
            own = dispersion if np.ndim(dispersion) == 0 else np.broadcast_to(dispersion, y.shape)[again]
            u = rng.random(mu.size)
            y[again] = self.support.smallest(lambda at: self.cdf(at, mu, None, own) >= u, mu.size)
        return y

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        response.refuse_trials(trials, self.name)
        y = response.check_counts_above_zero(y, self.name, name, labels)
        return y, response.check_weights(weights, np.size(y), labels)


class _Rest:
    """The log-probability that a count is no zero, and its derivatives in eta: G of x = log t."""

    def __init__(self, counts: Family, eta: FloatArray, own: AuxiliaryValue, order: int) -> None:
        eta = np.asarray(eta, float)
        self.counts, self.own, self.near = counts, own, np.clip(eta, -_FAR, _FAR)
        self.zero = zero = counts.derivatives(_ZERO, self.near, None, own, order)
        self.t = np.maximum(-zero.kernel, np.finfo(float).tiny)
        self.G = log_gumbel(np.log(self.t), order)
        self.log_probability = self.G[0] + np.minimum(eta - self.near, 0.0)
        if order > 0:
            self.x1 = -zero.score / self.t
        if order > 1:
            self.bend = zero.weight / self.t
            self.x2 = self.bend - self.x1**2
        if order > 2:
            self.x3 = zero.dweight / self.t - 3.0 * self.x1 * self.bend + 2.0 * self.x1**3

    @property
    def probability(self) -> FloatArray:
        return np.exp(self.G[0])

    @property
    def first(self) -> FloatArray:
        return self.G[1] * self.x1

    @property
    def second(self) -> FloatArray:
        return self.G[2] * self.x1**2 + self.G[1] * self.x2

    @property
    def third(self) -> FloatArray:
        G, x1 = self.G, self.x1
        return G[3] * x1**3 + 3.0 * G[2] * x1 * self.x2 + G[1] * self.x3

    def by_own(self) -> DispersionDerivatives:
        """Derivatives in the parameter of the counts: of the log-probability, of `first` and of `second`."""
        d = self.counts.dispersion_derivatives(_ZERO, self.near, None, self.own)
        G, x1, x2 = self.G, self.x1, self.x2
        x = -d.logpdf / self.t
        dx1 = -d.score / self.t - x1 * x
        dx2 = d.weight / self.t - self.bend * x - 2.0 * x1 * dx1
        second = x * (G[3] * x1**2 + G[2] * x2) + 2.0 * G[2] * x1 * dx1 + G[1] * dx2
        return DispersionDerivatives(G[1] * x, G[2] * x * x1 + G[1] * dx1, second)


def _truncated(advice: str) -> str:
    """What a sentence about counts advises where there are no zeros: the truncated families."""
    return advice.replace("family='", "family='truncated_")


@dataclass(frozen=True)
class TruncatedPoisson(Truncated, counts=Poisson):
    """Poisson counts without zeros.

    Examples
    --------
    >>> family = TruncatedPoisson()
    >>> np.exp(family.logpdf(np.array([1.0, 2.0]), np.log([1.5, 1.5]))).round(4)
    array([0.4308, 0.3231])
    >>> float(family.mean(np.log(1.5)).round(4))
    1.9308
    """

    is_log_concave = True


@dataclass(frozen=True)
class TruncatedNegativeBinomial(Truncated, counts=NegativeBinomial):
    """Overdispersed counts (NB2) without zeros.

    Examples
    --------
    >>> family = TruncatedNegativeBinomial()
    >>> np.exp(family.logpdf(np.array([1.0, 2.0]), np.log([1.5, 1.5]), dispersion=2.0)).round(4)
    array([0.4156, 0.2672])
    """
