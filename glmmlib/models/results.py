"""What a fitted mixed model knows: the part that linear and generalised models share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy import sparse

from glmmlib._version import __version__
from glmmlib.covariance.groups import Group
from glmmlib.design.arrays import Design, frozen
from glmmlib.display.arguments import checked
from glmmlib.families.base import Family
from glmmlib.inference.bootstrap import Bootstrap
from glmmlib.inference.bootstrap import bootstrap as bootstrap_fit
from glmmlib.inference.contrasts import coef_tests
from glmmlib.inference.intervals import conf_int
from glmmlib.likelihood.separation import Separation
from glmmlib.likelihood.solution import Convergence, Estimates, Solution
from glmmlib.models.auxiliary import AuxiliaryParameters
from glmmlib.models.handed_out import handed_out
from glmmlib.models.saved import save, unpickled
from glmmlib.models.summary import one_line, summary
from glmmlib.models.update import update
from glmmlib.models.varcorr import VarCorr, group_covariance
from glmmlib.prediction.error_variance import mode_error_variances
from glmmlib.prediction.predict import predict as predict_rows
from glmmlib.prediction.simulate_new import simulate_rows
from glmmlib.replicates.refits import Refits
from glmmlib.types import ArrayLike, FloatArray


class MixedModelFit(AuxiliaryParameters, ABC):
    """A fitted mixed model.  Made by :func:`glmmlib.lmer` and :func:`glmmlib.glmer`, and never changed.

    Attributes
    ----------
    formula : str
        As it was given, with the dots of :meth:`update` filled in.
    params, fixef : Series (p,)
        Fixed effects.
    bse, tvalues : Series (p,)
        Their standard errors, and the ratios of the two.
    df, pvalues : Series (p,)
        Degrees of freedom (Satterthwaite's; infinite where tests are normal), and two-sided p-values, each
        coefficient against zero.
    theta : Series
        Free entries of the relative covariance factor, in the order of the formula, column by column.
    sigma : float
        Residual SD; None where the distribution has none.
    varcorr : VarCorr
        SDs and correlations of the random effects.
    llf, deviance : float
        Log-likelihood with all constants, and minus twice it (for a REML fit the REML criterion).
    aic, bic : float
        ``deviance + 2 k`` and ``deviance + k log(nobs)``, with k parameters: fixed effects, theta and
        dispersion.
    n_parameters : int
        This k.
    nobs, df_resid : int
        Rows used, and ``nobs - k``.
    ngroups : dict
        Number of levels of each grouping factor.
    is_singular : bool
        Is some variance zero, or some correlation plus or minus one?
    singular_terms : tuple of str
        One sentence for each random-effects term of which that is true.
    no_residual : str
        The sentence of a residual variance of zero, else empty.
    separation : Separation or None
        The coefficients without a finite estimate, if there are any; a linear model has none.
    convergence : Convergence
        How the optimiser ended.
    reml : bool
        Was the fit by restricted maximum likelihood?
    family : Family
        Distribution and link; the normal distribution with the identity link for a linear model.
    is_linear : bool
        Is it a linear model with normal errors, whose conditional modes are linear in the response?
    scale : float
        The SD of a random effect whose relative SD is one: sigma of a linear model, else 1.
    observations : tuple of arrays
        Response and prior weights (or None) as the family takes them.
    X, Z, Lambda : read-only arrays (Z and Lambda sparse)
        The matrices of the model; columns of Z run level by level within each grouping factor.
    statistic : {"t", "z"}
        With which distribution coefficients are tested.
    groups : tuple of Group
        The random effects by grouping factor, in the order of the formula.
    fittedvalues : Series (nobs,)
        Means of the responses given the conditional modes.
    resid, resid_pearson, resid_deviance : Series (nobs,)
        Residuals: response less fitted value, divided by its SD, and signed roots of unit deviances.
    conditional_covariances : list of (q, q, J) arrays
        Covariances of the random effects given y and the parameters, by grouping factor.
    has_residual_side : bool
        Are residuals correlated, or does their SD differ between rows?
    title, estimation : str
        What a summary is headed with, and how the parameters were estimated, in words.
    facts : tuple
        What a summary says of distribution and integral: pairs of a name and a text.
    solution : Solution
        The likelihood at the estimates, in its own coordinates.
    memory : dict
        What tests rest on and is dear to compute, kept from its first use on.
    """

    thresholds: pd.DataFrame | None = None
    is_refit = False  # is the response that of refit(), not that of the data?

    def __init__(self, design: Design, theta_names: Sequence[str], solution: Solution) -> None:
        self.design, self.solution = design, solution
        self.memory: dict[Any, Any] = {}
        self._theta_names = theta_names

    # -- what each kind of model has of its own ------------------------------------------------------------

    kind: ClassVar[str]

    @property
    @abstractmethod
    def family(self) -> Family: ...

    @property
    @abstractmethod
    def title(self) -> str: ...

    @property
    @abstractmethod
    def estimation(self) -> str: ...

    @property
    @abstractmethod
    def facts(self) -> tuple[tuple[str, str], ...]: ...

    @property
    @abstractmethod
    def observations(self) -> tuple[FloatArray, FloatArray | None]: ...

    @property
    def reml(self) -> bool:
        return False

    @property
    def scale(self) -> float:
        return 1.0

    @property
    def sigma(self) -> float | None:
        return None

    @property
    @abstractmethod
    def fittedvalues(self) -> pd.Series: ...

    @property
    @abstractmethod
    def resid(self) -> pd.Series: ...

    @property
    @abstractmethod
    def resid_pearson(self) -> pd.Series: ...

    @property
    @abstractmethod
    def resid_deviance(self) -> pd.Series: ...

    _maker: ClassVar[Callable[..., Any]]  # lmer or glmer

    @abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """What its maker was asked beside formula and rows, as the maker takes it."""

    @abstractmethod
    def _question(self) -> dict[str, Any]:
        """Say what was asked beside formula and rows, in text and numbers: what a file keeps."""

    @classmethod
    @abstractmethod
    def _read_design(cls, question: Mapping[str, Any], formula: str, **rows: Any) -> Design:
        """Read formula and rows again, as they were read for such a question."""

    @classmethod
    @abstractmethod
    def _restored(
        cls, question: Mapping[str, Any], design: Design, y: FloatArray | None, state: Mapping[str, Any]
    ) -> Self:
        """Return the fit whose solution has this state, without a search; y is a response given to refit."""

    @abstractmethod
    def refit(self, y: ArrayLike, warn: bool = True) -> Self: ...

    @abstractmethod
    def refit_many(self, Y: FloatArray) -> Refits: ...

    @abstractmethod
    def with_design(self, design: Design) -> Self: ...

    @property
    def conditional_covariances(self) -> Sequence[FloatArray]:
        """Covariances of the random effects given y and the parameters: for each group an array (q, q, J)."""
        return self.solution.conditional_covariances

    # -- the model -----------------------------------------------------------------------------------------

    @property
    def groups(self) -> tuple[Group, ...]:
        """The random effects by grouping factor, in the order of the formula."""
        return self.solution.groups

    # -- fixed effects -----------------------------------------------------------------------------------

    @property
    def formula(self) -> str:
        return str(self.design.formula.text)

    @property
    def _names(self) -> pd.Index:
        return pd.Index(self.design.coef_names)

    @handed_out
    def params(self) -> pd.Series:
        """Fixed effects: a Series by coefficient."""
        return pd.Series(self.solution.estimates.beta, self._names, name="estimate")

    @property
    def fixef(self) -> pd.Series:
        return self.params

    def cov_params(self) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects, in the units of the coefficients.

        Returns
        -------
        DataFrame (p, p)
            A coefficient without a finite estimate (separation) has an infinite variance, and no covariance.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.cov_params().loc["Days"].round(2).to_dict()
        {'Intercept': -1.45, 'Days': 2.39}
        """
        names = self._names
        return pd.DataFrame(self._beta_cov(), names, names)

    def _beta_cov(self) -> FloatArray:
        covariance = np.array(self.solution.beta_cov)
        lost = np.flatnonzero(~self.solution.is_estimable(np.eye(len(covariance))))
        if lost.size:
            covariance[lost], covariance[:, lost], covariance[lost, lost] = np.nan, np.nan, np.inf
        return covariance

    @handed_out
    def bse(self) -> pd.Series:
        """Standard errors of the fixed effects; infinite for a coefficient without a finite estimate."""
        return pd.Series(np.sqrt(np.diag(self._beta_cov())), self._names, name="se")

    @property
    def tvalues(self) -> pd.Series:
        return (self.params / self.bse).where(np.isfinite(self.bse)).rename(self.statistic)

    @property
    def df(self) -> pd.Series:
        """Degrees of freedom of the t tests of the fixed effects (Satterthwaite's); infinite where the tests
        are normal.
        """
        return self._tests["df"]

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of the fixed effects, each against zero, with the degrees of freedom ``df``."""
        return self._tests["p"]

    @cached_property
    def _tests(self) -> pd.DataFrame:
        return coef_tests(self)

    def conf_int(
        self,
        level: float = 0.95,
        method: str = "wald",
        parm: str | Sequence[str] | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Return confidence intervals.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        method : {"wald", "profile", "bootstrap"}
            ``"wald"``: estimate -+ quantile * standard error, for fixed effects; the quantile is that of the
            distribution which ``pvalues`` uses. Option: ``ddf``, as in :func:`glmmlib.coef_tests`. Asked for
            by name in `parm`, SDs and correlations of a residual side too, such as ``"rho ar1(visit)"``: on
            the scale of the logarithm, or of Fisher's z, with normal quantiles, as ``intervals`` of R's nlme.

            ``"profile"``: profile likelihood, for SDs and correlations of random effects, sigma and fixed
            effects; see
            :func:`glmmlib.profile`. A REML fit is refitted by ML first; ``attrs["notes"]`` of the result says
            so.

            ``"bootstrap"``: parametric bootstrap, for the same parameters; see :meth:`bootstrap`. Options:
            ``rng`` (to be given), ``n=1000``, ``kind="percentile"`` or ``"basic"``, ``statistic``.
        parm : str or list of str, optional
            Names of the parameters; all of the method by default.
        **options
            Those of the method.

        Returns
        -------
        DataFrame
            Columns ``lower`` and ``upper``, one row for each parameter.

        Raises
        ------
        ModelError
            For a level outside (0, 1), an unknown method or parameter.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.conf_int().round(2)
                    lower   upper
        Intercept  237.01  265.80
        Days         7.21   13.73
        """
        return conf_int(self, level, method, parm, **options)

    # -- variance components -----------------------------------------------------------------------------

    @handed_out
    def theta(self) -> pd.Series:
        """Free entries of the relative covariance factor: a Series by random effect."""
        return pd.Series(self.solution.estimates.theta, list(self._theta_names), name="theta")

    @property
    def is_linear(self) -> bool:
        return self.family.is_linear

    @property
    def has_residual_side(self) -> bool:
        """Are residuals correlated, or does their SD differ between rows?"""
        return False

    @handed_out
    def varcorr(self) -> VarCorr:
        """SDs and correlations of the random effects: a :class:`~glmmlib.models.varcorr.VarCorr`."""
        return VarCorr(
            [group_covariance(g, self.solution.estimates.theta, self.scale) for g in self.groups],
            {"Residual": self.scale} if self.is_linear else {},
        )

    @cached_property
    def separation(self) -> Separation | None:
        """The :class:`~glmmlib.likelihood.separation.Separation` of the data, or None."""
        found = self.solution.separation
        return None if found is None else found.named(list(self.params.index))

    @cached_property
    def is_singular(self) -> bool:
        """Is some variance zero, or some correlation plus or minus one?"""
        return bool(self.singular_terms)

    @cached_property
    def singular_terms(self) -> tuple[str, ...]:
        """One sentence for each random-effects term that is on the boundary of its parameter space."""
        theta = self.solution.standard_theta
        return tuple(sentence for g in self.groups for sentence in g.boundary_sentences(theta))

    # -- fit ---------------------------------------------------------------------------------------------

    @property
    def no_residual(self) -> str:
        """In words, where nothing is left for the residuals; "" elsewhere."""
        return ""

    @property
    def statistic(self) -> str:
        return self.solution.statistic

    @property
    def deviance(self) -> float:
        return self.solution.deviance

    @property
    def llf(self) -> float:
        return -0.5 * self.deviance

    @property
    def n_parameters(self) -> int:
        return len(self.params) + len(self.theta) + self.n_auxiliary

    @property
    def aic(self) -> float:
        return self.deviance + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        return self.deviance + np.log(self.nobs) * self.n_parameters

    @property
    def nobs(self) -> int:
        return self.design.nobs

    @property
    def df_resid(self) -> int:
        return self.nobs - self.n_parameters

    @property
    def ngroups(self) -> dict[str, int]:
        return {name: n for g in self.groups for name, n in g.counts().items()}

    @property
    def convergence(self) -> Convergence:
        return self.solution.convergence

    # -- random effects ----------------------------------------------------------------------------------

    @checked
    def ranef(self, cond_sd: bool = False, error_sd: bool = False) -> dict[str, pd.DataFrame]:
        r"""Return the conditional modes of the random effects (BLUPs, for a linear model).

        Parameters
        ----------
        cond_sd : bool
            Add the conditional standard deviations, in columns named ``"sd Days"``.
        error_sd : bool
            Add the standard deviations of the modes' errors, with beta estimated, in columns named ``"error
            sd Days"``.

        Returns
        -------
        dict of DataFrame
            For each grouping factor, one row for each level and one column for each random effect; for each
            term over all rows, such as ``exp(lon + lat | 1)``, one row for each place. Curves ``s(x)`` are no
            groups: :func:`glmmlib.smooth_curve` tells them.

        Notes
        -----
        ``cond_sd`` is :math:`sd(b_j \mid y, \theta, \beta)`: conditional on the estimates of theta and (as in
        lme4) of beta. ``error_sd`` is :math:`sd(\tilde b_j - b_j \mid \theta)`, the root of the prediction
        error variance (Henderson 1975, *Biometrics* 31, 423-447), which lets in that beta is estimated. Both
        leave out that theta is, and so are too small, most of all with few groups.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.ranef(cond_sd=True)["Subject"].loc["308"].round(2).to_dict()
        {'Intercept': 2.26, 'Days': 9.2, 'sd Intercept': 12.07, 'sd Days': 2.3}
        >>> fit.ranef(error_sd=True)["Subject"].loc["308"].round(2).to_dict()
        {'Intercept': 2.26, 'Days': 9.2, 'error sd Intercept': 13.1, 'error sd Days': 2.64}
        """
        tables: dict[str, pd.DataFrame] = {}
        for k, g in enumerate(self.groups):
            if g.is_curve:
                continue
            values = {"": self.solution.modes[k]}
            if cond_sd:
                variances = np.einsum("aaj->aj", self.conditional_covariances[k])
                values["sd"] = np.sqrt(np.maximum(variances, 0.0))
            if error_sd:
                values["error sd"] = np.sqrt(np.maximum(mode_error_variances(self, k), 0.0))
            tables |= {name: pd.DataFrame(*found) for name, found in g.tables(values).items()}
        return tables

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return the coefficients of each group: fixed effects plus conditional modes, by grouping factor.

        Returns
        -------
        dict of DataFrame
            For each grouping factor one row for each level and one column for each coefficient.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.coef()["Subject"].loc["308"].round(1).to_dict()
        {'Intercept': 253.7, 'Days': 19.7}
        """
        tables = {}
        by_group = self.ranef()
        for name in (g.name for g in self.groups if not (g.is_whole or g.is_curve)):
            modes = by_group[name]
            table = pd.DataFrame({c: np.full(len(modes), b) for c, b in self.params.items()}, modes.index)
            for column in modes:
                table[column] = table.get(column, 0.0) + modes[column]
            tables[name] = table
        return tables

    # -- new rows, new responses, new models ---------------------------------------------------------------

    @checked
    def predict(
        self,
        newdata: Any = None,
        re_form: str | None = None,
        kind: str = "response",
        allow_new_levels: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        offset: str | ArrayLike | None = None,
        weights: str | ArrayLike | None = None,
    ) -> pd.DataFrame | pd.Series:
        return predict_rows(self, newdata, re_form, kind, allow_new_levels, interval, level, offset, weights)

    predict.__doc__ = predict_rows.__doc__

    @checked
    def simulate(
        self,
        n: int | None = None,
        rng: np.random.Generator | int | None = None,
        conditional: bool = False,
        newdata: Any = None,
        weights: str | ArrayLike | None = None,
        offset: str | ArrayLike | None = None,
    ) -> FloatArray | pd.Series:
        """Draw responses from the fitted model, with its estimates taken for the truth (parametric
        bootstrap).

        Parameters
        ----------
        n : int, optional
            How many responses.
        rng : numpy.random.Generator
            The source of randomness, always to be given.
        conditional : bool
            Keep the conditional modes of the random effects (lme4's ``use.u``) instead of drawing new ones.
        newdata : DataFrame, optional
            Rows to draw responses for; those of the fit if None. Each level of a grouping factor draws random
            effects of its own, whether the fit has seen it or not; with `conditional` all have to be known.
        weights, offset : column name or array, optional
            For new data, as in :meth:`predict`: known precisions (for a binomial response the trials), and
            what stands in the place of the fit's `offset` argument.

        Returns
        -------
        Series or array
            One response with the index of the rows, or for given `n` an array (rows, n), such as
            ``fit.refit_many`` takes. Ordered categories with names are a categorical, in an array their
            numbers 1, 2, ...

        Raises
        ------
        ModelError, DataError
            Without a Generator; for new rows that lack a value, and for those of a model with ``residual=``.

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> fit.simulate(1000, rng=np.random.default_rng(1)).std(axis=0).mean().round(0).item()
        61.0
        """
        return simulate_rows(self, n, rng, conditional, newdata, weights, offset)

    def bootstrap(
        self,
        n: int = 1000,
        statistic: Callable[..., Any] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> Bootstrap:
        return bootstrap_fit(self, n, statistic, rng)

    bootstrap.__doc__ = bootstrap_fit.__doc__

    def at(self, estimates: Estimates) -> Self:
        """Return the same model, with the same data, at other estimates.

        Modes, standard errors and the deviance are those that belong to the data at these estimates; each is
        computed when it is asked for.

        Parameters
        ----------
        estimates : Estimates
            Theta, beta, and what the family has beside the mean, such as sigma.

        Returns
        -------
        MixedModelFit

        Examples
        --------
        >>> from dataclasses import replace
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> half = fit.at(replace(fit.solution.estimates, theta=0.5 * fit.theta.to_numpy()))
        >>> gl.icc(half), half.deviance > fit.deviance
        (ICC = 0.152 (adjusted): variance 441 between levels of Batch, 2451 residual, True)
        """
        return self.with_solution(self.solution.at(estimates))

    def with_solution(self, solution: Any, y: FloatArray | None = None) -> Self:
        """Return the fit of the same model to another response, or at other estimates, that are known.

        Parameters
        ----------
        solution : Solution
            Of this model's likelihood, for the response `y`.
        y : (nobs,) array, optional
            The response, if it is not that of this fit.

        Returns
        -------
        MixedModelFit

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> fit.with_solution(fit.solution).deviance == fit.deviance
        True
        """
        design = self.design if y is None else replace(self.design, y=frozen(y))
        fit = type(self)(design, self._theta_names, solution)
        fit.is_refit = self.is_refit or y is not None
        return fit

    def update(
        self, formula: str | None = None, data: pd.DataFrame | None = None, **changes: Any
    ) -> MixedModelFit:
        """Fit a changed model to the rows of this fit, or to other data.

        Parameters
        ----------
        formula : str, optional
            A dot stands for what was on that side: ``". ~ . + x"``, ``"~ . - (1 | g)"``.
        data : DataFrame, optional
            Without it the rows that this fit used, so that the two fits can be compared.
        **changes
            Other arguments of :func:`glmmlib.lmer` or :func:`glmmlib.glmer`, such as ``reml=False``.

        Returns
        -------
        MixedModelFit

        Raises
        ------
        FormulaError, DataError, ModelError
            Also when weights or an offset belong to the old rows and must be given again.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.update("~ . - Days", reml=False).formula
        'Reaction ~ Days - Days + (Days | Subject)'
        """
        return update(self, formula, data, **changes)

    # -- kept --------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike) -> None:
        """Write the fit to a file, from which :func:`glmmlib.load_fit` makes it again.

        The file is a zip archive of JSON and NumPy arrays: formula, options, the rows used with all their
        columns, and the estimates. Nothing in it is a program, so that a stranger's file is safe to read, and
        other software can read it too. Before it is written it is read back and compared with the fit.

        Parameters
        ----------
        path : str or path
            ``"sleep.fit"``; a file that is there is written over.

        Returns
        -------
        None

        Raises
        ------
        DataError
            For a column that is neither text nor numbers nor dates.
        ModelError
            For a fit to rows that its formula would read differently, such as part of the rows of another
            fit, and for a family of your own.

        See Also
        --------
        glmmlib.load_fit

        Examples
        --------
        >>> import os, tempfile
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> path = os.path.join(tempfile.mkdtemp(), "dye.fit")
        >>> fit.save(path)
        >>> str(gl.load_fit(path).summary()) == str(fit.summary())
        True
        """
        save(self, path)

    def __reduce__(self) -> tuple[Any, ...]:
        # The version comes first: objects of another one would not even be read.
        return unpickled, (type(self), __version__), self.__dict__

    # -- shown -------------------------------------------------------------------------------------------

    def summary(self, ddf: str | None = None) -> Any:
        """Return the :class:`~glmmlib.models.summary.Summary` of the fit, to print or to show in a notebook.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "z"}, optional
            Degrees of freedom of the tests of the fixed effects, as in :func:`glmmlib.coef_tests`.

        Returns
        -------
        Summary

        Examples
        --------
        >>> import glmmlib as gl
        >>> print(gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff")).summary())
        Linear mixed model by REML
        ...
        """
        return summary(self, ddf)

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # -- matrices ----------------------------------------------------------------------------------------

    @property
    def X(self) -> FloatArray:
        return self.design.X

    @cached_property
    def Z(self) -> sparse.csr_array:
        """Random-effects matrix (nobs, number of random effects), sparse; level by level within each grouping
        factor.
        """
        blocks = []
        for g in self.groups:
            n, J = self.nobs, len(g.levels)
            column = g.factor.codes * g.q + np.arange(g.q)[:, None]
            rows = np.broadcast_to(np.arange(n), (g.q, n))
            values = g.factor.Z.ravel(), (rows.ravel(), column.ravel())
            blocks.append(sparse.csr_array(values, shape=(n, J * g.q)))
        return sparse.csr_array(sparse.hstack([sparse.csr_array((self.nobs, 0)), *blocks]))

    @cached_property
    def Lambda(self) -> sparse.csr_array:
        """Relative covariance factor of all random effects, sparse and block-diagonal."""
        factors = [
            sparse.kron(sparse.identity(len(g.levels)), L)
            for g, L in zip(self.groups, self.solution.Lambdas, strict=True)
        ]
        return sparse.csr_array(sparse.block_diag(factors) if factors else (0, 0))

    def _series(self, values: FloatArray, name: str) -> pd.Series:
        return pd.Series(values, self.design.index, name=name)
