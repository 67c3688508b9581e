r"""Correlations that fall with the distance between places: exponential, and Matern's with known smoothness.

The parameter of the correlation is the logarithm of the range r; with :math:`d = |x_i - x_j| / r`,

.. math::

    \text{exp: } e^{-d}, \qquad \text{Matern 3/2: } (1 + d)\, e^{-d}, \qquad
    \text{Matern 5/2: } (1 + d + d^2/3)\, e^{-d},

as glmmTMB has them.  Rasmussen and Williams (2006), *Gaussian Processes for Machine Learning*, 4.2.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from glmmlib.covariance.correlation import CorrelationStructure
from glmmlib.covariance.factors import SINGULAR
from glmmlib.errors import DataError
from glmmlib.types import FloatArray

LARGEST = 2000  # places: all matrices are dense
REACH = 40.0  # of log r from that of the typical distance: beyond is no number
FAR, NEAR = 50.0, 0.05  # times the largest and the smallest distance: beyond, the range says nothing more


class Spatial(CorrelationStructure):
    """One SD and a range, over places in any number of dimensions.

    Parameters
    ----------
    places : (q, d) array
        Distinct.
    """

    kind, coordinate = "range", "log range"
    limits = (0.0, np.inf)
    left_side = "places"

    def __init__(self, places: Any, hom: bool = True) -> None:
        super().__init__(len(places), hom)
        distances, self.distances = apart(places)
        self.shortest, self.longest = distances.min(), distances.max()
        nearest = np.where(self.distances > 0, self.distances, np.inf).min(axis=1)
        typical = np.median(distances)
        ranges = (0.3 * typical, typical, np.median(nearest), 3.0 * typical)
        self.first = tuple(np.log(ranges))
        self._kept: Any = (None, None)

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, **options: Any) -> Any:
        check_places(cls.word, columns, places)
        return cls(places, **options)

    # -- correlations, and their derivatives in log r -----------------------------------------------------

    def correlation(self, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the correlation at relative distance d, and its derivative in log r."""
        raise NotImplementedError

    def root(self, phi: float) -> FloatArray:
        if abs(phi - self.first[1]) > REACH:
            raise np.linalg.LinAlgError("the range is zero or infinite")
        if self._kept[0] != phi:
            self._kept = phi, np.linalg.cholesky(self.correlation(self.distances / np.exp(phi))[0])
        return self._kept[1]

    def slope(self, phi: float) -> FloatArray:
        """Return the derivative of the Cholesky factor: ``C tril(C^-1 dR C'^-1)``, half the diagonal."""
        C = self.root(phi)
        dR = self.correlation(self.distances / np.exp(phi))[1]
        half = solve_triangular(C, dR, lower=True, check_finite=False)
        inner = solve_triangular(C, half.T, lower=True, check_finite=False)
        return C @ (np.tril(inner) - 0.5 * np.diag(np.diag(inner)))

    def value(self, phi: Any) -> Any:
        return np.exp(phi)

    def angle(self, value: Any) -> tuple[Any, Any]:
        with np.errstate(divide="ignore"):
            return np.log(value), 1.0 / np.float64(value)

    def nearest(self, R: FloatArray) -> Any:
        """Return the log range whose correlations come nearest, by bisection of their sum."""
        low, high = np.log(NEAR * self.shortest), np.log(FAR * self.longest)
        target = R.sum()
        for _ in range(60):
            middle = 0.5 * (low + high)
            if self.correlation(self.distances / np.exp(middle))[0].sum() < target:
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)

    def remainder(self, phi: Any) -> Any:
        inside = (np.exp(phi) < FAR * self.longest) & (np.exp(phi) > NEAR * self.shortest)
        return np.where(inside, 1.0, 0.0)

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        size, reach = np.abs(par[: self.n_sizes]).max(), np.exp(par[-1])
        if size >= SINGULAR and reach >= FAR * self.longest:
            yield (
                f"the range of {term} runs to infinity: the places are too near to each other to tell "
                "more than the ratio of its variance to its range"
            )
        elif size >= SINGULAR and reach <= NEAR * self.shortest:
            yield (
                f"the range of {term} runs to zero: no two places are near enough to be correlated, so its "
                "effects are independent"
            )
        else:
            yield from super().boundary_sentences(par, group, columns, term)


class Exponential(Spatial):
    """``exp(lon + lat | 1)``: the correlation falls exponentially with the distance."""

    word, example = "exp", "exp(lon + lat | 1)"
    phrase = "with correlations that fall exponentially with distance"

    def correlation(self, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        R = np.exp(-d)
        return R, d * R


class Matern(Spatial):
    """``mat(lon + lat | 1)``: Matern's correlation, smoothness 3/2 (or ``nu=0.5``, ``nu=2.5``)."""

    word, example = "mat", "mat(lon + lat | 1)"
    phrase = "with Matern's correlations, which fall with distance"
    options = {"nu": 1.5}

    def __init__(self, places: Any, nu: float = 1.5) -> None:
        if nu not in (0.5, 1.5, 2.5):
            raise DataError(f"the smoothness nu of mat() is 0.5, 1.5 or 2.5, not {nu!r}: it is not estimated")
        self.nu = nu
        super().__init__(places)

    def correlation(self, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        E = np.exp(-d)
        if self.nu == 0.5:
            return E, d * E
        if self.nu == 1.5:
            return (1.0 + d) * E, d**2 * E
        return (1.0 + d + d**2 / 3.0) * E, d**2 * (1.0 + d) / 3.0 * E


def apart(places: Any) -> tuple[FloatArray, FloatArray]:
    """Distances of all pairs of places, one by one and as a square table."""
    from scipy.spatial.distance import pdist, squareform

    distances = pdist(places)
    return distances, squareform(distances)


def check_places(word: str, columns: Sequence[str], places: Any) -> None:
    """Refuse too few or too many places, and places that all but coincide."""
    if len(places) < 3:
        raise DataError(f"{word}() needs at least three places, and the data have {len(places)}")
    if len(places) > LARGEST:
        raise DataError(
            f"{word}() works with dense matrices of all places, and {len(places):,} are too many (at most "
            f"{LARGEST:,}): round the coordinates, so that near places become one"
        )
    distances, table = apart(places)
    if distances.min() < 1e-8 * distances.max():
        i, j = np.unravel_index(table.argsort(axis=None)[len(places)], (len(places),) * 2)
        raise DataError(
            f"two places of {word}() all but coincide ({columns[i]} and {columns[j]}): round the "
            "coordinates, so that they become one"
        )
