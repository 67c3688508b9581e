"""Mixed models in NumPy and SciPy, short enough to be read."""

from .datasets import codebook, datasets, load, load_truth
from .glmer import glmer
from .lmer import lmer
from .simulate import simulate
