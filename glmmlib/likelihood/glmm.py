r"""The generalised linear mixed model: Laplace's approximation and adaptive Gauss-Hermite quadrature.

.. math::

    y_i \mid u \sim \text{family}(\eta_i), \quad \eta = X\beta + Z\Lambda u + \text{offset}, \quad u
    \sim N(0, I).

The likelihood integrates u out. With the conditional mode :math:`\hat u`, the score :math:`r =
\partial\ell/\partial\eta` and the observed weights :math:`w = -\partial^2\ell/\partial\eta^2` there, and
:math:`H = I + \Lambda'Z'WZ\Lambda`, Laplace's approximation is

.. math:: -2\log L = -2\sum_i \ell_i(\hat\eta_i) + |\hat u|^2 + \log|H|.

Quadrature adds a correction for each group, alone or nested in others: the integrand is evaluated at points
around its mode, in the metric of H. With one point it is Laplace's approximation. The mode comes from
penalised iteratively reweighted least squares (PIRLS): Newton's method, each step a penalised least squares
problem (``glmmlib.linalg.pls``). Where a family's log-density is not concave and H not positive definite, a
step takes the expected information in the place of w; at the mode itself w is always the observed one.

Value and gradient in :math:`(\beta, \theta, \tau)` are exact; the mode's dependence on the parameters enters
by implicit differentiation. :math:`\tau` are the coefficients of the family's auxiliary parameters on their
links (``glmmlib.likelihood.predictors``), such as the logarithm of its dispersion, where it has any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.families.base import Family
from glmmlib.families.densities import Derivatives
from glmmlib.likelihood.predictors import AuxiliaryPredictors
from glmmlib.likelihood.quadrature import Correction, Quadrature
from glmmlib.linalg import blocks
from glmmlib.linalg.conditioning import triangular_factor
from glmmlib.linalg.crossing import CHUNK_ROWS, Factor, Structure
from glmmlib.linalg.pls import CrossProducts, Factorisation, Inverse, cross_products, log_det_gradient
from glmmlib.types import ArrayLike, FloatArray, IntArray, Numbers

PIRLS_TOLERANCE = 1e-9  # of g' H^-1 g: the objective then errs by about as much, its gradient by the root
POLISH_TOLERANCE = 1e-13
LONG_STEP = 100.0  # in -2 log L: the prediction of a mode may then have gone astray
SURE = (
    1e-6  # the decrement below which Newton's steps are not judged by values, whose differences are rounding
)
MODE_FOUND = 1e-4  # the decrement above which the last Newton step is no mode
MAX_PIRLS = 100
SHORT = 1e-2  # a step of which less than this is taken does not lead to a mode within the range


class RangeError(ArithmeticError):
    """PIRLS finds no conditional mode: it lies outside the range of the link, or of the floating-point
    numbers.
    """


class SaddleError(RangeError):
    """Where PIRLS ends, the integrand is no maximum: its curvature is not positive definite there."""


class SaturatedError(ArithmeticError):
    """Fixed and random effects together reproduce any response, so that the likelihood has no maximum."""


class ExactFitError(ArithmeticError):
    """The model reproduces the response: its scatter runs to zero and the likelihood to infinity."""


@dataclass(frozen=True, eq=False)
class Mode:
    """The conditional mode at one value of the parameters, with what PIRLS computed there."""

    u: list
    eta: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    dweight: np.ndarray
    cross: Any
    factorisation: Any
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
        Points for adaptive Gauss-Hermite quadrature (a chain of nested grouping factors, or one); none for
        Laplace.
    auxiliary : mapping, optional
        For each auxiliary parameter with a linear predictor, by name: its columns (n, r) and their names.
    exact : bool, optional
        Is the model to be solved with a dense matrix for its crossed factors, or iteratively? By default the
        size decides.

    Notes
    -----
    Everything is in standardised columns, and the rows are sorted by the largest grouping factor.
    """

    def __init__(
        self,
        family: Family,
        y: FloatArray,
        X: FloatArray,
        groups: Sequence[Group],
        weights: FloatArray | None = None,
        offset: FloatArray | None = None,
        quadrature: Quadrature | None = None,
        auxiliary: Mapping[str, Any] | None = None,
        exact: bool | None = None,
    ) -> None:
        self.exact = exact
        self.family, self.X, self.groups, self.quadrature = family, X, groups, quadrature
        self.n, self.p = X.shape
        largest = max(groups, key=lambda g: g.factor.n_columns).factor
        self.rows = np.argsort(largest.codes, kind="stable")
        self.structure = Structure([_sorted_factor(g.factor, self.rows) for g in groups])
        self.covariance = CovarianceParameters(groups[k].covariance for k in self.structure.order)
        self.n_theta = self.covariance.size
        self.y = np.asarray(y, float)[self.rows]
        self.weights = None if weights is None else np.asarray(weights, float)[self.rows]
        self.offset = None if offset is None else offset[self.rows]
        self.R = triangular_factor(lambda rows: X[rows].T, self.n) if self.p else np.zeros((0, 0))
        self.Q = np.linalg.solve(self.R.T, X.T)[:, self.rows] if self.p else np.zeros((0, self.n))
        self.predictors = AuxiliaryPredictors.of(family, auxiliary or {}, self.n).in_order(self.rows)
        self.pirls_tolerance = PIRLS_TOLERANCE
        self.factorise: Any = Factorisation  # or what answers the same questions without a dense matrix
        self.begins_with_every = 1  # row, or with each second, third ...: where the search begins
        self.nearest_mode: list[FloatArray] = [np.zeros((f.q, f.n_levels)) for f in self.structure.factors]
        self._anchor: tuple[Mode, FloatArray] | None = None
        self._set_constant()

    def _set_constant(self) -> None:
        family = self.family
        self._constant = (
            None if family.has_dispersion else -2.0 * np.sum(family.constant(self.y, self.weights))
        )

    def with_response(self, y: FloatArray, weights: FloatArray | None = None) -> LaplaceDeviance:
        """Return the same model for another response, as ``family.check_response`` returns it."""
        other = copy(self)
        other.y = np.asarray(y, float)[self.rows]
        other.weights = None if weights is None else np.asarray(weights, float)[self.rows]
        other.nearest_mode, other._anchor = [np.zeros_like(u) for u in self.nearest_mode], None
        other._set_constant()
        return other

    @property
    def level(self) -> FloatArray:
        """The coefficients (p,) that move all linear predictors, as nearly as they can, by one."""
        return np.linalg.lstsq(self.Q @ self.Q.T, self.Q.sum(axis=1), rcond=None)[0]

    def as_in_data(self, values: FloatArray) -> FloatArray:
        """Return values (n, ...) of the rows, which are sorted here, in the order of the data."""
        found = np.empty(np.shape(values))
        found[self.rows] = values
        return found

    def precise(self, u: Sequence[FloatArray]) -> LaplaceDeviance:
        """Return a copy that finds modes to the last digits, and looks for the next one from u on."""
        other = copy(self)
        other.pirls_tolerance = POLISH_TOLERANCE
        other.begin_at([x.copy() for x in u])
        return other

    def begin_at(self, u: list[FloatArray]) -> None:
        """Look for the next mode from u on."""
        self.nearest_mode = u

    # -- parameters ------------------------------------------------------------------------------------

    @property
    def n_parameters(self) -> int:
        return self.p + self.n_theta + self.predictors.size

    def split(self, parameters: FloatArray) -> tuple[FloatArray, list[FloatArray], float | None]:
        """Return beta, the factors in the order of the structure, and the auxiliary parameters (or None)."""
        beta, theta = parameters[: self.p], self.theta(parameters)
        return beta, self.covariance.factors(theta), self.predictors.values(self.tau(parameters))

    def join(self, beta: FloatArray, theta: FloatArray, tau: ArrayLike = ()) -> FloatArray:
        """Return beta, theta and the auxiliary coefficients as one vector; or the gradients in them."""
        return np.concatenate([beta, theta, np.atleast_1d(tau)])

    def theta(self, parameters: FloatArray) -> FloatArray:
        return parameters[self.p : self.p + self.n_theta]

    def tau(self, parameters: FloatArray) -> FloatArray:
        return parameters[self.p + self.n_theta :]

    # -- PIRLS -----------------------------------------------------------------------------------------

    def linear_predictor(
        self, beta: FloatArray, Lambdas: Sequence[FloatArray], u: Sequence[FloatArray]
    ) -> FloatArray:
        eta = beta @ self.Q
        if self.offset is not None:
            eta = eta + self.offset
        for f, L, uf in zip(self.structure.factors, Lambdas, u, strict=True):
            eta += _effects(f, L @ uf)
        return eta

    def cross_products(self, weight: FloatArray, with_X: bool = False) -> CrossProducts:
        columns = (lambda rows: self.Q[:, rows]) if with_X else (lambda rows: self.Q[:0, rows])
        return cross_products(self.structure, columns, self.p if with_X else 0, weight)

    def by_level(self, values: FloatArray, Lambdas: Sequence[FloatArray] | None = None) -> list[FloatArray]:
        """Return ``Z'values`` (or ``Lambda'Z'values``) for each factor: list of (q, J)."""
        sums = [f.sums(values) for f in self.structure.factors]
        return sums if Lambdas is None else [L.T @ s for L, s in zip(Lambdas, sums, strict=True)]

    def mode(
        self,
        beta: FloatArray,
        Lambdas: Sequence[FloatArray],
        dispersion: Numbers | None,
        tolerance: float | None = None,
    ) -> Mode:
        """Find the conditional mode of u, starting from the last one found.

        Raises
        ------
        RangeError
            When the mode is not in the range of the link.
        SaddleError
            When the curvature at the end is not that of a maximum.
        """
        tolerance = self.pirls_tolerance if tolerance is None else tolerance
        u, value, eta, d = self._nearest(beta, Lambdas, dispersion)
        last, n_short = np.inf, 0
        for _ in range(MAX_PIRLS):
            gradient = [s - x for s, x in zip(self.by_level(d.score, Lambdas), u, strict=True)]
            cross, factorisation, is_observed = self.curvature(d.weight, eta, Lambdas, dispersion)
            step, _, decrement = factorisation.solve(gradient)
            is_sure = is_observed and decrement < SURE
            if decrement < tolerance or (
                is_sure and decrement > 0.5 * last
            ):  # or to the precision of the score
                break
            length, last = 1.0, decrement
            while True:
                candidate = [x + length * s for x, s in zip(u, step, strict=True)]
                new, new_eta, new_d = self.valued(beta, Lambdas, candidate, dispersion)
                highest = value + max(SURE if is_sure else 0.0, 1e-12 * abs(value))
                if new <= highest or length < 1e-10:
                    break
                length *= 0.5
            if not new <= highest:
                break
            u, value, eta, d = candidate, new, new_eta, new_d
            n_short = n_short + 1 if length < SHORT else 0
            if n_short == 3 and self.family.limited_range:  # at the end of the range, not on the way
                break
        if not decrement < MODE_FOUND * (1.0 + 1e-9 * abs(value)):
            raise RangeError
        if not is_observed:
            raise SaddleError
        return Mode(u, eta, d.score, d.weight, d.dweight, cross, factorisation, value, gradient, decrement)

    def curvature(
        self,
        weight: FloatArray,
        eta: FloatArray,
        Lambdas: Sequence[FloatArray],
        dispersion: Numbers | None,
        with_X: bool = False,
    ) -> tuple[CrossProducts, Factorisation, bool]:
        """Return the cross products and the factorisation of H, and whether its weights are observed ones.

        Where a log-density is not concave, observed weights may be negative, and H not positive definite. The
        expected information, which always is, then gives a step that goes up.

        Raises
        ------
        numpy.linalg.LinAlgError
            If neither is positive definite.
        """
        try:
            cross = self.cross_products(weight, with_X)
            return cross, self.factorise(self.structure, cross, Lambdas), True
        except np.linalg.LinAlgError:
            if self.family.is_log_concave:
                raise
        cross = self.cross_products(self.family.fisher(eta, self.weights, dispersion), with_X)
        return cross, self.factorise(self.structure, cross, Lambdas), False

    def _nearest(
        self, beta: FloatArray, Lambdas: Sequence[FloatArray], dispersion: Numbers | None
    ) -> tuple[list[FloatArray], float, FloatArray, Derivatives]:
        """Return where to begin: the predicted mode, or after a long step the last mode or zero if they are
        better.
        """
        u = self._predicted(beta, Lambdas, dispersion)
        value, eta, d = self.valued(beta, Lambdas, u, dispersion)
        if self._anchor is None or not value < self._anchor[0].penalised + LONG_STEP:
            zero = [np.zeros_like(x) for x in u]
            for other in (zero,) if u is self.nearest_mode else (self.nearest_mode, zero):
                other_value, other_eta, other_d = self.valued(beta, Lambdas, other, dispersion)
                if other_value < value:
                    u, value, eta, d = other, other_value, other_eta, other_d
        if not np.isfinite(value):
            raise RangeError
        return u, value, eta, d

    def keep(self, mode: Mode, parameters: FloatArray) -> None:
        """The search for the next mode begins at this one, that of these parameters."""
        self.nearest_mode, self._anchor = mode.u, (mode, parameters)

    def _predicted(
        self, beta: FloatArray, Lambdas: Sequence[FloatArray], dispersion: Numbers | None
    ) -> list[FloatArray]:
        """Return the last mode kept, moved along with the parameters to the first order: saves half the
        Newton steps.
        """
        u = self.nearest_mode
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
            moved = slope * self.predictors.change(dispersion, old_dispersion)
            change += moved if moved.ndim == 1 else moved.sum(axis=1)
        rhs = [
            g + L.T @ s + dL.T @ r
            for g, L, s, dL, r in zip(
                mode.gradient,
                old_Lambdas,
                self.by_level(change),
                turned,
                self.by_level(mode.score),
                strict=True,
            )
        ]
        step, _, _ = mode.factorisation.solve(rhs)
        return [x + d for x, d in zip(u, step, strict=True)]

    def valued(
        self,
        beta: FloatArray,
        Lambdas: Sequence[FloatArray],
        u: Sequence[FloatArray],
        dispersion: Numbers | None,
        order: int = 3,
    ) -> tuple[float, FloatArray, Derivatives]:
        """Return what PIRLS minimises, infinite where it has no value, with the linear predictor and the
        derivatives of the log-density there.
        """
        eta = self.linear_predictor(beta, Lambdas, u)
        with np.errstate(over="ignore", invalid="ignore"):
            d = self.family.derivatives(self.y, eta, self.weights, dispersion, order)
            value = -2.0 * d.kernel.sum() + sum(np.vdot(x, x) for x in u)
        return (value if np.isfinite(value) else np.inf), eta, d

    # -- value and gradient ----------------------------------------------------------------------------

    def evaluate(self, parameters: FloatArray, mode: Mode | None = None) -> tuple[float, FloatArray, Mode]:
        """Return -2 log L, its gradient, and the :class:`Mode`, which may be known already.

        Raises
        ------
        numpy.linalg.LinAlgError, RangeError
            Where the parameters allow no value.
        """
        value, (grad_beta, G, grad_tau), mode = self.evaluate_at(*self.split(parameters), mode)
        grad_theta = self.covariance.pullback(self.theta(parameters), G)
        return value, self.join(grad_beta, grad_theta, grad_tau), mode

    def evaluate_at(
        self,
        beta: FloatArray,
        Lambdas: Sequence[FloatArray],
        dispersion: Numbers | None,
        mode: Mode | None = None,
    ) -> tuple[float, tuple[FloatArray, list[FloatArray], FloatArray], Mode]:
        """Return -2 log L, its derivatives in beta, in each Lambda (q, q) and in tau, and the
        :class:`Mode`, for any factors.
        """
        mode = self.mode(beta, Lambdas, dispersion) if mode is None else mode
        inverse = mode.factorisation.inverse()
        value = mode.penalised + mode.factorisation.log_det_Z + self.constants(dispersion)
        if self.quadrature is None:
            correction = None
            value -= mode.decrement
        else:
            correction = self.quadrature.correction(self, mode, Lambdas, dispersion)
            inverse = _moved(inverse, correction)
            value += correction.value
        leverage = self._leverage(inverse, Lambdas)
        c = leverage * mode.dweight
        pull = self.by_level(c, Lambdas)
        if correction is not None:
            pull = [x + more for x, more in zip(pull, correction.pull, strict=True)]
        kappa, _, _ = mode.factorisation.solve(pull)
        # the step that PIRLS left out moves log|H|, and the points of quadrature, by kappa'g
        value += sum(np.vdot(k, g) for k, g in zip(kappa, mode.gradient, strict=True))
        V_kappa = sum(
            _effects(f, L @ k) for f, L, k in zip(self.structure.factors, Lambdas, kappa, strict=True)
        )
        a = c - mode.weight * V_kappa
        score = mode.score if correction is None else correction.score
        grad_beta = self.Q @ (a - 2.0 * score)
        grad_Lambda = self._gradient_matrices(mode, inverse, Lambdas, a, kappa, correction)
        grad_tau = np.zeros(0)
        if self.family.has_dispersion:
            grad_tau = self._gradient_tau(mode, leverage, V_kappa, dispersion, correction)
        return value, (grad_beta, grad_Lambda, grad_tau), mode

    def constants(self, dispersion: Numbers | None) -> Any:
        """Return -2 times what the kernels leave out of the log-likelihood."""
        if self._constant is not None:
            return self._constant
        return -2.0 * float(np.sum(self.family.constant(self.y, self.weights, dispersion)))

    def _leverage(self, inverse: Inverse, Lambdas: Sequence[FloatArray]) -> FloatArray:
        """Return ``v_i' H^-1 v_i`` (n,) with v_i the i-th row of Z Lambda."""
        st = self.structure
        total = np.zeros(self.n)
        for f, (factor, L) in enumerate(zip(st.factors, Lambdas, strict=True)):
            K = blocks.right(blocks.left(L, inverse.block[f]), L.T)
            if factor.n_levels == 1:
                total += np.einsum("an,an->n", factor.Z, K[:, :, 0] @ factor.Z)
                continue
            for a in range(factor.q):
                for b in range(a + 1):
                    product = factor.Z[a] * factor.Z[b] * K[a, b][factor.codes]
                    total += product if a == b else 2.0 * product
        for (f, h), cells in st.cells.items():
            K = blocks.right(blocks.left(Lambdas[f], inverse.cell[f, h]), Lambdas[h].T)
            for a, za in enumerate(st.factors[f].Z):
                total += 2.0 * za * _row_products(K[a], cells.slot, st.factors[h].Z)
        return total

    def _gradient_matrices(self, mode, inverse, Lambdas, a, kappa, correction):
        """Return the derivative with respect to each Lambda."""
        direct = self.by_level(a if correction is not None else a - 2.0 * mode.score)
        pulled = self.by_level(mode.score)
        G = log_det_gradient(mode.cross, Lambdas, inverse)
        for g, d, u, s, k in zip(G, direct, mode.u, pulled, kappa, strict=True):
            g += d @ u.T + s @ k.T
        if correction is not None:
            for g, more in zip(G, correction.gradient, strict=True):
                g += more
        return G

    def _gradient_tau(self, mode, leverage, V_kappa, dispersion, correction):
        d = self.family.dispersion_derivatives(self.y, mode.eta, self.weights, dispersion)
        # by columns: each is (n,), or (n, parameters)
        rowwise = (leverage * d.weight.T + V_kappa * d.score.T).T
        if correction is not None:
            return correction.tau + self.predictors.pull(rowwise)
        return self.predictors.pull(rowwise - 2.0 * d.logpdf)

    # -- for optimisers --------------------------------------------------------------------------------

    def objective(self, parameters: FloatArray) -> tuple[float, Any]:
        """Value and gradient for the minimiser; infinite where there is none."""
        try:
            value, gradient, mode = self.evaluate(parameters)
        except (np.linalg.LinAlgError, RangeError):
            return np.inf, None
        return value, lambda: self._accept(mode, gradient, parameters)

    def _accept(self, mode, gradient, parameters):
        """An accepted point's mode is where the next search for a mode begins."""
        if self.predictors.is_exact(self.tau(parameters)):
            raise ExactFitError
        self.keep(mode, parameters)
        return gradient

    def gradient(self, parameters: FloatArray) -> FloatArray:
        return self.evaluate(parameters)[1]


def _moved(inverse: Inverse, correction: Correction) -> Inverse:
    """Return the inverse with what the points of quadrature feel of a change of H."""
    block = [b + more for b, more in zip(inverse.block, correction.block, strict=True)]
    cell = {key: c + correction.cell[key] for key, c in inverse.cell.items()}
    return replace(inverse, block=block, cell=cell)


def _sorted_factor(factor: Factor, rows: IntArray) -> Factor:
    """Return the factor with its rows reordered and its columns standardised once and for all."""
    Z = np.ascontiguousarray(factor.columns()[:, rows])
    return replace(factor, codes=factor.codes[rows], Z=Z, to_standard=None)


def _row_products(K, slot, Z):
    """Return ``sum_b K[b, slot] Z[b]`` for each row, K (q, cells)."""
    if len(Z) < blocks.WIDE:
        return sum(k[slot] * z for k, z in zip(K, Z, strict=True))
    total = np.empty(slot.size)
    for first in range(0, slot.size, CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        total[rows] = np.einsum("bn,bn->n", K[:, slot[rows]], Z[:, rows])
    return total


def _effects(factor: Factor, b: FloatArray) -> FloatArray:
    """Return ``sum_a z_a b_a`` for each row, b (q, J) being the effects of the levels."""
    if factor.n_levels == 1:
        return b[:, 0] @ factor.Z
    total = b[0][factor.codes]
    if factor.is_intercept:
        return total
    total *= factor.Z[0]
    for z, effect in zip(factor.Z[1:], b[1:], strict=True):
        total += z * effect[factor.codes]
    return total
