"""Any covariance: Lambda is lower-triangular, and its entries, column by column, are the parameters."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.base import COLLAPSED, NEAR_BOUNDARY, WITHOUT_TERM, LinearStructure, Quantity
from glmmlib.covariance.coordinates import HeldCorrelation, HeldSD, InBasis
from glmmlib.covariance.factors import (
    SINGULAR,
    lower_factor,
    lower_triangle,
    rectify,
    smallest_singular_value,
)
from glmmlib.covariance.tangent import triangular_chart
from glmmlib.types import BoolArray, FloatArray, Numbers

WITHOUT_CORRELATIONS = "try the term without correlations (||), or without its smallest variance"


class Unstructured(LinearStructure):
    """Each effect has an SD and each pair a correlation: ``(x | g)``, ``us(x | g)``."""

    word, example = "us", "us(x | g)"
    invariance = "linear"
    has_free_correlations = needs_repeats = allows_quadrature = True

    def __init__(self, q: int) -> None:
        self.q = q
        self.rows, self.cols = lower_triangle(range(q))
        self.n_parameters = len(self.rows)
        self.sizes = np.flatnonzero(self.rows == self.cols)
        self.D = np.zeros((self.n_parameters, q, q))
        self.D[np.arange(self.n_parameters), self.rows, self.cols] = 1.0

    @classmethod
    def count(cls, q: int, **options: Any) -> int:
        return q * (q + 1) // 2

    def factor(self, par: FloatArray) -> FloatArray:
        par = np.asarray(par)
        L = np.zeros((*par.shape[:-1], self.q, self.q))
        L[..., self.rows, self.cols] = par
        return L

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        return G[..., self.rows, self.cols]

    def parameters(self, L: FloatArray) -> FloatArray:
        if np.triu(L, 1).any():
            L = lower_factor(L)
        return L[..., self.rows, self.cols]

    def transformed(self, par: FloatArray, T: FloatArray) -> FloatArray:
        return lower_factor(T @ self.factor(par))[..., self.rows, self.cols]

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns: Sequence[str], label: str | None = None) -> tuple[str, ...]:
        pairs = zip(self.rows, self.cols, strict=True)
        return tuple(columns[i] if i == j else f"{columns[i]}.{columns[j]}" for i, j in pairs)

    def quantities(self, columns: Sequence[str], label: str | None = None) -> tuple[Quantity, ...]:
        diagonal = self.rows == self.cols
        return tuple(
            Quantity("sd", name, 0.0, np.inf) if is_sd else Quantity("corr", name, -1.0, 1.0)
            for name, is_sd in zip(self.names(columns), diagonal, strict=True)
        )

    def values(self, par: FloatArray, scale: Numbers) -> FloatArray:
        L = self.factor(par)
        covariance = L @ np.swapaxes(L, -2, -1)
        sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        product = sd[..., self.rows] * sd[..., self.cols]
        with np.errstate(invalid="ignore", divide="ignore"):
            corr = np.where(product > 0, covariance[..., self.rows, self.cols] / product, np.nan)
        sds = np.asarray(scale)[..., None] * sd[..., self.rows]
        return np.where(self.rows == self.cols, sds, np.clip(corr, -1.0, 1.0))

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        par = np.zeros((*np.shape(variances)[:-1], self.n_parameters))
        par[..., self.sizes] = np.sqrt(variances)
        return par

    def collapsed(self, par: FloatArray) -> BoolArray:
        found = np.zeros(np.shape(par), dtype=bool)
        found[..., self.sizes] = np.abs(self.factor(par)).max(axis=-2) < COLLAPSED
        return found

    def rectified(self, par: FloatArray) -> FloatArray:
        return rectify(self.factor(par))[self.rows, self.cols]

    def snapped(self, par: FloatArray) -> FloatArray:
        L = self.factor(par)
        U, s, _ = np.linalg.svd(L)
        if s[-1] < NEAR_BOUNDARY:
            L = lower_factor(U * np.where(s < NEAR_BOUNDARY, 0.0, s))
        return rectify(L)[self.rows, self.cols]

    @property
    def boundary_advice(self) -> str:
        return WITHOUT_CORRELATIONS if self.q > 1 else WITHOUT_TERM

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        L = self.factor(par)
        if smallest_singular_value(L) >= SINGULAR:
            return
        zero = [n for n, size in zip(columns, np.sqrt((L**2).sum(axis=1)), strict=True) if size < SINGULAR]
        if zero:
            what = "variances of" if len(zero) > 1 else "variance of"
            verb = "are" if len(zero) > 1 else "is"
            yield f"the {what} {' and '.join(zero)} between the levels of {group} {verb} estimated as zero"
        elif len(columns) == 2:
            yield (
                f"{columns[0]} and {columns[1]} are perfectly correlated between the levels of {group}: the "
                f"term {term} has fewer directions of variation than it asks for"
            )
        else:
            yield (
                f"the random effects {', '.join(columns)} of {group} are linearly dependent: the term {term} "
                "has fewer directions of variation than it asks for"
            )

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par: FloatArray) -> Any:
        return triangular_chart(self.factor(par))

    def held(self, k: int, par: FloatArray, to_user: FloatArray, scale: Numbers) -> InBasis:
        i, j = self.rows[k], self.cols[k]
        rows = to_user[sorted({i, j})]
        return InBasis.of(self.factor(par), rows, HeldSD if i == j else HeldCorrelation, scale)

    def covariance_basis(self) -> FloatArray:
        basis = np.zeros((self.n_parameters, self.q, self.q))
        k = np.arange(self.n_parameters)
        basis[k, self.rows, self.cols] = basis[k, self.cols, self.rows] = 1.0
        return basis
