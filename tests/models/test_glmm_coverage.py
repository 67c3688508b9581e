"""A short version of benchmarks/accuracy/wald_coverage.py: simulate, fit, and count how often 95 % intervals
cover the truth. Responses of one design are fitted together; the program itself is run on three data sets.

With 150 replicates the Monte Carlo error of a coverage of 95 % is 1.8 points; three coefficients in six
families are 18 counts. The bounds are 3.3 standard errors wide, plus the point and a half that maximum
likelihood with 60 groups costs an intercept.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import glmmlib as gl

_spec = importlib.util.spec_from_file_location(
    "coverage_study", Path(__file__).parents[2] / "benchmarks" / "accuracy" / "wald_coverage.py"
)
study = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = study
_spec.loader.exec_module(study)

REPLICATES = 150


@pytest.mark.parametrize("case", study.CASES, ids=str)
def test_intervals_cover_the_truth_and_estimates_have_no_bias(case):
    rng, model = (
        np.random.default_rng([7, study.CASES.index(case)]),
        {"family": case.family, "link": case.link},
    )
    table, truth = study.draw(case, rng), {"fixef": dict(zip(study.NAMES, case.beta, strict=True))}
    truth |= {"sd": {"g": case.sd}} | ({} if case.dispersion is None else {"dispersion": case.dispersion})
    Y = gl.simulate("~ x + z + (1 | g)", table, **model, **truth, n=REPLICATES, rng=rng)
    found = gl.glmer("y ~ x + z + (1 | g)", table, **model).refit_many(Y)
    error = ((found.params - np.array(case.beta)) / found.bse).to_numpy()
    inside, noise = (np.abs(error) <= 1.959964).mean(axis=0), np.sqrt(0.95 * 0.05 / REPLICATES)
    assert (inside > 0.935 - 3.3 * noise).all(), inside
    assert (np.abs(error.mean(axis=0)) < 0.1 + 3.3 / np.sqrt(REPLICATES)).all(), error
    assert found.sd["g.Intercept"].mean() == pytest.approx(case.sd, rel=0.08)


@pytest.mark.parametrize("case", study.CASES, ids=str)
def test_the_program_of_the_study_runs(case):
    inside, error, sd, failed = study.coverage(case, 3, seed=7)
    assert failed == 0 and ((inside >= 0) & (inside <= 1)).all()
    assert (np.abs(error) < 3).all() and sd == pytest.approx(case.sd, rel=0.3)
