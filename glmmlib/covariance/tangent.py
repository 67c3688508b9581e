"""Coordinates around one covariance factor, along which no small move is idle.

A test that needs derivatives in the variance parameters cannot take them across a boundary: a chart holds the
rank of the factor and moves it in every direction that keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr

from glmmlib.covariance.factors import SINGULAR
from glmmlib.types import ArrayLike, FloatArray


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates (m,) of the factor ``L``, zero at the point itself.

    Attributes
    ----------
    L : (q, q) array
        A root of the same ``Lambda Lambda'``.
    size : (m,) array
        What a step is measured by.
    """

    L: np.ndarray
    size: np.ndarray

    def moved(self, k: int, step: float) -> FloatArray:
        """Return the factor with one coordinate at ``step``."""
        raise NotImplementedError

    def pullback(self, k: int, step: float, G: FloatArray) -> FloatArray:
        """Return the derivatives (m,) of ``<G, L>`` in the coordinates, with one of them at ``step``."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class EntryChart(Chart):
    """The coordinates are single entries of L: ``rows``, ``cols`` (m,)."""

    rows: np.ndarray
    cols: np.ndarray

    @classmethod
    def of(cls, L: FloatArray, rows: ArrayLike, cols: ArrayLike) -> EntryChart:
        i, j = np.asarray(rows, dtype=int), np.asarray(cols, dtype=int)
        return cls(L, np.maximum(1.0, np.abs(L).max(axis=0))[j], i, j)

    def moved(self, k: int, step: float) -> FloatArray:
        L = self.L.copy()
        L[self.rows[k], self.cols[k]] += step
        return L

    def pullback(self, k: int, step: float, G: FloatArray) -> FloatArray:
        return G[self.rows, self.cols]


@dataclass(frozen=True, eq=False)
class ParameterChart(Chart):
    """The coordinates are some of a structure's own parameters: ``free`` (m,) of ``par`` (k,)."""

    structure: Any
    par: np.ndarray
    free: np.ndarray

    @classmethod
    def of(cls, structure: Any, par: FloatArray, free: ArrayLike) -> ParameterChart:
        par, places = np.asarray(par, dtype=float), np.asarray(free, dtype=int)
        return cls(structure.factor(par), np.maximum(1.0, np.abs(par[places])), structure, par, places)

    def _at(self, k, step):
        par = self.par.copy()
        par[self.free[k]] += step
        return par

    def moved(self, k: int, step: float) -> FloatArray:
        return self.structure.factor(self._at(k, step))

    def pullback(self, k: int, step: float, G: FloatArray) -> FloatArray:
        return self.structure.pullback(self._at(k, step), G)[self.free]


def triangular_chart(L: FloatArray) -> EntryChart:
    """Return the chart of a lower triangle.

    One of full rank moves in its entries.  One of rank r < q is written with r columns that are
    lower-trapezoidal after a pivoting of the rows, so that every small move keeps the rank and none is idle.
    """
    q = len(L)
    rank = int((np.linalg.svd(L, compute_uv=False) >= SINGULAR).sum())
    order = np.arange(q)
    if rank < q:
        R, order = qr(L.T, mode="r", pivoting=True)
        L = np.zeros_like(L)
        L[order] = np.where(np.arange(q) < rank, R.T, 0.0)
    places = [(order[i], j) for j in range(rank) for i in range(j, q)]
    rows, cols = zip(*places, strict=True) if places else ((), ())
    return EntryChart.of(L, rows, cols)


class Tangent:
    """The charts of all blocks of a model's factors, as one vector of coordinates.

    ``factors`` are equal to those of theta in ``Lambda Lambda'``; ``len`` is the number of coordinates.
    """

    def __init__(self, covariance: Any, theta: FloatArray) -> None:
        self.factors = [np.zeros((member.q, member.q)) for member in covariance.members]
        self.charts = []
        for f, member in enumerate(covariance.members):
            for block in member.blocks:
                chart = block.structure.chart(theta[block.index])
                self.factors[f][block.here] = chart.L
                self.charts.append((f, block, chart))
        self.places = [(c, k) for c, (_, _, chart) in enumerate(self.charts) for k in range(len(chart.size))]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def size(self) -> FloatArray:
        return np.array([self.charts[c][2].size[k] for c, k in self.places])

    def moved(self, place: int, step: float) -> list[FloatArray]:
        """Return the factors with one coordinate moved."""
        c, k = self.places[place]
        f, block, chart = self.charts[c]
        factors = list(self.factors)
        factors[f] = factors[f].copy()
        factors[f][block.here] = chart.moved(k, step)
        return factors

    def pullback(self, G: Sequence[FloatArray], place: int | None = None, step: float = 0.0) -> FloatArray:
        """Return the derivatives in all coordinates, for G (q, q) of each factor; one may have been moved."""
        moved, k = (None, 0) if place is None else self.places[place]
        parts = [
            chart.pullback(k if c == moved else 0, step if c == moved else 0.0, G[f][block.here])
            for c, (f, block, chart) in enumerate(self.charts)
            if len(chart.size)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)
