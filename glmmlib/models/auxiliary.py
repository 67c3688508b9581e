"""What a fit knows of its family's auxiliary parameters: sigma, a dispersion, and formulas they may have."""

from abc import abstractmethod
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arrays import Design, NewDesign
from glmmlib.display.words import counted
from glmmlib.errors import DataError, ModelError
from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.models.handed_out import handed_out
from glmmlib.types import AuxiliaryValue


class AuxiliaryParameters:
    """The part of a fit that concerns what its family has beside the mean.

    Attributes
    ----------
    auxiliary : float, array or None
        What the family has to estimate beside the mean, as it takes it: sigma, or the dispersion. One for
        each row where it has a formula; with several parameters an array (nobs, number of parameters).
    auxiliary_estimates : dict
        Each of them that has one value, by name, and the coefficients of those that have a formula.
    auxiliary_values : dict
        Each of them by name: a number, or an array (nobs,) where it has a formula.
    auxiliary_formulas : dict
        These formulas, by the name of the parameter.
    n_auxiliary : int
        How many numbers are estimated for them.
    has_single_auxiliary : bool
        Is there at most one of them, with one value in all rows?
    auxiliary_params, auxiliary_bse : Series (r,)
        Coefficients of the formulas of the dispersion and the like, on the scale of their links, and their
        standard errors: ``"dispersion Intercept"``, ``"dispersion x"``. Empty without such formulas.
    family : Family
        Distribution and link.
    formula : str
        That of the mean.
    model_text : str
        The formula, with those of other parameters, as in ``"y ~ x + (1 | g), dispersion ~ x"``.
    has_dispersion : bool
        Does k count a residual SD or a dispersion?
    """

    design: Design
    solution: Any

    @property
    @abstractmethod
    def formula(self) -> str: ...

    @property
    @abstractmethod
    def family(self) -> Family: ...

    @property
    def _predictors(self):
        return self.solution.predictors

    @property
    def auxiliary(self) -> AuxiliaryValue:
        return self.solution.auxiliary

    @property
    def auxiliary_values(self) -> dict[str, Any]:
        return self._predictors.by_name(self.auxiliary)

    @property
    def auxiliary_estimates(self) -> dict[str, Any]:
        return self._predictors.named(self.solution.estimates.auxiliary)

    @property
    def auxiliary_formulas(self) -> dict[str, str]:
        return {own.name: own.text for own in self.design.auxiliary}

    @property
    def model_text(self) -> str:
        """The formula, with those of auxiliary parameters."""
        texts = {a.name: "~ 1" for a in self.family.auxiliary if a.is_optional} | self.auxiliary_formulas
        return ", ".join([self.formula, *(f"{name} {text}" for name, text in texts.items())])

    @property
    def n_auxiliary(self) -> int:
        return self._predictors.size

    @property
    def has_single_auxiliary(self) -> bool:
        return self._predictors.is_single

    @property
    def has_dispersion(self) -> bool:
        return self.family.has_dispersion

    def named_auxiliary(self) -> tuple[tuple[Auxiliary, float], ...]:
        """Return what the family has to estimate beside the mean, with its name.

        Returns
        -------
        tuple
            Pairs of an ``Auxiliary``, which has a name and a symbol, and its value. Those with a formula are
            left out.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> [(auxiliary.name, round(value, 2)) for auxiliary, value in fit.named_auxiliary()]
        [('sigma', 49.51)]
        """
        values = self.auxiliary_estimates
        return tuple((a, values[a.name]) for a in self.family.auxiliary if a.name in values)

    def modelled_auxiliary(self) -> tuple[tuple[Auxiliary, str], ...]:
        """Return those that have a formula, with its text.

        Returns
        -------
        tuple
            Pairs of an ``Auxiliary`` and a formula.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> fit.modelled_auxiliary()
        ()
        """
        texts = self.auxiliary_formulas
        return tuple((a, texts[a.name]) for a in self.family.auxiliary if a.name in texts)

    # -- coefficients of their formulas ------------------------------------------------------------------

    @handed_out
    def auxiliary_params(self) -> pd.Series:
        """Coefficients of the auxiliary parameters' formulas, on the scale of their links."""
        names = self._predictors.modelled_names
        return pd.Series([self.auxiliary_estimates[n] for n in names], names, dtype=float, name="estimate")

    @handed_out
    def auxiliary_bse(self) -> pd.Series:
        """Their standard errors, from the Hessian in all parameters together."""
        covariance = self.auxiliary_cov_params()
        return pd.Series(np.sqrt(np.diag(covariance)), covariance.index, dtype=float, name="se")

    def auxiliary_cov_params(self) -> pd.DataFrame:
        """Return the covariance matrix of ``auxiliary_params``.

        Returns
        -------
        DataFrame (r, r)

        Examples
        --------
        >>> import glmmlib as gl
        >>> formula, epil = "y ~ base + trt + (1 | subject)", gl.load("epil")
        >>> fit = gl.glmer(formula, epil, family="negbinomial", dispersion="~ trt")
        >>> fit.auxiliary_cov_params().shape
        (2, 2)
        """
        names, keep = self._predictors.modelled_names, self._predictors.is_modelled
        values = self.solution.auxiliary_cov[np.ix_(keep, keep)] if names else np.zeros((0, 0))
        return pd.DataFrame(values, names, names)

    # -- row by row --------------------------------------------------------------------------------------

    def auxiliary_in(self, rows: NewDesign) -> AuxiliaryValue:
        """Return what the family has beside the mean in other rows, as it takes it.

        Parameters
        ----------
        rows : NewDesign
            With the columns of auxiliary predictors.

        Returns
        -------
        float, array or None

        Raises
        ------
        DataError
            Where it runs out of its range.

        Examples
        --------
        >>> import glmmlib as gl
        >>> from glmmlib.design.newdata import new_design
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> round(fit.auxiliary_in(new_design(fit.design, {"Batch": ["A"]})), 2)
        49.51
        """
        estimate = self.solution.estimates.auxiliary
        found = self._predictors.values_at(estimate, rows.auxiliary, len(rows.index))
        for name, lost in self._predictors.runs_off(found):
            raise DataError(
                f"the {name} is zero or infinite in {counted(lost, 'row')} of the new data: a variable of "
                "its formula lies far beyond what the fit has seen"
            )
        return found

    def one_auxiliary(self, what: str, of: Family | None = None) -> AuxiliaryValue:
        """Return what the family has beside the mean, or refuse where it differs between rows.

        Parameters
        ----------
        what : str
            What would need it, at the head of the refusal.
        of : Family, optional
            The family whose parameters it needs, such as that of the counts among structural zeros; all of
            them by default.

        Returns
        -------
        float, (number of parameters,) array or None

        Raises
        ------
        ModelError

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> round(fit.one_auxiliary("an ICC"), 2)
        49.51
        """
        needed = [auxiliary.name for auxiliary in (of or self.family).auxiliary]
        for name, text in self.auxiliary_formulas.items():
            if name not in needed:
                continue
            raise ModelError(
                f"{what} needs one {name} for all rows, but in this fit it differs between rows "
                f"({name}={text!r}): fit the model without {name}=, or look at fit.predict and gl.means"
            )
        return self.auxiliary if np.ndim(self.auxiliary) == 0 else self.auxiliary[0]
