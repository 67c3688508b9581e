"""A small model's criterion by one dense matrix is that of the sparse one, and so is its gradient."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.likelihood.lmm import CANCELLED
from glmmlib.likelihood.lmm_dense import DenseCriterion


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {"x": rng.normal(size=80), "g": rng.integers(6, size=80), "h": rng.integers(5, size=80)}
    )
    table["w"] = rng.uniform(0.2, 3.0, size=80)
    return table.assign(
        y=rng.normal(size=80) + rng.normal(size=6)[table["g"]] + rng.normal(size=5)[table["h"]]
    )


@pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ 1 + (1 | g) + (1 | h)",
        "y ~ 0 + (1 | g) + (1 | h)",
        "y ~ x + (1 | g / h)",
        "y ~ x + (x | g) + (1 | h)",
        "y ~ x + (x || g) + (x | h)",
        "y ~ x + cs(x | g) + (1 | h)",
    ],
)
@pytest.mark.parametrize("weights", [None, "w"])
def test_value_and_gradient(data, formula, reml, weights):
    problem = gl.lmer(formula, data, reml=reml, weights=weights).solution.problem
    dense, rng = DenseCriterion(problem), np.random.default_rng(2)
    thetas = [rng.uniform(0.1, 0.8, problem.n_theta), np.zeros(problem.n_theta)]
    for theta in thetas:
        (value, gradient), (expected, slope) = dense.objective(theta), problem.objective(theta)
        assert value == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(gradient(), slope(), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        dense.scan(np.array(thetas)), [dense.objective(t)[0] for t in thetas], rtol=1e-12
    )


def test_a_residual_without_digits_is_summed_over_the_rows(data):
    """So it is where the two factors nearly reproduce the response."""
    rng = np.random.default_rng(3)
    exact = rng.normal(size=6)[data["g"]] + rng.normal(size=5)[data["h"]]
    table = data.assign(y=exact + 1e-5 * rng.normal(size=80))
    problem = gl.lmer("y ~ 1 + (1 | g) + (1 | h)", table).solution.problem
    theta = np.array([1e5, 1e5])
    assert problem.at(problem.Lambdas(theta)).r2 < CANCELLED * problem.yy
    assert DenseCriterion(problem).objective(theta)[0] == problem.objective(theta)[0]


def test_there_is_no_value_where_the_problem_has_none(data):
    problem = gl.lmer("y ~ 1 + (1 | g) + (1 | h)", data).solution.problem
    assert DenseCriterion(problem).objective(np.full(2, np.nan))[0] == np.inf
