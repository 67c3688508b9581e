r"""How far Laplace's approximation is off where no quadrature can tell: by draws around the mode.

With crossed factors the integral over the random effects does not split. But draws
:math:`u = \hat u + L'^{-1} t`, t standard normal, tell what it leaves out: with the log ratio

.. math:: w(u) = \ell(u) - \tfrac12|u|^2 - \ell(\hat u) + \tfrac12|\hat u|^2 + \tfrac12|t|^2

the log-likelihood is Laplace's plus :math:`\log \overline{e^{w}}`, and its gradient the average of the scores
with weights in proportion to :math:`e^{w}` (Durbin and Koopman 1997, *Biometrika* 84(3)). Draws come in
pairs, t and -t, which takes away most of their noise. Where a few draws have all the weight nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.fitted import FittedGeneralizedModel
from glmmlib.models.fit_warnings import shift_of
from glmmlib.types import FloatArray

N_PAIRS, LEAST_PAIRS = 200, 50
N_ROWS = 4_000_000  # drawn in all, beyond which there are fewer pairs
N_BATCHES = 10  # of pairs, whose scatter tells the Monte Carlo error
LEAST_EFFECTIVE = 50.0  # draws


@dataclass(frozen=True)
class SampledShift:
    """What draws say of the integral's error.

    Attributes
    ----------
    parameter : str
        The one that a Newton step to the maximum of the log-likelihood moves most,
    size, error : float
        by how many standard errors, and the Monte Carlo error of that.
    log_likelihood, log_likelihood_error : float
        By how much the log-likelihood is above Laplace's, and the Monte Carlo error of that.
    n_effective : float
        Draws, as many as independent ones of equal weight would be.
    """

    parameter: str
    size: float
    error: float
    log_likelihood: float
    log_likelihood_error: float
    n_effective: float

    @property
    def is_told(self) -> bool:
        """Are there draws enough of some weight?"""
        return self.n_effective >= LEAST_EFFECTIVE


def sampled_shift(fit: FittedGeneralizedModel, rng: np.random.Generator) -> SampledShift:
    """Estimate how a Newton step with the exact gradient would move the estimates of a Laplace fit.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
    rng : numpy.random.Generator

    Returns
    -------
    SampledShift

    Examples
    --------
    >>> import numpy as np
    >>> import glmmlib as gl
    >>> from glmmlib.diagnostics.integral import sampled_shift
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = gl.glmer(formula, gl.load("cbpp"), family="binomial")
    >>> sampled_shift(fit, np.random.default_rng(1)).n_effective > 100
    True
    """
    n_pairs = int(np.clip(N_ROWS // (2 * fit.nobs), LEAST_PAIRS, N_PAIRS))
    log_ratios, gradients = _draws(fit, n_pairs, rng)
    top = log_ratios.max()
    weights = np.exp(log_ratios - top)  # (pairs, 2)
    whole = shift_of(fit, _weighted(weights, gradients), 0)
    batches = np.array_split(np.arange(n_pairs), N_BATCHES)
    sizes, logs = [], []
    for left_out in batches:  # the jackknife
        kept = np.setdiff1d(np.arange(n_pairs), left_out)
        sizes.append(shift_of(fit, _weighted(weights[kept], gradients[kept]), 0).size)
        logs.append(np.log(weights[kept].mean()))
    return SampledShift(
        whole.parameter,
        whole.size,
        _jackknife(sizes),
        float(top + np.log(weights.mean())),
        _jackknife(logs),
        float(weights.sum() ** 2 / (weights**2).sum()),
    )


def _jackknife(values: list[Any]) -> float:
    m = len(values)
    return float(np.sqrt((m - 1.0) / m * np.sum((np.array(values) - np.mean(values)) ** 2)))


def _weighted(weights: FloatArray, gradients: FloatArray) -> FloatArray:
    return np.einsum("pd,pdk->k", weights, gradients) / weights.sum()


def _draws(fit, n_pairs, rng):
    """Return the log ratios (pairs, 2) and the gradients of -2 log density (pairs, 2, k)."""
    solution = fit.solution
    problem, mode, x = solution.problem, solution.mode, solution.parameters
    beta, Lambdas, dispersion = problem.split(x)
    log_ratios, gradients = np.empty((n_pairs, 2)), np.empty((n_pairs, 2, len(x)))
    for i in range(n_pairs):
        step, _, squared = mode.factorisation.draw(rng)
        for side, sign in enumerate((1.0, -1.0)):
            u = [m + sign * d for m, d in zip(mode.u, step, strict=True)]
            eta = problem.linear_predictor(beta, Lambdas, u)
            with np.errstate(over="ignore", invalid="ignore"):
                found = problem.family.derivatives(problem.y, eta, problem.weights, dispersion, order=1)
                penalised = -2.0 * np.sum(found.kernel) + sum(np.vdot(v, v) for v in u)
            log_ratio = 0.5 * (mode.penalised - penalised + squared)
            if not np.isfinite(log_ratio):  # outside the range of the link: no weight
                log_ratios[i, side], gradients[i, side] = -np.inf, 0.0
                continue
            log_ratios[i, side] = log_ratio
            gradients[i, side] = _gradient(problem, x, found.score, eta, u, dispersion)
    return log_ratios, gradients


def _gradient(problem, x, score, eta, u, dispersion):
    """The gradient of -2 log density of the response given these effects, in all parameters."""
    G = [-2.0 * sums @ v.T for sums, v in zip(problem.by_level(score), u, strict=True)]
    tau = np.zeros(0)
    if problem.predictors.size:
        d = problem.family.dispersion_derivatives(problem.y, eta, problem.weights, dispersion)
        tau = -2.0 * problem.predictors.pull(d.logpdf)
    theta = problem.covariance.pullback(problem.theta(x), G)
    return problem.join(-2.0 * problem.Q @ score, theta, tau)
