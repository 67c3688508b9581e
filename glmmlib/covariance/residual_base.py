r"""The contract of a residual structure: the covariance of the residuals of one block.

Residuals at the positions of a block, such as the visits of a patient, have the covariance
:math:`\sigma^2 R`, R being (q, q) over all positions and a block holding some of them. The scale belongs to
:math:`\sigma`, so the first variance of R is one. A structure says how the rest follows from k parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from glmmlib.covariance.base import Quantity
from glmmlib.types import FloatArray


class ResidualStructure(ABC):
    """How residuals hang together: R (q, q), its first variance one, as a function of k parameters.

    Attributes
    ----------
    q, n_parameters : int
    word : str
        As in ``residual="us(visit | id)"``.
    hom : bool
        Have all positions the same SD?
    has_free_pairs : bool
        Has each pair of positions a correlation of its own, so that some block must hold both?
    """

    q: int
    n_parameters: int
    word: str = ""
    hom: bool = True
    has_free_pairs: bool = False

    @abstractmethod
    def matrix(self, par: FloatArray) -> FloatArray:
        """Return R (q, q)."""

    @abstractmethod
    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        """Return the gradient (k,) of ``<G, R(par)>``, G (q, q) symmetric and held."""

    @abstractmethod
    def nearest(self, S: FloatArray) -> FloatArray:
        """Return the parameters (k,) whose R is near to a multiple of the covariance S (q, q)."""

    @abstractmethod
    def starts(self) -> Sequence[FloatArray]:
        """Return parameters from which a search may begin when nothing is known."""

    @abstractmethod
    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        """Return what the SDs, one or one for each position, and the parameters of correlation are."""

    @abstractmethod
    def values(self, par: FloatArray, sigma: float) -> FloatArray:
        """Return the values of the quantities for an SD of the first position."""

    def covariance_basis(self) -> FloatArray | None:
        """Return symmetric matrices (m, q, q) whose combinations are the covariances; None if none do."""
        return None

    def sds(self, par: FloatArray) -> FloatArray:
        """Return the SDs (q,) of all positions relative to that of the first."""
        return np.sqrt(np.diag(self.matrix(par)))

    def inverse_curvature(self, par: FloatArray, n_blocks: int) -> FloatArray:
        """Return a guess (k,) of the inverse second derivatives of -2 log L."""
        return np.full(self.n_parameters, 1.0 / n_blocks)


class Independent(ResidualStructure):
    """Residuals that have nothing to do with each other, and one SD."""

    q, n_parameters = 1, 0

    def matrix(self, par: FloatArray) -> FloatArray:
        return np.ones((1, 1))

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        return np.zeros(0)

    def nearest(self, S: FloatArray) -> FloatArray:
        return np.zeros(0)

    def starts(self) -> Sequence[FloatArray]:
        return [np.zeros(0)]

    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        return ()

    def values(self, par: FloatArray, sigma: float) -> FloatArray:
        return np.zeros(0)
