"""A gradient against differences of its function, along directions instead of along each axis.

A direction takes part in every component, so that one that is wrong shows by at least half its error, and two
that are swapped or whose errors cancel show in the other direction. The price is the same for any number of
parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def directions(size: int, n: int = 2) -> np.ndarray:
    """`n` directions, (n, size): components between 0.5 and 1.5 of either sign, the same ones in each run."""
    rng = np.random.default_rng(31)
    return rng.uniform(0.5, 1.5, (n, size)) * rng.choice([-1.0, 1.0], (n, size))


def slope(f: Callable[[np.ndarray], float], x: np.ndarray, direction: np.ndarray, h: float) -> float:
    """The derivative of `f` along a direction by central differences of the fourth order."""
    step = h * direction
    return (8.0 * (f(x + step) - f(x - step)) - (f(x + 2.0 * step) - f(x - 2.0 * step))) / (12.0 * h)


def assert_gradient(
    f: Callable[[np.ndarray], float],
    gradient: np.ndarray,
    x: np.ndarray,
    h: float,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> None:
    """`gradient` is that of `f` at `x`: up to `rtol` of its largest component, and `atol`."""
    gradient = np.asarray(gradient, float)
    assert gradient.shape == np.shape(x)
    for direction in directions(len(gradient)):
        error = abs(gradient @ direction - slope(f, x, direction, h))
        assert error <= rtol * np.abs(gradient).max() + atol, (error, gradient)
