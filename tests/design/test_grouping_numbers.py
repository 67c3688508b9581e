"""Whole numbers as groups: the table that codes them gives what sorting gives, however they lie."""

import numpy as np
import pandas as pd
import pytest

from glmmlib.design.grouping import SPARSEST, Grouping

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, 1, 2, 3, 1]),
        np.array([-7, -7, 4, 0, -2], dtype=np.int8),
        np.array([127, -128, 127, 5] * 80, dtype=np.int8),
        np.array([100, -100, 100, 5] * 80, dtype=np.int8),
        np.array([2**63 + 5, 2**63 + 1, 2**63 + 5], dtype=np.uint64),
        np.array([-(2**63), 2**63 - 1, -(2**63)]),
        np.array([10**9, 10**9 + 3 * SPARSEST, 10**9]),
        np.array([65535, 0, 65535] * 30000, dtype=np.uint16),
        RNG.integers(1000, 1400, size=2000),
        RNG.integers(10**12, size=200),
    ],
    ids=str,
)
def test_codes_and_levels_are_those_of_sorted_values(values):
    found = Grouping.of(pd.DataFrame({"g": values}), ["g"])
    levels, codes = np.unique(values, return_inverse=True)
    assert found.levels.dtype == values.dtype
    assert found.levels.tolist() == levels.tolist()
    np.testing.assert_array_equal(found.codes, codes)
