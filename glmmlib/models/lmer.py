"""``lmer``: linear mixed models from a formula and a data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from glmmlib.covariance.groups import arrange
from glmmlib.covariance.identifiability import check_covariances, check_residual
from glmmlib.design.auxiliary import is_constant
from glmmlib.design.build import build_design, check_lmm_sizes
from glmmlib.design.residual import has_residual_side
from glmmlib.design.row_source import RowSource, row_source
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.linalg.resources import keep_memory, one_blas_thread
from glmmlib.models.fit_warnings import warn_about
from glmmlib.models.linear_fit import LinearMixedModelFit
from glmmlib.models.linear_problem import (
    solved,
    solved_design,
)
from glmmlib.models.streamed import streamed_problem
from glmmlib.models.update import makes
from glmmlib.types import ArrayLike


@makes(LinearMixedModelFit)
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
        fit = LinearMixedModelFit(design, theta_names, solved_design(design, groups, reml, exact))
    warn_about(fit, stacklevel=4)
    return fit


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
        solution = solved(problem)
        problem.check(solution.point.r2)
    return LinearMixedModelFit(design, theta_names, solution)
