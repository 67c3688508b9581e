"""What every response distribution of a generalised linear mixed model can do: the contract of a family.

The families themselves have a file each; `glmmlib.families.registry` finds them by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar

import numpy as np

from glmmlib.display.words import hint, joined
from glmmlib.errors import ModelError
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.averages import mixture_quantile
from glmmlib.families.categories import Categories
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Link
from glmmlib.families.means import ResponseMean
from glmmlib.families.ranges import MeanRange
from glmmlib.families.residual import ResidualVariance
from glmmlib.families.support import Support
from glmmlib.types import AuxiliaryValue, FloatArray, Numbers


@dataclass(frozen=True)
class Family(MeanRange, ResponseMean, ResidualVariance, Categories, ABC):
    """A response distribution with a link.

    A family sets ``link``, ``name``, ``title``, ``links``, ``support``, ``law`` and gives the methods that
    are abstract here. If it has ``auxiliary``, it also gives ``dispersion_derivatives`` and
    ``start_auxiliary``. The rest has defaults, for responses whose mean is the inverse link of eta.

    `mu` always is that inverse link. Where the mean of a response is something else, as for a log-normal one
    with the mean of its log as mu, set ``is_mean_of_link = False`` (and ``mean_needs_auxiliary``) and give
    `mean`, `mean_slope` and `location_range`, the range of mu. No method warns: what is too large for a float
    is infinite.

    Attributes
    ----------
    link : Link
        One of the family's links.
    limited_range : bool
        Whether the link leaves the linear predictor only a part of the real line (a Poisson mean with the
        identity link).
    name : str
        The name `family` knows it by.
    title : str
        Its name in a sentence.
    links : tuple of Link
        The links it has, the default first.
    support : Support
        Where its responses can lie, and mu too, unless `location_range` says otherwise.
    auxiliary : tuple of Auxiliary
        What is to be estimated beside the coefficients, such as a dispersion.
    weights_scatter : bool
        Do prior weights change how a response scatters (trials, precisions)? Otherwise they say how often its
        log-density counts.
    is_linear : bool
        Is the model linear with normal errors, so that the integral over the random effects is exact?
    is_log_concave : bool
        Is the log-density concave in eta for every response, so that the observed information is never
        negative?
    ratios : dict
        What exp(coefficient) is, by class of link.
    limits : dict
        Families at the end of the range of its auxiliary parameters, and what these are there, in words.
    law : str
        The variance of a response given the random effects, in words.
    lowest : str
        Responses at the lower end of the range of a family of counts, in words.
    no_zero_inflation : str
        Why it has no structural zeros beside its own responses.
    caveat : str
        What a reader of a report has to know about it; empty where there is nothing.
    remedy : str
        What to try where responses scatter more than it allows.
    remedy_for_spread : str
        What to try where they scatter more at some means than at others.
    noise : str
        What an interval for a new observation adds to that of its mean.
    first_auxiliary : array
        Values of the auxiliary parameters to begin with.
    has_dispersion : bool
        Is a dispersion estimated along with the coefficients?
    ratio : str or None
        What exp(coefficient) is, such as "odds ratio"; None where it is no ratio of anything.
    eta_range : tuple of float
        The linear predictors whose means lie in the range of the response.
    location_range : tuple of float
        Between what the mean of a response without structural zeros can lie.
    fixes_variance : bool
        Does the mean alone fix how much a response scatters, so that there can be too much of it?
    mean_needs_auxiliary : bool
        Does the mean of a response depend on the auxiliary parameters?
    counted : Family
        The family of responses that are no structural zeros.
    is_mean_of_link : bool
        Is the inverse link of the linear predictor the mean of a response?
    levels : tuple
        The categories of an ordered response in their order; empty for numbers.
    needs_intercept : bool
        Does the model lack a parameter without the constant column?
    errors_of_mean_need_auxiliary : bool
        Has an interval for the mean of a response to hold the errors of the auxiliary parameters?
    beside_the_mean : str
        What these are in words, in the list of what an interval holds.
    has_structural_zeros : bool
        Can a response be zero because it could not be anything else?
    no_shares : str
        Why there is no residual variance for an ICC or R2; empty where there is one.
    separable : bool
        Can rows of lowest (or highest) responses alone send a coefficient to infinity?
    latent_variance : float or None
        Variance of the latent variable whose threshold the response is; None where there is none.
    residual_methods : tuple of str
        The methods of `residual_variance`, the default first.
    residual_formula : str
        The default residual variance in words.
    residual_needs_mean : bool
        Does the residual variance depend on the mean?
    """

    link: Link
    name: ClassVar[str]
    title: ClassVar[str]
    links: ClassVar[tuple[Link, ...]]
    support: ClassVar[Support]
    auxiliary: ClassVar[tuple[Auxiliary, ...]] = ()
    weights_scatter: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    needs_intercept: ClassVar[bool] = False
    is_log_concave: ClassVar[bool] = True
    ratios: ClassVar[dict[type[Link], str]] = {}
    limits: ClassVar[dict[str, str]] = {}
    law: ClassVar[str] = ""
    no_zero_inflation: ClassVar[str] = "its responses are never exactly zero"
    caveat: ClassVar[str] = ""
    remedy: ClassVar[str] = "a random effect for each row"
    remedy_for_spread: ClassVar[str] = "another family or link"
    noise: ClassVar[str] = "distribution of the response"

    def __post_init__(self) -> None:
        if self.link not in self.links:
            raise ModelError(no_such_link(type(self), str(getattr(self.link, "name", self.link))))

    # --- the log-density ------------------------------------------------------------------------------------

    @abstractmethod
    def derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        order: int = 3,
    ) -> Derivatives:
        """Kernel of the log-density and its derivatives in eta, sharing their exponentials.

        Parameters
        ----------
        y, eta : ndarray
            Response and linear predictor; any shapes that broadcast (rows by quadrature nodes, replicates by
            rows).
        weights : ndarray, optional
            Trials (binomial) or prior weights; None for ones.
        dispersion : float or ndarray, optional
            The auxiliary parameter, where the family has one: a number, or one for each row. Of several
            parameters the last axis is the one along them.
        order : int, default 3
            0: the kernel alone; 1: and `score` = dl/deta; 2: and `weight` = -d2l/deta2, the observed
            information; 3: and `dweight` = -d3l/deta3.

        Returns
        -------
        Derivatives
            Named tuple ``(kernel, score, weight, dweight)``; what lies beyond `order` is None. Read only: two
            fields may be one array.
        """

    @abstractmethod
    def constant(
        self, y: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> Numbers:
        """What the kernel leaves out of the log-density: the terms without eta, one for each row of `y`.

        Compute it once for each response (and each dispersion); 0.0 where there is none.
        """

    def logpdf(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        """Log-density (or log-probability) of `y` given eta, with all its constants."""
        kernel = self.derivatives(y, eta, weights, dispersion, order=0).kernel
        return kernel + self.constant(y, weights, dispersion)

    def dispersion_derivatives(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> DispersionDerivatives:
        """Derivatives in tau, the link of the dispersion: of the log-density with its constant, `score`,
        `weight`. Of several parameters they stand along the last axis. A family with `auxiliary` gives it.

        Raises
        ------
        ModelError
            For a family without a dispersion.
        """
        raise ModelError(
            f"The {self.name} family has no dispersion parameter, so there is nothing to differentiate."
        )

    @abstractmethod
    def fisher(
        self, eta: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        """Expected information in eta, E(-d2l/deta2); for canonical links the observed `weight`."""

    @property
    def has_dispersion(self) -> bool:
        """Whether an auxiliary parameter is to be estimated along with the coefficients."""
        return bool(self.auxiliary)

    @property
    def first_auxiliary(self) -> FloatArray:
        """Values of the auxiliary parameters to begin with: an array, one for each."""
        return np.array([auxiliary.first for auxiliary in self.auxiliary])

    def start_auxiliary(
        self, y: FloatArray, mu: FloatArray, weights: FloatArray | None = None
    ) -> FloatArray | None:
        """A first value of the auxiliary parameter, by the method of moments.

        Parameters
        ----------
        y, mu : (..., n) arrays
            Responses, and the mu that a model without random effects gives them.
        weights : ndarray, optional
            As in `derivatives`; used where a response cannot be read without its trials.

        Returns
        -------
        ndarray or None
            Of the shape of `y` without its last axis; None for a family without such a parameter.
        """
        return None

    # --- the mean -------------------------------------------------------------------------------------------

    @property
    def fixes_variance(self) -> bool:
        """Whether the mean alone fixes the variance."""
        return not self.auxiliary

    @abstractmethod
    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray:
        """Variance of one response (binomial: of the proportion), over its weight.

        The Pearson residual is ``(observed(y, weights) - mean(eta, dispersion)) / sqrt(variance(mu, weights,
        dispersion))``, with mu the inverse link of eta.
        """

    @abstractmethod
    def unit_deviance(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        """Twice the log-density that mu loses against the best mean of its row; weighted, without phi.

        Their sum is the deviance of a GLM, their signed roots the deviance residuals.
        """

    def observed(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """The response on the scale of its mean: binomial successes over trials, elsewhere `y` itself."""
        return np.asarray(y, float)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """A value of mu for each row, near its response and inside its range, to start iterations from."""
        return np.asarray(y, float) + 0.1

    # --- the distribution -----------------------------------------------------------------------------------

    @abstractmethod
    def cdf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        """P(Y <= y) for a response, `mu` being the inverse link of its linear predictor.

        Weights that say how often a row counts play no part. `y` may lie outside the support.
        """

    @abstractmethod
    def sf(
        self,
        y: FloatArray,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        """P(Y > y), with all its digits where `cdf` is near 1."""

    def quantile(
        self,
        probability: float,
        mu: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        """The smallest responses (n,) at which `cdf` reaches a probability, for means (n,).

        Examples
        --------
        >>> from glmmlib.families.registry import family
        >>> family("poisson").quantile(0.5, np.array([0.2, 3.0]))
        array([0., 3.])
        """
        mu = np.asarray(mu, float)
        return self.support.smallest(
            lambda y: self.cdf(y, mu, weights, dispersion) >= probability, mu.size, weights
        )

    def predictive_quantile(
        self,
        eta: FloatArray,
        sd: FloatArray,
        probability: float,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
    ) -> FloatArray:
        """Quantiles (n,) of new observations whose linear predictors are normal, on the scale of the mean."""
        return mixture_quantile(self, eta, sd, probability, weights, dispersion)

    def special_case(self, other: Family) -> str:
        """Say where in this family `other` lies, as a null hypothesis; "" where it is no special case."""
        return self.limits.get(other.name, "") if type(other.link) is type(self.link) else ""

    @abstractmethod
    def draw(
        self,
        eta: FloatArray,
        weights: FloatArray | None = None,
        dispersion: AuxiliaryValue = None,
        rng: Any = None,
    ) -> FloatArray:
        """Random responses, one for each element of eta (binomial: successes), as floats.

        Parameters
        ----------
        eta : ndarray
            Linear predictor, any shape.
        weights, dispersion
            As in `derivatives`. Where weights multiply the log-density (`weights_scatter` is False) they do
            not change what is drawn.
        rng : numpy.random.Generator
            The source of randomness.
        """

    @property
    def ratio(self) -> str | None:
        """What exp(coefficient) is, such as "odds ratio"; None where it is no ratio of anything."""
        return self.ratios.get(type(self.link))

    # --- relatives ------------------------------------------------------------------------------------------

    @property
    def counted(self) -> Family:
        """The family of responses that are no structural zeros: this one, unless it has such zeros."""
        return self

    def absent(self, y: FloatArray) -> list[Any]:
        """List the ordered categories that a response does not hold; their ends have no estimate."""
        return []

    def as_arguments(self) -> dict[str, Any]:
        """What ``glmer`` is to be given for this family."""
        return {"family": self}

    # --- checks ---------------------------------------------------------------------------------------------

    @abstractmethod
    def check_response(
        self,
        y: FloatArray,
        trials: FloatArray | None = None,
        weights: FloatArray | None = None,
        name: str = "response",
        labels: Sequence[Any] | None = None,
    ) -> tuple[FloatArray, FloatArray | None]:
        """Check a response and return ``(y, weights)`` as the other methods take them.

        Parameters
        ----------
        y : array_like
            The response, without missing values. Binomial: 0/1, or successes if `trials` are given, or
            proportions if `weights` are.
        trials : array_like, optional
            Trials of each row (binomial only).
        weights : array_like, optional
            Prior weights; for binomial proportions the trials.
        name : str
            What messages call the response.
        labels : sequence, optional
            Row labels for messages; positions counted from 0 if None.

        Returns
        -------
        y, weights : ndarray, ndarray or None
            Floats; binomial: successes and trials. Weights are None where all are 1.

        Raises
        ------
        DataError
            In one sentence, with the offending values and the first row that holds one.
        """


def no_such_link(chosen: type[Family], link: str) -> str:
    """The sentence for a link that a family class does not have."""
    names = [candidate.name for candidate in chosen.links]
    near = get_close_matches(str(link), names, n=1, cutoff=0.8)
    return (
        f"The {chosen.name} family has no link {link!r}; it has {joined(list(map(repr, names)))}{hint(near)}."
    )
