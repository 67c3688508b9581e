"""Mixed models in NumPy and SciPy, short enough to be read."""

from . import plots
from .anova import anova
from .between import between_variance, correlation
from .bootstrap import bootstrap_test
from .compare import compare
from .datasets import codebook, datasets, load, load_truth
from .glmer import glmer
from .icc import design_effect, icc
from .inference import coef_tests
from .lmer import lmer
from .means import means
from .profile import profile
from .ratios import median_odds_ratio
from .rlrt import exact_rlrt
from .shrinkage import shrinkage
from .simulate import simulate
from .wald import wald_test
