"""Reports state the numbers of the fit, name how they came about, and survive every format."""

import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning, ModelError


def sentences(report):
    return " ".join(report.text.split())


def cells(report, caption):
    table = next(t for t in report.tables if t.caption == caption)
    return {" ".join(row[: table.n_labels]).strip(): row[table.n_labels :] for row in table.rows}


@pytest.fixture(scope="module")
def slopes():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


@pytest.fixture(scope="module")
def herds():
    return gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )


def odd_names():
    rng = np.random.default_rng(1)
    treat = np.tile(["0%", "50%_B&C"], 60)
    group = np.repeat([f"#{k}" for k in range(12)], 10)
    y = (treat == "0%") * -1.0 + np.repeat(rng.normal(size=12), 10) + rng.normal(size=120)
    return pd.DataFrame({"my_y": y, "treat": treat, "the_group": group})


# --- numbers --------------------------------------------------------------------------------------------


def test_linear_model(slopes):
    report = gl.report(slopes)
    text = sentences(report)
    for expected in (
        "fitted to 180 rows of Reaction in 18 levels of Subject",
        "restricted maximum likelihood (REML)",
        "The intercept and the effect of Days varied at random between the levels of Subject, and might "
        "correlate.",
        "t tests with Satterthwaite degrees of freedom",
        "Wald intervals with the degrees of freedom of the tests",
        "With one unit more of Days, the mean of Reaction rose by 10.47 (SE 1.55, 95% CI 7.21 to 13.73; "
        "t(17.0) = 6.77, p < 0.001).",
        "the SD was 24.7 for the intercept and 5.92 for Days, and their correlation was 0.07.",
        "The residual SD was 25.6.",
        "The intraclass correlation (adjusted, averaged over the data) was 0.72.",
    ):
        assert expected in text
    assert "keep in mind" not in text
    assert cells(report, "Fixed effects")["Days"] == (
        "10.47",
        "1.55",
        "7.21 to 13.73",
        "17.0",
        "6.77",
        "< 0.001",
    )
    assert cells(report, "Random effects")["Subject correlation Intercept, Days"] == ("0.07",)
    model = cells(report, "Model")
    assert (model["Rows"], model["Levels of Subject"], model["REML criterion"]) == (
        ("180",),
        ("18",),
        ("1743.63",),
    )
    assert model["R2, conditional"] == (f"{gl.r2(slopes).conditional:.2f}",)


def test_a_falling_slope_falls_by_a_positive_number():
    sleep = gl.load("sleepstudy").assign(Days=lambda t: -t["Days"])
    text = sentences(gl.report(gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)))
    assert "the mean of Reaction fell by 10.467 (SE 0.804, 95% CI 8.879 to 12.055; t(161.0) = -13.02" in text


def test_choices_are_named(slopes):
    text = sentences(gl.report(slopes, level=0.9, ddf="kenward-roger"))
    assert "t tests with Kenward-Roger degrees of freedom" in text and "(90% CI)" in text
    text = sentences(gl.report(slopes.with_criterion(False), ddf="z"))
    assert "by maximum likelihood" in text and "z tests (normal approximation)" in text
    with pytest.raises(ModelError, match="no method 'jackknife'"):
        gl.report(slopes, method="jackknife")


def test_profile_intervals_of_variances(slopes):
    report = gl.report(slopes, method="profile")
    lower, upper = slopes.conf_int(method="profile").loc["sd Subject.Days"]
    assert cells(report, "Random effects")["Subject SD Days"] == ("5.92", f"{lower:.2f} to {upper:.2f}")
    assert "profile likelihood intervals, from a refit by maximum likelihood" in sentences(report)
    assert "The model was fitted by REML; the profile is that of its ML deviance, refitted." in sentences(
        report
    )


def test_bootstrap_intervals(slopes):
    report = gl.report(slopes, method="bootstrap", n=100, rng=np.random.default_rng(1))
    assert "percentile intervals of a parametric bootstrap with 100 refits" in sentences(report)
    found = slopes.conf_int(method="bootstrap", n=100, rng=np.random.default_rng(1)).loc["Days"]
    assert cells(report, "Fixed effects")["Days"][2] == f"{found['lower']:.2f} to {found['upper']:.2f}"


def test_odds_ratios(herds):
    report = gl.report(herds)
    table = herds.exp_table()
    row = cells(report, "Fixed effects")["period[T.2]"]
    assert row[2:4] == (
        f"{table['odds ratio'].iloc[1]:.2f}",
        f"{table['lower'].iloc[1]:.2f} to {table['upper'].iloc[1]:.2f}",
    )
    assert cells(report, "Fixed effects")["Intercept"][2] == ""
    text = sentences(report)
    for expected in (
        "(binomial distribution, logit link)",
        "integrated out by Laplace's approximation",
        "reference level, which was 1 of period",
        "Wald z tests, terms of several coefficients by Wald chi-square tests (type III)",
        "The test of all coefficients of period gave χ²(3) = 24.95, p < 0.001.",
        "The odds ratio of period[T.2] was 0.37 (95% CI 0.20 to 0.68; z = -3.24, p = 0.001).",
        "Each odds ratio compares members of one group",
    ):
        assert expected in text


def test_rate_ratios_and_dispersion():
    ticks = gl.load("grouseticks")
    ticks["HEIGHT"] = (ticks["HEIGHT"] - ticks["HEIGHT"].mean()) / 100
    fit = gl.glmer("TICKS ~ HEIGHT + (1 | LOCATION)", ticks, family="negbinomial", n_agq=15)
    report = gl.report(fit)
    assert "The rate ratio of one unit more of HEIGHT was" in sentences(report)
    assert f"The dispersion was phi = {fit.dispersion:.3g}, where the variance" in sentences(report)
    assert cells(report, "Random effects")["Residual dispersion"] == (f"{fit.dispersion:.3g}",)


def test_links_without_ratios_report_coefficients():
    fit = gl.glmer("presence ~ 1 + (1 | region)", gl.load("frogs"), family="binomial", link="probit", n_agq=9)
    report = gl.report(fit)
    assert "quadrature with 9 points" in sentences(report)
    assert "The mean of the linear predictor was" in sentences(report)
    assert report.tables[0].header == ("", "Estimate", "SE", "95% CI", "z", "p")


def test_narrow_ratios_keep_their_digits():
    sleep = gl.load("sleepstudy").assign(y=lambda t: t["Reaction"] / 300)
    fit = gl.glmer("y ~ Days + (1 | Subject)", sleep, family="gamma", link="log")
    row = fit.exp_table().loc["Days"]
    expected = (
        f"The mean ratio of one unit more of Days was {row['mean ratio']:.4f} (95% CI {row['lower']:.4f} to "
        f"{row['upper']:.4f};"
    )
    assert expected in sentences(gl.report(fit))
    assert (
        f"phi = {fit.dispersion:#.3g}, where the variance given the random effects is phi mean²"
        in sentences(gl.report(fit))
    )


def test_no_fixed_effects_and_crossed_groups():
    fit = gl.lmer("diameter ~ 0 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    report = gl.report(fit)
    assert [table.caption for table in report.tables] == ["Random effects", "Model"]
    assert "The intercept varied at random between the levels of plate and sample." in sentences(report)
    assert "tested" not in report.text and "Confidence" not in report.text
    assert "ICC of plate" in cells(report, "Model")


# --- what limits them -----------------------------------------------------------------------------------


def test_singular_fit_offset_weights_and_rows_left_out():
    table = gl.load("Dyestuff2").assign(known=1.0, w=2.0)
    table.loc[3, "Yield"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", table, offset="known", weights="w")
        text = sentences(gl.report(fit))
    assert (
        "The fit is singular: the variance of Intercept between the levels of Batch is estimated as zero"
        in text
    )
    assert "1 further row with missing values was left out." in text
    assert "The linear predictor held a known offset." in text
    assert "Known weights of the rows were given as weights." in text


def test_columns_left_out_and_responses_given_to_refit(slopes):
    sleep = gl.load("sleepstudy").assign(Twice=lambda t: 2 * t["Days"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        text = sentences(gl.report(gl.lmer("Reaction ~ Days + Twice + (1 | Subject)", sleep)))
    assert "Twice was left out, as it follows from the other columns." in text
    assert "not the one in the data" in sentences(
        gl.report(slopes.refit(slopes.simulate(rng=np.random.default_rng(1))))
    )


def test_separation_is_said():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"g": np.repeat(range(20), 10), "x": np.tile([0.0, 1.0], 100)})
    table["y"] = np.where(table["x"] == 1, 1, rng.integers(0, 2, 200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.glmer("y ~ x + (1 | g)", table, family="binomial")
    report = gl.report(fit)
    assert "Quasi-complete separation: x predicts some responses" in sentences(report)
    assert "The coefficient of x has no finite estimate." in sentences(report)
    assert "intraclass" not in report.text
    assert cells(report, "Fixed effects")["x"] == ("∞", "", "∞", "", "", "")


def test_poisson_says_what_it_assumes():
    fit = gl.glmer("TICKS ~ 1 + (1 | LOCATION) + (1 | INDEX)", gl.load("grouseticks"), family="poisson")
    assert "takes the variance given the random effects as equal to the mean" in sentences(gl.report(fit))


# --- formats --------------------------------------------------------------------------------------------


def test_text_keeps_to_80_columns(slopes, herds):
    for fit in (slopes, herds, gl.lmer("my_y ~ treat + (1 | the_group)", odd_names())):
        report = gl.report(fit)
        assert max(map(len, report.text.splitlines())) <= 80
        assert str(report) == repr(report) == report.text
        assert "\x02" not in report.text


def test_latex_escapes_names():
    latex = gl.report(gl.lmer("my_y ~ treat + (1 | the_group)", odd_names())).latex
    assert r"treat[T.50\%\_B\&C] & " in latex
    assert r"\texttt{my\_y \textasciitilde{} treat + (1 \textbar{} the\_group)}" in latex
    without_commands = re.sub(r"\\[a-zA-Z]+\*?|\\[%&_#$\\]", "", latex)
    assert not re.search(r"[%#_~^\\|<>]", without_commands)
    assert latex.count("\\begin{") == latex.count("\\end{")
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    for table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", latex, re.DOTALL):
        rows = [line for line in table[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(table[0])}


def test_latex_writes_minus_signs(herds):
    assert "z = $-$3.24" in gl.report(herds).latex
    assert "size - incidence" in gl.report(herds).latex


def test_markdown_tables_have_one_width(herds):
    markdown = gl.report(gl.lmer("my_y ~ treat + (1 | the_group)", odd_names())).markdown
    assert r"| treat[T.50%\_B&C] |" in markdown
    assert "`my_y ~ treat + (1 | the_group)`" in markdown
    for block in markdown.split("\n\n"):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_html_is_well_formed_and_escaped(herds):
    class Balance(HTMLParser):
        open = ()

        def handle_starttag(self, tag, attributes):
            self.open += (tag,)

        def handle_endtag(self, tag):
            assert self.open[-1] == tag
            self.open = self.open[:-1]

    html = gl.report(gl.lmer("my_y ~ treat + (1 | the_group)", odd_names())).html
    parser = Balance()
    parser.feed(html)
    assert parser.open == ()
    assert "treat[T.50%_B&amp;C]" in html and "p &lt; 0.001" in html
    assert gl.report(herds)._repr_html_() == gl.report(herds).html
    assert gl.report(herds)._repr_markdown_() == gl.report(herds).markdown
