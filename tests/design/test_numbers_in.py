"""Numbers beside the formula: weights, offsets, responses to refit. What is no number is not made one."""

import datetime as dt
import decimal
import fractions

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design.arguments import numbers_in
from glmmlib.errors import DataError, ModelError

SLEEP = gl.load("sleepstudy")
N = len(SLEEP)

NUMBERS = {
    "integers": np.arange(N),
    "flags": np.arange(N) % 2 == 0,
    "nullable": pd.Series(np.arange(N), dtype="Int64"),
    "sparse": pd.Series(pd.arrays.SparseArray(np.arange(N, dtype=float))),
    "Decimal": [decimal.Decimal(k) for k in range(N)],
    "Fraction": [fractions.Fraction(k) for k in range(N)],
    "objects": pd.Series(list(range(N)), dtype=object),
    "range": range(N),
    "long": np.arange(N, dtype="longdouble"),
}
NONE = {
    "dates": pd.Series(pd.date_range("2020", periods=N)),
    "an index of dates": pd.date_range("2020", periods=N),
    "zoned dates": pd.Series(pd.date_range("2020", periods=N, tz="UTC")),
    "durations": pd.to_timedelta(np.arange(N), unit="s"),
    "numpy's dates": np.datetime64("2020") + np.arange(N),
    "date objects": [dt.date(2020, 1, 1)] * N,
    "complex": np.arange(N) + 1j,
    "complex objects": [1j] * N,
    "complex series": pd.Series(np.arange(N) + 0j),
    "text": ["1"] * N,
    "text series": pd.Series(["1.5"] * N),
    "bytes": [b"1"] * N,
    "beyond floats": [10**400] * N,
    "lists": [[1, 2]] * (N - 1) + [[1]],
    "a dict": {"y": 1},
    "a generator": (k for k in range(N)),
    "a function": len,
    "NaT": [pd.NaT] * N,
}


@pytest.mark.parametrize("how", NUMBERS)
def test_numbers_however_they_are_held(how):
    np.testing.assert_array_equal(numbers_in(NUMBERS[how], "y", "one a row"), np.asarray(NUMBERS[how], float))


def test_what_is_missing_is_missing():
    masked = np.ma.array(np.arange(4.0), mask=[0, 1, 0, 0])
    for values in (
        masked,
        [0, None, 2, 3],
        pd.Series([0, pd.NA, 2, 3]),
        pd.Series([0, pd.NA, 2, 3], dtype="Int64"),
    ):
        np.testing.assert_array_equal(numbers_in(values, "y", "one a row"), [0, np.nan, 2, 3])


@pytest.fixture(scope="module")
def fit():
    return gl.lmer("Reaction ~ Days + (1 | Subject)", SLEEP)


@pytest.mark.parametrize("what", NONE)
def test_what_is_no_number_is_refused_wherever_it_is_given(fit, what):
    for ask in (
        lambda v: fit.refit(v),
        lambda v: fit.refit_many(v),
        lambda v: gl.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, weights=v),
        lambda v: gl.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, offset=v),
        lambda v: fit.predict(SLEEP, interval="prediction", weights=v),
    ):
        with pytest.raises(DataError):
            ask(NONE[what])


@pytest.mark.parametrize("how", ["yes", None, 1, np.ones(3), pd.Series([True])])
def test_warn_is_true_or_false(fit, how):
    with pytest.raises(ModelError, match="warn is True or False"):
        fit.refit(SLEEP["Reaction"], warn=how)


@pytest.mark.parametrize(
    "Y", ["Reaction", 3.0, SLEEP["Reaction"], SLEEP[["Days"]][:5], None, [["a"] * 2] * N]
)
def test_responses_are_a_table_of_numbers(fit, Y):
    with pytest.raises(DataError, match=r"^Y (has shape|must be numbers)"):
        fit.refit_many(Y)
