"""Parts of 1 and columns of numbers are what the formula engine makes of them, without it."""

import numpy as np
import pandas as pd
import pytest

from glmmlib.design import recipe
from glmmlib.design.build import build_design

RNG = np.random.default_rng(4)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=40),
        "x": RNG.normal(size=40),
        "whole": RNG.integers(5, size=40),
        "my col": RNG.normal(size=40),
        "f": RNG.choice(["a", "b"], size=40),
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
        ("y ~ f + x + (x | g)", False),
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
    columns = {name: DATA[name].iloc[:5] for name in found.recipe.variables}
    if "f" not in columns:
        again = [d.recipe.matrices(["fixed"], columns, DATA.index[:5])["fixed"] for d in (found, expected)]
        np.testing.assert_array_equal(*(m.to_numpy(dtype=float) for m in again))
        assert again[0].shape == again[1].shape and list(again[0].columns) == list(again[1].columns)
