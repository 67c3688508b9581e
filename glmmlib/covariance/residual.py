"""The structures of ``residual=``, by the word that names them; most are those of random effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.ar1 import AR1
from glmmlib.covariance.base import CovarianceStructure, Quantity
from glmmlib.covariance.compound_symmetry import CompoundSymmetry
from glmmlib.covariance.diagonal import Diagonal
from glmmlib.covariance.residual_base import ResidualStructure
from glmmlib.covariance.toeplitz import Toeplitz
from glmmlib.covariance.unstructured import Unstructured
from glmmlib.types import FloatArray


class OfEffects(ResidualStructure):
    """The structure of random effects, with its first SD held at one."""

    def __init__(self, structure: CovarianceStructure, word: str, hom: bool) -> None:
        self.structure, self.word, self.hom = structure, word, hom
        self.q, self.n_parameters = structure.q, structure.n_parameters - 1
        self.has_free_pairs = structure.has_free_correlations

    def _all(self, par):
        return np.append(1.0, par)

    def matrix(self, par: FloatArray) -> FloatArray:
        L = self.structure.factor(self._all(par))
        return L @ L.T

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        own = self._all(par)
        return self.structure.pullback(own, 2.0 * G @ self.structure.factor(own))[1:]

    def nearest(self, S: FloatArray) -> FloatArray:
        return self._free(self.structure.parameters(np.linalg.cholesky(S)))

    def starts(self) -> Sequence[FloatArray]:
        return [self._free(par) for par in self.structure.starts(np.ones(self.q))]

    def _free(self, par):
        """Return all but the first parameter, in its unit where the others are SDs, too."""
        unit = np.full(len(par), par[0] if self.has_free_pairs else 1.0)
        unit[self.structure.sizes] = par[0]
        return (par / unit)[1:]

    def inverse_curvature(self, par: FloatArray, n_blocks: int) -> FloatArray:
        if not self.has_free_pairs:
            return super().inverse_curvature(par, n_blocks)
        entries = self.structure.directions(self._all(par))
        size = np.abs(entries).sum(axis=2) @ self.sds(par)  # of the row in which each entry stands
        return size[1:] ** 2 / (2.0 * n_blocks)

    def covariance_basis(self) -> FloatArray | None:
        if self.word == "cs" and self.hom:
            return np.stack([np.eye(self.q), np.ones((self.q, self.q)) - np.eye(self.q)])
        return self.structure.covariance_basis()

    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        return self.structure.quantities(columns, label)

    def values(self, par: FloatArray, sigma: float) -> FloatArray:
        return self.structure.values(self._all(par), sigma)


def _us(q: int, times: Any, hom: bool) -> ResidualStructure:
    return OfEffects(Unstructured(q), "us", False)


def _diag(q: int, times: Any, hom: bool) -> ResidualStructure:
    return OfEffects(Diagonal(q), "diag", False)


def _cs(q: int, times: Any, hom: bool) -> ResidualStructure:
    return OfEffects(CompoundSymmetry(q, hom), "cs", hom)


def _ar1(q: int, times: Any, hom: bool) -> ResidualStructure:
    return OfEffects(AR1(times[:, None], hom), "ar1", hom)


def _toep(q: int, times: Any, hom: bool) -> ResidualStructure:
    return Toeplitz(times, hom)


#: By the word of ``residual=``: how the structure is made of q, the times (q,) and ``hom``, and the default
#: of ``hom`` (None where there is no choice), as glmmTMB and lme4 have them.
RESIDUAL_STRUCTURES: dict[str, tuple[Any, bool | None]] = {
    "us": (_us, None),
    "diag": (_diag, None),
    "cs": (_cs, False),
    "ar1": (_ar1, True),
    "toep": (_toep, False),
}
