r"""Importance sampling: draws from a mixture, weighted by how much denser the posterior is there.

The mixture is a t distribution around the mode and a tenth of the prior. The prior's part bounds every weight
by ten times the highest likelihood, so that a posterior with a long tail towards the prior is safe. The first
draws are a pilot, to whose mean and covariance the t distribution is matched.

The largest weights are smoothed (PSIS: Vehtari, Simpson, Gelman, Yao and Gabry 2024, *Journal of Machine
Learning Research* 25(72)): a generalised Pareto distribution is fitted to the upper tail, and its shape
:math:`\hat k` tells whether the draws can be trusted. Above 0.7 they cannot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.bayes.marginal import Marginal
from glmmlib.errors import ModelError
from glmmlib.likelihood.optimise import gradient_hessian, minimise
from glmmlib.types import FloatArray, IntArray

DF = 5.0
PRIOR_SHARE = 0.1
PILOT = 1000  # draws, or fewer where few are asked for
SURPLUS = 1.5  # weighted draws for each one that is kept
ROUNDS = 3
TRUSTED = 0.7
LEAST_CURVATURE = 0.25  # of the log posterior: no direction is taken to be wider than twice its prior


@dataclass(frozen=True, eq=False)
class Sample:
    """Scores with equal weights, and how good they are.

    Attributes
    ----------
    Z : (n, size) array
    drawn : object
        What was drawn for the weights of all that were weighted,
    which : (n,) array
        and the row there of each score.
    khat : float
    ess : float
        Effective sample size of the weights.
    n_weighted : int
    """

    Z: FloatArray
    drawn: Any
    which: IntArray
    khat: float
    ess: float
    n_weighted: int


def sample(marginal: Marginal, start: FloatArray, n: int, rng: np.random.Generator) -> Sample:
    """Draw n scores from the posterior.

    Raises
    ------
    ModelError
        Where khat stays above 0.7.
    """
    centre, root = _around_mode(marginal, start)
    size = math.ceil(SURPLUS * n)
    X, log_weights, _ = _weighted(marginal, centre, root, min(PILOT, size), rng)
    for _ in range(ROUNDS):
        weights, _ = smoothed(log_weights)
        centre, root = _matched(X, weights, centre, root)
        X, log_weights, drawn = _weighted(marginal, centre, root, size, rng)
        weights, khat = smoothed(log_weights)
        if khat <= TRUSTED:
            which = resampled(weights, n, rng)
            return Sample(X[which], drawn, which, khat, float(1.0 / (weights**2).sum()), size)
    raise ModelError(
        f"the draws cannot be trusted: khat, the shape of the tail of their weights, is {khat:.2f} and "
        f"stays above {TRUSTED} after {ROUNDS} rounds with {marginal.scores.size} parameters to be weighted; "
        "narrower priors or fewer parameters help, and khat also sees data that tell nothing about one"
    )


def _around_mode(marginal: Marginal, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the posterior mode, and a root of the inverse curvature there."""

    def negative(z: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = marginal.gradient(z)
        return float(0.5 * z @ z - value) if np.isfinite(gradient).all() else np.inf, z - gradient

    def objective(z: FloatArray) -> tuple[float, Any]:
        value, gradient = negative(z)
        return value, lambda: gradient

    begin = next((z for z in (start, 0.5 * start, 0.0 * start) if np.isfinite(negative(z)[0])), None)
    if begin is None:
        raise ModelError(
            "the likelihood has no value at the estimates, nor in the middle of the priors: narrower priors "
            "help, or a link whose range has no end"
        )
    mode = minimise(objective, begin, np.eye(len(begin)) * 0.1, tolerance=1e-6, max_iterations=200).x
    H = gradient_hessian(lambda z: negative(z)[1], mode, np.full(len(mode), 1e-3))
    values, vectors = np.linalg.eigh(np.nan_to_num(H))
    return mode, vectors / np.sqrt(np.maximum(values, LEAST_CURVATURE))


def _matched(
    X: FloatArray, weights: FloatArray, centre: FloatArray, root: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return mean and root of the covariance of weighted draws; the old ones where these tell too little."""
    if 1.0 / (weights**2).sum() < 2.0 * X.shape[1]:
        return centre, root
    mean = weights @ X
    deviations = X - mean
    covariance = (weights[:, None] * deviations).T @ deviations
    return mean, np.linalg.cholesky(covariance + 1e-10 * np.eye(len(mean)))


def _weighted(
    marginal: Marginal, centre: FloatArray, root: FloatArray, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, Any]:
    """Draw n scores from the mixture; return them with their log weights and what was drawn for these."""
    d = len(centre)
    T: Any = rng.standard_normal((n, d)) / np.sqrt(rng.chisquare(DF, size=(n, 1)) / DF)
    from_prior = rng.random(n) < PRIOR_SHARE
    prior_draws = rng.standard_normal((n, d))
    X = np.where(from_prior[:, None], prior_draws, centre + T @ root.T)
    T = np.linalg.solve(root, (X - centre).T).T
    constant = math.lgamma(0.5 * (DF + d)) - math.lgamma(0.5 * DF) - 0.5 * d * math.log(DF * math.pi)
    log_t = constant - 0.5 * (DF + d) * np.log1p((T**2).sum(axis=1) / DF) - np.linalg.slogdet(root)[1]
    log_prior = -0.5 * (X**2).sum(axis=1) - 0.5 * d * math.log(2.0 * math.pi)
    proposal = np.logaddexp(math.log(1.0 - PRIOR_SHARE) + log_t, math.log(PRIOR_SHARE) + log_prior)
    value, drawn = marginal.weigh(X, rng)
    return X, value + log_prior - proposal, drawn


def smoothed(log_weights: FloatArray) -> tuple[FloatArray, float]:
    """Smooth the largest of importance weights by a generalised Pareto distribution.

    Parameters
    ----------
    log_weights : (n,) array
        Up to a constant; minus infinity for a weight of zero.

    Returns
    -------
    weights : (n,) array
        Their sum is one.
    khat : float
        The shape of the tail; infinite where there is no weight to speak of.
    """
    n = len(log_weights)
    top = log_weights.max()
    if not np.isfinite(top):
        return np.full(n, 1.0 / n), math.inf
    w = np.exp(log_weights - top)
    n_tail = math.ceil(min(0.2 * n, 3.0 * math.sqrt(n)))
    order = np.argsort(w, kind="stable")
    tail, cutoff = order[-n_tail:], max(w[order[-n_tail - 1]], np.finfo(float).tiny)
    excess = w[tail] - cutoff
    if not excess[-1] > 0.0:  # all of them equal
        return w / w.sum(), -math.inf
    if not excess[n_tail // 4] > 0.0:  # a few hold all the weight
        return w / w.sum(), math.inf
    shape, scale = pareto_fit(excess)
    p = (np.arange(n_tail) + 0.5) / n_tail
    quantile = -np.log1p(-p) if abs(shape) < 1e-12 else np.expm1(-shape * np.log1p(-p)) / shape
    w[tail] = np.minimum(cutoff + scale * quantile, 1.0)
    return w / w.sum(), float(shape)


def pareto_fit(x: FloatArray) -> tuple[float, float]:
    """Return shape and scale of the generalised Pareto distribution of sorted, mostly positive values.

    The posterior mean over a grid of Zhang and Stephens (2009, *Technometrics* 51(3)), with the shape drawn
    towards 1/2 as by ten further observations.
    """
    n = len(x)
    m = 30 + int(math.sqrt(n))
    quarter = x[n // 4]
    theta = 1.0 / x[-1] + (1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3.0 * quarter)
    shapes = np.log1p(-theta[:, None] * x).mean(axis=1)
    log_profile = n * (np.log(-theta / shapes) - shapes - 1.0)
    weights = np.exp(log_profile - log_profile.max())
    best = float(weights @ theta / weights.sum())
    shape = float(np.log1p(-best * x).mean())
    scale = -shape / best
    return (n * shape + 10.0 * 0.5) / (n + 10.0), scale


def resampled(weights: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    """Return n rows in random order, each as often as its weight says, but for less than one (systematic
    resampling).
    """
    places = (rng.random() + np.arange(n)) / n
    found = np.searchsorted(np.cumsum(weights), places)
    return rng.permutation(np.minimum(found, len(weights) - 1))
