"""A fitted generalised linear mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import arrange
from glmmlib.design.arguments import new_response
from glmmlib.design.arrays import Design
from glmmlib.design.build import build_design
from glmmlib.design.ordered import scores_like
from glmmlib.display.arguments import checked
from glmmlib.display.words import sentence
from glmmlib.families.base import Family
from glmmlib.families.registry import any_family
from glmmlib.inference.thresholds import thresholds
from glmmlib.likelihood.iterative_laplace_solution import IterativeLaplaceSolution
from glmmlib.likelihood.laplace_solution import LaplaceSolution
from glmmlib.models.fit_warnings import warn_about_categories, warn_about_estimates
from glmmlib.models.generalized_problem import (
    checked_response,
    laplace_problem,
    quadrature_rule,
    solved,
)
from glmmlib.models.handed_out import handed_out
from glmmlib.models.results import MixedModelFit
from glmmlib.replicates.refits import Refits, refit_many
from glmmlib.types import FloatArray
from glmmlib.variance.ratios import exp_table


class GeneralizedMixedModelFit(MixedModelFit):
    """A fitted generalised linear mixed model, made by :func:`glmmlib.glmer`.

    Beside what every :class:`~glmmlib.models.results.MixedModelFit` has:

    Attributes
    ----------
    family : Family
        Distribution and link.
    dispersion : float, Series (nobs,) or None
        Negative binomial: phi of Var = mu + mu^2 / phi (R's theta), NB1: phi of Var = (1 + phi) mu.
        Gamma: phi of Var = phi mu^2.  Beta: phi of Var = mu (1 - mu) / (1 + phi). One for
        each row where it has a formula.
    zi : float, Series (nobs,) or None
        Probability of a structural zero, where the model has them; one for each row where it has a formula.
    thresholds : DataFrame or None
        Of an ordinal model: the thresholds between neighbouring categories (R's ``clmm``, ``polr``), with
        ``estimate`` and ``se``; rows such as ``"low|middle"``.
    n_agq : int
        Quadrature points; 1 is Laplace's approximation.
    linear_predictor : Series (nobs,)
        ``X beta + Z b + offset``, on the scale of the link.
    fittedvalues : Series (nobs,)
        Mean responses given the conditional modes: probabilities, or expected counts.
    resid, resid_pearson, resid_deviance : Series (nobs,)
        Observed minus fitted (proportions for a binomial response); divided by the SD given the random
        effects; and the signed roots of each row's contribution to the deviance.
    conditional_covariances : list of arrays (q, q, J)
        Covariances of the random effects given y and the parameters, for each grouping factor.
    """

    solution: LaplaceSolution
    kind = "generalised linear mixed model"

    @property
    def title(self) -> str:
        how = ", solved iteratively" if self.convergence.approximation else ""
        return f"Generalised linear mixed model by maximum likelihood{how}"

    @property
    def estimation(self) -> str:
        """How the parameters were estimated, in words."""
        how = "maximum likelihood, the random effects integrated out by"
        if self.n_agq == 1:
            return f"{how} Laplace's approximation"
        return f"{how} adaptive Gauss-Hermite quadrature with {self.n_agq} points"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a summary says of the distribution and of the integral: pairs of a name and a text."""
        found = [("Family", f"{self.family.name}, {self.family.link.name} link")]
        levels = self.design.response_levels
        if self.family.levels:
            found.append(("Categories", " < ".join(map(str, self.family.levels))))
        elif levels is not None:
            found.append(("Event", f"{self.design.response_name} is {levels[1]!r} (not {levels[0]!r})"))
        if self.thresholds is None:
            found += [(sentence(a.title), f"{value:.5g}") for a, value in self.named_auxiliary()]
        found += [(sentence(a.title), f"{text}, {a.link.name} link") for a, text in self.modelled_auxiliary()]
        how = f"adaptive Gauss-Hermite quadrature, {self.n_agq} points"
        return (*found, ("Integral", "Laplace approximation" if self.n_agq == 1 else how))

    @property
    def family(self) -> Family:
        return self.solution.problem.family

    @property
    def n_agq(self) -> int:
        quadrature = self.solution.problem.quadrature
        return 1 if quadrature is None else quadrature.n_points

    @property
    def dispersion(self) -> float | None:
        values = self.auxiliary_values.get("dispersion")
        return values if values is None or not np.ndim(values) else self._series(values, "dispersion")

    @property
    def zi(self) -> float | pd.Series | None:
        values = self.auxiliary_values.get("zi")
        return values if values is None or not np.ndim(values) else self._series(values, "zi")

    @handed_out
    def thresholds(self) -> pd.DataFrame | None:
        """Thresholds between ordered categories, with their standard errors."""
        return thresholds(self)

    @cached_property
    def singular_terms(self) -> tuple[str, ...]:
        """One sentence for each random-effects term, and for the dispersion, that is on the boundary."""
        found, flat = super().singular_terms, self._predictors.with_any(self.solution.runs_off())
        return (*found, *(a.boundary if is_one else f"{a.boundary} in some rows" for a, is_one in flat))

    # -- again -----------------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        asked = {"n_agq": self.n_agq, "known": self.design.known, "exact": self.solution.problem.exact}
        return asked | self.family.as_arguments() | self.auxiliary_formulas

    def _question(self) -> dict[str, Any]:
        family = self.family
        return {
            "family": family.name,
            "link": family.link.name,
            "n_agq": self.n_agq,
            "auxiliary": self.auxiliary_formulas,
            "exact": self.solution.problem.exact,
        }

    @classmethod
    def _read_design(cls, question: Mapping[str, Any], formula: str, **rows: Any) -> Design:
        family = any_family(question["family"], question["link"])
        support, auxiliary = family.support, question["auxiliary"]
        return build_design(
            formula, binary=support.in_trials, ordered=support.is_ordered, auxiliary=auxiliary, **rows
        )

    @classmethod
    def _restored(
        cls, question: Mapping[str, Any], design: Design, y: FloatArray | None, state: Mapping[str, Any]
    ) -> GeneralizedMixedModelFit:
        family = any_family(question["family"], question["link"]).with_levels(design.response_levels)
        groups, theta_names = arrange(design.random)
        quadrature = quadrature_rule(question["n_agq"], groups)
        problem = laplace_problem(family, design, groups, quadrature, question.get("exact"))
        if y is not None:
            design = replace(design, y=y)
            problem = problem.with_response(*checked_response(family, design))
        kind = IterativeLaplaceSolution if "error" in state else LaplaceSolution
        return cls(design, theta_names, kind.restored(problem, state))

    @checked
    def refit(self, y: FloatArray | pd.Series, warn: bool = True) -> GeneralizedMixedModelFit:
        """Fit the same model to another response; formula and design are not read again.

        Parameters
        ----------
        y : (nobs,) array, or Series with the index of the rows
            As ``fit.simulate`` returns it: successes for a ``cbind`` response, proportions for one with
            weights, categories for an ordinal one.
        warn : bool
            Warn of what makes the estimates doubtful?

        Returns
        -------
        GeneralizedMixedModelFit

        Raises
        ------
        DataError
            For a response that the family cannot have.

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> fit.refit(cbpp["incidence"]).deviance == fit.deviance
        True
        """
        y = new_response(scores_like(y, self.family.levels) if self.family.levels else y, self.design.data)
        response, prior = checked_response(self.family, replace(self.design, y=y))
        fit = self.with_solution(solved(self.solution.problem.with_response(response, prior)), y)
        if warn:
            warn_about_estimates(fit)
        return fit

    def with_design(self, design: Design) -> GeneralizedMixedModelFit:
        """Fit the same model to other rows, without a warning.

        Parameters
        ----------
        design : Design
            With the columns and the random-effects terms of this model.

        Returns
        -------
        GeneralizedMixedModelFit

        Examples
        --------
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> fit.with_design(fit.design).deviance == fit.deviance
        True
        """
        groups, theta_names = arrange(design.random)
        own = self.solution.problem
        problem = laplace_problem(self.family, design, groups, own.quadrature, own.exact)
        return GeneralizedMixedModelFit(design, theta_names, solved(problem))

    def refit_many(self, Y: FloatArray) -> Refits:
        """Fit this model to R responses at once.

        Parameters
        ----------
        Y : (nobs, R) array
            One response a column, such as ``fit.simulate(1000, rng)`` returns.

        Returns
        -------
        Refits
            Estimates, one row a replicate; ``sigma`` is None.

        Raises
        ------
        DataError
            For a response that the family cannot have.

        Notes
        -----
        With one grouping factor and Laplace's approximation all replicates share each step of the optimiser;
        each has its own parameters and its own end, and equals the single fit (module
        ``glmmlib.likelihood.glmm_batch``). Otherwise, and where a replicate is separated or does not
        converge with the others, it is fitted by itself.

        Examples
        --------
        >>> import numpy as np, glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> many = fit.refit_many(fit.simulate(200, rng=np.random.default_rng(1)))
        >>> many.sd["herd.Intercept"].quantile([0.05, 0.95]).round(1).tolist()
        [0.2, 0.9]
        """
        many = refit_many(self, Y)
        warn_about_categories(self, np.asarray(Y, dtype=float))
        return many

    def exp_table(self, level: float = 0.95) -> pd.DataFrame:
        """Return the fixed effects as ratios: odds ratios, rate ratios, mean ratios or hazard ratios.

        The estimate and the ends of its Wald interval are exponentiated; a standard error has no place on
        this scale. A ratio is conditional: it compares members of one group (or of groups with equal random
        effects).

        Parameters
        ----------
        level : float

        Returns
        -------
        DataFrame
            The ratio (named for the family and link), ``lower``, ``upper``, and ``p`` of the coefficient.

        Raises
        ------
        ModelError
            For a link whose coefficients are no logarithms of ratios.

        Examples
        --------
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> fit.exp_table().loc["period[T.2]"].round(3).to_dict()
        {'odds ratio': 0.371, 'lower': 0.203, 'upper': 0.676, 'p': 0.001}
        """
        return exp_table(self, level)

    # -- fitted values ---------------------------------------------------------------------------------

    @handed_out
    def linear_predictor(self) -> pd.Series:
        """X beta + Z b + offset, on the scale of the link."""
        return self._series(self.solution.linear_predictor(), "linear_predictor")

    @handed_out
    def fittedvalues(self) -> pd.Series:
        """Mean responses given the conditional modes: probabilities, or expected counts."""
        mean = self.family.mean(self.linear_predictor.to_numpy(), self.auxiliary)
        return self._series(mean, "fitted")

    @property
    def _locations(self):
        """The inverse link of the linear predictor, as the family takes it."""
        return self.family.link.inverse(self.linear_predictor.to_numpy())

    @property
    def observations(self) -> tuple[FloatArray, FloatArray | None]:
        """Response and prior weights as the family takes them, in the order of the data."""
        return self.solution.observations

    @property
    def resid(self) -> pd.Series:
        """Response residuals: observed minus fitted, on the scale of the mean (proportions for binomial
        data).
        """
        y, weights = self.observations
        return self._series(self.family.observed(y, weights) - self.fittedvalues.to_numpy(), "resid")

    @property
    def resid_pearson(self) -> pd.Series:
        """Residuals divided by the SD of the response given the random effects."""
        weights = self.observations[1]
        variance = self.family.variance(self._locations, weights, self.auxiliary)
        resid, sd = self.resid.to_numpy(), np.sqrt(variance)
        # a mean at the end of its range, where the response is: the residual vanishes faster than its SD
        return self._series(np.divide(resid, sd, out=np.zeros_like(resid), where=sd > 0), "resid_pearson")

    @property
    def resid_deviance(self) -> pd.Series:
        """Signed roots of each row's contribution to the deviance."""
        y, weights = self.observations
        unit = self.family.unit_deviance(y, self._locations, weights, self.auxiliary)
        return self._series(np.sign(self.resid.to_numpy()) * np.sqrt(np.maximum(unit, 0.0)), "resid_deviance")
