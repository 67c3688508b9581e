"""Average changes and slopes: frozen values of R, closed forms of linear models, differences of predictions,
statements, refusals.
"""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, GlmmlibWarning, ModelError
from support import reference_values as reference

REFERENCE = reference.extra("margins")


@pytest.fixture(scope="module")
def cbpp():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return gl.glmer(formula, reference.data("cbpp"), family="binomial")


@pytest.fixture(scope="module")
def counts():
    data = reference.data("sim_counts")
    return gl.glmer("y_olre ~ x + offset(log(e)) + (x | a)", data, family="poisson")


@pytest.fixture(scope="module")
def traps():
    return gl.glmer("beetles ~ shade + (1 | site)", reference.data("traps"), family="poisson", zi="~ shade")


@pytest.fixture(scope="module")
def motor():
    return gl.lmer("accel ~ s(times, k=20)", reference.data("mcycle"))


@pytest.fixture(scope="module")
def orthodont():
    return gl.lmer("distance ~ age * Sex + (age | Subject)", reference.data("Orthodont"))


# --- frozen values ------------------------------------------------------------------------------

PERIODS = {"period": ("1", "4")}
CASES = {
    ("cbpp", "typical"): lambda fit: gl.comparisons(fit, PERIODS, re_form="~0"),
    ("cbpp", "average"): lambda fit: gl.comparisons(fit, PERIODS),
    ("cbpp", "log_ratio"): lambda fit: gl.comparisons(fit, PERIODS, change="ratio"),
    ("cbpp", "log_odds_ratio"): lambda fit: gl.comparisons(fit, PERIODS, change="odds ratio"),
    ("counts", "step_typical"): lambda fit: gl.comparisons(fit, "x", re_form="~0"),
    ("counts", "step_average"): lambda fit: gl.comparisons(fit, ["x"]),
    ("counts", "slope_typical"): lambda fit: gl.slopes(fit, "x", re_form="~0"),
    ("counts", "slope_average"): lambda fit: gl.slopes(fit),
    ("counts", "slope_weighted"): lambda fit: gl.slopes(fit, weights="e"),
    ("zi", "response"): lambda fit: gl.comparisons(fit, {"shade": 0.1}),
    ("zi", "conditional"): lambda fit: gl.comparisons(fit, {"shade": 0.1}, kind="conditional"),
    ("curve", "change"): lambda fit: gl.comparisons(fit, {"times": (10, 25)}),
    ("curve", "slope"): gl.slopes,
}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_estimates_and_errors_are_those_of_r(case, cbpp, counts, traps, motor):
    model, name = case
    fits = {"cbpp": cbpp, "counts": counts, "zi": traps, "curve": motor}
    found, wanted = CASES[case](fits[model]), REFERENCE[model][name]
    row = found.table.iloc[0]
    estimate = np.log(row["estimate"]) if name.startswith("log") else row["estimate"]
    assert estimate == pytest.approx(wanted["estimate"], rel=3e-6)
    assert np.sqrt(found.cov.iloc[0, 0]) == pytest.approx(wanted["se"], rel=1e-5)


# --- curves -------------------------------------------------------------------------------------


def test_changes_along_curves_are_differences_of_predictions_with_errors_of_the_curve():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 15), "f": np.tile(list("ab"), 60)})
    data["x"], data["m"] = rng.uniform(-2, 2, 120), rng.uniform(0, 12, 120)
    mean = 1 + np.sin(2 * data["x"]) * 0.5 + np.cos(data["m"] * np.pi / 6) * 0.3 + 0.1 * data["g"]
    data["y"] = rng.poisson(np.exp(mean))
    formula = "y ~ f + s(x, by=f, k=6) + s(m, bs='cc', k=6, knots=(0, 12)) + (1 | g)"
    fit = gl.glmer(formula, data, family="poisson")
    found = gl.comparisons(fit, {"m": (0, 6), "x": (-1, 1), "f": None}, re_form="~0", by="f", newdata=data)
    for name, values in {"m": (0, 6), "x": (-1, 1), "f": ("a", "b")}.items():
        start, end = (fit.predict(data.assign(**{name: v}), re_form="~0") for v in values)
        wanted = (end - start).groupby(data["f"]).mean()
        np.testing.assert_allclose(found.table.xs(name)["estimate"], wanted, rtol=1e-9)
    link = gl.comparisons(fit, {"m": (0, 6)}, kind="link").table.iloc[0]
    at = gl.smooth_curve(fit, "s(m)", at=[0, 6])
    assert link["estimate"] == pytest.approx(at["estimate"].diff().iloc[1], rel=1e-9)
    mean = fit.predict(data.iloc[:1].assign(m=6), re_form="~0", kind="link", interval="confidence").iloc[0]
    one = gl.means(
        fit, ["x", "m", "f"], {"x": data["x"].iloc[0], "m": 6, "f": data["f"].iloc[0]}, kind="link"
    )
    np.testing.assert_allclose(one.table.iloc[0][["mean", "lower", "upper"]], mean, rtol=1e-9)


def test_a_curve_that_takes_no_part_leaves_degrees_of_freedom():
    data = gl.load("sleepstudy").assign(z=lambda d: np.sin(np.arange(len(d))))
    fit = gl.lmer("Reaction ~ z + s(Days, k=8) + (Days | Subject)", data)
    table, plain = gl.slopes(fit).table, gl.coef_tests(fit).loc["z"]
    np.testing.assert_allclose(table.loc["z", ["se", "df", "p"]], plain[["se", "df", "p"]], rtol=1e-6)
    assert table.loc["Days", "df"] == np.inf


# --- linear models ------------------------------------------------------------------------------


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "z"])
def test_in_a_linear_model_a_slope_is_a_combination_of_coefficients(orthodont, ddf):
    share = (reference.data("Orthodont")["Sex"] == "Female").mean()
    names = list(orthodont.params.index)
    table, (line,) = gl.slopes(orthodont, ddf=ddf).table, [n for n in names if n.startswith("age:")]
    test = gl.wald_test(orthodont, {"age": 1.0, line: share}, ddf=ddf).rows.iloc[0]
    one = table.loc["age"]
    np.testing.assert_allclose(one[["estimate", "se", "df"]], test[["estimate", "se", "df"]], rtol=1e-6)
    assert one["p"] == pytest.approx(test["p"], rel=1e-5)
    half = gl.slopes(orthodont, ddf=ddf, level=0.5).table.loc["age"]
    assert half["lower"] > one["lower"]


def test_by_gives_the_slope_of_each_level_and_their_covariance(orthodont):
    found = gl.slopes(orthodont, by="Sex")
    names = list(orthodont.params.index)
    base, extra = orthodont.params["age"], orthodont.params[names[3]]
    np.testing.assert_allclose(found.table["estimate"], [base, base + extra], rtol=1e-7)
    C = orthodont.cov_params().to_numpy()
    assert found.cov.iloc[0, 1] == pytest.approx(C[1, 1] + C[1, 3], abs=1e-7)
    difference = np.sqrt(np.array([-1, 1]) @ found.cov @ np.array([-1, 1]))
    assert difference == pytest.approx(orthodont.bse.iloc[3], rel=1e-6)


def test_without_interactions_changes_are_differences_of_marginal_means():
    fit = gl.lmer("effort ~ Type + (1 | Subject)", reference.data("ergoStool"))
    pairs = gl.comparisons(fit, {"Type": "pairwise"}).table
    means = gl.means(fit, "Type").differences().table
    np.testing.assert_allclose(pairs["estimate"], -means["estimate"], rtol=1e-7)
    np.testing.assert_allclose(pairs[["se", "df"]], means[["se", "df"]], rtol=1e-6)
    assert pairs.loc[("Type", "T3 - T2"), "estimate"] == pytest.approx(
        gl.comparisons(fit, {"Type": "sequential"}).table.loc[("Type", "T3 - T2"), "estimate"]
    )


def test_steps_pairs_zeros_and_ones_flags_and_numbers_inside_C():
    sleep = gl.load("sleepstudy").assign(
        late=lambda d: d["Days"] > 4, arm=lambda d: d["Days"] % 2, week=lambda d: d["Days"] // 4
    )
    fit = gl.lmer("Reaction ~ Days + late + arm + C(week) + (1 | Subject)", sleep)
    table = gl.comparisons(fit).table["estimate"]
    assert set(table.index.get_level_values("change")) == {"+1", "True - False", "1 - 0", "2 - 0"}
    b = fit.params
    assert table["Days", "+1"] == pytest.approx(b["Days"])
    assert table["late", "True - False"] == pytest.approx(b["late[T.True]"])
    assert table["arm", "1 - 0"] == pytest.approx(b["arm"])
    assert table["week", "2 - 0"] == pytest.approx(b["C(week)[T.2]"])
    moved = gl.comparisons(fit, {"Days": -3}).table["estimate"]
    assert moved["Days", "-3"] == pytest.approx(-3 * b["Days"])
    assert gl.comparisons(fit, {"Days": [0, 9]}).table["estimate"]["Days", "9 - 0"] == pytest.approx(
        9 * b["Days"]
    )


def test_correlated_residuals_have_their_own_degrees_of_freedom():
    fit = gl.lmer("Reaction ~ Days", gl.load("sleepstudy"), residual="ar1(Days | Subject)")
    slope = gl.slopes(fit).table.loc["Days"]
    assert slope["se"] == pytest.approx(fit.bse["Days"], rel=1e-6)
    assert slope["df"] == pytest.approx(fit.df["Days"], rel=1e-5)


# --- generalised models -------------------------------------------------------------------------


FAMILIES = {
    "gamma": ("y_log ~ x + (1 | g)", "sim_positive", {"family": "gamma", "link": "log"}),
    "beta": ("y ~ x + (1 | g)", "sim_shares", {"family": "beta"}),
    "zero-inflated": ("zip ~ x + (1 | g)", "sim_zeros", {"family": "poisson", "zi": "~ x"}),
    "two factors": ("y ~ x + (1 | a) + (1 | b)", "sim_binary", {"family": "binomial", "link": "probit"}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_change_is_an_average_difference_of_predictions(family):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        formula, name, options = FAMILIES[family]
        data = reference.data(name).head(200)
        fit = gl.glmer(formula, data, **options)
    for re_form in ("marginal", "~0"):
        ends = [fit.predict(data.assign(x=data["x"] + d), re_form=re_form) for d in (0.0, 0.5)]
        found = gl.comparisons(fit, {"x": 0.5}, re_form=re_form).table.iloc[0]
        assert found["estimate"] == pytest.approx((ends[1] - ends[0]).mean(), rel=1e-10)
        ratio = gl.comparisons(fit, {"x": 0.5}, re_form=re_form, change="ratio").table.iloc[0]
        assert ratio["estimate"] == pytest.approx(ends[1].mean() / ends[0].mean(), rel=1e-10)
        assert ratio["lower"] < ratio["estimate"] < ratio["upper"]
        h = 1e-4
        ends = [fit.predict(data.assign(x=data["x"] + d), re_form=re_form) for d in (-h, h)]
        slope = gl.slopes(fit, "x", re_form=re_form).table.iloc[0]
        assert slope["estimate"] == pytest.approx((ends[1] - ends[0]).mean() / (2 * h), rel=1e-5)


def test_on_the_scale_of_the_link_it_is_the_coefficient(cbpp):
    for re_form in ("marginal", "~0"):
        table = gl.comparisons(cbpp, kind="link", re_form=re_form).table
        np.testing.assert_allclose(table["estimate"], cbpp.params.iloc[1:], rtol=1e-8)
        np.testing.assert_allclose(table["se"], cbpp.bse.iloc[1:], rtol=1e-6)


def test_where_groups_do_not_differ_the_average_is_the_typical_group():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": rng.normal(size=96)})
    data["y"] = (np.tile(np.arange(8), 12) + (data["x"] > 0) > 4).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.glmer("y ~ x + (1 | g)", data, family="binomial")
    assert fit.is_singular
    one, other = (gl.slopes(fit, "x", re_form=re_form).table.iloc[0] for re_form in ("marginal", "~0"))
    np.testing.assert_allclose(one[["estimate", "se"]], other[["estimate", "se"]], rtol=1e-5)


def test_an_offset_goes_along_with_its_rows(counts):
    data = counts.design.data
    given = gl.glmer("y_olre ~ x + (x | a)", data, family="poisson", offset=np.log(data["e"].to_numpy()))
    both = gl.glmer(
        "y_olre ~ x + offset(0.5 * log(e)) + (x | a)",
        data,
        family="poisson",
        offset=0.5 * np.log(data["e"].to_numpy()),
    )
    wanted = gl.slopes(counts).table
    for fit in (given, both):
        np.testing.assert_allclose(gl.slopes(fit).table.iloc[:, :2], wanted.iloc[:, :2], rtol=1e-4)
    unit = gl.comparisons(given, newdata=data, offset=np.zeros(len(data))).table
    assert unit.iloc[0]["estimate"] == pytest.approx(
        gl.comparisons(counts, newdata=data.assign(e=1.0)).table.iloc[0]["estimate"], rel=1e-4
    )


def test_by_splits_the_average(counts):
    data = counts.design.data
    found = gl.slopes(counts, by="b").table["estimate"]
    some = data["b"] == data["b"].iloc[0]
    alone = gl.slopes(counts, newdata=data[some]).table["estimate"].iloc[0]
    assert found["x", data["b"].iloc[0]] == pytest.approx(alone)
    share = data["b"].value_counts(normalize=True).loc[[b for _, b in found.index]]
    assert (found.to_numpy() * share.to_numpy()).sum() == pytest.approx(
        gl.slopes(counts).table["estimate"].iloc[0]
    )


# --- statements and refusals ----------------------------------------------------------------------


def test_they_say_what_was_averaged(cbpp, orthodont):
    text = re.sub(r"\s+", " ", str(gl.comparisons(cbpp)))
    assert text.startswith(
        "Average changes of the expected response Variable Change Difference SE p 95% from to"
    )
    assert (
        "averaged over the 56 rows of the fit, and over the distribution of the random effects (herd)" in text
    )
    typical = gl.comparisons(cbpp, newdata=cbpp.design.data.iloc[:4], re_form="~0")
    assert typical.notes[0].endswith("the 4 rows of newdata; random effects are zero (a typical group)")
    assert "random effects" not in str(gl.slopes(orthodont))
    assert "<table" in gl.slopes(orthodont)._repr_html_()


REFUSED = [
    (lambda f: gl.comparisons(f, "perio"), ModelError, "did you mean 'period'"),
    (lambda f: gl.comparisons(f, "herd"), ModelError, "it is a grouping factor"),
    (lambda f: gl.comparisons(f, 3), ModelError, "variables is a name"),
    (lambda f: gl.comparisons(f, []), ModelError, "no variable"),
    (lambda f: gl.comparisons(f, {"period": ("1", "9")}), ModelError, "'9' is no level of 'period'"),
    (lambda f: gl.comparisons(f, {"period": "all"}), ModelError, "'pairwise'"),
    (lambda f: gl.comparisons(f, change="log"), ModelError, "change is 'difference'"),
    (lambda f: gl.comparisons(f, kind="mean"), ModelError, "kind is 'response'"),
    (lambda f: gl.comparisons(f, kind="link", change="ratio"), ModelError, "ask for a difference"),
    (lambda f: gl.comparisons(f, re_form=None), ModelError, "re_form is 'marginal'"),
    (lambda f: gl.comparisons(f, by="nobody"), DataError, "'nobody' is not a column"),
    (lambda f: gl.comparisons(f, by=["herd", "herd"]), ModelError, "each of them once"),
    (lambda f: gl.comparisons(f, weights=-np.ones(56)), DataError, "weights are numbers from 0 on"),
    (lambda f: gl.comparisons(f, ddf="satterthwaite"), ModelError, "belong to linear mixed models"),
    (lambda f: gl.comparisons(f, newdata=f.design.data.iloc[:0]), DataError, "no rows"),
    (lambda f: gl.slopes(f), ModelError, "no covariate"),
    (lambda f: gl.slopes(f, "period"), ModelError, "is a factor and has no slope"),
    (lambda f: gl.comparisons(f, offset=np.zeros(56)), ModelError, "offset= is for new data"),
]


@pytest.mark.parametrize("ask, error, words", REFUSED, ids=[words for *_, words in REFUSED])
def test_refusals(cbpp, ask, error, words):
    with pytest.raises(error, match=re.escape(words)):
        ask(cbpp)


def test_what_a_covariate_cannot_do(counts, orthodont):
    for what in ("pairwise", (0, np.inf), 0, True, (1, 2, 3)):
        with pytest.raises(ModelError):
            gl.comparisons(counts, {"x": what})
    with pytest.raises(ModelError, match="compares probabilities"):
        gl.comparisons(counts, change="odds ratio")
    with pytest.raises(ModelError, match="is not positive"):
        gl.comparisons(orthodont, {"age": (-500, 0)}, change="ratio")
    with pytest.raises(DataError, match="1 row of newdata lack"):
        gl.slopes(counts, newdata=counts.design.data.assign(x=lambda d: d["x"].where(d.index > d.index[0])))


def test_separation_and_columns_left_out_are_told():
    rng = np.random.default_rng(5)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(10), 9), "f": np.tile(list("abc"), 30), "x": rng.normal(size=90)}
    )
    data["y"] = np.where(data["f"] == "c", 1, rng.integers(0, 2, 90))
    data["w"] = rng.normal(size=90)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.glmer("y ~ f + x + (1 | g)", data, family="binomial")
        with pytest.raises(ModelError, match="separation"):
            gl.slopes(fit, "x")
        found = gl.slopes(fit, "x", newdata=data[data["f"] != "c"]).table
        other = gl.slopes(gl.glmer("y ~ f + x + (1 | g)", data[data["f"] != "c"], "binomial"), "x").table
        np.testing.assert_allclose(found[["estimate", "se"]], other[["estimate", "se"]], rtol=2e-3)
        aliased = gl.lmer("w ~ x + I(2 * x) + (1 | g)", data)
        assert gl.slopes(aliased, "x").table["estimate"].iloc[0] == pytest.approx(aliased.params["x"])


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (lambda x: x.map("{:.2f}".format).str.replace(".", ","), "is categorical"),
        (lambda x: pd.to_timedelta(x.abs(), unit="D"), "is a time"),
        (lambda x: pd.cut(x, 3), "is categorical"),
        (lambda x: x.map(lambda v: [v]), "a list in a cell"),
        (lambda x: pd.Series([10**400] * len(x), x.index, dtype=object), "beyond 1.8e308"),
        (lambda x: x.astype(object).where(x.index != 3, pd.NaT), "lack a value"),
    ],
)
def test_a_column_that_moves_is_read_as_the_fit_read_it(orthodont, odd, words):
    data = orthodont.design.data.reset_index(drop=True)
    for ask in (gl.slopes, gl.comparisons):
        with pytest.raises(DataError, match=words):
            ask(orthodont, "age", newdata=data.assign(age=odd(data["age"])))
    kept = gl.slopes(orthodont, "age", newdata=data.assign(age=data["age"].astype("Float64"))).table
    assert kept["estimate"].iloc[0] == gl.slopes(orthodont, "age", newdata=data).table["estimate"].iloc[0]


@pytest.mark.parametrize("ask", [gl.slopes, gl.comparisons])
def test_a_column_that_moves_must_be_there_once(orthodont, ask):
    data = orthodont.design.data
    with pytest.raises(DataError, match="'age' is not a column"):
        ask(orthodont, "age", newdata=data[[c for c in data if c != "age"]])
    with pytest.raises(DataError, match="more than one column 'age'"):
        ask(orthodont, "age", newdata=pd.concat([data, data[["age"]]], axis=1))
