r"""Where an observation lies in the distribution that a model gives it: randomised quantile residuals.

With F the distribution function of the observation, :math:`u = F(y^-) + v\,P(Y = y)`, v uniform, is uniform
on (0, 1) if the model is right, for discrete responses too (Dunn and Smyth 1996, Randomized quantile
residuals, *Journal of Computational and Graphical Statistics* 5(3)). The upper tail is kept beside it, so
that an extreme observation keeps its digits.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special as sp


@dataclass(frozen=True, eq=False)
class Tails:
    """``P(Y < y)``, ``P(Y = y)`` and ``P(Y > y)`` of each row, given the random effects."""

    below: np.ndarray
    at: np.ndarray
    above: np.ndarray

    def randomised(self, rng):
        """Return u and 1 - u."""
        v = rng.random(self.below.shape)
        return self.below + v * self.at, self.above + (1.0 - v) * self.at


def normal_scores(u, complement):
    """Return the standard normal quantiles of u, with all digits in both tails (and finite: 38 at most)."""
    tiny = 1e-310
    return np.where(u < 0.5, sp.ndtri(np.maximum(u, tiny)), -sp.ndtri(np.maximum(complement, tiny)))


def tails(family, y, eta, weights=None, sigma=None, dispersion=None):
    """Return the :class:`Tails` of responses around their linear predictors.

    Parameters
    ----------
    family : Family or None
        None for the normal distribution.
    y, weights : (n,) arrays
        As the family takes them; weights may be None.  Those of counts have no part in their distribution.
    eta : (n,) array
    sigma, dispersion : float

    Examples
    --------
    >>> from glmmlib.families.registry import family
    >>> found = tails(family("poisson"), np.array([0.0, 2.0]), np.log([1.0, 1.0]))
    >>> found.below.round(3), found.at.round(3), found.above.round(3)
    (array([0.   , 0.736]), array([0.368, 0.184]), array([0.632, 0.08 ]))
    """
    if family is None:
        z = (y - eta) / sigma if weights is None else (y - eta) * np.sqrt(weights) / sigma
        return Tails(sp.ndtr(z), np.zeros_like(z), sp.ndtr(-z))
    mu = family.link.inverse(eta)
    if family.name == "gamma":
        shape = family.shape(weights, dispersion)
        return Tails(
            sp.gammainc(shape, shape * y / mu), np.zeros_like(mu), sp.gammaincc(shape, shape * y / mu)
        )
    below, above = {"poisson": _poisson, "negbinomial": _negbinomial, "binomial": _binomial}[family.name](
        y, mu, weights, dispersion
    )
    below = np.where(y > 0, below, 0.0)
    return Tails(below, np.clip(1.0 - below - above, 0.0, 1.0), above)


# Each returns P(Y < y), right for y > 0, and P(Y > y).  The incomplete gamma and beta functions are the sums
# of these probabilities; the maxima keep their arguments legal where the value is not used.


def _poisson(y, mu, weights, k):
    return sp.gammaincc(np.maximum(y, 1.0), mu), sp.gammainc(y + 1.0, mu)


def _negbinomial(y, mu, weights, k):
    return sp.betainc(k, np.maximum(y, 1.0), k / (k + mu)), sp.betainc(y + 1.0, k, mu / (k + mu))


def _binomial(y, mu, weights, k):
    n = np.ones_like(mu) if weights is None else weights
    below = sp.betainc(np.maximum(n - y, 0.0) + 1.0, np.maximum(y, 1.0), 1.0 - mu)
    return below, np.where(y < n, sp.betainc(y + 1.0, np.maximum(n - y, 1.0), mu), 0.0)


def zero_probability(family, eta, weights=None, dispersion=None):
    """Return ``P(Y = 0)`` of each row for a family of counts or binary responses."""
    return np.exp(
        family.logpdf(np.zeros_like(eta), eta, weights if family.name == "binomial" else None, dispersion)
    )
