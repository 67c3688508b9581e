"""Mixed models in NumPy and SciPy, short enough to be read.

==========================  ===============================================================================
fit                         `lmer`, `glmer`
data                        `load`, `load_truth`, `datasets`, `codebook`, `simulate`
groups                      `icc`, `icc_conf_int`, `design_effect`, `between_variance`, `correlation`,
                            `shrinkage`, `r2`, `median_odds_ratio`
tests and intervals         `coef_tests`, `wald_test`, `anova`, `exact_rlrt`, `bootstrap_test`, `profile`, `means`
choosing                    `compare`, `conditional_aic`, `power`
looking                     `check`, `simulated_residuals`, `influence`, `plots`, `sliders`
telling                     `report`, `tidy`, `glance`, `augment`
==========================  ===============================================================================
"""

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

__version__ = "0.1.0"

__all__ = [
    "anova",
    "augment",
    "between_variance",
    "bootstrap_test",
    "check",
    "codebook",
    "coef_tests",
    "compare",
    "conditional_aic",
    "correlation",
    "datasets",
    "design_effect",
    "exact_rlrt",
    "glance",
    "glmer",
    "icc",
    "icc_conf_int",
    "influence",
    "lmer",
    "load",
    "load_truth",
    "means",
    "median_odds_ratio",
    "plots",
    "power",
    "profile",
    "r2",
    "report",
    "shrinkage",
    "simulate",
    "simulated_residuals",
    "tidy",
    "wald_test",
]
