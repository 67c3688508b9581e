"""Where a response is likeliest, for families whose mean is not there."""

from collections.abc import Callable

import numpy as np

from glmmlib.types import FloatArray

FARTHEST = 2.0  # of one step
MOST_STEPS = 100
ARRIVED = 1e-10


def likeliest_predictor(
    step: Callable[[FloatArray], FloatArray], start: FloatArray, lowest: float = -np.inf
) -> FloatArray:
    """Return the linear predictor (n,) at which each row's own log-density is largest.

    Parameters
    ----------
    step : callable
        Newton's or Fisher's step of each row at given predictors.
    start : (n,) array
    lowest : float
        Below it the log-density is flat to the last digit.

    Examples
    --------
    >>> likeliest_predictor(lambda eta: np.array([1.0, 4.0]) - eta, np.zeros(2))
    array([1., 4.])
    """
    best = start
    for _ in range(MOST_STEPS):
        before, best = best, np.maximum(best + np.clip(step(best), -FARTHEST, FARTHEST), lowest)
        if np.max(np.abs(best - before), initial=0.0) < ARRIVED:
            break
    return best
