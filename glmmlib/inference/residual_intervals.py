r"""Wald intervals for the SDs and correlations of a residual side, where they are nearer to normal.

.. math:: h(\hat\rho) \pm z \sqrt{g'Cg}

h is the logarithm of an SD, and of a correlation the logit of its place in its range: twice Fisher's z where
the range is from -1 to 1, and for equal correlations of q residuals from -1 / (q - 1) on. C is the covariance
of the parameters, twice the inverse of the second derivatives of the criterion that was minimised. So does
``intervals()`` of R's nlme. Pinheiro and Bates (2000), *Mixed-Effects Models in S and S-PLUS*, section 2.4.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.families.interval_scale import IntervalScale
from glmmlib.families.support import Support
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.residual_parameters import ResidualParameters
from glmmlib.types import FloatArray

_STEP = 1e-5


def residual_intervals(fit: FittedModel, level: float) -> pd.DataFrame:
    """Return ``lower`` and ``upper`` by name of sigma, SDs and correlations; of other models no rows."""
    parameters = fit.solution.predictors
    if not isinstance(parameters, ResidualParameters):
        return pd.DataFrame({"lower": [], "upper": []})
    scales = [IntervalScale.of(Support(*ends)) for ends in parameters.ranges]

    def placed(estimate: FloatArray) -> FloatArray:
        values = parameters.natural(estimate)
        return np.array([scale.place(value) for scale, value in zip(scales, values, strict=True)])

    best = np.asarray(fit.solution.estimates.auxiliary, dtype=float)
    steps = _STEP * np.eye(len(best))
    with np.errstate(divide="ignore", invalid="ignore"):
        G = np.array([(placed(best + h) - placed(best - h)) / (2.0 * _STEP) for h in steps]).T
        se = np.sqrt(np.einsum("rk,kl,rl->r", G, fit.solution.auxiliary_cov, G))
    middle, half = placed(best), ndtri(0.5 + 0.5 * level) * se
    ends = [
        [scale.back(at) for scale, at in zip(scales, middle + side, strict=True)] for side in (-half, half)
    ]
    return pd.DataFrame(
        dict(zip(("lower", "upper"), ends, strict=True)), parameters.natural_names, dtype=float
    )
