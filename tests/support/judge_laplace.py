r"""The generalised linear mixed model by Laplace's approximation with the observed information.

.. math:: -2\log L = -2\sum_i \ell_i(\hat\eta_i) + |\hat u|^2 + \log|I + \Lambda'Z'WZ\Lambda|.
"""

import numpy as np
from scipy import special as sp
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from support.judge_densities import DENSITIES, WITH_DISPERSION
from support.judge_search import Factors, Verdict, promising, simplex

TAYLOR = 1e-4  # step of differences in eta
RUNS_OFF = 10.0  # an SE of the log dispersion that only an infinite or a zero dispersion has
NEAR = 1e-5  # what a Newton step may still gain


class LaplaceJudge:
    """-2 log L by Laplace's approximation, as a function of (beta, theta, log dispersion)."""

    def __init__(self, model):
        self.density = DENSITIES[model.family]
        self.has_dispersion = model.family[0] in WITH_DISPERSION
        self.family = model.family
        self.y, self.w = (
            np.asarray(model.y, float),
            None if model.weights is None else np.asarray(model.weights, float),
        )
        self.X = np.asarray(model.X, float)
        self.R = np.linalg.qr(self.X)[1] / np.sqrt(len(self.y)) if self.X.shape[1] else np.zeros((0, 0))
        self.Q = np.linalg.solve(self.R.T, self.X.T).T if self.X.shape[1] else self.X
        self.p = self.X.shape[1]
        self.offset = np.zeros(len(self.y)) if model.offset is None else np.asarray(model.offset, float)
        self.factors = Factors(model.terms, None)
        self.u = None

    def terms(self, eta, k, order=2):
        """log-density, score and weight of each row; with order 3 also the slope of the weight."""
        with np.errstate(all="ignore"):
            found = self.density(self.y, eta, self.w, k)
            if order < 3:
                return found
            step = TAYLOR
            ahead, behind = (self.density(self.y, eta + s, self.w, k)[2] for s in (step, -step))
            return *found, (ahead - behind) / (2 * step)

    def mode(self, fixed, V, k):
        """Newton's method for the conditional mode, halving steps that do not descend."""
        best = None
        for u in ([self.u] if self.u is not None and len(self.u) == V.shape[1] else []) + [
            np.zeros(V.shape[1])
        ]:
            eta = fixed + V @ u
            value = -self.terms(eta, k)[0].sum() + 0.5 * u @ u
            if np.isfinite(value) and (best is None or value < best[0]):
                best = value, u, eta
        if best is None:
            return None
        (value, u, eta), last = best, np.inf
        for _ in range(200):
            _, s, W = self.terms(eta, k)
            g = V.T @ s - u
            H = np.eye(len(u)) + V.T @ (W[:, None] * V)
            try:
                C = cholesky(H, lower=True)
            except (LinAlgError, ValueError):
                return None
            step = cho_solve((C, True), g)
            decrement = step @ g
            if (
                decrement < NEAR
            ):  # so near Newton's steps need no control, and differences of values are rounding
                u = u + step
                eta = fixed + V @ u
                if decrement < 1e-16 or decrement > 0.5 * last:
                    return u, eta
                last = decrement
                continue
            length = 1.0
            while length > 1e-10:
                new_eta = fixed + V @ (u + length * step)
                new = -self.terms(new_eta, k)[0].sum() + 0.5 * np.sum((u + length * step) ** 2)
                if new <= value + 1e-13 * abs(value):
                    break
                length *= 0.5
            else:
                return u, eta
            u, eta, value = u + length * step, new_eta, new
        return u, eta

    def at(self, beta, V, tau=None, gradient=False):
        """The objective at beta (of the X given), Z Lambda and log dispersion, and if asked its gradients."""
        return self._at(self.X, beta, V, tau, gradient)

    def _at(self, X, beta, V, tau, gradient):
        k = None if tau is None else float(np.exp(np.clip(tau, -60, 60)))
        found = self.mode(self.offset + X @ beta, V, k)
        if found is None:
            return (np.inf, None, None, None) if gradient else np.inf
        u, eta = found
        log_density, s, W, dW = self.terms(eta, k, 3)
        try:
            C = cholesky(np.eye(len(u)) + V.T @ (W[:, None] * V), lower=True)
        except (LinAlgError, ValueError):
            return (np.inf, None, None, None) if gradient else np.inf
        self.u = u
        value = float(-2 * log_density.sum() + u @ u + 2 * np.log(np.diag(C)).sum())
        if not np.isfinite(value):
            return (np.inf, None, None, None) if gradient else np.inf
        if not gradient:
            return value
        half = solve_triangular(C, V.T, lower=True)  # (r, n)
        h = (half**2).sum(axis=0)
        c = h * dW
        kappa = cho_solve((C, True), V.T @ c)
        a = c - W * (V @ kappa) - 2 * s
        back = cho_solve((C, True), V.T).T * W[:, None]
        G = np.outer(a, u) + np.outer(s, kappa) + 2 * back
        d_tau = None
        if tau is not None:
            with np.errstate(all="ignore"):
                step = 1e-4
                up, down = (self.density(self.y, eta, self.w, np.exp(tau + e)) for e in (step, -step))
            dl, ds, dw = ((x - y) / (2 * step) for x, y in zip(up, down, strict=True))
            d_tau = float(-2 * dl.sum() + h @ dw + (V @ kappa) @ ds)
        return value, X.T @ a, G, d_tau

    def split(self, x):
        return x[: self.p], x[self.p : self.p + self.factors.n_theta], x[-1] if self.has_dispersion else None

    def value(self, x, gradient=False):
        """The objective in (beta of orthogonal columns, theta, log dispersion)."""
        beta, theta, tau = self.split(x)
        bad = not np.all(np.isfinite(x)) or np.abs(x).max(initial=0) > 1e4
        found = (
            (np.inf, None, None, None)
            if bad
            else self._at(self.Q, beta, self.factors.matrix(theta), tau, True)
        )
        if not np.isfinite(found[0]):
            return (1e10, np.zeros(len(x))) if gradient else np.inf
        if not gradient:
            return found[0]
        parts = [found[1], self.factors.pull(found[2])] + ([[found[3]]] if self.has_dispersion else [])
        return found[0], np.nan_to_num(np.concatenate(parts))

    def start(self):
        """Beta of a generalised linear model by a few scoring steps, and a dispersion."""
        beta, tau = np.zeros(self.p), 0.0 if self.has_dispersion else None
        link = self.family[1]
        mean = np.average(self.y / (1.0 if self.w is None or self.family[0] != "binomial" else self.w))
        target = {
            "logit": sp.logit(np.clip(mean, 0.02, 0.98)),
            "probit": sp.ndtri(np.clip(mean, 0.02, 0.98)),
            "cloglog": np.log(-np.log1p(-np.clip(mean, 0.02, 0.98))),
            "log": np.log(max(mean, 1e-3)),
            "sqrt": np.sqrt(max(mean, 0.1)),
            "identity": max(mean, 0.1),
            "inverse": 1 / max(mean, 1e-3),
        }[link]
        if self.p:
            beta = np.linalg.lstsq(self.Q, target - self.offset, rcond=None)[0]
        zero = np.zeros(self.factors.n_theta)
        return self._profile(np.concatenate([beta, zero, [] if tau is None else [tau]]), 100)

    def _profile(self, x, steps):
        """Minimise over beta and the dispersion with theta kept."""
        free = np.ones(len(x), bool)
        free[self.p : self.p + self.factors.n_theta] = False
        if not free.any():
            return x

        def f(z):
            full = x.copy()
            full[free] = z
            value, gradient = self.value(full, True)
            return value, gradient[free]

        z = minimize(f, x[free], jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
        full = x.copy()
        full[free] = z
        return full

    def search(self, rng, effort=1.0):
        sizes = np.geomspace(0.05, 10.0, 9)
        base = self.start()
        part = slice(self.p, self.p + self.factors.n_theta)
        k = len(self.factors.sizes)
        coarse = sizes if k == 1 else sizes[1::2] if k == 2 else sizes[1::3]
        thetas = self.factors.starts(rng, coarse, int(8 * effort) if self.factors.n_theta > 1 else 0)
        points, values, x = [], [], base
        for theta in thetas:
            for origin in (x, base):
                y = origin.copy()
                y[part] = theta
                if np.isfinite(self.value(y)):
                    break
            else:
                continue
            x = self._profile(y, 10)
            points.append(x)
            values.append(self.value(x))
        best, at = np.inf, base
        points, values = np.array(points), np.array(values)
        for j in promising(points[:, part], values, int(4 * effort) + 1):
            found = self._polish("L-BFGS-B", points[j])
            if found.fun < best:
                best, at = found.fun, found.x
        for again in (self._polish("BFGS", at), simplex(self.value, at, evaluations=30)) if effort else ():
            if again.fun < best:
                best, at = again.fun, again.x
        return Verdict(float(best), at)

    def _polish(self, method, x):
        return minimize(lambda t: self.value(t, True), x, jac=True, method=method, options={"maxiter": 300})

    def standard_errors(self, beta, V_of_theta, theta, tau=None):
        """SEs of beta at a point: from the Hessian in all parameters, by differences of gradients.

        ``V_of_theta`` maps the theta that are not on the boundary to Z Lambda.  Steps are scaled by the
        information, so that counts of a billion are no harder than counts of one.  A dispersion that runs
        off is held, and the errors are those of its limit.
        """
        x = np.concatenate([beta, theta, [] if tau is None else [tau]])
        p, q = len(beta), len(theta)

        def value(z):
            t = z[-1] if tau is not None else None
            return self._at(self.X, z[:p], V_of_theta(z[p : p + q]), t, False)

        def gradient(z):
            t = z[-1] if tau is not None else None
            _, g, G, dt = self._at(self.X, z[:p], V_of_theta(z[p : p + q]), t, True)
            step = 1e-6
            pulled = [
                np.vdot(G, V_of_theta(z[p : p + q] + step * e) - V_of_theta(z[p : p + q] - step * e))
                / (2 * step)
                for e in np.eye(q)
            ]
            return np.concatenate([g, pulled, [] if dt is None else [dt]])

        k = None if tau is None else float(np.exp(tau))
        V = V_of_theta(theta)
        _, eta = self.mode(self.offset + self.X @ beta, V, k)
        W = self.terms(eta, k)[2]
        WX = W[:, None] * self.X
        half = np.linalg.solve(np.eye(V.shape[1]) + V.T @ (W[:, None] * V), V.T @ WX)
        full = np.einsum("np,np->p", self.X, WX)
        marginal = np.maximum(full - np.einsum("rp,rp->p", V.T @ WX, half), 1e-10 * full)
        size = 1e-3 * np.concatenate([1 / np.sqrt(marginal), np.full(q, 1.0), [] if tau is None else [1.0]])
        size[p : p + q] *= np.maximum(np.abs(theta), 1e-2)
        H = np.array(
            [
                (gradient(x + h * e) - gradient(x - h * e)) / (2 * h)
                for h, e in zip(size, np.eye(len(x)), strict=True)
            ]
        )
        H = 0.5 * (H + H.T)
        variances = np.diag(self._covariance(H))
        if tau is not None and not 0 < variances[-1] < RUNS_OFF**2:
            variances = np.diag(self._covariance(H[:-1, :-1]))
        return np.sqrt(variances[:p])

    @staticmethod
    def _covariance(H):
        scale = 1 / np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-300))
        return 2 * np.linalg.pinv(H * np.outer(scale, scale), 1e-14, hermitian=True) * np.outer(scale, scale)
