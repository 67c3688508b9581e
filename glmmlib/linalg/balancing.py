r"""Balancing: conjugate gradients beside a factor of few levels.

Fourteen departments beside a thousand lecturers: the effect of a department and the mean of its lecturers'
effects can trade places at almost no cost. Blocks do not see such directions, and conjugate gradients creep
along them. They are known beforehand, :math:`W = (E, D^{-1}SE)` with the columns E of the small factors and
the blocks D of S: on them the system is solved as it is, and the blocks get the rest (Mandel 1993,
*Communications in Numerical Methods in Engineering* 9(3)),

.. math::

    P = Q + (I - QS)\,D^{-1}(I - SQ), \qquad Q = W(W'SW)^{-1}W'.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmmlib.types import FloatArray

MOST_COLUMNS = 64  # of the small factors together: each costs two products with S
TOLD_APART = 1e-10  # directions of less than this share of the largest are left to the blocks

Product = Callable[[FloatArray], FloatArray]


class Balancing:
    """The preconditioner P of a matrix S.

    Parameters
    ----------
    times, by_blocks : callable
        ``S V`` and ``D^-1 V`` for V (m, r).
    m : int
    small : list of slice
        Where the columns of the small factors stand.
    """

    def __init__(self, times: Product, by_blocks: Product, m: int, small: list[slice]) -> None:
        self._by_blocks = by_blocks
        E = np.eye(m)[:, np.concatenate([np.arange(s.start, s.stop) for s in small])]
        SE = times(E)
        others = by_blocks(SE)
        for place in small:
            others[place] = 0.0
        W, SW = np.hstack([E, others]), np.hstack([SE, times(others)])
        inner = W.T @ SW
        values, vectors = np.linalg.eigh(0.5 * (inner + inner.T))
        kept = values > TOLD_APART * values[-1]
        turn = vectors[:, kept] / np.sqrt(values[kept])
        self._W, self._SW = W @ turn, SW @ turn  # of which W'SW is the identity

    def __call__(self, R: FloatArray) -> FloatArray:
        """Return ``P R`` (m, r)."""
        coarse = self._W.T @ R
        Z = self._by_blocks(R - self._SW @ coarse)
        return Z + self._W @ (coarse - self._SW.T @ Z)


def small_factors(sizes: dict[int, slice]) -> list[slice]:
    """Return where the columns of the small factors stand, of several; none where no other is large."""
    columns = sorted(sizes.values(), key=lambda place: place.stop - place.start)
    small: list[slice] = []
    left = MOST_COLUMNS
    for place in columns[:-1]:
        left -= place.stop - place.start
        if left < 0:
            break
        small.append(place)
    return small
