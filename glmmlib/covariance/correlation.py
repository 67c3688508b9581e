r"""Structures with a correlation matrix of one parameter: one SD for all effects, or one for each.

:math:`\Lambda = \mathrm{diag}(s)\, C(\phi)`, where :math:`C C' = R(\phi)` is a correlation matrix.  A subclass
says what :math:`\phi` means; this file does the rest.  :math:`\phi` has no bounds: a correlation of plus or
minus one is an ordinary point of an angle, as an SD of zero is of s.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY, WITHOUT_TERM, CovarianceStructure, Quantity
from glmmlib.covariance.coordinates import HeldParameter, scaled
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.tangent import ParameterChart


class CorrelationStructure(CovarianceStructure):
    """SDs times a root of a correlation matrix: parameters (s, phi), or (s_1 ... s_q, phi).

    Attributes
    ----------
    n_sizes : int
        1 (``hom=True``) or q.
    kind : str
        What phi stands for: ``"rho"`` or ``"range"``.
    limits : (float, float)
        Of that quantity.
    first : tuple of float
        Values of phi from which a search begins.
    """

    kind: ClassVar[str] = "rho"
    limits: tuple[float, float] = (-1.0, 1.0)
    first: tuple[float, ...]
    boundary_advice = WITHOUT_TERM

    def __init__(self, q, hom):
        self.q, self.hom = q, hom
        self.n_sizes = 1 if hom else q
        self.n_parameters = self.n_sizes + 1
        self.sizes = np.arange(self.n_sizes)

    @property
    def invariance(self):
        return "none" if self.hom else "scaling"

    # -- what a subclass says ----------------------------------------------------------------------------

    @abstractmethod
    def root(self, phi):
        """Return C (q, q), of which ``C C'`` is the correlation matrix."""

    @abstractmethod
    def slope(self, phi):
        """Return the derivative of C in phi."""

    @abstractmethod
    def value(self, phi):
        """Return the quantity for which phi stands; phi may be an array."""

    @abstractmethod
    def angle(self, value):
        """Return phi for a value of the quantity, and its derivative."""

    @abstractmethod
    def nearest(self, R):
        """Return the phi whose correlation matrix is near to R (q, q)."""

    def settled(self, phi, exactly=False):
        """Return the equivalent phi in the usual range, on its boundary if it nearly is (``exactly``)."""
        return phi

    def remainder(self, phi):
        """Return a number that is zero where a correlation is plus or minus one, for phi (...)."""
        return np.ones(np.shape(phi))

    # -- the map -----------------------------------------------------------------------------------------

    def _split(self, par):
        return np.broadcast_to(par[: self.n_sizes], self.q), par[self.n_sizes]

    def factor(self, par):
        par = np.asarray(par, dtype=float)
        if par.ndim > 1:
            return np.stack([self.factor(row) for row in par])
        sizes, phi = self._split(par)
        return sizes[:, None] * self.root(phi)

    def directions(self, par):
        sizes, phi = self._split(par)
        C, slope = self.root(phi), self.slope(phi)
        D = np.zeros((self.n_parameters, self.q, self.q))
        if self.hom:
            D[0] = C
        else:
            D[self.sizes, self.sizes] = C
        D[-1] = sizes[:, None] * slope
        return D

    def pullback(self, par, G):
        sizes, phi = self._split(par)
        by_row, slope = np.einsum("ab,ab->a", G, self.root(phi)), self.slope(phi)
        along = np.einsum("a,ab,ab->", sizes, G, slope)
        return np.append(by_row.sum() if self.hom else by_row, along)

    def parameters(self, L):
        if L.ndim > 2:
            return np.stack([self.parameters(one) for one in L])
        Sigma = L @ L.T
        sd = np.sqrt(np.diag(Sigma))
        safe = np.where(sd > 0, sd, 1.0)
        R = Sigma / np.outer(safe, safe)
        sizes = [np.sqrt(np.mean(sd**2))] if self.hom else sd
        return np.append(sizes, self.nearest(R) if (sd > 0).all() else self.first[0])

    def transformed(self, par, T):
        found = np.array(par, dtype=float)
        found[..., : self.n_sizes] = np.abs(np.diag(T)[: self.n_sizes] * found[..., : self.n_sizes])
        found[..., -1] = self.settled(found[..., -1])
        return found

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns, label):
        sizes = [f"{label}.sd"] if self.hom else [f"{label}.{c}" for c in columns]
        return (*sizes, f"{label}.{self.kind}")

    def quantities(self, columns, label):
        targets = [label] if self.hom else columns
        sds = [Quantity("sd", target, 0.0, np.inf) for target in targets]
        return (*sds, Quantity(self.kind, label, *self.limits))

    def values(self, par, scale):
        par = np.asarray(par, dtype=float)
        found = np.empty(par.shape)
        sizes = np.abs(par[..., : self.n_sizes])
        found[..., : self.n_sizes] = np.asarray(scale)[..., None] * sizes
        found[..., -1] = np.where((sizes > 0).all(axis=-1), self.value(par[..., -1]), np.nan)
        return found

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances):
        return self._with_angle(variances, self.first[0])

    def starts(self, variances):
        return np.stack([self._with_angle(variances, phi) for phi in self.first])

    def _with_angle(self, variances, phi):
        sizes = [np.sqrt(np.mean(variances))] if self.hom else np.sqrt(variances)
        return np.append(sizes, phi)

    def rectified(self, par):
        return np.append(np.abs(par[: self.n_sizes]), self.settled(par[-1]))

    def snapped(self, par):
        sizes = np.abs(par[: self.n_sizes])
        return np.append(np.where(sizes < NEAR_BOUNDARY, 0.0, sizes), self.settled(par[-1], exactly=True))

    def boundary_distance(self, par):
        sizes = np.abs(par[..., : self.n_sizes]).min(axis=-1)
        return sizes * np.minimum(1.0, self.remainder(par[..., -1]))

    def boundary_sentences(self, par, group, columns, term):
        sizes = np.abs(par[: self.n_sizes])
        targets = [term] if self.hom else columns
        zero = [name for name, size in zip(targets, sizes, strict=True) if size < SINGULAR]
        for name in zero:
            yield f"the variance of {name} between the levels of {group} is estimated as zero"
        if not zero and self.remainder(par[-1]) < SINGULAR:
            yield f"the {self.kind} of {term} is estimated as {self.value(par[-1]):.3g}, the end of its range"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par):
        sizes = np.abs(par[: self.n_sizes])
        free = np.flatnonzero(sizes >= SINGULAR)
        par = np.append(np.where(sizes < SINGULAR, 0.0, sizes), par[-1])
        if free.size and self.remainder(par[-1]) >= SINGULAR:
            free = np.append(free, self.n_sizes)
        return ParameterChart.of(self, par, free)

    def held(self, k, par, to_user, scale):
        par = self.rectified(np.asarray(par, dtype=float))
        if k < self.n_sizes:
            unit = abs(scale * to_user[k, k])
            return HeldParameter(self, par, k, scaled(unit), unit)
        return HeldParameter(self, par, k, self.angle, 1.0)
