"""What columns are for a formula: numbers, flags, factors, times; and what new rows may hold."""

import datetime
import enum

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design.levels import codes_in, text_of
from glmmlib.errors import DataError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 144
    d = pd.DataFrame(
        {"a": rng.choice(list("ABC"), n), "x": rng.normal(3, 1, n), "g": np.tile(np.arange(12), 12)}
    )
    d["flag"] = rng.uniform(size=n) < 0.4
    u = rng.normal(size=12)
    d["y"] = (d.a == "B") - (d.a == "C") * 1.0 * d.flag + 0.3 * d.x * ~d.flag + u[d.g] + rng.normal(size=n)
    d["text"] = np.where(d.flag, "yes", "no")
    d["number"] = d.flag * 1
    d["k"] = rng.poisson(np.exp(0.3 + 0.1 * d.y))
    return d


def deviance(formula, data):
    return gl.lmer(formula, data, reml=False).deviance


# --- flags ----------------------------------------------------------------------------------------

RIGHTS = [
    "0 + {0} + (1 | g)", "{0} + {0}:x + (1 | g)", "{0}/x + (1 | g)", "{0}:x + (1 | g)", "a:{0} + (1 | g)",
    "0 + a:{0} + (1 | g)", "a*{0} + (1 | g)", "x + (0 + {0} | g)", "x + ({0} || g)",
]  # fmt: skip


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("way", ["flag", "I(x > 3)", "C(flag)", "{x > 3}", "x.gt(3)"])
def test_true_and_false_are_levels_of_a_factor(data, right, way):
    """Also when they are computed: R and patsy code them so."""
    d = data.assign(flag=data.x > 3) if "x" in way else data
    d = d.assign(text=np.where(d.flag, "yes", "no"))
    fit, same = (gl.lmer(f"y ~ {right.format(c)}", d, reml=False) for c in (way, "text"))
    assert fit.deviance == pytest.approx(same.deviance, abs=1e-7)
    np.testing.assert_allclose(fit.params.to_numpy(), same.params.to_numpy(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(gl.anova(fit, type=2).table, gl.anova(same, type=2).table, rtol=1e-6)
    np.testing.assert_allclose(gl.anova(fit).table, gl.anova(same).table, rtol=1e-6)


@pytest.mark.parametrize(
    "dtype",
    ["bool", "object", "boolean", pd.SparseDtype(bool), pd.CategoricalDtype([False, True])],
    ids=str,
)
def test_however_they_are_stored(data, dtype):
    stored = data.assign(flag=data.flag.astype(dtype))
    fit = gl.lmer("y ~ 0 + flag + (1 | g)", stored)
    assert list(fit.params.index) == ["flag[False]", "flag[True]"]
    if dtype in ("object", "boolean"):
        stored.loc[0, "flag"] = None
        assert list(gl.lmer("y ~ 0 + flag + (1 | g)", stored).params.index) == ["flag[False]", "flag[True]"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("I(1 * flag)", "number"), ("I(1 - flag)", "I(1 - number)"), ("I(-flag)", "I(-number)"),
        ("I(x * flag)", "I(x * number)"), ("flag.astype(float)", "number"), ("I(flag - ~flag)",
    "I(2*number - 1)"),
        ("np.where(flag, x, 0)", "I(x * number)"), ("I((flag & (x > 3)) * 1)", "I(number * (x > 3))"),
    ],
)  # fmt: skip
def test_in_arithmetic_they_are_numbers(data, text, number):
    for right in ("x + {} + (1 | g)", "0 + {}:x + (1 | g)", "x + (0 + {} | g)"):
        a, b = (deviance(f"y ~ {right.format(c)}", data) for c in (text, number))
        assert a == pytest.approx(b, abs=1e-7)


def test_as_a_response_and_an_offset(data):
    flags = gl.glmer("flag ~ x + (1 | g)", data, family="binomial")
    assert flags.deviance == gl.glmer("number ~ x + (1 | g)", data, family="binomial").deviance
    computed = gl.glmer("{y > 1} ~ x + (1 | g)", data, family="binomial")
    assert computed.deviance == gl.glmer("I(y > 1) ~ x + (1 | g)", data, family="binomial").deviance
    a, b = (deviance(f"y ~ x + offset({c}) + (1 | g)", data) for c in ("flag", "number"))
    assert a == b


def test_flags_of_new_rows(data):
    fit = gl.lmer("y ~ flag * x + (1 | g)", data)
    new = pd.DataFrame({"flag": [True, False], "x": [1.0, 2.0], "g": [0, 1]})
    expected = fit.predict(new)
    for flags in (
        np.array([True, False]),
        [True, False],
        ["True", "False"],
        pd.array([True, False], "boolean"),
    ):
        np.testing.assert_array_equal(fit.predict(new.assign(flag=flags)), expected)
    np.testing.assert_array_equal(fit.predict(new.head(1)), expected.head(1))
    for flags in ([1, 0], [1.5, 0], ["yes", "no"]):
        with pytest.raises(DataError, match=r"'flag' of the new data"):
            fit.predict(new.assign(flag=flags))
    with pytest.raises(DataError, match="True or False, but the fit had numbers"):
        fit.predict(new.assign(x=[True, False]))


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int32", "uint64", "Int64", "float32", "Float64", "object"]
)
def test_numbers_do_not_overflow(data, dtype):
    d = data.assign(n=np.tile(np.arange(1, 13), 12), half=np.tile(np.arange(1, 13) / 2, 12))
    stored = d.assign(n=d.n.astype(dtype))
    for right in ("I(n**18)", "I(n * n * 10**17)", "poly(n, 3)", "I(200 * n)"):
        same = right.replace("n", "exact") if right != "poly(n, 3)" else "poly(exact, 3)"
        exact = d.assign(exact=d.n.astype(float))
        a, b = deviance(f"y ~ {right} + (1 | g)", stored), deviance(f"y ~ {same} + (1 | g)", exact)
        assert a == pytest.approx(b, rel=1e-9)


def test_whole_numbers_of_the_fit_may_be_fractions_later(data):
    d = data.assign(n=np.tile(np.arange(12), 12))
    fit = gl.lmer("y ~ n + I(n**2) + (1 | g)", d)
    half = fit.predict({"n": [2.5], "g": [0]}, re_form="~0").iloc[0]
    assert half == pytest.approx(fit.params @ [1, 2.5, 6.25])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([[1, 2]] * 144, "holds a list in a cell"),
        ([{"a": 1}] * 144, "holds a dict in a cell"),
        ([np.arange(2)] * 144, "holds a ndarray in a cell"),
        ([pd.DataFrame({"a": [1]})] * 144, "holds a DataFrame in a cell"),
        ([pd.Series([1])] * 144, "holds a Series in a cell"),
        ([bytearray(b"a")] * 144, "holds a bytearray in a cell"),
        ([{1, 2}] * 144, "holds a set in a cell"),
        ([1j] * 144, "complex"),
        ([b"a"] * 144, "bytes"),
        (np.r_[np.inf, np.zeros(143)], "infinite"),
    ],
)
def test_cells_that_hold_no_value(data, cells, words):
    odd = data.assign(odd=pd.Series(list(cells)))
    with pytest.raises(DataError, match=words):
        gl.lmer("y ~ odd + (1 | g)", odd)
    if "in a cell" in words:
        with pytest.raises(DataError, match=words):
            gl.lmer("y ~ x + (1 | odd)", odd)


# --- levels ---------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


ZONES = [pd.Timestamp("2020-01-01", tz=zone) for zone in ("UTC", "Asia/Tokyo", None)]

MIXTURES = {
    "numbers and text": ([0, 1, "1"], ["0", "1", "1"]),
    "whole and fractional text": ([1.0, "1", 2], ["1", "1", "2"]),
    "flags and text": ([True, "True", False], ["True", "True", "False"]),
    "enum": ([Colour.RED, Colour.BLUE, Colour.RED], ["Colour.RED", "Colour.BLUE", "Colour.RED"]),
    "zones": (ZONES, ["a", "b", "c"]),
}
FORMULAS = ["y ~ s + (1 | g)", "y ~ x + (s | g)", "y ~ x + (1 | s)", "y ~ C(s) + (1 | g)"]


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("dtype", [object, "category"])
def test_levels_are_told_apart_by_their_text(data, name, formula, dtype):
    values, texts = MIXTURES[name]
    code = np.arange(144) // 12 % 3
    mixed = pd.Series([values[i] for i in code], dtype=object)
    d = data.assign(s=mixed.astype(dtype), t=[texts[i] for i in code])
    if name == "zones" and formula in FORMULAS[:2] and dtype is object:
        with pytest.raises(DataError, match=r"take it as a factor, C\(s\)"):
            gl.lmer(formula, d)
        return
    fit, same = gl.lmer(formula, d, reml=False), gl.lmer(formula.replace("s", "t"), d, reml=False)
    assert fit.deviance == pytest.approx(same.deviance, abs=1e-6)
    np.testing.assert_allclose(fit.predict(d.head(40)), same.predict(d.head(40)), rtol=1e-5)


@pytest.mark.parametrize(
    ("levels", "values", "codes"),
    [
        ([1, 2], ["2", "1", "x"], [1, 0, -1]),
        ([1, 2], [2.0, 1.0, 1.5], [1, 0, -1]),
        (["1", "2"], [2, 1, 3], [1, 0, -1]),
        (["1", "2"], [2.0, 1.0, 1.5], [1, 0, -1]),
        ([False, True], [True, False], [1, 0]),
        ([False, True], [1, 0], [-1, -1]),
        ([0, 1], [True, False], [-1, -1]),
        ([0.5, 1.5], ["0.5", "1.5"], [0, 1]),
    ],
)
def test_values_find_their_levels(levels, values, codes):
    assert codes_in(pd.Index(levels), pd.Series(values)).tolist() == codes
    assert codes_in(pd.Index(levels), pd.Series(values, dtype=object)).tolist() == codes
    assert codes_in(pd.Index(levels), pd.Series(values).astype("category")).tolist() == codes


def test_groups_and_factors_of_new_rows_may_be_stored_otherwise(data):
    d = data.assign(s=np.tile([1, 2, 3], 48))
    fit = gl.lmer("y ~ C(s) + x + (1 | g)", d)
    new = d.head(12)
    for dtype in (float, str, object, "category", "Int64", "string"):
        np.testing.assert_array_equal(fit.predict(new.assign(g=new.g.astype(dtype))), fit.predict(new))
    for dtype in (float, object, "Int64"):
        np.testing.assert_array_equal(fit.predict(new.assign(s=new.s.astype(dtype))), fit.predict(new))
    with pytest.raises(DataError, match="categorical .*, but the fit had numbers there"):
        fit.predict(new.assign(s=new.s.astype(str)))


def test_texts_of_levels():
    assert [text_of(v) for v in (1, 1.0, np.float32(2), 1e300, 0.1, "1.0", True)] == [
        "1", "1", "2", "1e+300", "0.1", "1.0", "True",
    ]  # fmt: skip


def test_one_level_because_most_rows_were_left_out(data):
    odd = data.assign(t=np.where(data.index < 40, "A", None))
    for formula in ("y ~ t + (1 | g)", "y ~ x + (1 | t)", "y ~ C(t) + (1 | g)"):
        with pytest.raises(
            DataError, match=r"one level only.*104 of the 144 rows .* 't' is missing.*keep_default_na"
        ):
            gl.lmer(formula, odd)


def test_a_factor_of_too_many_levels_states_the_memory(monkeypatch):
    monkeypatch.setattr("glmmlib.linalg.resources.free_memory", lambda: 8_000_000_000)
    n = 90_000
    d = pd.DataFrame(
        {"y": np.zeros(n), "k": np.arange(n), "s": np.arange(n).astype(str), "g": np.arange(n) % 9}
    )
    for formula in ("y ~ C(k) + (1 | g)", "y ~ s + (1 | g)", "y ~ g + (0 + C(k) | g)"):
        with pytest.raises(DataError, match=r"90,000 levels: .* about 138 GB .* 8 GB are free.*\(1 \| g\)"):
            gl.lmer(formula, d)


# --- times ----------------------------------------------------------------------------------------

DAYS = np.tile(np.arange(12), 12)
START = pd.Timestamp("2020-01-01")
TIMES = {
    "dates": START + pd.to_timedelta(DAYS, unit="D"),
    "durations": pd.Series(pd.to_timedelta(DAYS, unit="D")),
    "dates with a zone": (START.tz_localize("UTC") + pd.to_timedelta(DAYS, unit="D")),
    "periods": pd.period_range("2020-01-01", periods=12, freq="D").take(DAYS),
    "Python's dates": pd.Series([(START + pd.Timedelta(days=int(k))).date() for k in DAYS], dtype=object),
    "Python's durations": pd.Series([datetime.timedelta(days=int(k)) for k in DAYS], dtype=object),
    "seconds": pd.Series(DAYS.astype("timedelta64[D]").astype("timedelta64[s]")),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_have_no_unit(data, name):
    d = data.assign(t=np.asarray(TIMES[name], dtype=object) if "Python" in name else TIMES[name])
    for formula in ("y ~ t + (1 | g)", "y ~ x + (t | g)", "y ~ x:t + (1 | g)", "y ~ I(t) + (1 | g)"):
        with pytest.raises(DataError, match="'I?.?t.?'"):
            gl.lmer(formula, d)
    for formula in ("t ~ x + (1 | g)", "y ~ x + offset(t) + (1 | g)"):
        with pytest.raises(DataError):
            gl.lmer(formula, d)
    d["h"] = np.arange(144) // 12
    factor = gl.lmer("y ~ C(t) + (1 | h)", d)
    assert factor.deviance == pytest.approx(gl.lmer("y ~ C(k) + (1 | h)", d.assign(k=DAYS)).deviance)
    np.testing.assert_array_equal(factor.predict(d.head(9)), factor.fittedvalues.head(9))
    groups = gl.lmer("y ~ x + (1 | t)", d)
    np.testing.assert_allclose(groups.predict(d.head(9)), groups.fittedvalues.head(9), rtol=1e-9)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_unit_makes_a_duration_a_number_whatever_its_storage(data, unit):
    d = data.assign(t=pd.Series(pd.to_timedelta(DAYS, unit="D")), day=DAYS)
    fit = gl.lmer("y ~ I(t.dt.total_seconds() / 86400) + (1 | g)", d)
    plain = gl.lmer("y ~ day + (1 | g)", d)
    assert fit.deviance == pytest.approx(plain.deviance)
    new = {"t": pd.to_timedelta([3], unit="D").as_unit(unit)}
    assert fit.predict(new, re_form="~0")[0] == pytest.approx(plain.predict({"day": [3]}, re_form="~0")[0])


# --- statistics of all rows -----------------------------------------------------------------------

REMEMBERED = [
    "I(x - x.mean())", "I(x / x.max())", "I(x - np.min(x))", "I((x - np.mean(x)) / np.std(x))",
    "I(x > x.median())",
    "x.clip(x.quantile(0.05), x.quantile(0.95))", "C(np.digitize(x, np.quantile(x, [0.3, 0.6])))",
    "I(x - min(x))",
    "I(x * (x.max() - x.min()) / len(x))", "scale(x)", "center(log(x + 9))", "poly(x, 2)", "bs(x, df=4)",
    "lag(x, 0)",
    "k.isin([1, 2, 3])", "np.interp(x, [0, 9], [0, 1])", "standardize(x)",
    "I(k.astype('category').cat.codes * 0 + x)",
    "a.map({'A': 0, 'B': 1, 'C': 5}).astype(float)", "half(x)",
]  # fmt: skip
OF_ALL_ROWS = [
    "x.rank()", "I(x - x.groupby(g).transform('mean'))", "np.argsort(x)", "np.cumsum(x)", "x.cumsum()",
    "I(x.diff().fillna(0))",
    "I(lag(x, 1).fillna(0))", "x.shift(1).fillna(0)", "k.astype('category').cat.codes", "centred(x)",
    "ranked(x)",
    "I(x * x.groupby(g).transform('size'))", "np.searchsorted(np.array(x), x)",
]  # fmt: skip
OWN = {
    "half": lambda x: x / 2,
    "centred": lambda x: x - x.mean(),
    "ranked": lambda x: np.argsort(np.argsort(np.asarray(x))) * 1.0,
}


@pytest.mark.parametrize("text", REMEMBERED)
def test_new_rows_use_the_statistics_of_the_fit(data, text):
    fit = gl.lmer(f"y ~ {text} + (1 | g)", data, functions=OWN)
    rows = [5, 77, 130]
    np.testing.assert_allclose(fit.predict(data.iloc[rows]), fit.fittedvalues.iloc[rows], rtol=1e-9)
    np.testing.assert_allclose(fit.predict(data.iloc[[5]]), fit.fittedvalues.iloc[[5]], rtol=1e-9)


@pytest.mark.parametrize("text", OF_ALL_ROWS)
def test_what_needs_the_other_rows_is_refused_for_new_ones(data, text):
    fit = gl.lmer(f"y ~ {text} + (1 | g)", data, functions=OWN)
    with pytest.raises(DataError, match=r"computed from all rows of the fit.*center\(x\)"):
        fit.predict(data.iloc[[5, 77]])
    with pytest.raises(DataError, match="computed from all rows"):
        gl.means(gl.lmer(f"y ~ a + {text} + (1 | g)", data, functions=OWN), "a")
    assert len(fit.predict()) == 144


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_numbers_beyond_floats_are_told(value):
    d = pd.DataFrame(
        {"y": np.arange(8.0) ** 2, "x": pd.Series([value, *range(7)], dtype=object), "g": list("aabbccdd")}
    )
    with pytest.raises(DataError, match="beyond 1.8e308"):
        gl.lmer("y ~ x + (1 | g)", d)


TABLE = pd.DataFrame({"a": ["a"]})


@pytest.mark.parametrize("cell", [["a"], ("a", "b"), {"a": 1}, {"a"}, np.array(["a"]), TABLE, TABLE["a"]])
@pytest.mark.parametrize("allow", [True, False])
def test_a_new_group_is_one_value(cell, allow):
    d = pd.DataFrame({"y": np.random.default_rng(1).normal(size=8), "g": list("aabbccdd")})
    fit = gl.lmer("y ~ 1 + (1 | g)", d)
    with pytest.raises(DataError, match="in a cell: give one value for each row"):
        fit.predict({"g": pd.Series([cell, "b"], dtype=object)}, allow_new_levels=allow)
