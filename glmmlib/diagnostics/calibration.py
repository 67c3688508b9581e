r"""Statistics of residuals with the null distribution that they have *after fitting*.

A test that takes the estimates for the truth is conservative, for the estimates fit the data they come from.
So responses are drawn from the fit, the model is refitted to each, and every statistic is computed for the
refits as it was for the fit: its rank among them is a p-value that is right up to the uncertainty of the
parameters (parametric bootstrap).

All statistics start from the linear predictor with the conditional modes in it and from two residuals: the
randomised quantile residual (``glmmlib.tails``) with its normal score z, and the score :math:`s_i =
\partial\ell_i/\partial\eta_i`. For a linear model :math:`s = V^{-1}(y - X\hat\beta)`, so :math:`B's` tests
the columns B as further fixed effects, and

.. math:: q = \sum_j \Big(\sum_{i \in j} \tilde x_i s_i\Big)^2 \Big/ \sum_i \tilde x_i^2 s_i^2,

with x freed within each group from the random effects it has, is (but for the divisor) the score statistic of
a variance of the slopes of x (Cox and Hinkley 1974, *Theoretical Statistics*, chapter 9, on tests by scores).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import chdtrc

from glmmlib.covariance.groups import Group
from glmmlib.diagnostics.quantile_residuals import normal_scores, tails, zero_probability
from glmmlib.diagnostics.residuals import counts_zeros, two_sided, uniform_distance
from glmmlib.fitted import FittedModel
from glmmlib.replicates.refits import refit_many
from glmmlib.replicates.views import auxiliary_in_rows, conditional_predictors, response_of
from glmmlib.types import FloatArray
from glmmlib.variance.between import covariates

CHUNK_NUMBERS = 400_000  # rows times replicates that are worked on at a time
AT_A_TIME = 50  # refits between two looks at the clock
FREE = (
    1e-8  # share of a column's squares that has to be left, once freed from others, for it to say something
)


@dataclass(frozen=True, eq=False)
class Patterns:
    """What the scores are compared with.

    ``curves`` holds for each numeric covariate its quadratic and cubic (n, k), free of X; ``slopes`` for each
    pair (group, column of X) the column within the groups, as a sparse matrix (J, n).
    """

    curves: dict
    slopes: dict

    @classmethod
    def of(cls, fit: FittedModel) -> Patterns:
        return cls(_curves(fit), _slopes(fit))


def _curves(fit: FittedModel) -> dict[str, FloatArray]:
    X = fit.X / np.maximum(np.linalg.norm(fit.X, axis=0), 1e-300)
    Q = np.linalg.qr(X)[0]
    found = {}
    for name in covariates(fit, ("fixed",)):
        column = fit.design.data[name]
        if column.dtype.kind not in "iuf" or column.nunique() < 3:
            continue
        x = column.to_numpy(float)
        x = (x - x.mean()) / x.std()
        powers = np.stack([x**2, x**3], axis=1)
        rest = powers - Q @ (Q.T @ powers)
        U, size, _ = np.linalg.svd(rest / np.linalg.norm(powers, axis=0), full_matrices=False)
        if (kept := size**2 > FREE).any():
            found[name] = U[:, kept]
    return found


def _slopes(fit: FittedModel) -> dict[tuple[str, str], Any]:
    found = {}
    for g in (g for g in fit.groups if not g.is_curve):
        codes, J = g.factor.codes, len(g.levels)
        for name, x in zip(fit.params.index, fit.X.T, strict=True):
            rest = x - _within_group_fit(g, x)
            if rest @ rest > FREE * (x @ x):
                entries = rest / np.sqrt(rest @ rest), (codes, np.arange(len(x)))
                found[g.name, name] = sparse.csr_array(entries, shape=(J, len(x)))
    return found


def _within_group_fit(group: Group, x: FloatArray) -> FloatArray:
    """Return the least squares fit of x on the group's random-effects columns, in each group by itself."""
    Z, codes, J = group.factor.columns(), group.factor.codes, len(group.levels)
    A = np.array([[np.bincount(codes, a * b, minlength=J) for b in Z] for a in Z])
    Zx = np.array([np.bincount(codes, z * x, minlength=J) for z in Z])
    inverse = np.linalg.pinv(np.moveaxis(A, 2, 0), rcond=1e-10, hermitian=True)
    coefficients = np.einsum("jab,bj->aj", inverse, Zx)
    return np.einsum("an,an->n", Z, coefficients[:, codes])


@dataclass(frozen=True, eq=False)
class Calibration:
    """Statistics of a fit (``found``) and of n refits (``drawn``, the refits along the first axis), by name.

    ``scores`` are the normal scores of the fit's quantile residuals, ``values`` the residuals themselves.
    """

    found: dict
    drawn: dict
    patterns: Patterns
    values: np.ndarray
    scores: np.ndarray

    def p_upper(self, name: str) -> float:
        """Share of the refits, with the fit, whose statistic is as large."""
        return _upper(self.found[name], self.drawn[name])

    def p_two_sided(self, name: str) -> float:
        return two_sided(self.found[name], self.drawn[name])

    def curve(self) -> tuple[str, float]:
        """Return the covariate with the clearest curve, and the p-value that allows for the search."""
        pooled = np.concatenate([self.found["curves"][None], self.drawn["curves"]])
        surprise, start = [], 0
        for basis in self.patterns.curves.values():
            k = basis.shape[1]
            part = pooled[:, start : start + k]
            part = part - part.mean(axis=0)
            q = np.einsum("ra,ab,rb->r", part, np.linalg.pinv(part.T @ part / len(part)), part)
            surprise.append(-np.log(np.maximum(chdtrc(k, q), 1e-300)))
            start += k
        return self._largest(list(self.patterns.curves), np.array(surprise))

    def slope(self) -> tuple[tuple[str, str], float]:
        """Return the pair (group, column) whose slopes vary most beyond the model, and its p-value."""
        pooled = np.concatenate([self.found["slopes"][None], self.drawn["slopes"]])
        z = (pooled - pooled.mean(axis=0)) / np.maximum(pooled.std(axis=0), 1e-300)
        return self._largest(list(self.patterns.slopes), z.T)

    @staticmethod
    def _largest(names: Sequence[Any], surprise: FloatArray) -> tuple[Any, float]:
        worst = surprise.max(axis=0)
        return names[int(np.argmax(surprise[:, 0]))], _upper(worst[0], worst[1:])


def _upper(found: float, drawn: FloatArray) -> float:
    return float((1 + (drawn >= found).sum()) / (len(drawn) + 1))


def calibrate(fit: FittedModel, n: int, rng: np.random.Generator) -> Calibration:
    """Compute all statistics of a fit and of n refits to responses drawn from it."""
    from tqdm import tqdm

    patterns = Patterns.of(fit)
    auxiliary = np.atleast_1d(fit.auxiliary)[None] if fit.has_dispersion else None
    y = fit.design.y[:, None]
    found, values, scores = _statistics(
        fit, patterns, y, fit.solution.linear_predictor()[:, None], auxiliary, rng
    )
    pieces = []
    with tqdm(total=n, desc="refits", delay=2, leave=False, disable=None) as bar:
        for start in range(0, n, AT_A_TIME):
            Y = fit.simulate(min(AT_A_TIME, n - start), rng=rng)
            refits = refit_many(fit, Y, errors=False)
            eta = conditional_predictors(fit, refits, Y)
            pieces.append(_statistics(fit, patterns, Y, eta, auxiliary_in_rows(fit, refits), rng)[0])
            bar.update(Y.shape[1])
    drawn = {name: np.concatenate([piece[name] for piece in pieces]) for name in found}
    return Calibration(
        {name: value[0] for name, value in found.items()}, drawn, patterns, values[0], scores[0]
    )


def _statistics(fit, patterns, Y, eta, auxiliary, rng):
    """Return the statistics of R responses (n, R), by name and with R along the first axis, and u and z of
    the last chunk.
    """
    step, parts = max(1, CHUNK_NUMBERS // len(Y)), []
    for start in range(0, Y.shape[1], step):
        piece = slice(start, start + step)
        row = Rows.of(fit, Y[:, piece], eta[:, piece], None if auxiliary is None else auxiliary[piece])
        u, z = row.quantile_residuals(rng)
        parts.append(row.statistics(patterns, u, z))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, u, z


@dataclass(frozen=True, eq=False)
class Rows:
    """R responses and their linear predictors, (R, n), with what the family needs beside them."""

    fit: FittedModel
    y: np.ndarray
    eta: np.ndarray
    weights: np.ndarray | None
    dispersion: np.ndarray | None

    @classmethod
    def of(cls, fit: FittedModel, Y: FloatArray, eta: FloatArray, dispersion: FloatArray) -> Rows:
        y = np.array([response_of(fit, column)[0] for column in Y.T])
        return cls(fit, y, eta.T, fit.observations[1], dispersion)

    def quantile_residuals(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        found = tails(self.fit.family, self.y, self.eta, self.weights, self.dispersion)
        u, complement = found.randomised(rng)
        return u, normal_scores(u, complement)

    def statistics(self, patterns: Patterns, u: FloatArray, z: FloatArray) -> dict[str, FloatArray]:
        scores = self._scores()
        found = {
            "uniformity": np.array([uniform_distance(row) for row in u]),
            "outliers": np.abs(z).max(axis=1),
        }
        if is_free_of_dispersion(self.fit):
            found["dispersion"] = self._pearson_squares()
        elif np.ptp(self.fit.solution.fixed_predictor()) > 0:
            found["spread"] = _correlations(np.abs(z), self.eta)
        if counts_zeros(self.fit):
            p0 = zero_probability(self.fit.family, self.eta, self.weights, self.dispersion)
            found["zeros"] = (self.y == 0).sum(axis=1) - p0.sum(axis=1)
        # Each is divided by its size if the scores were independent, so that too much spread is not taken for
        # a pattern.
        if patterns.curves:
            B = np.concatenate(list(patterns.curves.values()), axis=1)
            found["curves"] = scores @ B / np.sqrt(scores**2 @ B**2)
        if patterns.slopes:
            found["slopes"] = np.stack(
                [_slope_statistic(x, scores.T) for x in patterns.slopes.values()], axis=1
            )
        return found

    def _scores(self):
        return self.fit.family.derivatives(self.y, self.eta, self.weights, self.dispersion, order=1).score

    def _pearson_squares(self):
        family = self.fit.family
        mean = family.mean(self.eta, self.dispersion)
        variance = family.variance(family.link.inverse(self.eta), self.weights, self.dispersion)
        return ((family.observed(self.y, self.weights) - mean) ** 2 / variance).mean(axis=1)


def is_free_of_dispersion(fit: FittedModel) -> bool:
    """Does the mean alone fix the variance, so that there can be too much of it?  (With 0/1 responses there
    cannot.)
    """
    return fit.family.can_scatter_more(fit.observations[1])


def _slope_statistic(x: Any, scores: FloatArray) -> FloatArray:
    return ((x @ scores) ** 2).sum(axis=0) / (x.power(2) @ scores**2).sum(axis=0)


def _correlations(a: FloatArray, b: FloatArray) -> FloatArray:
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("rn,rn->r", a, a) * np.einsum("rn,rn->r", b, b))
    return np.einsum("rn,rn->r", a, b) / np.maximum(size, 1e-300)
