r"""Compound symmetry: each pair of effects has the same correlation.

With the projector :math:`P = 11'/q`, the correlation matrix
:math:`R = q \cos^2\phi \, P + \frac{q}{q-1} \sin^2\phi \, (I - P)` has the correlation
:math:`\rho = (q \cos^2\phi - 1) / (q - 1)`, from -1 / (q - 1) to 1.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY, LinearStructure, Quantity
from glmmlib.covariance.correlation import CorrelationStructure
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.tangent import ParameterChart
from glmmlib.errors import ModelError
from glmmlib.types import FloatArray, Numbers

ADVICE = "try diag(), or one random intercept for all"


class CompoundSymmetry(CorrelationStructure):
    """``cs(0 + f | g)``: an SD for each effect and one correlation; with ``hom=True`` one SD for all."""

    word, example = "cs", "cs(0 + f | g)"
    options = {"hom": False}
    phrase = "with one correlation between all pairs"
    boundary_advice = ADVICE

    def __init__(self, q: int, hom: bool = False) -> None:
        super().__init__(q, hom)
        self.limits = (-1.0 / (q - 1), 1.0)
        self.P = np.full((q, q), 1.0 / q)
        self.first = (self.angle(0.3)[0], self.angle(0.9)[0], self.angle(-0.5 / (q - 1))[0])

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, hom: bool = False) -> Any:  # type: ignore[override]
        if len(columns) < 2:
            raise ModelError(
                f"cs() ties the correlations between effects, and here is one only ({columns[0]}): write "
                "(1 | g), or a factor without intercept, cs(0 + f | g)"
            )
        return Homogeneous(len(columns)) if hom else cls(len(columns))

    def root(self, phi: float) -> FloatArray:
        q = self.q
        along, across = np.sqrt(q) * np.cos(phi), np.sqrt(q / (q - 1)) * np.sin(phi)
        return along * self.P + across * (np.eye(q) - self.P)

    def slope(self, phi: float) -> FloatArray:
        return self.root(phi + np.pi / 2)

    def value(self, phi: Any) -> Any:
        return (self.q * np.cos(phi) ** 2 - 1.0) / (self.q - 1)

    def angle(self, value: Any) -> tuple[Any, Any]:
        square = np.clip(((self.q - 1) * value + 1.0) / self.q, 0.0, 1.0)
        rest = 2.0 * self.q * np.sqrt(square * (1.0 - square))
        return np.arccos(np.sqrt(square)), -(self.q - 1) / rest if rest else np.nan

    def nearest(self, R: FloatArray) -> Any:
        mean = (R.sum() - self.q) / (self.q * (self.q - 1))
        return self.angle(np.clip(mean, *self.limits))[0]

    def settled(self, phi: Any, exactly: Any = False) -> Any:
        phi = np.arctan2(np.abs(np.sin(phi)), np.abs(np.cos(phi)))
        if exactly and np.sin(phi) < NEAR_BOUNDARY:
            return 0.0
        if exactly and np.cos(phi) < NEAR_BOUNDARY:
            return np.pi / 2
        return phi

    def remainder(self, phi: Any) -> Any:
        return np.minimum(np.abs(np.sin(phi)), np.abs(np.cos(phi)))


class Homogeneous(LinearStructure):
    r""":math:`\Lambda = \theta_0 P + \theta_1 (I - P)`: one SD and one correlation,

    .. math::

        sd^2 = (\theta_0^2 + (q - 1)\,\theta_1^2) / q, \quad
        \rho = (\theta_0^2 - \theta_1^2) / (\theta_0^2 + (q - 1)\,\theta_1^2) .
    """

    invariance = "none"
    n_parameters = 2
    phrase = "with one SD and one correlation between all pairs"
    boundary_advice = ADVICE

    def __init__(self, q: int) -> None:
        self.q, self.sizes = q, np.array([0, 1])
        P = np.full((q, q), 1.0 / q)
        self.D = np.stack([P, np.eye(q) - P])

    def parameters(self, L: FloatArray) -> FloatArray:
        Sigma = L @ np.swapaxes(L, -2, -1)
        total = np.trace(Sigma, axis1=-2, axis2=-1)
        mean = Sigma.sum(axis=(-2, -1)) / self.q
        return np.sqrt(np.maximum(np.stack([mean, (total - mean) / (self.q - 1)], axis=-1), 0.0))

    def transformed(self, par: FloatArray, T: FloatArray) -> FloatArray:
        return np.abs(T[0, 0] * par)

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns: Sequence[str], label: str) -> tuple[str, ...]:
        return f"{label}.mean", f"{label}.rest"

    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        return Quantity("sd", label, 0.0, np.inf), Quantity("rho", label, -1.0 / (self.q - 1), 1.0)

    def values(self, par: FloatArray, scale: Numbers) -> FloatArray:
        mean, rest = np.moveaxis(np.asarray(par) ** 2, -1, 0)
        total = mean + (self.q - 1) * rest
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = np.where(total > 0, (mean - rest) / total, np.nan)
        return np.stack([np.asarray(scale) * np.sqrt(total / self.q), rho], axis=-1)

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        sd = np.sqrt(np.mean(variances, axis=-1))
        return np.stack([sd, sd], axis=-1)

    def rectified(self, par: FloatArray) -> FloatArray:
        return np.abs(par)

    def snapped(self, par: FloatArray) -> FloatArray:
        return np.where(np.abs(par) < NEAR_BOUNDARY, 0.0, np.abs(par))

    def boundary_distance(self, par: FloatArray) -> FloatArray:
        return np.abs(par).min(axis=-1)

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        zero = np.abs(par) < SINGULAR
        if zero.all():
            yield f"the variance of {term} between the levels of {group} is estimated as zero"
        elif zero.any():
            rho = self.values(par, 1.0)[1]
            yield f"the rho of {term} is estimated as {rho:.3g}, the end of its range"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par: FloatArray) -> Any:
        return ParameterChart.of(self, self.rectified(par), np.flatnonzero(np.abs(par) >= SINGULAR))

    def held(self, k: int, par: FloatArray, to_user: FloatArray, scale: Numbers) -> Any:
        return _Polar(self, np.abs(par), k, abs(scale * to_user[0, 0]))

    def missing_dimensions(self, Sigma: FloatArray) -> int:
        mean = Sigma.sum() / self.q
        return int(mean < 1e-9) + int(np.trace(Sigma) - mean < 1e-9)

    def covariance_basis(self) -> FloatArray | None:
        return self.D


class _Polar:
    """The homogeneous structure with its SD or its rho held; the other is free, as a log or an angle."""

    is_perfect = False

    def __init__(self, structure, par, k, unit):
        self.structure, self.k, self.scale = structure, k, unit
        self.unit = unit if k == 0 else 1.0
        self.ratio = np.sqrt([structure.q, structure.q / (structure.q - 1)])
        length = np.hypot(*(par / self.ratio))
        angle = np.arctan2(par[1] / self.ratio[1], par[0] / self.ratio[0])
        self.start = np.array([angle]) if k == 0 else np.log([max(length, 1e-10)])
        self.sizes = np.zeros(0, dtype=int)

    def _par(self, x, value):
        """Return the parameters and their derivatives in the free coordinate and in the held value."""
        direction = np.array([np.cos(x[0]), np.sin(x[0])]) * self.ratio
        if self.k == 0:
            length = value / self.scale
            turned = np.array([-np.sin(x[0]), np.cos(x[0])]) * self.ratio
            return length * direction, length * turned, direction / self.scale
        q = self.structure.q
        square = np.clip(((q - 1) * value + 1.0) / q, 0.0, 1.0)
        direction = np.sqrt([square, 1.0 - square]) * self.ratio
        par = np.exp(x[0]) * direction
        with np.errstate(divide="ignore"):
            slope = (q - 1) / q * 0.5 / np.sqrt([square, 1.0 - square]) * [1.0, -1.0]
        return par, par, np.exp(x[0]) * slope * self.ratio

    def factor(self, x, value):
        return self.structure.factor(self._par(x, value)[0])

    def gradient(self, x, value, G):
        par, free, held = self._par(x, value)
        gradient = self.structure.pullback(par, G)
        return np.array([gradient @ free]), gradient @ np.nan_to_num(held, posinf=np.nan, neginf=np.nan)
