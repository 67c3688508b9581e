"""glmmlib against lme4, glmmTMB, statsmodels and the compiled newcomers.

python benchmarks/speed/run.py lmm [--only InstEval] [--engines glmmlib,lme4] [--runs 5] [--limit 180]
python benchmarks/speed/run.py glmm [--only VerbAgg] [--engines glmmlib,glmmTMB]
"""

import sys

from problems import GLMM, LMM
from report import main

if __name__ == "__main__":
    kinds = {"lmm": LMM, "glmm": GLMM}
    kind = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in kinds else None
    main(kinds.get(kind, [*LMM, *GLMM]), __doc__)
