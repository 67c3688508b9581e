"""The covariance parameters of a model: one vector theta, and the factors Lambda that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.covariance.base import CovarianceStructure
from glmmlib.covariance.factors import SINGULAR
from glmmlib.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Block:
    """The structure of one term, in its place among the effects of its grouping factor and in theta.

    Attributes
    ----------
    structure : CovarianceStructure
    columns : range
        Of the grouping factor's effects.
    index : (k,) integer array
        Of theta, which is in the order of the formula.
    to_standard : (q, q) array
        Standardised columns are ``to_standard' z``, so the user's effects are ``to_standard`` times the
        standardised ones.
    """

    structure: CovarianceStructure
    columns: range
    index: np.ndarray
    to_standard: np.ndarray

    @cached_property
    def here(self) -> tuple[IntArray, IntArray]:
        """Its place in the factor of the whole group."""
        rows, cols = np.ix_(self.columns, self.columns)
        return rows, cols

    def to_user(self, par: FloatArray) -> FloatArray:
        """Return the parameters (..., k) of the factor that acts on the columns as the user wrote them."""
        return self.structure.transformed(par, self.to_standard)

    def to_standardised(self, par: FloatArray) -> FloatArray:
        """The inverse of :meth:`to_user`."""
        return self.structure.transformed(par, np.linalg.inv(self.to_standard))


@dataclass(frozen=True, eq=False)
class BlockDiagonal:
    """The factor of one grouping factor: the structures of its terms along a diagonal."""

    q: int
    blocks: tuple[Block, ...]

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return Lambda (..., q, q) for the whole parameter vector (..., n)."""
        if len(self.blocks) == 1:
            (block,) = self.blocks
            return block.structure.factor(theta[..., block.index])
        L = np.zeros((*np.shape(theta)[:-1], self.q, self.q))
        for b in self.blocks:
            L[(..., *b.here)] = b.structure.factor(theta[..., b.index])
        return L

    def free_covariances(self) -> BoolArray:
        """Return which entries of Sigma the formula lets differ from zero: bool (q, q)."""
        return np.any([self._placed(b, b.structure.free_covariances()) for b in self.blocks], axis=0)

    def covariance_basis(self) -> FloatArray:
        """Return symmetric matrices (m, q, q) of which every Sigma is a combination; None if none are."""
        return self._all(b.structure.covariance_basis() for b in self.blocks)

    def coefficients(self, Sigma: FloatArray) -> FloatArray:
        """Return the coefficients (m,) of a covariance matrix in :meth:`covariance_basis`."""
        basis = self.covariance_basis()
        return np.linalg.lstsq(basis.reshape(len(basis), -1).T, Sigma.ravel(), rcond=None)[0]

    def identifying_directions(self) -> FloatArray:
        """Return symmetric matrices (m, q, q): the directions in which Sigma moves at a typical point."""
        return self._all(b.structure.identifying_directions() for b in self.blocks)

    def _all(self, of_blocks):
        of_blocks = list(of_blocks)
        if any(matrices is None for matrices in of_blocks):
            return None
        return np.concatenate(
            [
                [self._placed(b, M) for M in matrices]
                for b, matrices in zip(self.blocks, of_blocks, strict=True)
            ]
        )

    def _placed(self, block, matrix):
        full = np.zeros((self.q, self.q), dtype=matrix.dtype)
        full[block.here] = matrix
        return full


class CovarianceParameters:
    """Theta, and the factors of all grouping factors.

    Parameters
    ----------
    members : sequence of BlockDiagonal
        In the order in which factors are given and returned.  Theta is in the order of the formula whatever
        theirs.

    Attributes
    ----------
    size : int
        Length of theta.
    is_linear : bool
        Are all factors linear in theta?
    sizes : integer array
        Entries of theta at which zero is a stationary point.
    """

    def __init__(self, members: Iterator[Any]) -> None:
        self.members = tuple(members)
        self.places = [(f, b) for f, member in enumerate(self.members) for b in member.blocks]
        self.size = sum(len(b.index) for _, b in self.places)
        self.is_linear = all(b.structure.is_linear for _, b in self.places)
        sizes = [b.index[b.structure.sizes] for _, b in self.places]
        self.sizes = np.sort(np.concatenate([np.zeros(0, dtype=int), *sizes]))

    # -- theta and factors -------------------------------------------------------------------------------

    def factors(self, theta: FloatArray) -> list[FloatArray]:
        """Return Lambda (..., q, q) of each member for theta (..., n)."""
        return [member.factor(theta) for member in self.members]

    def pullback(self, theta: FloatArray, G: FloatArray | Sequence[FloatArray]) -> FloatArray:
        """Return the gradient (..., n) in theta, for the derivatives G (..., q, q) in each Lambda."""
        gradient = np.empty(np.shape(theta))
        for f, b in self.places:
            own = G[f] if b.structure.q == self.members[f].q else G[f][(..., *b.here)]
            gradient[..., b.index] = b.structure.pullback(theta[..., b.index], own)
        return gradient

    def parameters(self, factors: Sequence[FloatArray]) -> FloatArray:
        """Return the theta (..., n) whose factors are nearest to those given, as roots."""
        theta = np.empty((*factors[0].shape[:-2], self.size))
        for f, b in self.places:
            theta[..., b.index] = b.structure.parameters(factors[f][(..., *b.here)])
        return theta

    def to_user(self, theta: FloatArray) -> FloatArray:
        """Return theta (..., n) for the columns as the user wrote them."""
        return self._by_block(theta, lambda b, par: b.to_user(par))

    def to_standardised(self, theta: FloatArray) -> FloatArray:
        """Return theta (..., n) for standardised columns."""
        return self._by_block(theta, lambda b, par: b.to_standardised(par))

    def _by_block(
        self, theta: FloatArray, function: Callable[..., Any], dtype: type[float] = float
    ) -> FloatArray:
        theta = np.asarray(theta)
        found = np.empty(theta.shape, dtype=dtype)
        for _, b in self.places:
            found[..., b.index] = function(b, theta[..., b.index])
        return found

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        """Return a first theta (..., n) for the variances (..., q) of each member's effects."""
        theta = np.empty((*variances[0].shape[:-1], self.size))
        for f, b in self.places:
            theta[..., b.index] = b.structure.start(variances[f][..., b.columns])
        return theta

    def starts(self, variances: Sequence[FloatArray]) -> Iterator[FloatArray]:
        """Yield the theta (n,) from which a search should begin: :meth:`start`, then other values of the
        parameters that may have several optima, one structure at a time.
        """
        first = self.start(variances)
        yield first
        for f, b in self.places:
            for par in b.structure.starts(variances[f][b.columns])[1:]:
                theta = first.copy()
                theta[b.index] = par
                yield theta

    def em_step(self, theta: FloatArray, moments: Sequence[FloatArray]) -> FloatArray:
        """Return theta after a step of EM, for the mean second moments (q, q) of each member's u."""
        theta = theta.copy()
        for f, b in self.places:
            theta[b.index] = b.structure.em_step(theta[b.index], moments[f][b.here])
        return theta

    def directions(self) -> FloatArray:
        """Return the derivatives of the one member's Lambda in each entry of theta (n, q, q), where they are
        the same everywhere.
        """
        (member,) = self.members
        D = np.zeros((self.size, member.q, member.q))
        for _, b in self.places:
            D[np.ix_(b.index, b.columns, b.columns)] = b.structure.directions(None)
        return D

    def inverse_curvature(self, theta: FloatArray, variances: Sequence[FloatArray]) -> FloatArray:
        """Return a guess (..., n) of the inverse second derivatives of the criterion in each entry of theta.

        ``variances`` (..., q, q) of each member are those of the single entries of Lambda, as if independent.
        """
        guess = np.empty(np.shape(theta))
        for f, b in self.places:
            D = b.structure.directions(theta[..., b.index])
            curvature = (D**2 / variances[f][(..., None, *b.here)]).sum(axis=(-2, -1))
            guess[..., b.index] = 1.0 / np.maximum(curvature, 1e-12)
        return guess

    def collapsed(self, theta: FloatArray) -> BoolArray:
        """Mark the entries of theta (..., n) that are near zero, where zero is a stationary point."""
        return self._by_block(theta, lambda b, par: b.structure.collapsed(par), dtype=bool).astype(
            bool, copy=False
        )

    def rectified(self, theta: FloatArray) -> FloatArray:
        """Return the equivalent theta (n,) with the usual signs."""
        return self._by_block(theta, lambda b, par: b.structure.rectified(par))

    def snapped(self, theta: FloatArray) -> FloatArray:
        """Return theta (n,) with what is nearly on the boundary exactly there, and the usual signs."""
        return self._by_block(theta, lambda b, par: b.structure.snapped(par))

    def boundary_distance(self, theta: FloatArray) -> FloatArray:
        """Return the smallest relative SD, or remainder after correlation: (...) for theta (..., n)."""
        distances = [b.structure.boundary_distance(theta[..., b.index]) for _, b in self.places]
        return np.min(distances, axis=0) if distances else np.full(np.shape(theta)[:-1], np.inf)

    def is_singular(self, theta: FloatArray) -> BoolArray:
        return self.boundary_distance(theta) < SINGULAR
