"""Expected responses of rows as a function of the parameters, and how their averages move with these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmlib.design.arrays import NewDesign
from glmmlib.design.newdata import new_design
from glmmlib.display.words import counted
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.bends import Bends
from glmmlib.likelihood.delta import STEP
from glmmlib.likelihood.solution import Estimates
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class Scale:
    """Of what the expectation is taken.

    ``kind`` is "response", "link" or "conditional", as in predictions; ``over_groups`` says whether it is
    averaged over the distribution of the random effects, or taken where they are zero.
    """

    kind: str
    over_groups: bool

    def for_model(self, fit: FittedModel) -> Scale:
        """Return the same without an average that changes nothing: b has mean zero on a straight scale."""
        is_straight = self.kind == "link" or (fit.family.link.is_straight and fit.family.is_mean_of_link)
        return Scale(self.kind, self.over_groups and not is_straight)

    def needs_auxiliary(self, fit: FittedModel) -> bool:
        """Does the expectation depend on what the family has beside the mean?"""
        return self.kind == "response" and fit.family.mean_needs_auxiliary


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows whose expected response is asked for."""

    fit: FittedModel
    scale: Scale
    design: NewDesign
    curves: FloatArray  # the columns (m, n) of their bends

    def expected(self, estimates: Estimates, bends: FloatArray) -> FloatArray:
        """Return the expected response (n,) of each row, at these estimates and bends (m,) of the curves."""
        family, new = self.fit.family, self.design
        eta = new.fixed_predictor(estimates.beta) + bends @ self.curves
        if self.scale.kind == "link":
            return eta
        _check_range(family, eta)
        variance = self.variance(estimates) if self.scale.over_groups else None
        if self.scale.kind == "conditional":
            return family.link.inverse(eta) if variance is None else family.link.average(eta, variance)
        own = self._auxiliary(estimates)
        return family.mean(eta, own) if variance is None else family.average(eta, variance, own)

    def _auxiliary(self, estimates):
        if not self.scale.needs_auxiliary(self.fit):
            return None
        predictors = self.fit.solution.predictors
        return predictors.values_at(estimates.auxiliary, self.design.auxiliary, len(self.design.index))

    def variance(self, estimates: Estimates) -> FloatArray:
        """Return the variance (n,) of the random effects of a new group of each factor."""
        total = np.zeros(len(self.design.index))
        for g in (g for g in self.fit.groups if not g.is_curve):
            root = self.fit.scale * g.covariance.factor(estimates.theta)
            total += np.square(root.T @ g.columns_of(self.design.random)).sum(axis=0)
        return total


def rows_of(
    fit: FittedModel, bends: Bends, frame: pd.DataFrame, offset: FloatArray | None, scale: Scale
) -> Rows:
    """Read the rows of a data frame as the model sees them.

    Raises
    ------
    DataError, ModelError
        For rows with a missing value, or with coefficients that have no finite estimate.
    """
    scale = scale.for_model(fit)
    curves = bends.positions
    groups = [k for k in range(len(fit.design.random)) if scale.over_groups and k not in curves]
    new = new_design(
        fit.design,
        frame,
        random=[*curves, *groups],
        ungrouped=groups,
        offset=offset,
        auxiliary=scale.needs_auxiliary(fit),
    )
    if not new.complete.all():
        missing = int((~new.complete).sum())
        raise DataError(
            f"{counted(missing, 'row')} of newdata lack a value, so there is no average over them: leave "
            "them out"
        )
    if np.isnan(new.X).any():
        raise ModelError(
            "the data do not tell the expected response of all rows, because columns were left out of the "
            f"fit ({', '.join(fit.design.aliased)}): average over rows that the data tell, by newdata="
        )
    if not fit.solution.is_estimable(new.X).all():
        raise ModelError(
            "some rows hold coefficients without a finite estimate (separation), whose errors are unknown: "
            "leave these rows out of the average, by newdata="
        )
    return Rows(fit, scale, new, bends.columns(new.random, len(new.index)))


def bend_gradients(function: Callable[[FloatArray], FloatArray], bends: Bends) -> FloatArray:
    """Return the derivatives (r, m) of a function of the bends."""
    steps = STEP * np.diag(np.sqrt(np.maximum(np.diag(bends.cov), 0.0)))
    found = [
        (function(bends.heights + s) - function(bends.heights - s)) / (2.0 * s.max()) if s.any() else None
        for s in steps
    ]
    zero = np.zeros_like(function(bends.heights))
    columns = [zero if one is None else one for one in found]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(zero), 0))


def _check_range(family, eta):
    if not family.is_within(eta).all():
        low, high = family.eta_range
        raise ModelError(
            f"the linear predictor of {counted(int((~family.is_within(eta)).sum()), 'row')} lies outside the "
            f"range of the {family.link.name} link ({low:g} to {high:g}), so there is no mean to average: "
            "ask for a smaller change, or for kind='link'"
        )
