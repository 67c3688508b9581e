"""Response distributions of generalised linear mixed models.

A family says how a response scatters about its mean; with its link it gives the log-density as a function of
the linear predictor eta, which is all the fitting engine needs to know:

=================  ================================  ===========================  ==========================
family             links (the first is the default)  variance of one response     log-density with weights w
=================  ================================  ===========================  ==========================
``"binomial"``     logit, probit, cloglog            mu (1 - mu) / n              w = n, the trials
``"poisson"``      log, sqrt, identity               mu                           w times the log-density
``"negbinomial"``  log                               mu + mu^2 / phi              w times the log-density
``"negbinomial1"`` log                               (1 + phi) mu                 w times the log-density
``"gamma"``        log, inverse                      phi mu^2                     phi / w in the place of phi
``"beta"``         logit                             mu (1 - mu) / (1 + phi)      w times the log-density
``"betabinomial"`` logit                             that of the binomial, times  w = n, the trials
                                                     1 + (n - 1) / (1 + phi)
``"ordinal"``      logit                             that of the categories'      w times the log-density
                                                     scores
=================  ================================  ===========================  ==========================

``dispersion`` is phi: of the negative binomial (R's theta, Hilbe's 1 / alpha; large phi is nearly Poisson),
of the one whose variance is proportional to the mean (glmmTMB's nbinom1; small phi is nearly Poisson), of the
gamma (its shape is 1 / phi), the beta and the beta-binomial (a large phi is little scatter). For the
binomial and the beta-binomial family the response `y` is the number of successes, `weights` the number of
trials, and mu the probability; ``weights=None`` stands for ones and, for 0/1 data, is the fast path. Of
``"truncated_poisson"`` and ``"truncated_negbinomial"``, counts that are never zero, mu and phi are those
of the counts before truncation.
For ``"ordinal"`` mu is the probability of a category above the first.
Counts can have structural zeros too (`zero_inflated`); truncated ones then are a hurdle model.

References
----------
McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed. Chapman & Hall.
Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient of determination R2 and intra-class
correlation coefficient from generalized linear mixed-effects models revisited and expanded. J. R. Soc.
Interface 14, 20170213.
"""

from difflib import get_close_matches

from glmmlib.display.words import hint, joined
from glmmlib.errors import ModelError
from glmmlib.families.base import Family, no_such_link
from glmmlib.families.beta import Beta
from glmmlib.families.betabinomial import BetaBinomial
from glmmlib.families.binomial import Binomial
from glmmlib.families.counts import NegativeBinomial, Poisson
from glmmlib.families.gamma import Gamma
from glmmlib.families.gaussian import Gaussian
from glmmlib.families.hurdle import HurdleNegativeBinomial, HurdlePoisson
from glmmlib.families.links import Link
from glmmlib.families.negbinomial1 import NegativeBinomial1
from glmmlib.families.ordinal import Ordinal
from glmmlib.families.truncated import TruncatedNegativeBinomial, TruncatedPoisson
from glmmlib.families.zero_inflated import (
    ZeroInflated,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedNegativeBinomial1,
    ZeroInflatedPoisson,
)

TRUNCATED = (TruncatedPoisson, TruncatedNegativeBinomial)
FAMILIES = {
    cls.name: cls
    for cls in (
        Binomial,
        Poisson,
        NegativeBinomial,
        NegativeBinomial1,
        Gamma,
        Beta,
        *TRUNCATED,
        BetaBinomial,
        Ordinal,
    )
}  # those of glmer
ZERO_INFLATED = {
    cls.counts: cls
    for cls in (
        ZeroInflatedPoisson,
        ZeroInflatedNegativeBinomial,
        ZeroInflatedNegativeBinomial1,
        HurdlePoisson,
        HurdleNegativeBinomial,
    )
}  # by the family of the counts
ALL_FAMILIES = {Gaussian.name: Gaussian} | FAMILIES | {cls.name: cls for cls in ZERO_INFLATED.values()}

# What other software calls them; named in the message, not accepted in silence.
_ELSEWHERE = {"bernoulli": "binomial", "logistic": "binomial", "count": "poisson", "nb": "negbinomial"}
_ELSEWHERE |= dict.fromkeys(("betabin", "bb", "betabinomialfamily"), "betabinomial")
_ELSEWHERE |= dict.fromkeys(("cumulative", "cumulativelogit", "clm", "clmm", "polr", "ocat"), "ordinal")
_ELSEWHERE |= {"nbinom1": "negbinomial1", "nb1": "negbinomial1"}
_ELSEWHERE |= dict.fromkeys(("truncatednbinom2", "truncatednbinom1"), "truncated_negbinomial")
_ELSEWHERE |= {"nbinom2": "negbinomial", "nb2": "negbinomial", "negativebinomial": "negbinomial"}


def family(name: str, link: str | Link | None = None) -> Family:
    """Look up a family by name, with its default link or a named one.

    Parameters
    ----------
    name : str or Family
        One of `FAMILIES`, such as ``"binomial"`` or ``"truncated_poisson"``; a `Family` is returned as it is.
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
        return name if link is None else _with_link(type(name), link)
    if name not in FAMILIES:
        raise ModelError(_no_such_family(name))
    return _with_link(FAMILIES[name], link)


def any_family(name: str, link: str | Link | None = None) -> Family:
    """Look up a family as `family` does, the normal distribution and counts with structural zeros among them.

    Examples
    --------
    >>> any_family("gaussian")
    Gaussian(link=Identity())
    """
    return _with_link(ALL_FAMILIES[name], link) if name in ALL_FAMILIES else family(name, link)


def zero_inflated(counts: Family) -> Family:
    """Return a family of counts with structural zeros; one that has them is returned as it is.

    Raises
    ------
    ModelError
        For a family that has no zeros, or where they cannot be told from others.

    Examples
    --------
    >>> zero_inflated(family("poisson")).title
    'zero-inflated Poisson'
    """
    if isinstance(counts, ZeroInflated):
        return counts
    if type(counts) not in ZERO_INFLATED:
        known = joined([repr(cls.name) for cls in ZERO_INFLATED])
        raise ModelError(
            f"zi= is for counts, family={known}, not for {counts.name!r}: {counts.no_zero_inflation}"
        )
    return ZERO_INFLATED[type(counts)](counts.link)


def _with_link(chosen, link):
    if link is None:
        return chosen()
    for candidate in chosen.links:
        if link in (candidate.name, candidate):
            return chosen(candidate)
    raise ModelError(no_such_link(chosen, link))


def _no_such_family(name: str) -> str:
    if name == Gaussian.name:
        return "A gaussian response is a linear mixed model: fit it with lmer instead of glmer."
    key = str(name).lower().replace(" ", "").replace("_", "")
    near = [_ELSEWHERE[key]] if key in _ELSEWHERE else get_close_matches(key, FAMILIES, n=1)
    return f"There is no family {name!r}; glmmlib has {joined(list(map(repr, FAMILIES)))}{hint(near)}."
