"""Derivatives of a function of the estimates, for standard errors by the delta method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmmlib.likelihood.solution import Estimates, Solution
from glmmlib.types import FloatArray

STEP = 1e-3  # of a standard error: differences are exact to its square


def gradients(solution: Solution, function: Callable[[Estimates], FloatArray]) -> FloatArray:
    """Return the derivatives (..., k) of a function of the estimates in ``solution.free``, by differences."""
    free, sd = solution.free, np.sqrt(np.maximum(np.diag(solution.free_cov), 0.0))
    columns = []
    steps = STEP * np.minimum(sd, np.maximum(1.0, np.abs(free)))  # an error may be huge, as that of a range
    for i, h in enumerate(steps):
        if h == 0.0:
            columns.append(np.zeros_like(function(solution.estimates)))
            continue
        step = np.zeros(len(free))
        step[i] = h
        up, down = (function(solution.estimates_at(free + s)) for s in (step, -step))
        columns.append((up - down) / (2.0 * h))
    return np.stack(columns, axis=-1)
