r"""From normal scores to parameters: the coordinates in which a posterior is explored.

A priori all scores are independent and standard normal. Those of a covariance are SDs and partial
correlations of the effects at the means of their columns: with :math:`T` the map back to the columns as they
are, and :math:`L_c` the root of the covariance at the means, :math:`L = T L_c`. So the origin of a predictor
changes no draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmmlib.bayes.specification import Priors, is_constant
from glmmlib.covariance.groups import Group
from glmmlib.fitted import FittedModel
from glmmlib.types import FloatArray

FARTHEST_START = 3.0  # scores from which a search begins lie within so many SDs of the prior
LEAST_SHARE = 0.05  # SDs from which it begins are no smaller, in parts of what their prior says


@dataclass(frozen=True, eq=False)
class Parameters:
    """What R vectors of scores stand for.

    Attributes
    ----------
    beta : (R, p) array or None
        The user's coefficients; None where they are integrated out.
    roots : list of (R, q, q) arrays
        A root of the covariance of each grouping factor of the formula, on the user's columns.
    auxiliary : (R,) or (R, m) array, or None
        Sigma, the dispersion, or the widths of ordered categories.
    spread : (R, p) array or None
        Prior SDs of the coefficients at the means, where they are integrated out.
    """

    beta: FloatArray | None
    roots: Sequence[FloatArray]
    auxiliary: FloatArray | None
    spread: FloatArray | None = None


class NormalScores:
    """The scores of all parameters that are not integrated out.

    Parameters
    ----------
    fit : MixedModelFit
    priors : Priors

    Attributes
    ----------
    size : int
    location : (p,) array
        Prior means of the coefficients at the means of the predictors.
    to_user : (p, p) array
        From these coefficients to the user's.
    """

    def __init__(self, fit: FittedModel, priors: Priors) -> None:
        self.priors, self.groups = priors, fit.groups
        self.is_linear = fit.is_linear
        self.fixef = list(priors.fixef.values())
        self.to_user = _to_user(fit.solution.X, priors.intercept)
        self.location = np.array([prior.location for prior in self.fixef])
        self.blocks = [
            _Block(group, columns, has_corr, k, priors)
            for k, group in enumerate(self.groups)
            for columns, has_corr in _parts(group)
        ]
        self.tails = [k for k, prior in enumerate(self.fixef) if self.is_linear and prior.mixing]
        self.n_beta = 0 if self.is_linear else len(self.fixef)
        self.n_scales = sum(block.size for block in self.blocks)
        self.size = self.n_beta + self.n_scales + len(priors.auxiliary) + len(self.tails)

    def at(self, Z: FloatArray) -> Parameters:
        """Return the parameters at scores (R, size)."""
        beta, spread, auxiliary = None, None, None
        if self.n_beta:
            columns = [prior.from_normal(Z[:, k]) for k, prior in enumerate(self.fixef)]
            beta = np.stack(columns, axis=1) @ self.to_user.T
        elif not self.is_linear:
            beta = np.zeros((len(Z), 0))
        roots = [np.zeros((len(Z), g.q, g.q)) for g in self.groups]
        start = self.n_beta
        for block in self.blocks:
            rows = np.ix_(range(len(Z)), block.columns, block.columns)
            roots[block.group][rows] = block.root(Z[:, start : start + block.size])
            start += block.size
        values = [p.from_normal(Z[:, start + k]) for k, p in enumerate(self.priors.auxiliary.values())]
        if values:
            auxiliary = values[0] if len(values) == 1 else np.stack(values, axis=1)
            start += len(values)
        if self.is_linear:
            spread = np.tile([prior.scale for prior in self.fixef], (len(Z), 1))
            for place, mixing in enumerate(filter(None, (prior.mixing for prior in self.fixef))):
                spread[:, self.tails[place]] /= np.sqrt(mixing.from_normal(Z[:, start + place]))
        return Parameters(beta, roots, auxiliary, spread)

    def start(self, fit: FittedModel) -> FloatArray:
        """Return scores (size,) near the estimates, from which to look for the posterior mode."""
        z = np.zeros(self.size)
        if self.n_beta and fit.separation is None:
            at_means = np.linalg.solve(self.to_user, fit.solution.estimates.beta)
            z[: self.n_beta] = [p.to_normal(b) for p, b in zip(self.fixef, at_means, strict=True)]
        start = self.n_beta
        for block in self.blocks:
            root = fit.scale * fit.solution.Lambdas[block.group]
            z[start : start + len(block.sds)] = block.scores_of(root)
            start += block.size
        for name, prior in self.priors.auxiliary.items():
            value = fit.solution.predictors.named(fit.solution.estimates.auxiliary)[name]
            with np.errstate(divide="ignore"):
                z[start] = np.nan_to_num(prior.to_normal(value))
            start += 1
        return np.clip(z, -FARTHEST_START, FARTHEST_START)


class _Block:
    """The covariance of the effects of one term."""

    def __init__(self, group: Group, columns: range, has_corr: bool, place: int, priors: Priors) -> None:
        self.group, self.columns = place, columns
        self.sds = [priors.sd[place][k] for k in columns]
        q = len(self.sds)
        self.corr = priors.corr[place] if has_corr and q > 1 else None
        self.size = q + (q * (q - 1) // 2 if self.corr else 0)
        self.to_user = np.eye(q)
        constant = next((k for k in range(q) if is_constant(group.factor.Z[columns[k]])), None)
        if constant is not None:
            self.to_user[constant] -= priors.centres[place][columns] / group.factor.Z[columns[constant]][0]

    def root(self, Z: FloatArray) -> FloatArray:
        """Return a root (R, q, q) of the covariance at scores (R, size)."""
        q = len(self.sds)
        sd = np.stack([prior.from_normal(Z[:, k]) for k, prior in enumerate(self.sds)], axis=1)
        if self.corr is None:
            return self.to_user @ (sd[:, :, None] * np.eye(q))
        return self.to_user @ (sd[:, :, None] * self.corr.root(Z[:, q:], q))

    def scores_of(self, root: FloatArray) -> list[float]:
        """Return the scores of the SDs of an estimate, none of them at zero."""
        at_means = np.linalg.solve(self.to_user, root[np.ix_(self.columns, self.columns)])
        sds = np.sqrt((at_means**2).sum(axis=1))
        return [
            float(prior.to_normal(max(sd, LEAST_SHARE * float(prior.from_normal(np.zeros(1))[0]))))
            for prior, sd in zip(self.sds, sds, strict=True)
        ]


def _parts(group: Group) -> Sequence[tuple[range, bool]]:
    return [(b.columns, b.structure.has_free_correlations) for b in group.covariance.blocks]


def _to_user(X: FloatArray, intercept: int | None) -> FloatArray:
    T = np.eye(X.shape[1])
    if intercept is not None:
        means = X.mean(axis=0) / X[0, intercept]
        T[intercept] -= np.where(np.arange(len(T)) == intercept, 0.0, means)
    return T
