"""Link functions: eta = g(mu), the bridge from a mean to the linear predictor.

A link knows four things: eta from mu, mu from eta, how fast mu moves with eta, and the mean of mu where eta
is normal. None of them warns or turns into NaN far out on either side; a mean that leaves the floating-point
numbers becomes ``inf``.

References
----------
McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed. Chapman & Hall, chapters 2 and 4.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special as sp

from glmmlib.errors import ModelError
from glmmlib.families.averages import normal_average
from glmmlib.types import FloatArray


@dataclass(frozen=True)
class Link(ABC):
    """A monotone function g from the mean mu to the linear predictor eta.

    Attributes
    ----------
    name : str
        The name a formula's reader writes, such as ``"logit"``.
    latent_variance : float or None
        Variance of the latent variable whose threshold a binary response is (logit, probit, cloglog); None
        elsewhere.
    latent_formula : str
        This variance as a formula.
    is_straight : bool
        Is mu a linear function of eta, so that the mean of mu is mu at the mean of eta?
    """

    name: ClassVar[str]
    latent_variance: ClassVar[float | None] = None
    latent_formula: ClassVar[str] = ""
    is_straight: ClassVar[bool] = False

    @abstractmethod
    def link(self, mu: Any) -> Any:
        """eta = g(mu), elementwise."""

    @abstractmethod
    def inverse(self, eta: Any) -> Any:
        """mu = g^-1(eta), elementwise."""

    @abstractmethod
    def derivative(self, eta: Any) -> Any:
        """d mu / d eta at eta, elementwise."""

    def average(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        r"""Return the mean of mu over a normal linear predictor, the population's beside the typical group's.

        Parameters
        ----------
        eta, variance : (n,) arrays
            Its mean, and its variance ``z' Sigma z`` over the random effects.

        Returns
        -------
        (n,) array
            Closed forms for the identity, log, sqrt and probit links; otherwise the trapezium rule.

        Raises
        ------
        ModelError
            For the inverse link, whose mean does not exist.

        Examples
        --------
        With SD 2 on the logit scale the mean is nearer to one half than that of the typical group:

        >>> Logit().average(np.array([2.0]), np.array([0.0, 4.0])).round(3)
        array([0.881, 0.775])
        """
        return normal_average(self.inverse, eta, variance)


class Identity(Link):
    """eta = mu; d mu / d eta = 1.

    Examples
    --------
    >>> float(Identity().inverse(2.5))
    2.5
    """

    name = "identity"
    is_straight = True

    def link(self, mu: Any) -> Any:
        return np.array(mu, float)

    def inverse(self, eta: Any) -> Any:
        return np.array(eta, float)

    def derivative(self, eta: Any) -> Any:
        return np.ones_like(np.asarray(eta, float))

    def average(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return np.asarray(eta, float)


class Log(Link):
    """eta = log mu; mu = exp(eta); d mu / d eta = exp(eta).

    Examples
    --------
    >>> round(float(Log().inverse(1.0)), 4)
    2.7183
    """

    name = "log"

    def link(self, mu: Any) -> Any:
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(mu, float))

    def inverse(self, eta: Any) -> Any:
        with np.errstate(over="ignore"):
            return np.exp(np.asarray(eta, float))

    def derivative(self, eta: Any) -> Any:
        return self.inverse(eta)

    def average(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.inverse(eta + 0.5 * variance)


class Logit(Link):
    """eta = log(mu / (1 - mu)); mu = 1 / (1 + exp(-eta)); d mu / d eta = mu (1 - mu).

    The latent variable is logistic, with variance pi^2 / 3.

    Examples
    --------
    >>> float(Logit().inverse(0.0)), float(Logit().derivative(0.0))
    (0.5, 0.25)
    """

    name = "logit"
    latent_variance = np.pi**2 / 3
    latent_formula = "pi^2/3"

    def link(self, mu: Any) -> Any:
        return sp.logit(np.asarray(mu, float))

    def inverse(self, eta: Any) -> Any:
        return sp.expit(np.asarray(eta, float))

    def derivative(self, eta: Any) -> Any:
        e = np.exp(-np.abs(np.asarray(eta, float)))
        return e / (1 + e) ** 2


class Probit(Link):
    """eta = Phi^-1(mu); mu = Phi(eta), the normal distribution function; d mu / d eta = phi(eta).

    The latent variable is standard normal, with variance 1.

    Examples
    --------
    >>> round(float(Probit().inverse(1.96)), 4)
    0.975
    """

    name = "probit"
    latent_variance = 1.0
    latent_formula = "1"

    def link(self, mu: Any) -> Any:
        return sp.ndtri(np.asarray(mu, float))

    def inverse(self, eta: Any) -> Any:
        return sp.ndtr(np.asarray(eta, float))

    def derivative(self, eta: Any) -> Any:
        with np.errstate(over="ignore"):
            return np.exp(-0.5 * np.asarray(eta, float) ** 2) / np.sqrt(2 * np.pi)

    def average(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.inverse(eta / np.sqrt(1.0 + variance))


class Cloglog(Link):
    """eta = log(-log(1 - mu)); mu = 1 - exp(-exp(eta)); d mu / d eta = exp(eta - exp(eta)).

    The latent variable has an extreme value (Gumbel) distribution, with variance pi^2 / 6. With this link
    exp(beta) is the ratio of two hazards of an event that is only seen to have happened or not.

    Examples
    --------
    >>> round(float(Cloglog().inverse(0.0)), 4)
    0.6321
    """

    name = "cloglog"
    latent_variance = np.pi**2 / 6
    latent_formula = "pi^2/6"

    def link(self, mu: Any) -> Any:
        with np.errstate(divide="ignore"):
            return np.log(-np.log1p(-np.asarray(mu, float)))

    def inverse(self, eta: Any) -> Any:
        with np.errstate(over="ignore"):
            return -np.expm1(-np.exp(np.asarray(eta, float)))

    def derivative(self, eta: Any) -> Any:
        eta = np.asarray(eta, float)
        with np.errstate(over="ignore"):
            return np.exp(eta - np.exp(eta))


class Sqrt(Link):
    """eta = sqrt(mu), eta > 0; mu = eta^2; d mu / d eta = 2 eta.

    Examples
    --------
    >>> float(Sqrt().inverse(3.0)), float(Sqrt().derivative(3.0))
    (9.0, 6.0)
    """

    name = "sqrt"

    def link(self, mu: Any) -> Any:
        return np.sqrt(np.asarray(mu, float))

    def inverse(self, eta: Any) -> Any:
        return np.square(np.asarray(eta, float))

    def derivative(self, eta: Any) -> Any:
        return 2 * np.asarray(eta, float)

    def average(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return eta**2 + variance


class Inverse(Link):
    """eta = 1 / mu, eta > 0; mu = 1 / eta; d mu / d eta = -1 / eta^2.

    Examples
    --------
    >>> float(Inverse().inverse(4.0)), float(Inverse().derivative(2.0))
    (0.25, -0.25)
    """

    name = "inverse"

    def link(self, mu: Any) -> Any:
        with np.errstate(divide="ignore"):
            return 1 / np.asarray(mu, float)

    def inverse(self, eta: Any) -> Any:
        with np.errstate(divide="ignore"):
            return 1 / np.asarray(eta, float)

    def derivative(self, eta: Any) -> Any:
        with np.errstate(divide="ignore"):
            return -1 / np.square(np.asarray(eta, float))

    def average(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        raise ModelError(
            "the mean over random effects does not exist with an inverse link, because 1 / eta has no mean"
            " when eta is normal: use the log link"
        )
