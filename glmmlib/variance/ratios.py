"""Odds ratios, rate ratios and the median odds ratio: coefficients on the scale that people quote."""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel


@checked
def exp_table(fit: FittedModel, level: float = 0.95) -> pd.DataFrame:
    """Return the fixed effects of a generalised model as ratios; see
    :meth:`glmmlib.models.glmer.GeneralizedMixedModelFit.exp_table`."""
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
def median_odds_ratio(fit: FittedModel) -> pd.Series:
    r"""Return the median odds ratio of each grouping factor with a random intercept.

    .. math:: \mathrm{MOR} = \exp\left(\sqrt{2}\,\sigma_a\,\Phi^{-1}(3/4)\right)

    Take two members with equal predictors from two groups drawn at random, and the odds of the one with the
    higher chance over those of the other: the MOR is the median of that ratio. It is 1 when groups do not
    differ, and stands on the scale of odds ratios, so it can be compared with those of the fixed effects.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
        Binomial with the logit link.

    Returns
    -------
    Series
        By grouping factor; for random slopes it is the ratio at the zero of the covariates.

    Raises
    ------
    ModelError
        For another family or link, or without a random intercept.

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
    sd = {name: g.sd["Intercept"] for name, g in fit.varcorr.items() if "Intercept" in g.sd}
    if not sd:
        raise ModelError(
            f"{fit.formula!r} has no random intercept, so groups have no odds of their own to compare"
        )
    return np.exp(np.sqrt(2.0) * pd.Series(sd, name="median odds ratio") * ndtri(0.75))
