r"""The generalised linear mixed model: Laplace's approximation and adaptive Gauss-Hermite quadrature.

.. math:: y_i \mid u \sim \text{family}(\eta_i), \quad \eta = X\beta + Z\Lambda u + \text{offset}, \quad u \sim N(0, I).

The likelihood integrates u out.  With the conditional mode :math:`\hat u`, the score :math:`r = \partial\ell/\partial\eta` and
the observed weights :math:`w = -\partial^2\ell/\partial\eta^2` there, and :math:`H = I + \Lambda'Z'WZ\Lambda`, Laplace's
approximation is

.. math:: -2\log L = -2\sum_i \ell_i(\hat\eta_i) + |\hat u|^2 + \log|H|.

Quadrature adds a correction for each group: the integrand is evaluated at points around its mode, in the metric of H.
With one point it is Laplace's approximation.  The mode comes from penalised iteratively reweighted least squares
(PIRLS): Newton's method, each step a penalised least squares problem (:mod:`glmmlib.pls`).

Value and gradient in :math:`(\beta, \theta, \tau)` are exact; the mode's dependence on the parameters enters by implicit
differentiation.  :math:`\tau` is the logarithm of the family's dispersion, where it has one.
"""

from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from . import blocks
from .covariance import rectify, snapped
from .optimize import minimise
from .pls import Factorisation, cross_products
from .standardise import triangular_factor
from .structure import Structure

PIRLS_TOLERANCE = 1e-9  # of g' H^-1 g: the objective then errs by about as much, its gradient by the root
POLISH_TOLERANCE = 1e-13
LONG_STEP = 100.0  # in -2 log L: the prediction of a mode may then have gone astray
MODE_FOUND = 1e-4  # the decrement above which the last Newton step is no mode
MAX_PIRLS = 100
EXACT_DISPERSION = 1e-10  # of a gamma response: a coefficient of variation of 1e-5


class RangeError(ArithmeticError):
    """PIRLS finds no conditional mode: it lies outside the range of the link, or of the floating-point numbers."""


class ExactFitError(ArithmeticError):
    """The model reproduces a gamma response: the dispersion runs to zero and the likelihood to infinity."""


@dataclass(frozen=True, eq=False)
class Mode:
    """The conditional mode at one value of the parameters, with what PIRLS computed there."""

    u: list
    eta: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    cross: object
    factorisation: Factorisation
    penalised: float  # -2 sum of kernels + |u|^2
    gradient: list  # what is left of it,
    decrement: float  # and what the Newton step that was not taken would still gain


class LaplaceDeviance:
    """-2 log L of a generalised linear mixed model as a function of (beta, theta, tau).

    Parameters
    ----------
    family : Family
    y, weights : (n,) arrays
        As ``family.check_response`` returns them; weights may be None.
    X : (n, p) array
    groups : tuple of Group
    offset : (n,) array, optional
    quadrature : Quadrature, optional
        Points for adaptive Gauss-Hermite quadrature (one grouping factor); none for Laplace.

    Notes
    -----
    Everything is in standardised columns, and the rows are sorted by the largest grouping factor.
    """

    def __init__(self, family, y, X, groups, weights=None, offset=None, quadrature=None):
        self.family, self.groups, self.quadrature = family, groups, quadrature
        self.n, self.p = X.shape
        largest = max(groups, key=lambda g: g.factor.n_columns).factor
        self.rows = np.argsort(largest.codes, kind="stable")
        self.structure = Structure([_sorted_factor(g.factor, self.rows) for g in groups])
        self.patterns = [groups[k].pattern for k in self.structure.order]
        self.n_theta = sum(len(p.index) for p in self.patterns)
        self.y = np.asarray(y, float)[self.rows]
        self.weights = None if weights is None else np.asarray(weights, float)[self.rows]
        self.offset = None if offset is None else offset[self.rows]
        self.R = triangular_factor(lambda rows: X[rows].T, self.n) if self.p else np.zeros((0, 0))
        self.Q = np.linalg.solve(self.R.T, X.T)[:, self.rows] if self.p else np.zeros((0, self.n))
        self.pirls_tolerance = PIRLS_TOLERANCE
        self._last = [np.zeros((f.q, f.n_levels)) for f in self.structure.factors]
        self._anchor = None
        self._set_constant()

    def _set_constant(self):
        family = self.family
        self._constant = None if family.has_dispersion else -2.0 * np.sum(family.constant(self.y, self.weights))

    def with_response(self, y, weights=None):
        """Return the same model for another response, as ``family.check_response`` returns it."""
        other = copy(self)
        other.y = np.asarray(y, float)[self.rows]
        other.weights = None if weights is None else np.asarray(weights, float)[self.rows]
        other._last, other._anchor = [np.zeros_like(u) for u in self._last], None
        other._set_constant()
        return other

    # -- parameters ------------------------------------------------------------------------------------

    @property
    def n_parameters(self):
        return self.p + self.n_theta + int(self.family.has_dispersion)

    def split(self, parameters):
        """Return beta, the factors in the order of the structure, and the dispersion (or None)."""
        beta, theta = parameters[: self.p], parameters[self.p : self.p + self.n_theta]
        Lambdas = [pattern.Lambda(theta) for pattern in self.patterns]
        return beta, Lambdas, float(np.exp(parameters[-1])) if self.family.has_dispersion else None

    def join(self, beta, Lambdas, dispersion=None):
        """The inverse of :meth:`split`; also collects gradients, which have the same shapes."""
        theta = np.empty(self.n_theta)
        for pattern, L in zip(self.patterns, Lambdas, strict=True):
            pattern.read(L, theta)
        tail = [] if dispersion is None else [[dispersion]]
        return np.concatenate([beta, theta, *tail])

    # -- PIRLS -----------------------------------------------------------------------------------------

    def linear_predictor(self, beta, Lambdas, u):
        eta = beta @ self.Q
        if self.offset is not None:
            eta = eta + self.offset
        for f, L, uf in zip(self.structure.factors, Lambdas, u, strict=True):
            eta += _effects(f, L @ uf)
        return eta

    def cross_products(self, weight, with_X=False):
        columns = (lambda rows: self.Q[:, rows]) if with_X else (lambda rows: self.Q[:0, rows])
        return cross_products(self.structure, columns, self.p if with_X else 0, weight)

    def by_level(self, values, Lambdas=None):
        """Return ``Z'values`` (or ``Lambda'Z'values``) for each factor: list of (q, J)."""
        sums = [
            np.stack([np.bincount(f.codes, z * values, minlength=f.n_levels) for z in f.Z])
            for f in self.structure.factors
        ]
        return sums if Lambdas is None else [L.T @ s for L, s in zip(Lambdas, sums, strict=True)]

    def mode(self, beta, Lambdas, dispersion):
        """Find the conditional mode of u, starting from the last one found.

        Raises
        ------
        RangeError
            When the mode is not in the range of the link.
        """
        u, value, eta = self._nearest(beta, Lambdas, dispersion)
        for _ in range(MAX_PIRLS):
            d = self.family.derivatives(self.y, eta, self.weights, dispersion, order=2)
            gradient = [s - x for s, x in zip(self.by_level(d.score, Lambdas), u, strict=True)]
            cross = self.cross_products(d.weight)
            factorisation = Factorisation(self.structure, cross, Lambdas)
            step, _, decrement = factorisation.solve(gradient)
            if decrement < self.pirls_tolerance:
                break
            length = 1.0
            while True:
                candidate = [x + length * s for x, s in zip(u, step, strict=True)]
                new, new_eta = self._penalised(beta, Lambdas, candidate, dispersion)
                if new <= value + 1e-12 * abs(value) or length < 1e-10:
                    break
                length *= 0.5
            if not new <= value + 1e-12 * abs(value):
                break
            u, value, eta = candidate, new, new_eta
        if not decrement < MODE_FOUND * (1.0 + 1e-9 * abs(value)):
            raise RangeError
        return Mode(u, eta, d.score, d.weight, cross, factorisation, value, gradient, decrement)

    def _nearest(self, beta, Lambdas, dispersion):
        """Return where to begin: the predicted mode, or after a long step the last mode or zero if they are better."""
        u = self._predicted(beta, Lambdas, dispersion)
        value, eta = self._penalised(beta, Lambdas, u, dispersion)
        if self._anchor is None or not value < self._anchor[0].penalised + LONG_STEP:
            for other in (self._last, [np.zeros_like(x) for x in u]):
                other_value, other_eta = self._penalised(beta, Lambdas, other, dispersion)
                if other_value < value:
                    u, value, eta = other, other_value, other_eta
        if not np.isfinite(value):
            raise RangeError
        return u, value, eta

    def _keep(self, mode, parameters):
        """The search for the next mode begins at this one."""
        self._last, self._anchor = mode.u, (mode, parameters)

    def _predicted(self, beta, Lambdas, dispersion):
        """Return the last mode kept, moved along with the parameters to the first order: saves half the Newton steps."""
        u = self._last
        if self._anchor is None or self._anchor[0].u is not u:
            return u
        mode, parameters = self._anchor
        old_beta, old_Lambdas, old_dispersion = self.split(parameters)
        turned = [L - old for L, old in zip(Lambdas, old_Lambdas, strict=True)]
        shift = (beta - old_beta) @ self.Q
        for f, dL, uf in zip(self.structure.factors, turned, u, strict=True):
            shift += _effects(f, dL @ uf)
        change = -mode.weight * shift
        if dispersion is not None:
            slope = self.family.dispersion_derivatives(self.y, mode.eta, self.weights, old_dispersion).score
            change += slope * np.log(dispersion / old_dispersion)
        rhs = [
            g + L.T @ s + dL.T @ r
            for g, L, s, dL, r in zip(mode.gradient, old_Lambdas, self.by_level(change), turned, self.by_level(mode.score), strict=True)
        ]
        step, _, _ = mode.factorisation.solve(rhs)
        return [x + d for x, d in zip(u, step, strict=True)]

    def _penalised(self, beta, Lambdas, u, dispersion):
        eta = self.linear_predictor(beta, Lambdas, u)
        with np.errstate(over="ignore", invalid="ignore"):
            kernel = self.family.derivatives(self.y, eta, self.weights, dispersion, order=0).kernel.sum()
        value = -2.0 * kernel + sum(np.vdot(x, x) for x in u)
        return (value if np.isfinite(value) else np.inf), eta

    # -- value and gradient ----------------------------------------------------------------------------

    def evaluate(self, parameters):
        """Return -2 log L, its gradient, and the :class:`Mode`.

        Raises
        ------
        numpy.linalg.LinAlgError, RangeError
            Where the parameters allow no value.
        """
        beta, Lambdas, dispersion = self.split(parameters)
        mode = self.mode(beta, Lambdas, dispersion)
        inverse = mode.factorisation.inverse()
        third = self.family.derivatives(self.y, mode.eta, self.weights, dispersion, order=3).dweight
        value = mode.penalised + mode.factorisation.log_det_Z + self._constants(dispersion)
        if self.quadrature is None:
            correction = None
            value -= mode.decrement
        else:
            correction = self.quadrature.correction(self, mode, Lambdas, dispersion)
            inverse = replace(inverse, block=[inverse.block[0] + correction.metric])
            value += correction.value
        leverage = self._leverage(inverse, Lambdas)
        c = leverage * third
        pull = self.by_level(c, Lambdas)
        if correction is not None:
            pull = [pull[0] + correction.pull]
        kappa, _, _ = mode.factorisation.solve(pull)
        # the step that PIRLS left out moves log|H|, and the points of quadrature, by kappa'g
        value += sum(np.vdot(k, g) for k, g in zip(kappa, mode.gradient, strict=True))
        V_kappa = sum(_effects(f, L @ k) for f, L, k in zip(self.structure.factors, Lambdas, kappa, strict=True))
        a = c - mode.weight * V_kappa
        score = mode.score if correction is None else correction.score
        grad_beta = self.Q @ (a - 2.0 * score)
        grad_Lambda = self._gradient_matrices(mode, inverse, Lambdas, a, kappa, correction)
        grad_tau = None
        if self.family.has_dispersion:
            grad_tau = self._gradient_tau(mode, leverage, V_kappa, dispersion, correction)
        return value, self.join(grad_beta, grad_Lambda, grad_tau), mode

    def _constants(self, dispersion):
        if self._constant is not None:
            return self._constant
        return -2.0 * float(np.sum(self.family.constant(self.y, self.weights, dispersion)))

    def _leverage(self, inverse, Lambdas):
        """Return ``v_i' H^-1 v_i`` (n,) with v_i the i-th row of Z Lambda."""
        st = self.structure
        total = np.zeros(self.n)
        for f, (factor, L) in enumerate(zip(st.factors, Lambdas, strict=True)):
            K = blocks.right(blocks.left(L, inverse.block[f]), L.T)
            for a in range(factor.q):
                for b in range(a + 1):
                    product = _product(factor.Z[a], factor.Z[b], K[a, b][factor.codes])
                    total += product if a == b else 2.0 * product
        for (f, h), cells in st.cells.items():
            K = blocks.right(blocks.left(Lambdas[f], inverse.cell[f, h]), Lambdas[h].T)
            for a, za in enumerate(st.factors[f].Z):
                for b, zb in enumerate(st.factors[h].Z):
                    total += 2.0 * _product(za, zb, K[a, b][cells.slot])
        return total

    def _gradient_matrices(self, mode, inverse, Lambdas, a, kappa, correction):
        """Return the derivative with respect to each Lambda."""
        cross = mode.cross
        direct = self.by_level(a if correction is not None else a - 2.0 * mode.score)
        pulled = self.by_level(mode.score)
        G = [
            d @ u.T + s @ k.T + 2.0 * blocks.sum_of_products(blocks.right(A, L), B)
            for d, u, s, k, A, L, B in zip(
                direct, mode.u, pulled, kappa, cross.A, Lambdas, inverse.block, strict=True
            )
        ]
        for (f, h), C in cross.C.items():
            cell = inverse.cell[f, h]
            G[f] += 2.0 * blocks.sum_of_products(blocks.right(C, Lambdas[h]), cell)
            Ct, cell_t = C.swapaxes(0, 1), cell.swapaxes(0, 1)
            G[h] += 2.0 * blocks.sum_of_products(blocks.right(Ct, Lambdas[f]), cell_t)
        if correction is not None:
            G[0] += correction.gradient
        return G

    def _gradient_tau(self, mode, leverage, V_kappa, dispersion, correction):
        d = self.family.dispersion_derivatives(self.y, mode.eta, self.weights, dispersion)
        first = -2.0 * np.sum(d.logpdf) if correction is None else correction.tau
        return first + leverage @ d.weight + V_kappa @ d.score

    # -- optimisation ----------------------------------------------------------------------------------

    def objective(self, parameters):
        """Value and gradient for :func:`glmmlib.optimize.minimise`; infinite where there is none."""
        try:
            value, gradient, mode = self.evaluate(parameters)
        except (np.linalg.LinAlgError, RangeError):
            return np.inf, None
        return value, lambda: self._accept(mode, gradient, parameters)

    def _accept(self, mode, gradient, parameters):
        """An accepted point's mode is where the next search for a mode begins."""
        if self.family.name == "gamma" and parameters[-1] < np.log(EXACT_DISPERSION):
            raise ExactFitError
        self._keep(mode, parameters)
        return gradient

    def gradient(self, parameters):
        return self.evaluate(parameters)[1]

    def _first(self):
        """Return a start at which there is a value: with a link of limited range the variances may have to be small."""
        if not self.family.limited_range:
            return self.start()
        for shrink in (1.0, 0.3, 0.1, 0.01):
            try:
                x, H = self.start(shrink)
                self.evaluate(x)
            except (np.linalg.LinAlgError, RangeError):
                self._last = [np.zeros_like(u) for u in self._last]
                continue
            return x, H
        raise RangeError

    def start(self, shrink=1.0):
        """Return first parameters and a guess of the inverse Hessian there.

        A generalised linear model without random effects, variances by the method of moments from its scores, then
        some steps of PIRLS for beta and u together, whose Schur complement tells the curvature in beta.
        """
        beta, dispersion = self._glm()
        Lambdas = [shrink * L for L in self._moments(beta, dispersion)]
        u = self._last
        for _ in range(4):
            eta = self.linear_predictor(beta, Lambdas, u)
            d = self.family.derivatives(self.y, eta, self.weights, dispersion, order=2)
            factorisation = Factorisation(self.structure, self.cross_products(d.weight, with_X=True), Lambdas)
            rhs = [s - x for s, x in zip(self.by_level(d.score, Lambdas), u, strict=True)]
            du, dbeta, gain = factorisation.solve(rhs, self.Q @ d.score)
            value, length = self._penalised(beta, Lambdas, u, dispersion)[0], 1.0
            while length > 1e-4:
                trial_u = [x + length * s for x, s in zip(u, du, strict=True)]
                trial_beta = beta + length * dbeta
                if self._penalised(trial_beta, Lambdas, trial_u, dispersion)[0] <= value:
                    u, beta = trial_u, trial_beta
                    break
                length *= 0.5
            if gain < 1e-2:
                break
        self._last = u
        return self._with_curvature(beta, Lambdas, dispersion, factorisation)

    def _with_curvature(self, beta, Lambdas, dispersion, factorisation):
        m = self.structure.m
        inverse = factorisation.inverse(with_X=False)
        guess = []
        for L, block, factor in zip(Lambdas, inverse.block, self.structure.factors, strict=True):
            r = np.clip(1.0 - np.einsum("aaj->a", block) / factor.n_levels, 0.1, 1.0)
            scale = np.outer(np.diag(L) / r, np.diag(L) / r) / factor.n_levels
            guess.append(np.where(np.eye(len(L)) > 0, scale / 4.0, scale / 2.0))
        H = np.diag(self.join(np.zeros(self.p), guess, None if dispersion is None else 0.0))
        if self.p:
            half = np.linalg.inv(factorisation.L[m:, m:])
            H[: self.p, : self.p] = 0.5 * half.T @ half
        x = self.join(beta, Lambdas, None if dispersion is None else np.log(dispersion))
        if dispersion is not None:
            shift = np.zeros(len(x))
            shift[-1] = 0.1
            curvature = (self.gradient(x + shift)[-1] - self.gradient(x - shift)[-1]) / 0.2
            H[-1, -1] = 1.0 / np.clip(abs(curvature), 0.5, 4.0 * self.n)
        return x, H

    def _glm(self):
        """Fit the model without random effects by Fisher scoring, roughly; returns beta and the dispersion."""
        family, dispersion = self.family, 1.0 if self.family.has_dispersion else None
        eta = family.link.link(family.start_mean(self.y, self.weights))
        offset = 0.0 if self.offset is None else self.offset
        w = family.fisher(eta, self.weights, dispersion)
        beta = np.linalg.lstsq((self.Q * w) @ self.Q.T, (self.Q * w) @ (eta - offset), rcond=None)[0]
        value = self._glm_value(beta, dispersion)
        for _ in range(25):
            if not np.isfinite(value):
                break
            eta = beta @ self.Q + offset
            d = family.derivatives(self.y, eta, self.weights, dispersion, order=1)
            w = family.fisher(eta, self.weights, dispersion)
            step = np.linalg.lstsq((self.Q * w) @ self.Q.T, self.Q @ d.score, rcond=None)[0]
            length = 1.0
            while length > 1e-3 and not self._glm_value(beta + length * step, dispersion) <= value:
                length *= 0.5
            beta = beta + (length if length > 1e-3 else 0.0) * step
            value, previous = self._glm_value(beta, dispersion), value
            if previous - value < 1e-3:
                break
        if not np.isfinite(value):
            raise RangeError
        if dispersion is not None:
            dispersion = self._dispersion_moment(family.link.inverse(beta @ self.Q + offset))
        return beta, dispersion

    def _glm_value(self, beta, dispersion):
        zero = [np.zeros_like(x) for x in self._last]
        return self._penalised(beta, [np.eye(p.q) for p in self.patterns], zero, dispersion)[0]

    def _dispersion_moment(self, mu):
        excess = np.mean((self.y - mu) ** 2 / mu**2)
        if self.family.name == "gamma":
            return float(np.clip(0.7 * excess, 1e-6, 10.0))
        extra = np.mean(((self.y - mu) ** 2 - mu) / np.maximum(mu, 0.1) ** 2)
        return float(np.clip(2.0 / max(extra, 1e-2), 0.2, 50.0))

    def _moments(self, beta, dispersion):
        """Variances from the spread of the scores' sums: without random effects ``Var(Z_j'r) = Z_j'WZ_j``."""
        zero = [np.zeros_like(x) for x in self._last]
        eta = self.linear_predictor(beta, [np.eye(p.q) for p in self.patterns], zero)
        d = self.family.derivatives(self.y, eta, self.weights, dispersion, order=2)
        A = self.cross_products(np.maximum(d.weight, self.family.fisher(eta, self.weights, dispersion) * 0.1)).A
        Lambdas = []
        for Ak, s in zip(A, self.by_level(d.score), strict=True):
            a = np.einsum("aaj->aj", Ak)
            variance = ((s * s).sum(axis=1) - a.sum(axis=1)) / (a * a).sum(axis=1)
            typical = 1.0 / np.maximum(a.mean(axis=1), 1e-12)
            Lambdas.append(np.diag(np.sqrt(np.clip(variance, 0.05 * typical, 20.0 * typical))))
        return Lambdas

    def minimise(self):
        """Minimise over all parameters.

        Quasi-Newton steps first, then Newton steps with a Hessian from differences of the exact gradient, which
        also judges the end and gives standard errors.

        Returns
        -------
        optimum : Optimum
        hessian : (k, k) array
            Of -2 log L in (beta, theta, tau), standardised.
        """
        x, H = self._first()
        optimum = minimise(self.objective, x, H, tolerance=1e-3)
        for _ in range(12):
            optimum, hessian = self._polish(optimum)
            if not optimum.converged:  # a curved valley, as near a singular Lambda: Newton's steps leave it, short ones follow it
                self.pirls_tolerance = POLISH_TOLERANCE
                again = minimise(self.objective, optimum.x, optimum.inverse_hessian, tolerance=1e-8)
                self.pirls_tolerance = PIRLS_TOLERANCE
                if again.value >= optimum.value - 1e-9:
                    break
                optimum = again
                continue
            values, vectors = np.linalg.eigh(_scaled_hessian(hessian, optimum.inverse_hessian))
            if values[0] > -1e-4 * max(values[-1], 1.0) or not optimum.converged:
                break
            direction = np.sqrt(np.diag(optimum.inverse_hessian)) * vectors[:, 0]
            trials = [optimum.x + s * size * direction for s in (1, -1) for size in (0.3, 1.5)]
            start = min(trials, key=lambda t: self.objective(t)[0])
            again = minimise(self.objective, start, np.abs(optimum.inverse_hessian) * np.eye(len(start)), tolerance=1e-3)
            if again.value >= optimum.value - 1e-7:
                break
            optimum = again
        optimum = self._snap(optimum)
        self._anchor = None  # nothing large is kept
        return optimum, hessian

    def _snap(self, optimum):
        """Put a Lambda that is singular but for rounding on the boundary itself, where that costs nothing."""
        beta, Lambdas, dispersion = self.split(optimum.x)
        tau = None if dispersion is None else np.log(dispersion)
        for candidate in (snapped(self.patterns, Lambdas), [rectify(L) for L in Lambdas]):
            x = self.join(beta, candidate, tau)
            if np.array_equal(x, optimum.x):
                break
            value, get_gradient = self.objective(x)
            if value <= optimum.value + 1e-7:
                return replace(optimum, x=x, value=value, gradient=get_gradient())
        return optimum

    def _polish(self, optimum):
        """Newton's method to the end; returns the optimum and the Hessian near it."""
        self.pirls_tolerance = POLISH_TOLERANCE
        x, H = optimum.x, optimum.inverse_hessian
        value, gradient, mode = self.evaluate(x)
        evaluations, hessian, decrement, shift = optimum.n_evaluations + 1, None, np.inf, np.inf
        for _ in range(20):
            self._keep(mode, x)
            if shift > 0.05:
                hessian = self._hessian(x, gradient, np.sqrt(np.maximum(np.diag(H), 1e-12)))
                evaluations += len(x)
                values, vectors = np.linalg.eigh(_scaled_hessian(hessian, H))
                scale = np.sqrt(np.maximum(np.diag(H), 1e-12))
                floor = 1e-6 * max(values[-1], 1e-6)
                inverse = (vectors / np.maximum(np.abs(values), floor)) @ vectors.T * np.outer(scale, scale)
            decrement = gradient @ inverse @ gradient
            if decrement < 1e-9:
                break
            step, length, found = -inverse @ gradient, 1.0, None
            while length > 1e-4 and found is None:
                found = self._evaluated(x + length * step, value + 1e-10 * abs(value))
                evaluations += 1
                length = length if found is not None else 0.25 * length
            if found is None:
                break
            x = x + length * step
            shift = length * np.sqrt(decrement)
            value, gradient, mode = found
            H = inverse
        self.pirls_tolerance = PIRLS_TOLERANCE
        converged = bool(decrement < 1e-5)
        message = "converged" if converged else "the Newton steps stopped before the gradient vanished"
        path = (*optimum.path, (x, value))
        polished = replace(
            optimum, x=x, value=value, gradient=gradient, decrement=float(decrement), inverse_hessian=inverse,
            n_evaluations=evaluations, converged=converged, message=message, path=path,
        )  # fmt: skip
        return polished, hessian

    def _evaluated(self, x, highest):
        """What :meth:`evaluate` returns, or None where the value is above the highest allowed or does not exist."""
        try:
            found = self.evaluate(x)
        except (np.linalg.LinAlgError, RangeError):
            return None
        return found if found[0] <= highest else None

    def _hessian(self, x, gradient, scale):
        """Return the Hessian of -2 log L from forward differences of its exact gradient."""
        H = np.empty((len(x), len(x)))
        for i, s in enumerate(scale):
            for h in (5e-4 * s, -5e-4 * s, 1e-5 * s):
                shifted = x.copy()
                shifted[i] += h
                try:
                    H[i] = (self.gradient(shifted) - gradient) / h
                    break
                except (np.linalg.LinAlgError, RangeError):
                    H[i] = np.nan
        return 0.5 * (H + H.T)


def _scaled_hessian(hessian, inverse):
    scale = np.sqrt(np.maximum(np.diag(inverse), 1e-12))
    return hessian * np.outer(scale, scale)


def _sorted_factor(factor, rows):
    """Return the factor with its rows reordered and its columns standardised once and for all."""
    Z = np.ascontiguousarray(factor.columns()[:, rows])
    return replace(factor, codes=factor.codes[rows], Z=Z, to_standard=None)


def _effects(factor, b):
    """Return ``sum_a z_a b_a`` for each row, b (q, J) being the effects of the levels."""
    total = factor.Z[0] * b[0][factor.codes]
    for z, effect in zip(factor.Z[1:], b[1:], strict=True):
        total += z * effect[factor.codes]
    return total


def _product(x, y, z):
    return x * y * z
