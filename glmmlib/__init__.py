"""Mixed models in NumPy and SciPy, short enough to be read."""

from .lmer import lmer
