r"""Where an observation lies in the distribution that a model gives it: randomised quantile residuals.

With F the distribution function of the observation, :math:`u = F(y^-) + v\,P(Y = y)`, v uniform, is uniform
on (0, 1) if the model is right, for discrete responses too (Dunn and Smyth 1996, Randomized quantile
residuals, *Journal of Computational and Graphical Statistics* 5(3)). The upper tail is kept beside it, so
that an extreme observation keeps its digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special as sp

from glmmlib.families.base import Family
from glmmlib.types import FloatArray, Numbers


@dataclass(frozen=True, eq=False)
class Tails:
    """``P(Y < y)``, ``P(Y = y)`` and ``P(Y > y)`` of each row, given the random effects."""

    below: np.ndarray
    at: np.ndarray
    above: np.ndarray

    def randomised(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return u and 1 - u."""
        v = rng.random(self.below.shape)
        return self.below + v * self.at, self.above + (1.0 - v) * self.at


def normal_scores(u: FloatArray, complement: FloatArray) -> FloatArray:
    """Return the standard normal quantiles of u, with all digits in both tails (and finite: 38 at most)."""
    tiny = 1e-310
    return np.where(u < 0.5, sp.ndtri(np.maximum(u, tiny)), -sp.ndtri(np.maximum(complement, tiny)))


def tails(
    family: Family,
    y: FloatArray,
    eta: FloatArray,
    weights: FloatArray | None = None,
    dispersion: FloatArray | None = None,
) -> Tails:
    """Return the :class:`Tails` of responses around their linear predictors.

    Parameters
    ----------
    family : Family
    y, weights : (n,) arrays
        As the family takes them; weights may be None.  Those of counts have no part in their distribution.
    eta : (n,) array
    dispersion : float

    Examples
    --------
    >>> from glmmlib.families.registry import family
    >>> found = tails(family("poisson"), np.array([0.0, 2.0]), np.log([1.0, 1.0]))
    >>> found.below.round(3), found.at.round(3), found.above.round(3)
    (array([0.   , 0.736]), array([0.368, 0.184]), array([0.632, 0.08 ]))
    """
    mu = family.link.inverse(eta)
    above = family.sf(y, mu, weights, dispersion)
    if not family.support.is_discrete:
        return Tails(family.cdf(y, mu, weights, dispersion), np.zeros_like(mu), above)
    below = family.cdf(y - 1.0, mu, weights, dispersion)
    return Tails(below, np.clip(1.0 - below - above, 0.0, 1.0), above)


def zero_probability(
    family: Family, eta: FloatArray, weights: FloatArray | None = None, dispersion: Numbers | None = None
) -> FloatArray:
    """Return ``P(Y = 0)`` of each row for a family of counts or binary responses."""
    own = weights if family.weights_scatter else None
    return np.exp(family.logpdf(np.zeros_like(eta), eta, own, dispersion))
