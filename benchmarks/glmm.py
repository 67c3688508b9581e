"""Generalised linear mixed models: glmmlib against lme4, glmmTMB and the compiled newcomers, with statsmodels' GLM as a floor.

    python benchmarks/glmm.py [--only VerbAgg] [--engines glmmlib,glmmTMB] [--runs 5] [--limit 180]
"""

from problems import GLMM
from report import main

if __name__ == "__main__":
    main(GLMM, __doc__)
