r"""Posterior draws of a fitted model: what the data and priors say together, where groups are few.

With few groups the likelihood says little about the SD between them. The posterior averages over what it
leaves open, where an estimate takes one value, often zero, for the truth.

Random effects (in a linear model coefficients too) are integrated out of the likelihood, exactly or by
quadrature (:mod:`glmmlib.bayes.linear`, :mod:`glmmlib.bayes.generalised`, :mod:`glmmlib.bayes.crossed`).
What is left has few dimensions, and is explored in the priors' own normal scores
(:mod:`glmmlib.bayes.scores`) by importance sampling (:mod:`glmmlib.bayes.importance`); then the rest is drawn
given it. There are no chains and nothing to wait for: a diagnostic, khat, tells whether the draws can be
trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmmlib.bayes.engine import run
from glmmlib.bayes.result import Posterior
from glmmlib.bayes.specification import priors_of
from glmmlib.covariance.groups import refuse_curves
from glmmlib.design.residual import refuse_residual_side
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.prediction.simulate import require_generator

FEWEST = 100


@checked
def posterior(
    fit: FittedModel,
    *,
    fixef: str | Mapping[str, str] | None = None,
    sd: str | Mapping[str, Any] | None = None,
    corr: str | Mapping[str, str] | None = None,
    sigma: str | None = None,
    dispersion: str | None = None,
    widths: str | None = None,
    draws: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> Posterior:
    r"""Draw from the posterior of a model: its likelihood times priors.

    Parameters
    ----------
    fit : MixedModelFit
        Its formula, rows and family; its estimates are only where the search begins.
    fixef : str or dict, optional
        Prior of the coefficients: ``"normal(location, scale)"`` or ``"t(df, location, scale)"``. A text is
        for all but the intercept; a dict goes by coefficient. The intercept's prior is that of the mean where
        all other columns are at theirs.
    sd : str or dict, optional
        Prior of the SDs of random effects: ``"half_t(df, scale)"``, ``"half_normal(scale)"``,
        ``"exponential(rate)"`` or ``"gamma(shape, rate)"``; a dict by grouping factor, of texts or of dicts
        by effect. SDs and correlations of correlated effects are meant at the means of their columns.
    corr : str or dict, optional
        Prior of their correlations: ``"lkj(shape)"``, by grouping factor in a dict.
    sigma : str, optional
        Prior of the residual SD of a linear model, as for `sd`.
    dispersion : str, optional
        Prior of the dispersion of a family that has one, as for `sd`.
    widths : str, optional
        Prior of the widths of the categories between the first threshold of an ordinal model and the last, as
        for `sd`. The first threshold is minus the intercept.
    draws : int, optional
        How many; by default 4,000, and 1,000 where points are computed one by one, which takes longer: with
        several grouping factors, and for families whose log-density is not concave.
    rng : numpy.random.Generator
        The source of randomness, always to be given.

    Returns
    -------
    Posterior
        With ``draws``, ``summary()``, ``probability("x > 0")``, ``ranef()``, ``predict()``,
        ``prior_predictive()``, ``sensitivity()`` and ``to_arviz()``.

    Raises
    ------
    ModelError
        For a prior that cannot be read or is improper, for models with a residual side, structural zeros, a
        dispersion formula, curves or structured covariances, and where khat stays above 0.7.

    Notes
    -----
    By default coefficients have normal(0, 2.5 s / sd x) (columns of zeros and ones 2.5 s), the intercept at
    the means normal(m, 2.5 s), SDs and sigma half-t(3, 2.5 s), slopes per SD of x, correlations LKJ(1), a
    dispersion exponential(1) (the beta family's, a precision, gamma(2, 0.1)), widths of ordered categories
    gamma(2, 1), where s = sd(y) and m = mean(y) with an identity link, 1 and 0 on any other.
    Without an intercept root mean squares stand in for SDs.

    A posterior is no test: its interval of an SD never holds zero. Neither AIC nor Bayes factors follow from
    it.

    References
    ----------
    Gelman (2006), Prior distributions for variance parameters in hierarchical models, *Bayesian Analysis*
    1(3), 515-534.

    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling, *Journal of Machine
    Learning Research* 25(72).

    Examples
    --------
    The six batches of Dyestuff2 vary so little that REML estimates no variance between them:

    >>> import glmmlib as gl
    >>> import warnings
    >>> warnings.simplefilter("ignore", gl.errors.SingularFitWarning)
    >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff2"))
    >>> post = gl.posterior(fit, rng=1)
    >>> post.probability("sd Batch.Intercept < sigma / 2") > 0.8
    True
    """
    generator = require_generator(rng)
    _refuse_what_is_not_there(fit)
    if draws is not None and (
        isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < FEWEST
    ):
        raise ModelError(f"draws is a whole number from {FEWEST} on, not {draws!r}")
    priors = priors_of(fit, fixef, sd, corr, sigma=sigma, dispersion=dispersion, widths=widths)
    seed = int(generator.integers(2**63))
    return Posterior(fit, priors, run(fit, priors, draws, generator), seed)


def _refuse_what_is_not_there(fit: FittedModel) -> None:
    if fit.has_residual_side:
        refuse_residual_side(fit.design, "gl.posterior")
    refuse_curves(fit.groups, "gl.posterior")
    family, predictors = fit.family, fit.solution.predictors
    if family.has_structural_zeros:
        raise ModelError("gl.posterior is not there yet for a model with structural zeros (zi=)")
    if not predictors.is_constant:
        raise ModelError(
            "gl.posterior is not there yet for a model whose dispersion has a formula of its own"
        )
    if family.limited_range and not family.is_linear:
        raise ModelError(
            f"the {family.link.name} link of a {family.name} model leaves a part of the linear predictors "
            "without a mean, and normal priors reach there: use a link without an end, such as the log link"
        )
    for g in fit.groups:
        for block, _, term in g.parts_of_covariance():
            if g.is_whole or not block.structure.allows_quadrature:
                raise ModelError(
                    f"gl.posterior has priors for SDs and free correlations, and {term.text} has another "
                    "covariance: write a plain term, (x | g) or (x || g)"
                )
    if fit.convergence.approximation:
        raise ModelError(
            "gl.posterior is not there for a model so large that it is fitted iteratively: with so "
            "many groups the priors of their SDs hardly matter, and fit.conf_int() says the same"
        )
