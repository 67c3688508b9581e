"""gl.check: p-values that are uniform for right models, lines that catch wrong ones, and what the page says.

The full study (500 right fits, 200 of each wrong kind) is benchmarks/accuracy/check_power.py; its figures are
in check_power.md.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.diagnostics.calibration import calibrate
from glmmlib.diagnostics.fit_lines import fit_lines
from glmmlib.diagnostics.residual_lines import residual_lines
from glmmlib.errors import GlmmlibWarning, ModelError
from support import reference_values as rv

J, M = 40, 25


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        yield


def rows(rng, n_groups=J, m=M):
    g = np.repeat(np.arange(n_groups), m)
    return pd.DataFrame({"g": g, "x": rng.uniform(-1, 1, n_groups * m)}), 0.5 * rng.normal(size=n_groups)[g]


def p_values(fit, rng, n=39):
    return {line.name: line.p for line in residual_lines(fit, calibrate(fit, n, rng))}


@pytest.fixture(scope="module")
def sleep():
    return rv.data("sleepstudy")


@pytest.fixture(scope="module")
def page(sleep):
    return gl.check(gl.lmer("Reaction ~ Days + (1 | Subject)", sleep), rng=np.random.default_rng(1))


# -- level and power, in short ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_p_values_are_uniform_for_right_models(family):
    rng, found = np.random.default_rng(10), []
    for _ in range(60):
        data, b = rows(rng, 12, 8)
        mean = 1.0 + 0.3 * data["x"] + b
        if family == "gaussian":
            fit = gl.lmer("y ~ x + (1 | g)", data.assign(y=mean + rng.normal(size=len(b))))
        else:
            fit = gl.glmer("y ~ x + (1 | g)", data.assign(y=rng.poisson(np.exp(mean))), family="poisson")
        found.append(p_values(fit, rng))
    for name, p in pd.DataFrame(found).items():
        assert stats.kstest(p, "uniform").pvalue > 0.002, name


def overdispersed(rng, data, b):
    return data.assign(y=rng.poisson(3 * np.exp(0.3 * data["x"] + b) * rng.standard_gamma(1.0, len(b))))


def zero_inflated(rng, data, b):
    return data.assign(y=rng.poisson(3 * np.exp(0.3 * data["x"] + b - 0.125)) * (rng.random(len(b)) > 0.2))


def quadratic(rng, data, b):
    curve = (data["x"] ** 2 - 1 / 3) / np.sqrt(4 / 45)
    return data.assign(y=data["x"] + b + np.sqrt((1 / 3 + 0.25 + 1) / 4) * curve + rng.normal(size=len(b)))


def slopes(rng, data, b):
    return data.assign(y=(1 + 0.5 * rng.normal(size=J)[data["g"]]) * data["x"] + b + rng.normal(size=len(b)))


@pytest.mark.parametrize(
    "make, family, line",
    [
        (overdispersed, "poisson", "overdispersion"),
        (zero_inflated, "poisson", "zeros"),
        (quadratic, "gaussian", "curves"),
        (slopes, "gaussian", "varying slopes"),
    ],
)
def test_wrong_models_are_caught_by_their_line(make, family, line):
    rng, caught = np.random.default_rng(11), 0
    for _ in range(8):
        data = make(rng, *rows(rng))
        fit = (
            gl.lmer("y ~ x + (1 | g)", data)
            if family == "gaussian"
            else gl.glmer("y ~ x + (1 | g)", data, family=family)
        )
        caught += p_values(fit, rng, 79)[line] < 0.05
    assert caught >= 7


def test_overdispersion_is_not_taken_for_a_pattern():
    """Curves and slopes are judged relative to the spread that the scores have."""
    rng, low = np.random.default_rng(12), 0
    for _ in range(10):
        p = p_values(gl.glmer("y ~ x + (1 | g)", overdispersed(rng, *rows(rng)), family="poisson"), rng)
        low += (p["curves"] < 0.05) + (p["varying slopes"] < 0.05)
    assert low <= 5


def test_the_slope_statistic_is_the_score_of_the_variance():
    """At a zero slope variance d(-2 log L)/d(variance) = tr - q', q' growing with the statistic: by
    differences.
    """
    rng = np.random.default_rng(13)
    data = slopes(rng, *rows(rng))
    data["x"] -= data.groupby("g")["x"].transform("mean")
    fit = gl.lmer("y ~ x + (1 | g)", data, reml=False)
    X, Z = fit.X, fit.Z.toarray()
    V0 = fit.sigma**2 * (np.eye(len(data)) + fit.theta.iloc[0] ** 2 * Z @ Z.T)
    K = (data["g"].to_numpy()[:, None] == data["g"].to_numpy()) * np.outer(data["x"], data["x"])

    def deviance(variance):
        V = V0 + variance * K
        r = fit.design.y - X @ fit.params.to_numpy()
        return np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r)

    slope = (deviance(1e-5) - deviance(-1e-5)) / 2e-5
    s = fit.resid.to_numpy() / fit.sigma**2
    q = (np.bincount(data["g"], data["x"] * s) ** 2).sum()
    assert slope == pytest.approx(np.trace(np.linalg.solve(V0, K)) - q, rel=1e-4)


# -- the page --------------------------------------------------------------------------------------------


def test_the_page_of_sleepstudy_without_slopes(page):
    assert page["convergence"].verdict == page["singularity"].verdict == page["scaling"].verdict == "fine"
    assert page["varying slopes"].verdict == page.verdict == "problem"
    assert "slopes of Days vary between levels of Subject" in page["varying slopes"].sentence
    assert page["varying slopes"].p == 1 / 200
    assert page["outliers"].verdict == "problem" and "row 56" in page["outliers"].sentence
    assert page["influence"].number == pytest.approx(0.98, abs=0.01)


def test_every_line_has_a_verdict_a_number_and_a_sentence(page):
    assert list(page.table.columns) == ["verdict", "number", "p", "sentence"]
    for line in page.lines:
        assert line.verdict in ("fine", "look", "problem") and np.isfinite(line.number) and line.shown
        assert line.sentence[0].islower() or line.sentence[0].isupper()
        assert not line.sentence.endswith(".")
    with pytest.raises(KeyError, match="there are convergence, singularity"):
        page["zeroes"]


def test_text_fits_a_page_and_html_names_its_headers(page):
    text = str(page)
    assert max(map(len, text.splitlines())) <= 80 and "\N{NO-BREAK SPACE}" not in text
    assert text.startswith("Check of Reaction ~ Days + (1 | Subject)")
    html = page._repr_html_()
    assert html.count('scope="col"') == 4 and html.count("<tr>") == 1 + len(page.lines)
    assert "problem" in html


def test_the_same_seed_the_same_page(sleep, page):
    again = gl.check(gl.lmer("Reaction ~ Days + (1 | Subject)", sleep), rng=np.random.default_rng(1))
    assert str(again) == str(page)
    pd.testing.assert_series_equal(again.values, page.values)


def test_a_right_slope_is_not_missed(sleep):
    found = gl.check(gl.lmer("Reaction ~ Days + (Days | Subject)", sleep), n=99, rng=np.random.default_rng(1))
    assert "varying slopes" not in found.table.index  # all of the model's columns have random effects


def test_singular_fits_name_the_term():
    found = gl.check(
        gl.lmer("Yield ~ 1 + (1 | Batch)", rv.data("Dyestuff2")), n=99, rng=np.random.default_rng(1)
    )
    assert found["singularity"].verdict == "look" and found["singularity"].number == 0.0
    assert (
        "variance of Intercept between the levels of Batch is estimated as zero"
        in found["singularity"].sentence
    )
    rng = np.random.default_rng(3)
    data, b = rows(rng, 12, 6)
    flat = gl.lmer("y ~ x + (x | g)", data.assign(y=b * (1 + data["x"]) + 0.5 * rng.normal(size=len(b))))
    found = gl.check(flat, n=99, rng=rng)
    assert found["singularity"].verdict == "look" and "(||)" in found["singularity"].sentence


def test_columns_with_faults(sleep):
    rng = np.random.default_rng(1)

    def scaling(formula, **columns):
        return gl.check(gl.lmer(formula, sleep.assign(**columns)), n=99, rng=rng)["scaling"]

    far = scaling("Reaction ~ D + (1 | Subject)", D=sleep["Days"] + 2000)
    assert far.verdict == "look" and "centre D" in far.sentence
    units = scaling("Reaction ~ Days + z + (1 | Subject)", z=1e6 * rng.normal(size=180))
    assert units.verdict == "look" and "z and Days have very different units" in units.sentence
    twins = scaling("Reaction ~ Days + z + (1 | Subject)", z=sleep["Days"] + 0.01 * rng.normal(size=180))
    assert twins.verdict == "look" and "nearly repeat each other" in twins.sentence


def test_spread_that_grows_with_the_mean():
    rng = np.random.default_rng(5)
    data, b = rows(rng)
    mean = 3 + 2 * data["x"] + b
    fit = gl.lmer("y ~ x + (1 | g)", data.assign(y=mean + 0.3 * np.abs(mean) * rng.normal(size=len(b))))
    line = gl.check(fit, rng=rng)["equal spread"]
    assert (
        line.verdict == "problem"
        and line.number > 0.2
        and "more where fitted values are high" in line.sentence
    )


def test_separation_is_a_problem_of_convergence():
    data = pd.DataFrame({"g": np.tile(np.arange(8), 10), "x": np.repeat([0.0, 1.0], 40)})
    rng = np.random.default_rng(2)
    data["y"] = np.where(data["x"] == 1, 1, rng.integers(0, 2, 80))
    convergence = fit_lines(gl.glmer("y ~ x + (1 | g)", data, family="binomial"), rng)[0][0]
    assert convergence.name == "convergence"
    assert convergence.verdict == "problem" and "separation" in convergence.sentence


FITS = {
    "weights and offset": lambda d: gl.lmer("y ~ x + (1 | g)", d, weights="w", offset="o"),
    "crossed": lambda d: gl.lmer("y ~ x + (1 | g) + (1 | h)", d),
    "nothing fixed": lambda d: gl.lmer("y ~ 0 + (1 | g)", d),
    "intercept only": lambda d: gl.lmer("y ~ 1 + (1 | g)", d),
    "factor": lambda d: gl.lmer("y ~ f * x + (x | g)", d),
    "gamma": lambda d: gl.glmer("p ~ x + (1 | g)", d, family="gamma"),
    "negbinomial": lambda d: gl.glmer("c ~ x + (1 | g)", d, family="negbinomial"),
    "cbind": lambda d: gl.glmer("cbind(s, 6 - s) ~ x + (1 | g)", d, family="binomial"),
    "binary": lambda d: gl.glmer("b ~ x + (1 | g)", d, family="binomial"),
    "quadrature": lambda d: gl.glmer("b ~ x + (1 | g)", d, family="binomial", n_agq=5),
}


@pytest.fixture(scope="module")
def mixed_data():
    rng = np.random.default_rng(21)
    data, b = rows(rng, 12, 10)
    eta = 1 + 0.5 * data["x"] + b
    p = 1 / (1 + np.exp(-eta))
    return data.assign(
        h=np.tile(np.arange(10), 12),
        f=np.tile(list("uv"), 60),
        o=0.1,
        w=np.tile([1.0, 2.0], 60),
        y=eta + rng.normal(size=120),
        p=np.exp(eta) * rng.gamma(2.0, 0.5, 120),
        c=rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, 120)),
        s=rng.binomial(6, p),
        b=rng.binomial(1, p),
    )


@pytest.mark.parametrize("case", FITS)
def test_every_kind_of_fit_has_a_page(mixed_data, case):
    found = gl.check(FITS[case](mixed_data), n=99, rng=np.random.default_rng(22))
    names = set(found.table.index)
    assert {"convergence", "singularity", "scaling", "outliers", "uniformity"} <= names
    assert ("influence" in names) == (case != "nothing fixed")
    assert ("overdispersion" in names) == (case == "cbind")
    assert ("zeros" in names) == (case in ("negbinomial", "cbind"))
    assert found["uniformity"].verdict != "problem"
    assert found.values.between(0, 1).all()


def test_refusals(sleep):
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    with pytest.raises(ModelError, match="numpy Generator"):
        gl.check(fit)
    with pytest.raises(ModelError, match="99 or more.*not 10"):
        gl.check(fit, n=10, rng=np.random.default_rng(1))


# -- influence -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula", ["Reaction ~ Days + (Days | Subject)", "Reaction ~ scale(Days) + (1 | Subject)"]
)
def test_influence_is_a_refit_to_the_other_rows(sleep, formula):
    fit = gl.lmer(formula, sleep)
    found = gl.influence(fit, n_refits=3)
    assert found.refitted.iloc[0] and found.refitted.sum() == 3
    for (_, level), change in found.table[found.refitted].iterrows():
        rest = sleep.assign(z=(sleep["Days"] - 4.5) / sleep["Days"].std())[
            sleep["Subject"].astype(str) != str(level)
        ]
        alone = gl.lmer(
            formula.replace("scale(Days)", "z"), rest
        )  # scale() would take another mean and SD from fewer rows
        np.testing.assert_allclose(change, (alone.params.to_numpy() - fit.params) / fit.bse, atol=1e-5)


def test_the_newton_step_finds_the_influential_groups(sleep):
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    exact, step = gl.influence(fit, n_refits=18).table, gl.influence(fit, n_refits=0).table
    np.testing.assert_allclose(step.loc[exact.index], exact, atol=0.2)
    assert set(step.index[:5]) & set(exact.index[:3]) == set(exact.index[:3])


def test_a_planted_group_is_named():
    rng = np.random.default_rng(31)
    data, b = rows(rng, 15, 8)
    odd = data["g"] == 9
    fit = gl.glmer(
        "y ~ x + (1 | g)",
        data.assign(y=rng.poisson(np.exp(1 + np.where(odd, 3, 0.2) * data["x"] + b))),
        family="poisson",
    )
    group, level, coefficient, change = gl.influence(fit).largest
    assert (group, level, coefficient) == ("g", 9, "x") and change < -1
    line = gl.check(fit, n=99, rng=rng)["influence"]
    assert line.verdict in ("look", "problem") and "without 9 of g, x changes by" in line.sentence


def test_a_group_that_cannot_be_left_out_keeps_its_newton_step():
    rng = np.random.default_rng(32)
    data, b = rows(rng, 6, 10)
    data["only"] = (data["g"] == 5) * 1.0
    found = gl.influence(gl.lmer("y ~ x + only + (1 | g)", data.assign(y=b + rng.normal(size=60))))
    assert not found.refitted["g", 5] and found.refitted["g", 0]


def test_influence_refuses_what_is_not_there(sleep):
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    with pytest.raises(ModelError, match="no grouping factor 'subject'; those of this fit are Subject"):
        gl.influence(fit, group="subject")
    with pytest.raises(ModelError, match="no fixed effects"):
        gl.influence(gl.lmer("Reaction ~ 0 + (1 | Subject)", sleep))
