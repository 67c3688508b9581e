"""Parts of 1, columns of numbers and factors are what the formula engine makes of them, without it."""

import numpy as np
import pandas as pd
import pytest

from glmmlib.design import recipe
from glmmlib.design.build import build_design
from glmmlib.design.newdata import new_matrices

RNG = np.random.default_rng(4)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=40),
        "x": RNG.normal(size=40),
        "whole": RNG.integers(5, size=40),
        "my col": RNG.normal(size=40),
        "f": RNG.choice(["a", "b"], size=40),
        "my f": pd.Categorical(
            RNG.choice(["low", "high [x]", "T.2"], size=40), ["low", "high [x]", "T.2", "none"]
        ),
        "numbered": pd.Categorical(RNG.integers(3, size=40)),
        "flag": RNG.random(40) < 0.5,
        "g": RNG.integers(6, size=40),
    }
)


@pytest.mark.parametrize(
    ("formula", "is_plain"),
    [
        ("y ~ x + whole + (x | g)", True),
        ("y ~ 0 + x + (0 + whole | g)", True),
        ("y ~ `my col` + (1 | g)", True),
        ("y ~ x * whole + (x | g)", False),
        ("y ~ f + x + (x | g)", True),
        ("y ~ 0 + f + x + (f | g)", True),
        ("y ~ 0 + x + f + `my f` + (0 + f | g)", True),
        ("y ~ `my f` + f + (`my f` || g)", True),
        ("y ~ f * x + (1 | g)", False),
        ("y ~ C(f) + (1 | g)", False),
        ("y ~ numbered + (1 | g)", False),
        ("y ~ flag + (1 | g)", False),
        ("y ~ np.exp(x) + (1 | g)", False),
    ],
)
def test_the_same_arrays_with_and_without_the_engine(formula, is_plain, monkeypatch):
    found = build_design(formula, DATA)
    assert ("fixed" in found.recipe.plain) == is_plain
    monkeypatch.setattr(recipe, "plain_columns", lambda terms, variables: None)
    expected = build_design(formula, DATA)
    assert not expected.recipe.plain
    assert found.coef_names == expected.coef_names and found.term_slices == expected.term_slices
    np.testing.assert_array_equal(found.X, expected.X)
    for one, other in zip(found.random, expected.random, strict=True):
        assert one.columns == other.columns
        np.testing.assert_array_equal(one.Z, other.Z)
    assert found.recipe.is_categorical("fixed") == expected.recipe.is_categorical("fixed")
    rows = [new_matrices(d, ["fixed", "random0"], DATA.iloc[:5]) for d in (found, expected)]
    for key, matrix in rows[0].items():
        np.testing.assert_array_equal(matrix.to_numpy(dtype=float), rows[1][key].to_numpy(dtype=float))
        assert matrix.shape == rows[1][key].shape and list(matrix.columns) == list(rows[1][key].columns)
