"""Response distributions of generalised linear mixed models.

A family says how a response scatters about its mean; with its link it gives the log-density as a function of
the linear predictor eta, which is all the fitting engine needs to know:

=================  ================================  ===========================  ==========================
family             links (the first is the default)  variance of one response     log-density with weights w
=================  ================================  ===========================  ==========================
``"binomial"``     logit, probit, cloglog            mu (1 - mu) / n              w = n, the trials
``"poisson"``      log, sqrt, identity               mu                           w times the log-density
``"negbinomial"``  log                               mu + mu^2 / k                w times the log-density
``"gamma"``        log, inverse                      phi mu^2                     phi / w in the place of phi
=================  ================================  ===========================  ==========================

``dispersion`` is k for the negative binomial (R's theta, Hilbe's 1 / alpha; large k is nearly Poisson) and
phi for the gamma (its shape is 1 / phi). For the binomial family the response `y` is the number of successes,
`weights` the number of trials, and mu the probability; ``weights=None`` stands for ones and, for 0/1 data, is
the fast path.

References
----------
McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed. Chapman & Hall.
Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient of determination R2 and intra-class
correlation coefficient from generalized linear mixed-effects models revisited and expanded. J. R. Soc.
Interface 14, 20170213.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
from scipy import special as sp

from glmmlib.errors import ModelError
from glmmlib.families import densities
from glmmlib.families import responses as response
from glmmlib.families.base import Family, did_you_mean, listed, no_such_link
from glmmlib.families.densities import DispersionDerivatives
from glmmlib.families.links import Cloglog, Identity, Inverse, Link, Log, Logit, Probit, Sqrt
from glmmlib.families.special import digamma_remainder, log1pmx, per_count, stirling_remainder


@dataclass(frozen=True)
class Binomial(Family):
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
    name = "binomial"
    links = (Logit(), Probit(), Cloglog())

    def derivatives(self, y, eta, weights=None, dispersion=None, order=3):
        return densities.binomial(y, eta, weights, self.link.name, order)

    def constant(self, y, weights=None, dispersion=None):
        if weights is None:
            return 0.0
        return -np.log1p(weights) - sp.betaln(weights - y + 1, y + 1)

    def fisher(self, eta, weights=None, dispersion=None):
        return _times(densities.binomial_fisher(eta, self.link.name), weights)

    def variance(self, mu, weights=None, dispersion=None):
        return _over(mu * (1 - mu), weights)

    def unit_deviance(self, y, mu, weights=None, dispersion=None):
        n = 1.0 if weights is None else weights
        return 2 * (sp.kl_div(y, n * mu) + sp.kl_div(n - y, n * (1 - mu)))

    def observed(self, y, weights=None):
        return _over(np.asarray(y, float), weights)

    def start_mean(self, y, weights=None):
        return (np.asarray(y, float) + 0.5) / ((1.0 if weights is None else weights) + 1)

    def draw(self, eta, weights=None, dispersion=None, rng=None):
        mu = self.link.inverse(eta)
        if weights is None:
            return (rng.random(mu.shape) < mu).astype(float)
        return rng.binomial(np.asarray(weights).astype(int), mu).astype(float)

    def check_response(self, y, trials=None, weights=None, name="response", labels=None):
        return response.check_binomial(y, trials, weights, name, labels)


class _Counts(Family):
    """What the Poisson and the negative binomial share."""

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
    links = (Log(), Sqrt(), Identity())

    def derivatives(self, y, eta, weights=None, dispersion=None, order=3):
        terms = {
            "log": densities.poisson_log,
            "sqrt": densities.poisson_sqrt,
            "identity": densities.poisson_identity,
        }
        return _weighted(terms[self.link.name](y, eta, order), weights)

    def constant(self, y, weights=None, dispersion=None):
        return _times(-per_count(lambda y: sp.gammaln(y + 1), y), weights)

    def fisher(self, eta, weights=None, dispersion=None):
        eta = np.asarray(eta, float)
        information = {
            "log": self.link.inverse,
            "sqrt": lambda e: np.full_like(e, 4.0),
            "identity": np.reciprocal,
        }
        return _times(information[self.link.name](eta), weights)

    def variance(self, mu, weights=None, dispersion=None):
        return _over(mu, weights)

    def unit_deviance(self, y, mu, weights=None, dispersion=None):
        return _times(2 * sp.kl_div(y, mu), weights)

    def draw(self, eta, weights=None, dispersion=None, rng=None):
        self.check_range(eta)
        return _poisson(self.link.inverse(eta), rng)


@dataclass(frozen=True)
class NegativeBinomial(_Counts):
    """Overdispersed counts, NB2: Var(y) = mu + mu^2 / k with k = `dispersion`.

    log p = log Gamma(y + k) - log Gamma(k) - log y! + y log(mu / (mu + k)) + k log(k / (mu + k)): a Poisson
    whose mean is multiplied by a gamma variable of mean 1 and variance 1 / k.

    Examples
    --------
    >>> y, eta = np.array(2.0), np.log(3.0)
    >>> [round(float(NegativeBinomial().logpdf(y, eta, dispersion=k)), 4) for k in (1.0, 100.0, 1e10)]
    [-1.9617, -1.501, -1.4959]
    """

    link: Link = field(default_factory=Log)
    name = "negbinomial"
    links = (Log(),)
    has_dispersion = True

    def derivatives(self, y, eta, weights=None, dispersion=None, order=3):
        return _weighted(densities.negbinomial_log(y, eta, dispersion, order), weights)

    def constant(self, y, weights=None, dispersion=None):
        # log Gamma(y + k) - log Gamma(k) - y log k by Stirling, for the difference of two gammaln loses all
        # digits
        def log_ratio(y, k=dispersion):
            u = y / k
            smooth = k * (log1pmx(u) + u * np.log1p(u)) - 0.5 * np.log1p(u)
            return smooth + stirling_remainder(y + k) - stirling_remainder(k) - sp.gammaln(y + 1)

        return _times(per_count(log_ratio, y) if np.ndim(dispersion) == 0 else log_ratio(y), weights)

    def dispersion_derivatives(self, y, eta, weights=None, dispersion=None):
        return _weighted(densities.negbinomial_log_dispersion(y, eta, dispersion), weights)

    def fisher(self, eta, weights=None, dispersion=None):
        return _times(densities.negbinomial_log_fisher(eta, dispersion), weights)

    def variance(self, mu, weights=None, dispersion=None):
        return _over(mu + mu**2 / dispersion, weights)

    def unit_deviance(self, y, mu, weights=None, dispersion=None):
        delta = (y - mu) / (mu + dispersion)
        less = (mu + dispersion) * (log1pmx(delta) + delta * np.log1p(delta))
        return _times(2 * np.maximum(sp.kl_div(y, mu) - less, 0), weights)

    def draw(self, eta, weights=None, dispersion=None, rng=None):
        mu = self.link.inverse(eta)
        k = np.broadcast_to(dispersion, mu.shape)
        return _poisson(mu * (rng.standard_gamma(k) / k), rng)


@dataclass(frozen=True)
class Gamma(Family):
    """Positive responses with a constant coefficient of variation: Var(y) = phi mu^2 with phi = `dispersion`.

    With the shape a = w / phi: log p = a log(a y / mu) - a y / mu - log y - log Gamma(a).

    Examples
    --------
    >>> round(float(Gamma().logpdf(np.array(2.0), np.log(3.0), dispersion=1.0)), 4)  # phi = 1: exponential
    -1.7653
    """

    link: Link = field(default_factory=Log)
    name = "gamma"
    links = (Log(), Inverse())
    has_dispersion = True

    def derivatives(self, y, eta, weights=None, dispersion=None, order=3):
        terms = densities.gamma_log if self.link == Log() else densities.gamma_inverse
        return terms(y, eta, self.shape(weights, dispersion), order)

    def constant(self, y, weights=None, dispersion=None):
        a = self.shape(weights, dispersion)
        return 0.5 * np.log(a / (2 * np.pi)) - stirling_remainder(a) - np.log(y)

    def dispersion_derivatives(self, y, eta, weights=None, dispersion=None):
        terms = self.derivatives(y, eta, weights, dispersion, order=2)
        a = self.shape(weights, dispersion)
        return DispersionDerivatives(
            -terms.kernel - 0.5 - a * digamma_remainder(a), -terms.score, -terms.weight
        )

    def fisher(self, eta, weights=None, dispersion=None):
        eta = np.asarray(eta, float)
        information = np.ones_like(eta) if self.link == Log() else 1 / np.square(eta)
        return _times(information / dispersion, weights)

    def variance(self, mu, weights=None, dispersion=None):
        return _over(dispersion * mu**2, weights)

    def unit_deviance(self, y, mu, weights=None, dispersion=None):
        return _times(-2 * log1pmx((y - mu) / mu), weights)

    def start_mean(self, y, weights=None):
        return np.asarray(y, float)

    def draw(self, eta, weights=None, dispersion=None, rng=None):
        self.check_range(eta)
        mu = self.link.inverse(eta)
        shape = np.broadcast_to(self.shape(weights, dispersion), mu.shape)
        # a gamma variable is positive; with a tiny shape it can be too small for a float
        return np.maximum(mu * (rng.standard_gamma(shape) / shape), np.finfo(float).tiny)

    @staticmethod
    def shape(weights=None, dispersion=None):
        """The shape a = w / phi of the gamma distribution."""
        return _times(1 / np.asarray(dispersion, float), weights)

    def check_response(self, y, trials=None, weights=None, name="response", labels=None):
        response.refuse_trials(trials, self.name)
        return response.check_positive(y, name, labels), response.check_weights(weights, np.size(y), labels)


FAMILIES = {cls.name: cls for cls in (Binomial, Poisson, NegativeBinomial, Gamma)}

# What other software calls them; named in the message, not accepted in silence.
_ELSEWHERE = {"bernoulli": "binomial", "logistic": "binomial", "count": "poisson", "nb": "negbinomial"}
_ELSEWHERE |= {"nbinom2": "negbinomial", "nb2": "negbinomial", "negativebinomial": "negbinomial"}


def family(name, link=None) -> Family:
    """Look up a family by name, with its default link or a named one.

    Parameters
    ----------
    name : str or Family
        ``"binomial"``, ``"poisson"``, ``"negbinomial"`` or ``"gamma"``; a `Family` is returned as it is.
    link : str, optional
        Name of one of the family's links; its default if None.

    Returns
    -------
    Family

    Raises
    ------
    ModelError
        For an unknown family or a link it does not have (both with the nearest name), and for ``"gaussian"``.

    Examples
    --------
    >>> family("binomial", "probit")
    Binomial(link=Probit())
    >>> family("poisson", "logit")
    Traceback (most recent call last):
        ...
    glmmlib.errors.ModelError: The poisson family has no link 'logit'; it has 'log', 'sqrt' and 'identity'.
    """
    if isinstance(name, Family):
        return name if link is None else family(name.name, link)
    if name == "gaussian":
        raise ModelError("A gaussian response is a linear mixed model: fit it with lmer instead of glmer.")
    if name not in FAMILIES:
        key = str(name).lower().replace(" ", "").replace("_", "")
        near = [_ELSEWHERE[key]] if key in _ELSEWHERE else get_close_matches(key, FAMILIES, n=1)
        raise ModelError(f"There is no family {name!r}; glmmlib has {listed(FAMILIES)}{did_you_mean(near)}.")
    chosen = FAMILIES[name]
    if link is None:
        return chosen()
    for candidate in chosen.links:
        if link in (candidate.name, candidate):
            return chosen(candidate)
    raise ModelError(no_such_link(chosen, link))


def _times(values, weights):
    return values if weights is None else values * weights


def _over(values, weights):
    return values if weights is None else values / weights


def _weighted(terms, weights):
    """Every derivative of a log-density times its prior weight."""
    if weights is None:
        return terms
    return type(terms)(*(None if term is None else term * weights for term in terms))


def _poisson(mu, rng):
    if np.max(mu, initial=0) > 1e18:
        raise ModelError(
            f"A count with mean {np.max(mu):.3g} is too large to be drawn: look for a coefficient, offset or "
            "variance that sends the linear predictor up."
        )
    return rng.poisson(mu).astype(float)
