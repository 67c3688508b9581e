r"""Cumulative logits: responses in one of K categories that have an order.

.. math:: P(y \le k) = \operatorname{logistic}(\theta_k - x'\beta - z'b)

The intercept of the linear predictor is minus the first threshold, so that eta is the logit of
:math:`P(y > 1)`. What is left of the thresholds are the widths of the categories between the first and the
last, :math:`w_k = \theta_k - \theta_{k-1} > 0`, the auxiliary parameters. With two categories there is none,
and the family is the binomial one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import expit, log_expit

from glmmlib.families import responses as response
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.averages import normal_average
from glmmlib.families.base import Family
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Link, Logit
from glmmlib.families.support import Support
from glmmlib.families.weighting import over, times, weighted
from glmmlib.types import AuxiliaryValue, FloatArray, IntArray, Numbers

_FAR = 37.0  # of a linear predictor whose mu rounds to 0 or 1


@dataclass(frozen=True)
class Ordinal(Family):
    """Ordered categories by a cumulative logit model (proportional odds).

    A response is the score of its category: the category itself where all are numbers, else 1, 2, ..., K. The
    mean of a response is the mean score. ``mu``, the inverse link of eta, is P(y > first category).

    Attributes
    ----------
    levels : tuple
        The categories in their order; empty until a response has been seen.

    References
    ----------
    McCullagh, P. (1980). Regression models for ordinal data. J. R. Stat. Soc. B 42, 109-142.

    Examples
    --------
    Thresholds at -1, 0.5 and 1.5: eta is minus the first, the widths are the steps between them.

    >>> family = Ordinal().with_levels(("low", "middle", "high", "top"))
    >>> family.probabilities(np.array([1.0]), np.array([1.5, 1.0])).round(3)
    array([[0.269, 0.354, 0.195, 0.182]])
    >>> family.thresholds(1.0, np.array([1.5, 1.0]))
    {'low|middle': -1.0, 'middle|high': 0.5, 'high|top': 1.5}
    """

    link: Link = field(default_factory=Logit)
    levels: tuple[Any, ...] = ()  # type: ignore[misc]
    name = title = "ordinal"
    links = (Logit(),)
    is_mean_of_link = False
    needs_intercept = True
    errors_of_mean_need_auxiliary = True
    beside_the_mean = "thresholds"
    example_levels = (1, 2, 3, 4)
    ratios = {Logit: "odds ratio"}
    law = "that of the scores of the categories, whose probabilities are differences of cumulative logits"
    no_zero_inflation = "its responses are categories, not counts"
    caveat = (
        "An odds ratio is that of a response above any one category rather than in it or below: the model "
        "takes it to be the same for each (proportional odds)."
    )
    lowest = ""
    noise = "distribution over the categories"
    remedy = "thresholds that differ between groups of rows, which need a model for each"

    # --- the categories -------------------------------------------------------------------------------------

    def with_levels(self, levels: tuple[Any, ...] | None) -> Ordinal:
        return self if levels is None else replace(self, levels=tuple(levels))

    @property
    def scores(self) -> FloatArray:
        """The number (K,) of each category."""
        return np.array(response.scores_of(self.levels))

    @property
    def support(self) -> Support:  # type: ignore[override]
        """From the score of the first category to that of the last."""
        if not self.levels:
            return Support(is_discrete=True, is_ordered=True)
        low, high = (float(self.scores[end]) for end in (0, -1))
        return Support(low, high, is_discrete=True, is_ordered=True)

    @property
    def location_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def auxiliary(self) -> tuple[Auxiliary, ...]:  # type: ignore[override]
        """The widths of the categories between the first and the last."""
        return tuple(map(_width, self.levels[1:-1]))

    @property
    def mean_needs_auxiliary(self) -> bool:  # type: ignore[override]
        return bool(self.auxiliary)

    @property
    def fixes_variance(self) -> bool:
        return False

    @property
    def latent_variance(self) -> float | None:
        return self.link.latent_variance

    def counts_zeros(self, weights: FloatArray | None = None) -> bool:
        return False

    def separating_rows(
        self, X: FloatArray, y: FloatArray, weights: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """A response lies above the threshold below it, and below the one above: a row for each."""
        number = self._number(y)
        from_cut = -np.eye(len(self.levels))[:, 2:]  # by how much a threshold is nearer than the first
        above, below = number > 0, number < len(self.levels) - 1
        rows = [
            np.hstack([X[above], from_cut[number[above]]]),
            np.hstack([X[below], from_cut[number[below] + 1]]),
        ]
        return np.vstack(rows), np.repeat([1.0, -1.0], [above.sum(), below.sum()])

    def all_alike(self, sign: int) -> str:
        return f"all responses are {self.levels[-1 if sign > 0 else 0]!r}"

    def _widths(self, auxiliary: AuxiliaryValue) -> FloatArray:
        """Return the widths along the last axis, whatever their number."""
        number = len(self.levels) - 2
        if number == 0:
            return np.zeros(0)
        return np.asarray(auxiliary, float)[..., None] if number == 1 else np.asarray(auxiliary, float)

    def _cuts(self, auxiliary: AuxiliaryValue) -> FloatArray:
        """Return (..., K + 1) ends of the categories, counted from the first threshold."""
        widths = self._widths(auxiliary)
        ends = np.zeros((*widths.shape[:-1], len(self.levels) + 1))
        ends[..., 0], ends[..., -1] = -np.inf, np.inf
        np.cumsum(widths, axis=-1, out=ends[..., 2:-1])
        return ends

    def _number(self, y: FloatArray) -> IntArray:
        """Return which category a score is, from 0 on."""
        return np.searchsorted(self.scores, np.asarray(y, float))

    def absent(self, y: FloatArray) -> list[Any]:
        held = np.isin(self.scores, y)
        return [level for level, is_held in zip(self.levels, held, strict=True) if not is_held]

    def thresholds(self, intercept: float, dispersion: AuxiliaryValue = None) -> dict[str, float]:
        names = [f"{a}|{b}" for a, b in zip(self.levels[:-1], self.levels[1:], strict=True)]
        return dict(zip(names, (self._cuts(dispersion)[..., 1:-1] - intercept).tolist(), strict=True))

    def from_thresholds(self, values: FloatArray) -> tuple[float, AuxiliaryValue]:
        widths = np.diff(values)
        return -float(values[0]), None if widths.size == 0 else widths[0] if widths.size == 1 else widths

    def probabilities(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        return np.exp(_kernel(*self._all_ends(eta, dispersion)))

    def _all_ends(self, eta, dispersion):
        """Return the ends (..., K) of all categories, counted from the linear predictor."""
        from_eta = self._cuts(dispersion) - np.asarray(eta, float)[..., None]
        return from_eta[..., :-1], from_eta[..., 1:]

    def average_probabilities(
        self, eta: FloatArray, variance: FloatArray, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        """Return the probabilities (n, K) of the categories where the linear predictor is normal."""
        return normal_average(lambda at: self.probabilities(at, dispersion), eta, variance)

    # --- the log-density ------------------------------------------------------------------------------------

    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        lower, upper = _ends(self._number(y), self._cuts(dispersion), eta)
        found = [_kernel(lower, upper)]
        if order > 0:
            a, b = expit(lower), expit(-upper)
            found.append(a - b)
        if order > 1:
            fa, fb = a * expit(-lower), b * expit(upper)
            found.append(fa + fb)
        if order > 2:
            found.append(fb * (1 - 2 * b) - fa * (1 - 2 * a))
        return weighted(Derivatives(*found), weights)

    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        return 0.0

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        if not self.auxiliary:
            return super().dispersion_derivatives(y, eta, weights, dispersion)
        own, cuts, widths = self._number(y), self._cuts(dispersion), self._widths(dispersion)
        lower, upper = _ends(own, cuts, eta)
        a, b = expit(lower), expit(-upper)
        fa, fb = a * expit(-lower), b * expit(upper)
        ga, gb = fa * (1 - 2 * a), fb * (1 - 2 * b)
        found = []
        for k in range(1, len(self.levels) - 1):  # it moves the ends of its category and of those above
            w = widths[..., k - 1]
            above, here = own > k, own == k
            moved = np.where(above, w * (b - a), np.where(here, w * b + w / np.expm1(w), 0.0))
            score = w * (np.where(above, fa, 0.0) + np.where(above | here, fb, 0.0))
            weight = w * (np.where(above, ga, 0.0) - np.where(above | here, gb, 0.0))
            found.append(tuple(times(term, weights) for term in (moved, score, weight)))
        if len(found) == 1:
            return DispersionDerivatives(*found[0])
        return DispersionDerivatives(*(np.stack(terms, axis=-1) for terms in zip(*found, strict=True)))

    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        lower, upper = self._all_ends(eta, dispersion)
        told = np.exp(_kernel(lower, upper)) * (expit(lower) - expit(-upper)) ** 2
        return times(told.sum(axis=-1), weights)

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        if not self.auxiliary:
            return None
        own, K = self._number(y), len(self.levels)
        count = np.stack([(own == k).sum(axis=-1) for k in range(K)], axis=-1) + 0.5
        below = np.cumsum(count, axis=-1)[..., :-1] / count.sum(axis=-1, keepdims=True)
        widths = np.diff(self.link.link(below), axis=-1)
        return widths[..., 0] if K == 3 else widths

    # --- scores ---------------------------------------------------------------------------------------------

    def mean(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        above = expit(np.asarray(eta, float)[..., None] - self._cuts(dispersion)[..., 1:-1])
        return self.scores[0] + above @ np.diff(self.scores)

    def mean_slope(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        from_cuts = np.asarray(eta, float)[..., None] - self._cuts(dispersion)[..., 1:-1]
        return (expit(from_cuts) * expit(-from_cuts)) @ np.diff(self.scores)

    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        p = self.probabilities(self._eta(mu), dispersion)
        centred = self.scores - (p @ self.scores)[..., None]
        return over((p * centred**2).sum(axis=-1), weights)

    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        own, cuts = self._number(y), self._cuts(dispersion)
        lower, upper = _ends(own, cuts, 0.0)
        best = np.log(np.tanh(0.25 * (upper - lower)))  # where eta is in the middle of the category
        kernel = self.derivatives(y, self._eta(mu), None, dispersion, 0).kernel
        return times(np.maximum(2.0 * (best - kernel), 0.0), weights)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        own, last = self._number(y), len(self.levels) - 1
        beyond = np.where(own == 0, -2.5, np.where(own == last, 2.5, 0.0))  # of categories that have one end
        return expit(own - 0.5 + beyond)

    # --- the distribution -----------------------------------------------------------------------------------

    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return expit(self._above(y, mu, dispersion))

    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        return expit(-self._above(y, mu, dispersion))

    def _above(self, y, mu, dispersion):
        """Return how far the upper end of the categories up to y lies above the linear predictor."""
        reached = np.searchsorted(self.scores, np.asarray(y, float), side="right")
        end = _taken(self._cuts(dispersion), reached)
        return end - self._eta(mu)

    def _eta(self, mu):
        with np.errstate(divide="ignore"):
            return np.clip(self.link.link(np.asarray(mu, float)), -_FAR, _FAR)

    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        latent = np.asarray(eta, float) + rng.logistic(size=np.shape(eta))
        cuts = self._cuts(dispersion)
        number = sum((latent > cuts[..., k]).astype(int) for k in range(1, len(self.levels)))
        return self.scores[number]

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        response.refuse_trials(trials, self.name)
        y = response.check_categories(y, self.levels, name, labels)
        return y, response.check_weights(weights, y.size, labels)


def _width(level: Any) -> Auxiliary:
    return Auxiliary(
        name=f"width {level}",
        symbol="w",
        term=f"width {level}",
        title=f"width of {level}",
        sentence=f"On the latent scale category {level} was {{}} wide.",
        boundary=f"the category {level!r} has no width, or one without end: too few responses tell its ends",
    )


def _taken(cuts: FloatArray, position: IntArray) -> FloatArray:
    """Return the cuts at these positions, of the row's own cuts where rows differ in them."""
    if cuts.ndim == 1:
        return cuts[position]
    shape = np.broadcast_shapes(cuts.shape[:-1], np.shape(position))
    cuts = np.broadcast_to(cuts, (*shape, cuts.shape[-1]))
    return np.take_along_axis(cuts, np.broadcast_to(position, shape)[..., None], axis=-1)[..., 0]


def _ends(own: IntArray, cuts: FloatArray, eta: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Return the ends of each response's category, counted from the linear predictor."""
    return _taken(cuts, own) - eta, _taken(cuts, own + 1) - eta


def _kernel(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return log(F(upper) - F(lower)) as log F(upper) + log F(-lower) + log(1 - exp(lower - upper))."""
    with np.errstate(divide="ignore"):
        return log_expit(upper) + log_expit(-lower) + np.log(-np.expm1(lower - upper))
