"""Independent effects: Lambda is diagonal."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY, WITHOUT_TERM, LinearStructure, Quantity
from glmmlib.covariance.coordinates import HeldParameter, scaled
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.multiple import Multiple
from glmmlib.covariance.tangent import EntryChart
from glmmlib.types import BoolArray, FloatArray, Numbers


class Diagonal(LinearStructure):
    """Each effect has an SD, and none is correlated with another: ``(x || g)``, ``diag(x | g)``.

    With ``hom=True`` all have the same SD.
    """

    word, example = "diag", "diag(x | g)"
    options = {"hom": False}
    invariance = "scaling"
    needs_repeats = allows_quadrature = True
    boundary_advice = WITHOUT_TERM

    def __init__(self, q: int) -> None:
        self.q = self.n_parameters = q
        self.sizes = np.arange(q)
        self.D = np.zeros((q, q, q))
        self.D[self.sizes, self.sizes, self.sizes] = 1.0

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, hom: bool = False) -> Any:  # type: ignore[override]
        return Multiple(np.eye(len(columns))) if hom else cls(len(columns))

    @classmethod
    def count(cls, q: int, hom: bool = False, **options: Any) -> int:
        return 1 if hom else q

    def factor(self, par: FloatArray) -> FloatArray:
        par = np.asarray(par)
        L = np.zeros((*par.shape[:-1], self.q, self.q))
        L[..., self.sizes, self.sizes] = par
        return L

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        return G[..., self.sizes, self.sizes]

    def parameters(self, L: FloatArray) -> FloatArray:
        if _is_diagonal(L):
            return L[..., self.sizes, self.sizes].copy()
        return np.sqrt((L**2).sum(axis=-1))

    def transformed(self, par: FloatArray, T: FloatArray) -> FloatArray:
        return np.abs(np.diag(T) * par)

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns: Sequence[str], label: str | None = None) -> tuple[str, ...]:
        return tuple(columns)

    def quantities(self, columns: Sequence[str], label: str | None = None) -> tuple[Quantity, ...]:
        return tuple(Quantity("sd", name, 0.0, np.inf) for name in columns)

    def values(self, par: FloatArray, scale: Numbers) -> FloatArray:
        return np.asarray(scale)[..., None] * np.abs(par)

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        return np.sqrt(variances)

    def rectified(self, par: FloatArray) -> FloatArray:
        return np.abs(par)

    def snapped(self, par: FloatArray) -> FloatArray:
        par = np.abs(par)
        return np.where(par < NEAR_BOUNDARY, 0.0, par)

    def boundary_distance(self, par: FloatArray) -> FloatArray:
        return np.abs(par).min(axis=-1)

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        for size, name in zip(np.abs(par), columns, strict=True):
            if size < SINGULAR:
                yield f"the variance of {name} between the levels of {group} is estimated as zero"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par: FloatArray) -> Any:
        L = self.factor(np.where(np.abs(par) < SINGULAR, 0.0, par))
        free = np.flatnonzero(np.diag(L))
        return EntryChart.of(L, free, free)

    def held(self, k: int, par: FloatArray, to_user: FloatArray, scale: Numbers) -> Any:
        unit = abs(scale * to_user[k, k])
        return HeldParameter(self, self.rectified(par), k, scaled(unit), unit)

    def covariance_basis(self) -> FloatArray:
        return self.D

    def free_covariances(self) -> BoolArray:
        return np.eye(self.q, dtype=bool)


def _is_diagonal(L: FloatArray):
    return np.count_nonzero(L) == np.count_nonzero(np.diagonal(L, axis1=-2, axis2=-1))
