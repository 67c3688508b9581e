"""Degrees of freedom, tests of terms and contrasts, Wald intervals."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.covariance.tangent import Tangent
from glmmlib.errors import ModelError, RankDeficientWarning, SingularFitWarning
from glmmlib.inference import kenward_roger
from glmmlib.inference.contrasts import covariance
from glmmlib.inference.satterthwaite import multiple_df, variance_information
from support import reference_values as reference

DATA = {
    "sleep": "sleepstudy",
    "orthodont": "Orthodont",
    "oats": "Oats",
    "machines": "Machines",
    "penicillin": "Penicillin",
    "ergostool": "ergoStool",
    "assay": "Assay",
    "pixel": "Pixel",
    "crossed": "sim_crossed",
}
DDF = sorted(path.stem for path in (reference.HERE / "extras").glob("ddf_*.json"))


@pytest.fixture(scope="module")
def frozen():
    """Return a function from the name of a frozen set of tests to its values, our fit and the order of
    coefficients.
    """
    fits = {}

    def get(name):
        if name not in fits:
            extra = reference.extra(name)
            table = reference.data(DATA[name.split("_")[1]])
            if "crossed" in name:
                table = table.head(500).copy()
            if "oats" in name:
                table["nitrof"] = pd.Categorical(table["nitro"])
            fit = gl.lmer(extra["formula"].replace("^", "**"), table)
            order = reference.positions(
                {"name": name, "fixef": {"names": extra["coef_names"]}}, fit.params.index
            )
            fits[name] = extra, fit, order
        return fits[name]

    return get


@pytest.fixture(scope="module")
def sleep():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


# --- against lmerTest and pbkrtest --------------------------------------------------------------


def test_there_are_frozen_degrees_of_freedom():
    assert {"ddf_sleep_ri", "ddf_sleep_rs", "ddf_orthodont_rs", "ddf_oats_split_plot", "ddf_assay"} <= set(
        DDF
    )


@pytest.mark.parametrize("name", DDF)
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_t_tests_are_those_of_lmerTest(frozen, name, ddf):
    extra, fit, order = frozen(name)
    expected = pd.DataFrame({k: v for k, v in extra[ddf.replace("-", "_")].items() if k != "vcovAdj"}).iloc[
        order
    ]
    tests = gl.coef_tests(fit, ddf)
    np.testing.assert_allclose(tests["df"], expected["df"], rtol=2e-5)
    np.testing.assert_allclose(tests["se"], expected["se"], rtol=1e-5)
    np.testing.assert_allclose(tests["statistic"], expected["t"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tests["p"], expected["p"], rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("name", DDF)
def test_kenward_roger_covariance_is_that_of_pbkrtest(frozen, name):
    extra, fit, order = frozen(name)
    expected = np.array(extra["kenward_roger"]["vcovAdj"])[np.ix_(order, order)]
    np.testing.assert_allclose(
        covariance(fit, "kenward-roger"), expected, rtol=1e-5, atol=1e-6 * abs(expected).max()
    )


@pytest.mark.parametrize("name", [name for name in DDF if name != "ddf_penicillin"])  # which has no term
@pytest.mark.parametrize(
    ("key", "type", "ddf"),
    [
        ("anova_satt_type1", 1, None),
        ("anova_satt_type2", 2, None),
        ("anova_satt_type3", 3, None),
        ("anova_KR_type3", 3, "kenward-roger"),
    ],
)
def test_f_tests_are_those_of_lmerTest(frozen, name, key, type, ddf):
    extra, fit, _ = frozen(name)
    expected = extra[key]
    table = gl.anova(fit, type=type, ddf=ddf).table
    assert [term.replace("**", "^").replace(" ", "") for term in table.index] == expected["row"]
    assert table["df_num"].tolist() == expected["NumDF"]
    np.testing.assert_allclose(table["df_den"], expected["DenDF"], rtol=2e-5)
    np.testing.assert_allclose(table["F"], expected["F value"], rtol=1e-5)
    if "Pr(>F)" in expected:
        np.testing.assert_allclose(table["p"], expected["Pr(>F)"], rtol=1e-4, atol=1e-14)


# --- closed forms -------------------------------------------------------------------------------


def balanced(rng, J=12, n=5, sd=1.0):
    g = np.repeat(np.arange(J), n)
    x = np.tile(np.arange(n) - (n - 1) / 2, J)
    y = sd * rng.standard_normal(J)[g] + rng.standard_normal(J * n)
    return pd.DataFrame({"g": g, "x": x, "treated": (g % 2).astype(float), "y": y})


def test_balanced_degrees_of_freedom_are_those_of_the_analysis_of_variance():
    table = balanced(np.random.default_rng(1))
    fit = gl.lmer("y ~ treated + x + (1 | g)", table)
    assert not fit.is_singular
    expected = {"Intercept": 10, "treated": 10, "x": 60 - 12 - 1}
    assert fit.df.to_dict() == pytest.approx(expected, rel=1e-5)
    assert gl.coef_tests(fit, "kenward-roger")["df"].to_dict() == pytest.approx(expected, rel=1e-7)


def test_balanced_t_test_between_groups_is_that_of_their_means():
    table = balanced(np.random.default_rng(2))
    fit = gl.lmer("y ~ treated + (1 | g)", table)
    means = table.groupby(["g", "treated"])["y"].mean().reset_index()
    by_hand = stats.ttest_ind(means.y[means.treated == 1], means.y[means.treated == 0])
    assert fit.tvalues["treated"] == pytest.approx(by_hand.statistic, rel=1e-6)
    assert fit.pvalues["treated"] == pytest.approx(by_hand.pvalue, rel=1e-4)


def test_kenward_roger_leaves_a_balanced_covariance_alone_and_known_weights_count():
    table = balanced(np.random.default_rng(3))
    plain = gl.lmer("y ~ treated + (1 | g)", table)
    np.testing.assert_allclose(covariance(plain, "kenward-roger"), plain.cov_params(), rtol=1e-6)
    doubled = gl.lmer("y ~ treated + (1 | g)", table, weights=np.full(60, 2.0))
    both = gl.coef_tests(plain, "kenward-roger"), gl.coef_tests(doubled, "kenward-roger")
    np.testing.assert_allclose(both[0], both[1], rtol=1e-5)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("random", ["(1 | g)", "(x | g)", "(1 | g) + (1 | h)"])
def test_weights_are_those_of_rows_multiplied_by_their_roots(ddf, random):
    """V = Z D Z' + sigma^2 W^-1 from both sides by W^(1/2); pbkrtest takes the identity for W."""
    rng = np.random.default_rng([5, len(random)])
    d = pd.DataFrame({"g": np.repeat(np.arange(14), 9), "h": np.tile(np.arange(9), 14)})
    d["x"], d["w"] = rng.normal(1, 1, 126), rng.choice([0.25, 1.0, 4.0], 126)
    scatter = rng.normal(size=126) / np.sqrt(d.w)
    d["y"] = d.x + rng.normal(size=14)[d.g] * (1 + d.x) + rng.normal(size=9)[d.h] + scatter
    root = np.sqrt(d.w)
    d["s"], d["sx"], d["sy"] = root, root * d.x, root * d.y
    by_weights = gl.lmer(f"y ~ x + {random}", d, weights="w")
    multiplied = random.replace("(1 |", "(0 + s |").replace("(x |", "(0 + s + sx |")
    by_rows = gl.lmer(f"sy ~ 0 + s + sx + {multiplied}", d)
    tests = [gl.coef_tests(fit, ddf)[["estimate", "se", "df"]].to_numpy() for fit in (by_weights, by_rows)]
    np.testing.assert_allclose(*tests, rtol=1e-6)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_degrees_of_freedom_do_not_depend_on_the_origin_of_x(ddf):
    """lmerTest's, by numerical differences, are 15.7 for x about 0 and 82.7 about 100 in such a table."""
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"g": rng.integers(0, 20, 180), "z": rng.normal(0, 0.1, 180)})
    steep = rng.normal(0, 4, 20)[d.g]
    d["y"] = 10 * d.z + rng.normal(size=20)[d.g] + steep * d.z + rng.normal(size=180)
    dfs = [gl.coef_tests(gl.lmer("y ~ x + (x | g)", d.assign(x=d.z + o)), ddf)["df"]["x"] for o in (0, 100)]
    assert dfs[1] == pytest.approx(dfs[0], rel=1e-4)


def test_degrees_of_freedom_do_not_depend_on_the_units_of_x(sleep):
    table = gl.load("sleepstudy")
    table["x"] = table["Days"] * 1e6
    fit = gl.lmer("Reaction ~ x + (x | Subject)", table)
    np.testing.assert_allclose(fit.df, sleep.df, rtol=1e-5)
    adjusted = [gl.coef_tests(f, "kenward-roger")["df"] for f in (fit, sleep)]
    np.testing.assert_allclose(adjusted[0], adjusted[1].to_numpy(), rtol=1e-6)


def test_hessian_of_the_full_criterion_is_that_of_its_values():
    """A in closed form: balanced one-way REML, where Var(MSA) = 2 E^2 / (J - 1) and Var(MSE) = 2 sigma^4 / (N
    - J).
    """
    table, J, n = balanced(np.random.default_rng(4)), 12, 5
    fit = gl.lmer("y ~ 1 + (1 | g)", table)
    information = variance_information(fit)
    sigma2, tau2 = fit.sigma**2, fit.varcorr["g"].sd.iloc[0] ** 2
    between = sigma2 + n * tau2
    assert information.A[1, 1] == pytest.approx(2 / (J * n - J), rel=1e-5)  # of log sigma^2
    jacobian = np.array([2 * fit.theta.iloc[0] * sigma2 * n, between])
    assert jacobian @ information.A @ jacobian == pytest.approx(2 * between**2 / (J - 1), rel=1e-5)


def test_multiple_df_by_hand():
    assert multiple_df([10.0, 20.0]) == pytest.approx(2 * (10 / 8 + 20 / 18) / (10 / 8 + 20 / 18 - 2))
    assert multiple_df([1.5, 20.0]) == 2.0


def test_a_singular_fit_has_the_degrees_of_freedom_of_the_model_without_the_term():
    """On the boundary the variance is held at zero, so that what is left is ordinary least squares."""
    with pytest.warns(SingularFitWarning):
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff2"))
    assert fit.df.iloc[0] == pytest.approx(29, rel=1e-9)


@pytest.mark.parametrize("L", [[[0.0, 0.0], [0.7, 0.4]], [[0.5, 0.0], [0.3, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_free_directions_of_a_singular_factor_keep_its_rank(sleep, L):
    L = np.array(L)
    tangent = Tangent(sleep.solution.problem.covariance, sleep.solution.problem.covariance.parameters([L]))
    (root,) = tangent.factors
    np.testing.assert_allclose(root @ root.T, L @ L.T, atol=1e-15)
    rank = np.linalg.matrix_rank(L)
    assert len(tangent) == 2 * rank - rank * (rank - 1) // 2
    for k in range(len(tangent)):
        (step,) = tangent.moved(k, 1e-3)
        assert np.linalg.matrix_rank(step, tol=1e-12) == rank
        assert abs(step @ step.T - L @ L.T).max() > 1e-4  # no direction is idle


# --- behaviour ----------------------------------------------------------------------------------


def test_type_one_error_is_held_where_the_normal_approximation_rejects_too_often():
    """Replicates are refitted together; that they say what each fit says is looked at for the first ones."""
    rng, table = np.random.default_rng(5), balanced(np.random.default_rng(5), J=8, n=4)
    Y = np.column_stack([balanced(rng, J=8, n=4)["y"] for _ in range(400)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = gl.lmer("y ~ treated + (1 | g)", table)
        single = [fit.refit(y) for y in Y[:, :10].T]
    many = fit.refit_many(Y)
    p_t, p_z = many.pvalues()["treated"], many.pvalues("z")["treated"]
    np.testing.assert_allclose(p_t[:10], [one.pvalues["treated"] for one in single], rtol=1e-3)
    np.testing.assert_allclose(
        p_z[:10], [gl.coef_tests(one, "z").loc["treated", "p"] for one in single], rtol=1e-3
    )
    t, z = (p_t < 0.05).mean(), (p_z < 0.05).mean()
    assert abs(t - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)
    assert z > 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_wald_intervals_invert_the_t_tests(sleep):
    interval = sleep.conf_int(level=0.9)
    for name, end in (("Intercept", "lower"), ("Days", "upper")):
        row = np.eye(2)[[list(sleep.params.index).index(name)]]
        test = gl.wald_test(sleep, f"{name} = {interval.loc[name, end]!r}".replace("np.float64", ""))
        assert test.p == pytest.approx(0.1, rel=1e-6)
        assert (row == test.L).all()
    assert sleep.conf_int(parm="Days").index.tolist() == ["Days"]
    z = sleep.conf_int(ddf="z").loc["Days"]
    np.testing.assert_allclose(
        z, sleep.params["Days"] + np.array([-1, 1]) * stats.norm.ppf(0.975) * sleep.bse["Days"]
    )


@pytest.mark.parametrize(
    ("name", "formula", "data"),
    [
        ("confint_sleep_rs", "Reaction ~ Days + (Days | Subject)", "sleepstudy"),
        ("confint_orthodont_ri", "distance ~ age + Sex + (1 | Subject)", "Orthodont"),
        ("confint_pastes_nested", "strength ~ 1 + (1 | batch/cask)", "Pastes"),
        ("confint_cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "cbpp"),
    ],
)
def test_wald_z_intervals_are_those_of_lme4(name, formula, data):
    expected = reference.extra(name)
    options = {"family": "binomial"} if data == "cbpp" else {"reml": False}
    fit = (gl.glmer if data == "cbpp" else gl.lmer)(formula, reference.data(data), **options)
    wald = expected["wald95"]
    rows = [i for i, lower in enumerate(wald["lower"]) if lower is not None]
    assert len(rows) == len(fit.params)
    interval = fit.conf_int(ddf="z")
    # lme4's standard errors of a generalised model rest on a numerical Hessian
    rtol = 1e-4 if data == "cbpp" else 1e-6
    np.testing.assert_allclose(interval["lower"], [wald["lower"][i] for i in rows], rtol=rtol)
    np.testing.assert_allclose(interval["upper"], [wald["upper"][i] for i in rows], rtol=rtol)


def test_generalised_models_are_tested_by_z():
    fit = gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )
    assert np.isinf(fit.df).all()
    np.testing.assert_allclose(fit.pvalues, 2 * stats.norm.sf(abs(fit.params / fit.bse)), rtol=1e-9)
    pd.testing.assert_frame_equal(fit.conf_int(), fit.conf_int(ddf="z"))


@pytest.mark.parametrize(
    ("contrast", "L", "hypothesis"),
    [
        ("Days", [[0, 1]], "Days = 0"),
        ("2*Intercept - Days/4 = 3 + Days", [[2, -1.25]], "2*Intercept - 1.25*Days = 3"),
        ("-(Intercept - 1e2) = 0", [[-1, 0]], "-Intercept = -100"),
        ({"Days": 1, "Intercept": -1}, [[-1, 1]], "-Intercept + Days = 0"),
        ([0.0, 2.0], [[0, 2]], "2*Days = 0"),
        ("Days = Intercept", [[-1, 1]], "-Intercept + Days = 0"),
    ],
)
def test_contrasts_in_every_spelling(sleep, contrast, L, hypothesis):
    test = gl.wald_test(sleep, contrast)
    np.testing.assert_array_equal(test.L, L)
    assert test.hypotheses == (hypothesis,)
    assert hypothesis in str(test) and "H0" in str(test)


def test_contrasts_of_factors_and_interactions_by_name():
    fit = gl.lmer("score ~ Machine + (1 | Worker)", reference.data("Machines"))
    by_name, by_term = gl.wald_test(fit, "Machine[T.B] = 0; Machine[T.C] = 0"), gl.wald_test(fit, "Machine")
    np.testing.assert_array_equal(by_name.L, by_term.L)
    table = gl.anova(fit).table.loc["Machine"]
    assert (by_term.statistic, by_term.p) == pytest.approx((table["F"], table["p"]))
    assert by_term.kind == "F" and "all at once: F(2, " in str(by_term)
    interaction = gl.lmer("distance ~ age * Sex + (1 | Subject)", reference.data("Orthodont"))
    name = next(n for n in interaction.params.index if ":" in n)
    assert gl.wald_test(interaction, f"{name} + age = 0.5").L.tolist() == [[0, 1, 0, 1]]


def test_a_joint_test_does_not_depend_on_how_the_hypothesis_is_written(sleep):
    one = gl.wald_test(sleep, ["Intercept = 250", "Days = 10"], ddf="kenward-roger")
    other = gl.wald_test(sleep, ["Intercept + Days = 260", "Days = 10"], ddf="kenward-roger")
    assert (one.statistic, *one.df) == pytest.approx((other.statistic, *other.df), rel=1e-9)


def test_several_rows_with_normal_tests_are_chi_square(sleep):
    test = gl.wald_test(sleep, [[1, 0], [0, 1]], ddf="z")
    b, C = sleep.params.to_numpy(), sleep.cov_params().to_numpy()
    assert test.kind == "chi2" and test.statistic == pytest.approx(b @ np.linalg.solve(C, b))


def test_a_model_without_fixed_effects_has_nothing_to_test():
    fit = gl.lmer("Yield ~ 0 + (1 | Batch)", gl.load("Dyestuff"))
    assert len(fit.df) == len(fit.pvalues) == len(fit.conf_int()) == 0


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda f: gl.wald_test(f, "Dayz = 0"),
            "'Dayz' is not a coefficient of the fixed effects (did you mean 'Days'?)",
        ),
        (lambda f: gl.wald_test(f, {"Day": 1}), "'Day' is not a coefficient"),
        (lambda f: gl.wald_test(f, "Days * Days = 0"), "'Days * Days = 0' is not a linear expression"),
        (lambda f: gl.wald_test(f, "1 / Days"), "is not a linear expression"),
        (lambda f: gl.wald_test(f, "Days = 0 = Intercept"), "one equals sign"),
        (lambda f: gl.wald_test(f, "Days - Days"), "has no coefficient in it"),
        (lambda f: gl.wald_test(f, ["Days", "2*Days = 3"]), "linearly dependent"),
        (lambda f: gl.wald_test(f, [1, 2, 3]), "one finite number for each of the 2 coefficients"),
        (lambda f: gl.wald_test(f, object()), "a text, a dict or an array of numbers"),
        (lambda f: gl.coef_tests(f, "residual"), "'satterthwaite', 'kenward-roger' or 'z', not 'residual'"),
        (lambda f: f.conf_int(level=95), "between 0 and 1"),
        (lambda f: f.conf_int(method="magic"), "there is no method 'magic' for intervals"),
        (lambda f: f.conf_int(parm="sigma"), "Wald intervals are for fixed effects only"),
        (lambda f: gl.anova(f, type=4), "type is 1, 2 or 3"),
        (lambda f: gl.anova(), "anova needs a fit"),
    ],
)
def test_refusals(sleep, call, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        call(sleep)


def test_kenward_roger_refuses_maximum_likelihood(sleep):
    with pytest.raises(ModelError, match="defined for REML fits"):
        gl.coef_tests(sleep.update(reml=False), "kenward-roger")


def test_kenward_roger_says_when_crossed_factors_are_too_large(monkeypatch):
    monkeypatch.setattr(kenward_roger, "LARGEST_BLOCK", 20)
    fit = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    with pytest.raises(ModelError, match=re.escape("over the 30 random effects that hang together")):
        gl.coef_tests(fit, "kenward-roger")


def test_degrees_of_freedom_are_refused_to_generalised_models():
    fit = gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )
    with pytest.raises(ModelError, match="belong to linear mixed models"):
        gl.coef_tests(fit, "satterthwaite")


def test_type_three_is_undefined_where_cells_are_empty():
    table = reference.data("Machines")
    table["day"] = np.where(np.arange(len(table)) % 2, "a", "b")
    table = table[~((table["Machine"] == "B") & (table["day"] == "a"))]
    with pytest.warns(RankDeficientWarning):
        fit = gl.lmer("score ~ Machine * day + (1 | Worker)", table)
    tests = gl.anova(fit)
    assert tests.table.loc[["Machine", "day"]].isna().all(axis=None)
    assert "Machine, day: an average over cells" in str(tests)
    assert tests.table.loc["Machine:day", "df_num"] == 1
    assert gl.anova(fit, type=2).table["df_num"].tolist() == [2, 1, 1]
