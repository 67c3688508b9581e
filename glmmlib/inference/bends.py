r"""The bends of smooth curves beside the fixed effects, where an expected response depends on both.

A curve is a line of the fixed effects and bends b, which the fit predicts. Given the variances, b has errors
about

.. math:: \hat b(\beta) = \hat b + B S^{-1} (\beta - \hat\beta), \qquad V = A - B S^{-1} B',

where A, B and S are the blocks (bends, bends with beta, beta) of the inverse of the matrix of penalised least
squares (:mod:`glmmlib.prediction.error_variance`). An expectation then moves with beta both by itself and
through the bends, and V adds to its variance: the intervals of :func:`glmmlib.smooth_curve`, which take the
amount of bending as known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arrays import NewRandom
from glmmlib.design.matrices import stack
from glmmlib.design.newdata import new_matrices
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import single_tests, table_of_tests
from glmmlib.types import FloatArray

NEGLIGIBLE = 1e-8  # of a variance: what rounding leaves of the bends of a curve that does not take part


@dataclass(frozen=True, eq=False)
class Bends:
    """All bends of the curves of a fit, one curve after the other.

    Attributes
    ----------
    groups : tuple of Group
        The curves.
    heights : (m,) array
        The bends, and
    beta : (p,) array
        the fixed effects, as they were fitted.
    slope : (m, p) array
        How the bends move with the fixed effects.
    cov : (m, m) array
        Covariance of their errors for given fixed effects.
    """

    groups: tuple[Any, ...]
    heights: FloatArray
    beta: FloatArray
    slope: FloatArray
    cov: FloatArray

    @classmethod
    def of(cls, fit: FittedModel) -> Bends:
        """Return those of a fit; of one without curves there are none."""
        solution, curves = fit.solution, [k for k, g in enumerate(fit.groups) if g.is_curve]
        groups, p = tuple(fit.groups[k] for k in curves), len(fit.params)
        m, beta = sum(g.q for g in groups), solution.estimates.beta
        if not curves:
            return cls(groups, np.zeros(0), beta, np.zeros((0, p)), np.zeros((0, 0)))
        factorisation, coordinates = solution.joint_precision(), solution.coordinates
        maps = coordinates.as_in_formula(coordinates.maps(solution.standard_Lambdas))
        A, B = np.empty((m, m)), np.empty((m, p))
        rows = [(k, a) for k in curves for a in range(fit.groups[k].q)]
        for i, (k, a) in enumerate(rows):
            unit = [np.zeros((g.q, g.factor.n_levels)) for g in fit.groups]
            unit[k][:, 0] = maps[k][a]
            u, B[i], _ = factorisation.solve(coordinates.ordered(unit))
            u = coordinates.as_in_formula(u)
            A[i] = np.concatenate([maps[h] @ u[h][:, 0] for h in curves])
        root = factorisation.L[len(factorisation.L) - p :, len(factorisation.L) - p :]
        half = B @ root
        cov = fit.scale**2 * (A - half @ half.T)
        heights = np.concatenate([solution.modes[k][:, 0] for k in curves])
        return cls(groups, heights, beta, half @ root.T @ coordinates.R, cov)

    def columns(self, terms: Mapping[int, Any], n: int) -> FloatArray:
        """Return the columns (m, n) of the bends in n rows, whose terms stand by position."""
        return np.concatenate([np.zeros((0, n)), *(g.columns_of(terms) for g in self.groups)])

    def at(self, beta: FloatArray) -> FloatArray:
        """Return the bends (m,) that go with other fixed effects."""
        return self.heights + self.slope @ (beta - self.beta)

    def single_tests(self, fit: FittedModel, L: FloatArray, D: FloatArray, ddf: str) -> pd.DataFrame:
        """Test each ``L beta + D b`` (r,), as :func:`glmmlib.inference.contrasts.single_tests` does those of
        beta alone; where bends take part, by a z test.
        """
        if not self.groups:
            return single_tests(fit, L, ddf=ddf)
        of_bends = np.einsum("ra,ab,rb->r", D, self.cov, D)
        with_line = single_tests(fit, L + D @ self.slope, ddf=ddf)
        se = np.sqrt(np.square(with_line["se"].to_numpy()) + of_bends)
        bent = of_bends > NEGLIGIBLE * np.square(se)
        df = np.where(bent, np.inf, with_line["df"])
        estimate = L @ self.beta + D @ self.heights
        table = table_of_tests(estimate, np.where(np.isinf(se), np.nan, se), df)
        table["se"] = se
        return table

    @property
    def positions(self) -> list[int]:
        """Those of their terms among the random-effects terms of the design."""
        return [position for g in self.groups for position, _ in g.parts]

    @property
    def names(self) -> list[str]:
        return [g.name for g in self.groups]


def curve_keys(fit: FittedModel) -> list[str]:
    """Return the keys of the curves' columns among the parts of the recipe."""
    return [f"random{position}" for g in fit.groups if g.is_curve for position, _ in g.parts]


def grid_bends(fit: FittedModel, bends: Bends, grid: pd.DataFrame) -> FloatArray:
    """Return the columns (m, r) of the bends in the rows of a grid, which holds the curves' variables."""
    design, terms = fit.design, {}
    # the levels of a factor that a curve goes by are known to the fixed effects
    matrices = new_matrices(design, ["fixed", *curve_keys(fit)], grid) if bends.groups else {}
    for position in bends.positions:
        random = design.random[position]
        Z, _ = random.effects.rows(stack(matrices[f"random{position}"], grid.index), grid)
        terms[position] = NewRandom(random.columns, Z, np.zeros(len(grid), dtype=np.intp))
    return bends.columns(terms, len(grid))
