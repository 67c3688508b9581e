r"""Counts with structural zeros: a zero is one of the counts, or a row that could not be anything else.

With the counts' own probabilities p and the probability :math:`\pi` of a structural zero,

.. math:: P(0) = \pi + (1 - \pi)\,p(0), \qquad P(y) = (1 - \pi)\,p(y), \quad y > 0.

``mu`` is the mean of the counts, the inverse link of eta; a response has the mean :math:`(1 - \pi)\mu`. With
the probability :math:`r = (1 - \pi) p(0) / P(0)` that a zero is one of the counts,

.. math::

    \partial r / \partial\eta = r (1 - r) \ell_0', \qquad \partial r / \partial\operatorname{logit}\pi
    = -r (1 - r),

from which all derivatives follow. The log-density of a zero is not concave in eta.

Lambert, D. (1992), Zero-inflated Poisson regression, with an application to defects in manufacturing,
*Technometrics* 34(1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.families.counts import NegativeBinomial, Poisson
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Link, Log, Logit
from glmmlib.families.negbinomial1 import NegativeBinomial1
from glmmlib.families.weighting import over, times, weighted
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers

_ZERO = np.zeros(())
ZERO_INFLATION = Auxiliary(
    name="zi",
    symbol="pi",
    term="zi",
    title="zero inflation",
    sentence="The probability of a structural zero was {}.",
    link=Logit(),
    allowed=(0.0, 1.0),
    boundary="the probability of a structural zero runs to 0 (or to 1): there the zeros are those of the "
    "counts (leave zi= out)",
    first=0.2,
    is_optional=True,
)


@dataclass(frozen=True)
class ZeroInflated(Family):
    """What zero-inflated families share; each names the family of its counts."""

    link: Link = field(default_factory=Log)
    counts: ClassVar[type[Family]]
    zeros: ClassVar[Auxiliary] = ZERO_INFLATION
    is_log_concave = False
    is_mean_of_link = False
    mean_needs_auxiliary = True
    has_structural_zeros = True
    errors_of_mean_need_auxiliary = True
    beside_the_mean = "structural zeros"
    no_shares = (
        "with zero inflation responses vary within groups for two reasons, the counts and the structural "
        "zeros, and no one residual variance holds both: look at fit.varcorr, or "
        "simulate"
    )

    def __init_subclass__(cls, counts: type[Family] | None = None) -> None:
        if counts is None:  # a kind of such families
            return
        cls.counts, cls.support, cls.links = counts, counts.support, counts.links
        cls.name, cls.title = f"zero-inflated {counts.name}", f"zero-inflated {counts.title}"
        cls.auxiliary = (*counts.auxiliary, cls.zeros)
        cls.limits = {f"zero-inflated {name}": text for name, text in counts.limits.items()}
        cls.limits |= {counts.name: "no zero is a structural one (pi = 0)"}
        cls.ratios, cls.remedy, cls.law = counts.ratios, counts.remedy, f"{counts.law}, of the counts"
        cls.remedy_for_spread = counts.remedy_for_spread
        cls.caveat = "A rate ratio is one of the counts, among rows that are no structural zeros."

    @property
    def own(self) -> Family:
        """The family of the counts."""
        return self.counts(self.link)

    @property
    def fixes_variance(self) -> bool:
        return self.own.fixes_variance

    def as_arguments(self) -> dict[str, Any]:
        return {"family": self.own, "zi": "~ 1"}

    def all_alike(self, sign: int) -> str:
        return self.own.all_alike(sign)

    def _split(self, auxiliary: AuxiliaryValue) -> tuple[AuxiliaryValue, FloatArray]:
        """Return what the counts have beside the mean, and the probability of a structural zero."""
        if not self.counts.auxiliary:
            return None, np.asarray(auxiliary, float)
        values = np.asarray(auxiliary, float)
        return values[..., 0], values[..., 1]

    # --- the log-density ------------------------------------------------------------------------------------

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        own, pi = self._split(dispersion)
        is_zero = np.asarray(y) == 0
        d = self.own.derivatives(y, eta, None, own, order)
        zero = _Zeros(self.own, eta, own, pi, order)
        found = [np.where(is_zero, zero.log_probability, d.kernel)]
        if order > 0:
            found.append(np.where(is_zero, zero.score, d.score))
        if order > 1:
            found.append(np.where(is_zero, zero.weight, d.weight))
        if order > 2:
            found.append(np.where(is_zero, zero.dweight, d.dweight))
        return weighted(Derivatives(*found), weights)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        own, pi = self._split(dispersion)
        positive = _log(1.0 - pi) + self.own.constant(y, None, own)
        return times(np.where(np.asarray(y) == 0, 0.0, positive), weights)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        own, pi = self._split(dispersion)
        is_zero = np.asarray(y) == 0
        zero = _Zeros(self.own, eta, own, pi, 2)
        positive: tuple[Any, ...] = (-pi, 0.0, 0.0)
        found = [tuple(np.where(is_zero, a, b) for a, b in zip(zero.by_pi, positive, strict=True))]
        if self.counts.auxiliary:
            d = self.own.dispersion_derivatives(y, eta, None, own)
            z = zero.by_own(self.own.dispersion_derivatives(_ZERO, eta, None, own))
            found.insert(0, tuple(np.where(is_zero, a, b) for a, b in zip(z, d, strict=True)))
        found = [tuple(times(term, weights) for term in terms) for terms in found]
        if len(found) == 1:
            return DispersionDerivatives(*found[0])
        return DispersionDerivatives(*(np.stack(terms, axis=-1) for terms in zip(*found, strict=True)))

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        own, pi = self._split(dispersion)
        zero = _Zeros(self.own, eta, own, pi, 1)
        lost = np.exp(zero.log_own) * zero.from_structure * zero.own_score**2
        return times((1.0 - pi) * np.maximum(self.own.fisher(eta, None, own) - lost, 0.0), weights)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        own = self.own.start_auxiliary(y, mu)
        by_row = None if own is None else own[..., None]
        expected = self.own.cdf(_ZERO, mu, None, by_row).mean(axis=-1)
        surplus = (np.mean(y == 0, axis=-1) - expected) / (1.0 - expected)
        pi = np.clip(surplus, 0.05, 0.9)
        return pi if own is None else np.stack([own, pi], axis=-1)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return self.own.start_mean(y, weights)

    # --- the mean -------------------------------------------------------------------------------------------

    def mean(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        own, pi = self._split(dispersion)
        return (1.0 - pi) * self.own.mean(eta, own)

    def average(self, eta: FloatArray, variance: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        own, pi = self._split(dispersion)
        return (1.0 - pi) * self.own.average(eta, variance, own)

    def mean_slope(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        own, pi = self._split(dispersion)
        return (1.0 - pi) * self.own.mean_slope(eta, own)

    @property
    def counted(self) -> Family:
        return self.own

    def counted_auxiliary(self, dispersion: AuxiliaryValue) -> AuxiliaryValue:
        return self._split(dispersion)[0]

    def structural_zeros(self, dispersion: AuxiliaryValue) -> FloatArray:
        return self._split(dispersion)[1]

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        own, pi = self._split(dispersion)
        mean = mu if self.own.is_mean_of_link else self.own.mean(self.link.link(mu), own)
        return over((1.0 - pi) * (self.own.variance(mu, None, own) + pi * mean**2), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        own, pi = self._split(dispersion)
        zero = -2.0 * _log(pi + (1.0 - pi) * self.own.cdf(_ZERO, mu, None, own))
        positive = self.own.unit_deviance(y, mu, None, own)
        return times(np.where(np.asarray(y) == 0, zero, positive), weights)

    # --- the distribution -----------------------------------------------------------------------------------

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        own, pi = self._split(dispersion)
        return np.where(np.asarray(y) < 0, 0.0, pi + (1.0 - pi) * self.own.cdf(y, mu, None, own))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        own, pi = self._split(dispersion)
        return np.where(np.asarray(y) < 0, 1.0, (1.0 - pi) * self.own.sf(y, mu, None, own))

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        own, pi = self._split(dispersion)
        y = self.own.draw(eta, weights, own, rng)
        return np.where(rng.random(y.shape) < pi, 0.0, y)

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        return self.own.check_response(y, trials, weights, name, labels)


class _Zeros:
    """The log-probability of a zero, and its derivatives.

    ``r`` is the probability that a zero is one of the counts, ``from_structure`` the rest.
    """

    def __init__(
        self, counts: Family, eta: FloatArray, own: AuxiliaryValue, pi: FloatArray, order: int
    ) -> None:
        d = counts.derivatives(_ZERO, eta, None, own, max(order, 1))
        self.pi, self.log_own = pi, d.kernel + counts.constant(_ZERO, None, own)
        structural, counted = _log(pi), _log(1.0 - pi) + self.log_own
        self.log_probability = np.logaddexp(structural, counted)
        self.from_structure = np.exp(structural - self.log_probability)
        self.r = np.exp(counted - self.log_probability)
        # where no zero is one of the counts, their derivatives, which may overflow, have no part
        terms = [term for term in (d.score, d.weight, d.dweight) if term is not None]
        self._terms = [np.where(self.r > 0, term, 0.0) for term in terms]
        self.own_score = self._terms[0]
        self.both = self.r * self.from_structure

    @property
    def score(self) -> FloatArray:
        return self.r * self.own_score

    @property
    def weight(self) -> FloatArray:
        return self.r * self._terms[1] - self.both * self.own_score**2

    @property
    def dweight(self) -> FloatArray:
        s, tilt = self.own_score, self.from_structure - self.r
        return self.r * self._terms[2] + self.both * (3.0 * s * self._terms[1] - tilt * s**3)

    @property
    def by_pi(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Derivatives in logit pi of the log-probability, of score and weight."""
        s, tilt = self.own_score, self.from_structure - self.r
        bend = self.both * (tilt * s**2 - self._terms[1])
        return self.from_structure - self.pi, -self.both * s, bend

    def by_own(self, d: DispersionDerivatives) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Derivatives in the parameter of the counts, for those of the counts' own probability of zero."""
        logpdf, score, weight = (np.where(self.r > 0, term, 0.0) for term in d)
        s, tilt = self.own_score, self.from_structure - self.r
        bend = logpdf * (self._terms[1] - tilt * s**2) - 2.0 * s * score
        return self.r * logpdf, self.both * logpdf * s + self.r * score, self.both * bend + self.r * weight


@dataclass(frozen=True)
class ZeroInflatedPoisson(ZeroInflated, counts=Poisson):
    """Poisson counts with structural zeros.

    Examples
    --------
    >>> family = ZeroInflatedPoisson()
    >>> np.exp(family.logpdf(np.array([0.0, 2.0]), np.log([3.0, 3.0]), dispersion=0.25)).round(4)
    array([0.2873, 0.168 ])
    """


@dataclass(frozen=True)
class ZeroInflatedNegativeBinomial(ZeroInflated, counts=NegativeBinomial):
    """Overdispersed counts (NB2) with structural zeros; auxiliary parameters are k and pi.

    Examples
    --------
    >>> family = ZeroInflatedNegativeBinomial()
    >>> k_pi = np.array([2.0, 0.25])
    >>> np.exp(family.logpdf(np.array([0.0, 2.0]), np.log([3.0, 3.0]), dispersion=k_pi)).round(4)
    array([0.37 , 0.1296])
    """


@dataclass(frozen=True)
class ZeroInflatedNegativeBinomial1(ZeroInflated, counts=NegativeBinomial1):
    """Overdispersed counts (NB1) with structural zeros; auxiliary parameters are phi and pi.

    Examples
    --------
    >>> family = ZeroInflatedNegativeBinomial1()
    >>> phi_pi = np.array([1.5, 0.25])
    >>> np.exp(family.logpdf(np.array([0.0, 2.0]), np.log([3.0, 3.0]), dispersion=phi_pi)).round(4)
    array([0.37 , 0.1296])
    """


def _log(values: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.log(values)
