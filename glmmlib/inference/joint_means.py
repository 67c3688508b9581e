r"""Marginal means that depend on auxiliary parameters too: counts with structural zeros, ordered categories.

.. math:: \mu = (1 - \pi)\,\mu_c \quad\text{or}\quad \mu = \textstyle\sum_k s_k P(y = k),

:math:`\mu_c` the mean of the counts, :math:`s_k` the scores. Linear predictors are averaged over a grid, each
on its own scale; the standard error is by the delta method, from the joint covariance of all parameters, of
:math:`\log\mu`, or of the logit of its place in a range with two ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.design.arrays import Design
from glmmlib.design.matrices import stack
from glmmlib.design.newdata import new_matrices
from glmmlib.families.interval_scale import IntervalScale
from glmmlib.fitted import FittedModel
from glmmlib.inference.bends import Bends
from glmmlib.inference.expected import bend_gradients
from glmmlib.likelihood.delta import gradients
from glmmlib.likelihood.solution import Estimates
from glmmlib.types import FloatArray


def grid_auxiliary(design: Design, grid: pd.DataFrame) -> dict[str, FloatArray]:
    """Return the columns (n, r) of the auxiliary predictors in the rows of a grid, by name."""
    matrices = new_matrices(design, ["fixed", *(part.key for part in design.auxiliary)], grid)
    return {part.name: stack(matrices[part.key], grid.index).T for part in design.auxiliary}


def joint_means(
    fit: FittedModel,
    bends: Bends,
    L: FloatArray,
    D: FloatArray,
    auxiliary: Mapping[str, FloatArray],
    offset: float,
    level: float,
) -> pd.DataFrame:
    """Return mean responses with their errors: ``mean``, ``se``, ``df``, ``lower`` and ``upper``.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
    bends : Bends
        Of its curves.
    L, D : (r, p) and (r, m) arrays
        The averages of the fixed effects' columns, and of the bends'.
    auxiliary : dict of (r, k) arrays
        Those of the auxiliary predictors, by name.
    offset, level : float
    """
    family, solution = fit.family, fit.solution
    scale = IntervalScale.of(family.support)
    told = ~np.isnan(L).any(axis=1) & (solution.is_estimable(np.nan_to_num(L)) != 0)
    kept = {name: columns[told] for name, columns in auxiliary.items()}

    def scaled_means(at: Estimates, heights: FloatArray) -> FloatArray:
        eta = L[told] @ at.beta + D[told] @ heights + offset
        own = solution.predictors.values_at(at.auxiliary, kept, len(eta))
        return scale.place(family.mean(eta, own))

    best = solution.estimates
    G = gradients(solution, lambda at: scaled_means(at, bends.at(at.beta)))
    B = bend_gradients(lambda heights: scaled_means(best, heights), bends)
    variance = np.einsum("rk,kl,rl->r", G, solution.free_cov, G)
    se = np.sqrt(variance + np.einsum("rk,kl,rl->r", B, bends.cov, B))
    middle, half = scaled_means(best, bends.heights), ndtri(0.5 + 0.5 * level) * se
    columns = {
        "mean": scale.back(middle),
        "se": scale.slope(middle) * se,
        "df": np.full(len(middle), np.inf),
        "lower": scale.back(middle - half),
        "upper": scale.back(middle + half),
    }
    return pd.DataFrame(columns, np.flatnonzero(told)).reindex(range(len(L)))
