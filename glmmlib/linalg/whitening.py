r"""Rows in blocks that are correlated within: rows times the inverse Cholesky factor of their covariance.

Blocks that hold the same positions have the same covariance; blocks with equally many rows are handled
together, in stacks of small matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmlib.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class EqualBlocks:
    """All blocks of m rows.

    Attributes
    ----------
    rows : (B, m) integer array
        Sorted by the pattern of their positions.
    positions : (P, m) integer array
        The patterns that occur.
    pattern : (B,) integer array
    first : (P,) integer array
        Where each pattern begins among the blocks.
    """

    rows: IntArray
    positions: IntArray
    pattern: IntArray
    first: IntArray

    def spread(self, stack: FloatArray) -> FloatArray:
        """Return one matrix for each block, of those (P, m, m) of the patterns."""
        return stack if len(stack) == 1 else stack[self.pattern]

    def by_pattern(self, stack: FloatArray) -> FloatArray:
        """Sum the matrices (B, m, m) of blocks with one pattern: (P, m, m)."""
        return np.add.reduceat(stack, self.first, axis=0)


class BlockRows:
    """Which rows form a block, and at which position each row stands.

    Parameters
    ----------
    block, position : (n,) integer arrays
        No position twice in a block.
    """

    def __init__(self, block: IntArray, position: IntArray) -> None:
        order = np.lexsort((position, block))
        start = np.flatnonzero(np.diff(block[order], prepend=-1))
        size = np.diff(np.append(start, len(order)))
        self.n_blocks = len(start)
        self.parts = []
        for m in np.unique(size):
            rows = order[start[size == m][:, None] + np.arange(m)]
            positions, pattern = np.unique(position[rows], axis=0, return_inverse=True)
            pattern = pattern.ravel()
            by_pattern = np.argsort(pattern, kind="stable")
            first = np.searchsorted(pattern[by_pattern], np.arange(len(positions)))
            self.parts.append(EqualBlocks(rows[by_pattern], positions, pattern[by_pattern], first))

    def pairs(self, q: int) -> IntArray:
        """Count the blocks that hold each pair of q positions: (q, q)."""
        found = np.zeros((q, q), dtype=int)
        for part in self.parts:
            count = np.bincount(part.pattern, minlength=len(part.positions))
            places = (part.positions[:, :, None], part.positions[:, None, :])
            np.add.at(found, places, np.broadcast_to(count[:, None, None], np.broadcast(*places).shape))
        return found

    def second_moments(self, values: FloatArray, q: int) -> FloatArray:
        """Return the mean products (q, q) of values (n,) at two positions of one block; zero for no block."""
        total = np.zeros((q, q))
        for part in self.parts:
            v = values[part.rows]
            sums = part.by_pattern(v[:, :, None] * v[:, None, :])
            np.add.at(total, (part.positions[:, :, None], part.positions[:, None, :]), sums)
        return total / np.maximum(self.pairs(q), 1)


class Whitening:
    """The Cholesky factors of all blocks for one covariance R (q, q) of the positions.

    Attributes
    ----------
    log_det : float
        Of the covariance of all rows.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the covariance of some block is not positive definite.
    """

    def __init__(self, blocks: BlockRows, R: FloatArray) -> None:
        self.blocks, self.q = blocks, len(R)
        self.roots, self.inverses, self.log_det = [], [], 0.0
        for part in blocks.parts:
            root = np.linalg.cholesky(R[part.positions[:, :, None], part.positions[:, None, :]])
            logs = np.log(np.einsum("pmm->pm", root)).sum(axis=1)
            self.log_det += 2.0 * float(logs @ np.bincount(part.pattern, minlength=len(root)))
            self.roots.append(root)
            self.inverses.append(np.linalg.inv(root))

    def apply(self, values: FloatArray) -> FloatArray:
        """Return values (k, n) with each block times its inverse Cholesky factor."""
        return self._times(values, self.inverses)

    def solve(self, values: FloatArray) -> FloatArray:
        """Return values (k, n) with each block times the inverse of its covariance."""
        back = [np.swapaxes(inverse, 1, 2) for inverse in self.inverses]
        return self._times(self.apply(values), back)

    def color(self, values: FloatArray) -> FloatArray:
        """The inverse of :meth:`apply`."""
        return self._times(values, self.roots)

    def _times(self, values: FloatArray, stacks: list[FloatArray]) -> FloatArray:
        out = np.empty_like(values)
        for part, stack in zip(self.blocks.parts, stacks, strict=True):
            here = np.moveaxis(values[:, part.rows], 0, -1)  # (B, m, k)
            out[:, part.rows] = np.moveaxis(part.spread(stack) @ here, -1, 0)
        return out

    def pull(self, inner: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
        r"""Return the derivatives in R (q, q), and in the logarithm of each row's SD (n,).

        ``inner`` holds for each of ``blocks.parts`` the symmetric matrices M (B, m, m) of the blocks, the
        derivative in the covariance of a block being :math:`C'^{-1} M C^{-1}`.
        """
        in_R = np.zeros((self.q, self.q))
        n = sum(part.rows.size for part in self.blocks.parts)
        in_log_sd = np.empty(n)
        stacks = zip(self.blocks.parts, self.roots, self.inverses, inner, strict=True)
        for part, root, inverse, M in stacks:
            G = np.swapaxes(inverse, 1, 2) @ part.by_pattern(M) @ inverse
            np.add.at(in_R, (part.positions[:, :, None], part.positions[:, None, :]), G)
            moved = M @ np.swapaxes(part.spread(root), 1, 2)
            in_log_sd[part.rows] = 2.0 * (part.spread(inverse) * moved).sum(axis=1)
        return 0.5 * (in_R + in_R.T), in_log_sd
