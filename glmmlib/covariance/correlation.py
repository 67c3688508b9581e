r"""Structures with a correlation matrix of one parameter: one SD for all effects, or one for each.

:math:`\Lambda = \mathrm{diag}(s)\, C(\phi)`, where :math:`C C' = R(\phi)` is a correlation matrix.  A
subclass says what :math:`\phi` means; this file does the rest.  :math:`\phi` has no bounds: a correlation of
plus or minus one is an ordinary point of an angle.  So is an SD of zero: the parameter of one common SD is s
itself, whose sign does not matter, and those of several are roots of SDs, :math:`s_i = t_i^2`, because there
a sign would change the correlations.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from glmmlib.covariance.base import COLLAPSED, NEAR_BOUNDARY, WITHOUT_TERM, CovarianceStructure, Quantity
from glmmlib.covariance.coordinates import HeldParameter, scaled
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.tangent import ParameterChart
from glmmlib.types import BoolArray, FloatArray, Numbers


class CorrelationStructure(CovarianceStructure):
    """SDs times a root of a correlation matrix: parameters (s, phi), or (t_1 ... t_q, phi).

    Attributes
    ----------
    n_sizes : int
        1 (``hom=True``) or q.
    kind, coordinate : str
        What phi stands for, ``"rho"`` or ``"range"``, and what it is: an angle, or a logarithm.
    limits : (float, float)
        Of that quantity.
    first : tuple of float
        Values of phi from which a search begins.
    """

    kind: ClassVar[str] = "rho"
    coordinate: ClassVar[str] = "angle"
    limits: tuple[float, float] = (-1.0, 1.0)
    first: tuple[float, ...]
    boundary_advice = WITHOUT_TERM

    def __init__(self, q: int, hom: bool) -> None:
        self.q, self.hom = q, hom
        self.n_sizes = 1 if hom else q
        self.n_parameters = self.n_sizes + 1
        self.sizes = np.arange(self.n_sizes)

    @property
    def invariance(self) -> str:  # type: ignore[override]
        return "none" if self.hom else "scaling"

    # -- what a subclass says ----------------------------------------------------------------------------

    @abstractmethod
    def root(self, phi: float) -> Any:
        """Return C (q, q), of which ``C C'`` is the correlation matrix."""

    @abstractmethod
    def slope(self, phi: float) -> Any:
        """Return the derivative of C in phi."""

    @abstractmethod
    def value(self, phi: Any) -> Any:
        """Return the quantity for which phi stands; phi may be an array."""

    @abstractmethod
    def angle(self, value: Any) -> tuple[Any, Any]:
        """Return phi for a value of the quantity, and its derivative."""

    @abstractmethod
    def nearest(self, R: FloatArray) -> Any:
        """Return the phi whose correlation matrix is near to R (q, q)."""

    def settled(self, phi: Any, exactly: Any = False) -> Any:
        """Return the equivalent phi in the usual range, on its boundary if it nearly is (``exactly``)."""
        return phi

    def remainder(self, phi: Any) -> Any:
        """Return a number that is zero where a correlation is plus or minus one, for phi (...)."""
        return np.ones(np.shape(phi))

    # -- the map -----------------------------------------------------------------------------------------

    def relative_sds(self, par: FloatArray) -> FloatArray:
        """Return the SDs (..., 1) or (..., q) over sigma, for parameters (..., k)."""
        own = np.asarray(par, dtype=float)[..., : self.n_sizes]
        return np.abs(own) if self.hom else own**2

    def _split(self, par):
        own = par[: self.n_sizes]
        return np.broadcast_to(own if self.hom else own**2, self.q), par[self.n_sizes]

    def factor(self, par: FloatArray) -> FloatArray:
        par = np.asarray(par, dtype=float)
        if par.ndim > 1:
            return np.stack([self.factor(row) for row in par])
        sizes, phi = self._split(par)
        return sizes[:, None] * self.root(phi)

    def directions(self, par: Any) -> FloatArray:
        sizes, phi = self._split(par)
        C, slope = self.root(phi), self.slope(phi)
        D = np.zeros((self.n_parameters, self.q, self.q))
        if self.hom:
            D[0] = C
        else:
            D[self.sizes, self.sizes] = 2.0 * par[: self.q, None] * C
        D[-1] = sizes[:, None] * slope
        return D

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        sizes, phi = self._split(par)
        by_row, slope = np.einsum("ab,ab->a", G, self.root(phi)), self.slope(phi)
        along = np.einsum("a,ab,ab->", sizes, G, slope)
        return np.append(by_row.sum() if self.hom else 2.0 * par[: self.q] * by_row, along)

    def parameters(self, L: FloatArray) -> FloatArray:
        if L.ndim > 2:
            return np.stack([self.parameters(one) for one in L])
        Sigma = L @ L.T
        sd = np.sqrt(np.diag(Sigma))
        safe = np.where(sd > 0, sd, 1.0)
        R = Sigma / np.outer(safe, safe)
        sizes = [np.sqrt(np.mean(sd**2))] if self.hom else np.sqrt(sd)
        return np.append(sizes, self.nearest(R) if (sd > 0).all() else self.first[0])

    def transformed(self, par: FloatArray, T: FloatArray) -> FloatArray:
        found, factor = np.array(par, dtype=float), np.abs(np.diag(T)[: self.n_sizes])
        found[..., : self.n_sizes] = np.abs(found[..., : self.n_sizes]) * (
            factor if self.hom else np.sqrt(factor)
        )
        found[..., -1] = self.settled(found[..., -1])
        return found

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns: Sequence[str], label: str) -> tuple[str, ...]:
        sizes = [f"{label}.sd"] if self.hom else [f"{label}.{c}" for c in columns]
        return (*sizes, f"{label}.{self.coordinate}")

    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        targets = [label] if self.hom else columns
        sds = [Quantity("sd", target, 0.0, np.inf) for target in targets]
        return (*sds, Quantity(self.kind, label, *self.limits))

    def values(self, par: FloatArray, scale: Numbers) -> FloatArray:
        par = np.asarray(par, dtype=float)
        found = np.empty(par.shape)
        sizes = self.relative_sds(par)
        found[..., : self.n_sizes] = np.asarray(scale)[..., None] * sizes
        tells = (sizes > 0).sum(axis=-1) >= (
            1 if self.hom else 2
        )  # without two effects there is no correlation
        found[..., -1] = np.where(tells, self.value(par[..., -1]), np.nan)
        return found

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        return self._with_angle(variances, self.first[0])

    def starts(self, variances: FloatArray) -> FloatArray:
        return np.stack([self._with_angle(variances, phi) for phi in self.first])

    def _with_angle(self, variances, phi):
        variances = np.asarray(variances)
        par = np.full((*variances.shape[:-1], self.n_parameters), float(phi))
        own = np.sqrt(variances.mean(axis=-1, keepdims=True)) if self.hom else variances**0.25
        par[..., : self.n_sizes] = own
        return par

    def collapsed(self, par: FloatArray) -> BoolArray:
        found = np.zeros(np.shape(par), dtype=bool)
        found[..., : self.n_sizes] = self.relative_sds(par) < COLLAPSED
        return found

    def rectified(self, par: FloatArray) -> FloatArray:
        return np.append(np.abs(par[: self.n_sizes]), self.settled(par[-1]))

    def snapped(self, par: FloatArray) -> FloatArray:
        sizes = np.where(self.relative_sds(par) < NEAR_BOUNDARY, 0.0, np.abs(par[: self.n_sizes]))
        return np.append(sizes, self.settled(par[-1], exactly=True))

    def boundary_distance(self, par: FloatArray) -> FloatArray:
        sizes = self.relative_sds(par).min(axis=-1)
        return sizes * np.minimum(1.0, self.remainder(par[..., -1]))

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        sizes = self.relative_sds(par)
        targets = [term] if self.hom else columns
        zero = [name for name, size in zip(targets, sizes, strict=True) if size < SINGULAR]
        for name in zero:
            yield f"the variance of {name} between the levels of {group} is estimated as zero"
        if not zero and self.remainder(par[-1]) < SINGULAR:
            yield f"the {self.kind} of {term} is estimated as {self.value(par[-1]):.3g}, the end of its range"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par: FloatArray) -> Any:
        is_zero = self.relative_sds(par) < SINGULAR
        free = np.flatnonzero(~is_zero)
        par = np.append(np.where(is_zero, 0.0, np.abs(par[: self.n_sizes])), par[-1])
        if free.size and self.remainder(par[-1]) >= SINGULAR:
            free = np.append(free, self.n_sizes)
        return ParameterChart.of(self, par, free)

    def missing_dimensions(self, Sigma: FloatArray) -> int:
        variance = np.diag(Sigma)
        return 0 if (variance > 1e-9).all() else 2  # with an SD of zero the correlation is nothing, too

    def held(self, k: int, par: FloatArray, to_user: FloatArray, scale: Numbers) -> Any:
        par = self.rectified(np.asarray(par, dtype=float))
        if k < self.n_sizes:
            unit = abs(scale * to_user[k, k])
            held = HeldParameter if self.hom else _HeldSize
            return held(self, par, k, scaled(unit), unit)
        return HeldParameter(self, par, k, self.angle, 1.0)


class _HeldSize(HeldParameter):
    """One of several SDs is held: the coordinate is the SD itself, so that zero is no special place."""

    def _unit_par(self, x):
        return np.insert(x, self.k, 1.0)

    def factor(self, x, value):
        L = self.structure.factor(self._unit_par(x))
        L[self.k] *= self.parameter(value)[0]
        return L

    def gradient(self, x, value, G):
        par = self._unit_par(x)
        scaled_G, (size, slope) = G.copy(), self.parameter(value)
        scaled_G[self.k] *= size
        gradient = self.structure.pullback(par, scaled_G)
        return gradient[self.others], slope * (G[self.k] @ self.structure.root(par[-1])[self.k])
