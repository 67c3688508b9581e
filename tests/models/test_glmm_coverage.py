"""A short version of benchmarks/accuracy/wald_coverage.py: simulate, fit, and count how often 95 % intervals
cover the truth.

With 60 replicates the Monte Carlo error of a coverage of 95 % is 2.8 points; three coefficients in six
families are 18 counts. The bounds are 3.3 standard errors wide, plus the point and a half that maximum
likelihood with 60 groups costs an intercept.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location(
    "coverage_study", Path(__file__).parents[2] / "benchmarks" / "accuracy" / "wald_coverage.py"
)
study = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = study
_spec.loader.exec_module(study)

REPLICATES = 60


@pytest.mark.parametrize("case", study.CASES, ids=str)
def test_intervals_cover_the_truth_and_estimates_have_no_bias(case):
    inside, error, sd, failed = study.coverage(case, REPLICATES, seed=7)
    noise = np.sqrt(0.95 * 0.05 / REPLICATES)
    assert failed == 0
    assert (inside > 0.935 - 3.3 * noise).all(), inside
    assert (np.abs(error) < 0.1 + 3.3 / np.sqrt(REPLICATES)).all(), error
    assert sd == pytest.approx(case.sd, rel=0.08)
