"""Where the responses of a family can lie, and how to look there for a quantile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.types import FloatArray

_FAR = 700.0  # exp(700) is near the largest float
_HALVINGS = 70


@dataclass(frozen=True)
class Support:
    """The range of a response, which is also that of its mean.

    Attributes
    ----------
    lower, upper : float
        The ends; of a response in trials those of the proportion.
    is_discrete : bool
        Are the responses whole numbers?
    in_trials : bool
        Is the response a number of successes, and `upper` times the trials the largest?
    is_ordered : bool
        Is the response one of several categories in an order, and a number its score?
    """

    lower: float = -np.inf
    upper: float = np.inf
    is_discrete: bool = False
    in_trials: bool = False
    is_ordered: bool = False

    def smallest(self, reached: Callable[..., Any], n: int, trials: FloatArray | None = None) -> FloatArray:
        """Return the smallest responses at which `reached` is true, to the precision of a float.

        Parameters
        ----------
        reached : callable
            ``reached(y)`` for responses (n,) says where a probability is reached: an array (n,) of bool.
        n : int
        trials : (n,) array, optional
            Of responses in trials; None for one each.

        Returns
        -------
        (n,) array
            Infinite where no finite response reaches the probability.

        Examples
        --------
        >>> Support(0, np.inf, is_discrete=True).smallest(lambda y: y >= 2.5, 1)
        array([3.])
        """
        if self.is_discrete:
            return self._smallest_whole(reached, n, trials)
        low, high = np.full(n, -_FAR), np.full(n, _FAR)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            at = reached(self._response(middle))
            low, high = np.where(at, low, middle), np.where(at, middle, high)
        return np.where(high < _FAR, self._response(high), self.upper)

    def _smallest_whole(self, reached: Callable[..., Any], n: int, trials: FloatArray | None) -> FloatArray:
        high = np.ones(n) if trials is None else np.array(np.broadcast_to(trials, (n,)), float)
        low = np.full(n, min(self.lower, 0.0) - 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            while not (self.in_trials or (done := reached(high) | np.isinf(high)).all()):
                low, high = np.where(done, low, high), np.where(done, high, _next(high))
            while (wide := np.isfinite(high) & (high - low > np.maximum(1.0, np.spacing(high)))).any():
                middle = np.where(wide, _between(low, high), high)
                at = reached(middle) | ~wide
                low, high = np.where(at, low, middle), np.where(at, middle, high)
        return high

    def _response(self, coordinate):
        """The response at a coordinate whose range is the real line: log, logit, or the inverse of sinh."""
        if np.isinf(self.lower):
            return np.sinh(coordinate)
        if np.isinf(self.upper):
            return self.lower + np.exp(coordinate)
        return self.lower + (self.upper - self.lower) / (1.0 + np.exp(-coordinate))


def _next(count: FloatArray) -> FloatArray:
    """A larger whole number: 2, 4, 16, 256 ... to half the largest float, then infinity."""
    most = 0.5 * np.finfo(float).max
    return np.where(count >= most, np.inf, np.minimum(np.maximum(2.0 * count, count * count), most))


def _between(low: FloatArray, high: FloatArray) -> FloatArray:
    """A whole number between two, halfway in digits where they are far apart."""
    halfway = 0.5 * low + 0.5 * high
    far = high > 4.0 * np.maximum(low, 1.0)
    return np.ceil(np.where(far, np.sqrt(np.maximum(low, 1.0)) * np.sqrt(high), halfway))
