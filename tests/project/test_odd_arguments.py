"""No option is swallowed, and a wrong argument ends in a sentence."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibError, GlmmlibWarning, ModelError


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(10), 6)
    d = pd.DataFrame({"g": [f"g{k}" for k in g], "x": rng.normal(size=60), "f": np.tile(list("abc"), 20)})
    eta = 0.5 + 0.5 * d["x"] + 0.8 * rng.normal(size=10)[g]
    d["y"] = eta + rng.normal(size=60)
    d["k"] = rng.poisson(np.exp(eta))
    d["b"] = (rng.uniform(size=60) < 1 / (1 + np.exp(-eta))).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return {
            "data": d,
            "file": tmp_path_factory.mktemp("odd") / "fit.glmm",
            "lmm": gl.lmer("y ~ f + x + (1 | g)", d),
            "ml": gl.lmer("y ~ x + (1 | g)", d, reml=False),
            "slope": gl.lmer("y ~ x + (x | g)", d),
            "small": gl.lmer("y ~ 1 + (1 | g)", d, reml=False),
            "poisson": gl.glmer("k ~ x + (1 | g)", d, family="poisson"),
            "binomial": gl.glmer("b ~ x + (1 | g)", d, family="binomial"),
        }


def seeded():
    return np.random.default_rng(1)


SWALLOWED = {
    "lmer reml text": lambda f: gl.lmer("y ~ x + (1 | g)", f["data"], reml="ML"),
    "lmer reml False text": lambda f: gl.lmer("y ~ x + (1 | g)", f["data"], reml="False"),
    "lmer reml number": lambda f: gl.lmer("y ~ x + (1 | g)", f["data"], reml=7),
    "with_criterion text": lambda f: f["ml"].with_criterion("REML"),
    "update reml text": lambda f: f["ml"].update(reml="ML"),
    "tidy level alone": lambda f: gl.tidy(f["lmm"], level=7),
    "tidy level text": lambda f: gl.tidy(f["lmm"], conf_int=True, level="95%"),
    "tidy conf_int text": lambda f: gl.tidy(f["lmm"], conf_int="no"),
    "tidy method": lambda f: gl.tidy(f["lmm"], method="nonsense"),
    "tidy effects": lambda f: gl.tidy(f["lmm"], effects="nonsense"),
    "anova two fits, type and ddf": lambda f: gl.anova(f["small"], f["ml"], type=99, ddf="nope"),
    "anova two fits, type": lambda f: gl.anova(f["small"], f["ml"], type=99),
    "anova two fits, ddf": lambda f: gl.anova(f["small"], f["ml"], ddf="nope"),
    "anova one fit, bootstrap": lambda f: gl.anova(f["lmm"], bootstrap=-1),
    "anova refit text": lambda f: gl.anova(f["small"], f["ml"], refit="no"),
    "design effect below zero": lambda f: gl.design_effect(-1, 5),
    "design effect nan": lambda f: gl.design_effect(0.1, np.nan),
    "design effect both": lambda f: gl.design_effect(-1, np.nan),
    "predict weights without interval": lambda f: f["lmm"].predict(f["data"], weights=np.ones(60)),
    "predict weights nonsense": lambda f: f["lmm"].predict(f["data"], weights="no such"),
    "predict level nonsense": lambda f: f["lmm"].predict(level=7),
    "predict allow_new_levels text": lambda f: f["lmm"].predict(f["data"], allow_new_levels="False"),
    "icc at text": lambda f: gl.icc(f["lmm"], at="nonsense"),
    "icc at unknown": lambda f: gl.icc(f["lmm"], at={"nox": 1.0}),
    "ranef text": lambda f: f["lmm"].ranef(cond_sd="yes"),
    "simulate conditional text": lambda f: f["lmm"].simulate(rng=seeded(), conditional="False"),
    "residuals conditional": lambda f: gl.simulated_residuals(f["lmm"], rng=seeded(), conditional="no"),
    "caterpillar level": lambda f: gl.plots.caterpillar(f["lmm"], level=1.5),
    "influence n_refits": lambda f: gl.influence(f["lmm"], n_refits=-1),
    "power unknown response": lambda f: gl.power(
        "noy", groups=[6], group_sizes=[4], fixef={"Intercept": 0.0}, test="x", rng=seeded()
    ),
    "conf_int wald, n": lambda f: f["lmm"].conf_int(n=10),
    "glmer n_agq True": lambda f: gl.glmer("k ~ x + (1 | g)", f["data"], "poisson", n_agq=True),
    "bootstrap_test refit": lambda f: gl.bootstrap_test(f["small"], f["ml"], n=20, rng=seeded(), refit=2),
}  # fmt: skip


@pytest.mark.parametrize("what", SWALLOWED)
def test_nothing_is_swallowed(what, fits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        with pytest.raises(GlmmlibError):
            SWALLOWED[what](fits)


@pytest.mark.parametrize(
    "fit, option",
    [
        *(("lmm", option) for option in ("family", "link", "n_agq", "dispersion", "zi", "nonsense")),
        *(("poisson", option) for option in ("reml", "residual", "sigma", "nonsense")),
    ],
)
def test_an_update_has_the_options_of_its_model(fits, fit, option):
    with pytest.raises(ModelError, match=f"takes no '{option}'"):
        fits[fit].update(**{option: 1})


@pytest.mark.parametrize("option", ["family", "link", "na_action"])
@pytest.mark.parametrize("value", [["a"], {}, np.ones(2), np.zeros((3, 0)), pd.Series([1.0]), pd.DataFrame()])
def test_a_choice_is_no_table(fits, option, value):
    with pytest.raises(ModelError, match=f"{option} is one of its choices"):
        fits["poisson"].update(**{option: value})


def gl_of(name):
    return lambda fits, value: getattr(gl, name)(value)


def residuals(fits):
    return gl.simulated_residuals(fits["ml"], n=20, rng=seeded())


def saved(fits):
    fits["ml"].save(fits["file"])
    return fits["file"]


ODD = {
    "name of a file to write": [(lambda f, v: f["ml"].save(v)), None, "", ".", 1.5, [], {}, b"x", object()],
    "name of a file to read": [(lambda f, v: gl.load_fit(v)), None, "", ".", 1.5, [], {}, b"x", object()],
    "distance": [(lambda f, v: gl.semivariogram(f["ml"], "x", max_distance=v)), "1", -1, 0, [], {}, 1j, True],
    "values along an axis": [
        (lambda f, v: gl.plots.likelihood_surface(f["ml"], x=v)),
        *("no", 3, True, np.nan, [], [1, 1], [2, 1], ["a", "b"], np.ones((2, 2)), {}, [1, np.inf]),
    ],
    "sigmas along an axis": [(lambda f, v: gl.plots.likelihood_surface(f["ml"], y=v)), [-1, 1], [0, 1]],
    "path of a surface": [(lambda f, v: gl.plots.likelihood_surface(f["ml"], path=v)), "no", 2, [], None],
    "place without a value": [
        (lambda f, v: gl.between_variance(f["slope"], at=v)),
        *({"x": []}, [], np.zeros(0), {"x": pd.Series(dtype=float)}),
    ],
    "place of no covariate": [(lambda f, v: gl.between_variance(f["ml"], at=v)), True, "no", [True]],
    "one of two places": [(lambda f, v: gl.correlation(f["slope"], 1.0, v)), [], {"x": []}],
    "conf_int bootstrap parm": [
        (lambda f, v: f["lmm"].conf_int(method="bootstrap", n=10**7, rng=1, parm=v)),
        *("no such", "", ["x", "no"], 3),
    ],
    "conf_int bootstrap rng": [(lambda f, v: f["lmm"].conf_int(method="bootstrap", n=10**7, rng=v)), None],
    "conf_int bootstrap level": [
        (lambda f, v: f["lmm"].conf_int(method="bootstrap", n=v, rng=1, level=1 - 1e-7)),
        10**6,
    ],
    "tidy effects": [(lambda f, v: gl.tidy(f["lmm"], effects=v)), 3, np.nan, True, object()],
    "conf_int wald n": [(lambda f, v: f["lmm"].conf_int(n=v)), 0, 2.5, None, [10]],
    "conf_int wald nonsense": [(lambda f, v: f["lmm"].conf_int(nonsense=v)), 0],
    "conf_int bootstrap kind": [
        (lambda f, v: f["lmm"].conf_int(method="bootstrap", n=10**7, rng=1, kind=v)),
        np.ones(2),
        ["basic"],
        3,
    ],
    "summary ddf": [(lambda f, v: f["lmm"].summary(ddf=v)), np.ones(2), ["z"], 3],
    "contrast weight": [(lambda f, v: gl.wald_test(f["lmm"], {"x": v})), "a", np.nan, [1], None],
    "anova rng": [(lambda f, v: gl.anova(f["lmm"], rng=v)), "seed", 1.5, -1, {}, np.nan, object(), "1"],
    "simulate n": [(lambda f, v: f["lmm"].simulate(v, rng=1)), True, 0, 1.5],
    "highlight": [
        (lambda f, v: gl.plots.group_lines(f["ml"], "x", highlight=v)),
        "",
        3,
        np.nan,
        True,
        object(),
        {"g1": "red"},
    ],
    "colours": [
        (lambda f, v: gl.plots.group_lines(f["ml"], "x", highlight=["g1"], colours=v)),
        "red",
        3,
        True,
        ["red", "blue"],
    ],
    "colours of scattered groups": [
        (lambda f, v: gl.plots.group_scatter(f["data"], "x", "y", "g", highlight=["g1"], colours=v)),
        3,
        ["red", "blue"],
    ],
    "colours of own lines": [
        (lambda f, v: gl.plots.own_lines(f["data"], "x", "y", "g", highlight=["g1"], colours=v)),
        3,
        ["red", "blue"],
    ],
    "design effect icc": [
        (lambda f, v: gl.design_effect(v, 5)),
        "x",
        [],
        [[1], [2, 3]],
        object(),
        10**400,
        2.0,
    ],
    "design effect n": [
        (lambda f, v: gl.design_effect(0.1, v)),
        *("big", [], [[1], [2, 3]], object(), 10**400, np.inf, 0, 1j, b"x"),
    ],
    "design effect shapes": [(lambda f, v: gl.design_effect([0.1, 0.2], v)), [1, 2, 3]],
    "codebook": [gl_of("codebook"), {}, [1], None, np.ones(2), pd.NA, b"x"],
    "load": [gl_of("load"), {}, [1], None, np.ones(2), pd.NA],
    "truth": [gl_of("load_truth"), {}, [1], None, np.ones(2)],
    "functions of a file": [(lambda f, v: gl.load_fit(saved(f), functions=v)), 3, [], "f", {1: 2}, {"f": 3}],
    "file with a null": [(lambda f, v: f["ml"].save(v)), "a\0b"],
    "objective": [
        (lambda f, v: f["ml"].objective(v)),
        *(np.nan, np.inf, "x", None, object(), [1.0, 2.0], {}, [[1], [2, 3]], ["a"], 10**400),
    ],
    "differences within": [
        (lambda f, v: gl.means(f["lmm"], "f").differences(within=v)),
        *(object(), 1j, [], {}, ["no"], "no", pd.NaT, np.array(2), [[1]], True),
    ],
    "differences adjust": [
        (lambda f, v: gl.means(f["lmm"], "f").differences(adjust=v)),
        [1],
        {},
        np.ones(2),
        pd.NA,
    ],
    "order of residuals": [
        (lambda f, v: residuals(f).autocorrelation(v, rng=1)),
        *({}, [1], np.ones(2), None, 3, object(), pd.NA, "no"),
    ],
    "series of residuals": [
        (lambda f, v: residuals(f).autocorrelation("x", within=v, rng=1)),
        *({}, [1], np.ones(2), 3, object(), pd.NA, "no"),
    ],
    "permutations": [
        (lambda f, v: residuals(f).autocorrelation("x", n=v, rng=1)),
        *(-100, 0, True, 2.5, "many", None, 10**400, np.nan),
    ],
    "pairs of a semivariogram": [
        (lambda f, v: gl.semivariogram(f["ml"], "x", within=v)),
        *({}, {1j}, [[1]] * 60, np.full(60, np.nan), [None] * 60, 3, object(), "no", np.ones((60, 2))),
    ],
    "places of a semivariogram": [
        (lambda f, v: gl.semivariogram(f["ml"].resid, v)),
        *({}, ["a"] * 60, np.full(60, np.nan), np.ones((60, 2, 2)), object(), 10**400, "x", None),
    ],
    "clusters": [(lambda f, v: gl.robust(f["lmm"], v)), {1j}, frozenset("x"), {}, [[1]] * 60, [None] * 60, 3],
    "covariate of a panel": [
        (lambda f, v: gl.plots.residual_panel(residuals(f), v)),
        *({}, [1], np.ones(60), 3, object(), pd.NA, "no", "g"),
    ],
    "axes of a panel": [
        (lambda f, v: gl.plots.residual_panel(residuals(f), ax=v)),
        *(range(3), [1, 2, 3], "axe", {}, [[1], [2, 3]], object(), np.ones(3)),
    ],
    "SDs of a fan": [
        (lambda f, v: gl.plots.fan(1.0, v, 0.2)),
        *("no", 1.0, [1], [1, 2, 3], [-1, 1], [np.nan, 1], {}, object(), None, np.ones((2, 2)), [1, "a"]),
    ],
    "correlation of a fan": [
        (lambda f, v: gl.plots.fan(1.0, (1, 1), v)),
        "no",
        1.5,
        np.nan,
        None,
        [1],
        1j,
        {},
    ],
    "ends of a fan": [
        (lambda f, v: gl.plots.fan(1.0, (1, 1), 0.2, x=v)),
        [],
        [1],
        [1, 2, 3],
        "no",
        [np.nan, 1],
        {},
        3,
    ],
    "lines of a fan": [
        (lambda f, v: gl.plots.fan(1.0, (1, 1), 0.2, groups=v)),
        *(0, -1, 2, 2.5, True, "no", None, 10**400, [3], 10**9),
    ],
    "green lines of a fan": [
        (lambda f, v: gl.plots.fan(1.0, (1, 1), 0.2, highlight=v)),
        *(-1, 25, 2.5, True, "no", None, [3], b"x", 10**400),
    ],
    "icc of a curve": [
        (lambda f, v: gl.plots.type_one_curve(v, 10, 8)),
        *("no", -0.1, 1.5, np.nan, None, [0.1, 0.3], 1j, {}, object()),
    ],
    "group size of a curve": [
        (lambda f, v: gl.plots.type_one_curve(0.3, v, 8)),
        *("no", 0, -1, 2.5, np.nan, None, [1], 1j, {}, object(), True),
    ],
    "groups of a curve": [
        (lambda f, v: gl.plots.type_one_curve(0.3, 10, v)),
        *("no", 0, 1, -1, 2.5, np.nan, None, [1], 1j, {}, object(), True),
    ],
    "place of ingredients": [
        (lambda f, v: gl.plots.ingredients(f["binomial"], "x", "g1", v)),
        *("no", 1j, np.nan, None, np.ones(2), {}, object(), 10**400),
    ],
    "data of a picture": [
        (lambda f, v: gl.plots.group_strips(v, "y", "g")),
        *(None, 3, 1j, {}, "data", np.ones((2, 2)), object()),
    ],
    "numbers of a picture": [(lambda f, v: gl.plots.own_lines(f["data"], "x", v, "g")), "g", "f"],
    "numbers of strips": [(lambda f, v: gl.plots.group_strips(f["data"], v, "g")), "g", "f"],
    "highlighted": [
        (lambda f, v: gl.plots.group_scatter(f["data"], "x", "y", "g", highlight=v)),
        *([[1], [2, 3]], np.array(2), np.ma.masked, {}, "g1", 3),
    ],
    "draws of an exact test": [
        (lambda f, v: gl.exact_rlrt(gl.lmer("y ~ x + (1 | g)", f["data"]), n=v, rng=1)),
        *(True, 0, -1, 2.5, "many", None, 10**400),
    ],
    "points of a curve": [
        (lambda f, v: gl.smooth_curve(gl.lmer("y ~ s(x, k=5) + (1 | g)", f["data"]), at=v)),
        *("no", object(), 1j, {}, [[1], [2, 3]], [np.nan], 10**400),
    ],
    "start of a surface": [
        (lambda f, v: gl.plots.likelihood_surface(f["ml"], start=v)),
        *(["a"], [np.nan], [1, 2], {}, object(), [[1], [2, 3]], 10**400, "x"),
    ],
    "another cross-validation": [
        (lambda f, v: gl.cross_validate(f["ml"], n_folds=2, rng=1).difference(v)),
        *(None, 3, "x", {}, object(), b"x"),
    ],
    "degrees of freedom of refits": [
        (lambda f, v: f["ml"].refit_many(f["ml"].simulate(2, rng=1)).pvalues(v)),
        *([], {}, pd.Series(dtype=float), np.ones(2), pd.NA, "no"),
    ],
    "predictor": [(lambda f, v: gl.coef_tests(f["lmm"], predictor=v)), {}, [1], np.ones(2), "no", 3],
    "effects of a table": [(lambda f, v: gl.tidy(f["lmm"], effects=v)), [], (), np.zeros(0)],
    "factors of priors": [
        (lambda f, v: gl.posterior(f["ml"], draws=400, rng=1).sensitivity(v)),
        *(0, -1, np.nan, "x", [], {}, object(), 10**400, np.datetime64("2020-01-01")),
    ],
    "generator without streams": [
        (
            lambda f, v: gl.power(
                "~ x + (1 | g)",
                groups=[6],
                group_sizes=[4],
                fixef={"Intercept": 0.0, "x": 1.0},
                test="x",
                sd={"g": 1.0},
                sigma=1.0,
                covariates={"x": "within"},
                n=20,
                rng=v,
            )
        ),
        np.random.RandomState(1),
    ],
    "points of quadrature": [
        (lambda f, v: gl.glmer("k ~ x + (1 | g)", f["data"], "poisson", n_agq=v)),
        *(10**400, 10**6, 201, 0, 2.5, True, "9", None, [9]),
    ],
    "levels of a profile": [(lambda f, v: gl.plots.profile(f["small"], levels=v)), [], (), np.zeros(0)],
    "parameters of a profile": [(lambda f, v: gl.plots.profile(f["small"], parm=v)), [], ()],
    "values of a simple effect": [
        (lambda f, v: gl.plots.simple_effect(f["ml"], "x", "x", v)),
        "no",
        3,
        [],
        ["x"],
        object(),
        [np.nan],
    ],
    "product of a simple effect": [
        (lambda f, v: gl.plots.simple_effect(f["ml"], "x", v, [1.0])),
        np.ones(3),
        3,
    ],
}


@pytest.mark.parametrize("what", ODD)
def test_each_odd_value_ends_in_a_sentence(what, fits):
    ask, *values = ODD[what]
    for value in values:
        try:
            with pytest.raises(GlmmlibError):
                ask(fits, value)
        finally:
            plt.close("all")


NOT_A_FIT = [None, 3, "fit", "y ~ x + (1 | g)", [1], {}, pd.DataFrame({"y": [1.0]}), np.ones(2), gl.lmer]
TAKING_A_FIT = {
    "coef_tests": gl.coef_tests,
    "wald_test": lambda f: gl.wald_test(f, "x"),
    "anova": gl.anova,
    "anova two": lambda f: gl.anova(f, f),
    "means": lambda f: gl.means(f, "x"),
    "comparisons": gl.comparisons,
    "slopes": gl.slopes,
    "robust": gl.robust,
    "profile": gl.profile,
    "icc": gl.icc,
    "icc_conf_int": lambda f: gl.icc_conf_int(f, rng=seeded()),
    "r2": gl.r2,
    "between_variance": gl.between_variance,
    "correlation": gl.correlation,
    "shrinkage": gl.shrinkage,
    "conditional_aic": gl.conditional_aic,
    "median_odds_ratio": gl.median_odds_ratio,
    "posterior": lambda f: gl.posterior(f, rng=seeded()),
    "check": lambda f: gl.check(f, rng=seeded()),
    "simulated_residuals": lambda f: gl.simulated_residuals(f, rng=seeded()),
    "influence": gl.influence,
    "cross_validate": gl.cross_validate,
    "report": gl.report,
    "tidy": gl.tidy,
    "glance": gl.glance,
    "augment": gl.augment,
    "compare": lambda f: gl.compare(f, f),
    "exact_rlrt": lambda f: gl.exact_rlrt(f, rng=seeded()),
    "bootstrap_test": lambda f: gl.bootstrap_test(f, f, rng=seeded()),
    "plots.caterpillar": gl.plots.caterpillar,
    "plots.group_lines": lambda f: gl.plots.group_lines(f, "x"),
    "plots.icc_curve": gl.plots.icc_curve,
    "plots.ingredients": lambda f: gl.plots.ingredients(f, "x", "g1", 0.0),
    "plots.likelihood_surface": gl.plots.likelihood_surface,
    "plots.profile": gl.plots.profile,
    "plots.shrinkage_arrows": gl.plots.shrinkage_arrows,
    "plots.variance_function": gl.plots.variance_function,
    "plots.simple_effect": lambda f: gl.plots.simple_effect(f, "x", "x", "x"),
    "plots.residual_panel": gl.plots.residual_panel,
    "plots.residuals_by_group": lambda f: gl.plots.residuals_by_group(f, "g"),
}


@pytest.mark.parametrize("function", TAKING_A_FIT)
def test_what_is_no_fit_is_refused_in_words(function):
    for thing in NOT_A_FIT:
        try:
            with pytest.raises(GlmmlibError):
                TAKING_A_FIT[function](thing)
        finally:
            plt.close("all")


LEVELS = [0, 1, -0.5, 1.5, 95, np.nan, np.inf, "0.95", "95%", None, [0.9], {}, True, 1j]
TAKING_A_LEVEL = {
    "conf_int": lambda f, v: f["lmm"].conf_int(level=v),
    "conf_int profile": lambda f, v: f["ml"].conf_int(level=v, method="profile", parm="x"),
    "conf_int bootstrap": lambda f, v: f["ml"].conf_int(level=v, method="bootstrap", n=400, rng=seeded()),
    "predict": lambda f, v: f["lmm"].predict(interval="confidence", level=v),
    "means": lambda f, v: gl.means(f["lmm"], "f", level=v),
    "comparisons": lambda f, v: gl.comparisons(f["lmm"], level=v),
    "slopes": lambda f, v: gl.slopes(f["lmm"], level=v),
    "robust": lambda f, v: gl.robust(f["lmm"], level=v),
    "profile": lambda f, v: gl.profile(f["ml"], "x", level=v),
    "icc_conf_int": lambda f, v: gl.icc_conf_int(f["ml"], level=v, n=25, rng=seeded()),
    "r2.conf_int": lambda f, v: gl.r2(f["ml"]).conf_int(level=v, n=25, rng=seeded()),
    "report": lambda f, v: gl.report(f["lmm"], level=v),
    "tidy": lambda f, v: gl.tidy(f["lmm"], conf_int=True, level=v),
    "exp_table": lambda f, v: f["binomial"].exp_table(level=v),
    "caterpillar": lambda f, v: gl.plots.caterpillar(f["lmm"], level=v),
    "simple_effect": lambda f, v: gl.plots.simple_effect(f["ml"], "x", "x", "x", level=v),
    "plots.profile": lambda f, v: gl.plots.profile(f["ml"], "x", levels=(0.5, v)),
    "power alpha": lambda f, v: gl.power(
        "y ~ x + (1 | g)", groups=[6], group_sizes=[4], fixef={"Intercept": 0.0, "x": 1.0}, test="x",
        sd={"g": 1.0}, sigma=1.0, covariates={"x": "within"}, n=20, alpha=v, rng=seeded(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("function", TAKING_A_LEVEL)
def test_a_level_is_a_number_between_zero_and_one(function, fits):
    for value in LEVELS:
        try:
            with pytest.raises(GlmmlibError):
                TAKING_A_LEVEL[function](fits, value)
        finally:
            plt.close("all")


@pytest.mark.parametrize("axes", ["ax", 3, [1, 2]])
def test_axes_are_axes(axes, fits):
    d, lmm, ml = fits["data"], fits["lmm"], fits["ml"]
    simulated = gl.simulated_residuals(ml, n=20, rng=seeded())
    for draw in (
        lambda: gl.plots.caterpillar(lmm, ax=axes),
        lambda: gl.plots.group_lines(ml, "x", ax=axes),
        lambda: gl.plots.group_scatter(d, "x", "y", "g", ax=axes),
        lambda: gl.plots.group_strips(d, "y", "g", ax=axes),
        lambda: gl.plots.own_lines(d, "x", "y", "g", ax=axes),
        lambda: gl.plots.binned_share(d, "x", "b", ax=axes),
        lambda: gl.plots.icc_curve(gl.lmer("y ~ x + (x | g)", d), "x", ax=axes),
        lambda: gl.plots.likelihood_surface(gl.lmer("y ~ x + (x | g)", d), ax=axes),
        lambda: gl.plots.profile(ml, "x", ax=axes),
        lambda: gl.plots.residual_panel(simulated, ax=axes),
        lambda: gl.plots.residuals_by_group(simulated, d["g"], ax=axes),
        lambda: gl.plots.shrinkage_arrows(lmm, ax=axes),
        lambda: gl.plots.simple_effect(ml, "x", "x", "x", ax=axes),
        lambda: gl.plots.variance_function(gl.lmer("y ~ x + (x | g)", d), "x", ax=axes),
        lambda: gl.plots.fan(1.0, (1.0, 0.5), 0.2, ax=axes),
        lambda: gl.plots.type_one_curve([0.1, 0.3], 10, 8, ax=axes),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", GlmmlibWarning)
                with pytest.raises(GlmmlibError):
                    draw()
        finally:
            plt.close("all")


RNGS = [1, [1, 2, 3], np.random.default_rng(2)]


@pytest.mark.parametrize("rng", RNGS, ids=lambda r: type(r).__name__)
def test_rng_is_what_default_rng_accepts(rng, fits):
    fit = fits["ml"]
    fresh = np.random.default_rng(rng if not isinstance(rng, np.random.Generator) else 2)
    np.testing.assert_array_equal(fit.simulate(3, rng=rng), fit.simulate(3, rng=fresh))
    assert len(
        fit.bootstrap(3, rng=rng).estimates if hasattr(fit.bootstrap(3, rng=rng), "estimates") else [1]
    )
    gl.simulated_residuals(fit, n=20, rng=rng)
    gl.check(fit, n=99, rng=rng)
    gl.exact_rlrt(gl.lmer("y ~ x + (1 | g)", fits["data"]), n=100, rng=rng)
    gl.icc_conf_int(fit, n=400, rng=rng)
    gl.bootstrap_test(fits["small"], fit, n=20, rng=rng)
    gl.simulate(
        "y ~ x + (1 | g)", fits["data"], fixef={"Intercept": 0.0, "x": 1.0}, sd={"g": 1.0}, sigma=1.0, rng=rng
    )


@pytest.mark.parametrize("rng", ["seed", 1.5, -1, {}, np.random, object(), np.nan])
def test_rng_that_is_none(rng, fits):
    for ask in (
        lambda: fits["ml"].simulate(3, rng=rng),
        lambda: fits["ml"].bootstrap(3, rng=rng),
        lambda: gl.check(fits["ml"], rng=rng),
        lambda: gl.icc_conf_int(fits["ml"], rng=rng),
        lambda: gl.anova(fits["small"], fits["ml"], bootstrap=20, rng=rng),
        lambda: gl.bootstrap_test(fits["small"], fits["ml"], n=20, rng=rng),
    ):
        with pytest.raises(GlmmlibError):
            ask()


def fitful(fit):
    """Return one to seven numbers, by a digit of sigma."""
    return np.ones(1 + int(1e6 * abs(fit.sigma)) % 7)


STATISTICS = [
    *(3, "sd", [], {}, np.nan, lambda fit: "text", lambda fit: None, lambda fit: [1, "a"]),
    *(lambda: 1.0, lambda fit: 1 / 0, lambda fit: fit.no_such, lambda fit: [], lambda fit: {}, fitful),
]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_statistic_is_a_function_of_a_fit(statistic, fits):
    with pytest.raises(GlmmlibError):
        fits["ml"].bootstrap(5, statistic=statistic, rng=seeded())
    with pytest.raises(GlmmlibError):
        fits["ml"].conf_int(method="bootstrap", n=400, statistic=statistic, rng=seeded())


@pytest.mark.parametrize("value", [3, np.nan, True, {}, ["no such"], "no such", [3], np.ones(2)])
def test_names_of_columns_groups_and_parameters(value, fits):
    d, lmm, ml = fits["data"], fits["lmm"], fits["ml"]
    for ask in (
        lambda: gl.means(lmm, value),
        lambda: gl.comparisons(lmm, value),
        lambda: gl.comparisons(lmm, "x", by=value),
        lambda: gl.slopes(lmm, value),
        lambda: gl.robust(lmm, value),
        lambda: gl.icc(lmm, group=value),
        lambda: gl.shrinkage(lmm, group=value),
        lambda: gl.influence(lmm, group=value),
        lambda: gl.cross_validate(lmm, group=value),
        lambda: gl.semivariogram(lmm, value),
        lambda: gl.between_variance(lmm, group=value),
        lambda: gl.profile(ml, value),
        lambda: lmm.conf_int(parm=value),
        lambda: ml.conf_int(method="profile", parm=value),
        lambda: gl.plots.caterpillar(lmm, group=value),
        lambda: gl.plots.caterpillar(lmm, effect=value),
        lambda: gl.plots.group_lines(ml, value),
        lambda: gl.plots.group_lines(ml, "x", group=value),
        lambda: gl.plots.group_scatter(d, value, "y", "g"),
        lambda: gl.plots.group_scatter(d, "x", value, "g"),
        lambda: gl.plots.group_scatter(d, "x", "y", value),
        lambda: gl.plots.binned_share(d, value, "b"),
        lambda: gl.plots.own_lines(d, "x", "y", value),
        lambda: gl.plots.icc_curve(ml, value),
        lambda: gl.plots.simple_effect(ml, value, "x", "x"),
    ):
        try:
            with pytest.raises(GlmmlibError):
                ask()
        finally:
            plt.close("all")


R_CALLS = {
    "REML": lambda f: gl.lmer("y ~ x + (1 | g)", f["data"], REML=False),
    "nAGQ": lambda f: gl.glmer("k ~ x + (1 | g)", f["data"], "poisson", nAGQ=9),
    "control": lambda f: gl.lmer("y ~ x + (1 | g)", f["data"], control=None),
    "nsim": lambda f: f["ml"].simulate(nsim=3, rng=1),
    "condVar": lambda f: f["ml"].ranef(condVar=True),
    "se_fit": lambda f: f["ml"].predict(se_fit=True),
}


@pytest.mark.parametrize("name", R_CALLS)
def test_what_r_calls_otherwise_is_answered_with_its_name_here(name, fits):
    with pytest.raises(GlmmlibError, match=f"has no argument '{name}'; what R calls so is"):
        R_CALLS[name](fits)


def test_the_formula_comes_before_the_data(fits):
    for fit in (gl.lmer, lambda *args: gl.glmer(*args, "poisson")):
        with pytest.raises(GlmmlibError, match="before the data"):
            fit(fits["data"], "y ~ x + (1 | g)")


def test_a_warning_points_at_the_line_that_asked(fits):
    d = fits["data"].assign(h=np.arange(60) % 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gl.lmer("y ~ x + I(2 * x) + (1 | g)", d)
        gl.glmer("k ~ x + I(2 * x) + (1 | h)", d, "poisson")
    assert caught and {w.filename for w in caught} == {__file__}
