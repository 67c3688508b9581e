r"""What :class:`glmmlib.linalg.pls.Factorisation` answers, without a dense matrix: solutions by conjugate
gradients, entries of the inverse and the determinant by random signs.

The first factor is eliminated, :math:`T = M^{-1}B` with its blocks M and its products B with the others,
whose rest is S. Of :math:`S^{-1} = D^{-1} + R` the diagonal blocks D of S are known exactly; only R is
estimated, as the mean of :math:`a\,(b - a)'` over the probes
(:meth:`glmmlib.linalg.conjugate.CrossedSystem.probed`), and with it

.. math::

    (H^{-1})_{00} = M^{-1} + TD^{-1}T' + TRT', \qquad (H^{-1})_{0h} = -TD^{-1} - TR, \qquad
    (H^{-1})_{fh} = D^{-1} + R.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np

from glmmlib.linalg import blocks
from glmmlib.linalg.conjugate import CrossedProducts, CrossedSystem, times_blocks
from glmmlib.linalg.crossing import Structure
from glmmlib.linalg.pls import CrossProducts, Inverse
from glmmlib.types import FloatArray

TOLERANCE = 1e-6  # of solutions; a quadratic form then errs by its square
CHUNK_NUMBERS = 1 << 17  # of the products of two probes that are held at once: fits a processor's cache


class Probes:
    """Random signs for the crossed factors of one model, drawn once: what depends on them is smooth.

    Parameters
    ----------
    structure : Structure
        With two factors or more.
    cross : CrossProducts
        Of any weights.
    number : int
        Of the vectors of signs. As many unit vectors take their place where there are no more columns.
    seed : int
    tolerance : float
        Of the conjugate gradients of the probes.
    """

    def __init__(
        self, structure: Structure, cross: CrossProducts, number: int, seed: int, tolerance: float
    ) -> None:
        self.products, self.tolerance = CrossedProducts(structure, cross), tolerance
        m = self.products.m
        self.is_exact = m <= number
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(m, number))
        self.z = np.sqrt(m) * np.eye(m) if self.is_exact else signs
        self._near: FloatArray | None = None

    def of(self, system: CrossedSystem) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what :meth:`~glmmlib.linalg.conjugate.CrossedSystem.probed` does."""
        return system.probed(self.z, self.tolerance, self._near)

    def near(self, factorisation: ProbedFactorisation) -> Probes:
        """Return the same for matrices near one that is solved: quicker, but without a determinant."""
        other = copy(self)
        other._near = factorisation.solved
        return other

    def with_tolerance(self, tolerance: float) -> Probes:
        """Return the same signs with another tolerance of their conjugate gradients."""
        other = copy(self)
        other.tolerance = tolerance
        return other

    @property
    def number(self) -> int:
        return self.z.shape[1]

    def __call__(
        self, structure: Structure, cross: CrossProducts, Lambda: Sequence[FloatArray]
    ) -> ProbedFactorisation:
        """Return what takes the place of a :class:`~glmmlib.linalg.pls.Factorisation`."""
        return ProbedFactorisation(self, cross, Lambda)


class ProbedFactorisation:
    """The penalised least squares matrix at one value of the weights and of Lambda.

    Parameters
    ----------
    probes : Probes
    cross : CrossProducts
    Lambda : list of (q, q) arrays

    Raises
    ------
    numpy.linalg.LinAlgError
        If conjugate gradients do not converge.
    """

    def __init__(self, probes: Probes, cross: CrossProducts, Lambda: Sequence[FloatArray]) -> None:
        self.probes, self.cross, self.Lambda = probes, cross, Lambda
        self.products = probes.products.with_values(cross)
        self.structure, self.p = self.products.structure, cross.XX.shape[0]
        self.system = CrossedSystem(self.products, Lambda)
        self._turned = self.system.MiL.swapaxes(0, 1)

    # -- solutions -----------------------------------------------------------------------------------------

    def solve_columns(self, first: FloatArray, rest: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the solutions for right-hand sides of the first factor (q J, r) and of the others (m, r)."""
        products, system = self.products, self.system
        explained = products.N.T @ times_blocks(self._turned, first)
        found = system.solve(rest - products.by_factor(system.transposed, explained), TOLERANCE)
        return times_blocks(system.Minv, first) + system.first(found), found

    @cached_property
    def _of_X(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``H^-1 Lambda'Z'WX`` of the first factor and of the others, and ``X'V^-1X``."""
        sides = [
            np.einsum("ab,axj->bjx", L, ZX).reshape(-1, self.p)
            for L, ZX in zip(self.Lambda, self.cross.ZX, strict=True)
        ]
        first, rest = sides[0], np.concatenate(sides[1:])
        of_first, of_rest = self.solve_columns(first, rest)
        return of_first, of_rest, self.cross.XX - first.T @ of_first - rest.T @ of_rest

    @property
    def root_of_information(self) -> FloatArray:
        """The lower triangular root of ``X'V^-1X`` (p, p)."""
        return np.linalg.cholesky(self._of_X[2])

    def solve(
        self, rhs: Sequence[FloatArray], rhs_X: FloatArray | None = None
    ) -> tuple[list[FloatArray], FloatArray, float]:
        """Solve for right-hand sides ``rhs[f]`` (q, J) and ``rhs_X`` (p,); see
        :meth:`glmmlib.linalg.pls.Factorisation.solve`.
        """
        flat = [r.reshape(-1, 1) for r in rhs]
        first, rest = flat[0], np.concatenate(flat[1:])
        x, v = self.solve_columns(first, rest)
        quadratic = float(np.vdot(first, x) + np.vdot(rest, v))
        beta: FloatArray = np.zeros(self.p)
        if self.p:
            of_first, of_rest, information = self._of_X
            left = -(of_first.T @ first + of_rest.T @ rest)[:, 0] + (0.0 if rhs_X is None else rhs_X)
            beta = np.linalg.solve(information, left)
            quadratic += float(beta @ left)
            x, v = x - of_first @ beta[:, None], v - of_rest @ beta[:, None]
        return self.by_factor(x, v), beta, quadratic

    def by_factor(self, first: FloatArray, rest: FloatArray) -> list[FloatArray]:
        """Return solutions as (q, J) for each factor; as (q, J, r) where there are several."""
        return [x[:, :, 0] if x.shape[2] == 1 else x for x in self._columns(first, rest)]

    def _columns(self, first, rest):
        """Return columns of the first factor and of the others as (q, J, r) for each factor."""
        flat = [first, *(rest[self.products.place[f]] for f in self.products.rest)]
        return [x.reshape(f.q, f.n_levels, -1) for x, f in zip(flat, self.structure.factors, strict=True)]

    # -- by probes -----------------------------------------------------------------------------------------

    @cached_property
    def _probed(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        a, b, determinants = self.probes.of(self.system)
        return a, b - a, determinants

    @property
    def solved(self) -> FloatArray:
        """``S^-1 L z`` (m, k), with L the root of the diagonal blocks of S."""
        a, rest, _ = self._probed
        return a + rest

    @property
    def log_dets(self) -> FloatArray:
        """Estimates (k,) of ``log |H|``, one for each probe."""
        return self._probed[2]

    @property
    def log_det_Z(self) -> float:
        return float(self.log_dets.mean())

    @cached_property
    def levels(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """The probes a and what R makes of them, ``b - a``, at the levels of each factor: (q, J, k).

        For a row v of the random effects the sum of a over its levels, times that of ``b - a``, is an
        estimate of ``v' H^-1 v`` less what is known exactly.
        """
        a, c, _ = self._probed
        return self._columns(self.system.first(a), a), self._columns(self.system.first(c), c)

    def inverse(self, with_X: bool = False) -> Inverse:
        """Return the entries of the inverse of the random-effects part, as estimated."""
        factors, system, k = self.structure.factors, self.system, self.probes.number
        a, c = self.levels
        block, cell = [system.Minv.copy()], {}
        block += [D.copy() for D in system.Dinv[1:]]
        for f in range(len(factors)):
            product = np.einsum("ajk,bjk->abj", a[f], c[f]) / k
            block[f] += 0.5 * (product + product.swapaxes(0, 1))
        for (f, h), cells in self.structure.cells.items():
            found = self._cells(c[f], cells.first, a[h], cells.second)
            if f == 0:
                T = self._crossed(h)
                TD = blocks.multiply(T, system.Dinv[h][:, :, cells.second])
                block[0] += blocks.sum_by(cells.first, blocks.multiply_transpose(TD, T), factors[0].n_levels)
                found -= TD
            else:
                found = 0.5 * (found + self._cells(a[f], cells.first, c[h], cells.second))
            cell[f, h] = found
        nothing = [np.zeros((f.q, 0, f.n_levels)) for f in factors]
        return Inverse(block, cell, nothing, np.zeros((0, 0)))

    def _crossed(self, h):
        """Return the entries (q, q_h, cells) of ``M^-1 B``, at the cells of the first factor with another."""
        cells = self.structure.cells[0, h]
        MiL = self.system.MiL[:, :, cells.first]
        return blocks.right(blocks.multiply(MiL, self.cross.C[0, h]), self.Lambda[h])

    def _cells(self, of_first, first, of_second, second):
        """Return the means over the probes of the products of two levels, for each cell."""
        k = of_first.shape[2]
        found = np.empty((len(of_first), len(of_second), first.size))
        step = max(1, CHUNK_NUMBERS // k)
        for start in range(0, first.size, step):
            here = slice(start, start + step)
            for a, x in enumerate(of_first):
                left = x[first[here]]
                for b, y in enumerate(of_second):
                    np.einsum("pk,pk->p", left, y[second[here]], out=found[a, b, here])
        return found / k
