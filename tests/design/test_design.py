"""From formula and data to arrays: columns, groups, missing rows, rank, and new data."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmmlib.design.build import build_design
from glmmlib.design.newdata import new_design
from glmmlib.design.rank import independent_rows
from glmmlib.errors import DataError, RankDeficientWarning
from support.examples import examples


@pytest.fixture
def data():
    return pd.DataFrame(
        {
            "y": [3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8],
            "x": [0.0, 1, 2, 3, 0, 2, 1, 0, 3, 2, 1, 0],
            "k": [1, 2, 3] * 4,
            "f": list("bacbacbacbac"),
            "g": [10, 10, 10, 10, 2, 2, 2, 2, 7, 7, 7, 7],
            "h": list("uuvvuuvvuuvv"),
            "n": np.arange(1, 13),
        }
    )


# formula: (names of the fixed effects, names of the first term's random effects)
COLUMNS = {
    "y ~ x + (x | g)": (["Intercept", "x"], ["Intercept", "x"]),
    "y ~ x + (1 | g)": (["Intercept", "x"], ["Intercept"]),
    "y ~ x + (0 + x | g)": (["Intercept", "x"], ["x"]),
    "y ~ 0 + x + (1 | g)": (["x"], ["Intercept"]),
    "y ~ x - 1 + (1 | g)": (["x"], ["Intercept"]),
    "y ~ 0 + (1 | g)": ([], ["Intercept"]),
    "y ~ f + (f | g)": (["Intercept", "f[T.b]", "f[T.c]"], ["Intercept", "f[T.b]", "f[T.c]"]),
    "y ~ f + (0 + f | g)": (["Intercept", "f[T.b]", "f[T.c]"], ["f[a]", "f[b]", "f[c]"]),
    "y ~ f + (f || g)": (["Intercept", "f[T.b]", "f[T.c]"], ["Intercept", "f[T.b]", "f[T.c]"]),
    "y ~ x*h + (1 | g)": (["Intercept", "x", "h[T.v]", "x:h[T.v]"], ["Intercept"]),
    "y ~ (x + h)^2 + (1 | g)": (["Intercept", "x", "h[T.v]", "x:h[T.v]"], ["Intercept"]),
    "y ~ C(k) + (1 | g)": (["Intercept", "C(k)[T.2]", "C(k)[T.3]"], ["Intercept"]),
    "y ~ factor(k) + (1 | g)": (["Intercept", "factor(k)[T.2]", "factor(k)[T.3]"], ["Intercept"]),
    "y ~ C(f, contr.sum) + (1 | g)": (
        ["Intercept", "C(f, contr.sum)[S.a]", "C(f, contr.sum)[S.b]"],
        ["Intercept"],
    ),
    "y ~ I(x^2) + (1 | g)": (["Intercept", "I(x ** 2)"], ["Intercept"]),
    "y ~ poly(x, 2) + (1 | g)": (["Intercept", "poly(x, 2)[1]", "poly(x, 2)[2]"], ["Intercept"]),
    "y ~ poly(x, 2, raw = TRUE) + (1 | g)": (
        ["Intercept", "poly(x, 2, raw=TRUE)[0]", "poly(x, 2, raw=TRUE)[1]"],
        ["Intercept"],
    ),
    "log(y) ~ sqrt(x) + (scale(x) | g)": (["Intercept", "sqrt(x)"], ["Intercept", "scale(x)"]),
}


@pytest.mark.parametrize("formula", COLUMNS)
def test_columns(data, formula):
    design = build_design(formula, data)
    assert (list(design.coef_names), list(design.random[0].columns)) == COLUMNS[formula]
    assert design.X.shape == (12, len(design.coef_names))
    assert design.random[0].Z.shape == (len(design.random[0].columns), 12)
    assert design.random[0].Z.flags.c_contiguous
    assert design.X.dtype == design.random[0].Z.dtype == np.float64


def test_values(data):
    design = build_design(
        "log(y) ~ x*f + offset(log(n)) + (0 + I(x^2) | g)", data, offset=data["k"], weights="n"
    )
    first_b = (data["f"] == "b").to_numpy()
    assert np.allclose(design.y, np.log(data["y"]))
    assert np.array_equal(design.X[:, design.coef_names.index("x:f[T.b]")], data["x"] * first_b)
    assert np.array_equal(design.random[0].Z[0], data["x"] ** 2)
    assert np.allclose(design.offset, np.log(data["n"]) + data["k"])
    assert np.array_equal(design.weights, data["n"])
    assert design.term_slices == {
        "Intercept": slice(0, 1),
        "x": slice(1, 2),
        "f": slice(2, 4),
        "x:f": slice(4, 6),
    }
    assert design.response_name == "log(y)"


def test_cbind_keeps_successes_and_trials(data):
    design = build_design("cbind(k, n - k + 3) ~ x + (1 | g)", data)
    assert np.array_equal(design.y, data["k"])
    assert np.array_equal(design.trials, data["n"] + 3)


def test_a_binary_factor_as_response(data):
    design = build_design("h ~ x + (1 | g)", data, binary=True)
    assert np.array_equal(design.y, data["h"] == "v")
    assert design.response_levels == ("u", "v")
    ordered = data.assign(h=pd.Categorical(data["h"], ["v", "u"]))
    assert np.array_equal(build_design("h ~ x + (1 | g)", ordered, binary=True).y, data["h"] == "u")


def test_a_response_that_does_not_exist_yet(data):
    design = build_design("unknown ~ x + (1 | g)", data, response=False)
    assert design.y is None
    assert design.nobs == 12


def test_unmarked_formula_has_no_random_effects(data):
    assert build_design("y ~ x", data).random == ()


def test_backticks_reach_names_with_spaces(data):
    data = data.rename(columns={"x": "my x", "g": "my g"})
    design = build_design("y ~ `my x` + scale(`my x`):k + (`my x` | `my g`)", data)
    assert design.coef_names == ("Intercept", "my x", "scale(`my x`):k")
    assert design.random[0].group == "my g"


def test_a_column_named_like_a_function_does_not_hide_it(data):
    data = data.rename(columns={"k": "scale"})
    assert build_design("y ~ scale(x) + (1 | g)", data).coef_names == ("Intercept", "scale(x)")


def test_arrays_cannot_be_written_to_nor_changed_from_outside(data):
    weights = np.ones(12)
    design = build_design("y ~ x + (x | g)", data, weights=weights)
    y = design.y.copy()
    data.loc[0, "y"] = 100.0
    weights[0] = 100.0
    assert np.array_equal(design.y, y)
    assert design.weights[0] == 1
    for array in (design.y, design.X, design.weights, design.random[0].Z, design.random[0].codes):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_small_storage_types_do_not_overflow(data):
    small = data.assign(x=(100 + data["x"]).astype("int8"))
    assert build_design("y ~ I(x^2) + (1 | g)", small).X[:, 1].tolist() == ((100 + data["x"]) ** 2).tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "Int64", "Float64", "object"])
def test_every_numeric_storage_is_a_number(data, dtype):
    design = build_design(
        "y ~ x + (1 | g)", data.assign(x=data["x"].astype(dtype), y=data["y"].astype(dtype))
    )
    assert design.coef_names == ("Intercept", "x")
    assert np.array_equal(design.X[:, 1], data["x"])
    assert np.array_equal(design.y, data["y"])


# --- factors and groups ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, int, "category", float, "string"])
def test_groups_of_any_kind(data, kind):
    grouping = build_design("y ~ x + (1 | g)", data.assign(g=data["g"].astype(kind))).random[0].grouping
    labels = [str(level) for level in np.asarray(grouping.levels)[grouping.codes]]
    assert labels == [str(v) for v in data["g"].astype(kind)]
    assert list(grouping.levels) == sorted(grouping.levels)


def test_boolean_groups(data):
    design = build_design("y ~ x + (1 | big)", data.assign(big=data["g"] > 5))
    assert list(design.random[0].levels) == [False, True]


def test_categorical_order_is_kept_and_unused_levels_are_dropped(data):
    order = ["zz", "c", "b", "a"]
    data = data.assign(f=pd.Categorical(data["f"], order), g=pd.Categorical(data["g"], [99, 7, 10, 2]))
    design = build_design("y ~ f + (1 | g)", data)
    assert design.coef_names == ("Intercept", "f[T.b]", "f[T.a]")
    assert list(design.random[0].levels) == [7, 10, 2]
    assert np.array_equal(np.asarray(design.random[0].levels)[design.random[0].codes], data["g"])


def test_ordered_categoricals_get_polynomials_only_on_request(data):
    data = data.assign(f=pd.Categorical(data["f"], list("abc"), ordered=True))
    assert build_design("y ~ f + (1 | g)", data).coef_names[1] == "f[T.b]"
    assert build_design("y ~ C(f, contr.poly) + (1 | g)", data).coef_names[1] == "C(f, contr.poly)[.L]"


def test_nested_groups_are_the_cells_that_occur(data):
    design = build_design("y ~ x + (1 | g/h)", data)
    assert [term.group for term in design.random] == ["g", "g:h"]
    assert list(design.random[1].levels) == ["2:u", "2:v", "7:u", "7:v", "10:u", "10:v"]
    cells = [f"{g}:{h}" for g, h in zip(data["g"], data["h"], strict=True)]
    assert np.asarray(design.random[1].levels)[design.random[1].codes].tolist() == cells


def test_combined_labels_never_collide():
    data = pd.DataFrame({"y": [1.0, 2, 3, 4], "a": ["a:b", "a", "a:b", "a"], "b": ["c", "b:c", "c", "b:c"]})
    grouping = build_design("y ~ 1 + (1 | a:b)", data).random[0].grouping
    assert grouping.codes.tolist() == [1, 0, 1, 0]
    assert list(grouping.levels) == ["a:`b:c`", "`a:b`:c"]


def test_terms_over_the_same_groups_share_their_codes(data):
    design = build_design("y ~ x + (1 | g) + (0 + x | g)", data)
    assert design.random[0].codes is design.random[1].codes


# --- missing values -------------------------------------------------------------------------------


def test_incomplete_rows_are_dropped_and_counted(data):
    data.loc[1, "y"] = np.nan
    data.loc[2, "x"] = np.nan
    data.loc[2, "n"] = np.nan
    data = data.assign(g=data["g"].astype("Int64"), extra=np.nan)
    data.loc[5, "g"] = pd.NA
    design = build_design("y ~ x + (1 | g)", data, weights="n", offset=np.arange(12))
    assert design.n_missing == 3
    assert list(design.index) == [0, 3, 4, 6, 7, 8, 9, 10, 11]
    assert np.array_equal(design.offset, design.index)
    assert np.array_equal(design.weights, design.data["n"])
    assert design.nobs == len(design.y) == len(design.X) == len(design.random[0].codes) == 9


def test_levels_that_lose_all_their_rows_are_gone(data):
    data.loc[data["f"] == "c", "x"] = np.nan
    assert build_design("y ~ x + f + (1 | g)", data).coef_names == ("Intercept", "x", "f[T.b]")


@pytest.mark.parametrize("make", [pd.DataFrame, dict], ids=["frame", "dict"])
def test_a_design_owns_its_data(data, make):
    """Whatever becomes of the user's columns, or the arrays they were made of, the design keeps its own."""
    arrays = {name: column.to_numpy(copy=True) for name, column in data.items()}
    given = pd.DataFrame(arrays, copy=False) if make is pd.DataFrame else arrays
    design = build_design("y ~ x + k + (1 | g)", given)
    before = design.data[["y", "x", "k", "g"]].copy(), design.y.copy(), design.X.copy()
    for array in arrays.values():
        array[:] = array[::-1].copy()
    if make is pd.DataFrame:
        given.loc[:, "y"] = 0.0
        given.loc[0, "g"] = 7
    assert design.data[["y", "x", "k", "g"]].equals(before[0])
    assert np.array_equal(design.y, before[1])
    assert np.array_equal(design.X, before[2])


# --- rank -----------------------------------------------------------------------------------------


def aliased(formula, data):
    with pytest.warns(RankDeficientWarning) as caught:
        design = build_design(formula, data)
    assert len(caught) == 1
    assert all(name in str(caught[0].message) for name in design.aliased)
    return design


def test_a_multiple_of_a_column_is_dropped_and_named(data):
    design = aliased("y ~ x + I(2*x) + k + (1 | g)", data)
    assert design.aliased == ("I(2 * x)",)
    assert design.coef_names == ("Intercept", "x", "k")
    assert np.array_equal(design.X[:, 2], data["k"])
    assert design.term_slices == {
        "Intercept": slice(0, 1),
        "x": slice(1, 2),
        "I(2 * x)": slice(2, 2),
        "k": slice(2, 3),
    }


def test_a_constant_column_is_called_constant(data):
    with pytest.warns(RankDeficientWarning, match=r"I\(0 \* x\) \(constant\)"):
        assert build_design("y ~ x + I(0 * x) + (1 | g)", data).aliased == ("I(0 * x)",)


def test_a_constant_column_can_stand_for_the_intercept(data):
    assert build_design("y ~ 0 + c + x + (0 + c | g)", data.assign(c=2.0)).coef_names == ("c", "x")


def test_an_empty_cell_of_two_factors_is_dropped():
    data = pd.DataFrame(
        {"y": np.arange(8.0), "a": list("ppppqqqq"), "b": list("rrssrrrr"), "g": list("mnmnmnmn")}
    )
    assert aliased("y ~ a*b + (1 | g)", data).aliased == ("a[T.q]:b[T.s]",)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("shift", [0.0, 1e4, 1e8])
def test_scale_and_origin_are_not_rank_deficiency(data, scale, shift):
    data = data.assign(x=scale * (data["x"] + shift), z=np.cos(data["n"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build_design("y ~ x + z + I(z**2) + (1 | g)", data).aliased == ()
    assert aliased("y ~ x + z + I(3 * x - z) + (1 | g)", data).aliased == ("I(3 * x - z)",)


@examples(50)
@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=1, max_size=8), st.integers(10, 50))
def test_rank_against_columns_made_dependent(seed, fresh, n):
    rng = np.random.default_rng(seed)
    rows = [np.ones(n)]
    for is_fresh in fresh:
        row = rng.normal(size=n) if is_fresh else rng.normal(size=len(rows)) @ rows
        rows.append(row * 10.0 ** rng.uniform(-6, 6))
    assert independent_rows(np.array(rows)).tolist() == [True, *fresh]


def test_more_columns_than_rows():
    rng = np.random.default_rng(1)
    assert independent_rows(rng.normal(size=(5, 3))).tolist() == [True, True, True, False, False]


# --- new data -------------------------------------------------------------------------------------


TRANSFORMS = [
    "scale(x)",
    "center(x)",
    "poly(x, 2)",
    "bs(n, df=4)",
    "C(k)",
    "f",
    "x*f",
    "C(f, contr.sum)",
    "cr(n, df=3, constraints='center')",
]


@pytest.mark.parametrize("term", TRANSFORMS)
def test_new_data_reuse_what_the_fit_learned(data, term):
    data = pd.concat([data, data], ignore_index=True)  # more rows than variances and correlations
    design = build_design(f"y ~ {term} + (0 + {term} | g)", data)
    some = data.iloc[[7, 2]].drop(columns="y")
    new = new_design(design, some)
    assert np.allclose(new.X, design.X[[7, 2]])
    assert np.allclose(new.random[0].Z, design.random[0].Z[:, [7, 2]])
    assert np.array_equal(new.random[0].codes, design.random[0].codes[[7, 2]])
    assert list(new.index) == [7, 2]


def test_new_data_leave_aliased_columns_out(data):
    design = aliased("y ~ x + I(2*x) + k + (1 | g)", data)
    assert np.array_equal(new_design(design, data).X, design.X)


def test_population_predictions_need_no_grouping_column(data):
    design = build_design("y ~ x + (k | g) + (1 | h)", data)
    assert new_design(design, {"x": [5.0]}, random=()).X.tolist() == [[1, 5]]
    assert list(new_design(design, {"x": [5.0], "h": ["v"]}, random=[1]).random) == [1]


def test_new_levels_on_request(data):
    design = build_design("y ~ x + (1 | g/h)", data)
    new = new_design(design, {"x": [0, 0, 0], "g": [7, 3, 7], "h": ["v", "u", "w"]}, allow_new_levels=True)
    assert new.random[0].codes.tolist() == [1, -1, 1]
    assert new.random[1].codes.tolist() == [3, -1, -1]


def test_new_levels_of_a_cell_not_seen_although_its_parts_were(data):
    design = build_design("y ~ x + (1 | g:f)", data.query("not (g == 2 and f == 'a')"))
    with pytest.raises(DataError, match=r"'g:f' has levels .* \(2:a\)"):
        new_design(design, {"x": [0], "g": [2], "f": ["a"]})


@pytest.mark.parametrize("kind", [str, "category", "string", object])
def test_new_groups_are_matched_by_label(data, kind):
    design = build_design("y ~ x + (1 | h)", data.assign(h=data["h"].astype("category")))
    new = new_design(design, pd.DataFrame({"x": [1.0, 2.0], "h": ["v", "u"]}).astype({"h": kind}))
    assert new.random[0].codes.tolist() == [1, 0]


def test_rows_with_missing_values_stay_as_nan(data):
    design = build_design("y ~ scale(x) + f + offset(n) + (x | g)", data)
    new_data = data.iloc[:4].assign(x=[0, np.nan, 1, 2], f=["a", "b", None, "c"])
    new = new_design(design, new_data)
    assert new.complete.tolist() == [True, False, False, True]
    assert np.isnan(new.X[[1, 2]]).all()
    assert np.isnan(new.random[0].Z[:, [1, 2]]).all()
    assert np.isnan(new.offset[[1, 2]]).all()
    assert new.random[0].codes.tolist() == [2, -1, -1, 2]
    assert np.array_equal(new.X[[0, 3]], new_design(design, new_data.iloc[[0, 3]]).X)
    assert np.isnan(new_design(design, new_data.iloc[[1]]).X).all()


def test_offsets_for_new_data(data):
    by_name = build_design("y ~ x + (1 | g)", data, offset="n")
    assert new_design(by_name, data.head(2)).offset.tolist() == [1, 2]
    by_array = build_design("y ~ x + offset(k) + (1 | g)", data, offset=data["n"])
    assert new_design(by_array, data.head(2), offset=[10, 20]).offset.tolist() == [11, 22]
    with pytest.raises(DataError, match="pass offset="):
        new_design(by_array, data.head(2))


def test_a_design_survives_pickling(data):
    design = build_design("log(y) ~ poly(x, 2) + bs(n, df=4) + C(f, contr.sum) + (scale(x) | g/h)", data)
    again = pickle.loads(pickle.dumps(design))
    assert np.array_equal(again.X, design.X)
    assert np.array_equal(new_design(again, data.head(3)).X, design.X[:3])
    assert np.array_equal(new_design(again, data.head(3)).random[1].codes, design.random[1].codes[:3])


def test_memory_stays_below_a_copy_of_the_data_and_two_and_a_half_data_frames():
    rng = np.random.default_rng(1)
    n = 200_000
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "g": rng.integers(0, n // 10, n)})
    build_design("y ~ x + (x | g)", data.head(100))
    tracemalloc.start()
    build_design("y ~ x + (x | g)", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.5 * data.memory_usage().sum()


@pytest.mark.parametrize(
    "text, words",
    [
        ("I([1, 2])", "gives 2 values for 6 rows"),
        ("exp([1, 2])", "gives 2 values for 6 rows"),
        ("I(x[1:3])", "gives 2 values for 6 rows"),
        ("f(x)", "gives 1 value for 6 rows"),
        ("I('abc')", "gives 'abc', where a column"),
        ("I({'a': 1})", "where a column|gives 1 value for 6 rows"),
        ("I(None)", "gives None"),
    ],
)
@pytest.mark.parametrize("place", ["y ~ {}", "y ~ x + offset({})", "{} ~ x", "y ~ x + ({} | g)"])
def test_an_expression_gives_a_value_for_each_row(text, words, place):
    data = pd.DataFrame({"y": np.arange(6.0) ** 2, "x": np.arange(6.0), "g": list("aabbcc")})
    with pytest.raises(DataError, match=f"{words}|must be one number per row"):
        build_design(place.format(text) + " + (1 | g)", data, functions={"f": lambda x: x[:1]})
