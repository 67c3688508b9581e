"""Whether X and Z together reproduce any response, against ranks of dense matrices."""

import numpy as np
import pytest
from numpy.linalg import matrix_rank

from glmmlib.likelihood.saturation import is_saturated
from glmmlib.linalg.crossing import Factor, Structure


def factor(rng, n):
    codes = np.unique(rng.integers(0, rng.integers(1, n + 1), n), return_inverse=True)[1]
    Z = np.vstack([np.ones(n), rng.integers(0, 3, n)])[: rng.integers(1, 3)]
    return Factor("g", codes, Z, codes.max() + 1, None)


def dense(factor):
    return np.concatenate([np.eye(factor.n_levels)[factor.codes] * z[:, None] for z in factor.Z], axis=1)


@pytest.mark.parametrize("n_factors", [1, 2])
def test_saturated_designs(n_factors):
    rng, found = np.random.default_rng(n_factors), []
    for _ in range(300):
        n, p = rng.integers(4, 14), rng.integers(0, 4)
        factors = [factor(rng, n) for _ in range(n_factors)]
        X = np.column_stack([np.ones(n), rng.integers(0, 3, n), rng.normal(size=n)])[:, :p]
        Z = np.concatenate([dense(f) for f in factors], axis=1)
        expected = matrix_rank(Z) < n == matrix_rank(np.concatenate([Z, X], axis=1))
        assert is_saturated(Structure(factors), X) == expected
        found.append(expected)
    assert 0.05 < np.mean(found) < 0.95
