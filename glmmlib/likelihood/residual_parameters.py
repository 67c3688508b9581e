"""The parameters of a residual side as a fit tells them: coefficients of log sigma, SDs, correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from glmmlib.families.gaussian import Gaussian
from glmmlib.likelihood.predictors import AuxiliaryPredictor, AuxiliaryPredictors
from glmmlib.likelihood.residual_side import ResidualSide
from glmmlib.types import AuxiliaryValue, BoolArray, FloatArray

POSITION = "residual position"


class ResidualParameters(AuxiliaryPredictors):
    """The estimate is a vector: the coefficients of log sigma (or log sigma), then the structure's own.

    Parameters
    ----------
    side : ResidualSide
    names : sequence of str
        Of the columns of the formula for log sigma.
    columns, label : sequence of str, str
        Names of the positions and of the structure, ``"us(visit)"``.
    """

    def __init__(
        self, side: ResidualSide, names: Sequence[str] = (), columns: Sequence[str] = (), label: str = ""
    ) -> None:
        sigma = Gaussian.auxiliary[0]
        super().__init__([AuxiliaryPredictor(sigma, side.D, tuple(names))], side.n)
        self.side, self.columns, self.label = side, tuple(columns), label
        self.n_sigma = self.size
        self.size += side.structure.n_parameters

    @property
    def is_single(self) -> bool:
        return False

    @property
    def is_even(self) -> bool:
        """Is the residual SD the same in all rows, but for known weights?"""
        return self.side.D is None and self.side.structure.hom

    @property
    def to_user(self) -> FloatArray:
        raise NotImplementedError("the residual side has coordinates of its own")

    def estimate(self, gamma: FloatArray) -> AuxiliaryValue:
        return gamma

    def coefficients(self, estimate: AuxiliaryValue) -> FloatArray:
        return np.asarray(estimate, dtype=float)

    def values(self, gamma: FloatArray) -> AuxiliaryValue:
        """Return the residual SD: a number where it is the same in all rows, else (n,)."""
        return self.values_at(gamma, {"sigma": self.side.D, POSITION: self.side.position}, self.side.n)

    def values_at(self, estimate: AuxiliaryValue, designs: Mapping[str, Any], n: int) -> AuxiliaryValue:
        coefficients, par = self._split(estimate)
        with np.errstate(over="ignore"):  # infinite far beyond the data, which the asker refuses
            sigma = np.exp(coefficients[0] if self.side.D is None else designs["sigma"] @ coefficients)
        if self.side.structure.hom:
            return float(sigma) if np.ndim(sigma) == 0 else sigma
        position = np.asarray(designs[POSITION], dtype=float).ravel()
        ratio = np.append(self.side.structure.sds(par), np.nan)
        return sigma * ratio[np.where(np.isnan(position), -1, position).astype(int)]

    def _split(self, estimate):
        return estimate[: self.n_sigma], estimate[self.n_sigma :]

    def covariance_of_positions(self, estimate: AuxiliaryValue) -> FloatArray:
        """Return the covariance (q, q) of the residuals at all positions, or relative to sigma squared where
        sigma has a formula.
        """
        coefficients, par = self._split(estimate)
        scale = np.exp(2.0 * coefficients[0]) if self.side.D is None else 1.0
        return scale * self.side.structure.matrix(par)

    # -- names -------------------------------------------------------------------------------------------

    @cached_property
    def quantities(self) -> list[str]:
        """What :meth:`shown` returns: SDs, correlations, rho."""
        side = self.side
        found = [f"{q.kind} {q.target}" for q in side.structure.quantities(self.columns, self.label)]
        if not found:
            return []
        if side.structure.hom:
            return found[1:]
        return found if side.D is None else [n.replace("sd ", "sd ratio ", 1) for n in found[1:]]

    def shown(self, estimate: AuxiliaryValue) -> FloatArray:
        """Return the values of the quantities."""
        coefficients, par = self._split(estimate)
        has_formula = self.side.D is not None
        values = self.side.structure.values(par, 1.0 if has_formula else float(np.exp(coefficients[0])))
        return values[1:] if self.side.structure.hom or has_formula else values

    @property
    def natural_names(self) -> list[str]:
        """What :meth:`natural` returns: sigma, where it is one number, and the quantities."""
        return [*(["sigma"] if self.is_even else []), *self.quantities]

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The ends of the range of each of them."""
        every = [(q.lower, q.upper) for q in self.side.structure.quantities(self.columns, self.label)]
        leave = len(every) - len(self.quantities)
        return [*([(0.0, np.inf)] if self.is_even else []), *every[leave:]]

    def natural(self, estimate: AuxiliaryValue) -> FloatArray:
        """Return their values."""
        sigma = np.exp(self._split(estimate)[0][:1]) if self.is_even else []
        return np.append(sigma, self.shown(estimate) if self.quantities else [])

    def named(self, estimate: AuxiliaryValue) -> dict[str, Any]:
        """Return by name the residual SD, or its coefficients, and the quantities of the structure."""
        coefficients, _ = self._split(estimate)
        found: dict[str, Any] = {}
        if self.side.D is not None:
            found |= dict(zip(self.modelled_names, coefficients.tolist(), strict=True))
        elif self.side.structure.hom:
            found["sigma"] = float(np.exp(coefficients[0]))
        return found | dict(zip(self.quantities, self.shown(estimate).tolist(), strict=True))

    @property
    def is_modelled(self) -> BoolArray:
        return np.arange(self.size) < (0 if self.side.D is None else self.n_sigma)
