"""Mixed models in NumPy and SciPy, short enough to be read.

==========================  ===============================================================================
fit                         `lmer`, `glmer`, `load_fit`
data                        `load`, `load_truth`, `datasets`, `codebook`, `simulate`
groups                      `icc`, `icc_conf_int`, `design_effect`, `between_variance`, `correlation`,
                            `shrinkage`, `r2`, `median_odds_ratio`
tests and intervals         `coef_tests`, `wald_test`, `robust`, `anova`, `exact_rlrt`, `bootstrap_test`,
                            `profile`, `means`, `comparisons`, `slopes`, `smooths`, `smooth_curve`
choosing                    `compare`, `conditional_aic`, `cross_validate`, `power`
priors                      `posterior`
looking                     `check`, `simulated_residuals`, `influence`, `semivariogram`, `plots`, `sliders`
telling                     `report`, `tidy`, `glance`, `augment`
==========================  ===============================================================================
"""

from glmmlib import errors as errors
from glmmlib import palette as palette
from glmmlib import plots, sliders
from glmmlib._version import __version__ as __version__
from glmmlib.bayes.posterior import posterior
from glmmlib.catalogue import codebook, datasets, load, load_truth
from glmmlib.comparison.anova import anova
from glmmlib.comparison.bootstrap_test import bootstrap_test
from glmmlib.comparison.compare import compare
from glmmlib.comparison.conditional_aic import conditional_aic
from glmmlib.comparison.cross_validation import cross_validate
from glmmlib.comparison.exact_rlrt import exact_rlrt
from glmmlib.diagnostics.check import check
from glmmlib.diagnostics.influence import influence
from glmmlib.diagnostics.residuals import simulated_residuals
from glmmlib.diagnostics.semivariogram import semivariogram
from glmmlib.inference.contrasts import coef_tests
from glmmlib.inference.margins import comparisons, slopes
from glmmlib.inference.means import means
from glmmlib.inference.profile.profile import profile
from glmmlib.inference.robust import robust
from glmmlib.inference.smooths import smooth_curve, smooths
from glmmlib.inference.wald import wald_test
from glmmlib.models.glmer import glmer
from glmmlib.models.lmer import lmer
from glmmlib.models.load_fit import load_fit
from glmmlib.planning.power import power
from glmmlib.prediction.simulate import simulate
from glmmlib.reporting.report import report
from glmmlib.reporting.tidy import augment, glance, tidy
from glmmlib.variance.between import between_variance, correlation
from glmmlib.variance.icc import design_effect, icc, icc_conf_int
from glmmlib.variance.r2 import r2
from glmmlib.variance.ratios import median_odds_ratio
from glmmlib.variance.shrinkage import shrinkage

__all__ = [
    "anova",
    "augment",
    "between_variance",
    "bootstrap_test",
    "check",
    "codebook",
    "coef_tests",
    "compare",
    "comparisons",
    "conditional_aic",
    "correlation",
    "cross_validate",
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
    "load_fit",
    "load_truth",
    "means",
    "median_odds_ratio",
    "plots",
    "posterior",
    "power",
    "profile",
    "r2",
    "report",
    "robust",
    "semivariogram",
    "shrinkage",
    "simulate",
    "simulated_residuals",
    "sliders",
    "slopes",
    "smooth_curve",
    "smooths",
    "tidy",
    "wald_test",
]


def __dir__() -> list[str]:
    """What a reader looks for: neither sub-packages nor their functions' modules."""
    return sorted([*__all__, "__version__", "errors", "palette"])
