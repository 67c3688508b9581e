"""Linear mixed models: glmmlib against lme4, glmmTMB, statsmodels and the compiled newcomers.

    python benchmarks/lmm.py [--only InstEval] [--engines glmmlib,lme4] [--runs 5] [--limit 180]
"""

from problems import LMM
from report import main

if __name__ == "__main__":
    main(LMM, __doc__)
