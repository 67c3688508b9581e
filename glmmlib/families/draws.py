"""Random numbers that several families draw."""

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.types import FloatArray


def poisson_draws(mu: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw counts of a Poisson distribution, as floats; refuse means too large to be drawn."""
    if not np.max(mu, initial=0) <= 1e18:  # or no number at all
        raise ModelError(
            f"A count with mean {np.max(mu):.3g} is too large to be drawn: look for a coefficient, offset or "
            "variance that sends the linear predictor up."
        )
    return rng.poisson(mu).astype(float)
