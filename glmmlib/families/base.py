"""What every response distribution of a generalised linear mixed model can do: the contract of a family.

The families themselves have a file each; `glmmlib.families.registry` finds them by name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

import numpy as np
from scipy import special as sp

from glmmlib.errors import ModelError
from glmmlib.families.densities import Derivatives, DispersionDerivatives
from glmmlib.families.links import Identity, Inverse, Link, Log, Sqrt


@dataclass(frozen=True)
class Family(ABC):
    """A response distribution with a link.

    Attributes
    ----------
    link : Link
        One of the family's links.
    limited_range : bool
        Whether the linear predictor has to stay positive (identity, sqrt and inverse links).
    name : str
        The name `family` knows it by.
    links : tuple of Link
        The links it has, the default first.
    has_dispersion : bool
        Whether a dispersion is to be estimated along with the coefficients.
    """

    link: Link
    name: ClassVar[str]
    links: ClassVar[tuple[Link, ...]]
    has_dispersion: ClassVar[bool] = False

    def __post_init__(self):
        if self.link not in self.links:
            raise ModelError(no_such_link(type(self), getattr(self.link, "name", self.link)))

    # --- the log-density ------------------------------------------------------------------------------------

    @abstractmethod
    def derivatives(self, y, eta, weights=None, dispersion=None, order=3) -> Derivatives:
        """Kernel of the log-density and its derivatives in eta, sharing their exponentials.

        Parameters
        ----------
        y, eta : ndarray
            Response and linear predictor; any shapes that broadcast (rows by quadrature nodes, replicates by
            rows).
        weights : ndarray, optional
            Trials (binomial) or prior weights; None for ones.
        dispersion : float or ndarray, optional
            k or phi, where the family has one.
        order : int, default 3
            0: the kernel alone; 1: and `score` = dl/deta; 2: and `weight` = -d2l/deta2, the observed
            information, never negative; 3: and `dweight` = -d3l/deta3.

        Returns
        -------
        Derivatives
            Named tuple ``(kernel, score, weight, dweight)``; what lies beyond `order` is None. Read only: two
            fields may be one array.
        """

    @abstractmethod
    def constant(self, y, weights=None, dispersion=None):
        """What the kernel leaves out of the log-density: the terms without eta, one for each row of `y`.

        Compute it once for each response (and each dispersion); 0.0 where there is none.
        """

    def logpdf(self, y, eta, weights=None, dispersion=None):
        """Log-density (or log-probability) of `y` given eta, with all its constants."""
        kernel = self.derivatives(y, eta, weights, dispersion, order=0).kernel
        return kernel + self.constant(y, weights, dispersion)

    def dispersion_derivatives(self, y, eta, weights=None, dispersion=None) -> DispersionDerivatives:
        """Derivatives in tau = log(dispersion): of the log-density with its constant, `score`, `weight`.

        Raises
        ------
        ModelError
            For a family without a dispersion.
        """
        raise ModelError(
            f"The {self.name} family has no dispersion parameter, so there is nothing to differentiate."
        )

    @abstractmethod
    def fisher(self, eta, weights=None, dispersion=None):
        """Expected information in eta, E(-d2l/deta2); for canonical links the observed `weight`."""

    # --- the mean -------------------------------------------------------------------------------------------

    @abstractmethod
    def variance(self, mu, weights=None, dispersion=None):
        """Variance of one response (binomial: of the proportion), over its weight.

        The Pearson residual is ``(observed(y, weights) - mu) / sqrt(variance(mu, weights, dispersion))``.
        """

    @abstractmethod
    def unit_deviance(self, y, mu, weights=None, dispersion=None):
        """Twice the log-density that mu loses against the best mean of its row; weighted, without phi.

        Their sum is the deviance of a GLM, their signed roots the deviance residuals.
        """

    def observed(self, y, weights=None):
        """The response on the scale of its mean: binomial successes over trials, elsewhere `y` itself."""
        return np.asarray(y, float)

    def start_mean(self, y, weights=None):
        """A mean for each row, near its response and inside the family's range, to start iterations from."""
        return np.asarray(y, float) + 0.1

    @abstractmethod
    def draw(self, eta, weights=None, dispersion=None, rng=None):
        """Random responses, one for each element of eta (binomial: successes), as floats.

        Parameters
        ----------
        eta : ndarray
            Linear predictor, any shape.
        weights, dispersion
            As in `derivatives`. Prior weights of counts do not change what is drawn.
        rng : numpy.random.Generator
            The source of randomness.
        """

    def residual_variance(self, mu, dispersion=None, method=None):
        """Residual variance on the scale of the linear predictor, as an ICC or R2 needs it.

        Parameters
        ----------
        mu : float or ndarray
            Mean at which to take it; binomial: probability. Nakagawa et al. put in exp(beta_0 + total random
            variance / 2) for a log link, the mean over groups, and not exp(beta_0).
        dispersion : float, optional
            k or phi, where the family has one.
        method : str, optional
            With cv^2 = Var(y) / mu^2, that is 1/mu (Poisson), 1/mu + 1/k (negative binomial), phi (gamma):

            ``"theoretical"`` (binomial, the default there)
                Variance of the latent variable: logit pi^2/3, probit 1, cloglog pi^2/6; free of mu.
            ``"lognormal"`` (log link, the default there)
                log(1 + cv^2): exact if the response were lognormal.
            ``"trigamma"`` (log link)
                psi'(1 / cv^2), the variance of the log of a gamma variable with this mean and variance; exact
                for the gamma family, where it is psi'(1 / phi).
            ``"delta"`` (every link; the default of the sqrt, identity and inverse links)
                Var(y) / (dmu/deta)^2, the observation-level variance by the delta method: 1 / (mu (1 - mu))
                for the logit, cv^2 for log, 1/4 for sqrt.

        Returns
        -------
        float or ndarray
            In squared units of the linear predictor.

        Raises
        ------
        ModelError
            For a method the link does not have.

        Examples
        --------
        >>> from glmmlib.families.registry import family
        >>> round(float(family("binomial").residual_variance(0.2)), 4)
        3.2899
        >>> round(float(family("poisson").residual_variance(2.0)), 4)
        0.4055
        """
        methods = self._residual_methods()
        method = method or methods[0]
        mu = np.asarray(mu, float)
        if method not in methods:
            raise ModelError(
                f"No residual variance {method!r} for the {self.link.name} link; it has {listed(methods)}."
            )
        if method == "theoretical":
            return np.full(mu.shape, self.link.latent_variance)[()]
        variance = self.variance(mu, dispersion=dispersion)
        if method == "delta":
            return variance / self.link.derivative(self.link.link(mu)) ** 2
        cv2 = variance / mu**2
        return np.log1p(cv2) if method == "lognormal" else sp.polygamma(1, 1 / cv2)

    def _residual_methods(self):
        if self.link.latent_variance is not None:
            return ("theoretical", "delta")
        return ("lognormal", "trigamma", "delta") if self.link == Log() else ("delta",)

    # --- checks ---------------------------------------------------------------------------------------------

    @abstractmethod
    def check_response(self, y, trials=None, weights=None, name="response", labels=None):
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

    @property
    def limited_range(self) -> bool:
        """Whether the linear predictor has to stay positive (identity, sqrt and inverse links)."""
        return self.link in (Identity(), Sqrt(), Inverse())

    def check_range(self, eta):
        """Raise if a linear predictor left the range of a limited link; do nothing for the others.

        Raises
        ------
        ModelError
            Says in how many rows, how far, and which link has no such limit.
        """
        if self.limited_range and not np.all(np.asarray(eta) > 0):
            eta = np.asarray(eta, float)
            raise ModelError(
                f"With the {self.link.name} link a {self.name} mean needs a linear predictor above 0, but it "
                f"reached {np.min(eta):.4g} ({np.sum(~(eta > 0))} of {eta.size} values are not above 0): "
                "try the log link."
            )


def no_such_link(chosen, link):
    """The sentence for a link that a family class does not have."""
    names = [candidate.name for candidate in chosen.links]
    near = get_close_matches(str(link), names, n=1, cutoff=0.8)
    return f"The {chosen.name} family has no link {link!r}; it has {listed(names)}{did_you_mean(near)}."


def did_you_mean(near):
    """A hint in brackets, or nothing."""
    return f" (did you mean {near[0]!r}?)" if near else ""


def listed(names):
    """Quoted names as an English list."""
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
