r"""Sums of products over rows that come in batches: all that a linear model with one factor needs of them.

For rows :math:`w_i` of k columns - those of Z first, then what X has beside them, then the response - and
levels j these are :math:`\sum_i w_i w_i'` in all and :math:`\sum_{i \in j} z_i w_i'` by level. They are
summed for well-conditioned columns :math:`v = R'^{-1} w`, with R from the QR factorisation of a sample of
the rows: were they summed for w itself, ``Days + 1e8`` would lose its digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray, IntArray

EMPTY = 1e-12  # of a column's length: below this the sample says nothing of it that those before do not
SPARSE = 4  # levels in the range of a batch's codes, for each of its rows


@dataclass(frozen=True, eq=False)
class RowSums:
    """Sums over n rows.

    Attributes
    ----------
    n : int
    gram : (k, k) array
        Of the columns v.
    by_level : (q, k, J) array
        Of the first q of them with all, by level.
    root : (k, k) array
        Upper triangular, ``w = root' v``.
    """

    n: int
    gram: FloatArray
    by_level: FloatArray
    root: FloatArray

    @property
    def q(self) -> int:
        return self.by_level.shape[0]

    @cached_property
    def columns(self) -> FloatArray:
        """The columns w (k, k) in an orthonormal basis of the space that they span."""
        length = np.sqrt(np.maximum(np.diag(self.gram), 1e-300))
        values, vectors = np.linalg.eigh(self.gram / np.outer(length, length))
        half = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T * length
        return self.root.T @ half.T

    def stand_ins(self, constant: int | None) -> FloatArray:
        """Return columns w (k, k) of k rows that have the means of squares and products of all n.

        ``constant`` is the number of a column that is the same in all rows: it is so in the stand-ins, and so
        is each of its multiples.
        """
        rows = self.columns * np.sqrt(len(self.root) / self.n)
        if constant is None:
            return rows
        size = np.linalg.norm(rows[constant])
        level = np.full(len(self.root), size / np.sqrt(len(self.root)))
        mirror = rows[constant] - level
        if mirror @ mirror > 0.0:
            rows = rows - 2.0 * np.outer(rows @ mirror, mirror) / (mirror @ mirror)
        mean = rows.mean(axis=1, keepdims=True)
        is_flat = np.abs(rows - mean).max(axis=1, keepdims=True) <= EMPTY * np.abs(mean)
        return np.where(is_flat, mean, rows)

    def reordered(self, order: IntArray) -> RowSums:
        """Return the same sums, level ``j`` taken from where ``order[j]`` says."""
        if np.array_equal(order, np.arange(len(order))):
            return self
        return RowSums(self.n, self.gram, self.by_level[:, :, order], self.root)


class Summing:
    """A :class:`RowSums` that grows with each batch of rows.

    Parameters
    ----------
    sample : (k, m) array
        Columns w of some rows.
    q : int
        How many of them are those of Z.
    """

    def __init__(self, sample: FloatArray, q: int) -> None:
        k = len(sample)
        self.root = _root(sample)
        self._map = solve_triangular(self.root, np.eye(k), trans=True)
        self.n, self.n_levels = 0, 0
        self._rest = np.zeros((k - q, k - q))  # products of the columns that are not those of Z
        self._by_level = np.zeros((q, k, 0))

    def add(self, columns: FloatArray, codes: IntArray) -> None:
        """Add the rows with these columns w (k, m) and levels (m,)."""
        if not len(codes):
            return
        V = self._map @ columns
        q, k = self._by_level.shape[:2]
        self.n += len(codes)
        self._rest += V[q:] @ V[q:].T
        first, last = int(codes.min()), int(codes.max()) + 1
        self._make_room(last)
        if last - first <= max(SPARSE * len(codes), 1 << 16):
            here: slice | IntArray = slice(first, last)
            local, size = (codes - first).astype(np.intp), last - first
        else:
            here, local = np.unique(codes, return_inverse=True)
            size = len(here)
        product = np.empty(len(codes))
        for a in range(q):
            for c in range(a, k):
                np.multiply(V[a], V[c], out=product)
                self._by_level[a, c, here] += np.bincount(local, product, minlength=size)

    def _make_room(self, n_levels: int) -> None:
        self.n_levels = max(self.n_levels, n_levels)
        q, k, room = self._by_level.shape
        if n_levels > room:
            grown = np.zeros((q, k, max(n_levels, room + room // 2)))
            grown[:, :, :room] = self._by_level
            self._by_level = grown

    def finished(self) -> RowSums:
        """Return the sums."""
        sums = self._by_level[:, :, : self.n_levels]
        q, k = sums.shape[:2]
        for a in range(q):
            for c in range(a):
                sums[a, c] = sums[c, a]
        gram = np.zeros((k, k))
        gram[:q] = sums.sum(axis=2)
        gram[q:, :q], gram[q:, q:] = gram[:q, q:].T, self._rest
        return RowSums(self.n, gram, sums, self.root)


def _root(sample: FloatArray) -> FloatArray:
    """Return R (k, k) of the sample's mean square, with the length of a column where R has no diagonal."""
    k, m = sample.shape
    rows = np.concatenate([sample.T, np.zeros((max(0, k - m), k))])
    root = np.asarray(np.linalg.qr(rows, mode="r")) / np.sqrt(m)
    root *= np.where(np.diag(root) < 0, -1.0, 1.0)[:, None]
    length = np.sqrt(np.einsum("km,km->k", sample, sample) / m)
    diagonal = np.diag(root)
    is_empty = diagonal <= EMPTY * length
    np.fill_diagonal(root, np.where(is_empty, np.where(length > 0, length, 1.0), diagonal))
    return root
