"""The ways in which the variances of a model with a residual side can move: phi, then those of Lambda."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.likelihood.lmm import Point
from glmmlib.likelihood.residual_deviance import ResidualDeviance, Whitened
from glmmlib.likelihood.variance_moves import Moves, r2_slopes
from glmmlib.types import FloatArray


class ResidualMoves(Moves):
    """Parameters: phi as the search has it, then the coordinates of the factors."""

    def __init__(self, whole: ResidualDeviance, white: Whitened, theta: FloatArray) -> None:
        super().__init__(white.problem, theta)
        self.whole, self.white = whole, white

    @property
    def size(self) -> FloatArray:
        return np.append(np.maximum(0.1, np.abs(self.white.phi)), self.tangent.size)

    def at(self, k: int | None = None, step: float = 0.0) -> Any:
        white = self.white
        if k is not None and k < self.whole.n_phi:
            phi = white.phi.copy()
            phi[k] += step
            white = self.whole.at(phi)
        factors = self.tangent.factors
        if k is not None and k >= self.whole.n_phi:
            factors = self.tangent.moved(k - self.whole.n_phi, step)
        return white, white.problem.at(factors)

    def point(self, moved: Any) -> Point:
        return moved[1]

    def slopes(self, moved: Any, k: int, step: float) -> FloatArray:
        white, point = moved
        place = k - self.whole.n_phi if k >= self.whole.n_phi else None
        inverse = point.factorisation.inverse(with_X=self.whole.reml)
        G = white.problem.gradient_matrices(point)
        own = self.tangent.pullback(G) if place is None else self.tangent.pullback(G, place, step)
        return np.append(self.whole.phi_gradient(white, point, inverse), own)

    def r2_slopes(self, moved: Any) -> FloatArray:
        white, point = moved
        own = self.tangent.pullback(r2_slopes(white.problem, point))
        return np.append(self.whole.r2_slopes(white, point), own)
