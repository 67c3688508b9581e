"""A fitted linear mixed model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import arrange
from glmmlib.design.arguments import finite_numbers, new_response
from glmmlib.design.arrays import Design
from glmmlib.design.build import build_design, check_lmm_sizes
from glmmlib.design.residual import has_residual_side, refuse_residual_side
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.families.gaussian import Gaussian
from glmmlib.likelihood.linear_solution import LinearSolution
from glmmlib.likelihood.residual_solution import ResidualSolution
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.models.fit_warnings import warn_about
from glmmlib.models.handed_out import handed_out
from glmmlib.models.linear_problem import (
    kind_of_solution,
    linear_problem,
    residual_solved,
    solved,
    solved_design,
)
from glmmlib.models.residual import residual_covariance, residual_problem
from glmmlib.models.results import MixedModelFit
from glmmlib.models.varcorr import VarCorr, group_covariance
from glmmlib.replicates.refits import Refits, refit_many
from glmmlib.types import FloatArray


class LinearMixedModelFit(MixedModelFit):
    """A fitted linear mixed model, made by :func:`glmmlib.lmer`.

    Beside what every :class:`~glmmlib.models.results.MixedModelFit` has:

    Attributes
    ----------
    fittedvalues : Series (nobs,)
        Given the conditional modes: ``X beta + Z b + offset``.
    resid, resid_pearson, resid_deviance : Series (nobs,)
        Observed minus fitted; divided by their SD given the random effects; and times the square root of
        their weights.
    resid_normalised : Series (nobs,)
        Residuals turned so that they are independent with variance one under the model; the Pearson ones
        where residuals are independent.
    conditional_covariances : list of arrays (q, q, J)
        Covariances of the random effects given y and the parameters, for each grouping factor.
    """

    solution: LinearSolution
    family = Gaussian()
    kind = "linear mixed model"

    @property
    def sigma(self) -> float:
        return self.one_auxiliary("fit.sigma")

    @property
    def scale(self) -> float:
        """The unit of theta: sigma; with ``residual=`` or ``sigma=`` the SD of the first position where the
        formula for log sigma has its mean.
        """
        return self.solution.sigma

    @handed_out
    def varcorr(self) -> VarCorr:
        """SDs and correlations of random effects and residuals: a
        :class:`~glmmlib.models.varcorr.VarCorr`.
        """
        solution = self.solution
        if not isinstance(solution, ResidualSolution):
            return super().varcorr
        estimates, parameters = solution.estimates, solution.parameters
        found = residual_covariance(parameters, estimates.auxiliary)
        sds = {}
        if parameters.is_even:
            sds = {"Residual": self.sigma}
        elif found is not None and parameters.side.D is None:
            sds = found.sd.to_dict()
        groups = [group_covariance(g, estimates.theta, self.scale) for g in self.groups]
        return VarCorr(groups, sds, found)

    @property
    def no_residual(self) -> str:
        if not getattr(self.solution, "is_without_residual", False):
            return ""
        return "the residual variance is estimated as zero beside a process that takes its place"

    @cached_property
    def singular_terms(self) -> tuple[str, ...]:
        """One sentence for each random-effects term, and for the residuals, on the boundary."""
        return (*super().singular_terms, *filter(None, [self.no_residual]))

    @property
    def model_text(self) -> str:
        """The formula, with what the residual side has."""
        if self.design.residual is None:
            return super().model_text
        return f"{super().model_text}, residual {self.design.residual.term.text}"

    def one_auxiliary(self, what: str, of: Family | None = None) -> Any:
        if self.design.residual is not None and not self.design.residual.structure.hom:
            raise ModelError(
                f"{what} needs one sigma for all rows, but in this fit it differs between rows "
                f"(residual={self.design.residual.term.text!r}): look at fit.varcorr and fit.auxiliary"
            )
        return super().one_auxiliary(what, of)

    @property
    def title(self) -> str:
        how = ", solved iteratively" if self.convergence.approximation else ""
        return f"Linear mixed model by {'REML' if self.reml else 'maximum likelihood'}{how}"

    @property
    def estimation(self) -> str:
        """How the parameters were estimated, in words."""
        return "restricted maximum likelihood (REML)" if self.reml else "maximum likelihood"

    @property
    def facts(self) -> tuple[()]:
        """What a summary says of the distribution: nothing, for the title does."""
        return ()

    @property
    def has_residual_side(self) -> bool:
        """Are residuals correlated, or does their SD differ between rows?"""
        return has_residual_side(self.design)

    @property
    def observations(self) -> tuple[FloatArray, FloatArray | None]:
        return self.design.y, self.design.weights

    @property
    def reml(self) -> bool:
        return self.solution.problem.reml

    def objective(self, theta: Sequence[float] | pd.Series) -> float:
        """Return the profiled deviance (or the REML criterion) at any theta.

        Parameters
        ----------
        theta : (k,) array_like
            In the units and the order of ``fit.theta``.

        Returns
        -------
        float
            ``fit.deviance`` is its minimum.

        Raises
        ------
        ModelError
            For another number of entries.
        DataError
            For entries that are no finite numbers.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False)
        >>> round(fit.objective(fit.theta) - fit.deviance, 9)
        0.0
        >>> fit.objective([0.0]) > fit.deviance
        True
        """
        refuse_residual_side(self.design, "the criterion as a function of theta alone")
        theta = finite_numbers(theta, "theta")
        if len(theta) != len(self.theta):
            raise ModelError(
                f"theta has {len(self.theta)} entries ({', '.join(self.theta.index)}), not {len(theta)}"
            )
        problem = self.solution.problem
        return problem.at(problem.Lambdas(problem.covariance.to_standardised(theta))).value

    @handed_out
    def fittedvalues(self) -> pd.Series:
        """Fitted values given the conditional modes, X beta + Z b + offset."""
        return self._series(self.solution.linear_predictor(), "fitted")

    @property
    def resid(self) -> pd.Series:
        """Response residuals: observed minus fitted."""
        return self._series(self.design.y - self.fittedvalues.to_numpy(), "resid")

    @property
    def resid_pearson(self) -> pd.Series:
        """Residuals divided by their SD given the random effects, ``sigma / sqrt(weights)``."""
        w = 1.0 if self.design.weights is None else np.sqrt(self.design.weights)
        return self._series(self.resid.to_numpy() * w / self.auxiliary, "resid_pearson")

    @property
    def resid_normalised(self) -> pd.Series:
        """Pearson residuals made independent within the blocks of ``residual=`` (nlme's "normalized"),
        ``C^-1 r`` with C the Cholesky factor of the block's covariance; without ``residual=`` Pearson's.
        """
        return self._series(self.solution.normalised(self.resid.to_numpy()), "resid_normalised")

    @property
    def resid_deviance(self) -> pd.Series:
        """Deviance residuals: for a normal response, the residuals times the square root of their weights."""
        w = 1.0 if self.design.weights is None else np.sqrt(self.design.weights)
        return self._series(self.resid.to_numpy() * w, "resid_deviance")

    def _arguments(self) -> dict[str, Any]:
        sigma = self.auxiliary_formulas.get("sigma")
        return self._asked | {"known": self.design.known, "sigma": sigma}

    def _question(self) -> dict[str, Any]:
        return self._asked | {"auxiliary": self.auxiliary_formulas}

    @property
    def _asked(self) -> dict[str, Any]:
        """What lmer was asked beside formula and rows, as it takes it."""
        residual = None if self.design.residual is None else self.design.residual.term.text
        return {"reml": self.reml, "residual": residual, "exact": self._exact}

    @property
    def _exact(self) -> bool | None:
        """What the user asked for, as lmer takes it."""
        return None if self.has_residual_side else self.solution.problem.exact

    @classmethod
    def _read_design(cls, question: Mapping[str, Any], formula: str, **rows: Any) -> Design:
        return build_design(
            formula, auxiliary=question.get("auxiliary"), residual=question.get("residual"), **rows
        )

    @classmethod
    def _restored(
        cls, question: Mapping[str, Any], design: Design, y: FloatArray | None, state: Mapping[str, Any]
    ) -> LinearMixedModelFit:
        groups, theta_names = arrange(design.random, design.weights)
        if has_residual_side(design):
            whole, parameters = residual_problem(design, groups, question["reml"])
            if y is not None:
                design, whole = replace(design, y=y), whole.with_response(y)
            return cls(design, theta_names, ResidualSolution.restored_side(whole, parameters, state))
        problem = linear_problem(design, groups, question["reml"], question.get("exact"))
        if y is not None:
            design, problem = replace(design, y=y), problem.with_response(y)
        return cls(design, theta_names, kind_of_solution(problem, state).restored(problem, state))

    @checked
    def refit(self, y: pd.Series, warn: bool = True) -> LinearMixedModelFit:
        """Fit the same model to another response; formula and design are not read again.

        Parameters
        ----------
        y : (nobs,) array, or Series with the index of the rows
        warn : bool
            Warn of singular fits and of those that have not converged?

        Returns
        -------
        LinearMixedModelFit

        Raises
        ------
        DataError, ModelError
            For a response of another length, with missing or infinite values, or without variation.

        Warns
        -----
        SingularFitWarning, ConvergenceWarning

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> y = fit.simulate(rng=np.random.default_rng(1))
        >>> fit.refit(y).params.round(1).to_dict()
        {'Intercept': 249.1, 'Days': 11.1}
        """
        y = new_response(y, self.design.data)
        check_lmm_sizes(replace(self.design, y=y))
        with one_blas_thread():
            fit = self.with_solution(self._refitted(y), y)
        if warn:
            warn_about(fit)
        return fit

    def _refitted(self, y):
        if self.has_residual_side:
            near = np.append(self.solution.phi, self.solution.standard_theta)
            return residual_solved(self.solution.whole.with_response(y), self.solution.parameters, near)
        return solved(self.solution.problem.with_response(y))

    def with_design(self, design: Design) -> LinearMixedModelFit:
        """Fit the same model to other rows, without a warning.

        Parameters
        ----------
        design : Design
            With the columns and the random-effects terms of this model.

        Returns
        -------
        LinearMixedModelFit

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> fit.with_design(fit.design).deviance == fit.deviance
        True
        """
        groups, theta_names = arrange(design.random, design.weights)
        with one_blas_thread():
            solution = solved_design(design, groups, self.reml, self._exact)
        return LinearMixedModelFit(design, theta_names, solution)

    @checked
    def with_criterion(self, reml: bool) -> LinearMixedModelFit:
        """Return the fit of the same model by REML or by maximum likelihood.

        Parameters
        ----------
        reml : bool

        Returns
        -------
        LinearMixedModelFit
            This fit itself, if that is its criterion.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> round(fit.deviance, 3), round(fit.with_criterion(reml=False).deviance, 3)
        (319.654, 327.327)
        """
        if reml == self.reml:
            return self
        with one_blas_thread():
            if self.has_residual_side:
                side = residual_problem(self.design, self.groups, reml)
                return self.with_solution(residual_solved(*side))
            solution = solved(self.solution.problem.with_criterion(reml))
            return self.with_solution(solution, self.design.y if self.is_refit else None)

    def refit_many(self, Y: FloatArray) -> Refits:
        """Fit this model to R responses at once.

        Parameters
        ----------
        Y : (nobs, R) array
            One response a column, such as ``fit.simulate(1000, rng)`` returns.

        Returns
        -------
        Refits
            Estimates, one row a replicate.

        Notes
        -----
        With one grouping factor all replicates share each step of the optimiser; each has its own theta and
        its own end, and equals the single fit (module ``glmmlib.likelihood.lmm_batch``). Otherwise they are
        fitted one by one.

        Examples
        --------
        How often does a test at 5 % reject a slope that is not there?

        >>> import numpy as np, glmmlib as gl
        >>> rng = np.random.default_rng(1)
        >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
        >>> noise = rng.normal(size=(fit.nobs, 2000))
        >>> bool(0.03 < (fit.refit_many(noise).pvalues()["Days"] < 0.05).mean() < 0.07)
        True
        """
        return refit_many(self, Y)
