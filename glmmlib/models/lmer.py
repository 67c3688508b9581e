"""``lmer``: linear mixed models from a formula and a data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import Group, arrange
from glmmlib.covariance.identifiability import check_covariances, check_residual
from glmmlib.design.arguments import new_response
from glmmlib.design.arrays import Design
from glmmlib.design.auxiliary import is_constant
from glmmlib.design.build import build_design, check_lmm_sizes
from glmmlib.design.residual import has_residual_side, refuse_residual_side
from glmmlib.design.row_source import RowSource, row_source
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.families.gaussian import Gaussian
from glmmlib.likelihood.iterative_solution import IterativeSolution, solve_iteratively
from glmmlib.likelihood.linear_solution import LinearSolution
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.likelihood.lmm_minimise import minimise_deviance
from glmmlib.likelihood.patience import FACTORISATIONS, patience
from glmmlib.likelihood.residual_deviance import ResidualDeviance
from glmmlib.likelihood.residual_minimise import minimise_residual
from glmmlib.likelihood.residual_parameters import ResidualParameters
from glmmlib.likelihood.residual_solution import ResidualSolution
from glmmlib.likelihood.solution import Convergence
from glmmlib.linalg.resources import keep_memory, one_blas_thread
from glmmlib.models.fit_warnings import warn_about
from glmmlib.models.handed_out import handed_out
from glmmlib.models.residual import residual_covariance, residual_problem
from glmmlib.models.results import MixedModelFit
from glmmlib.models.streamed import streamed_problem
from glmmlib.models.varcorr import VarCorr, group_covariance
from glmmlib.replicates.refits import Refits, refit_many
from glmmlib.types import ArrayLike, FloatArray


@checked
def lmer(
    formula: str,
    data: Any,
    reml: bool = True,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: str = "drop",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    known: Mapping[str, Any] | None = None,
    residual: str | None = None,
    sigma: str | None = None,
    exact: bool | None = None,
) -> LinearMixedModelFit:
    r"""Fit a linear mixed model.

    .. math::

        y = X\beta + Z b + \epsilon, \quad b \sim N(0, \sigma^2 \Lambda\Lambda'), \;
        \epsilon \sim N(0, \sigma^2 W^{-1}).

    With ``residual=`` the residuals of one block are correlated, with ``sigma=`` their SD differs between
    rows; either may be given without a random term.

    Parameters
    ----------
    formula : str
        As in R's lme4: ``"y ~ x + (x | group)"``. On the left of a bar stands what varies, on its right the
        grouping factor; ``||`` leaves correlations out; ``(1 | a/b)`` is ``(1 | a) + (1 | a:b)``.
        A word before the bracket names the structure of the covariance: ``ar1(0 + time | g)``,
        ``cs(0 + kind | g)``, ``exp(lon + lat | 1)``, ``mat``, ``known``; the page Fit a model tells them.
        ``s(x)`` is a smooth curve.
    data : DataFrame
        One row for each observation; also a dict of columns, a polars frame or an Arrow table. Rows with
        missing values in the columns used are dropped and counted. Text and True/False are factors. The path
        of a Parquet file (or of a directory of them), or a pyarrow dataset, is read in batches, and rows are
        not kept: one grouping factor, no ``weights``, ``residual`` or ``sigma``, no ``scale(x)`` or
        ``s(x)``, which need all rows at once; ``fit.predict(batch)`` gives fitted values.
    reml : bool
        Restricted maximum likelihood (the default, as in lme4) or maximum likelihood.
    weights : column name or array, optional
        Known precisions: the residual variance of row i is ``sigma**2 / weights[i]``.
    offset : column name or array, optional
        A known part of the mean; terms ``offset(...)`` of the formula are added to it.
    na_action : {"drop", "raise"}
    functions : dict of str to callable, optional
        Your own functions, by the names under which the formula calls them: ``{"f": f}``. The fit keeps them
        for new data. Without them a formula calls only what the page Security lists.
    known : dict of str to DataFrame, optional
        Known covariances between the levels of a factor, such as the relationships of animals, by the names
        that terms ``known(1 | animal, cov="A")`` give.
    residual : str, optional
        How the residuals of a block hang together: ``"us(visit | id)"`` gives each visit an SD and each pair
        a correlation (a mixed model for repeated measures, MMRM), ``"ar1(week | id)"`` and
        ``"toep(visit | id)"`` correlations by distance, ``"cs(visit | id)"`` one for all pairs,
        ``"diag(visit | id)"`` SDs alone. Names and defaults are glmmTMB's: ``cs`` and ``toep`` have an SD for
        each visit unless ``hom=True`` stands in the brackets, ``ar1`` has one unless ``hom=False`` does. A
        block lies within one level of each grouping factor.
    sigma : str, optional
        A formula without a response, such as ``"~ arm"``, for the logarithm of the residual SD:
        ``log(sigma_i) = d_i' gamma`` (nlme's varIdent and varExp, glmmTMB's dispformula). Beside ``us`` and
        other structures with an SD for each visit it is that of the first visit.
    exact : bool, optional
        How crossed factors are solved: with a dense matrix (True), or by conjugate gradients (False), which
        leave a Monte Carlo error that summary and ``fit.convergence`` state. By default the dense matrix, up
        to 3,000 columns; the summary of a larger fit says what ``exact=True`` would take.

    Returns
    -------
    LinearMixedModelFit

    Raises
    ------
    FormulaError, DataError, ModelError
        One sentence each: what was found, where, and what to try.

    Warns
    -----
    SingularFitWarning
        A variance is estimated as zero or a correlation as plus or minus one.
    ConvergenceWarning
        The optimiser stopped early.

    References
    ----------
    Bates, Mächler, Bolker and Walker (2015), Fitting linear mixed-effects models using lme4, *Journal of
    Statistical Software* 67(1).

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> fit.params.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}
    >>> round(fit.sigma, 3)
    25.592

    Girls scatter less about their growth curves than boys:

    >>> fit = gl.lmer("distance ~ Sex * age + (1 | Subject)", gl.load("Orthodont"), sigma="~ Sex")
    >>> gl.coef_tests(fit, predictor="sigma")[["estimate", "se"]].round(3)
                   estimate     se
    Intercept         0.513  0.102
    Sex[T.Female]    -0.760  0.162

    Four visits, each with its SD, each pair with its correlation, and no random term (MMRM):

    >>> fit = gl.lmer("distance ~ Sex * age", gl.load("Orthodont"), residual="us(age | Subject)")
    >>> round(fit.deviance, 3), round(float(fit.varcorr.residual["age[8]"]), 3)
    (424.547, 2.329)

    Rows that stay on disk:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "sleep.parquet")
    >>> gl.load("sleepstudy").to_parquet(path)
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", path)
    >>> fit.params.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}
    """
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml is True or False, not {reml!r}: reml=False fits by maximum likelihood")
    if exact is not None and not isinstance(exact, bool | np.bool_):
        raise ModelError(f"exact is True, False or None, not {exact!r}: by default the size decides")
    source = row_source(data)
    if source is not None:
        given = {"weights": weights, "functions": functions, "known": known, "residual": residual}
        given |= {"sigma": sigma, "exact": exact}
        fit = _fit_batches(formula, source, reml, offset, na_action, given)
        warn_about(fit, stacklevel=4)
        return fit
    asked = {"sigma": sigma}
    own = {name: text for name, text in asked.items() if text is not None and not is_constant(name, text)}
    design = build_design(
        formula,
        data,
        weights,
        offset,
        na_action,
        functions=functions,
        known=known,
        auxiliary=own,
        residual=residual,
    )
    if exact is not None and not exact and has_residual_side(design):
        raise ModelError("models with residual= or sigma= are solved exactly only: leave exact=False out")
    if design.trials is not None:
        raise ModelError(
            "cbind(successes, failures) is a binomial response: fit it with glmer(..., family='binomial')"
        )
    if not (design.random or has_residual_side(design)):
        raise ModelError(
            f"{design.formula.text!r} has no random-effects term; add one such as (1 | group), or correlated "
            "residuals with residual=, or fit it by ordinary least squares with statsmodels"
        )
    check_lmm_sizes(design)
    groups, theta_names = arrange(design.random, design.weights)
    check_residual(groups, design.nobs, design.weights)
    one = np.broadcast_to(1.0, design.nobs)
    check_covariances(groups, one if design.weights is None else 1.0 / design.weights)
    keep_memory()
    with one_blas_thread():
        fit = LinearMixedModelFit(design, theta_names, _solved(design, groups, reml, exact))
    warn_about(fit, stacklevel=4)
    return fit


def _solved(
    design: Design, groups: tuple[Group, ...], reml: bool, exact: bool | None
) -> LinearSolution:
    if has_residual_side(design):
        return _residual_solution(*residual_problem(design, groups, reml))
    return _solution(_problem(design, groups, reml, exact))


def _fit_batches(
    formula: str,
    source: RowSource,
    reml: bool,
    offset: Any,
    na_action: str,
    given: Mapping[str, Any],
) -> LinearMixedModelFit:
    """Fit to rows that are read in batches and not kept."""
    refused = [name for name, value in given.items() if value is not None]
    if refused or not (offset is None or isinstance(offset, str)):
        name = refused[0] if refused else "an array as offset"
        raise ModelError(
            f"a fit whose rows are read in batches has no {name}{'=' if refused else ''}: leave it out, or "
            "pass lmer a DataFrame"
        )
    keep_memory()
    with one_blas_thread():
        design, theta_names, problem = streamed_problem(formula, source, reml, offset, na_action)
        solution = _solution(problem)
        problem.check(solution.point.r2)
    return LinearMixedModelFit(design, theta_names, solution)


def _problem(design: Design, groups: tuple[Group, ...], reml: bool, exact: bool | None) -> ProfiledDeviance:
    return ProfiledDeviance(design.y, design.X, groups, reml, design.weights, design.offset, exact)


def _kind(problem: ProfiledDeviance, state: Mapping[str, Any]) -> type[LinearSolution]:
    is_found = state["estimates"] is None
    return IterativeSolution if is_found and problem.is_iterative else LinearSolution


def _solution(problem: ProfiledDeviance) -> LinearSolution:
    if problem.is_iterative:
        return solve_iteratively(problem)
    with problem.remembering(), patience(problem.structure, problem.p, FACTORISATIONS):
        # where there is no value the search goes on from elsewhere
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            optimum = minimise_deviance(problem)
        return LinearSolution(problem, optimum.x, Convergence.of(optimum))


def _residual_solution(
    problem: ResidualDeviance, parameters: ResidualParameters, near: FloatArray | None = None
) -> LinearSolution:
    optimum = minimise_residual(problem, parameters.label or "sigma=", near)
    return ResidualSolution(problem, optimum.x, parameters, Convergence.of(optimum))


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
        theta = np.asarray(theta, dtype=float)
        if theta.shape != (len(self.theta),):
            raise ModelError(
                f"theta has {len(self.theta)} entries ({', '.join(self.theta.index)}), not {theta.size}"
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
        problem = _problem(design, groups, question["reml"], question.get("exact"))
        if y is not None:
            design, problem = replace(design, y=y), problem.with_response(y)
        return cls(design, theta_names, _kind(problem, state).restored(problem, state))

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
            return _residual_solution(self.solution.whole.with_response(y), self.solution.parameters, near)
        return _solution(self.solution.problem.with_response(y))

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
            solution = _solved(design, groups, self.reml, self._exact)
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
                return self.with_solution(_residual_solution(*side))
            solution = _solution(self.solution.problem.with_criterion(reml))
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
