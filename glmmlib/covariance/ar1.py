r"""First-order autoregression: effects at times :math:`t_i` have correlations :math:`\rho^{|t_i - t_j|}`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY
from glmmlib.covariance.correlation import CorrelationStructure
from glmmlib.errors import DataError
from glmmlib.types import FloatArray, IntArray

_WHOLE = 1e-6  # how far a gap between times may be from a multiple of the step, in steps


class AR1(CorrelationStructure):
    """``ar1(0 + time | g)``: one SD (or, with ``hom=False``, one for each time) and rho between neighbours.

    ``rho = sin(phi)``; rho = -1 and 1 are ordinary points of the angle.

    Parameters
    ----------
    places : (q, 1) array
        The times, increasing; gaps must be multiples of one step, and rho is that of one step.
    """

    word, example = "ar1", "ar1(0 + t | g)"
    left_side = "times"
    options = {"hom": True}
    phrase = "correlated as a first-order autoregression"
    first = (0.5, 1.2, -0.5, 1.5)

    def __init__(self, places: Any, hom: bool = True) -> None:
        super().__init__(len(places), hom)
        self.gaps = steps(places[:, 0])
        times = np.concatenate([[0], np.cumsum(self.gaps)])
        self.lags = times[:, None] - times

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, **options: Any) -> Any:
        return cls(places, **options)

    def root(self, phi: float) -> FloatArray:
        rho = np.sin(phi)
        column = np.append(1.0, np.cos(phi) * _gain(self.gaps, rho)[0])
        return np.tril(rho ** np.maximum(self.lags, 0) * column)

    def slope(self, phi: float) -> FloatArray:
        rho, rest = np.sin(phi), np.cos(phi)
        gain, gain_slope = _gain(self.gaps, rho)
        lags = np.maximum(self.lags, 0)
        power_slope = rest * lags * rho ** np.maximum(lags - 1, 0)
        column = np.append(1.0, rest * gain)
        column_slope = np.append(0.0, -rho * gain + rest**2 * gain_slope)
        return np.tril(power_slope * column + rho**lags * column_slope)

    def value(self, phi: Any) -> Any:
        return np.sin(phi)

    def angle(self, value: Any) -> tuple[Any, Any]:
        rest = np.sqrt(max(1.0 - value**2, 0.0))
        return np.arcsin(np.clip(value, -1.0, 1.0)), 1.0 / rest if rest else np.nan

    def nearest(self, R: FloatArray) -> Any:
        gap = self.gaps.min()
        size = np.abs(np.mean(R[self.lags == gap])) ** (1.0 / gap)
        odd = self.lags[(self.lags > 0) & (self.lags % 2 == 1)]
        sign = np.sign(np.mean(R[self.lags == odd.min()])) if odd.size else 1.0
        return np.arcsin(np.clip(sign * size, -1.0, 1.0))

    def settled(self, phi: Any, exactly: Any = False) -> Any:
        phi = np.arcsin(np.sin(phi))
        if exactly and np.cos(phi) < NEAR_BOUNDARY:
            return np.sign(phi) * np.pi / 2
        return phi

    def remainder(self, phi: Any) -> Any:
        return np.abs(np.cos(phi))


def steps(times: Any) -> IntArray:
    """Return the gaps between neighbouring times as whole numbers of one step.

    >>> steps(np.array([1.0, 1.5, 3.0])).tolist()
    [1, 3]
    """
    gaps = np.diff(times)
    step = gaps.min()
    for divisor in range(1, 13):
        in_steps = gaps / step * divisor
        whole = np.rint(in_steps)
        if np.abs(in_steps - whole).max() < _WHOLE * max(1.0, in_steps.max()):
            return whole.astype(int)
    raise DataError(
        f"the times of ar1 are not equally spaced (gaps from {gaps.min():g} to {gaps.max():g}), so no step "
        "leads from each to the next: round them, make them a factor if only their order counts, or use "
        "exp(), whose correlation falls with any distance"
    )


def _gain(gaps, rho):
    """Return ``sqrt(1 + rho^2 + ... + rho^(2 (d - 1)))`` for each gap d, and its derivative in rho."""
    k = np.arange(gaps.max())
    used = k < gaps[:, None]
    total = np.where(used, rho ** (2 * k), 0.0).sum(axis=1)
    slope = np.where(used, 2 * k * rho ** np.maximum(2 * k - 1, 0), 0.0).sum(axis=1)
    gain = np.sqrt(total)
    return gain, slope / (2.0 * gain)
