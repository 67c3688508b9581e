"""Bad input gets one clear message: what was found, where, what to do. One test a message."""

import time

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design.build import build_design, check_lmm_sizes
from glmmlib.design.newdata import new_design
from glmmlib.errors import DataError, FormulaError, GlmmlibError, ModelError


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "Reaction": rng.normal(300, 30, 12),
            "Days": np.tile(np.arange(4.0), 3),
            "Subject": np.repeat(["s1", "s2", "s3"], 4),
            "sex": np.tile(["f", "m"], 6),
            "id": np.arange(12),
            "k": np.tile([1, 2, 3], 4),
        }
    )


def refused(error, words, *args, **kwargs):
    with pytest.raises(error) as caught:
        build_design(*args, **kwargs)
    message = str(caught.value)
    assert words in message, message
    assert "\n" not in message
    return message


FORMULA = "Reaction ~ Days + (Days | Subject)"


# --- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "wrong", "right"),
    [
        ("Reaction ~ Dayz + (1 | Subject)", "Dayz", "Days"),
        ("Reaction ~ Days + (1 | subject)", "subject", "Subject"),
        ("reaction ~ Days + (1 | Subject)", "reaction", "Reaction"),
        ("Reaction ~ Days + (dais | Subject)", "dais", "Days"),
        ("Reaction ~ log(Dayss + 1) + (1 | Subject)", "Dayss", "Days"),
        ("log(Raction) ~ Days + (1 | Subject)", "Raction", "Reaction"),
        ("Reaction ~ offset(Day) + (1 | Subject)", "Day", "Days"),
    ],
)
def test_misspelt_column(data, formula, wrong, right):
    refused(DataError, f"'{wrong}' is not a column of the data; did you mean '{right}'?", formula, data)


def test_unknown_column_without_a_neighbour(data):
    refused(DataError, "the columns are Reaction, Days", "Reaction ~ qqq + (1 | Subject)", data)


def test_misspelt_weights_column(data):
    refused(DataError, "did you mean 'Days'?", FORMULA, data, weights="Day")


def test_unknown_function(data):
    refused(FormulaError, "calls 'foo()'", "Reaction ~ foo(Days) + (1 | Subject)", data)
    refused(FormulaError, "cr(x, df=4)", "Reaction ~ ns(Days, 4) + (1 | Subject)", data)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("Reaction ~ te(Days, id) + (1 | Subject)", "a smooth surface cannot be fitted here"),
        ("Reaction ~ ti(Days, id) + (1 | Subject)", "a smooth surface cannot be fitted here"),
        ("Reaction ~ log(s(Days)) + (1 | Subject)", "a smooth curve stands on its own"),
        ("s(Reaction) ~ Days + (1 | Subject)", "a smooth curve stands on its own"),
    ],
)
def test_smooths_that_are_not_there(data, formula, words):
    refused(FormulaError, words, formula, data)


@pytest.mark.parametrize(
    ("fit", "option", "words"),
    [
        (gl.lmer, {"zi": "~ 1"}, "counts, fitted by gl.glmer"),
        (gl.lmer, {"family": "poisson"}, "fitted by gl.glmer"),
        (gl.lmer, {"dispersion": "~ Days"}, "sigma='~ x' here"),
        (gl.glmer, {"family": "gamma", "sigma": "~ Days"}, "dispersion='~ x' here"),
        (gl.glmer, {"family": "gamma", "residual": "ar1(Days | Subject)"}, "only a linear model"),
        (gl.glmer, {"family": "gamma", "REML": True}, "fitted by maximum likelihood"),
    ],
)
def test_an_argument_of_the_other_function_is_answered(data, fit, option, words):
    with pytest.raises(ModelError, match=words):
        fit("Reaction ~ Days + (1 | Subject)", data, **option)


def test_a_name_with_a_dot_inside_a_function(data):
    data = data.rename(columns={"Days": "test.days"})
    refused(
        DataError, "write `test.days` in backticks", "Reaction ~ log(test.days + 1) + (1 | Subject)", data
    )
    assert build_design("Reaction ~ log(`test.days` + 1) + (1 | Subject)", data).X.shape == (12, 2)


def test_duplicated_column_names(data):
    twice = pd.concat([data, data[["Days"]]], axis=1)
    refused(DataError, "more than one column 'Days'", FORMULA, twice)
    build_design("Reaction ~ k + (1 | Subject)", twice)  # a duplicate that is not used does no harm


@pytest.mark.parametrize(
    ("bad", "name"), [(None, "NoneType"), ("file.csv", "str"), ({"a": [1, 2], "b": [1]}, "dict")]
)
def test_data_that_are_no_table(bad, name):
    assert name in refused(DataError, "must be a pandas DataFrame or a dict of columns", FORMULA, bad)


def test_dates_as_covariate(data):
    data = data.assign(day=pd.date_range("2026-01-01", periods=12))
    refused(DataError, "'day' holds dates", "Reaction ~ day + (1 | Subject)", data)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["Reaction", "Days"])
def test_infinite_values(data, column):
    data.loc[[3, 5], column] = np.inf
    refused(DataError, f"column '{column}' of the data is infinite in 2 rows (first at row 3)", FORMULA, data)


def test_a_transformation_that_leaves_the_numbers(data):
    refused(
        DataError,
        "'log(Days)' is infinite in 3 rows (first at row 0)",
        "Reaction ~ log(Days) + (1 | Subject)",
        data,
    )
    refused(DataError, "is not finite in 12 rows", "log(-Reaction) ~ Days + (1 | Subject)", data)


def test_no_rows(data):
    refused(DataError, "the data have no rows", FORMULA, data.head(0))


def test_no_complete_row(data):
    data = data.assign(Days=[np.nan] * 6 + [1.0] * 6, Reaction=[1.0] * 6 + [np.nan] * 6)
    refused(DataError, "of 12 rows, values are missing in Reaction (6), Days (6)", FORMULA, data)


def test_missing_values_can_be_refused(data):
    data.loc[[2, 4], "Days"] = np.nan
    refused(DataError, "values are missing in Days (2)", FORMULA, data, na_action="raise")


def test_unknown_na_action(data):
    refused(DataError, "'drop' or 'raise', not 'omit'", FORMULA, data, na_action="omit")


def test_text_as_response(data):
    refused(
        DataError, "'sex' is not numeric (its type is categorical: f, m)", "sex ~ Days + (1 | Subject)", data
    )


def test_more_than_two_levels_as_binary_response(data):
    refused(
        DataError,
        "'Subject' has 3 levels (s1, s2, s3), but a binary response has two",
        "Subject ~ Days + (1 | k)",
        data,
        binary=True,
    )


def test_text_inside_a_computed_response(data):
    refused(DataError, "cannot be computed", "log(sex) ~ Days + (1 | Subject)", data)


def test_cbind_with_negative_counts(data):
    refused(DataError, "look at row 1 (", "cbind(k, 1 - k) ~ Days + (1 | Subject)", data)


# --- weights and offset ---------------------------------------------------------------------------


def test_negative_weights(data):
    refused(
        DataError,
        "weights must be positive, but -1 stands at row 4",
        FORMULA,
        data,
        weights=np.where(np.arange(12) == 4, -1, 1),
    )


def test_zero_weights(data):
    refused(DataError, "drop rows of weight zero", FORMULA, data, weights=np.arange(12))


def test_missing_weights(data):
    refused(DataError, "weights is not finite in 1 row", FORMULA, data, weights=[1.0] * 11 + [np.nan])


def test_weights_of_the_wrong_length(data):
    refused(DataError, "weights has 3 values, but the data have 12 rows", FORMULA, data, weights=[1, 2, 3])


def test_weights_of_the_wrong_shape(data):
    refused(DataError, "weights has the shape (12, 1)", FORMULA, data, weights=np.ones((12, 1)))


def test_text_as_weights(data):
    refused(DataError, "weights must be numbers", FORMULA, data, weights="sex")


def test_weights_with_another_index(data):
    refused(
        DataError,
        "the index of weights is not that of the data",
        FORMULA,
        data.iloc[::-1],
        weights=pd.Series(np.ones(12)),
    )


def test_offset_of_the_wrong_length(data):
    refused(DataError, "offset has 2 values", FORMULA, data, offset=[1, 2])


# --- groups ---------------------------------------------------------------------------------------


def test_grouping_factor_with_one_level(data):
    refused(DataError, "'Subject' has one level only (s1)", FORMULA, data[data["Subject"] == "s1"])


def test_the_same_random_effect_twice(data):
    refused(
        ModelError,
        "'Intercept' of Subject stands in both (1 | Subject) and (Days | Subject)",
        "Reaction ~ Days + (1 | Subject) + (Days | Subject)",
        data,
    )


def test_constant_column(data):
    refused(
        DataError,
        "column 'c' is constant (3.7), which the intercept covers already",
        "Reaction ~ Days + c + (1 | Subject)",
        data.assign(c=3.7),
    )


@pytest.mark.parametrize("formula", ["Reaction ~ c + (1 | Subject)", "Reaction ~ 1 + (c | Subject)"])
def test_factor_with_one_level(data, formula):
    refused(DataError, "the factor 'c' has one level only", formula, data.assign(c="same"))


def test_random_slope_of_a_constant(data):
    refused(ModelError, "the effect of c is constant", "Reaction ~ Days + (c | Subject)", data.assign(c=2.0))


def test_random_slope_of_a_repeated_column(data):
    refused(
        ModelError,
        "the effect of I(2 * Days) is constant or a linear combination",
        "Reaction ~ Days + (Days + I(2*Days) | Subject)",
        data,
    )


def sizes_refused(words, formula, data, **kwargs):
    with pytest.raises(ModelError) as caught:
        check_lmm_sizes(build_design(formula, data, **kwargs))
    assert words in str(caught.value)


def fit_refused(words, formula, data, **kwargs):
    with pytest.raises(ModelError) as caught:
        gl.lmer(formula, data, **kwargs)
    assert words in str(caught.value)


def test_one_observation_per_level(data):
    fit_refused(
        "'id' has one observation per level (12 levels, 12 observations)", "Reaction ~ Days + (1 | id)", data
    )


def test_one_observation_per_level_with_equal_weights(data):
    fit_refused("one observation per level", "Reaction ~ Days + (1 | id)", data, weights=np.full(12, 2.0))


def test_known_weights_allow_one_observation_per_level(data):
    """As in a meta-analysis. Where levels differ by more than the weights allow, no residual is left."""
    w = 1.0 + np.arange(12)
    precise = data.assign(Reaction=300 + (data["Reaction"] - 300) / np.sqrt(w))
    assert gl.lmer("Reaction ~ Days + (1 | id)", precise, weights=w).nobs == 12
    with pytest.raises(ModelError, match="reproduce the response"):
        gl.lmer("Reaction ~ Days + (1 | id)", data, weights=w)


def test_as_many_random_effects_as_observations(data):
    data = data.assign(pair=np.repeat(np.arange(6), 2), when=np.tile([0.0, 1.0], 6))
    fit_refused(
        "the random effects of pair are 12 (2 for each of 6 levels) for 12 observations, with the same",
        "Reaction ~ when + (when | pair)",
        data,
    )


def test_as_many_fixed_effects_as_observations(data):
    sizes_refused(
        "12 fixed effects cannot be estimated from 12 observations", "Reaction ~ C(id) + (1 | Subject)", data
    )


def test_constant_response(data):
    sizes_refused("'Reaction' is constant (5)", FORMULA, data.assign(Reaction=5.0))


# --- new data -------------------------------------------------------------------------------------


def new_data_refused(words, formula, data, new, **kwargs):
    design = build_design(formula, data)
    with pytest.raises(DataError) as caught:
        new_design(design, new, **kwargs)
    assert words in str(caught.value)


def test_unseen_group(data):
    new_data_refused(
        "'Subject' has levels in the new data that the fit has not seen (s9): pass allow_new_levels=True",
        FORMULA,
        data,
        {"Days": [1, 1], "Subject": ["s1", "s9"]},
    )


@pytest.mark.parametrize("new", [{"sex": ["x"]}, {"sex": pd.Categorical(["x"], ["f", "m", "x"])}])
def test_unseen_level_of_a_fixed_factor(data, new):
    new_data_refused(
        "column 'sex' of the new data has levels that the fit has not seen (x); the fit knows f, m",
        "Reaction ~ sex + (1 | Subject)",
        data,
        new,
        random=(),
        allow_new_levels=True,
    )


def test_unseen_level_of_numbers_taken_as_factor(data):
    new_data_refused(
        "'C(k)' of the new data has levels that the fit has not seen (7); the fit knows 1, 2, 3",
        "Reaction ~ C(k) + (1 | Subject)",
        data,
        {"k": [1, 7]},
        random=(),
    )


def test_a_level_left_out_of_the_levels_of_a_factor(data):
    refused(DataError, "name all of them in levels=", "Reaction ~ C(k, levels=[1, 2]) + (1 | Subject)", data)


def test_text_where_the_fit_had_numbers(data):
    new_data_refused(
        "'Days' of the new data is categorical (two)", FORMULA, data, {"Days": ["two"]}, random=()
    )


def test_misspelt_column_of_new_data(data):
    new_data_refused(
        "'Days' is not a column of the new data; did you mean 'days'?",
        FORMULA,
        data,
        {"days": [1]},
        random=(),
    )


def test_infinite_new_data(data):
    new_data_refused(
        "column 'Days' of the new data is infinite", FORMULA, data, {"Days": [np.inf]}, random=()
    )


def test_every_error_is_a_value_error(data):
    assert issubclass(GlmmlibError, ValueError)
    with pytest.raises(ValueError, match="Dayz"):
        build_design("Reaction ~ Dayz + (1 | Subject)", data)


def rows_of_their_own(n, levels):
    rng = np.random.default_rng(1)
    return pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "g": np.arange(n) % levels})


@pytest.mark.parametrize(
    "term", ["(C(x) | g)", "(0 + C(x) | g)", "us(0 + C(x) | g)", "(0 + C(x) || g)", "diag(C(x) | g)"]
)
@pytest.mark.parametrize("n", [40, 400])
def test_more_covariances_than_rows_are_refused_at_once(term, n):
    data = rows_of_their_own(n, 8).assign(k=lambda d: np.arange(n) % 3)
    begin = time.process_time()
    with pytest.raises(ModelError, match=f"{n} rows cannot tell them"):
        gl.lmer(f"y ~ 1 + {term}", data)
    with pytest.raises(ModelError, match=f"{n} rows cannot tell them"):
        gl.glmer(f"k ~ 1 + {term}", data, "poisson")
    assert time.process_time() - begin < 4
