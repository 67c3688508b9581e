"""From a fit and priors to draws of everything: which likelihood, the sample, and its parameters by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmlib.bayes.crossed import CrossedGeneralisedMarginal, CrossedLinearMarginal
from glmmlib.bayes.generalised import GeneralisedMarginal
from glmmlib.bayes.importance import sample
from glmmlib.bayes.linear import LinearMarginal
from glmmlib.bayes.marginal import Marginal
from glmmlib.bayes.scores import NormalScores
from glmmlib.bayes.specification import Priors
from glmmlib.covariance.groups import places_of, values_of
from glmmlib.fitted import FittedModel
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class Draws:
    """R draws from a posterior.

    Attributes
    ----------
    frame : DataFrame (R, parameters)
    random : list of (R, q, J) arrays
        The random effects of each grouping factor.
    roots : list of (R, q, q) arrays
        Of their covariances.
    khat, ess : float
    method : str
        How the random effects are integrated out.
    """

    frame: pd.DataFrame
    random: Sequence[FloatArray]
    roots: Sequence[FloatArray]
    khat: float
    ess: float
    method: str

    @property
    def beta(self) -> FloatArray:
        return self.frame.iloc[:, : self.n_fixef].to_numpy()

    @property
    def n_fixef(self) -> int:
        return int(self.frame.attrs["n_fixef"])

    @property
    def auxiliary(self) -> FloatArray | None:
        """Sigma or the dispersion (R,), or the widths of categories (R, m), where there are some."""
        m = int(self.frame.attrs["n_auxiliary"])
        values = self.frame.iloc[:, len(self.frame.columns) - m :].to_numpy()
        return None if m == 0 else values[:, 0] if m == 1 else values


def run(fit: FittedModel, priors: Priors, n: int | None, rng: np.random.Generator) -> Draws:
    """Draw from the posterior; ``n`` is what takes a moment if None.

    Raises
    ------
    ModelError
        Where the draws cannot be trusted.
    """
    scores = NormalScores(fit, priors)
    marginal = _marginal(fit, scores)
    found = sample(marginal, scores.start(fit), marginal.default_draws if n is None else n, rng)
    effects = marginal.effects(found.Z, found.drawn, found.which, rng)
    par = scores.at(found.Z)
    frame = named(fit, effects.beta, par.roots, par.auxiliary)
    return Draws(frame, effects.random, par.roots, found.khat, min(found.ess, len(frame)), marginal.method)


def named(
    fit: FittedModel, beta: FloatArray, roots: Sequence[FloatArray], auxiliary: FloatArray | None
) -> pd.DataFrame:
    """Return draws of the parameters by name, as profiles and bootstraps name them."""
    problem = fit.solution.problem
    theta = problem.covariance.parameters([roots[k] for k in problem.structure.order])
    columns = dict(zip(fit.design.coef_names, beta.T, strict=True))
    values = values_of(fit.groups, theta, 1.0)
    columns |= dict(zip([place.name for place in places_of(fit.groups)], values.T, strict=True))
    parts = [] if auxiliary is None else fit.solution.predictors.parts
    values = np.zeros((0, 0)) if auxiliary is None else auxiliary.reshape(len(auxiliary), -1)
    columns |= {part.auxiliary.name: value for part, value in zip(parts, values.T, strict=True)}
    frame = pd.DataFrame(columns)
    frame.attrs = {"n_fixef": beta.shape[1], "n_auxiliary": len(parts)}
    return frame


def _marginal(fit: FittedModel, scores: NormalScores) -> Marginal:
    is_one = len(fit.groups) == 1
    if fit.is_linear:
        return LinearMarginal(fit, scores) if is_one else CrossedLinearMarginal(fit, scores)
    if is_one and fit.family.is_log_concave:
        return GeneralisedMarginal(fit, scores)
    return CrossedGeneralisedMarginal(fit, scores)
