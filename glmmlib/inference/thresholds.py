"""Thresholds of ordinal models on the scale of the linear predictor, with their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmmlib.fitted import FittedGeneralizedModel
from glmmlib.likelihood.delta import gradients
from glmmlib.likelihood.solution import Estimates
from glmmlib.types import FloatArray


def thresholds(fit: FittedGeneralizedModel) -> pd.DataFrame | None:
    """Return the thresholds between ordered categories; None for a family that has none.

    The first is minus the intercept, the others follow it by the widths of the categories between; standard
    errors are by the delta method, from the joint covariance of all parameters.
    """
    family, predictors = fit.family, fit.solution.predictors
    if not family.levels:
        return None
    place = fit.design.coef_names.index("Intercept")

    def at(estimates: Estimates) -> dict[str, float]:
        own = predictors.values_at(estimates.auxiliary, {}, 1)
        return family.thresholds(float(estimates.beta[place]), own if np.ndim(own) == 0 else own[0])

    def values(estimates: Estimates) -> FloatArray:
        return np.array(list(at(estimates).values()))

    G = gradients(fit.solution, values)
    found = at(fit.solution.estimates)
    se = np.sqrt(np.maximum(np.einsum("rk,kl,rl->r", G, fit.solution.free_cov, G), 0.0))
    held = np.array([level not in family.absent(fit.solution.observations[0]) for level in family.levels])
    se[np.cumsum(held)[:-1] == 0] = np.inf  # no response is below this threshold, ...
    se[np.cumsum(held[::-1])[::-1][1:] == 0] = np.inf  # ... or above it
    if fit.separation is not None:
        K, p = len(found), len(fit.params)
        L = np.hstack([np.zeros((K, p)), np.eye(K)[:, 1:]])
        L[:, place] = -1.0
        se = np.where(fit.separation.moves(L), np.inf, se)
    return pd.DataFrame({"estimate": list(found.values()), "se": se}, pd.Index(list(found)))
