"""Marginal means and their differences: closed forms in balanced designs, definitions in others, statements,
refusals.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.errors import ModelError
from support import reference_values as reference


@pytest.fixture(scope="module")
def stool():
    return gl.lmer("effort ~ Type + (1 | Subject)", reference.data("ergoStool"))


@pytest.fixture(scope="module")
def oats():
    data = reference.data("Oats").assign(nitrof=lambda d: pd.Categorical(d["nitro"]))
    return gl.lmer("yield ~ nitrof * Variety + (1 | Block/Variety)", data)


@pytest.fixture(scope="module")
def unbalanced():
    """Two factors and a covariate in unequal cells, a positive count beside them."""
    rng = np.random.default_rng(8)
    n = 240
    data = pd.DataFrame(
        {
            "a": rng.choice(["low", "mid", "high"], n, p=[0.6, 0.3, 0.1]),
            "b": rng.choice(["x", "y"], n, p=[0.8, 0.2]),
            "t": rng.normal(3, 1, n),
            "g": rng.integers(0, 12, n),
        }
    )
    data["y"] = (
        (data["a"] == "mid")
        + 2.0 * (data["b"] == "y")
        + 0.5 * data["t"]
        + rng.normal(size=12)[data["g"]]
        + rng.normal(size=n)
    )
    data["k"] = rng.poisson(
        np.exp(0.3 * (data["a"] == "mid") + 0.2 * data["t"] - 0.5 + 0.3 * rng.normal(size=12)[data["g"]])
    )
    return data


# --- frozen values of R -------------------------------------------------------------------------


def test_means_with_structural_zeros_and_along_curves_are_those_of_r():
    wanted = reference.extra("margins")
    fit = gl.glmer("beetles ~ shade + (1 | site)", reference.data("traps"), family="poisson", zi="~ shade")
    table = gl.means(fit, "shade", at={"shade": [0, 1]}).table
    for k, row in enumerate(table.itertuples()):
        of_r = wanted["zi"][f"mean_{k}"]
        assert np.log(row.mean) == pytest.approx(of_r["estimate"], rel=3e-6)
        assert row.se / row.mean == pytest.approx(of_r["se"], rel=1e-5)
        assert np.log(row.upper / row.mean) == pytest.approx(stats.norm.ppf(0.975) * of_r["se"], rel=1e-5)
    curve = gl.lmer("accel ~ s(times, k=20)", reference.data("mcycle"))
    at = gl.means(curve, "times", at={"times": [10, 25]})
    found, of_r = at.differences().table.iloc[0], wanted["curve"]["change"]
    np.testing.assert_allclose([-found["estimate"], found["se"]], list(of_r.values()), rtol=1e-5)
    np.testing.assert_allclose(
        at.table.loc[25.0, ["mean", "se"]], list(wanted["curve"]["mean"].values()), rtol=1e-5
    )


def test_zeros_of_a_factor_are_in_the_grid_and_means_of_responses_are_not_subtracted():
    data = reference.data("traps").assign(kind=lambda d: np.where(np.arange(len(d)) % 3 == 0, "old", "new"))
    fit = gl.glmer("beetles ~ shade + (1 | site)", data, family="poisson", zi="~ kind")
    found = gl.means(fit, "kind")
    at = fit.predict(data.assign(shade=data["shade"].mean()), re_form="~0").groupby(data["kind"]).first()
    np.testing.assert_allclose(found.table["mean"], at, rtol=1e-9)
    with pytest.raises(ModelError, match="no common scale"):
        found.differences()


def test_the_note_says_within_what_differences_are_adjusted(oats):
    text = str(gl.means(oats, ["Variety", "nitrof"]).differences(within="Variety", adjust="holm"))
    assert "adjusted by Holm's method, within each level of Variety" in " ".join(text.split())


# --- balanced designs ---------------------------------------------------------------------------


def test_in_a_balanced_block_design_they_are_the_plain_means(stool):
    data, table = stool.design.data, gl.means(stool, "Type").table
    np.testing.assert_allclose(table["mean"], data.groupby("Type", observed=True)["effort"].mean(), rtol=1e-8)
    variance = (stool.varcorr["Subject"].sd["Intercept"] ** 2 + stool.sigma**2) / 9
    np.testing.assert_allclose(table["se"], np.sqrt(variance), rtol=1e-6)


def test_in_a_balanced_block_design_differences_have_the_errors_of_a_two_way_analysis(stool):
    table = gl.means(stool, "Type").differences().table
    assert list(table.index) == ["T1 - T2", "T1 - T3", "T1 - T4", "T2 - T3", "T2 - T4", "T3 - T4"]
    np.testing.assert_allclose(table["se"], stool.sigma * np.sqrt(2 / 9), rtol=1e-6)
    np.testing.assert_allclose(table["df"], 24, rtol=1e-6)
    means = stool.design.data.groupby("Type", observed=True)["effort"].mean()
    assert table.loc["T2 - T4", "estimate"] == pytest.approx(means["T2"] - means["T4"])
    t = table["estimate"] / table["se"]
    np.testing.assert_allclose(table["p"], 2 * stats.t.sf(abs(t), 24), rtol=1e-5)
    np.testing.assert_allclose(
        table["upper"] - table["estimate"], stats.t.ppf(0.975, 24) * table["se"], rtol=1e-6
    )


def test_in_a_split_plot_the_whole_plots_have_their_own_error(oats):
    """6 blocks, 3 varieties in whole plots, 4 nitrogen levels in subplots."""
    means = gl.means(oats, "Variety")
    raw = oats.design.data.groupby("Variety", observed=True)["yield"].mean()
    np.testing.assert_allclose(means.table["mean"], raw, rtol=1e-8)
    sd = {name: oats.varcorr[name].sd["Intercept"] for name in ("Block", "Block:Variety")}
    np.testing.assert_allclose(
        means.table["se"],
        np.sqrt((sd["Block"] ** 2 + sd["Block:Variety"] ** 2 + oats.sigma**2 / 4) / 6),
        rtol=1e-6,
    )
    differences = means.differences().table
    np.testing.assert_allclose(
        differences["se"], np.sqrt(2 * (sd["Block:Variety"] ** 2 + oats.sigma**2 / 4) / 6), rtol=1e-6
    )
    np.testing.assert_allclose(differences["df"], 10, rtol=1e-5)
    np.testing.assert_allclose(gl.means(oats, "nitrof").differences().table["df"], 45, rtol=1e-5)


def test_cells_of_two_factors_come_with_both_labels(oats):
    means = gl.means(oats, ["Variety", "nitrof"])
    raw = oats.design.data.groupby(["Variety", "nitrof"], observed=True)["yield"].mean()
    assert means.table.index.names == ["Variety", "nitrof"] and len(means.table) == 12
    np.testing.assert_allclose(means.table["mean"], raw.reindex(means.table.index), rtol=1e-8)
    within = means.differences(within="nitrof").table
    assert len(within) == 4 * 3 and within.index.names == ["nitrof", "difference"]
    assert len(means.differences().table) == 66
    one = means.table["mean"]
    level, pair = within.index[0]
    left, right = pair.split(" - ")
    assert within.iloc[0]["estimate"] == pytest.approx(one[left, level] - one[right, level])


# --- by definition ------------------------------------------------------------------------------


def test_other_factors_count_evenly_and_covariates_stand_at_their_mean(unbalanced):
    fit = gl.lmer("y ~ a * b + t + (1 | g)", unbalanced)
    means = gl.means(fit, "a")
    t = unbalanced["t"].mean()
    for level, row in means.table.iterrows():
        cells = fit.predict(pd.DataFrame({"a": [level] * 2, "b": ["x", "y"], "t": t}), re_form="~0")
        assert row["mean"] == pytest.approx(cells.mean())
    assert means.averaged == ("averaged over x, y of b, with equal weights", f"t is at its mean, {t:.4g}")


def test_a_covariate_can_be_held_at_values_and_averaged_over_them():
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    table = gl.means(fit, "Days", at={"Days": [0, 5]}).table
    assert table.loc[5, "mean"] == pytest.approx(fit.params["Intercept"] + 5 * fit.params["Days"])
    assert table.loc[5, "se"] == pytest.approx(np.sqrt(np.array([1, 5]) @ fit.cov_params() @ [1, 5]))
    test = gl.wald_test(fit, {"Intercept": 1, "Days": 5})
    assert table.loc[5, "df"] == pytest.approx(test.rows["df"].iloc[0])
    gain = gl.means(fit, "Days", at={"Days": [5, 0]}).differences().table
    assert gain.loc["5 - 0", "estimate"] == pytest.approx(5 * fit.params["Days"])
    assert gain.loc["5 - 0", "p"] == pytest.approx(fit.pvalues["Days"])


def test_functions_of_a_covariate_are_computed_at_its_mean(unbalanced):
    fit = gl.lmer("y ~ a + t + I(t**2) + (1 | g)", unbalanced)
    t = unbalanced["t"].mean()
    row = fit.predict(pd.DataFrame({"a": ["mid"], "t": [t]}), re_form="~0")
    assert gl.means(fit, "a").table.loc["mid", "mean"] == pytest.approx(row.iloc[0])


def test_a_number_inside_C_is_a_factor():
    fit = gl.lmer("Reaction ~ C(Days) + (1 | Subject)", gl.load("sleepstudy"))
    raw = gl.load("sleepstudy").groupby("Days")["Reaction"].mean()
    np.testing.assert_allclose(gl.means(fit, "Days").table["mean"], raw, rtol=1e-8)


def test_names_with_blanks_are_names():
    data = reference.data("ergoStool").rename(columns={"Type": "type of stool"})
    fit = gl.lmer("effort ~ `type of stool` + (1 | Subject)", data)
    assert list(gl.means(fit, "type of stool").table.index) == ["T1", "T2", "T3", "T4"]


def test_a_generalised_model_averages_on_the_link_scale_and_says_so(unbalanced):
    fit = gl.glmer("k ~ a + b + t + (1 | g)", unbalanced, family="poisson")
    link, response = gl.means(fit, "a", kind="link"), gl.means(fit, "a")
    np.testing.assert_allclose(response.table["mean"], np.exp(link.table["mean"]))
    np.testing.assert_allclose(response.table["se"], response.table["mean"] * link.table["se"])
    np.testing.assert_allclose(response.table["upper"], np.exp(link.table["upper"]))
    assert (
        response.averaged[-1]
        == "averaged on the log scale, then transformed; random effects are zero (a typical group)"
    )
    ratios = response.differences().table["rate ratio"]
    a = fit.params["a[T.low]"]
    assert ratios["high - low"] == pytest.approx(np.exp(-a))


def test_a_falling_link_keeps_the_ends_in_order():
    fit = gl.glmer(
        "distance ~ age + Sex + (1 | Subject)", reference.data("Orthodont"), family="gamma", link="inverse"
    )
    table = gl.means(fit, "Sex").table
    assert (table["lower"] < table["mean"]).all() and (table["mean"] < table["upper"]).all()


def test_an_offset_stands_at_its_mean(unbalanced):
    offset = np.linspace(0.0, 1.0, len(unbalanced))
    fit = gl.glmer("k ~ a + (1 | g)", unbalanced, family="poisson", offset=offset)
    means = gl.means(fit, "a", kind="link")
    assert means.table.loc["high", "mean"] == pytest.approx(fit.params["Intercept"] + 0.5)
    assert "the offset is at its mean, 0.5" in means.averaged


def test_an_empty_cell_leaves_its_means_empty_and_no_others(unbalanced):
    holes = unbalanced[~((unbalanced["a"] == "high") & (unbalanced["b"] == "y"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = gl.lmer("y ~ a * b + (1 | g)", holes)
    means = gl.means(fit, "a")
    assert (
        np.isnan(means.table.loc["high", "mean"])
        and np.isfinite(means.table.loc[["low", "mid"], "mean"]).all()
    )
    assert means.averaged[-1] == "means left empty depend on combinations of levels that the data do not hold"
    table = means.differences(adjust="holm").table
    assert np.isfinite(table.loc["low - mid", "p"]) and np.isnan(table.loc["high - low", "p"])
    assert np.isfinite(gl.means(fit, ["a", "b"]).table["mean"]).sum() == 5


# --- adjustment ---------------------------------------------------------------------------------


def test_tukey_is_exact_in_a_balanced_design(stool):
    table = gl.means(stool, "Type").differences(adjust="tukey").table
    q = np.sqrt(2) * abs(table["statistic"])
    np.testing.assert_allclose(table["p"], stats.studentized_range.sf(q, 4, 24), rtol=1e-4)
    y = stool.design.data.pivot(index="Subject", columns="Type", values="effort")
    F = 9 * y.mean().var(ddof=1) / stool.sigma**2  # the largest difference is at most what Scheffe's F allows
    assert q.max() ** 2 / 2 <= 3 * F * (1 + 1e-9)


def test_holm_is_step_down(stool):
    plain = gl.means(stool, "Type").differences().table["p"].sort_values()
    holm = gl.means(stool, "Type").differences(adjust="holm").table["p"][plain.index]
    np.testing.assert_allclose(holm, np.minimum(np.maximum.accumulate(plain * np.arange(6, 0, -1)), 1.0))


# --- display and refusals -----------------------------------------------------------------------


def test_it_prints_what_was_averaged_and_the_null_hypothesis(oats):
    means = gl.means(oats, "Variety")
    assert "Note: averaged over 0.0, 0.2, 0.4, 0.6 of nitrof, with equal weights" in str(means)
    text = str(means.differences(adjust="tukey"))
    assert "H0: the difference is zero; p-values are adjusted by Tukey's method (3)" in text
    assert "<table" in means._repr_html_() and "Note: H0" in means.differences()._repr_html_()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: gl.means(f, "Tpe"), "'Tpe' is not a variable of the fixed effects .did you mean 'Type'"),
        (lambda f: gl.means(f, "Subject"), "grouping factor, whose levels fit.coef"),
        (lambda f: gl.means(f, []), "by needs the names"),
        (
            lambda f: gl.means(f, "Type", at={"Type": "T9"}),
            "'T9' is no level of 'Type'; they are T1, T2, T3, T4",
        ),
        (lambda f: gl.means(f, "Type", at={"Type": []}), "is empty"),
        (lambda f: gl.means(f, "Type", at=[1]), "at is a dict"),
        (lambda f: gl.means(f, "Type", kind="mean"), "kind is 'response', 'link' or 'conditional'"),
        (lambda f: gl.means(f, "Type", level=95), "level is a probability"),
        (lambda f: gl.means(f, "Type").differences(adjust="fdr"), "adjust is None, 'holm' or 'tukey'"),
        (lambda f: gl.means(f, "Type").differences(within="Type"), "only one mean"),
        (lambda f: gl.means(f, "Type", at={"Type": "T1"}).differences(), "only one mean"),
        (lambda f: gl.means(f, "Type").differences(within="Tipe"), "did you mean 'Type'"),
    ],
)
def test_bad_input_is_refused(stool, call, message):
    with pytest.raises(ModelError, match=message):
        call(stool)


def test_a_covariate_needs_values():
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    with pytest.raises(ModelError, match=r"'Days' is a covariate.*at=\{'Days': \[0, 9\]\}"):
        gl.means(fit, "Days")
    with pytest.raises(ModelError, match="holds numbers"):
        gl.means(fit, "Days", at={"Days": ["a"]})
