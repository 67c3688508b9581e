r"""Confidence intervals of what rests on auxiliary parameters too: probabilities of categories, mean scores,
structural zeros and means of counts with them.

.. math:: \operatorname{var}(h) = g'Cg + (\partial h / \partial\eta)^2 \, z'Vz

h being such a quantity on the scale of its interval (a log, or a logit, so that the ends stay in its range),
C the joint covariance of all parameters, and V that of the random effects given these. The gradient g follows
the conditional modes, which move with the parameters, and averages over groups, which move with the
variances (Kass and Steffey 1989, *J. Am. Stat. Assoc.* 84, 717-726).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from glmmlib.families.interval_scale import IntervalScale
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.delta import STEP, gradients
from glmmlib.likelihood.solution import Estimates
from glmmlib.prediction.error_variance import mode_variance
from glmmlib.prediction.rows import Rows, linear_predictor, open_variance
from glmmlib.types import AuxiliaryValue, BoolArray, FloatArray

Quantity = Callable[[FloatArray, FloatArray, AuxiliaryValue], FloatArray]


def joint_confidence(
    fit: FittedModel, rows: Rows, quantity: Quantity, scale: IntervalScale, level: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return estimates and the ends of their intervals, (n,) or (n, K) each.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
    rows : Rows
    quantity : callable
        ``quantity(eta, unknown, auxiliary)``: what is asked for, from the linear predictors (n,), the
        variance of random effects that the rows leave unknown (n,), and what the family has beside the mean.
    scale : IntervalScale
    level : float
    """

    def value(fit: FittedModel, more: float | FloatArray = 0.0) -> FloatArray:
        eta = np.where(rows.complete, linear_predictor(fit, rows), 0.0) + more
        with np.errstate(divide="ignore"):
            return scale.place(quantity(eta, open_variance(fit, rows), rows.auxiliary_of(fit)))

    def moved(estimates: Estimates) -> FloatArray:
        return value(fit.at(estimates))

    middle, own = value(fit), mode_variance(fit, rows.effects)
    step = STEP * np.sqrt(own)
    with np.errstate(invalid="ignore"):  # of a mean that rounding takes to an end of its range
        G = gradients(fit.solution, moved)
        variance = np.einsum("...k,kl,...l->...", G, fit.solution.free_cov, G)
        variance += (0.5 / STEP * (value(fit, step) - value(fit, -step))) ** 2
        half = ndtri(0.5 + 0.5 * level) * np.sqrt(np.maximum(variance, 0.0))
    told = _is_told(fit, rows).reshape(-1, *[1] * (middle.ndim - 1)) & ~np.isnan(half)
    half = np.where(told, half, np.inf)
    half = np.where(np.isfinite(middle), half, 0.0)
    return scale.back(middle), scale.back(middle - half), scale.back(middle + half)


def _is_told(fit: FittedModel, rows: Rows) -> BoolArray:
    """Mark the rows whose linear predictor, and thresholds, have finite estimates."""
    if fit.family.levels:
        return np.full(len(rows.index), fit.solution.separation is None)
    return fit.solution.is_estimable(rows.X)
