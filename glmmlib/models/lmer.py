"""``lmer``: linear mixed models from a formula and a data frame."""

import warnings
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from glmmlib.covariance.groups import arrange
from glmmlib.covariance.identifiability import check_covariances
from glmmlib.design.arguments import new_response
from glmmlib.design.arrays import frozen
from glmmlib.design.build import build_design, check_lmm_sizes
from glmmlib.errors import ConvergenceWarning, ModelError, SingularFitWarning
from glmmlib.families.gaussian import Gaussian
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.likelihood.lmm_minimise import minimise_deviance
from glmmlib.linalg import blocks
from glmmlib.linalg.resources import keep_memory, one_blas_thread
from glmmlib.models.results import Convergence, Estimates, MixedModelFit
from glmmlib.prediction.simulate import draw_responses
from glmmlib.replicates.refits import refit_many


def lmer(formula, data, reml=True, weights=None, offset=None, na_action="drop", functions=None):
    r"""Fit a linear mixed model.

    .. math::

        y = X\beta + Z b + \epsilon, \quad b \sim N(0, \sigma^2 \Lambda\Lambda'), \;
        \epsilon \sim N(0, \sigma^2 W^{-1}).

    Parameters
    ----------
    formula : str
        As in R's lme4: ``"y ~ x + (x | group)"``. On the left of a bar stands what varies, on its right the
        grouping factor; ``||`` leaves correlations out; ``(1 | a/b)`` is ``(1 | a) + (1 | a:b)``.
    data : DataFrame
        One row for each observation; also a dict of columns, a polars frame or an Arrow table. Rows with
        missing values in the columns used are dropped and counted. Text and True/False are factors.
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
    """
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml is True or False, not {reml!r}: reml=False fits by maximum likelihood")
    design = build_design(formula, data, weights, offset, na_action, functions=functions)
    if design.trials is not None:
        raise ModelError(
            "cbind(successes, failures) is a binomial response: fit it with glmer(..., family='binomial')"
        )
    if not design.random:
        raise ModelError(
            f"{design.formula.text!r} has no random-effects term; add one such as (1 | group), or fit it by "
            "ordinary"
            " least squares with statsmodels"
        )
    check_lmm_sizes(design)
    groups, theta_names = arrange(design.random, design.weights)
    check_covariances(groups)
    keep_memory()
    with one_blas_thread():
        fit = _fit(design, groups, theta_names, reml)
    warn_about(fit)
    return fit


def _fit(design, groups, theta_names, reml):
    problem = ProfiledDeviance(design.y, design.X, groups, reml, design.weights, design.offset)
    optimum = minimise_deviance(problem)
    return LinearMixedModelFit(design, groups, theta_names, problem, optimum)


def warn_about(fit, stacklevel=3):
    """Warn where an estimate is on the boundary, or where the optimiser gave up."""
    if not fit.convergence.converged:
        warnings.warn(
            f"The fit of {fit.formula!r} has not converged: {fit.convergence}; look at gl.check(fit, "
            "rng=rng), and try fewer"
            " random effects or rescaled columns.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
    if fit.singular_terms:
        warnings.warn(
            f"Singular fit: {'; '.join(fit.singular_terms)}.  The estimates are valid maximum likelihood "
            "answers, but"
            " the data do not support this much variation; consider a simpler random-effects term.",
            SingularFitWarning,
            stacklevel=stacklevel,
        )


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
    conditional_covariances : list of arrays (q, q, J)
        Covariances of the random effects given y and the parameters, for each grouping factor.
    """

    family = Gaussian()
    kind = "linear mixed model"
    _statistic = "t"

    @property
    def sigma(self):
        return self.auxiliary

    @property
    def scale(self):
        return self.auxiliary

    @property
    def title(self):
        return f"Linear mixed model by {'REML' if self.reml else 'maximum likelihood'}"

    @property
    def estimation(self):
        """How the parameters were estimated, in words."""
        return "restricted maximum likelihood (REML)" if self.reml else "maximum likelihood"

    @property
    def facts(self):
        """What a summary says of the distribution: nothing, for the title does."""
        return ()

    @property
    def observations(self):
        return self.design.y, self.design.weights

    def __init__(self, design, groups, theta_names, problem, optimum):
        self._problem, self._standard_theta = problem, optimum.x
        self._standard = problem.Lambdas(optimum.x)
        self.reml = problem.reml
        convergence = Convergence(
            optimum.converged,
            optimum.message,
            0.5 * optimum.decrement,
            float(np.abs(optimum.gradient).max()),
            optimum.n_evaluations,
        )
        super().__init__(design, groups, theta_names, self._estimate(groups, convergence))

    def _estimate(self, groups, convergence):
        """Map the solution in standardised columns back to the user's."""
        problem, point = self._problem, self._point
        R = problem.R
        sigma = np.sqrt(point.r2 / problem.df)
        beta = problem.beta_ols + solve_triangular(R, point.beta) if problem.p else np.zeros(0)
        m = problem.structure.m
        half = solve_triangular(point.factorisation.L[m:, m:], np.eye(problem.p), lower=True)
        half = half @ solve_triangular(R, np.eye(problem.p)).T if problem.p else half
        modes = [None] * len(groups)
        for k, L, u in zip(problem.structure.order, point.Lambda, point.u, strict=True):
            modes[k] = groups[k].factor.to_standard @ L @ u
        theta = problem.covariance.to_user(self._standard_theta)
        return Estimates(
            theta, beta, sigma**2 * half.T @ half, float(sigma), tuple(modes), point.value, convergence
        )

    @cached_property
    def _point(self):
        return self._problem.at(self._standard)

    @cached_property
    def conditional_covariances(self):
        """Covariances of the random effects given y, theta and beta: for each group an array (q, q, J)."""
        inverse = self._point.factorisation.inverse(with_X=False)
        found = [None] * len(self.groups)
        for k, L, block in zip(self._problem.structure.order, self._standard, inverse.block, strict=True):
            T = self.sigma * self.groups[k].factor.to_standard @ L
            found[k] = blocks.right(blocks.left(T, block), T.T)
        return found

    def objective(self, theta):
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
        theta = np.asarray(theta, dtype=float)
        if theta.shape != (len(self.theta),):
            raise ModelError(
                f"theta has {len(self.theta)} entries ({', '.join(self.theta.index)}), not {theta.size}"
            )
        return self._problem.at(self._problem.Lambdas(self._problem.covariance.to_standardised(theta))).value

    @cached_property
    def fittedvalues(self):
        """Fitted values given the conditional modes, X beta + Z b + offset."""
        return self._series(self._linear_predictor(), "fitted")

    @property
    def resid(self):
        """Response residuals: observed minus fitted."""
        return self._series(self.design.y - self.fittedvalues.to_numpy(), "resid")

    @property
    def resid_pearson(self):
        """Residuals divided by their SD given the random effects, ``sigma / sqrt(weights)``."""
        w = 1.0 if self.design.weights is None else np.sqrt(self.design.weights)
        return self._series(self.resid.to_numpy() * w / self.sigma, "resid_pearson")

    @property
    def resid_deviance(self):
        """Deviance residuals: for a normal response, the residuals times the square root of their weights."""
        w = 1.0 if self.design.weights is None else np.sqrt(self.design.weights)
        return self._series(self.resid.to_numpy() * w, "resid_deviance")

    def _joint(self):
        """Penalised least squares at the optimum, and its factors: the joint precision of beta and u."""
        return self._point.factorisation, self._standard

    def _call(self):
        return lmer, {"reml": self.reml}

    def _draw(self, eta, rng):
        return draw_responses(eta, rng, self.family, self.design.weights, self.sigma)

    def refit(self, y):
        """Fit the same model to another response; formula and design are not read again.

        Parameters
        ----------
        y : (nobs,) array, or Series with the index of the rows

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
        fit = self._refit(y)
        warn_about(fit)
        return fit

    def _refit(self, y):
        """Fit to another response without a warning."""
        y = new_response(y, self.design.data)
        check_lmm_sizes(replace(self.design, y=y))
        with one_blas_thread():
            problem = self._problem.with_response(y)
            return self._refitted(y, problem, minimise_deviance(problem))

    def _refitted(self, y, problem, optimum):
        design = replace(self.design, y=frozen(y))
        fit = LinearMixedModelFit(design, self.groups, self._theta_names, problem, optimum)
        fit.is_refit = True
        return fit

    def with_criterion(self, reml):
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
            return _fit(self.design, self.groups, self._theta_names, reml)

    def refit_many(self, Y):
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
