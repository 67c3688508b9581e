"""Odd arguments: every public function and method, every parameter, with values that a person may type.

The values are those of ``fuzz_values``. Every call is made with arguments that work, all but one.
"""

import inspect
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from fuzz_outcomes import Task
from fuzz_values import KINDS, USUAL

matplotlib.use("Agg")

import matplotlib.pyplot as plt

import glmmlib as gl

FOLDER = tempfile.TemporaryDirectory()  # what calls write goes with the program
FILE = str(Path(FOLDER.name) / "fit.glmm")


def example(seed=1):
    """Sixty rows with everything the models below need."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(10), 6)
    d = pd.DataFrame(
        {"g": [f"g{k}" for k in g], "h": [f"h{k}" for k in rng.integers(0, 5, 60)], "x": rng.normal(size=60)}
    )
    d["f"] = np.tile(list("abc"), 20)
    u, v = rng.normal(size=10), rng.normal(size=10)
    eta = 0.5 + 0.5 * d["x"] + 0.8 * u[g] + 0.4 * v[g] * d["x"]
    d["y"] = eta + rng.normal(size=60)
    d["b"] = (rng.uniform(size=60) < 1 / (1 + np.exp(-eta))).astype(int)
    d["k"] = rng.poisson(np.exp(eta))
    d["p"] = np.exp(eta) * rng.gamma(2, 0.5, 60)
    d["w"] = rng.uniform(0.5, 2.0, 60)
    d["t"] = rng.uniform(1, 5, 60)
    return d


class Fits:
    """The fits that calls are made on, made once."""

    def __init__(self):
        d = self.data = example()
        self.slope = gl.lmer("y ~ x + (x | g)", d)
        self.ml = gl.lmer("y ~ x + (1 | g)", d, reml=False)
        self.smaller = gl.lmer("y ~ 1 + (1 | g)", d, reml=False)
        self.factor = gl.lmer("y ~ f * x + (1 | g)", d)
        self.crossed = gl.lmer("y ~ x + (1 | g) + (1 | h)", d, weights="w")
        self.binomial = gl.glmer("b ~ x + (1 | g)", d, family="binomial")
        self.poisson = gl.glmer("k ~ x + offset(log(t)) + (1 | g)", d, family="poisson")
        self.negbinomial = gl.glmer("k ~ f + x + (1 | g)", d, family="negbinomial")
        self.gamma = gl.glmer("p ~ x + (1 | g)", d, family="gamma")
        self.linear = [self.slope, self.crossed, self.factor]
        self.any = [self.slope, self.crossed, self.binomial, self.negbinomial]


@dataclass(frozen=True)
class Call:
    """A function with valid arguments, and the kind of each parameter that may be spoiled."""

    name: str
    function: object
    valid: dict
    spoiled: str  # "parameter:kind", or the parameter alone where USUAL knows its kind

    @property
    def kinds(self):
        pairs = (word.partition(":") for word in self.spoiled.split())
        return {parameter: kind or USUAL[parameter] for parameter, _, kind in pairs}


# fmt: off
def fit_calls(fits):
    """Functions of a fit, on fits of several kinds."""
    rng = np.random.default_rng
    for k, fit in enumerate(fits.any):
        tag = f"[{k}]"
        G = "group"
        place = {"at": {"x": 0.0}} if k == 0 else {}
        yield Call("coef_tests" + tag, gl.coef_tests, {"fit": fit}, "fit ddf")
        yield Call("wald_test" + tag, gl.wald_test, {"fit": fit, "contrast": "x"}, "fit contrast:contrast ddf")
        yield Call("anova" + tag, lambda fit, **o: gl.anova(fit, **o), {"fit": fit}, "fit type:ss_type ddf refit bootstrap:count rng")
        yield Call("means" + tag, gl.means, {"fit": fit, "by": "x", "at": {"x": [0.0, 1.0]}}, "fit by:column at kind level ddf")
        yield Call("profile" + tag, gl.profile, {"fit": fit, "parm": "x"}, "fit parm level")
        yield Call("icc" + tag, gl.icc, {"fit": fit} | place, "fit at kind group scale")
        yield Call("icc_conf_int" + tag, gl.icc_conf_int, {"fit": fit, "n": 400, "rng": rng(1)} | place, "fit kind group scale level n rng")
        yield Call("r2" + tag, gl.r2, {"fit": fit}, "fit scale")
        yield Call("between_variance" + tag, gl.between_variance, {"fit": fit}, "fit at group")
        yield Call("correlation" + tag, gl.correlation, {"fit": fit, "x1": 0.0, "x2": 1.0}, "fit x1:place x2:place group")
        yield Call("shrinkage" + tag, gl.shrinkage, {"fit": fit, G: "g"}, "fit group")
        yield Call("conditional_aic" + tag, gl.conditional_aic, {"fit": fit}, "fit")
        yield Call("posterior" + tag, gl.posterior, {"fit": fit, "draws": 400, "rng": rng(1)}, "fit fixef:prior sd:prior corr:prior sigma:prior dispersion:prior draws:count rng")
        yield Call("median_odds_ratio" + tag, gl.median_odds_ratio, {"fit": fit}, "fit")
        yield Call("check" + tag, gl.check, {"fit": fit, "n": 99, "rng": rng(1)}, "fit n rng")
        yield Call("simulated_residuals" + tag, gl.simulated_residuals, {"fit": fit, "n": 20, "rng": rng(1)}, "fit n rng conditional")
        yield Call("influence" + tag, gl.influence, {"fit": fit, G: "g", "n_refits": 1}, "fit group n_refits:refits")
        average = "by:column level kind re_form:choice newdata:data weights offset ddf nonsense"
        yield Call("comparisons" + tag, gl.comparisons, {"fit": fit, "variables": "x"}, "fit variables:column change:choice " + average)
        yield Call("slopes" + tag, gl.slopes, {"fit": fit, "variables": "x"}, "fit variables:column " + average)
        yield Call("robust" + tag, gl.robust, {"fit": fit}, "fit cluster:column kind level nonsense")
        yield Call("semivariogram" + tag, gl.semivariogram, {"residuals": fit, "coords": "t"}, "residuals:fit coords:column n_bins:count max_distance:positive within:column")
        yield Call("cross_validate" + tag, gl.cross_validate, {"fit": fit, G: "g", "n_folds": 2, "rng": rng(1)}, "fit group n_folds:folds rng nonsense")
        yield Call("save" + tag, fit.save, {"path": FILE}, "path:file")
        yield Call("report" + tag, gl.report, {"fit": fit}, "fit level method ddf nonsense")
        yield Call("tidy" + tag, gl.tidy, {"fit": fit}, "fit conf_int:bool effects:choice level method nonsense")
        yield Call("glance" + tag, gl.glance, {"fit": fit}, "fit")
        yield Call("augment" + tag, gl.augment, {"fit": fit}, "fit")
        yield Call("compare" + tag, lambda fit, other: gl.compare(fit, other), {"fit": fit, "other": fit}, "fit other:fit")
        yield Call("predict" + tag, fit.predict, {"newdata": fits.data}, "newdata:data re_form:choice kind allow_new_levels:bool interval:choice level offset weights")
        yield Call("predict, interval" + tag, fit.predict, {"interval": "confidence"}, "re_form:choice level kind")
        yield Call("conf_int" + tag, fit.conf_int, {}, "level method parm nonsense ddf n")
        yield Call("conf_int, profile" + tag, fit.conf_int, {"method": "profile", "parm": "x"}, "level parm nonsense")
        yield Call("conf_int, bootstrap" + tag, fit.conf_int, {"method": "bootstrap", "n": 400, "rng": rng(1)}, "kind parm n rng statistic nonsense")
        yield Call("bootstrap" + tag, fit.bootstrap, {"n": 5, "rng": rng(1)}, "n statistic rng")
        yield Call("simulate_fit" + tag, fit.simulate, {"n": 2, "rng": rng(1)}, "n rng conditional")
        yield Call("ranef" + tag, fit.ranef, {}, "cond_sd:bool error_sd:bool")
        yield Call("summary" + tag, fit.summary, {}, "ddf")
        yield Call("refit" + tag, fit.refit, {"y": fit.design.y}, "y:vector")
        yield Call("refit_many" + tag, fit.refit_many, {"Y": np.column_stack([fit.design.y] * 2)}, "Y:responses")
        yield Call("update" + tag, fit.update, {"formula": "~ ."}, "formula data nonsense weights offset na_action")
        yield from plot_calls(tag, fit)


def plot_calls(tag, fit):
    p = gl.plots
    yield Call("plots.caterpillar" + tag, p.caterpillar, {"fit": fit, "group": "g"}, "fit group effect:column level ax")
    yield Call("plots.group_lines" + tag, p.group_lines, {"fit": fit, "x": "x", "group": "g"}, "fit x highlight colours group labels:bool kind ax")
    yield Call("plots.icc_curve" + tag, p.icc_curve, {"fit": fit, "x": "x"}, "fit x group scale rng n level ax")
    yield Call("plots.ingredients" + tag, p.ingredients, {"fit": fit, "x": "x", "level": fit.groups[0].levels[0], "at": 0.0}, "fit x level:column at:number ax")
    yield Call("plots.likelihood_surface" + tag, p.likelihood_surface, {"fit": fit}, "fit path:bool start:theta x y ax")
    yield Call("plots.profile" + tag, p.profile, {"fit": fit, "parm": "x"}, "fit parm levels:levels ax")
    yield Call("plots.shrinkage_arrows" + tag, p.shrinkage_arrows, {"fit": fit, "group": "g"}, "fit group effect:column ax")
    yield Call("plots.variance_function" + tag, p.variance_function, {"fit": fit, "x": "x"}, "fit x group ax")
    yield Call("plots.simple_effect" + tag, p.simple_effect, {"fit": fit, "effect": "x", "product": "x", "x": [0.0, 1.0]}, "fit effect:column product:column x:values level ax")


def other_calls(fits):
    """Functions of data, of two fits, of results."""
    rng, d, p = np.random.default_rng, fits.data, gl.plots
    common = "formula data offset na_action nonsense weights "
    yield Call("lmer", gl.lmer, {"formula": "y ~ x + (1 | g)", "data": d}, common + "reml:bool")
    for family, y in (("binomial", "b"), ("poisson", "k"), ("gamma", "p"), ("negbinomial", "k")):
        yield Call(f"glmer, {family}", gl.glmer, {"formula": f"{y} ~ x + (1 | g)", "data": d, "family": family}, common + "family link n_agq:count")
    yield Call("simulate", gl.simulate, {"formula": "y ~ x + (1 | g)", "data": d, "fixef": {"Intercept": 0.0, "x": 1.0}, "sd": {"g": 1.0}, "sigma": 1.0, "rng": rng(1)}, "formula:drawn_formula data fixef:fixef sd:sd corr:corrs sigma:positive family:any_family link dispersion:positive weights offset n rng")
    study = {"formula": "y ~ x + (1 | g)", "groups": [6], "group_sizes": [4], "fixef": {"Intercept": 0.0, "x": 1.0}, "test": "x", "sd": {"g": 1.0}, "sigma": 1.0, "covariates": {"x": "within"}, "n": 20, "rng": rng(1)}
    yield Call("power", gl.power, study, "formula:drawn_formula groups:counts group_sizes:counts fixef:fixef test:column sd:sd corr:corrs sigma:positive family:any_family link covariates:sd n alpha:level ddf rng")
    two = lambda m0, m1, **o: gl.anova(m0, m1, **o)  # noqa: E731
    yield Call("anova, two fits", two, {"m0": fits.smaller, "m1": fits.ml}, "m0:fit m1:fit refit type:ss_type ddf bootstrap:count rng")
    yield Call("bootstrap_test", gl.bootstrap_test, {"m0": fits.smaller, "m1": fits.ml, "n": 20, "rng": rng(1)}, "m0:fit m1:fit n rng refit")
    yield Call("exact_rlrt", gl.exact_rlrt, {"fit": gl.lmer("y ~ x + (1 | g)", d), "n": 50, "rng": rng(1)}, "fit n rng")
    yield Call("design_effect", gl.design_effect, {"icc": 0.1, "n": 5}, "icc:icc n:positive")
    for name in ("load", "codebook", "load_truth"):
        yield Call(name, getattr(gl, name), {"name": "exam"}, "name:dataset")
    curve = gl.lmer("y ~ s(x, k=5) + (1 | g)", d)
    yield Call("smooths", gl.smooths, {"fit": curve}, "fit")
    yield Call("smooth_curve", gl.smooth_curve, {"fit": curve, "at": [0.0, 1.0]}, "fit name:column at:values level")
    yield Call("plots.smooth", p.smooth, {"fit": curve, "at": [0.0, 1.0]}, "fit name:column at:values level ax")
    fits.ml.save(FILE)
    yield Call("load_fit", gl.load_fit, {"path": FILE}, "path:file functions:prior")
    yield Call("fit.objective", fits.slope.objective, {"theta": [1.0, 0.0, 1.0]}, "theta:theta")
    yield Call("fit.with_criterion", fits.slope.with_criterion, {"reml": False}, "reml:bool")
    yield Call("fit.exp_table", fits.binomial.exp_table, {}, "level")
    yield Call("means.differences", gl.means(fits.negbinomial, "f").differences, {}, "within:column adjust:choice")
    yield Call("refits.pvalues", fits.ml.refit_many(fits.ml.simulate(3, rng=rng(1))).pvalues, {}, "ddf")
    yield Call("profile.conf_int", gl.profile(fits.ml, "x").conf_int, {}, "level parm")
    yield Call("bootstrap.conf_int", fits.ml.bootstrap(400, rng=rng(1)).conf_int, {}, "level parm kind")
    yield Call("icc.conf_int", gl.icc(fits.ml).conf_int, {"n": 400, "rng": rng(1)}, "level n rng")
    yield Call("r2.conf_int", gl.r2(fits.ml).conf_int, {"n": 400, "rng": rng(1)}, "level n rng")
    simulated = gl.simulated_residuals(fits.ml, n=20, rng=rng(1))
    yield Call("residuals.autocorrelation", simulated.autocorrelation, {"order": "x", "n": 20, "rng": rng(1)}, "order:column within:column n rng")
    yield Call("check.plot", gl.check(fits.ml, n=99, rng=rng(1)).plot, {}, "ax")
    yield Call("plots.residual_panel", p.residual_panel, {"residuals": simulated}, "residuals:fit x ax")
    yield Call("plots.residuals_by_group", p.residuals_by_group, {"residuals": fits.ml.resid, "groups": d["g"]}, "residuals:fit groups:column ax")
    xy = {"data": d, "x": "x", "y": "y"}
    yield Call("plots.binned_share", p.binned_share, xy | {"y": "b"}, "data x y bins:count ax")
    yield Call("plots.group_scatter", p.group_scatter, xy | {"group": "g"}, "data x y group highlight colours ax")
    yield Call("plots.own_lines", p.own_lines, xy | {"group": "g"}, "data x y group highlight colours ax")
    yield Call("plots.group_strips", p.group_strips, {"data": d, "y": "y", "group": "g"}, "data y group ax")
    yield Call("plots.fan", p.fan, {"slope": 1.0, "sd": (1.0, 0.5), "corr": 0.2}, "slope:number sd:pair corr:corr intercept:number x:range groups:count highlight:refits ax")
    yield Call("plots.type_one_curve", p.type_one_curve, {"icc": 0.3, "group_size": 10, "n_groups": 8}, "icc:icc group_size:positive n_groups:positive ax")
    table = gl.power(**study)
    yield Call("plots.power_map", p.power_map, {"table": table}, "table:data value:column wanted:level ax")
    yield from result_calls(fits)
    yield from slider_calls()


def result_calls(fits):
    """Methods of what functions return, those that the calls above leave out."""
    rng, d = np.random.default_rng, fits.data
    yield Call("datasets", gl.datasets, {}, "")
    draws = gl.posterior(fits.ml, draws=400, rng=rng(1))
    yield Call("posterior.summary", draws.summary, {}, "level")
    yield Call("posterior.ranef", draws.ranef, {}, "level")
    yield Call("posterior.probability", draws.probability, {"claim": "x > 0"}, "claim:contrast")
    yield Call("posterior.sensitivity", draws.sensitivity, {}, "factors:factors level")
    yield Call("posterior.prior_predictive", draws.prior_predictive, {"n": 20, "rng": rng(1)}, "n rng")
    yield Call("posterior.predict", draws.predict, {"newdata": d.head(), "rng": rng(1)}, "newdata:data re_form:choice kind allow_new_levels:bool interval:choice level offset weights rng")
    yield Call("posterior.to_arviz", draws.to_arviz, {}, "")
    clustered = gl.robust(fits.slope, cluster="g")
    yield Call("robust.wald_test", clustered.wald_test, {"contrast": "x"}, "contrast:contrast")
    folds = gl.cross_validate(fits.slope, n_folds=2, rng=rng(1))
    yield Call("cross_validation.difference", folds.difference, {"other": gl.cross_validate(fits.crossed, group="g", n_folds=2, rng=rng(1))}, "other:fit")
    yield Call("means.differences, within", gl.means(fits.factor, ["f", "x"], at={"x": [0.0, 1.0]}).differences, {"within": "x"}, "within:column adjust:choice")
    yield Call("fit.simulate, new rows", fits.ml.simulate, {"n": 2, "rng": rng(1), "newdata": d.head()}, "n rng newdata:data weights offset conditional")
    yield Call("fit.coef", fits.slope.coef, {}, "")
    yield Call("fit.cov_params", fits.slope.cov_params, {}, "")
    yield Call("semivariogram, numbers", gl.semivariogram, {"residuals": d["y"].to_numpy(), "coords": d["t"].to_numpy()}, "residuals:vector coords:vector within:labels")
    yield Call("plots.residual_panel, covariate", gl.plots.residual_panel, {"residuals": gl.simulated_residuals(fits.ml, n=20, rng=rng(1)), "x": "x"}, "x")


# fmt: on


def slider_calls():
    import glmmlib.sliders as sliders

    for name in sliders.__all__:
        function = getattr(sliders, name)
        yield Call(
            f"sliders.{name}",
            function,
            {},
            " ".join(
                f"{p}:{'pair' if p == 'sd' and name == 'moving_zero' else 'number'}"
                for p in inspect.signature(function).parameters
            ),
        )


def trials(quick=False):
    """(name, call, arguments, is nonsense, allowed exceptions) for every spoiled call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = Fits()
        calls = [*fit_calls(fits), *other_calls(fits)]
    for number, call in enumerate(calls):
        for parameter, kind in call.kinds.items():
            for k, value in enumerate([*KINDS[kind].nonsense, *KINDS[kind].doubtful]):
                if quick and (number + k) % 9:
                    continue
                allowed = {"unknown": (TypeError,), "file": (OSError,)}.get(kind, ())
                nonsense = k < len(KINDS[kind].nonsense) and not is_default(call.function, parameter, value)
                yield call, parameter, value, nonsense, allowed


def is_default(function, parameter, value):
    """Is the value what the function takes by itself?"""
    found = inspect.signature(function).parameters.get(parameter)
    return value is None and (found is None or found.default is None)


def shown(value):
    text = value.__name__ if callable(value) and hasattr(value, "__name__") else repr(value)
    text = " ".join(text.split())
    return text if len(text) < 40 else f"{type(value).__name__} {text[:24]}..."


def tasks(quick=False, seconds=5.0):
    """All spoiled calls; a valid call must answer, or the trial would prove nothing."""
    sound = {}
    for call, parameter, value, nonsense, allowed in trials(quick):
        if call.name not in sound:
            whole = Task("arguments", call.name, partial(call.function, **call.valid), 30.0)
            sound[call.name] = not call.valid or whole.attempt().ending == "answered"
        what = f"{call.name}({parameter}={shown(value)})"
        action = partial(call.function, **(call.valid | {parameter: value}))
        patience = seconds if nonsense else 6 * seconds  # what is no nonsense may be long work
        yield Task("arguments", what, action, patience, nonsense and sound[call.name], allowed)
        plt.close("all")
