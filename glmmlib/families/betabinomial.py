r"""The beta-binomial family: successes in trials whose probability scatters like a beta variable.

With :math:`a = \mu\phi`, :math:`b = (1 - \mu)\phi` and rising factorials
:math:`a^{(y)} = \Gamma(a + y) / \Gamma(a)`,

.. math:: \log p = \log\binom{n}{y} + \log a^{(y)} + \log b^{(n - y)} - \log\phi^{(n)}.

``rising`` gives these without what is lost in differences where phi is large and the distribution nearly
binomial. The log-density is not concave in eta.

Williams, D. A. (1982), Extra-binomial variation in logistic linear models, *Applied Statistics* 31(2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special as sp

from glmmlib.errors import DataError
from glmmlib.families import responses as response
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Link, Logit
from glmmlib.families.rising import Rising
from glmmlib.families.saturated import likeliest_predictor
from glmmlib.families.special import log1pmx, stirling_remainder
from glmmlib.families.trials import InTrials
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers

_FAR = 600.0  # of eta: beyond it the log-density goes on along its asymptotes
_TINY = 1e-300
# Of a sum over trials: how many terms are added up, and at how many places the rest is asked
_TERMS, _NODES = 500, 40
_REACH, _NEVER = (
    11.0,
    1e-24,
)  # of an integral: standard deviations, and probabilities that are as good as none


@dataclass(frozen=True)
class BetaBinomial(InTrials):
    """Overdispersed successes in trials: Var(y / n) = mu (1 - mu) (1 + (n - 1) / (1 + phi)) / n.

    Examples
    --------
    >>> family = BetaBinomial()
    >>> y, n = np.arange(3.0), np.full(3, 2.0)
    >>> np.exp(family.logpdf(y, np.zeros(3), n, dispersion=2.0)).round(12)  # uniform
    array([0.33333333, 0.33333333, 0.33333333])
    """

    link: Link = field(default_factory=Logit)
    name = "betabinomial"
    title = "beta-binomial"
    links = (Logit(),)
    auxiliary = (
        Auxiliary(
            symbol="phi",
            sentence="The dispersion was phi = {}, where the variance of a share given the random effects is "
            "mean (1 - mean) (1 + (trials - 1) / (1 + phi)) / trials.",
            boundary="the dispersion phi runs to infinity: the successes scatter as a binomial model has it "
            "(family='binomial')",
        ),
    )
    is_log_concave = False
    ratios = {Logit: "odds ratio"}
    law = "mean (1 - mean) (1 + (trials - 1) / (1 + phi)) / trials"
    limits = {"binomial": "the dispersion phi is infinite (a binomial distribution)"}
    no_shares = (
        "beta-binomial responses vary within groups from row to row and from trial to trial, and no one "
        "residual variance holds both: look at fit.varcorr and fit.dispersion, or simulate"
    )

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        p = _Parts(y, eta, weights, dispersion)
        terms = [p.kernel, *([p.score] if order else []), *([p.weight] if order > 1 else [])]
        return Derivatives(*terms, *([p.dweight] if order > 2 else []))

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        n = np.ones(()) if weights is None else np.asarray(weights, float)
        return -np.log1p(n) - sp.betaln(n - y + 1, y + 1) - Rising(n, np.asarray(dispersion, float)).excess

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        p = _Parts(y, eta, weights, dispersion)
        up, down = p.up, p.down
        score = p.q * (up.first - up.second) - p.mu * (down.first - down.second)
        bend = p.q**2 * (2 * up.second - up.third) + p.mu**2 * (2 * down.second - down.third)
        logpdf = up.first + down.first - Rising(p.n, p.phi).first
        return DispersionDerivatives(logpdf, score, bend - (p.q - p.mu) * score)

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        p = _Parts(np.zeros(()), eta, weights, dispersion)
        a, b, n = np.broadcast_arrays(p.a, p.b, p.n)
        return p.q**2 * _mean_bend(n, a, b) + p.mu**2 * _mean_bend(n, b, a)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        n = np.ones(()) if weights is None else np.asarray(weights, float)
        chi2 = (y - n * mu) ** 2 / np.maximum(n * mu * (1 - mu), _TINY)
        more = np.broadcast_to(n - 1.0, np.shape(y)).sum(axis=-1)
        # 0.7: what is left to it when random effects have taken their part
        alike = 0.7 * np.sum(chi2 - 1.0, axis=-1) / np.maximum(more, 1.0)
        return 1.0 / np.clip(alike, 0.01, 0.6) - 1.0

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        n = 1.0 if weights is None else weights
        return mu * (1 - mu) * (1 + (n - 1) / (1 + dispersion)) / n

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        p = _Parts(np.zeros(()), eta, weights, dispersion)
        n = np.broadcast_to(p.n, np.shape(eta)).astype(int)
        return rng.binomial(n, rng.beta(p.a, p.b)).astype(float)

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        n, a, b = _shapes(mu, weights, dispersion)
        return _at_most(np.floor(y), n, a, b)

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        n, a, b = _shapes(mu, weights, dispersion)
        return _at_most(n - np.floor(y) - 1.0, n, b, a)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        y, n = np.asarray(y, float), 1.0 if weights is None else weights
        start = np.where(y <= 0, -_FAR, np.where(y >= n, _FAR, sp.logit(self.start_mean(y, weights))))
        is_between = np.abs(start) < _FAR

        def step(eta: FloatArray) -> FloatArray:  # the log-density is concave in mu
            p = _Parts(y, eta, weights, dispersion)
            return np.where(is_between, p.score / np.maximum(p.information, _TINY), 0.0)

        best = likeliest_predictor(step, start)
        here = _Parts(y, self.link.link(mu), weights, dispersion)
        return 2 * np.maximum(_Parts(y, best, weights, dispersion).kernel - here.kernel, 0.0)

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        if trials is not None or weights is not None:
            y, trials = response.check_binomial(y, trials, weights, name, labels)
        if trials is None:
            raise DataError(
                f"The dispersion of family='betabinomial' is seen only where rows have more than one trial, "
                f"which {name!r} has not: give cbind(successes, failures), or proportions with weights = the "
                "trials, or use family='binomial'."
            )
        return y, trials


def _shapes(
    mu: FloatArray, n: FloatArray | None, phi: AuxiliaryValue
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Trials, and the two parameters of the beta variable."""
    mu, phi = np.asarray(mu, float), np.asarray(phi, float)
    n = np.ones(()) if n is None else np.asarray(n, float)
    return n, np.maximum(mu * phi, _TINY), np.maximum((1.0 - mu) * phi, _TINY)


class _Parts:
    """What the log-density and its derivatives in eta are made of."""

    def __init__(self, y: FloatArray, eta: FloatArray, n: FloatArray | None, phi: AuxiliaryValue) -> None:
        self.eta, self.y, self.phi = np.asarray(eta, float), np.asarray(y, float), np.asarray(phi, float)
        self.n = np.ones(()) if n is None else np.asarray(n, float)
        self.near = np.clip(self.eta, -_FAR, _FAR)
        self.mu, self.q = sp.expit(self.near), sp.expit(-self.near)
        self.a, self.b = (np.maximum(share * self.phi, _TINY) for share in (self.mu, self.q))
        self.up, self.down = Rising(self.y, self.a), Rising(self.n - self.y, self.b)

    @property
    def kernel(self) -> FloatArray:
        lost = self.n - self.y
        logs = self.y * np.log(self.mu) + lost * np.log(self.q)
        beyond = self.eta - self.near
        far = np.where(self.y > 0, np.minimum(beyond, 0.0), 0.0) - np.where(
            lost > 0, np.maximum(beyond, 0.0), 0.0
        )
        return logs + self.up.excess + self.down.excess + far

    @cached_property
    def score(self) -> FloatArray:
        return self.q * self.up.first - self.mu * self.down.first

    @cached_property
    def information(self) -> FloatArray:
        return self.q**2 * self.up.second + self.mu**2 * self.down.second

    @property
    def weight(self) -> FloatArray:
        return self.information - (self.q - self.mu) * self.score

    @property
    def dweight(self) -> FloatArray:
        tilt = self.q - self.mu
        cubes = self.q**3 * self.up.third - self.mu**3 * self.down.third
        return 3 * tilt * self.information - cubes - (tilt**2 - 2 * self.mu * self.q) * self.score


def _masses(last: int, n: FloatArray, a: FloatArray, b: FloatArray) -> Iterator[FloatArray]:
    """P(Y = j) for j from 0 to the last, each from that before it; to be used where j <= n."""
    log_p = Rising(n, b).excess - Rising(n, a + b).excess - n * np.log1p(a / b)
    yield np.exp(log_p)
    for j in range(last):
        left = np.maximum(n - j, 1.0)
        log_p = log_p + np.log(left / (j + 1.0)) + np.log(a + j) - np.log(b + left - 1.0)
        yield np.exp(log_p)


def _at_most(y: FloatArray, n: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """P(Y <= y): few terms are added up from their end, so that a small sum keeps its digits; many are an
    integral.
    """
    y, n, a, b = np.broadcast_arrays(y, n, a, b)
    is_below, is_above = y < _TERMS, n - y <= _TERMS
    total = _added(np.where(is_below, y, -1.0), n, a, b)
    rest = ~is_below & is_above & (y < n)
    if rest.any():
        total = np.where(rest, 1.0 - _added(np.where(rest, n - y - 1.0, -1.0), n, b, a), total)
    many = ~is_below & ~is_above
    if many.any():
        total = total.copy()
        total[many] = _averaged(y[many], n[many], a[many], b[many])
    return np.where(y >= n, 1.0, np.clip(total, 0.0, 1.0))


def _added(last: FloatArray, n: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """The sum of P(Y = j) for j from 0 to the last of each, none where that is -1."""
    total, inside = np.zeros(np.shape(last)), np.where(last < n, last, -1.0)
    for j, mass in enumerate(_masses(int(np.max(inside, initial=-1.0)), n, a, b)):
        total = total + np.where(j <= inside, mass, 0.0)
    return total


def _averaged(y: FloatArray, n: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """The mean of the binomial P(Y <= y | p) over a beta variable p: one below where p could give so few, and
    an integral over the logit of p where it is between 0 and 1. Every part is positive.
    """
    share = (y + 0.5) / n
    middle, reach = sp.logit(share), _REACH / np.sqrt(n * share * (1.0 - share))
    low = np.maximum(middle - reach, sp.logit(sp.betaincinv(a, b, _NEVER)))
    high = np.minimum(middle + reach, -sp.logit(sp.betaincinv(b, a, _NEVER)))
    length, total = np.maximum(high - low, 0.0), np.zeros(np.shape(y))
    phi = a + b
    height = 0.5 * np.log(a * b / (2.0 * np.pi * phi)) + (
        stirling_remainder(phi) - stirling_remainder(a) - stirling_remainder(b)
    )
    for node, weight in zip(*np.polynomial.legendre.leggauss(2 * _NODES), strict=True):
        z = low + 0.5 * (1.0 + node) * length
        away = sp.expit(z) - a / phi
        fall = a * log1pmx(away * phi / a) + b * log1pmx(-away * phi / b)
        total += 0.5 * weight * length * np.exp(height + fall) * sp.betainc(n - y, y + 1.0, sp.expit(-z))
    below = sp.betainc(a, b, sp.expit(np.minimum(low, high)))
    return below + total


def _mean_bend(n: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """The mean of ``Rising(y, a).second`` over y: the sum of P(y > j) a^2 / (a + j)^2.

    Beyond the first terms y is as good as n times a beta variable, and the sum an integral.
    """
    below, total = np.zeros(np.shape(a)), np.zeros(np.shape(a))
    most = int(np.max(n, initial=1.0))
    for j, mass in enumerate(_masses(min(most, _TERMS) - 1, n, a, b)):
        below = below + mass
        total += np.where(j < n, np.maximum(1.0 - below, 0.0) * (a / (a + j)) ** 2, 0.0)
    return total if most <= _TERMS else total + _rest_of_bend(n, a, b)


def _rest_of_bend(n: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """The terms from j = _TERMS on, integrated over 1 / (a + j)."""
    far = np.maximum(n, _TERMS)
    low, high = 1.0 / (a + far - 0.5), 1.0 / (a + _TERMS - 0.5)
    total = np.zeros(np.shape(low))
    for node, share in zip(*np.polynomial.legendre.leggauss(_NODES), strict=True):
        j = 1.0 / (low + 0.5 * (1.0 + node) * (high - low)) - a
        total += 0.5 * share * sp.betainc(b, a, np.clip(1.0 - (j + 0.5) / far, 0.0, 1.0))
    return a**2 * (high - low) * total
