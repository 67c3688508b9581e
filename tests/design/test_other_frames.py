"""polars' frames, with pyarrow and without, lazy ones, and Arrow's tables: the fit is that of pandas' frame.

`test_frames.py` holds the same to stand-ins, which need no other library.
"""

import sys

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design.frames import as_frame

pl = pytest.importorskip("polars")
FORMULA = "y ~ x + f + c + (1 | g)"
LEVELS = ["low", "middle", "high"]  # not in the order of the alphabet


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "y": rng.normal(size=90),
            "x": rng.normal(size=90),
            "f": pd.Categorical(np.tile(LEVELS, 30), LEVELS),
            "c": pd.Categorical(np.tile(["z", "a"], 45), ["z", "a"]),
            "g": np.repeat(list("abcdef"), 15),
        }
    )
    table.loc[[4, 9], "x"] = np.nan
    return table


def in_polars(table):
    columns = {name: table[name].to_list() for name in table}
    kinds = {"f": pl.Enum(LEVELS), "c": pl.Categorical}
    return pl.DataFrame(columns, schema_overrides=kinds, nan_to_null=True)


def in_arrow(table):
    return pytest.importorskip("pyarrow").Table.from_pandas(table)


MAKES = {
    "polars": in_polars,
    "lazy polars": lambda table: in_polars(table).lazy(),
    "Arrow table": in_arrow,
    "Arrow batch": lambda table: in_arrow(table).to_batches()[0],
}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("with_pyarrow", [True, False], ids=["pyarrow", "no pyarrow"])
def test_a_frame_of_another_library_gives_the_same_fit(data, make, with_pyarrow, monkeypatch):
    other = MAKES[make](data)
    if with_pyarrow:
        pytest.importorskip("pyarrow")
    elif "polars" in make:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    fit, same = gl.lmer(FORMULA, other), gl.lmer(FORMULA, data)
    assert list(fit.params.index) == ["Intercept", "x", "f[T.middle]", "f[T.high]", "c[T.a]"]
    assert fit.deviance == same.deviance and fit.design.n_missing == 2
    np.testing.assert_array_equal(fit.predict(MAKES[make](data.head(3))), same.predict(data.head(3)))


def test_days_without_pyarrow_are_dates(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    days = pd.to_datetime(["2026-01-01", None, "2026-03-01"])
    found = as_frame(pl.DataFrame({"day": [None if pd.isna(d) else d.date() for d in days]}))["day"]
    assert found.tolist() == days.tolist()
