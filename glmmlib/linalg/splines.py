r"""Cubic regression splines: values at knots, joined by a natural or a periodic cubic spline.

A spline is described by its values :math:`\beta` at the knots.  Its second derivatives there are
:math:`F\beta`, and its wiggliness :math:`\int f''(x)^2 dx = \beta' S \beta`.  Wood (2017), *Generalized
Additive Models*, 2nd ed., 5.3.1 and 5.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CubicSpline:
    """A basis of cubic splines over knots.

    Attributes
    ----------
    knots : (k,) array
        Increasing.
    is_cyclic : bool
        Is the last knot the first one again, as for months or hours?
    F, S : (k, m), (m, m) arrays
        Second derivatives at the knots, and the penalty; m is k, or k - 1 for a cyclic spline.
    """

    knots: FloatArray
    is_cyclic: bool
    F: FloatArray = field(repr=False)
    S: FloatArray = field(repr=False)

    @classmethod
    def over(cls, knots: FloatArray, is_cyclic: bool = False) -> CubicSpline:
        """Make the spline over these knots.

        >>> spline = CubicSpline.over(np.array([0.0, 1.0, 3.0]))
        >>> line = spline.knots * 2 + 1
        >>> bool(np.isclose(line @ spline.S @ line, 0.0)), spline.values(np.array([4.0])) @ line
        (True, array([9.]))
        """
        gaps = np.diff(knots)
        second, D = _cyclic_equations(gaps) if is_cyclic else _natural_equations(gaps)
        inner = np.linalg.solve(second, D)
        F = inner if is_cyclic else np.pad(inner, ((1, 1), (0, 0)))
        return cls(knots, is_cyclic, F, D.T @ inner)

    def values(self, x: FloatArray) -> FloatArray:
        """Return the rows (n, m) whose product with beta is f(x): linear beyond the ends, or periodic."""
        knots = self.knots
        if self.is_cyclic:
            x = knots[0] + np.mod(x - knots[0], knots[-1] - knots[0])
        inside = np.clip(x, knots[0], knots[-1])
        j = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
        gap, left, right = np.diff(knots)[j], knots[j + 1] - inside, inside - knots[j]
        found = self._rows(j, left / gap, right / gap, *(_bend(side, gap) for side in (left, right)))
        step = x - inside
        if step.any():
            slopes = _bend_slope(left, gap), _bend_slope(right, gap)
            found += step[:, None] * self._rows(j, -1.0 / gap, 1.0 / gap, -slopes[0], slopes[1])
        return found

    def _rows(self, j, left, right, bend_left, bend_right) -> FloatArray:
        """Weigh the values and the second derivatives at both ends of the interval j of each row."""
        m, rows = self.F.shape[1], np.arange(len(j))
        after = (j + 1) % m if self.is_cyclic else j + 1
        found = bend_left[:, None] * self.F[j] + bend_right[:, None] * self.F[after]
        found[rows, j] += left
        found[rows, after] += right
        return found


def _bend(side, gap):
    """Return the weight of the second derivative at the other end of the interval from ``side``."""
    return (side**3 / gap - gap * side) / 6.0


def _bend_slope(side, gap):
    return (3.0 * side**2 / gap - gap) / 6.0


def _natural_equations(gaps):
    """Return B (k-2, k-2) and D (k-2, k): the inner second derivatives are ``B^-1 D beta``."""
    n = len(gaps) - 1
    i = np.arange(n)
    D = np.zeros((n, n + 2))
    D[i, i], D[i, i + 2] = 1.0 / gaps[:-1], 1.0 / gaps[1:]
    D[i, i + 1] = -D[i, i] - D[i, i + 2]
    B = np.diag((gaps[:-1] + gaps[1:]) / 3.0)
    B[i[1:], i[:-1]] = B[i[:-1], i[1:]] = gaps[1:-1] / 6.0
    return B, D


def _cyclic_equations(gaps):
    """Return B and D (m, m) of a periodic spline, the gap before knot 0 being the last one."""
    m = len(gaps)
    B, D = np.zeros((m, m)), np.zeros((m, m))
    for j in range(m):
        before, after = gaps[j - 1], gaps[j]
        for other, gap in ((j - 1) % m, before), ((j + 1) % m, after):
            B[j, j] += gap / 3.0
            B[j, other] += gap / 6.0
            D[j, j] -= 1.0 / gap
            D[j, other] += 1.0 / gap
    return B, D
