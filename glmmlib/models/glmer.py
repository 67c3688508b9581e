"""``glmer``: generalised linear mixed models from a formula and a data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from glmmlib.covariance.groups import arrange
from glmmlib.covariance.identifiability import check_covariances, check_single_trials
from glmmlib.design.auxiliary import is_constant
from glmmlib.design.build import build_design
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.families.links import Link
from glmmlib.families.registry import family as find_family
from glmmlib.families.registry import zero_inflated
from glmmlib.models.fit_warnings import warn_about_estimates
from glmmlib.models.generalized_fit import GeneralizedMixedModelFit
from glmmlib.models.generalized_problem import (
    check_intercept,
    checked_response,
    laplace_problem,
    quadrature_rule,
    solved,
)
from glmmlib.models.update import makes
from glmmlib.types import ArrayLike


@makes(GeneralizedMixedModelFit)
@checked
def glmer(
    formula: str,
    data: Any,
    family: str,
    link: str | Link | None = None,
    n_agq: int = 1,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: str = "drop",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    dispersion: str | None = None,
    known: Mapping[str, Any] | None = None,
    zi: str | None = None,
    exact: bool | None = None,
) -> GeneralizedMixedModelFit:
    r"""Fit a generalised linear mixed model by maximum likelihood.

    .. math::

        y_i \mid b \sim \text{family}(\mu_i), \quad g(\mu) = X\beta + Zb + \text{offset}, \quad b \sim
        N(0, \Lambda\Lambda').

    Parameters
    ----------
    formula : str
        As for :func:`lmer`; a binomial response is 0/1, a proportion with ``weights``, or ``cbind(successes,
        failures)``; a beta-binomial one is not 0/1. Rows without a trial tell nothing: they are left out and
        counted. An ordinal one is an ordered ``pd.Categorical`` with a row in each category, or whole
        numbers, in their own order.
    data : DataFrame
    family : {"binomial", "betabinomial", "poisson", "negbinomial", "negbinomial1", "gamma", "beta"}
        Or one of counts that are never zero: ``"truncated_poisson"``, ``"truncated_negbinomial"``. Or
        ``"ordinal"``, the cumulative logit model of ordered categories, P(y <= k) = logistic(theta_k - eta)
        as R's ``clmm`` and ``polr``. Its intercept is minus the first threshold and has to stay in the
        formula; ``fit.thresholds`` has all of them.
    link : str, optional
        Binomial: logit, probit, cloglog. Poisson: log, sqrt, identity. Negative binomials and
        truncated families: log. Gamma: log, inverse. Beta, beta-binomial, ordinal: logit. The first is the
        default.
    n_agq : int
        Points of adaptive Gauss-Hermite quadrature for each random effect; 1 is Laplace's approximation. More
        than one needs one grouping factor, or a chain of nested ones such as ``(1 | town / school)``, with
        one or two random effects each. A row then costs ``n_agq`` to the power of its random effects, up to
        20,000 points. Crossed factors have Laplace's approximation only.
    weights : column name or array, optional
        Binomial and beta-binomial: the number of trials of each proportion. Gamma: the dispersion of row i is
        phi / weights[i]. Otherwise they multiply the log-density.
    offset : column name or array, optional
    na_action : {"drop", "raise"}
    functions : dict of str to callable, optional
        As for :func:`lmer`.
    dispersion : str, optional
        A formula without a response, such as ``"~ x"``, for the logarithm of the family's dispersion
        phi, as glmmTMB's ``dispformula``: ``log(phi_i) = d_i' gamma``. One dispersion for
        all rows by default, which ``"~ 1"`` says too. No random effects, no offset.
    known : dict of str to DataFrame, optional
        As for :func:`lmer`.
    zi : str, optional
        Zero inflation of counts, as glmmTMB's ``ziformula``: a formula without a response, such as
        ``"~ x"``, for the logit of the probability pi that a row is a structural zero, one that could not be
        anything else; ``"~ 1"`` is one probability for all rows. A response then has the mean ``(1 - pi)
        mu``. With a truncated family it is a hurdle model: all zeros are such zeros, pi is the probability of
        a zero. No random effects, no offset.
    exact : bool, optional
        How crossed factors are solved: with a dense matrix (True), or by conjugate gradients (False), which
        leave a Monte Carlo error that summary and ``fit.convergence`` state. The latter is for binomial and
        Poisson responses and ``(1 | g)`` terms. By default the dense matrix, up to 3,000 columns; the summary
        of a larger fit says what ``exact=True`` would take.

    Returns
    -------
    GeneralizedMixedModelFit

    Raises
    ------
    FormulaError, DataError, ModelError

    Warns
    -----
    SingularFitWarning, ConvergenceWarning, QuadratureWarning, SeparationWarning

    Notes
    -----
    The log-likelihood holds all constants. Laplace's approximation uses the second derivative of the
    log-density itself (observed information), as glmmTMB does; lme4 uses the expected one, which differs for
    links that are not canonical. Standard errors come from the Hessian in all parameters together.

    Examples
    --------
    >>> import glmmlib as gl
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = gl.glmer(formula, gl.load("cbpp"), family="binomial")
    >>> fit.params.round(3).to_dict()
    {'Intercept': -1.399, 'period[T.2]': -0.992, 'period[T.3]': -1.129, 'period[T.4]': -1.58}
    >>> round(float(fit.varcorr["herd"].sd["Intercept"]), 3)
    0.642

    Counts whose overdispersion differs between treatments:

    >>> formula, epil = "y ~ base + trt + (1 | subject)", gl.load("epil")
    >>> fit = gl.glmer(formula, epil, family="negbinomial", dispersion="~ trt")
    >>> gl.coef_tests(fit, predictor="dispersion")[["estimate", "se"]].round(3)
                      estimate     se
    Intercept            1.847  0.292
    trt[T.progabide]     0.326  0.486

    Counts with structural zeros:

    >>> ticks = gl.load("grouseticks")
    >>> fit = gl.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ 1")
    >>> round(fit.zi, 3)
    0.028

    A hurdle: whether there are ticks at all, and how many where there are some:

    >>> fit = gl.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, family="truncated_poisson", zi="~ YEAR")
    >>> fit.auxiliary_params.round(2).to_dict()
    {'zi Intercept': -0.33, 'zi YEAR[T.96]': -2.24, 'zi YEAR[T.97]': 0.34}

    Ratings in ordered categories:

    >>> import numpy as np, pandas as pd
    >>> tasting = pd.DataFrame({"judge": np.repeat(np.arange(30), 6), "warm": np.tile([0, 1], 90)})
    >>> tasting["rating"] = gl.simulate("~ warm + (1 | judge)", tasting, family="ordinal", fixef={"warm": 2},
    ...                                 thresholds=[-1, 0.5, 2], sd={"judge": 1}, rng=1)
    >>> fit = gl.glmer("rating ~ warm + (1 | judge)", tasting, family="ordinal")
    >>> fit.thresholds["estimate"].round(2).to_dict()
    {'1|2': -1.13, '2|3': 0.65, '3|4': 2.15}
    >>> fit.predict({"warm": [0, 1]}, kind="probabilities", re_form="~0").round(2).to_numpy().tolist()
    [[0.25, 0.41, 0.24, 0.1], [0.03, 0.12, 0.29, 0.56]]
    """
    if exact is not None and not isinstance(exact, bool | np.bool_):
        raise ModelError(f"exact is True, False or None, not {exact!r}: by default the size decides")
    chosen = find_family(family, link)
    chosen = chosen if zi is None else zero_inflated(chosen)
    design = build_design(
        formula,
        data,
        weights,
        offset,
        na_action,
        binary=chosen.support.in_trials,
        ordered=chosen.support.is_ordered,
        functions=functions,
        auxiliary=_auxiliary_formulas(chosen, dispersion=dispersion, zi=zi),
        known=known,
    )
    if not design.random:
        raise ModelError(
            f"{design.formula.text!r} has no random-effects term; add one such as (1 | group), or fit it as "
            "a generalised"
            " linear model with statsmodels"
        )
    chosen = chosen.with_levels(design.response_levels)
    checked_response(chosen, design)
    check_intercept(chosen, design)
    groups, theta_names = arrange(design.random)
    check_covariances(groups)
    if chosen.support.in_trials:
        check_single_trials(groups, checked_response(chosen, design)[1], design.response_name)
    problem = laplace_problem(chosen, design, groups, quadrature_rule(n_agq, groups), exact)
    fit = GeneralizedMixedModelFit(design, theta_names, solved(problem))
    warn_about_estimates(fit, stacklevel=4)
    return fit


def _auxiliary_formulas(family, **given):
    """Return the formulas of the parameters that differ between rows; refuse those the family has not."""
    known = [auxiliary.name for auxiliary in family.auxiliary]
    found = {}
    for name, text in given.items():
        if text is None:
            continue
        if name not in known:
            raise ModelError(f"the {family.name} family has no {name} to model: leave {name}= out")
        if not is_constant(name, text):
            found[name] = text
    return found
