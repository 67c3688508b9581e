r"""The linear mixed model by its n x n covariance matrix.

.. math:: d(\theta) = \log|V| - \log|W| + m [1 + \log(2\pi r^2 / m)],
          \quad V = I + W^{1/2} Z\Lambda\Lambda'Z' W^{1/2},

with m = n, or for REML m = n - p and :math:`\log|X'V^{-1}X|` added.
"""

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import minimize

from support.judge_search import Factors, Verdict, promising, simplex

EXACT = (
    1e-12  # of the sum of squares: below this share the residual is gone and the likelihood has no maximum
)


class LinearJudge:
    """The profiled deviance or REML criterion of a linear mixed model."""

    def __init__(self, model):
        w = np.ones(len(model.y)) if model.weights is None else np.asarray(model.weights, float)
        root = np.sqrt(w)
        y = np.asarray(model.y, float) - (0.0 if model.offset is None else model.offset)
        X = np.asarray(model.X, float) * root[:, None]
        self.factors = Factors(model.terms, model.weights)
        self.root, self.reml, (self.n, self.p) = root, model.reml, X.shape
        scale = np.sqrt((X**2).sum(axis=0)) if self.p else np.ones(0)
        self.Q, R = np.linalg.qr(X / scale) if self.p else (X, np.zeros((0, 0)))
        y = y * root
        for _ in range(2):
            y = y - self.Q @ (self.Q.T @ y)
        self.y, self.m = y, self.n - self.p if model.reml else self.n
        self.constant = -np.log(w).sum()
        if model.reml:
            self.constant += 2 * np.log(np.abs(np.diag(R)) * scale).sum()

    def value(self, theta, gradient=False):
        return self.at_matrix(self.factors.matrix(theta) * self.root[:, None], gradient)

    def at_matrix(self, ZL, gradient=False):
        """The criterion for a given W^(1/2) Z Lambda, and its derivative in theta if asked for."""
        try:
            C = cholesky(np.eye(self.n) + ZL @ ZL.T, lower=True, check_finite=False)
            right = solve_triangular(C, np.column_stack([self.Q, self.y]), lower=True, check_finite=False)
            Qs, ys = right[:, : self.p], right[:, self.p]
            D = cholesky(Qs.T @ Qs, lower=True) if self.p else np.zeros((0, 0))
        except (LinAlgError, ValueError):
            return (np.inf, np.zeros(self.factors.n_theta)) if gradient else np.inf
        half = solve_triangular(D, Qs.T @ ys, lower=True) if self.p else np.zeros(0)
        r2 = max(ys @ ys - half @ half, 1e-300)
        value = 2 * np.log(np.diag(C)).sum() + self.m * (1 + np.log(2 * np.pi * r2 / self.m)) + self.constant
        if self.reml:
            value += 2 * np.log(np.diag(D)).sum()
        if not gradient:
            return float(value)
        ZLs = solve_triangular(C, ZL, lower=True, check_finite=False)
        B = solve_triangular(D, Qs.T @ ZLs, lower=True) if self.p else np.zeros((0, ZL.shape[1]))
        residual = ys - Qs @ solve_triangular(D.T, half, lower=False) if self.p else ys
        back = ZLs - (Qs @ solve_triangular(D.T, B, lower=False) if self.reml and self.p else 0.0)
        G = back - self.m / r2 * np.outer(residual, residual @ ZLs)
        G = 2.0 * solve_triangular(C.T, G, lower=False, check_finite=False) * self.root[:, None]
        return float(value), self.factors.pull(G)

    def residual_share(self, theta):
        """The residual sum of squares at theta as a share of that without random effects."""
        ZL = self.factors.matrix(theta) * self.root[:, None]
        C = cholesky(np.eye(self.n) + ZL @ ZL.T, lower=True)
        right = solve_triangular(C, np.column_stack([self.Q, self.y]), lower=True)
        Qs, ys = right[:, : self.p], right[:, self.p]
        rest = ys - Qs @ np.linalg.lstsq(Qs, ys, rcond=None)[0] if self.p else ys
        return (rest @ rest) / (self.y @ self.y)

    def search(self, rng, effort=1.0):
        sizes = np.geomspace(0.02, 2e3, 48)
        starts = self.factors.starts(rng, sizes, int(80 * effort) if self.factors.n_theta > 1 else 0)
        values = np.array([self.value(t) for t in starts])
        best, theta = np.inf, np.zeros(self.factors.n_theta)
        for k in promising(np.array(starts), values, int(5 * effort) + 1):
            found = minimize(
                lambda t: self.value(t, True),
                starts[k],
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 300},
            )
            if found.fun < best:
                best, theta = found.fun, found.x
        if effort:
            found = simplex(self.value, theta)
            if found.fun < best:
                best, theta = found.fun, found.x
        return Verdict(float(best), theta, bool(self.residual_share(theta) < EXACT))

    def standard_errors(self, ZL, X, sigma):
        """SEs of beta for the reported Z Lambda and sigma: sigma^2 (X'V^-1 X)^-1."""
        ZL = ZL * self.root[:, None]
        C = cholesky(np.eye(self.n) + ZL @ ZL.T, lower=True)
        half = solve_triangular(C, X * self.root[:, None], lower=True)
        R = np.linalg.qr(half)[1]
        return sigma * np.sqrt((np.linalg.inv(R) ** 2).sum(axis=1))
