"""Mixed models in NumPy and SciPy, short enough to be read."""

from .datasets import codebook, datasets, load, load_truth
from .lmer import lmer
