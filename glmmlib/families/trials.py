"""What families of successes in trials share; the trials are their weights."""

import numpy as np

from glmmlib.families.base import Family
from glmmlib.families.support import Support
from glmmlib.families.weighting import over
from glmmlib.types import FloatArray


class InTrials(Family):
    """Successes in a number of trials, one trial where there are no weights."""

    support = Support(0.0, 1.0, is_discrete=True, in_trials=True)
    weights_scatter = True
    no_zero_inflation = "a structural zero cannot be told from any other failure"

    def observed(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return over(np.asarray(y, float), weights)

    def start_mean(self, y: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        return (np.asarray(y, float) + 0.5) / ((1.0 if weights is None else weights) + 1)

    def all_alike(self, sign: int) -> str:
        return f"all responses are {'successes' if sign > 0 else 'failures'}"
