"""Which groups meet which: all that the data say about the random effects before any parameter is known.

The random effects are arranged by grouping factor, largest first.  The first factors form a *chain*: each is
nested in the next (plots in sites in regions), so that eliminating one leaves the next block-diagonal.
The factors outside the chain are truly crossed with it; their columns end up in one dense matrix.  So do
those of a factor with one level, such as the coefficients of a curve: every other factor is nested in it, but
it has one block only, which is best left to LAPACK.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from glmmlib.linalg.resources import check_memory
from glmmlib.types import FloatArray, IntArray

CHUNK_ROWS = 1 << 16  # rows at a time when a pass over the data builds temporary arrays
MANY_ROWS = 1 << 20  # temporary arrays of so many rows are still small beside data that need them
CHUNK_NUMBERS = 1_000_000  # of a matrix whose rows are laid out for BLAS
CHUNK_PRODUCTS = 2_000_000  # of its product, where it is not laid out
FILLED = 0.25  # of a matrix: from here on its product with a dense one is for BLAS
CHUNK_PAIRS = 50_000  # pairs at a time in the sums below: fits a processor's cache


def rows_at_once(n_sums: int) -> int:
    """Return how many rows a pass that adds up ``n_sums`` sums should take at a time.

    Each chunk of rows costs an addition for every sum, so that many sums ask for large chunks: the work then
    grows with the rows, not with rows times sums.
    """
    return max(CHUNK_ROWS, min(n_sums, MANY_ROWS), n_sums // 3)


@dataclass(frozen=True, eq=False)
class Factor:
    """A grouping factor with all random-effects columns that belong to it.

    ``codes`` (n,) numbers the level of each row, ``Z`` (q, n) holds one row for each column of random
    effects, and ``to_standard`` (q, q) maps raw columns to the well-conditioned ones that the
    algebra uses: ``z_standard = to_standard' z`` (None: they are standardised already).
    """

    name: str
    codes: np.ndarray
    Z: np.ndarray
    n_levels: int
    to_standard: Any

    @property
    def q(self) -> int:
        return self.Z.shape[0]

    @property
    def n_columns(self) -> int:
        return self.q * self.n_levels

    @cached_property
    def is_intercept(self) -> bool:
        """Is Z one column of ones, with which nothing need be multiplied?"""
        return self.q == 1 and bool((self.Z == 1.0).all())

    @cached_property
    def starts(self) -> IntArray | None:
        """The first row of each level (J,), where rows are sorted by level and every level has one."""
        if self.codes[0] != 0 or self.codes[-1] != self.n_levels - 1:
            return None
        steps = np.diff(self.codes)
        return np.flatnonzero(np.append(True, steps)) if ((steps == 0) | (steps == 1)).all() else None

    def by_level(self, values: FloatArray, first: int = 0) -> FloatArray:
        """Return the sum of values over the rows of each level (J,); they are those of the rows from
        ``first`` on.
        """
        codes = self.codes[first : first + values.size]
        if self.starts is None:
            return np.asarray(np.bincount(codes, values, minlength=self.n_levels), dtype=float)
        low, high = codes[0], codes[-1] + 1
        sums = np.add.reduceat(values, np.maximum(self.starts[low:high] - first, 0))  # of neighbours
        if sums.size == self.n_levels:
            return sums
        total = np.zeros(self.n_levels)
        total[low:high] = sums
        return total

    def sums(self, values: FloatArray) -> FloatArray:
        """Return ``Z'values`` (q, J), Z as it is stored, for values (n,)."""
        if self.n_levels == 1:
            return (self.Z @ values)[:, None]
        if self.is_intercept:
            return self.by_level(values)[None]
        return np.stack([self.by_level(z * values) for z in self.Z])

    def columns(self, rows: slice = slice(None)) -> FloatArray:
        """Return the standardised columns ``(q, rows)``."""
        return self.Z[:, rows] if self.to_standard is None else self.to_standard.T @ self.Z[:, rows]


@dataclass(frozen=True, eq=False)
class Cells:
    """The pairs of levels of two factors that occur together in some row.

    Cell ``c`` joins level ``first[c]`` with level ``second[c]``; row ``i`` of the data lies in cell
    ``slot[i]``.  Cells are sorted by ``first``, then ``second``.
    """

    first: np.ndarray
    second: np.ndarray
    slot: np.ndarray
    n_second: int

    @property
    def size(self) -> int:
        return self.first.size

    @cached_property
    def key(self) -> IntArray:
        return self.first.astype(np.int64) * self.n_second + self.second

    def find(self, first: IntArray, second: IntArray) -> IntArray:
        """Return the numbers of the cells that join ``first`` with ``second``."""
        return np.searchsorted(self.key, first.astype(np.int64) * self.n_second + second)


def observed_cells(f: Factor, h: Factor) -> Cells:
    """Return the cells of two factors, found by one sort of (cell, row) packed into a single integer."""
    n = f.codes.size
    key = f.codes.astype(np.int64)
    key *= h.n_levels
    key += h.codes
    if f.n_levels * h.n_levels * n < 2**62:
        key *= n
        key += np.arange(n)
        key.sort()
        row = np.empty(n, dtype=np.int32 if n < 2**31 else np.int64)
        np.divmod(key, n, out=(key, row), casting="same_kind")
    else:
        row = np.argsort(key, kind="stable")
        key = key[row]
    is_new = np.ones(n, dtype=bool)
    np.not_equal(key[1:], key[:-1], out=is_new[1:])
    number = np.cumsum(is_new, dtype=np.int32)
    number -= 1
    slot = np.empty(n, dtype=np.int32)
    slot[row] = number
    key = key[is_new]
    return Cells((key // h.n_levels).astype(np.int32), (key % h.n_levels).astype(np.int32), slot, h.n_levels)


class DenseCells:
    """For one factor of the chain: which of the ``m`` dense columns each of its levels meets.

    A sparse ``J x m`` matrix pattern that serves two products.  Levels with equally many
    columns are handled together, so that the sums run over rectangular arrays; where more than one entry
    in twenty is filled, ordinary dense products of BLAS are faster and are used instead; of the two products
    that with a dense matrix is a sparse one up to one entry in four.
    """

    def __init__(self, n_levels: int, m: int, parts: Any) -> None:
        """``parts``: for each crossed factor (cells, first dense column, q, J)."""
        level = np.concatenate([np.tile(cells.first, q) for cells, _, q, _ in parts])
        column = np.concatenate(
            [start + b * J + cells.second for cells, start, q, J in parts for b in range(q)]
        ).astype(np.int32)
        self.n_levels, self.m = n_levels, m
        self.order = (
            None  # as for one crossed factor with one random effect: nothing to reorder, nothing to copy
        )
        if np.any(level[1:] < level[:-1]):
            self.order = np.argsort(level, kind="stable").astype(np.int32)
            level, column = level[self.order], column[self.order]
        self.level, self.column = level, column
        count = np.bincount(self.level, minlength=n_levels)
        self.start = np.concatenate([[0], np.cumsum(count)])
        self.is_full = bool((count == m).all()) and np.array_equal(self.column[:m], np.arange(m))
        self.is_dense = self.is_full or n_levels * m * m < 300.0 * (count.astype(float) ** 2).sum()
        self.is_filled = level.size > FILLED * n_levels * m
        self.rectangles = [] if self.is_dense else self._rectangles(count)

    def _rectangles(self, count):
        """Positions of levels with equally many columns, cut into chunks of shape (levels, columns)."""
        chunks = []
        for k in np.unique(count[count > 0]):
            positions = (self.start[np.flatnonzero(count == k)][:, None] + np.arange(k)).astype(np.int32)
            step = max(1, CHUNK_PAIRS // (k * k))
            chunks += [positions[s : s + step] for s in range(0, len(positions), step)]
        return chunks

    def _full_rows(self, values):
        """Return the matrix as an array (q, levels, m), where every level meets all columns in order."""
        return values.reshape(len(values), self.n_levels, self.m)

    def _dense_rows(self, values):
        """Yield chunks of the matrix as dense rows ``(q * levels, m)`` with their slice of positions."""
        q = values.shape[0]
        for here, first, last in self._chunks(CHUNK_NUMBERS // q):
            W = np.zeros((q, last - first, self.m))
            W[:, self.level[here] - first, self.column[here]] = values[:, here]
            yield here, first, W

    def _sparse_rows(self, values):
        """Yield the same with q sparse matrices (levels, m) in each chunk."""
        for here, first, last in self._chunks(CHUNK_PRODUCTS):
            start = self.start[first : last + 1] - self.start[first]
            shape = (last - first, self.m)
            yield here, first, [csr_array((v, self.column[here], start), shape) for v in values[:, here]]

    def _chunks(self, numbers):
        """Yield slices of positions with their first level and the last, of so many numbers of the matrix."""
        step = max(1, numbers // self.m)
        for first in range(0, self.n_levels, step):
            last = min(first + step, self.n_levels)
            yield slice(self.start[first], self.start[last]), first, last

    def sort(self, values: FloatArray) -> FloatArray:
        """Reorder values ``(q, P)`` from the order of ``parts`` to the order used here."""
        return values if self.order is None else values[:, self.order]

    def unsort(self, values: FloatArray) -> FloatArray:
        if self.order is None:
            return values
        restored = np.empty_like(values)
        restored[:, self.order] = values
        return restored

    def gram(self, values: FloatArray) -> FloatArray:
        """Return ``W'W`` (m, m), lower triangle filled, for the matrix W with entries ``values`` (q, P)."""
        m = self.m
        if self.is_full:
            W = self._full_rows(values).reshape(len(values) * self.n_levels, m)
            return W.T @ W
        if self.is_dense:
            total = np.zeros((m, m))
            for _, _, W in self._dense_rows(values):
                W = W.reshape(-1, m)
                total += W.T @ W
            return total
        flat = np.zeros(m * m)
        for positions in self.rectangles:
            i, k = np.tril_indices(positions.shape[1])
            column = self.column[positions]
            products = sum(v[positions][:, i] * v[positions][:, k] for v in values)
            np.add.at(flat, (column[:, i].astype(np.intp) * m + column[:, k]).ravel(), products.ravel())
        return flat.reshape(m, m)

    def times(self, values: FloatArray, S: FloatArray) -> FloatArray:
        """Return ``W S`` at the places where W has entries, for a symmetric ``S`` (m, m): shape (q, P)."""
        if self.is_full:
            return (self._full_rows(values) @ S).reshape(values.shape)
        out = np.empty_like(values)
        if self.is_dense:
            products = self._dense_rows if self.is_filled else self._sparse_rows
            for here, first, W in products(values):
                for rows, o in zip(W, out[:, here], strict=True):
                    o[:] = (rows @ S)[self.level[here] - first, self.column[here]]
            return out
        flat = np.ascontiguousarray(S).ravel()
        for positions in self.rectangles:
            column = self.column[positions].astype(np.intp)
            block = flat.take(column[:, :, None] * self.m + column[:, None, :], mode="clip")
            for v, o in zip(values, out, strict=True):
                o[positions] = np.matmul(block, v[positions][:, :, None])[:, :, 0]
        return out

    def times_columns(self, values: FloatArray, B: FloatArray) -> FloatArray:
        """Return ``W B`` for a matrix ``B`` (m, r): shape (q, r, J)."""
        q, r = values.shape[0], B.shape[1]
        if self.is_full:
            return np.matmul(self._full_rows(values), B).swapaxes(1, 2)
        out = np.empty((q, r, self.n_levels))
        for a in range(q):
            for b in range(r):
                out[a, b] = np.bincount(self.level, values[a] * B[self.column, b], minlength=self.n_levels)
        return out

    def transpose_times(self, values: FloatArray, E: FloatArray) -> FloatArray:
        """Return ``W' E`` for level-wise columns ``E`` (q, r, J): shape (m, r)."""
        if self.is_full:
            columns = E.swapaxes(1, 2).reshape(len(values) * self.n_levels, E.shape[1])
            return self._full_rows(values).reshape(-1, self.m).T @ columns
        out = np.empty((self.m, E.shape[1]))
        for b in range(E.shape[1]):
            weights = np.einsum("ap,ap->p", values, E[:, b, self.level])
            out[:, b] = np.bincount(self.column, weights, minlength=self.m)
        return out


class Structure:
    """The grouping factors in the order of their elimination, and where their levels meet.

    Attributes
    ----------
    factors : tuple of Factor
        The chain first, then the crossed factors.
    order : list of int
        ``factors[k]`` is the ``order[k]``-th of the factors given.
    n_chain : int
        How many factors are eliminated block by block.
    cells : dict
        ``cells[f, h]`` for each pair ``f < h``.
    m : int
        Number of columns of the crossed factors: the size of the dense matrix.
    on_factorisation : callable or None
        Called after each factorisation of the dense matrix, by who waits for them.
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.on_factorisation: Callable[[], Any] | None = None
        chain, crossed = _chain(factors, lambda f: f.n_columns)
        if crossed:  # larger groups with more effects each may have more columns than those within them
            whole, rest = _chain(factors, lambda f: f.n_levels)
            chain, crossed = (chain, crossed) if rest else (whole, rest)
        self.order = chain + crossed
        self.factors = tuple(factors[k] for k in self.order)
        self.n_chain = len(chain)
        K = len(factors)
        self.cells = {
            (f, h): observed_cells(self.factors[f], self.factors[h])
            for f in range(K)
            for h in range(f + 1, K)
        }
        self.lift = {
            (f, h, k): self.cells[h, k].find(
                self.parent(f, h)[self.cells[f, k].first], self.cells[f, k].second
            )
            for f in range(self.n_chain)
            for h in range(f + 1, self.n_chain)
            for k in range(h + 1, K)
        }
        starts = np.cumsum([0] + [f.n_columns for f in self.factors[self.n_chain :]])
        self.m = int(starts[-1])
        self.dense_start = dict(zip(range(self.n_chain, K), starts, strict=False))

    @cached_property
    def dense_cells(self) -> list[DenseCells]:
        """Where each factor of the chain meets the dense columns.

        Raises
        ------
        ModelError
            If the dense matrix would not fit into memory.
        """
        check_memory(self.factors[: self.n_chain], self.factors[self.n_chain :], p=0)
        return [self._dense_cells(f) for f in range(self.n_chain)] if self.m else []

    @property
    def chain(self) -> range:
        return range(self.n_chain)

    def dense_columns(self, f: int) -> Any:
        """Return where the columns of the crossed factor ``f`` stand in the dense matrix."""
        return slice(self.dense_start[f], self.dense_start[f] + self.factors[f].n_columns)

    @property
    def crossed(self) -> range:
        return range(self.n_chain, len(self.factors))

    def parent(self, f: int, h: int) -> IntArray:
        """Return, for each level of ``f``, the level of ``h`` in which it is nested."""
        return self.cells[f, h].second

    def _dense_cells(self, f):
        parts = [
            (self.cells[f, h], self.dense_start[h], self.factors[h].q, self.factors[h].n_levels)
            for h in self.crossed
        ]
        return DenseCells(self.factors[f].n_levels, self.m, parts)


def _chain(factors, size):
    """Return which factors form a chain, each nested in the next, the largest first, and the others."""
    chain: list[int] = []
    crossed: list[int] = []
    for k in sorted(range(len(factors)), key=lambda k: -size(factors[k])):
        nested = factors[k].n_levels > 1 and all(_is_nested(factors[c], factors[k]) for c in chain)
        (chain if nested else crossed).append(k)
    return chain, crossed


def _is_nested(f, h):
    """Does each level of ``f`` occur with one level of ``h`` only?"""
    parent = np.zeros(f.n_levels, dtype=h.codes.dtype)
    parent[f.codes] = h.codes
    return bool(np.array_equal(parent[f.codes], h.codes))
