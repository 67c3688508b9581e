"""Odds ratios, rate ratios and the median odds ratio: coefficients on the scale that people quote."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.types import ArrayLike
from glmmlib.variance.between import Place, sampled, variances


@checked
def exp_table(fit: FittedModel, level: float = 0.95) -> pd.DataFrame:
    """Return the fixed effects of a generalised model as ratios; see
    :meth:`glmmlib.models.generalized_fit.GeneralizedMixedModelFit.exp_table`."""
    ratio = fit.family.ratio
    if ratio is None:
        raise ModelError(
            f"with the {fit.family.link.name} link of the {fit.family.name} family "
            "exp(coefficient) is no ratio of anything; quote the coefficients, or differences of fit.predict"
        )
    intervals = fit.conf_int(level=level)
    table = pd.DataFrame({ratio: np.exp(fit.params), "lower": 0.0, "upper": 0.0, "p": fit.pvalues})
    table["lower"], table["upper"] = np.exp(intervals.iloc[:, 0]), np.exp(intervals.iloc[:, 1])
    return table


@checked
def median_odds_ratio(
    fit: FittedModel, at: Mapping[str, Any] | ArrayLike | None = None
) -> pd.Series | pd.DataFrame:
    r"""Return the median odds ratio of each grouping factor with a random intercept.

    .. math::

        \mathrm{MOR} = \exp\left(\sqrt{2}\,\sigma_a\,\Phi^{-1}(3/4)\right), \quad
        \sigma_a^2 = z'\Sigma z

    Take two members with equal predictors from two groups drawn at random, and the odds of the one with the
    higher chance over those of the other: the MOR is the median of that ratio. It is 1 when groups do not
    differ, and stands on the scale of odds ratios, so it can be compared with those of the fixed effects.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
        Binomial with the logit link.
    at : number, array or dict, optional
        With random slopes the ratio depends on x: the value, or values, of the covariate, or ``{"Days": 5}``,
        as in :func:`between_variance`. By default it is that of the random intercepts, at the zero of the
        covariates.

    Returns
    -------
    Series or DataFrame
        By grouping factor; where `at` holds several values a row for each of them, and a column for each
        factor.

    Raises
    ------
    ModelError
        For another family or link, or, without `at`, without a random intercept.

    References
    ----------
    Larsen, K. and Merlo, J. (2005), Appropriate assessment of neighborhood effects on individual health,
    *American Journal of Epidemiology* 161(1), 81-88.

    Examples
    --------
    >>> import glmmlib as gl
    >>> cbpp = gl.load("cbpp")
    >>> fit = gl.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    >>> gl.median_odds_ratio(fit).round(2).to_dict()
    {'herd': 1.85}
    """
    family = getattr(fit, "family", None)
    if getattr(family, "ratio", None) != "odds ratio":
        raise ModelError(
            "the median odds ratio belongs to a binomial model with the logit link, for odds are what it "
            "compares"
        )
    if at is not None:
        return _at_places(fit, at)
    sd = {name: g.sd["Intercept"] for name, g in fit.varcorr.items() if "Intercept" in g.sd}
    if not sd:
        raise ModelError(
            f"{fit.formula!r} has no random intercept, so groups have no odds of their own to compare"
        )
    return pd.Series(_median_ratio(pd.Series(sd)), name="median odds ratio")


def _at_places(fit, at):
    place = Place.of(fit, at)
    names = [g.name for g, _ in sampled(fit)]
    ratios = [_median_ratio(np.sqrt(variance)) for variance in variances(fit, place)]
    if place.shape == ():
        return pd.Series(np.ravel(ratios), names, name="median odds ratio")
    columns = {name: np.broadcast_to(r, place.shape).ravel() for name, r in zip(names, ratios, strict=True)}
    return pd.DataFrame(columns, place.index)


def _median_ratio(sd: Any) -> Any:
    """Return the median ratio of the odds of two groups, whose log odds have this SD."""
    return np.exp(np.sqrt(2.0) * sd * ndtri(0.75))
