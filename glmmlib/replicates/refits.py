"""``fit.refit_many``: one model fitted to many responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from glmmlib.covariance.groups import places_of, values_of
from glmmlib.design.arguments import new_responses
from glmmlib.display.arguments import checked
from glmmlib.errors import DataError, GlmmlibError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.glmm_batch import CHUNK_NUMBERS as GLMM_CHUNK_NUMBERS
from glmmlib.likelihood.glmm_batch import LaplaceBatch
from glmmlib.likelihood.glmm_batch_descent import minimise_all as minimise_all_glmm
from glmmlib.likelihood.information import twice_inverse
from glmmlib.likelihood.linear_solution import LinearSolution
from glmmlib.likelihood.lmm_batch import CHUNK_NUMBERS, LinearBatch, suits
from glmmlib.likelihood.lmm_minimise import least_residual
from glmmlib.likelihood.lmm_newton import joined, minimise_all
from glmmlib.likelihood.lmm_reduced import ReducedDesign
from glmmlib.likelihood.separation import SUSPECT
from glmmlib.likelihood.solution import Convergence, Estimates
from glmmlib.linalg.resources import keep_memory, one_blas_thread
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.replicates.parallel import in_parallel, pieces, progress
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class Refits:
    """The estimates of R refits, one row each.

    Attributes
    ----------
    params, bse : DataFrame (R, p)
        Fixed effects and their standard errors.
    theta : DataFrame (R, k)
    auxiliary : (R,) or (R, r) array, or None
        What the family has to estimate beside the mean: sigma, or the dispersion; where it has a formula, or
        where there are several, their coefficients on the scale of their links.
    sigma : (R,) array, or None for a distribution without one residual SD
    deviance : (R,) array
    is_singular : (R,) array of bool
    dispersion : (R,) array, or None
        phi of the negative binomial, the gamma and the beta distribution.
    tvalues, df : DataFrame (R, p)
        Estimates divided by their standard errors, and Satterthwaite degrees of freedom.
    sd, corr : DataFrame
        SDs and correlations of the random effects, in columns ``"Subject.Days"`` and
        ``"Subject.Days.Intercept"``.
    auxiliary_estimates : DataFrame (R, k)
        What the family has beside the mean, by name: parameters, and coefficients of their formulas.
    quantities : DataFrame (R, k)
        What each entry of theta stands for, in columns such as ``"sd Subject.Days"``.
    """

    params: pd.DataFrame
    bse: pd.DataFrame
    theta: pd.DataFrame
    auxiliary: Any
    deviance: np.ndarray
    is_singular: np.ndarray
    _groups: tuple
    _df: Callable[[], Any]
    _is_linear: bool
    _named: Callable[[Any], dict[str, Any]]
    _unit: Callable[[Any], float] | None = None

    @cached_property
    def auxiliary_estimates(self) -> pd.DataFrame:
        """What the family has beside the mean, by the names of ``gl.profile``: DataFrame (R, k)."""
        rows = [] if self.auxiliary is None else [self._named(value) for value in self.auxiliary]
        return pd.DataFrame(rows, index=self.params.index)

    @property
    def sigma(self) -> FloatArray | None:
        """Residual SDs; None for a distribution without."""
        return self.auxiliary if self._is_linear and np.ndim(self.auxiliary) == 1 else None

    @property
    def dispersion(self) -> FloatArray | None:
        """phi of the negative binomial, the gamma and the beta distribution; None for others, and where
        it has a formula (see ``auxiliary_estimates``).
        """
        if self._is_linear or np.ndim(self.auxiliary) == 1:
            return None if self._is_linear else self.auxiliary
        found = self.auxiliary_estimates.get("dispersion")
        return None if found is None else found.to_numpy()

    def __len__(self) -> int:
        return len(self.params)

    def estimates(self, r: int) -> Estimates:
        """Return the parameters that one replicate estimates, as ``fit.at`` takes them.

        Parameters
        ----------
        r : int
            Which replicate, from 0 on.

        Returns
        -------
        Estimates

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
        >>> many = fit.refit_many(fit.simulate(3, rng=np.random.default_rng(1)))
        >>> bool(many.estimates(2).beta == many.params.iloc[2].to_numpy())
        True
        """
        auxiliary = None if self.auxiliary is None else self.auxiliary[r]
        auxiliary = auxiliary if auxiliary is None or np.ndim(auxiliary) else float(auxiliary)
        return Estimates(self.theta.to_numpy()[r], self.params.to_numpy()[r], auxiliary)

    @property
    def tvalues(self) -> pd.DataFrame:
        """Estimates divided by their standard errors."""
        return (self.params / self.bse).where(np.isfinite(self.bse))

    @cached_property
    def df(self) -> pd.DataFrame:
        """Satterthwaite degrees of freedom (R, p) of each fixed effect; infinite where tests are normal."""
        return pd.DataFrame(np.asarray(self._df()), columns=self.params.columns)

    @checked
    def pvalues(self, ddf: str | None = None) -> pd.DataFrame:
        """Return the two-sided p-values (R, p) of ``coefficient = 0``.

        Parameters
        ----------
        ddf : {"satterthwaite", "z"}, optional
            t tests with Satterthwaite degrees of freedom (the default of linear models), or the normal
            distribution (the only choice for generalised ones).

        Returns
        -------
        DataFrame (R, p)

        Raises
        ------
        ModelError, DataError
            For degrees of freedom that the model does not have, or that are unknown.

        Examples
        --------
        >>> import numpy as np
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> many = fit.refit_many(fit.simulate(100, rng=np.random.default_rng(1)))
        >>> (many.pvalues() < 0.05).mean().to_dict()
        {'Intercept': 1.0, 'Days': 1.0}
        """
        t = -self.tvalues.abs()
        if not self._is_linear and ddf == "satterthwaite":
            raise ModelError(
                "Satterthwaite degrees of freedom belong to linear mixed models; for this one tests are "
                "normal"
            )
        if ddf == "z" or (ddf is None and not self._is_linear):
            return 2.0 * t.map(ndtr)
        if ddf not in (None, "satterthwaite"):
            raise DataError(f"ddf is 'satterthwaite' or 'z', not {ddf!r}")
        return pd.DataFrame(2.0 * stdtr(self.df.to_numpy(), t.to_numpy()), columns=t.columns)

    @cached_property
    def sd(self) -> pd.DataFrame:
        """SDs of the random effects (R, number of random effects), in columns ``"Subject.Days"``."""
        return self._of_kind("sd")

    @cached_property
    def corr(self) -> pd.DataFrame:
        """Correlations of random effects (R, number of pairs), in columns ``"Subject.Days.Intercept"``."""
        return self._of_kind("corr")

    def _of_kind(self, kind: str) -> pd.DataFrame:
        chosen = [name for name in self.quantities if name.startswith(f"{kind} ")]
        return self.quantities[chosen].rename(columns=lambda name: name.removeprefix(f"{kind} "))

    @cached_property
    def quantities(self) -> pd.DataFrame:
        """What each entry of theta stands for (R, k): SDs, correlations ..., in columns such as
        ``"sd Subject.Days"``.
        """
        scale: Any = self.auxiliary if self._is_linear else 1.0
        if self._is_linear and self._unit is not None:
            scale = np.array([self._unit(value) for value in self.auxiliary])
        values = values_of(self._groups, self.theta.to_numpy(), scale)
        return pd.DataFrame(values, columns=[place.name for place in places_of(self._groups)])


def refit_many(fit: FittedModel, Y: FloatArray, *, errors: bool = True) -> Refits:
    """Fit the model of ``fit`` to every column of ``Y`` (nobs, R); returns :class:`Refits`.

    Without ``errors``, fits that are made one by one have missing standard errors: those of a generalised
    model cost as much as the fit.
    """
    Y = new_responses(Y, fit.nobs)
    keep_memory()
    # a step that leaves the floating-point numbers has an infinite value and is shortened
    with one_blas_thread(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if not _fit_together(fit):
            return _one_by_one(fit, Y, _numbers if errors else _estimates)
        return _vectorised(fit, Y) if fit.is_linear else _vectorised_glmm(fit, Y)


def _fit_together(fit: FittedModel) -> bool:
    """Can all responses share each step of the optimiser?"""
    return (
        fit.has_single_auxiliary
        and suits(fit.solution.problem.structure, fit.solution.problem.covariance)
        and getattr(fit, "n_agq", 1) == 1
        and fit.family.is_log_concave
    )


def _vectorised(fit, Y):
    problem = fit.solution.problem
    design = ReducedDesign(problem)
    responses = design.responses(Y)
    everything = LinearBatch(design, responses)
    parts = pieces(len(everything.yy), max(1, CHUNK_NUMBERS // everything.numbers))
    batches = [everything.subset(part) for part in parts]
    found = joined([minimise_all(batch) for batch in progress(batches, len(parts), "refits")])
    is_odd = ~found.converged | responses.is_exact | (found.r2 <= least_residual(problem) * everything.yy)
    found = _with_single_fits(fit, everything, found, Y, np.flatnonzero(is_odd))
    to_user = solve_triangular(problem.R, np.eye(problem.p)) if problem.p else np.zeros((0, 0))
    sigma = np.sqrt(found.r2 / problem.df)
    beta = responses.beta + found.beta @ to_user.T
    inverse = np.linalg.inv(found.XX)
    bse = sigma[:, None] * np.sqrt(np.einsum("cx,rxy,cy->rc", to_user, inverse, to_user, optimize=True))
    return Refits(
        pd.DataFrame(beta, columns=fit.params.index),
        pd.DataFrame(bse, columns=fit.params.index),
        pd.DataFrame(problem.covariance.to_user(found.theta), columns=fit.theta.index),
        sigma,
        found.value,
        problem.covariance.is_singular(found.theta),
        fit.groups,
        partial(_satterthwaite, batches, [found.theta[part] for part in parts], to_user),
        True,
        fit.solution.predictors.named,
    )


def _satterthwaite(
    batches: Sequence[LinearBatch], thetas: Sequence[FloatArray], to_user: FloatArray
) -> FloatArray:
    return np.concatenate(
        [batch.satterthwaite(theta, to_user) for batch, theta in zip(batches, thetas, strict=True)]
    )


def _with_single_fits(fit, batch, found, Y, which):
    """Fit by itself each response whose Newton iterations did not end, or that should be refused."""
    for r in which:
        single = _single(fit, Y[:, r], r)
        point, theta = single.solution.point, single.solution.standard_theta
        state = batch.subset(np.array([r])).state(theta[None])
        found.theta[r], found.value[r], found.r2[r] = theta, point.value, point.r2
        found.beta[r], found.XX[r] = state.beta[0] * np.sqrt(batch.yy[r]), state.XX[0]
    return found


# --- generalised models -----------------------------------------------------------------------------


def _vectorised_glmm(fit, Y):
    problem, p = fit.solution.problem, fit.solution.problem.p
    everything = LaplaceBatch(problem, _responses(fit, Y)[:, problem.rows])
    step = max(1, GLMM_CHUNK_NUMBERS // fit.nobs)
    parts = pieces(Y.shape[1], step)
    found = [minimise_all_glmm(everything.subset(part)) for part in progress(parts, len(parts), "refits")]
    x, value, hessian, converged = (
        np.concatenate([getattr(f, name) for f in found]) for name in ("x", "value", "hessian", "converged")
    )
    beta, _, dispersion = everything.split(x)
    theta = everything.theta(x)
    T = np.linalg.inv(problem.R) if p else np.zeros((0, 0))
    covariance = T @ twice_inverse(hessian)[:, :p, :p] @ T.T
    variance = np.einsum("rpp->rp", covariance)
    refits = Refits(
        pd.DataFrame(beta @ T.T, columns=fit.params.index),
        pd.DataFrame(np.sqrt(np.where(variance > 0, variance, np.inf)), columns=fit.params.index),
        pd.DataFrame(problem.covariance.to_user(theta), columns=fit.theta.index),
        None if dispersion is None else dispersion[:, 0].copy(),
        value,
        problem.covariance.is_singular(theta),
        fit.groups,
        partial(np.full, (len(x), p), np.inf),
        False,
        fit.solution.predictors.named,
    )
    return _with_singles(fit, refits, Y, np.flatnonzero(~converged | _looks_separated(everything, beta)))


def _looks_separated(replicates, beta):
    """Which replicates have means so extreme that :mod:`glmmlib.likelihood.separation` should have a look
    (R,).
    """
    family = replicates.family
    if not replicates.p or not family.separable:
        return np.zeros(len(beta), bool)
    mean = family.link.inverse(replicates.fixed_part(beta))
    return (family.distance_from_ends(mean) < SUSPECT).any(axis=1)


def _responses(fit: FittedModel, Y: FloatArray) -> FloatArray:
    """Return the responses (R, n) as the family takes them."""
    d = fit.design
    checked = (fit.family.check_response(y, d.trials, d.weights, d.response_name, d.index)[0] for y in Y.T)
    return np.array(list(checked))


def _with_singles(fit, refits, Y, which):
    """Fit by itself each replicate that the common iterations could not settle, or that looks separated."""
    for r in which:
        single = _single(fit, Y[:, r], r)
        refits.params.iloc[r], refits.bse.iloc[r] = single.params.to_numpy(), single.bse.to_numpy()
        refits.theta.iloc[r] = single.theta.to_numpy()
        refits.deviance[r], refits.is_singular[r] = single.deviance, single.is_singular
        if fit.has_dispersion:
            refits.auxiliary[r] = single.auxiliary
    return refits


def _single(fit: FittedModel, y: FloatArray, r: int) -> FittedModel:
    try:
        return fit.refit(y, warn=False)
    except GlmmlibError as error:
        raise type(error)(f"response {r}: {error}") from None


def _one_by_one(fit: FittedModel, Y: FloatArray, numbers: Callable[..., Any]):
    rows = _in_parallel(fit, Y, numbers)
    params, bse, theta, auxiliary, deviance, is_singular = (
        np.array([row[i] for row in rows]) for i in range(6)
    )
    return Refits(
        pd.DataFrame(params, columns=fit.params.index),
        pd.DataFrame(bse, columns=fit.params.index),
        pd.DataFrame(theta, columns=fit.theta.index),
        auxiliary.astype(float) if fit.has_dispersion else None,
        deviance,
        is_singular,
        fit.groups,
        partial(_in_parallel, fit, Y, _degrees_of_freedom),
        fit.is_linear,
        fit.solution.predictors.named,
        fit.solution.unit_of if fit.is_linear else None,
    )


def each_fit(fit: FittedModel, Y: FloatArray, statistic: Callable[..., Any] | None) -> Sequence[Any]:
    """Return ``[statistic(the fit to y) for y in the columns of Y]``.

    Linear models with one grouping factor find all optima together first; otherwise joblib shares the fits
    out.
    """
    if not fit.is_linear or not _fit_together(fit):
        return _in_parallel(fit, Y, statistic)
    many = refit_many(fit, Y)
    with one_blas_thread():
        return _at_optima(fit, Y, many, statistic)


def _at_optima(fit, Y, many, statistic):
    fits = (_fit_at(fit, y, theta) for y, theta in zip(Y.T, many.theta.to_numpy(), strict=True))
    return [statistic(f) for f in progress(fits, len(many), "fits")]


def _fit_at(fit: FittedModel, y: FloatArray, theta: FloatArray):
    """Return the linear fit whose optimum is known to be at ``theta``."""
    problem = fit.solution.problem.with_response(y)
    x = problem.covariance.to_standardised(theta)
    slope = float(np.abs(problem.gradient(x)).max())
    ended = Convergence(True, "converged together with other replicates", 0.0, slope, 0)
    return fit.with_solution(LinearSolution(problem, x, ended), y)


def _in_parallel(fit, Y, statistic):
    tasks = [(fit, Y[:, part], part.start, statistic) for part in pieces(Y.shape[1])]
    return [row for rows in in_parallel(_fit_each, tasks, "fits") for row in rows]


def _fit_each(fit, Y, first, statistic):
    return [statistic(_single(fit, y, r)) for r, y in enumerate(Y.T, first)]


def _numbers(fit: FittedModel):
    return _with_errors(fit, fit.bse.to_numpy())


def _estimates(fit: FittedModel):
    return _with_errors(fit, np.full(len(fit.params), np.nan))


def _with_errors(fit, bse):
    arrays = (fit.params.to_numpy(), bse, fit.theta.to_numpy())
    return *arrays, fit.solution.estimates.auxiliary, fit.deviance, fit.is_singular


def _degrees_of_freedom(fit: FittedModel):
    return fit.df.to_numpy()
