"""Likelihood-ratio tests and information criteria, and the comparisons that are refused."""

import re
import warnings

import numpy as np
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.comparison.lrt import null_distribution
from glmmlib.comparison.nesting import Step, nested_step
from glmmlib.errors import ModelError, SingularFitWarning
from support import reference_values as reference

NO_SLOPES = "the variance of Days between levels of Subject is zero"
CBPP = "cbind(incidence, size - incidence)"
MODELS = {
    "sleep_ri_vs_nocorr_vs_rs": (
        "sleepstudy",
        [
            "Reaction ~ Days + (1|Subject)",
            "Reaction ~ Days + (Days||Subject)",
            "Reaction ~ Days + (Days|Subject)",
        ],
    ),
    "sleep_days": ("sleepstudy", ["Reaction ~ 1 + (Days|Subject)", "Reaction ~ Days + (Days|Subject)"]),
    "machines": (
        "Machines",
        [
            "score ~ Machine + (1|Worker)",
            "score ~ Machine + (1|Worker/Machine)",
            "score ~ Machine + (Machine|Worker)",
        ],
    ),
    "oats": (
        "Oats",
        ["yield ~ nitro + Variety + (1|Block/Variety)", "yield ~ nitro * Variety + (1|Block/Variety)"],
    ),
    "cbpp": ("cbpp", [f"{CBPP} ~ 1 + (1|herd)", f"{CBPP} ~ period + (1|herd)"]),
}


def fit(formula, table, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        if formula.startswith("cbind"):
            return gl.glmer(formula, table, family="binomial", **options)
        return gl.lmer(formula, table, **{"reml": False, **options})


@pytest.fixture(scope="module")
def sleep():
    table = gl.load("sleepstudy")
    formulas = (
        "1 + (1 | Subject)",
        "Days + (1 | Subject)",
        "Days + (Days || Subject)",
        "Days + (Days | Subject)",
    )
    return table, [fit(f"Reaction ~ {rhs}", table) for rhs in formulas]


# --- against lme4 -------------------------------------------------------------------------------


def same_as(expected, table):
    for ours, theirs in {"aic": "AIC", "bic": "BIC", "llf": "logLik", "chisq": "Chisq", "df": "Df"}.items():
        np.testing.assert_allclose(table[ours], np.array(expected[theirs], dtype=float), rtol=1e-7, atol=2e-5)
    assert table["npar"].tolist() == expected["npar"]
    np.testing.assert_allclose(table["p_naive"], np.array(expected["Pr(>Chisq)"], dtype=float), rtol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_likelihood_ratios_are_those_of_lme4(name):
    data, formulas = MODELS[name]
    same_as(
        reference.extra("anova_lrt")[name], gl.anova(*[fit(f, reference.data(data)) for f in formulas]).table
    )


def test_restricted_likelihood_ratio_is_that_of_lme4():
    table = gl.load("sleepstudy")
    fits = [fit(f"Reaction ~ Days + ({x}|Subject)", table, reml=True) for x in ("1", "Days")]
    result = gl.anova(*fits, refit=False)
    same_as(reference.extra("anova_lrt")["sleep_REML_nested_norefit"], result.table)
    assert str(result).startswith("Likelihood-ratio tests (REML)\n")


def test_every_frozen_comparison_is_tested():
    assert set(reference.extra("anova_lrt")) == {*MODELS, "sleep_REML_nested_norefit"}


# --- what H0 is, and its distribution -----------------------------------------------------------


@pytest.mark.parametrize(
    ("small", "large", "df", "distribution", "hypothesis"),
    [
        (0, 1, 1, "chi2(1)", "Days = 0"),
        (1, 2, 1, "0.5 chi2(0) + 0.5 chi2(1)", NO_SLOPES),
        (1, 3, 2, "0.5 chi2(1) + 0.5 chi2(2)", f"{NO_SLOPES} (the correlations vanish with that variance)"),
        (2, 3, 1, "chi2(1)", "Intercept, Days are uncorrelated between levels of Subject"),
        (0, 3, 3, "0.5 chi2(2) + 0.5 chi2(3)", f"Days = 0 and {NO_SLOPES}"),
    ],
)
def test_null_hypotheses_and_distributions(sleep, small, large, df, distribution, hypothesis):
    _, fits = sleep
    result = gl.anova(fits[large], fits[small])  # in any order
    assert result.table["df"].iloc[1] == df
    assert result.distributions["m1"] == distribution
    assert result.hypotheses["m1"].startswith(hypothesis)
    assert f"null distribution: {distribution}" in " ".join(str(result).split())


@pytest.mark.parametrize("correlated", ["|", "||"])
def test_two_variances_at_once_have_no_table(correlated):
    table = reference.data("Machines")
    fits = [
        fit("score ~ Machine + (1 | Worker)", table),
        fit(f"score ~ Machine + (Machine {correlated} Worker)", table),
    ]
    result = gl.anova(*fits)
    assert np.isnan(result.table["p"].iloc[1]) and np.isnan(result.table["p_naive"].iloc[1])
    assert "parametric bootstrap" in result.distributions["m1"]


def test_compound_symmetry_is_an_interior_point_of_a_full_covariance():
    table = reference.data("Machines")
    nested, full = (
        fit("score ~ Machine + (1|Worker/Machine)", table),
        fit("score ~ Machine + (Machine|Worker)", table),
    )
    assert nested_step(nested, full).missing == 0


def test_mixtures_by_hand():
    p, naive, _ = null_distribution(2.7, Step(1, 1, ""))
    assert (p, naive) == pytest.approx((0.5 * stats.chi2.sf(2.7, 1), stats.chi2.sf(2.7, 1)))
    assert null_distribution(2.7, Step(3, 1, ""))[0] == pytest.approx(stats.chi2.sf(2.7, [2, 3]).mean())
    assert null_distribution(0.0, Step(1, 1, ""))[0] == 1.0
    assert np.isnan(null_distribution(-1.0, Step(1, 0, ""))[0])


def test_the_mixture_holds_its_level_where_chi_square_is_conservative():
    rng, table, p = np.random.default_rng(6), gl.load("sleepstudy"), []
    models = [
        fit(f"Reaction ~ Days + {terms}", table)
        for terms in ("(1 | Subject)", "(0 + Days | Subject) + (1 | Subject)")
    ]
    for _ in range(150):
        y = rng.normal(0, 1, 18).repeat(10) + rng.standard_normal(180)
        steps = gl.anova(*(model.refit(y, warn=False) for model in models))
        p.append(steps.table[["p", "p_naive"]].iloc[1])
    right, naive = (np.array(p) < 0.1).mean(axis=0)
    assert abs(right - 0.1) < 3 * np.sqrt(0.1 * 0.9 / 150)
    assert naive < right


def test_refitting_by_maximum_likelihood_is_said(sleep):
    table, fits = sleep
    reml = [fit(f.formula, table, reml=True) for f in fits[:2]]
    result = gl.anova(*reml)
    assert "models fitted by REML were refitted by ML" in str(result)
    np.testing.assert_allclose(result.table["llf"], [f.llf for f in fits[:2]])


# --- refusals -----------------------------------------------------------------------------------


def refuses(message, *fits, call=gl.anova, **options):
    with pytest.raises(ModelError, match=re.escape(message)):
        call(*fits, **options)


def test_refuses_reml_with_different_fixed_effects(sleep):
    table, fits = sleep
    refuses(
        "REML criteria of models with different fixed effects",
        *[fit(f.formula, table, reml=True) for f in fits[:2]],
        refit=False,
    )


def test_refuses_reml_beside_ml(sleep):
    table, fits = sleep
    refuses(
        "some fits are by REML and others by ML", fits[1], fit(fits[3].formula, table, reml=True), refit=False
    )
    refuses(
        "some models are fitted by REML and others by ML",
        fits[1],
        fit(fits[3].formula, table, reml=True),
        call=gl.compare,
    )


@pytest.mark.parametrize("call", [gl.anova, gl.compare])
def test_refuses_different_rows(sleep, call):
    table, fits = sleep
    refuses("the fits use different rows", fits[0], fit(fits[1].formula, table.iloc[:170]), call=call)


def test_refuses_equally_many_but_different_rows(sleep):
    table, fits = sleep
    refuses(
        "the fits use different rows",
        fit(fits[0].formula, table.iloc[:90]),
        fit(fits[1].formula, table.iloc[90:]),
    )


@pytest.mark.parametrize("call", [gl.anova, gl.compare])
def test_refuses_different_responses(sleep, call):
    table, fits = sleep
    other = fit("np.log(Reaction) ~ Days + (1 | Subject)", table)
    refuses("different responses", fits[0], other, call=call)


def test_refuses_different_weights_and_offsets(sleep):
    table, fits = sleep
    refuses("different weights", fits[0], fit(fits[1].formula, table, weights=np.linspace(1, 2, 180)))
    refuses("different offsets", fits[0], fit(fits[1].formula, table, offset=np.ones(180)))


def test_refuses_different_families_and_links():
    table = gl.load("cbpp")
    logit, probit = (
        fit(f"{CBPP} ~ 1 + (1|herd)", table),
        fit(f"{CBPP} ~ period + (1|herd)", table, link="probit"),
    )
    refuses("different families or links (binomial (logit) and binomial (probit))", logit, probit)


@pytest.mark.parametrize("call", [gl.anova, gl.compare])
def test_refuses_different_quadrature(call):
    table = gl.load("cbpp")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = fit(f"{CBPP} ~ 1 + (1|herd)", table), fit(f"{CBPP} ~ period + (1|herd)", table, n_agq=7)
    refuses("n_agq = 1 and 7", *fits, call=call)


def test_refuses_fixed_effects_that_are_not_nested(sleep):
    table, fits = sleep
    other = fit("Reaction ~ np.sqrt(Days) + I(Days**2) + (1 | Subject)", table)
    refuses("the fixed effect 'Days' of", fits[1], other)


def test_refuses_random_effects_that_are_not_nested(sleep):
    table, _ = sleep
    refuses(
        "the random effects of Subject in",
        fit("Reaction ~ Days + (0 + Days | Subject)", table),
        fit("Reaction ~ Days + I(Days**2) + (1 | Subject)", table),
    )


def test_fixed_effects_in_another_basis_are_nested(sleep):
    table, fits = sleep
    shifted = fit("Reaction ~ I(Days - 5) + I((Days - 5)**2) + (1 | Subject)", table)
    assert gl.anova(fits[1], shifted).table["df"].iloc[1] == 1


def test_refuses_as_many_parameters(sleep):
    table, fits = sleep
    refuses(
        "the same number of parameters (4)", fits[1], fit("Reaction ~ np.sqrt(Days) + (1 | Subject)", table)
    )


def test_refuses_what_is_no_mixed_model(sleep):
    refuses("not a str", sleep[1][0], "m1")
    refuses("not a str", "m1", call=gl.compare)


# --- compare ------------------------------------------------------------------------------------


def test_compare_by_hand(sleep):
    _, fits = sleep
    table = gl.compare(*fits).table
    for row, f in zip(table.itertuples(), fits, strict=True):
        assert row.aic == pytest.approx(f.aic)
        assert row.bic_rows == pytest.approx(f.bic)
        assert row.bic_groups == pytest.approx(-2 * f.llf + np.log(18) * f.n_parameters)
    assert table["delta_aic"].min() == table["delta_bic_groups"].min() == 0


def test_compare_names_both_n(sleep):
    text = str(gl.compare(*sleep[1]))
    assert "BIC(rows) takes n = 180 rows, BIC(groups) n = 18 levels of Subject" in text
    assert max(map(len, text.splitlines())) <= 80


def test_compare_admits_pooled_least_squares(sleep):
    smf = pytest.importorskip("statsmodels.formula.api")
    table, fits = sleep
    pooled = smf.ols("Reaction ~ Days", table).fit()
    result = gl.compare(pooled, fits[1]).table
    assert result["k"].tolist() == [3, 4]
    assert result["llf"].iloc[0] == pytest.approx(pooled.llf)
    assert result["llf"].iloc[0] == pytest.approx(
        -0.5 * fits[1].objective([0.0])
    )  # the pooled model is theta = 0
    refuses("different responses", smf.ols("np.log(Reaction) ~ Days", table).fit(), fits[1], call=gl.compare)
    refuses("different rows", smf.ols("Reaction ~ Days", table.iloc[:100]).fit(), fits[1], call=gl.compare)
    refuses("statsmodels' WLS is not known", smf.wls("Reaction ~ Days", table).fit(), call=gl.compare)


def test_compare_admits_pooled_binomial_models():
    smf, sm = pytest.importorskip("statsmodels.formula.api"), pytest.importorskip("statsmodels.api")
    table = gl.load("cbpp")
    table["healthy"] = table["size"] - table["incidence"]
    pooled = smf.glm("incidence + healthy ~ period", table, family=sm.families.Binomial()).fit()
    mixed = fit(f"{CBPP} ~ period + (1|herd)", table)
    result = gl.compare(pooled, mixed).table
    assert result["k"].tolist() == [4, 5] and result["llf"].iloc[1] > result["llf"].iloc[0]
    counts = fit("incidence ~ period + (1|herd)", table)
    refuses("of different kinds (a density and a probability)", pooled, counts, call=gl.compare)
