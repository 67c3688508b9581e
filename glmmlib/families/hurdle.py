r"""Hurdle models: whether a count is zero, and how large it is where it is not, are two questions.

With the probability :math:`\pi` of a zero, and counts without zeros of their own (``truncated``),

.. math:: P(0) = \pi, \qquad P(y) = (1 - \pi)\,\frac{p(y)}{1 - p(0)}, \quad y > 0.

They are counts with structural zeros all of whose zeros are structural. The log-likelihood is the sum of that
of a binomial model of the zeros and that of a model of the positive counts.

Mullahy, J. (1986), Specification and testing of some modified count data models, *Journal of Econometrics*
33(3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmmlib.families.truncated import Truncated, TruncatedNegativeBinomial, TruncatedPoisson
from glmmlib.families.zero_inflated import ZERO_INFLATION, ZeroInflated
from glmmlib.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Hurdle(ZeroInflated):
    """What hurdle families share; each names the truncated family of its counts."""

    zeros = replace(
        ZERO_INFLATION,
        title="zero probability",
        sentence="The probability of a zero was {}.",
        boundary="the probability of a zero runs to 0 (or to 1): all rows say the same of it",
    )
    lowest = "zeros and counts of one"
    no_shares = (
        "in a hurdle model responses vary within groups for two reasons, the counts and the zeros, and no "
        "one residual variance holds both: look at fit.varcorr, or simulate"
    )

    def __init_subclass__(cls, counts: type[Truncated]) -> None:
        super().__init_subclass__(counts)
        plain = counts.counts
        cls.name, cls.title, cls.support = f"hurdle {plain.name}", f"hurdle {plain.title}", plain.support
        cls.limits = {f"hurdle {name}": text for name, text in plain.limits.items()}
        cls.is_log_concave, cls.law = counts.is_log_concave, f"{counts.law}, where they are not zero"
        cls.caveat = (
            "A rate ratio is one of the counts before truncation, among rows with a count above zero."
        )

    def all_alike(self, sign: int) -> str:
        return "every count above zero is one"

    def tells_of_mean(self, y: FloatArray) -> BoolArray | None:
        return np.asarray(y) > 0

    def extreme(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return np.where(np.asarray(y) > 0, self.own.extreme(y, weights), 0.0)

    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        plain = self.counts(self.link).own  # type: ignore[attr-defined]
        return plain.check_response(y, trials, weights, name, labels)


@dataclass(frozen=True)
class HurdlePoisson(Hurdle, counts=TruncatedPoisson):
    """Zeros, and Poisson counts that are none.

    Examples
    --------
    >>> family = HurdlePoisson()
    >>> np.exp(family.logpdf(np.array([0.0, 2.0]), np.log([3.0, 3.0]), dispersion=0.25)).round(4)
    array([0.25  , 0.1768])
    """


@dataclass(frozen=True)
class HurdleNegativeBinomial(Hurdle, counts=TruncatedNegativeBinomial):
    """Zeros, and overdispersed counts (NB2) that are none; auxiliary parameters are k and pi.

    Examples
    --------
    >>> family = HurdleNegativeBinomial()
    >>> k_pi = np.array([2.0, 0.25])
    >>> np.exp(family.logpdf(np.array([0.0, 2.0]), np.log([3.0, 3.0]), dispersion=k_pi)).round(4)
    array([0.25  , 0.1543])
    """
