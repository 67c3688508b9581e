r"""The linear mixed model with a residual side of its own: its profiled deviance or REML criterion.

For given parameters :math:`\phi` of the residual side, rows are whitened block by block
(:mod:`glmmlib.likelihood.residual_side`). What is left is the ordinary model
(:mod:`glmmlib.likelihood.lmm`) in the whitened rows, and its criterion with :math:`\log|R|` added. Each block
lies within one level of every grouping factor, so that whitened columns of Z have entries where Z has them.
Pinheiro and Bates (2000), *Mixed-Effects Models in S and S-PLUS*, section 5.1.

With C the Cholesky factor of the covariance of a block, V its whitened rows of :math:`[Z\Lambda \; X]`
(:math:`Z\Lambda` for maximum likelihood), H the penalised least squares matrix and e the whitened residuals,

.. math::

    \frac{\partial d}{\partial R_j} = C'^{-1} \left[I - V H^{-1} V' - \frac{df}{r^2} e e'\right] C^{-1} .
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.likelihood.lmm import Point, ProfiledDeviance
from glmmlib.likelihood.residual_side import ResidualSide, Whitener, inner_matrices
from glmmlib.linalg.pls import CrossProducts, Inverse, cross_products
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class Whitened:
    """The ordinary model in rows whitened for one phi.

    Attributes
    ----------
    phi : (k,) array
    problem : ProfiledDeviance
    whitener : Whitener
    Q, e : (p, n) and (n,) arrays
        The orthonormal columns of X and the least squares residual, whitened.
    """

    phi: FloatArray
    problem: ProfiledDeviance
    whitener: Whitener
    Q: FloatArray
    e: FloatArray


class ResidualDeviance:
    """The criterion as a function of ``(phi, theta)``.

    Parameters
    ----------
    y, X, groups, reml, offset
        As for :class:`~glmmlib.likelihood.lmm.ProfiledDeviance`; there may be no groups.
    side : ResidualSide
    """

    def __init__(
        self,
        y: FloatArray,
        X: FloatArray,
        groups: Sequence[Group],
        reml: bool,
        side: ResidualSide,
        offset: FloatArray | None = None,
    ) -> None:
        self.plain = ProfiledDeviance(y, X, groups, reml, None, offset)
        self.side, self.reml = side, reml
        self.n_phi, self.n_theta = side.n_parameters, self.plain.n_theta
        R = self.plain.R
        self.Q = solve_triangular(R, X.T, trans=True) if len(R) else np.zeros((0, len(y)))
        self._set_response()

    def _set_response(self) -> None:
        plain = self.plain
        known = plain.X @ plain.beta_ols
        self.e = plain.y - known if plain.offset is None else plain.y - known - plain.offset

    def with_response(self, y: FloatArray) -> ResidualDeviance:
        """Return the same model for another response."""
        other = copy(self)
        other.plain = self.plain.with_response(y)
        other._set_response()
        return other

    def at(self, phi: FloatArray) -> Whitened:
        """Return the ordinary model in the rows whitened for phi.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where the covariance of the residuals is not positive definite.
        """
        plain, whitener = self.plain, self.side.whitener(phi)
        both = whitener.apply(np.vstack([self.Q, self.e]))
        Q, e, p = both[:-1], both[-1], plain.p
        structure = copy(plain.structure)
        structure.factors = tuple(replace(f, Z=whitener.apply(f.Z)) for f in structure.factors)
        cross = cross_products(structure, lambda rows: both[:, rows], p + 1)
        problem = copy(plain)
        problem.structure, problem.offset = structure, None
        problem.Zy = [ZX[:, p] for ZX in cross.ZX]
        problem.Xy, problem.yy = cross.XX[:p, p], cross.XX[p, p]
        problem.cross = CrossProducts(cross.A, cross.C, [ZX[:, :p] for ZX in cross.ZX], cross.XX[:p, :p])
        problem.X = (plain.R.T @ Q).T
        problem.y = e + problem.X @ plain.beta_ols
        problem.constant = plain.constant + whitener.log_det
        return Whitened(np.asarray(phi, dtype=float), problem, whitener, Q, e)

    # -- value and gradient ----------------------------------------------------------------------------

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi and theta."""
        return x[: self.n_phi], x[self.n_phi :]

    def objective(self, x: FloatArray) -> tuple[float, Any]:
        """Return the value at (phi, theta) and a function that gives the gradient."""
        phi, theta = self.split(x)
        try:
            white = self.at(phi)
            point = white.problem.at(white.problem.Lambdas(theta))
        except np.linalg.LinAlgError:
            return np.inf, None
        if not np.isfinite(point.value):
            return np.inf, None
        return point.value, lambda: self._gradient(white, point, theta)

    def _gradient(self, white, point, theta):
        inverse = point.factorisation.inverse(with_X=self.reml)
        G = white.problem.gradient_matrices(point)
        in_theta = white.problem.covariance.pullback(theta, G)
        return np.append(self.phi_gradient(white, point, inverse), in_theta)

    def gradient(self, x: FloatArray) -> FloatArray:
        """Return the gradient at (phi, theta); not a number where there is no value."""
        get_gradient = self.objective(x)[1]
        return np.full(len(x), np.nan) if get_gradient is None else get_gradient()

    def phi_gradient(self, white: Whitened, point: Point, inverse: Inverse | None = None) -> FloatArray:
        """Return the derivatives of the criterion in phi."""
        if inverse is None:
            inverse = point.factorisation.inverse(with_X=self.reml)
        V, T = self._columns(white, point, inverse)
        shares = 1.0, 1.0, white.problem.df / point.r2
        inner = inner_matrices(self.side, V, T, self._residual(white, point), shares)
        return self.side.pull(white.phi, white.whitener, inner)

    def r2_slopes(self, white: Whitened, point: Point) -> FloatArray:
        """Return the derivatives of the penalised residual sum of squares in phi."""
        nothing = np.zeros((0, len(white.e)))
        inner = inner_matrices(self.side, nothing, nothing, self._residual(white, point), (0.0, 0.0, 1.0))
        return self.side.pull(white.phi, white.whitener, inner)

    def hat_values(self, white: Whitened, point: Point) -> FloatArray:
        """Return the diagonal (n,) of H, the fitted values being H times the response."""
        V, T = self._columns(white, point, point.factorisation.inverse(), with_X=True)
        nothing = np.zeros(len(white.e))
        inner = inner_matrices(self.side, V, T, nothing, (0.0, -1.0, 0.0))
        return 0.5 * white.whitener.whitening.pull(inner)[1]

    @staticmethod
    def _residual(white, point):
        e = white.e - point.beta @ white.Q
        for f, L, u in zip(white.problem.structure.factors, point.Lambda, point.u, strict=True):
            e = e - np.einsum("an,an->n", L.T @ f.columns(), u[:, f.codes])
        return e

    def _columns(self, white, point, inverse, with_X=None):
        """Return V and H^-1 V, row by row, from the entries of the inverse where H has entries."""
        structure = white.problem.structure
        V = [L.T @ f.columns() for f, L in zip(structure.factors, point.Lambda, strict=True)]
        codes = [f.codes for f in structure.factors]
        T = [
            np.einsum("abn,bn->an", block[:, :, code], v)
            for block, code, v in zip(inverse.block, codes, V, strict=True)
        ]
        for (f, h), cells in structure.cells.items():
            between = inverse.cell[f, h][:, :, cells.slot]
            T[f] = T[f] + np.einsum("abn,bn->an", between, V[h])
            T[h] = T[h] + np.einsum("abn,an->bn", between, V[f])
        if self.reml if with_X is None else with_X:
            TX = inverse.XX @ white.Q
            for f, code in enumerate(codes):
                between = inverse.ZX[f][:, :, code]
                T[f] = T[f] + np.einsum("axn,xn->an", between, white.Q)
                TX = TX + np.einsum("axn,an->xn", between, V[f])
            V, T = [*V, white.Q], [*T, TX]
        nothing = np.zeros((0, len(white.e)))
        return np.concatenate([nothing, *V]), np.concatenate([nothing, *T])
