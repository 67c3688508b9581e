"""Smooth curves s(x): against mgcv, in every room, and their mistakes."""

import json
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design import smooths as smooth_design
from glmmlib.errors import DataError, FormulaError, ModelError
from glmmlib.linalg.splines import CubicSpline

REFERENCE = Path(__file__).parents[1] / "reference"
R = json.loads((REFERENCE / "extras" / "smooths.json").read_text())
FROGS = "presence ~ s(depth, k=8) + (1 | region)"
BIRDS = (
    "count ~ s(season, k=8, bs='cc', knots=(0.5, 12.5)) + s(temperature, k=6) + offset(np.log(minutes)) "
    "+ (1 | site)"
)


def motor():
    return pd.read_csv(REFERENCE / "data" / "mcycle.csv")


def birds():
    return gl.load("birds").assign(season=lambda d: (d["month"] - 1) % 12 + 1)


@cache
def motor_fit():
    return gl.lmer("accel ~ s(times, k=20)", motor())


@cache
def sleep_fit():
    return gl.lmer("Reaction ~ s(Days, k=8) + (Days | Subject)", gl.load("sleepstudy"))


@cache
def birds_fit():
    return gl.glmer(BIRDS, birds(), family="poisson")


@cache
def by_fit():
    data = pd.read_csv(REFERENCE / "data" / "curves.csv")
    return gl.lmer("y ~ arm + s(x, by=arm, k=8) + (x | g)", data)


FITS = {"motor": motor_fit, "sleep": sleep_fit, "birds": birds_fit, "by": by_fit}


@pytest.fixture(params=FITS)
def fit(request):
    return FITS[request.param]()


def mgcv_split(spline, x, bends, has_line, weight):
    """Split line and bends as mgcv does: in the space of coefficients whose curve sums to zero."""
    total = spline.values(x).sum(axis=0)
    Q = np.linalg.qr(total[:, None], mode="complete")[0][:, 1:]
    values, vectors = np.linalg.eigh(Q.T @ spline.S @ Q)
    q = bends.shape[1]
    return Q @ vectors[:, -q:] / np.sqrt(values[-q:]), np.zeros((1 + has_line, q))


# --- splines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_cyclic", [False, True])
def test_a_spline_has_its_values_and_penalty(is_cyclic):
    knots = np.array([0.0, 0.7, 1.1, 2.5, 3.0])
    spline = CubicSpline.over(knots, is_cyclic)
    m = spline.S.shape[0]
    beta = np.random.default_rng(1).normal(size=m)
    np.testing.assert_allclose(spline.values(knots[:m]) @ beta, beta, atol=1e-12)
    x, h = np.linspace(0.0, 3.0, 200_001)[1:-1], 1e-4
    second = (spline.values(x + h) - 2 * spline.values(x) + spline.values(x - h)) @ beta / h**2
    assert np.mean(second**2) * 3.0 == pytest.approx(beta @ spline.S @ beta, rel=1e-3)
    if is_cyclic:
        np.testing.assert_allclose(spline.values(x + 3.0), spline.values(x), atol=1e-9)
    else:
        beyond = spline.values(np.array([-2.0, -1.0, 0.0, 3.0, 4.0, 5.0])) @ beta
        np.testing.assert_allclose(np.diff(beyond)[[0, 3]], np.diff(beyond)[[1, 4]], atol=1e-12)
        near = spline.values(np.array([3.0 - h, 3.0, 3.0 + h])) @ beta
        assert near[1] - near[0] == pytest.approx(near[2] - near[1], abs=1e-7)


# --- against R ----------------------------------------------------------------------------------------


def invariant(fit):
    return fit.deviance - np.linalg.slogdet(fit.X.T @ fit.X)[1]


def test_restricted_likelihood_is_that_of_mgcv_s_basis():
    assert invariant(motor_fit()) == pytest.approx(R["motor"]["invariant"], abs=1e-6)
    assert invariant(sleep_fit()) == pytest.approx(R["sleepstudy"]["invariant"], abs=1e-6)
    assert invariant(by_fit()) == pytest.approx(R["curves"]["invariant"], abs=1e-6)
    numbers = gl.lmer("accel ~ z + s(times, by=z, k=8)", motor().assign(z=lambda d: np.sqrt(d["times"])))
    assert invariant(numbers) == pytest.approx(R["numbers"]["invariant"], abs=1e-6)


def test_curve_intervals_and_degrees_of_freedom_are_mgcv_s():
    found, expected = motor_fit().predict({"times": R["mcycle"]["at"]}, interval="confidence"), R["mcycle"]
    se = (found["upper"] - found["lower"]) / (2 * 1.959963984540054)
    np.testing.assert_allclose(found["estimate"], expected["fit"], atol=2e-4)
    np.testing.assert_allclose(se, expected["se"], rtol=1e-5)
    assert gl.smooths(motor_fit()).loc["s(times)", "edf"] == pytest.approx(expected["edf"], abs=1e-4)


@pytest.mark.parametrize(("name", "family"), [("frogs", "binomial"), ("birds", "poisson")])
def test_maximum_likelihood_with_mgcv_s_split_is_lme4_s(name, family, monkeypatch):
    monkeypatch.setattr(smooth_design, "split_from_line", mgcv_split)
    formula, data = (FROGS, gl.load("frogs")) if name == "frogs" else (BIRDS, birds())
    fit = gl.glmer(formula, data, family=family)
    assert fit.deviance == pytest.approx(R[name]["criterion"], abs=1e-5)
    assert fit.deviance < R[name]["criterion"] + 1e-7


@pytest.mark.parametrize("split", ["own", "mgcv"])
def test_restricted_likelihood_knows_no_split(split, monkeypatch):
    if split == "mgcv":
        monkeypatch.setattr(smooth_design, "split_from_line", mgcv_split)
    fit = gl.lmer("accel ~ s(times, k=20)", motor())
    assert invariant(fit) == pytest.approx(R["motor"]["invariant"], abs=1e-6)


# --- what must not matter ------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
def test_units_and_order_do_not_matter(reml):
    data = motor()
    fit = gl.lmer("accel ~ s(times, k=20)", data, reml=reml)
    other = gl.lmer("accel ~ s(t, k=20)", data.assign(t=data["times"] * 60.0 - 7.0), reml=reml)
    assert other.deviance - (2 * np.log(60.0) if reml else 0) == pytest.approx(fit.deviance, abs=1e-6)
    np.testing.assert_allclose(other.fittedvalues, fit.fittedvalues, atol=1e-4)
    shuffled = gl.lmer("accel ~ s(times, k=20)", data.sample(frac=1.0, random_state=1), reml=reml)
    assert shuffled.deviance == pytest.approx(fit.deviance, abs=1e-7)


def test_the_line_may_stand_in_the_formula_too():
    data = motor()
    fit = gl.lmer("accel ~ times + s(times, k=20)", data)
    assert list(fit.params.index) == ["Intercept", "times"]
    assert fit.deviance == pytest.approx(motor_fit().deviance, abs=1e-8)


def test_a_straight_truth_is_fitted_by_a_line_without_a_warning(recwarn):
    rng = np.random.default_rng(3)
    x = np.linspace(0, 1, 60)
    data = pd.DataFrame({"x": x, "y": 1 + x + 0.1 * np.sin(40 * np.arange(60)), "g": np.arange(60) % 6})
    fit = gl.lmer("y ~ s(x) + (1 | g)", data.assign(y=data["y"] + rng.normal(size=6)[data["g"]]))
    assert not any("s(x)" in str(w.message) for w in recwarn)
    assert not fit.is_singular
    assert 1.0 - 1e-9 <= gl.smooths(fit).loc["s(x)", "edf"] < 2.0


# --- by= ----------------------------------------------------------------------------------------------


def test_the_order_of_the_levels_does_not_matter():
    data = pd.read_csv(REFERENCE / "data" / "curves.csv")
    turned = data.assign(arm=pd.Categorical(data["arm"], ["B", "A"]))
    other = gl.lmer("y ~ arm + s(x, by=arm, k=8) + (x | g)", turned)
    assert other.deviance == pytest.approx(by_fit().deviance, abs=1e-7)
    for level in "AB":
        curves = [gl.smooth_curve(fit, f"s(x):arm[{level}]") for fit in (by_fit(), other)]
        np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "values",
    [[True, False], [2.5, 7.5], ["x", "y"], pd.Categorical(["b", "a"], ["b", "a"]), [1, 2]],
    ids=["bools", "numbers", "text", "categories", "whole numbers"],
)
def test_what_a_curve_may_go_by(values):
    data = motor()
    data["f"] = np.asarray(values)[np.arange(len(data)) % 2]
    fit = gl.lmer("accel ~ f + s(times, by=f, k=8)", data)
    is_factor = not isinstance(values[0], int | float) or isinstance(values[0], bool)
    assert len(gl.smooths(fit)) == (2 if is_factor else 1)
    new = data.head(4)
    np.testing.assert_allclose(fit.predict(new), fit.fittedvalues.head(4))
    for name in gl.smooths(fit).index:
        assert np.isfinite(gl.smooth_curve(fit, name)).all(axis=None)
    assert np.isfinite(fit.refit(data["accel"] + 1.0).deviance)


def test_rows_without_trials_leave_one_curve_for_each_level():
    data = pd.DataFrame({"x": np.linspace(0, 1, 120), "f": list("ab") * 60, "m": 10})
    data["k"] = np.random.default_rng(2).binomial(10, 0.4, 120)
    none = pd.concat([data, data.head(4).assign(k=0, m=0)], ignore_index=True)
    fits = [gl.glmer("cbind(k, m - k) ~ f + s(x, by=f, k=5)", d, "binomial") for d in (data, none)]
    assert list(gl.smooths(fits[1]).index) == ["s(x):f[a]", "s(x):f[b]"]
    assert fits[1].deviance == pytest.approx(fits[0].deviance, abs=1e-7)


def test_a_curve_by_ones_is_the_curve():
    data = motor().assign(one=1.0)
    by = gl.lmer("accel ~ 0 + one + s(times, by=one, k=20)", data)
    assert by.deviance == pytest.approx(motor_fit().deviance, abs=1e-7)
    at = [5.0, 30.0]
    np.testing.assert_allclose(
        gl.smooth_curve(by, at=at)[["estimate", "se"]],
        gl.smooth_curve(motor_fit(), at=at)[["estimate", "se"]],
        rtol=1e-5,
    )


# --- curves for each group ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_random_curves_of_nlme_s_bends_have_its_likelihood(method, monkeypatch):
    def as_they_are(spline, x, bends, has_line, weight):
        return bends, np.zeros((1 + has_line, bends.shape[1]))

    data = pd.read_csv(REFERENCE / "data" / "curves.csv")
    own = gl.lmer("y ~ arm * x + (s(x, k=6) | g)", data, reml=method == "REML")
    monkeypatch.setattr(smooth_design, "split_from_line", as_they_are)
    fit = gl.lmer("y ~ arm * x + (s(x, k=6) | g)", data, reml=method == "REML")
    assert fit.deviance == pytest.approx(R["random_curves"][method], abs=1e-6)
    assert own.deviance < fit.deviance - 5  # bends cleared of the line are another model


def test_a_random_curve_is_a_random_line_and_random_bends():
    data = pd.read_csv(REFERENCE / "data" / "curves.csv")
    short = gl.lmer("y ~ s(x, k=8) + (s(x, k=6) | g)", data)
    long = gl.lmer("y ~ s(x, k=8) + (x | g) + bends(0 + x | g, k=6)", data)
    assert short.deviance == pytest.approx(long.deviance, abs=1e-9)
    np.testing.assert_allclose(short.predict(data.head(20)), short.fittedvalues.head(20))
    new = short.predict(data.head(3).assign(g="new"), allow_new_levels=True)
    np.testing.assert_allclose(new, short.predict(data.head(3), re_form="~0"))
    count = data.assign(n=np.random.default_rng(1).poisson(np.exp(1 + data["y"])))
    assert np.isfinite(gl.glmer("n ~ x + (s(x, k=5) | g)", count, family="poisson").deviance)


# --- rooms --------------------------------------------------------------------------------------------


def test_predictions_hold_the_curve_whatever_the_groups(fit):
    typical = fit.predict(re_form="~0", kind="link")
    curves = sum(
        modes[:, 0] @ g.factor.Z
        for g, modes in zip(fit.groups, fit.solution.modes, strict=True)
        if g.is_curve
    )
    offset = 0.0 if fit.design.offset is None else fit.design.offset
    np.testing.assert_allclose(typical, fit.X @ fit.params + offset + curves, rtol=1e-9)
    names = " + ".join(dict.fromkeys(t.text for g in fit.groups for t in g.terms if g.is_curve))
    np.testing.assert_allclose(fit.predict(re_form=f"~ {names}", kind="link"), typical)
    marginal = fit.predict(re_form="marginal", kind="link")
    if fit.is_linear:
        np.testing.assert_allclose(marginal, typical)
    else:  # a normal intercept of one variance shifts the mean of a log link by half of it
        half = 0.5 * fit.varcorr["site"].sd["Intercept"] ** 2
        np.testing.assert_allclose(marginal - typical, half, rtol=1e-9)


def test_simulated_responses_share_the_curve(fit):
    mean = fit.simulate(3000, np.random.default_rng(4)).mean(axis=1)
    target = fit.predict(re_form="marginal").to_numpy()
    draws = fit.simulate(200, np.random.default_rng(5))
    assert np.abs((mean - target) / (draws.std(axis=1) / np.sqrt(3000))).max() < 6.0


def test_curves_are_no_groups(fit):
    curves = {g.name for g in fit.groups if g.is_curve}
    assert curves and not curves & set(fit.ngroups) and not curves & set(fit.ranef())
    assert not curves & set(fit.coef()) and "s(" not in repr(fit).split(";")[-1]
    assert set(gl.smooths(fit).index) == curves
    if fit.ngroups:
        assert set(gl.influence(fit, n_refits=0).table.index.get_level_values("group")) == set(fit.ngroups)


def test_the_curve_is_the_prediction_but_for_its_mean():
    at = [2.4, 20.0, 57.6, 80.0]
    curve = gl.smooth_curve(motor_fit(), at=at)
    shift = motor_fit().predict({"times": at}) - curve["estimate"]
    np.testing.assert_allclose(shift, motor()["accel"].mean(), atol=1e-6)
    everywhere = gl.smooth_curve(motor_fit(), at=motor()["times"])
    assert everywhere["estimate"].mean() == pytest.approx(0.0, abs=1e-8)
    wide = gl.smooth_curve(motor_fit(), at=at, level=0.99)
    assert (wide["upper"] > curve["upper"]).all() and (wide["se"] == curve["se"]).all()


def test_a_cyclic_curve_meets_itself():
    ends = gl.smooth_curve(birds_fit(), "s(season)", at=[0.5, 12.5, 3.0, 15.0])
    np.testing.assert_allclose(ends["estimate"].iloc[::2], ends["estimate"].iloc[1::2], atol=1e-9)
    np.testing.assert_allclose(ends["se"].iloc[::2], ends["se"].iloc[1::2], atol=1e-9)


def test_pointwise_intervals_cover_on_average():
    rng = np.random.default_rng(6)
    x = np.sort(rng.uniform(size=100))
    truth = np.sin(2 * np.pi * x)
    data = pd.DataFrame({"x": x, "y": truth})
    fit = gl.lmer("y ~ s(x)", data.assign(y=truth + 0.4 * rng.normal(size=100)))
    covered = []
    for _ in range(60):
        again = fit.refit(truth + 0.4 * rng.normal(size=100))
        band = again.predict(interval="confidence")
        covered.append(((band["lower"] < truth) & (truth < band["upper"])).mean())
    assert 0.91 < np.mean(covered) < 0.985


def test_what_people_read_tells_of_the_curve(fit):
    summary, report = str(fit.summary()), gl.report(fit).text
    for name in gl.smooths(fit).index:
        assert name in summary and name in report
        ax = gl.plots.smooth(fit, name, ax=plt.figure().add_subplot())
        assert name in ax.get_ylabel() and len(ax.lines) == 2
    assert "effective degrees of freedom" in summary and "With one unit more" not in report
    plt.close("all")


def test_too_few_knots_are_told():
    fit = gl.lmer("accel ~ s(times, k=5)", motor())
    assert "knots allow: try a" in str(fit.summary()) and "knots allow" not in str(motor_fit().summary())


def test_update_takes_a_curve_away_and_adds_one():
    fit = sleep_fit().update(". ~ . - s(Days, k=8)")
    assert fit.formula == "Reaction ~ 1 + (Days | Subject)"
    assert fit.update(". ~ . + s(Days, k=8)").deviance == pytest.approx(sleep_fit().deviance, abs=1e-8)


def test_models_with_and_without_a_curve_are_compared_by_aic_or_simulation():
    data = motor()
    line, curve = (
        gl.glmer(f"hot ~ {x} + (1 | g)", hot(data), family="binomial") for x in ("times", "s(times, k=6)")
    )
    test = gl.anova(line, curve)
    assert np.isnan(test.table["p"].iloc[1]) and "bootstrap=1000" in test.distributions["m1"]
    assert len(gl.compare(line, curve).table) == 2
    more = gl.glmer("hot ~ z + s(times, k=6) + (1 | g)", hot(data), family="binomial")
    assert gl.anova(curve, more).table["df"].iloc[1] == 1


def hot(data):
    rng = np.random.default_rng(7)
    return data.assign(
        hot=(data["accel"] > 0) * 1, g=rng.integers(0, 8, len(data)), z=rng.normal(size=len(data))
    )


REFUSED = {
    "shrinkage": gl.shrinkage,
    "robust": gl.robust,
    "exact test": gl.exact_rlrt,
}


@pytest.mark.parametrize("room", REFUSED)
def test_what_is_not_there_yet_says_so(room):
    with pytest.raises(ModelError, match=r"model with curves \(s\(Days\)\)"):
        REFUSED[room](sleep_fit())


def test_simulate_from_parameters_refuses_a_curve():
    with pytest.raises(ModelError, match="model with curves"):
        gl.simulate(
            "y ~ s(x)",
            {"x": np.arange(20.0)},
            fixef={"Intercept": 0, "x": 1},
            sigma=1.0,
            rng=np.random.default_rng(1),
        )


def test_a_fit_without_curves_has_none_to_tell():
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    for room in (gl.smooths, gl.smooth_curve, gl.plots.smooth):
        with pytest.raises(ModelError, match="no smooth curve"):
            room(fit)
    with pytest.raises(ModelError, match=r"s\(season\), s\(temperature\)"):
        gl.smooth_curve(birds_fit())


# --- mistakes -----------------------------------------------------------------------------------------

MISTAKES = {
    "y ~ f * s(x) + (1 | g)": (FormulaError, "stands on its own"),
    "y ~ x - s(x) + (1 | g)": (FormulaError, "stands on its own"),
    "y ~ s(x, z)": (FormulaError, "smooths one column"),
    "y ~ s()": (FormulaError, "smooths one column"),
    "y ~ s(x, by=f + g)": (FormulaError, "names a column"),
    "y ~ s(x, by='f')": (FormulaError, "names a column"),
    "y ~ f + s(x, by=nothing) + (1 | g)": (DataError, "nothing"),
    "y ~ f + s(x, by=f) + s(x, by=f, k=5)": (FormulaError, "a second time"),
    "y ~ (x + s(x) | g)": (FormulaError, "stands alone before its bar"),
    "y ~ (s(x, by=f) | g)": (FormulaError, "have no by="),
    "y ~ us(s(x) | g)": (FormulaError, "without us"),
    "y ~ (s(x, k=3) | g)": (FormulaError, "whole number from 4"),
    "y ~ bends(0 + x | g, k=3)": (FormulaError, "whole number from 4"),
    "y ~ bends(0 + f | g)": (ModelError, "one column of numbers"),
    "y ~ (s(few) | g)": (DataError, "distinct values"),
    "y ~ s(x | g)": (FormulaError, "means nothing"),
    "y ~ s(x, k=3)": (FormulaError, "whole number from 4"),
    "y ~ s(x, k=10.0)": (FormulaError, "whole number from 4"),
    "y ~ s(x, bs='tp')": (FormulaError, "'cr'"),
    "y ~ s(x, fx=True)": (FormulaError, "no option 'fx'"),
    "y ~ s(x, k=z)": (FormulaError, "is written out"),
    "y ~ s(x, knots=(3, 2, 1, 0))": (FormulaError, "increasing numbers"),
    "y ~ s(x) + s(x, k=5)": (FormulaError, "a second time"),
    "y ~ s(f) + (1 | g)": (ModelError, "one column of numbers"),
    "y ~ s(few) + (1 | g)": (DataError, "distinct values"),
    "y ~ s(x, knots=(0, 1, 2, 3)) + (1 | g)": (DataError, "outer knots"),
    "y ~ s(x, bs='cc', knots=(0, 3)) + (1 | g)": (DataError, "ends of the period"),
}


@pytest.mark.parametrize("formula", MISTAKES)
def test_mistakes_are_told(formula):
    kind, words = MISTAKES[formula]
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"x": np.arange(30.0), "z": rng.normal(size=30), "y": rng.normal(size=30)})
    data = data.assign(f=list("abc") * 10, g=np.arange(30) % 5, few=np.arange(30) % 3)
    with pytest.raises(kind, match=words):
        gl.lmer(formula, data)


def test_a_function_of_the_caller_s_is_not_shadowed_in_silence():
    data = pd.DataFrame({"x": np.arange(30.0), "y": np.sin(np.arange(30.0)), "g": np.arange(30) % 5})
    with pytest.raises(ModelError, match="another name"):
        gl.lmer("y ~ s(x) + (1 | g)", data, functions={"s": np.sin})


@pytest.mark.parametrize(
    "room", [gl.influence, gl.plots.caterpillar, lambda fit: gl.plots.group_lines(fit, "times")]
)
def test_rooms_of_groups_refuse_a_fit_without_any(room):
    with pytest.raises(ModelError, match="model with curves"):
        room(motor_fit())


def test_a_check_of_curves_alone_looks_at_no_groups():
    names = [line.name for line in gl.check(motor_fit(), n=99, rng=np.random.default_rng(9)).lines]
    assert "singularity" in names and "influence" not in names
