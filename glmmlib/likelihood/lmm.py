r"""The linear mixed model: its profiled deviance and REML criterion as functions of theta.

.. math::

    y = X\beta + Z\Lambda u + \epsilon, \quad u \sim N(0, \sigma^2 I), \; \epsilon \sim N(0, \sigma^2
    W^{-1}).

For given :math:`\theta`, penalised least squares gives :math:`\hat\beta`, :math:`\hat u` and the penalised
residual sum of squares :math:`r^2`; with :math:`M = \Lambda'Z'WZ\Lambda + I`, minus twice the log-likelihood
profiled over
:math:`\beta` and :math:`\sigma` is

.. math:: d(\theta) = \log|M| - \log|W| + n \left[1 + \log(2\pi r^2 / n)\right],

and the REML criterion adds :math:`\log|X'V^{-1}X|` and replaces n by n - p (Bates, Mächler, Bolker and Walker
2015, *Journal of Statistical Software* 67(1), sections 3.3 and 3.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from glmmlib.covariance.factors import smallest_singular_value
from glmmlib.covariance.groups import Group
from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.errors import ModelError
from glmmlib.likelihood.saturation import is_saturated
from glmmlib.linalg.block_sums import block_sums
from glmmlib.linalg.conditioning import triangular_factor
from glmmlib.linalg.crossing import Structure
from glmmlib.linalg.pls import Factorisation, cross_products, log_det_gradient
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray, Numbers

EXACT_MEAN = 1e-13  # residual SD over that of the response: below this the fixed effects leave only rounding
CANCELLED = (
    1e-8  # a residual sum of squares below this share of the response's is summed over the rows instead
)
# A process in time or space may fit best without any residual variation beside it. Theta would run to
# infinity, so the residual sum of squares has a floor, this share of the response's: -2 log L errs by 1e-6.
WITHOUT_NUGGET = 1e-8
NEAR_FLOOR = 1e-4  # of the response's sum of squares: on the way to the floor more digits are needed
MOST_DENSE = 3_000  # columns of crossed factors: beyond, each of some ten factorisations takes seconds
NEARLY_SINGULAR = 1e-3  # smallest singular value of a Lambda: below this sums over levels lose their digits


@dataclass(frozen=True, eq=False)
class Point:
    """The model at one value of theta (all in standardised coordinates); ``share`` is what the penalised
    residual sum of squares is of ``r2``, which may have met its floor.
    """

    Lambda: Sequence[FloatArray]
    value: float
    factorisation: Factorisation
    u: list
    beta: np.ndarray
    r2: float
    share: float = 1.0

    @property
    def penalised(self) -> float:
        """The penalised residual sum of squares itself."""
        return self.share * self.r2


class ProfiledDeviance:
    """The profiled deviance (or REML criterion) of one linear mixed model.

    Parameters
    ----------
    y : (n,) array
    X : (n, p) array of full column rank
    groups : tuple of Group
    reml : bool
    weights : (n,) array, optional
        Known precisions: the residual variance of row i is ``sigma**2 / weights[i]``.
    offset : (n,) array, optional
    exact : bool, optional
        Is the model to be solved with a dense matrix for its crossed factors, or iteratively? By default the
        size decides.
    """

    keeps_rows = True  # or were they read in batches?

    def __init__(
        self,
        y: FloatArray,
        X: FloatArray,
        groups: Sequence[Group],
        reml: bool,
        weights: FloatArray | None = None,
        offset: FloatArray | None = None,
        exact: bool | None = None,
    ) -> None:
        self.exact = exact
        self.n, self.p = X.shape
        self.y, self.X, self.weights, self.offset = y, X, weights, offset
        self.groups = groups
        self.structure = Structure([g.factor for g in groups])
        self.covariance = CovarianceParameters(groups[k].covariance for k in self.structure.order)
        self.n_theta = self.covariance.size
        self._last: dict[bytes, Point] | None = None
        self.least_share, self.cancelled = (
            (0.0, CANCELLED) if self.covariance.is_linear else (WITHOUT_NUGGET, NEAR_FLOOR)
        )
        self._sum_products(y, X, weights, offset)
        self._choose(reml)

    def _choose(self, reml: bool) -> None:
        """Choose between REML and maximum likelihood, when all sums are there."""
        self.reml = reml
        self.df = self.n - self.p if reml else self.n
        self.constant = 0.0 if self.weights is None else -np.log(self.weights).sum()
        if reml:
            self._check_room_for_random_effects()
            self.constant += 2.0 * np.log(np.diag(self.R)).sum()

    @cached_property
    def is_saturated(self) -> bool:
        """Do fixed and random effects together reproduce any response, and the random ones alone do not?

        Then the likelihood has no maximum; the REML criterion, whose degrees of freedom X takes no part in,
        may have one.
        """
        return is_saturated(self.structure, self.X)

    def _sum_products(
        self, y: FloatArray, X: FloatArray, weights: FloatArray | None, offset: FloatArray | None
    ) -> None:
        """Orthogonalise X, replace y by its least squares residual, and sum all products."""
        n, p = X.shape

        def response(rows: slice) -> FloatArray:
            return y[rows] if offset is None else y[rows] - offset[rows]

        def weighted(rows: slice) -> FloatArray:
            both = np.concatenate([X[rows].T, response(rows)[None]])
            return both if weights is None else both * np.sqrt(weights[rows])

        scale = np.ones(p) if p == 0 else np.sqrt(np.einsum("np,np->p", X, X) / n)
        R = triangular_factor(lambda rows: weighted(rows) / np.append(scale, 1.0)[:, None], n)
        self.R = R[:p, :p] * scale
        self.beta_ols = solve_triangular(R[:p, :p], R[:p, p]) / scale if p else np.zeros(0)

        def columns(rows: slice) -> FloatArray:
            Q = solve_triangular(self.R, X[rows].T, trans=True) if p else np.zeros((0, len(X[rows])))
            return np.concatenate([Q, (response(rows) - X[rows] @ self.beta_ols)[None]])

        cross = cross_products(self.structure, columns, p + 1, weights)
        self.Zy = [ZX[:, p] for ZX in cross.ZX]
        self.Xy, self.yy = cross.XX[:p, p], cross.XX[p, p]
        self.cross = type(cross)(cross.A, cross.C, [ZX[:, :p] for ZX in cross.ZX], cross.XX[:p, :p])
        self.column_squares = np.array([_square(x, weights) for x in X.T])
        self.rounding = self.least_square(R[:, p] @ R[:, p], self.beta_ols)

    def _check_room_for_random_effects(self) -> None:
        """Refuse random effects whose columns the fixed effects hold: REML says nothing about them."""
        for k, A, ZX in zip(self.structure.order, self.cross.A, self.cross.ZX, strict=True):
            total = np.einsum("aaj->", A)
            if total - (ZX**2).sum() < 1e-10 * total:
                name = self.groups[k].name
                raise ModelError(
                    f"the fixed effects hold a column for every level of {name!r} already, so nothing is "
                    "left from which its"
                    f" variance could be estimated: take {name!r} out of the fixed effects, or leave out "
                    "the random term"
                )

    def least_square(self, total: Numbers, beta: FloatArray) -> Numbers:
        """Return the sum of squares below which a least squares residual is rounding.

        ``total`` is that of the response (without the offset), ``beta`` the coefficients; for R responses
        (R,) and (R, p). What is subtracted leaves its rounding behind, however small the difference.
        """
        known = 0.0 if self.offset is None else _square(self.offset, self.weights)
        return EXACT_MEAN**2 * (total + known + beta**2 @ self.column_squares)

    def varying(self) -> float:
        """Return the residual sum of squares around the residuals' own mean."""
        w = np.ones(self.n) if self.weights is None else self.weights
        residual = self._fixed_residual(np.zeros(self.p))
        return float(w @ (residual - np.average(residual, weights=w)) ** 2)

    def with_response(self, y: FloatArray) -> ProfiledDeviance:
        """Return the same model for another response: only the products with y are summed again.

        Least squares on the orthogonalised columns, done twice: the second pass removes the rounding of the
        first.
        """
        X, w = self.X, 1.0 if self.weights is None else self.weights
        residual = np.array(y, dtype=float) if self.offset is None else y - self.offset
        other = copy(self)
        other.y, total = y, residual @ (w * residual)
        other.beta_ols = np.zeros(self.p)
        for _ in range(2 if self.p else 0):
            Xy = solve_triangular(self.R, X.T @ (w * residual), trans=True)
            step = solve_triangular(self.R, Xy)
            other.beta_ols = other.beta_ols + step
            residual = residual - X @ step
        other.rounding = self.least_square(total, other.beta_ols)
        weighted = w * residual
        other.Xy = solve_triangular(self.R, X.T @ weighted, trans=True) if self.p else np.zeros(0)
        other.yy = residual @ weighted
        other.Zy = [f.to_standard.T @ f.sums(weighted) for f in self.structure.factors]
        return other

    def with_criterion(self, reml: bool) -> Self:
        """Return the same model by REML or by maximum likelihood; no sum is taken again."""
        other = copy(self)
        other._last = None
        other._choose(reml)
        return other

    @property
    def is_iterative(self) -> bool:
        """Is the model fitted by :mod:`glmmlib.likelihood.lmm_iterative`?"""
        if len(self.structure.factors) < 2:
            return False
        return self.structure.m > MOST_DENSE if self.exact is None else not self.exact

    @property
    def least_r2(self) -> Any:
        """The floor of the residual sum of squares; zero for random effects without a process."""
        return self.least_share * self.yy

    # -- theta and Lambda ------------------------------------------------------------------------------

    def Lambdas(self, theta: FloatArray) -> list[FloatArray]:
        """Return the standardised factors, in the order of the structure."""
        return self.covariance.factors(theta)

    # -- value and gradient ----------------------------------------------------------------------------

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """While this lasts, :meth:`at` hands out the last point again where it is asked for it again."""
        self._last = {}
        try:
            yield
        finally:
            self._last = None

    def at(self, Lambdas: Sequence[FloatArray]) -> Point:
        """Solve penalised least squares at the given factors; returns a :class:`Point`."""
        if self._last is None:
            return self._solved(Lambdas)
        key = b"".join(L.tobytes() for L in Lambdas)
        if key not in self._last:
            self._last.clear()  # before the next factorisation: a large one is most of a fit's memory
            self._last[key] = self._solved(Lambdas)
        return self._last[key]

    def _solved(self, Lambdas):
        factorisation = Factorisation(self.structure, self.cross, Lambdas)
        rhs = [L.T @ Zy for L, Zy in zip(Lambdas, self.Zy, strict=True)]
        u, beta, explained = factorisation.solve(rhs, self.Xy)
        r2 = self.yy - explained
        if r2 < self.cancelled * self.yy:
            r2 = self._penalised_square(Lambdas, u, beta)
        if not (r2 > 0.0 or self.least_share):
            raise np.linalg.LinAlgError("the residual sum of squares is zero, or a difference without digits")
        found, r2 = r2, max(r2, self.least_r2)
        share = found / r2
        value = (
            factorisation.log_det_Z + self.df * (share + np.log(2.0 * np.pi * r2 / self.df)) + self.constant
        )
        if self.reml:
            value += factorisation.log_det_X
        return Point(Lambdas, float(value), factorisation, u, beta, float(r2), float(share))

    def _fixed_residual(self, beta: FloatArray):
        """Return ``y - X beta - offset`` for beta beyond least squares."""
        beta = self.beta_ols + (solve_triangular(self.R, beta) if self.p else 0.0)
        residual = self.y - self.X @ beta
        return residual if self.offset is None else residual - self.offset

    def _penalised_square(self, Lambdas, u, beta):
        """Return ``|W^1/2 (y - X beta - Z Lambda u)|^2 + |u|^2`` from the rows: no difference of large
        sums.
        """
        residual = self._fixed_residual(beta)
        for f, L, v in zip(self.structure.factors, Lambdas, u, strict=True):
            for z, b in zip(f.Z, f.to_standard @ L @ v, strict=True):
                residual -= z * b[f.codes]
        return _square(residual, self.weights) + sum(np.vdot(v, v) for v in u)

    def residual_products(self, point: Point) -> list[FloatArray]:
        """Return ``Z_f'W(y - X beta - Z Lambda u)`` (q, J) for each factor."""
        cross, st = self.cross, self.structure
        b = [L @ u for L, u in zip(point.Lambda, point.u, strict=True)]
        e = []
        for f in range(len(b)):
            rest = self.Zy[f] - np.einsum("axj,x->aj", cross.ZX[f], point.beta)
            e.append(rest - np.einsum("abj,bj->aj", cross.A[f], b[f]))
        for (f, h), C in cross.C.items():
            cells = st.cells[f, h]
            of_f = np.einsum("acp,cp->ap", C, b[h][:, cells.second])
            of_h = np.einsum("acp,ap->cp", C, b[f][:, cells.first])
            e[f] -= [np.bincount(cells.first, row, minlength=e[f].shape[1]) for row in of_f]
            e[h] -= [np.bincount(cells.second, row, minlength=e[h].shape[1]) for row in of_h]
        return e

    def gradient_matrices(self, point: Point) -> list[FloatArray]:
        """Return the derivative with respect to each Lambda, as full (q, q) matrices.

        From sums over levels (:mod:`glmmlib.linalg.block_sums`), or, where a Lambda is nearly singular, from
        the entries of the inverse: the log-determinants contribute ``2 sum_j (Z'WZ Lambda M^-1)_jj`` (with X
        beside Z for REML), the residual sum of squares ``-2 (df / r2) sum_j e_j u_j'``.
        """
        s = self.df / point.r2
        if min(map(smallest_singular_value, point.Lambda), default=np.inf) > NEARLY_SINGULAR:
            return gradient_from_sums(point.Lambda, self.block_sums(point), point.u, s)
        G = log_det_gradient(self.cross, point.Lambda, point.factorisation.inverse(with_X=self.reml))
        for g, e, u in zip(G, self.residual_products(point), point.u, strict=True):
            g -= 2.0 * s * e @ u.T
        return G

    def block_sums(self, point: Point) -> list[FloatArray]:
        """Return the sum over levels of the diagonal blocks of the inverse, (q, q) for each factor."""
        return block_sums(point.factorisation, with_X=self.reml)

    def objective(self, theta: FloatArray) -> tuple[float, Any]:
        """Return the value at theta and a function that gives the gradient."""
        try:
            point = self.at(self.Lambdas(theta))
        except np.linalg.LinAlgError:
            return np.inf, None
        return point.value, lambda: self.covariance.pullback(theta, self.gradient_matrices(point))

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Return the gradient at theta; not a number where there is no value."""
        get_gradient = self.objective(theta)[1]
        return np.full(self.n_theta, np.nan) if get_gradient is None else get_gradient()


def gradient_from_sums(
    Lambda: Sequence[FloatArray], sums: Sequence[FloatArray], u: Sequence[FloatArray], s: float
) -> list[FloatArray]:
    """Return ``2 Lambda^-T [J I - sum_j (H^-1)_jj - s sum_j u_j u_j']`` of each factor, s being df / r2."""
    return [
        2.0 * np.linalg.solve(L.T, v.shape[1] * np.eye(len(L)) - block - s * v @ v.T)
        for L, block, v in zip(Lambda, sums, u, strict=True)
    ]


def _square(values, weights):
    return values @ (values if weights is None else weights * values)
