r"""Conjugate gradients for crossed factors: penalised least squares without a dense matrix.

The largest factor is eliminated in blocks, as in :mod:`glmmlib.linalg.pls`; what is left of the others,

.. math:: S = I + \Lambda'(A - N'KN)\Lambda, \qquad K_j = \Lambda_0M_j^{-1}\Lambda_0',

is never formed: with A and N the products of the other factors with each other and with the first, a product
with S costs two passes over the cells where levels meet. The diagonal blocks of S are known exactly and serve
as preconditioner: 6 to 16 steps give nine digits where factors are crossed at random. Beside a factor of few
levels they are not enough (:mod:`glmmlib.linalg.balancing`).

Vectors are (m, r): the columns of the factors after each other, effect by effect as everywhere, r at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np
from scipy import sparse

from glmmlib.linalg import blocks
from glmmlib.linalg.balancing import Balancing, small_factors
from glmmlib.linalg.crossing import Structure
from glmmlib.linalg.pls import CrossProducts
from glmmlib.types import FloatArray, IntArray

MOST_STEPS = 1000


class CrossedProducts:
    """The products of one model, as sparse matrices: what no parameter changes."""

    def __init__(self, structure: Structure, cross: CrossProducts) -> None:
        self.structure, self.cross = structure, cross
        factors = structure.factors
        self.rest = range(1, len(factors))
        starts = np.cumsum([0] + [f.n_columns for f in factors[1:]])
        self.m = int(starts[-1])
        self.place = {f: slice(starts[f - 1], starts[f]) for f in self.rest}
        first = [(0, h) for h in self.rest]
        pairs = [(f, h) for f, h in structure.cells if f > 0]
        self._first = Pattern([self._cells(f, h) for f, h in first], first, (factors[0].n_columns, self.m))
        self._pairs = (
            Pattern([self._cells(f, h) for f, h in pairs], pairs, (self.m, self.m)) if pairs else None
        )
        self._fill(cross)

    def _cells(self, f, h):
        """Return the rows and the columns of the entries of ``C[f, h]``."""
        cells, own, other = self.structure.cells[f, h], self.structure.factors[f], self.structure.factors[h]
        start = self.place[f].start if f else 0
        if own.q == other.q == 1 and not start and not self.place[h].start:
            return cells.first, cells.second
        row = start + own.n_levels * np.arange(own.q)[:, None, None] + cells.first
        column = self.place[h].start + other.n_levels * np.arange(other.q)[None, :, None] + cells.second
        row, column = np.broadcast_arrays(row, column)
        return row.ravel(), column.ravel()

    def _fill(self, cross):
        self.cross = cross
        self.N = self._first.filled(cross.C)
        self.between = None if self._pairs is None else self._pairs.filled(cross.C)

    def with_values(self, cross: CrossProducts) -> CrossedProducts:
        """Return the same with other products, such as those of other weights, at the same places."""
        other = copy(self)
        other._fill(cross)
        return other

    def by_block(self, of_factor: Sequence[FloatArray], V: FloatArray) -> FloatArray:
        """Return the block-diagonal matrix with the blocks ``of_factor[f]`` (q, q, J) times V (m, r)."""
        out = np.empty_like(V)
        for f in self.rest:
            out[self.place[f]] = times_blocks(of_factor[f], V[self.place[f]])
        return out

    def by_factor(self, Lambda: Sequence[FloatArray], V: FloatArray) -> FloatArray:
        """Return ``Lambda V``, one matrix (q, q) for all levels of a factor."""
        out = np.empty_like(V)
        for f in self.rest:
            L, own = Lambda[f], V[self.place[f]]
            out[self.place[f]] = (L @ own.reshape(len(L), -1)).reshape(own.shape)
        return out

    def products(self, V: FloatArray) -> FloatArray:
        """Return ``A V``."""
        out = self.by_block(self.cross.A, V)
        if self.between is not None:
            out += self.between @ V
            out += self.between.T @ V
        return out


class Pattern:
    """Where a sparse matrix has entries, put together from the cells of some pairs of factors."""

    def __init__(
        self,
        places: Sequence[tuple[IntArray, IntArray]],
        pairs: Sequence[tuple[int, int]],
        shape: tuple[int, int],
    ) -> None:
        self.pairs, self.shape = pairs, shape
        rows, columns = (x[0] if len(x) == 1 else np.concatenate(x) for x in zip(*places, strict=True))
        index = np.int32 if max(*shape, rows.size) < 2**31 else np.int64
        rows, columns = rows.astype(index, copy=False), columns.astype(index, copy=False)
        self._order = None
        if np.any(rows[1:] < rows[:-1]):  # cells of one pair without slopes are sorted as they come
            self._order = np.lexsort((columns, rows)).astype(index)
            rows, columns = rows[self._order], columns[self._order]
        ends = np.searchsorted(rows, np.arange(shape[0], dtype=index), side="right")
        self._indices, self._indptr = columns, np.append(0, ends).astype(index)

    def filled(self, C: dict) -> sparse.csr_array:
        """Return the matrix with the entries ``C[f, h]`` (q_f, q_h, cells)."""
        parts = [C[pair].ravel() for pair in self.pairs]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        values = values if self._order is None else values[self._order]
        return sparse.csr_array((values, self._indices, self._indptr), shape=self.shape)


def times_blocks(B: FloatArray, V: FloatArray) -> FloatArray:
    """Return ``B_j V_j`` of the levels, B (q, q, J) and V (q J, r), effect by effect."""
    if len(B) == 1:
        return B[0, 0][:, None] * V
    W = V.reshape(len(B), -1, V.shape[1])
    return np.stack([sum(b[:, None] * w for b, w in zip(row, W, strict=True)) for row in B]).reshape(V.shape)


class CrossedSystem:
    """The system at one value of Lambda.

    Attributes
    ----------
    K, MiL, Minv : (q, q, J) arrays
        ``Lambda_0 M_j^-1 Lambda_0'``, ``M_j^-1 Lambda_0'`` and ``M_j^-1`` of the first factor.
    log_det_blocks : float
        ``log |M| + log |D|``, D being the diagonal blocks of S.
    """

    def __init__(self, products: CrossedProducts, Lambda: Sequence[FloatArray]) -> None:
        self.products, self.Lambda = products, Lambda
        self.transposed = [L.T for L in Lambda]
        self.log_det_blocks = 0.0
        L0 = Lambda[0]
        C = self._root(_penalised(products.cross.A[0], L0))
        half = blocks.solve_lower(C, np.broadcast_to(L0.T[:, :, None], C.shape))
        self.K = blocks.transpose_multiply(half, half)
        self.MiL = blocks.solve_upper(C, half)
        self.Minv = _inverse(C)
        self.D = [np.empty(0)] + [self._root(self._diagonal_blocks(f)) for f in products.rest]
        self.Dinv = [np.empty(0)] + [_inverse(D) for D in self.D[1:]]

    def _root(self, M):
        C = blocks.cholesky(M)
        self.log_det_blocks += blocks.log_determinant(C)
        return C

    def _diagonal_blocks(self, f):
        structure, cross = self.products.structure, self.products.cross
        cells, C = structure.cells[0, f], cross.C[0, f]
        explained = blocks.transpose_multiply(C, blocks.multiply(self.K[:, :, cells.first], C))
        rest = cross.A[f] - blocks.sum_by(cells.second, explained, structure.factors[f].n_levels)
        return _penalised(rest, self.Lambda[f])

    def times(self, V: FloatArray) -> FloatArray:
        """Return ``S V``."""
        products = self.products
        LV = products.by_factor(self.Lambda, V)
        out = products.products(LV)
        out -= products.N.T @ times_blocks(self.K, products.N @ LV)
        return products.by_factor(self.transposed, out) + V

    def reduced(self, C0: FloatArray, C: FloatArray) -> FloatArray:
        """Return right-hand sides (m, r) after the first factor is eliminated: ``Lambda'(C - N'K C0)``."""
        explained = self.products.N.T @ times_blocks(self.K, C0)
        return self.products.by_factor(self.transposed, C - explained)

    def first(self, V: FloatArray, C0: FloatArray | float = 0.0) -> FloatArray:
        """Return the first factor's effects for those of the others: ``M^-1 Lambda_0'(C0 - N Lambda V)``."""
        return times_blocks(self.MiL, C0 - self.products.N @ self.products.by_factor(self.Lambda, V))

    def explained(self, C0: FloatArray) -> FloatArray:
        """Return ``C0'K C0``, what the first factor takes from the products of the right-hand sides."""
        return C0.T @ times_blocks(self.K, C0)

    def solve(self, B: FloatArray, tolerance: float) -> FloatArray:
        """Return ``S^-1 B`` for each column of B, to a relative error in the norm of the problem.

        Raises
        ------
        numpy.linalg.LinAlgError
            If 1,000 steps are not enough.
        """
        return self._conjugate_gradients(B, tolerance, self._balanced)[0]

    @cached_property
    def _balanced(self):
        small = small_factors(self.products.place)
        return Balancing(self.times, self._by_blocks, self.products.m, small) if small else self._by_blocks

    def _by_blocks(self, V):
        return self.products.by_block(self.Dinv, V)

    def log_determinants(self, z: FloatArray, tolerance: float = 1e-4) -> FloatArray:
        """Return estimates (k,) of ``log |H|`` without X, one for each probe z (m, k) of signs.

        Stochastic Lanczos quadrature: the coefficients of conjugate gradients are those of a tridiagonal
        matrix with the same moments (Ubaru, Chen and Saad 2017, *SIAM Journal on Matrix Analysis* 38(4)).
        """
        return self.probed(z, tolerance)[2]

    def probed(
        self, z: FloatArray, tolerance: float, near: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return vectors a and b (m, k) with ``E a b' = S^-1`` for random signs z, and what
        :meth:`log_determinants` returns: one run of conjugate gradients knows both.

        With D the diagonal blocks of S and L their roots, ``a = L'^-1 z`` and ``b = S^-1 L z``: were S
        equal to D, b would be a. ``near`` (m, k) is where to look for b, such as that of a system near by;
        the determinants then are not known: NaN.
        """
        start = self.products.by_block(self.D, z)
        precondition = self._by_blocks if near is None else self._balanced
        found, lengths, ratios = self._conjugate_gradients(start, tolerance, precondition, near)
        if near is not None:
            return self.products.by_block(self.Dinv, start), found, np.full(z.shape[1], np.nan)
        determinants = self.log_det_blocks + np.array(
            [len(z) * _first_logarithm(a, b) for a, b in zip(lengths.T, ratios.T, strict=True)]
        )
        return self.products.by_block(self.Dinv, start), found, determinants

    def _conjugate_gradients(self, B, tolerance, precondition, near=None):
        X, R = np.zeros_like(B), B.copy()
        Z = precondition(R)
        size = np.einsum("mr,mr->r", R, Z)
        enough = tolerance**2 * size
        if near is not None:
            X, R = near.copy(), B - self.times(near)
            Z = precondition(R)
            size = np.einsum("mr,mr->r", R, Z)
        P = Z.copy()
        lengths, ratios = [], []
        for _ in range(MOST_STEPS):
            if not (size > enough).any():
                break
            SP = self.times(P)
            with np.errstate(invalid="ignore", divide="ignore"):
                length = np.where(size > 0, size / np.einsum("mr,mr->r", P, SP), 0.0)
            X += length * P
            R -= length * SP
            Z = precondition(R)
            new = np.einsum("mr,mr->r", R, Z)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = np.where(size > 0, new / size, 0.0)
            P *= ratio
            P += Z
            size = new
            lengths.append(length)
            ratios.append(ratio)
        else:
            raise np.linalg.LinAlgError(f"conjugate gradients have not converged in {MOST_STEPS} steps")
        return X, np.array(lengths), np.array(ratios)


def _penalised(A, L):
    return blocks.right(blocks.left(L.T, A), L) + np.eye(len(L))[:, :, None]


def _inverse(C):
    half = blocks.solve_lower(C, np.broadcast_to(np.eye(len(C))[:, :, None], C.shape))
    return blocks.transpose_multiply(half, half)


def _first_logarithm(length, ratio):
    """Return the first entry of the logarithm of the Lanczos matrix of one run of conjugate gradients."""
    used = np.cumprod(length > 0).astype(bool)
    length, ratio = length[used], ratio[used]
    diagonal = 1.0 / length
    diagonal[1:] += ratio[:-1] / length[:-1]
    beside = np.sqrt(ratio[:-1]) / length[:-1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return vectors[0] ** 2 @ np.log(values)
