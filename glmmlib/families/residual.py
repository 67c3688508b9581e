"""The residual variance on the scale of the linear predictor, as an ICC or R2 needs it."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from scipy import special as sp

from glmmlib.display.words import joined
from glmmlib.errors import ModelError
from glmmlib.families.links import Link, Log, Sqrt
from glmmlib.types import AuxiliaryValue, FloatArray


class ResidualVariance:
    """The part of a family that says how much a response scatters on the scale of the linear predictor."""

    link: Link
    no_shares: ClassVar[str] = ""

    def residual_variance(
        self, mu: FloatArray, dispersion: AuxiliaryValue = None, method: str | None = None
    ) -> FloatArray:
        """Residual variance on the scale of the linear predictor, as an ICC or R2 needs it.

        Parameters
        ----------
        mu : float or ndarray
            Mean at which to take it; binomial: probability. Nakagawa et al. put in exp(beta_0 + total random
            variance / 2) for a log link, the mean over groups, and not exp(beta_0).
        dispersion : float, optional
            phi, where the family has one.
        method : str, optional
            With cv^2 = Var(y) / mu^2, that is 1/mu (Poisson), 1/mu + 1/phi (negative binomial), phi (gamma):

            ``"theoretical"`` (binomial, the default there)
                Variance of the latent variable: logit pi^2/3, probit 1, cloglog pi^2/6; free of mu.
            ``"lognormal"`` (log link, the default there)
                log(1 + cv^2): exact if the response were lognormal.
            ``"trigamma"`` (log link)
                psi'(1 / cv^2), the variance of the log of a gamma variable with this mean and variance; exact
                for the gamma family, where it is psi'(1 / phi).
            ``"delta"`` (every link; the default of the sqrt, identity and inverse links)
                Var(y) over the squared slope of the mean in eta, the observation-level variance by the delta
                method: 1 / (mu (1 - mu)) for the logit, cv^2 for log, 1/4 for sqrt.

        Returns
        -------
        float or ndarray
            In squared units of the linear predictor.

        Raises
        ------
        ModelError
            For a method the link does not have, and for a family without such a variance.

        Examples
        --------
        >>> from glmmlib.families.registry import family
        >>> round(float(family("binomial").residual_variance(0.2)), 4)
        3.2899
        >>> round(float(family("poisson").residual_variance(2.0)), 4)
        0.4055
        """
        self.check_shares()
        methods = self.residual_methods
        method = method or methods[0]
        mu = np.asarray(mu, float)
        if method not in methods:
            known = joined([repr(name) for name in methods])
            raise ModelError(
                f"No residual variance {method!r} for the {self.link.name} link; it has {known}."
            )
        if method == "theoretical":
            return np.full(mu.shape, self.latent_variance)[()]
        variance = self.variance(mu, dispersion=dispersion)
        if method == "delta":
            return variance / self.mean_slope(self.link.link(mu), dispersion) ** 2
        cv2 = variance / mu**2
        return np.log1p(cv2) if method == "lognormal" else sp.polygamma(1, 1 / cv2)

    def check_shares(self) -> None:
        """Raise a ModelError for a family that has no residual variance for an ICC or R2."""
        if self.no_shares:
            raise ModelError(self.no_shares)

    @abstractmethod
    def variance(
        self, mu: FloatArray, weights: FloatArray | None = None, dispersion: AuxiliaryValue = None
    ) -> FloatArray: ...

    @abstractmethod
    def mean_slope(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray: ...

    @property
    def latent_variance(self) -> float | None:
        """Variance of the latent variable whose threshold the response is; None where there is none."""
        return None

    @property
    def residual_methods(self) -> tuple[str, ...]:
        """The methods of `residual_variance`, the default first."""
        if self.latent_variance is not None:
            return ("theoretical", "delta")
        return ("lognormal", "trigamma", "delta") if self.link == Log() else ("delta",)

    @property
    def residual_formula(self) -> str:
        """The default residual variance in words."""
        by_method = {"theoretical": self.link.latent_formula, "lognormal": "log(1 + Var(y)/mu^2)"}
        return by_method.get(self.residual_methods[0], "by the delta method")

    @property
    def residual_needs_mean(self) -> bool:
        """Whether the default residual variance depends on the mean (not so for latent variables and the
        square root, which makes the variance of a count constant).
        """
        return self.latent_variance is None and self.link != Sqrt()
