"""Bad input to glmer gets one clear sentence: what was found, where, what to try.  One test a message."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, FormulaError, ModelError


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    n = 60
    table = pd.DataFrame(
        {"g": np.repeat(np.arange(12), 5), "h": np.resize(np.arange(4), n), "x": rng.normal(size=n)}
    )
    table["y"] = rng.integers(0, 2, n)
    table["count"] = rng.poisson(3.0, n)
    table["size"] = table["count"] + rng.integers(1, 4, n)
    table["share"] = table["count"] / table["size"]
    table["positive"] = rng.gamma(2.0, 1.0, n)
    table["three"] = np.resize(["a", "b", "c"], n)
    table["first"] = np.where(np.arange(n) == 7, 2.0, table["y"])
    table.index = np.arange(100, 100 + n)
    return table


def refused(error, words, formula, data, family="binomial", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error) as caught:
            gl.glmer(formula, data, family=family, **options)
    message = str(caught.value)
    for part in [words] if isinstance(words, str) else words:
        assert part in message, message
    assert "\n" not in message
    assert len(message) < 320


RIGHT = " ~ x + (1 | g)"

# ---------------------------------------- responses


def test_a_bernoulli_response_says_which_values_are_neither_0_nor_1(data):
    refused(
        DataError, ["is 0 or 1", "'first' holds 2 in 1 row (the first is row 107)"], "first" + RIGHT, data
    )


def test_counts_are_no_bernoulli_response(data):
    refused(DataError, ["'count' holds", "cbind(successes, failures)"], "count" + RIGHT, data)


def test_proportions_need_their_trials(data):
    refused(DataError, "give proportions with weights = the trials", "share" + RIGHT, data)


def test_three_levels_are_not_binary(data):
    refused(DataError, "'three' has 3 levels (a, b, c)", "three" + RIGHT, data)


def test_two_levels_are_binary_and_the_second_is_the_success(data):
    words = data.assign(word=np.where(data["y"] == 1, "yes", "no"))
    fits = [gl.glmer(y + " ~ x + (1 | h)", words, family="binomial") for y in ("word", "y")]
    assert fits[0].llf == fits[1].llf


@pytest.mark.parametrize("family", ["poisson", "negbinomial"])
def test_negative_counts(data, family):
    refused(DataError, ["Counts are never negative", "holds -"], "I(count - 3)" + RIGHT, data, family)


@pytest.mark.parametrize("family", ["poisson", "negbinomial"])
def test_fractional_counts(data, family):
    refused(
        DataError, ["Counts are whole numbers", "offset = log(exposure)"], "positive" + RIGHT, data, family
    )


def test_failures_below_zero(data):
    refused(
        DataError,
        "needs counts of successes and failures, neither negative",
        "cbind(size, count - size)" + RIGHT,
        data,
    )


def test_more_successes_than_trials(data):
    refused(DataError, "a proportion between 0 and 1", "count" + RIGHT, data, weights="size")


def test_fractional_successes(data):
    refused(DataError, "whole numbers", "cbind(count + 0.5, size)" + RIGHT, data)


@pytest.mark.parametrize("family", ["poisson", "negbinomial", "gamma"])
def test_two_columns_are_binomial(data, family):
    refused(DataError, "needs family='binomial'", "cbind(count, size)" + RIGHT, data, family)


@pytest.mark.parametrize(("response", "value"), [("I(0 * positive)", "0"), ("I(positive - 1)", "-")])
def test_gamma_responses_are_positive(data, response, value):
    refused(DataError, ["A gamma response is above 0", f"holds {value}"], response + RIGHT, data, "gamma")


def test_a_text_response_is_no_count(data):
    refused(DataError, "'three' is not numeric", "three" + RIGHT, data, "poisson")


def test_an_infinite_response(data):
    refused(
        DataError,
        ["infinite", "row 107"],
        "positive" + RIGHT,
        data.assign(positive=data["positive"].where(data.index != 107, np.inf)),
        "gamma",
    )


def test_a_gamma_response_without_variation(data):
    refused(
        ModelError,
        "without residual variation the likelihood has no maximum",
        "one" + RIGHT,
        data.assign(one=1.0),
        "gamma",
    )


def test_a_gamma_response_that_is_constant_within_groups(data):
    constant = data.assign(c=1.0 + data["g"])
    refused(ModelError, "constant within groups?", "c" + RIGHT, constant, "gamma")


# ---------------------------------------- weights and offsets


def test_weights_that_are_no_whole_numbers_of_trials(data):
    refused(DataError, "whole numbers from 1 up", "share" + RIGHT, data, weights=data["size"] + 0.5)


def test_weights_that_are_not_the_trials_of_the_proportions(data):
    refused(
        DataError,
        ["'share' times weights must be whole numbers of successes"],
        "share" + RIGHT,
        data,
        weights=data["size"] + 1,
    )


def test_trials_twice(data):
    refused(DataError, "not from both", "cbind(count, size)" + RIGHT, data, weights="size")


def test_negative_weights(data):
    refused(DataError, "weights must be positive", "count" + RIGHT, data, "poisson", weights="x")


@pytest.mark.parametrize("name", ["offset", "weights"])
def test_a_wrong_length(data, name):
    refused(
        DataError,
        f"{name} has 2 values, but the data have 60 rows",
        "count" + RIGHT,
        data,
        "poisson",
        **{name: [1.0, 2.0]},
    )


def test_a_missing_offset_column(data):
    refused(DataError, "'exposure' is not a column", "count" + RIGHT, data, "poisson", offset="exposure")


def test_the_log_of_no_exposure(data):
    refused(
        DataError, "infinite in 60 rows", "count ~ x + offset(np.log(0 * size)) + (1 | g)", data, "poisson"
    )


# ---------------------------------------- families, links, models


@pytest.mark.parametrize(
    ("family", "link", "has"),
    [
        ("binomial", "log", "'logit', 'probit' and 'cloglog'"),
        ("binomial", "Logit", "did you mean 'logit'?"),
        ("poisson", "logit", "'log', 'sqrt' and 'identity'"),
        ("negbinomial", "sqrt", "it has 'log'"),
        ("gamma", "identity", "'log' and 'inverse'"),
    ],
)
def test_links_that_a_family_does_not_have(data, family, link, has):
    refused(
        ModelError, [f"The {family} family has no link '{link}'", has], "y" + RIGHT, data, family, link=link
    )


@pytest.mark.parametrize(
    ("family", "hint"),
    [
        ("bernoulli", "did you mean 'binomial'?"),
        ("Gamma", "did you mean 'gamma'?"),
        ("gaussian", "fit it with lmer"),
        (None, "There is no family None"),
    ],
)
def test_families_that_do_not_exist(data, family, hint):
    refused(ModelError, hint, "y" + RIGHT, data, family)


def test_no_random_effects(data):
    refused(ModelError, ["has no random-effects term", "statsmodels"], "y ~ x", data)


def test_a_formula_without_a_response(data):
    with pytest.raises(FormulaError):
        gl.glmer("~ x + (1 | g)", data, family="binomial")


def test_one_group(data):
    refused(DataError, "has one level only", "y" + RIGHT, data.head(4))


def test_no_rows(data):
    refused(DataError, "the data have no rows", "y" + RIGHT, data.head(0))


@pytest.mark.parametrize("points", [0, -1, 2.5, "9"])
def test_numbers_of_points(data, points):
    refused(
        ModelError,
        "n_agq is the number of quadrature points, a whole number",
        "y" + RIGHT,
        data,
        n_agq=points,
    )


def test_quadrature_with_crossed_factors(data):
    refused(
        ModelError,
        ["needs one grouping factor, or several", "(g, h) cross each other", "n_agq=1"],
        "y ~ x + (1 | g) + (1 | h)",
        data,
        n_agq=9,
    )


def test_quadrature_over_three_random_effects(data):
    refused(ModelError, ["9^3 points", "n_agq=1"], "y ~ x + (x + count | g)", data, n_agq=9)


@pytest.mark.parametrize("link", ["sqrt", "identity"])
def test_a_link_of_limited_range_says_when_the_fit_leaves_it(data, link):
    rng = np.random.default_rng(1)
    counts = data.assign(count=np.where(data["g"] < 5, 0, rng.poisson(np.exp(1.0 + data["x"]))))
    refused(
        ModelError,
        [f"The {link} link of the poisson family needs a positive linear predictor", "use the log link"],
        "count" + RIGHT,
        counts,
        "poisson",
        link=link,
    )


# ---------------------------------------- after the fit


@pytest.fixture(scope="module")
def cbpp():
    return gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )


def test_refit_checks_its_response(cbpp):
    with pytest.raises(DataError, match="more successes than trials"):
        cbpp.refit(np.full(cbpp.nobs, 1000.0))
    with pytest.raises(DataError, match="3 values, but"):
        cbpp.refit([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="1 missing or infinite values"):
        cbpp.refit(gl.load("cbpp")["incidence"].astype(float).where(lambda v: v.index != 3))


def test_the_median_odds_ratio_needs_odds(data):
    with pytest.raises(ModelError, match="logit link"):
        gl.median_odds_ratio(gl.glmer("count ~ x + (1 | h)", data, family="poisson"))
    with pytest.raises(ModelError, match="no random intercept"):
        gl.median_odds_ratio(gl.glmer("y ~ x + (0 + x | h)", data, family="binomial"))


def test_ratios_need_a_logarithm():
    fit = gl.glmer("y ~ lbase + (1 | subject)", gl.load("epil"), family="poisson", link="sqrt")
    with pytest.raises(ModelError, match="no ratio of anything"):
        fit.exp_table()
