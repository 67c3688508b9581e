"""Data of every make: pandas' frames, dicts, other libraries' frames."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design.frames import as_frame, missing_rows
from glmmlib.errors import DataError

FORMULA = "y ~ x + (1 | g)"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {"y": rng.normal(size=60), "x": rng.normal(size=60), "g": np.repeat(list("abcdef"), 10)}
    )


class Frame:
    """What polars' frames have, without pyarrow."""

    def __init__(self, data):
        self._data = data
        self.columns = list(data.columns)

    def to_pandas(self):
        raise ModuleNotFoundError("No module named 'pyarrow'")

    def __getitem__(self, name):
        column = self._data[name]
        return type("Series", (), {"to_list": lambda self: column.tolist()})()


class LazyFrame:
    def __init__(self, data):
        self._data = data

    def collect(self):
        return Frame(self._data)


class Table:
    """What Arrow's tables have."""

    def __init__(self, data):
        self._data = data

    def to_pandas(self):
        return self._data


MAKES = {
    "dict of arrays": lambda d: {name: column.to_numpy() for name, column in d.items()},
    "dict of lists": lambda d: {name: column.tolist() for name, column in d.items()},
    "dict of series": dict,
    "records": lambda d: d.to_dict("records"),
    "structured array": lambda d: d.to_records(index=False),
    "polars": Frame,
    "lazy polars": LazyFrame,
    "arrow": Table,
    "string columns": lambda d: d.astype({"g": "string"}),
    "nullable columns": lambda d: d.convert_dtypes(),
}


@pytest.mark.parametrize("make", MAKES)
def test_the_make_does_not_matter(data, make):
    fit, same = gl.lmer(FORMULA, MAKES[make](data)), gl.lmer(FORMULA, data)
    assert fit.deviance == same.deviance
    np.testing.assert_array_equal(fit.predict(MAKES[make](data.head())), same.predict(data.head()))


NONE_OF_THEM = [
    None,
    3,
    "data.csv",
    np.nan,
    {"x": [1, 2], "y": [1]},
    object(),
    lambda: 1,
    pd.DataFrame,
]


@pytest.mark.parametrize("value", NONE_OF_THEM, ids=lambda value: type(value).__name__)
def test_what_is_no_data(value):
    with pytest.raises(DataError, match="a pandas DataFrame or a dict of columns"):
        as_frame(value)


def test_a_path_is_told_to_be_read():
    with pytest.raises(DataError, match="read the file first"):
        as_frame("data.csv")


def test_columns_of_other_rows_are_not_aligned_in_silence(data):
    shuffled = {"y": data.y, "x": data.x.sample(frac=1, random_state=1), "g": data.g}
    with pytest.raises(DataError, match="'y' and 'x' have different indexes"):
        gl.lmer(FORMULA, shuffled)


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, np.nan, 3.0], dtype=np.float32),
        np.array([1.0, np.nan, 3.0], dtype=complex),
        pd.array([1, None, 3], dtype="Int64"),
        pd.array([True, None, False], dtype="boolean"),
        pd.Categorical(["a", None, "b"]),
        np.array(["a", None, "b"], dtype=object),
        pd.array(["a", None, "b"], dtype="str"),
        pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
        pd.to_timedelta([1, None, 3], unit="D"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_a_missing_value_of_any_type_is_found(values):
    frame = pd.DataFrame({"v": values, "whole": [1, 2, 3], "flag": [True, False, True]})
    mask, counts = missing_rows(frame, ["whole", "v", "flag"])
    assert mask.tolist() == [False, True, False] and counts == {"v": 1}
    assert missing_rows(frame, ["whole", "flag"]) == (None, {})


@pytest.mark.parametrize("others", [[], ["never used"]])
def test_a_fit_keeps_its_rows_when_the_arrays_of_the_frame_change(data, others):
    arrays = {name: data[name].to_numpy().copy() for name in ("y", "x", "g")}
    given = pd.DataFrame(arrays | dict.fromkeys(others, 1.0), copy=False)
    fit = gl.lmer(FORMULA, given)
    expected = fit.resid.copy(), fit.design.data["x"].to_numpy().copy()
    for name in ("y", "x"):
        arrays[name][:] = 0.0
    np.testing.assert_array_equal(fit.resid, expected[0])
    np.testing.assert_array_equal(fit.design.data["x"], expected[1])
