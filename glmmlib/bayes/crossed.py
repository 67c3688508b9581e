r"""Posteriors of models with several grouping factors, one point at a time.

Linear models are exact, as with one grouping factor. In generalised models crossed groups leave no small
integrals, and Laplace's approximation is off where groups are small. So K draws of all random effects from a
t distribution around their joint mode estimate the likelihood without bias,

.. math:: p(y \mid z) \approx \frac1K \sum_k \frac{p(y, u_k \mid z)}{q(u_k \mid z)},

and one of the K, chosen by its share of the sum, is a draw of the random effects. So are families whose
log-density is not concave, with one grouping factor too: modes are searched for one by one there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from glmmlib.bayes.generalised import JointGradient
from glmmlib.bayes.linear import coefficients_prior
from glmmlib.bayes.marginal import Effects, Marginal, standardised
from glmmlib.bayes.scores import NormalScores
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.glmm import RangeError
from glmmlib.linalg.pls import CrossProducts, Factorisation
from glmmlib.types import FloatArray, IntArray

K = 4
TOLERANCE = 1e-5  # of PIRLS: draws around a mode need it no better
LEAST_DF = 8.0  # of the t distribution around the joint mode; as many as effects, so that radii agree


class CrossedLinearMarginal(Marginal):
    """A linear model with several grouping factors.

    Parameters
    ----------
    fit : LinearMixedModelFit
    scores : NormalScores
    """

    method = "coefficients and random effects are integrated out exactly"
    default_draws = 1000

    def __init__(self, fit: FittedModel, scores: NormalScores) -> None:
        self.scores, self.problem, self.groups = scores, fit.solution.problem, fit.groups
        self.order = self.problem.structure.order

    def log_likelihood(self, Z: FloatArray) -> FloatArray:
        return np.array([self._solve(z)[0] for z in Z])

    def _solve(self, z: FloatArray) -> tuple[float, Any]:
        problem, par = self.problem, self.scores.at(z[None])
        assert par.auxiliary is not None and par.spread is not None
        sigma = float(par.auxiliary[0])
        roots = standardised(self.groups, [root[0] / sigma for root in par.roots])
        Lambdas = [roots[k] for k in self.order]
        prior = coefficients_prior(problem, self.scores, par.spread)
        Q = sigma**2 * prior.precision[0]
        cross = CrossProducts(problem.cross.A, problem.cross.C, problem.cross.ZX, problem.cross.XX + Q)
        try:
            factorisation = Factorisation(problem.structure, cross, Lambdas)
        except np.linalg.LinAlgError:
            return -math.inf, None
        sides = [L.T @ Zy for L, Zy in zip(Lambdas, problem.Zy, strict=True)]
        u, gamma, explained = factorisation.solve(sides, problem.Xy + Q @ prior.mean)
        r2 = problem.yy + prior.mean @ Q @ prior.mean - explained
        value = factorisation.log_det_Z + factorisation.log_det_X - prior.log_det[0]
        value += (problem.n - problem.p) * 2.0 * math.log(sigma) + r2 / sigma**2
        return -0.5 * float(value), (factorisation, Lambdas, sigma, u, gamma)

    def effects(self, Z: FloatArray, drawn: Any, which: IntArray, rng: np.random.Generator) -> Effects:
        problem = self.problem
        beta = np.empty((len(Z), problem.p))
        random = [np.empty((len(Z), g.q, len(g.levels))) for g in self.groups]
        for i, z in enumerate(Z):
            factorisation, Lambdas, sigma, u, gamma = self._solve(z)[1]
            du, dgamma, _ = factorisation.draw(rng)
            beta[i] = problem.beta_ols + np.linalg.solve(problem.R, gamma + sigma * dgamma)
            for place, k in enumerate(self.order):
                to_user = self.groups[k].factor.to_standard @ Lambdas[place]
                random[k][i] = to_user @ (u[place] + sigma * du[place])
        return Effects(beta, random)


class CrossedGeneralisedMarginal(JointGradient):
    """A generalised model with several grouping factors.

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
    scores : NormalScores
    """

    method = f"random effects are integrated out by {K} draws around their joint mode"
    default_draws = 1000

    def __init__(self, fit: FittedModel, scores: NormalScores) -> None:
        self.scores, self.groups = scores, fit.groups
        self.problem = fit.solution.problem.precise(fit.solution.mode.u)
        self.problem.quadrature = None

    def log_likelihood(self, Z: FloatArray) -> FloatArray:
        return np.array([self.gradient(z)[0] for z in Z])

    def weigh(self, Z: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, Any]:
        values = np.full(len(Z), -np.inf)
        drawn = [np.zeros((len(Z), g.q, len(g.levels)), np.float32) for g in self.groups]
        for i, z in enumerate(Z):
            found = self._estimate(z, rng)
            if found is not None:
                values[i], u = found
                for kept, b in zip(drawn, u, strict=True):
                    kept[i] = b
        return values, drawn

    def effects(self, Z: FloatArray, drawn: Any, which: IntArray, rng: np.random.Generator) -> Effects:
        par = self.scores.at(Z)
        assert par.beta is not None
        return Effects(par.beta, [b[which].astype(float) for b in drawn])

    def _estimate(self, z: FloatArray, rng: np.random.Generator) -> Any:
        """Return the estimate of the log-likelihood, and a draw of the random effects (user's columns)."""
        problem = self.problem
        beta, Lambdas, dispersion = self.engine_point(z)
        try:
            mode = problem.mode(beta, Lambdas, dispersion, TOLERANCE)
        except (np.linalg.LinAlgError, RangeError):
            return None
        st, m = problem.structure, sum(f.n_columns for f in problem.structure.factors)
        df, draws, log_ratios = max(LEAST_DF, m), [], np.empty(K)
        for k in range(K):
            step, _, squared = mode.factorisation.draw(rng)
            divisor = rng.chisquare(df) / df
            u = [x + d / math.sqrt(divisor) for x, d in zip(mode.u, step, strict=True)]
            eta = problem.linear_predictor(beta, Lambdas, u)
            with np.errstate(over="ignore", invalid="ignore"):
                d = problem.family.derivatives(problem.y, eta, problem.weights, dispersion, order=0)
            log_joint = d.kernel.sum() - 0.5 * sum(np.vdot(x, x) for x in u)
            log_ratios[k] = log_joint - _t_log_density(squared / divisor, m, df)
            draws.append(u)
        log_ratios = np.where(np.isfinite(log_ratios), log_ratios, -np.inf)
        top = log_ratios.max()
        shares = np.exp(log_ratios - top)
        value = top + math.log(shares.mean()) - 0.5 * mode.factorisation.log_det_Z
        value -= 0.5 * m * math.log(2.0 * math.pi) + 0.5 * problem.constants(dispersion)
        chosen = draws[rng.choice(K, p=shares / shares.sum())]
        b = [np.zeros(0)] * len(self.groups)
        for place, k in enumerate(st.order):
            b[k] = self.groups[k].factor.to_standard @ Lambdas[place] @ chosen[place]
        return value, b


def _t_log_density(squared: float, m: int, df: float) -> float:
    """Return the log-density of a t distribution of dimension m at a squared distance."""
    constant = math.lgamma(0.5 * (df + m)) - math.lgamma(0.5 * df) - 0.5 * m * math.log(df * math.pi)
    return constant - 0.5 * (df + m) * math.log1p(squared / df)
