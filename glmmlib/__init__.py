"""Mixed models in NumPy and SciPy, short enough to be read."""

from . import plots
from .anova import anova
from .compare import compare
from .datasets import codebook, datasets, load, load_truth
from .glmer import glmer
from .inference import coef_tests
from .lmer import lmer
from .ratios import median_odds_ratio
from .simulate import simulate
from .wald import wald_test
