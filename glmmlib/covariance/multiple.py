r"""A known matrix times one parameter: :math:`\Lambda = \theta C`."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY, WITHOUT_TERM, LinearStructure, Quantity
from glmmlib.covariance.coordinates import HeldParameter, scaled
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.tangent import ParameterChart
from glmmlib.types import BoolArray, FloatArray, Numbers


class Multiple(LinearStructure):
    """One SD for all effects, whose correlations (and relative sizes) are known.

    Parameters
    ----------
    C : (q, q) array
        A root of the known matrix.
    """

    invariance = "none"
    n_parameters = 1
    phrase = "independent and with one SD"
    boundary_advice = WITHOUT_TERM

    def __init__(self, C: FloatArray) -> None:
        self.q, self.D, self.sizes = len(C), C[None], np.array([0])
        self.weight = (C**2).sum(axis=1)  # of the variances

    def parameters(self, L: FloatArray) -> FloatArray:
        variances = (L**2).sum(axis=-1)
        return np.sqrt((variances @ self.weight) / (self.weight @ self.weight))[..., None]

    def transformed(self, par: FloatArray, T: FloatArray) -> FloatArray:
        return np.abs(T[0, 0] * par)

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns: Sequence[str], label: str) -> tuple[str, ...]:
        return (f"{label}.sd",)

    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        return (Quantity("sd", label, 0.0, np.inf),)

    def values(self, par: FloatArray, scale: Numbers) -> FloatArray:
        return np.asarray(scale)[..., None] * np.abs(par)

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        return np.sqrt((variances @ self.weight) / (self.weight @ self.weight))[..., None]

    def rectified(self, par: FloatArray) -> FloatArray:
        return np.abs(par)

    def snapped(self, par: FloatArray) -> FloatArray:
        return np.where(np.abs(par) < NEAR_BOUNDARY, 0.0, np.abs(par))

    def boundary_distance(self, par: FloatArray) -> FloatArray:
        return np.abs(par[..., 0])

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        if np.abs(par[0]) < SINGULAR:
            yield f"the variance of {term} is estimated as zero"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par: FloatArray) -> Any:
        return ParameterChart.of(self, self.rectified(par), np.flatnonzero(np.abs(par) >= SINGULAR))

    def held(self, k: int, par: FloatArray, to_user: FloatArray, scale: Numbers) -> Any:
        unit = abs(scale * to_user[0, 0])
        return HeldParameter(self, self.rectified(np.asarray(par)), k, scaled(unit), unit)

    def missing_dimensions(self, Sigma: FloatArray) -> int:
        return int(np.trace(Sigma) < 1e-9)

    def covariance_basis(self) -> FloatArray | None:
        return self.D @ self.D.swapaxes(1, 2)

    def free_covariances(self) -> BoolArray:
        basis: Any = self.covariance_basis()
        return basis[0] != 0
