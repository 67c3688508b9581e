"""Many generalised models at once: the modes, and so the values, are those that a single search finds."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.families.registry import FAMILIES, family
from glmmlib.likelihood.glmm import RangeError
from glmmlib.likelihood.glmm_batch import TIGHT, LaplaceBatch

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")

NUMBERS = {name: chosen for name, chosen in FAMILIES.items() if chosen.example_levels is None}
PAIRS = [(name, link.name) for name, chosen in NUMBERS.items() for link in chosen.links]
BINARY = np.array(list("1100000000000100000001101000101101100011"), dtype=float)


def single_value(problem, x):
    """The value of one model, its mode searched from zero."""
    problem = problem.with_response(problem.y[np.argsort(problem.rows)], _in_order(problem, problem.weights))
    problem.pirls_tolerance = TIGHT
    try:
        return problem.evaluate(x)[0]
    except (RangeError, np.linalg.LinAlgError):
        return np.inf


def _in_order(problem, values):
    return None if values is None else values[np.argsort(problem.rows)]


def assert_same_values(problem, x, u):
    batch = LaplaceBatch(problem, np.repeat(problem.y[None], len(x), axis=0))
    values = batch.evaluate(x, u, TIGHT).value
    np.testing.assert_allclose(values, [single_value(problem, row) for row in x], rtol=1e-8, atol=1e-7)
    return values


@pytest.mark.parametrize("seed", range(6))
def test_eight_groups_of_five_binary_rows_from_anywhere(seed):
    """A step length shared by all groups cycled here, and the value of no mode was returned."""
    rng = np.random.default_rng([19, seed])
    table = pd.DataFrame({"y": BINARY, "g": np.repeat(np.arange(8), 5), "x": rng.normal(size=40)})
    table["z"] = rng.normal(size=40)
    problem = gl.glmer("y ~ x + z + (1 | g)", table, family="binomial").solution.problem
    x = 2.0 * rng.normal(size=(40, 4))
    x[:, 3] = np.exp(rng.uniform(-1.0, 2.5, 40))
    x[0] = 2.0185, 0.4322, 1.7586, 2.8625
    values = assert_same_values(problem, x, 5.0 * rng.normal(size=(1, 40, 8)))
    assert np.isfinite(values).all()


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (x | g)"])
# Where a log-density is not concave, replicates are fitted one by one.
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if family(*pair).is_log_concave])
def test_far_parameters_of_every_family(pair, formula):
    """Where a single search finds no mode, neither does the batch, and its value is infinite."""
    rng = np.random.default_rng([20, PAIRS.index(pair)])
    chosen, n = family(*pair), 60
    table = pd.DataFrame({"g": np.repeat(np.arange(8), [2, 4, 6, 8, 8, 8, 12, 12]), "x": rng.normal(size=n)})
    eta = 0.5 + 0.3 * table["x"].to_numpy() + 0.4 * rng.normal(size=8)[table["g"]]
    table["y"] = chosen.draw(np.maximum(eta + 3.0, 1.0) if chosen.limited_range else eta, None, 2.0, rng)
    fit = gl.glmer(formula, table, family=pair[0], link=pair[1])
    spread = np.sqrt(np.maximum(np.diag(fit.solution.joint_covariance), 1e-4))
    x = fit.solution.parameters + spread * rng.normal(size=(60, len(spread))) * rng.choice(
        [1.0, 3.0, 8.0], (60, 1)
    )
    if chosen.has_dispersion:
        x[:, -1] = np.clip(x[:, -1], -5.0, 5.0)
    values = assert_same_values(fit.solution.problem, x, np.zeros((fit.groups[0].q, 60, 8)))
    assert np.isfinite(values).sum() > 10
