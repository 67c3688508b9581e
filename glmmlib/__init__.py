"""Mixed models in NumPy and SciPy, short enough to be read."""

from . import plots
from .anova import anova
from .between import between_variance, correlation
from .bootstrap import bootstrap_test
from .check import check
from .compare import compare
from .conditional_aic import conditional_aic
from .datasets import codebook, datasets, load, load_truth
from .glmer import glmer
from .icc import design_effect, icc, icc_conf_int
from .inference import coef_tests
from .influence import influence
from .lmer import lmer
from .means import means
from .power import power
from .profile import profile
from .r2 import r2
from .ratios import median_odds_ratio
from .report import report
from .residuals import simulated_residuals
from .rlrt import exact_rlrt
from .shrinkage import shrinkage
from .simulate import simulate
from .tidy import augment, glance, tidy
from .wald import wald_test
