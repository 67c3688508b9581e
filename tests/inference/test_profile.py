"""Profile likelihood: lme4's intervals, the definition by refitting, exact gradients, the ends of ranges."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

import glmmlib as gl
from glmmlib.errors import ModelError, SingularFitWarning
from glmmlib.inference.profile.curve import Curve, trace
from glmmlib.inference.profile.deviances import held_parameters
from support import reference_values as reference

RANDOM_SLOPE = "Reaction ~ Days + (Days | Subject)"
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
MODELS = {  # name of the frozen intervals: data, formula, REML, position of our parameters in lme4's order
    "sleep_ri": ("sleepstudy", "Reaction ~ Days + (1 | Subject)", False, None),
    "sleep_rs": ("sleepstudy", RANDOM_SLOPE, False, None),
    "sleep_rs_remlfit": ("sleepstudy", RANDOM_SLOPE, True, None),
    "sleep_nocorr": ("sleepstudy", "Reaction ~ Days + (Days || Subject)", False, None),
    "dyestuff": ("Dyestuff", "Yield ~ 1 + (1 | Batch)", False, None),
    "dyestuff2": ("Dyestuff2", "Yield ~ 1 + (1 | Batch)", False, None),
    "penicillin": ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", False, None),
    "pastes_nested": ("Pastes", "strength ~ 1 + (1 | batch/cask)", False, [1, 0, 2, 3]),
    "machines_nested": ("Machines", "score ~ Machine + (1 | Worker/Machine)", False, [1, 0, 2, 3, 4, 5]),
    "orthodont_ri": ("Orthodont", "distance ~ age + Sex + (1 | Subject)", False, None),
}
LEVELS = {"ci95": 0.95, "ci90": 0.90, "ci50": 0.50}


def quiet(fit, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return fit(*arguments, **options)


@pytest.fixture(scope="module")
def sleep():
    return gl.lmer(RANDOM_SLOPE, gl.load("sleepstudy"), reml=False)


@pytest.fixture(scope="module")
def sleep_profile(sleep):
    return gl.profile(sleep)


@pytest.fixture(scope="module")
def cbpp():
    return gl.glmer(CBPP, gl.load("cbpp"), family="binomial")


@pytest.fixture(scope="module")
def dyestuff2():
    return quiet(gl.lmer, "Yield ~ 1 + (1 | Batch)", reference.data("Dyestuff2"), reml=False)


# --- against lme4 -------------------------------------------------------------------------------


def test_every_frozen_set_of_intervals_is_compared():
    frozen = {
        path.stem.removeprefix("confint_") for path in (reference.HERE / "extras").glob("confint_*.json")
    }
    assert frozen == {*MODELS, "cbpp"}


@pytest.mark.parametrize("name", MODELS)
def test_intervals_are_those_of_lme4(name):
    data, formula, reml, order = MODELS[name]
    frozen = reference.extra(f"confint_{name}")
    profile = gl.profile(quiet(gl.lmer, formula, reference.data(data), reml=reml))
    for key, level in LEVELS.items():
        table = profile.conf_int(level)
        theirs = pd.DataFrame({side: np.array(frozen[key][side], dtype=float) for side in ("lower", "upper")})
        theirs = theirs.iloc[order] if order else theirs
        theirs.index = table.index
        if (
            name == "dyestuff2"
        ):  # lme4 loses the curve of sigma where the variance is zero, and prints (0, NA)
            theirs, table = theirs.drop("sigma"), table.drop("sigma")
        np.testing.assert_allclose(table, theirs, rtol=1e-3, atol=1e-6)


def test_intervals_of_a_generalised_model_are_those_of_lme4(cbpp):
    frozen, profile = reference.extra("confint_cbpp"), gl.profile(cbpp)
    for key in ("ci95", "ci90"):
        theirs = np.transpose([frozen[key]["lower"], frozen[key]["upper"]])
        np.testing.assert_allclose(profile.conf_int(LEVELS[key]), theirs, rtol=1e-3)
    # At 50 % lme4 interpolates a curve that its inner tolerance has made wavy: it is off by up to 0.002 (next
    # test).


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_ends_for_a_coefficient_are_what_refitting_with_an_offset_says(cbpp, level):
    data = gl.load("cbpp")
    is_2, is_3, is_4 = ((data["period"].astype(str) == k).astype(float) for k in "234")
    table = data.assign(is_3=is_3, is_4=is_4)
    formula = "cbind(incidence, size - incidence) ~ is_3 + is_4 + (1 | herd)"
    for end in gl.profile(cbpp, "period[T.2]").conf_int(level).iloc[0]:
        held = gl.glmer(formula, table, family="binomial", offset=(end * is_2).to_numpy())
        assert np.sqrt(held.deviance - cbpp.deviance) == pytest.approx(-ndtri(0.5 * (1 - level)), abs=1e-6)


# --- closed forms and definitions ---------------------------------------------------------------


def test_the_ends_for_a_slope_are_what_refitting_with_an_offset_says(sleep, sleep_profile):
    data = gl.load("sleepstudy")
    for end in sleep_profile.conf_int(0.95).loc["Days"]:
        held = gl.lmer(
            "Reaction ~ 1 + (Days | Subject)", data, reml=False, offset=end * data["Days"].to_numpy()
        )
        assert held.deviance - sleep.deviance == pytest.approx(ndtri(0.975) ** 2, abs=1e-6)


def test_the_profile_of_a_balanced_one_way_layout_has_a_closed_form():
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False)
    profile = gl.profile(fit)
    y = fit.design.y.reshape(6, 5)
    within = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum()
    between = 5 * ((y.mean(axis=1) - y.mean()) ** 2).sum()

    def deviance(sd, s2):  # y has the eigenvalues s2 (24 times) and s2 + 5 sd^2 (6 times)
        wide = s2 + 5 * sd**2
        return 30 * np.log(2 * np.pi) + 24 * np.log(s2) + 6 * np.log(wide) + within / s2 + between / wide

    for side in profile.conf_int(0.95).loc["sd Batch.Intercept"]:
        s2 = fit.sigma**2 * np.linspace(0.5, 2.0, 60_001)
        assert deviance(side, s2).min() - fit.deviance == pytest.approx(ndtri(0.975) ** 2, abs=1e-5)
    for side in profile.conf_int(0.95).loc["sigma"]:
        sd = np.linspace(0.0, 200.0, 60_001)
        assert deviance(sd, side**2).min() - fit.deviance == pytest.approx(ndtri(0.975) ** 2, abs=1e-5)


MORE_MODELS = {
    "random slope": lambda: gl.lmer(RANDOM_SLOPE, gl.load("sleepstudy"), reml=False),
    "three effects": lambda: gl.lmer(
        "score ~ Machine + (Machine | Worker)", reference.data("Machines"), reml=False
    ),
    "nested": lambda: gl.lmer(
        "score ~ Machine + (1 | Worker/Machine)", reference.data("Machines"), reml=False
    ),
    "Laplace": lambda: gl.glmer(CBPP, gl.load("cbpp"), family="binomial"),
    "quadrature of two effects": lambda: gl.glmer(
        "k_sqrt ~ x + (x | g)", reference.data("sim_positive"), family="poisson", n_agq=3
    ),
    "dispersion": lambda: gl.glmer("y ~ lage + (1 | subject)", reference.data("epil"), family="negbinomial"),
}


@pytest.mark.parametrize("name", MORE_MODELS)
def test_every_held_parameter_has_the_deviance_of_the_fit_and_exact_derivatives(name):
    fit = quiet(MORE_MODELS[name])
    rng = np.random.default_rng(1)
    held, undefined = held_parameters(fit)
    assert not undefined
    for h in held:
        assert h.objective(h.start, h.estimate)[0] == pytest.approx(fit.deviance, abs=1e-8)
        x, value = h.start + 0.1 * rng.standard_normal(len(h.start)), h.estimate + 0.07 * h.unit
        gradient, slope = h.objective(x, value)[1]()
        steps = 1e-5 * np.eye(len(x))
        numeric = [(h.objective(x + s, value)[0] - h.objective(x - s, value)[0]) / 2e-5 for s in steps]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(gradient).max()))
        d = 1e-5 * h.unit
        numeric = (h.objective(x, value + d)[0] - h.objective(x, value - d)[0]) / (2 * d)
        assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-5 / h.unit)


def test_curves_are_interpolated_between_their_points(sleep_profile):
    for curve in sleep_profile.curves.values():
        middle = 0.5 * (curve.values[2] + curve.values[3])
        found = curve._held.solve(middle, curve._minima[2].x, curve._minima[2].inverse_hessian)
        exact = np.sign(middle - curve.estimate) * np.sqrt(found.deviance - sleep_profile.deviance)
        assert float(curve(middle)) == pytest.approx(exact, abs=2e-3)
        assert curve.is_monotone and curve.zeta[0] <= -2.57 and curve.zeta[-1] >= 2.57


def test_the_slope_of_a_curve_at_the_estimate_is_the_reciprocal_of_the_standard_error(cbpp):
    curve = gl.profile(cbpp, "period[T.3]").curves["period[T.3]"]
    assert curve.slope[curve.values == curve.estimate][0] == pytest.approx(
        1 / cbpp.bse["period[T.3]"], rel=1e-4
    )


# --- invariances --------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (1e-6, 0.0), (1.0, 1e4)])
def test_a_new_unit_or_origin_of_x_moves_only_what_it_should(sleep_profile, scale, shift):
    data = gl.load("sleepstudy").assign(x=lambda d: d["Days"] * scale + shift)
    fit = gl.lmer("Reaction ~ x + (x | Subject)", data, reml=False)
    names = ["sd Subject.x", "sigma", "x"]
    table = gl.profile(fit, names).conf_int(0.95)
    expected = sleep_profile.conf_int(0.95, ["sd Subject.Days", "sigma", "Days"]).to_numpy()
    np.testing.assert_allclose(table, expected / np.array([[scale], [1.0], [scale]]), rtol=1e-5)


def test_a_reml_fit_is_profiled_by_ml_and_says_so(sleep_profile):
    fit = gl.lmer(RANDOM_SLOPE, gl.load("sleepstudy"))
    table = fit.conf_int(method="profile")
    np.testing.assert_allclose(table, sleep_profile.conf_int(0.95), rtol=1e-6)
    assert "REML" in table.attrs["notes"][0] and table.columns.name == "profile (ML)"
    assert "Note: the model was fitted by REML" in str(gl.profile(fit, "sigma"))


# --- the ends of ranges -------------------------------------------------------------------------


def test_an_interval_ends_at_zero_and_says_so(dyestuff2):
    table = gl.profile(dyestuff2).conf_int(0.95)
    assert table.loc["sd Batch.Intercept", "lower"] == 0.0
    notes = table.attrs["notes"]
    assert any(n.startswith("singular fit") for n in notes)
    assert any(
        "sd Batch.Intercept: the lower end is the end of its range, 0: the estimate is on" in n for n in notes
    )


def test_a_zero_variance_leaves_zero_where_the_likelihood_wants_it(dyestuff2):
    """Far from the mean all batches deviate together, which a batch effect explains: d falls below the flat
    model's.
    """
    curve = gl.profile(dyestuff2, "Intercept").curves["Intercept"]
    flat = 30 * np.log1p((curve.values - curve.estimate) ** 2 / dyestuff2.sigma**2)
    assert (curve.zeta[[0, -1]] ** 2 < flat[[0, -1]] - 0.05).all()
    np.testing.assert_allclose(curve.zeta[4:-4] ** 2, flat[4:-4], atol=1e-6)


def test_a_correlation_of_one_is_an_end_too():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 4), "x": np.tile(np.arange(4.0), 8)})
    data["y"] = (
        0.7 * rng.normal(size=8)[data["g"]]
        + 0.15 * rng.normal(size=8)[data["g"]] * data["x"]
        + rng.normal(size=32)
    )
    fit = quiet(gl.lmer, "y ~ x + (x | g)", data, reml=False)
    assert fit.varcorr["g"].corr.iloc[1, 0] == pytest.approx(1.0)
    table = gl.profile(fit, "corr g.x.Intercept").conf_int(0.95)
    assert table.to_numpy().tolist() == [[-1.0, 1.0]]
    assert any("the upper end is the end of its range, 1: the estimate" in n for n in table.attrs["notes"])


def test_the_correlation_of_an_effect_that_does_not_vary_is_undefined_and_says_so():
    for seed in itertools.count():
        rng = np.random.default_rng(seed)
        data = pd.DataFrame({"g": np.repeat(np.arange(10), 4), "x": np.tile([-1.0, 0.0, 1.0, 2.0], 10)})
        data["y"] = rng.normal(size=40)
        fit = quiet(gl.lmer, "y ~ x + (x | g)", data, reml=False)
        if (fit.varcorr["g"].sd == 0).any():
            break
    profile = gl.profile(fit)
    assert profile.undefined == ("corr g.x.Intercept",)
    assert profile.conf_int(0.9).loc["corr g.x.Intercept"].tolist() == [-1.0, 1.0]
    assert "every correlation fits equally well" in " ".join(str(profile).split())


def test_an_interval_without_an_end_is_open():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 8)})
    data["y"] = rng.poisson(np.exp(1 + 0.4 * rng.normal(size=20)[data["g"]]))
    fit = gl.glmer("y ~ 1 + (1 | g)", data, family="negbinomial")
    table = gl.profile(fit, "dispersion").conf_int(0.95)
    assert np.isinf(table.loc["dispersion", "upper"]) and table.loc["dispersion", "lower"] > 1
    assert "the interval is open" in table.attrs["notes"][0]


# What each of these has beside Poisson or binomial responses runs off where these are what the data say.
RUN_OFF = [
    ("negbinomial", {}, "poisson", "dispersion", "upper"),
    ("negbinomial1", {}, "poisson", "dispersion", "lower"),
    ("poisson", {"zi": "~ 1"}, "poisson", "zi", "lower"),
    ("negbinomial", {"zi": "~ 1"}, "poisson", "zi", "lower"),
    ("betabinomial", {}, "binomial", "dispersion", "upper"),
]


@pytest.mark.parametrize(("family", "options", "simple", "name", "side"), RUN_OFF)
def test_a_parameter_that_has_run_off_leaves_the_others_their_intervals(family, options, simple, name, side):
    rng = np.random.default_rng(7)
    d = pd.DataFrame({"g": rng.integers(0, 12, 240), "x": rng.standard_normal(240), "N": 8})
    eta = 0.3 * d["x"] + 0.4 * rng.standard_normal(12)[d["g"]]
    d["c"], d["k"] = rng.poisson(np.exp(0.3 + eta)), rng.binomial(8, 1.0 / (1.0 + np.exp(-eta)))
    formula = "cbind(k, N - k) ~ x + (1 | g)" if simple == "binomial" else "c ~ x + (1 | g)"
    with pytest.warns(SingularFitWarning):
        fit = gl.glmer(formula, d, family, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit.conf_int(method="profile")
        expected = gl.glmer(formula, d, simple).conf_int(method="profile")
    np.testing.assert_allclose(found.loc[expected.index], expected, atol=2e-4)
    interval = found.loc[name]
    assert interval[side] == (np.inf if side == "upper" else 0.0)
    other = interval["lower" if side == "upper" else "upper"]
    held = next(h for h in held_parameters(fit)[0] if h.name == name)
    least = held.solve(float(other), held.start, np.eye(len(held.start)))
    assert least.deviance - fit.deviance == pytest.approx(ndtri(0.975) ** 2, abs=2e-3)


# --- the object ---------------------------------------------------------------------------------


def test_parameters_have_clear_names_and_come_in_the_order_asked_for(sleep, sleep_profile):
    assert list(sleep_profile.curves) == [
        "sd Subject.Intercept",
        "corr Subject.Days.Intercept",
        "sd Subject.Days",
        "sigma",
        "Intercept",
        "Days",
    ]
    assert list(sleep.conf_int(0.5, "profile", ["Days", "sigma"]).index) == ["Days", "sigma"]


def test_a_coefficient_named_sigma_keeps_its_name():
    data = gl.load("Dyestuff").assign(sigma=lambda d: np.arange(len(d)) % 5)
    fit = gl.lmer("Yield ~ sigma + (1 | Batch)", data, reml=False)
    assert {"sigma", "sigma of the residuals"} <= set(gl.profile(fit, level=0.5).curves)


def test_zeta_is_a_tidy_table(sleep_profile):
    table = sleep_profile.zeta
    assert list(table.columns) == ["parameter", "value", "zeta", "deviance"]
    at_estimate = table[table["zeta"] == 0]
    assert len(at_estimate) == 6
    np.testing.assert_allclose(at_estimate["deviance"], sleep_profile.deviance)


def test_a_profile_survives_pickling(sleep_profile):
    again = pickle.loads(pickle.dumps(sleep_profile))
    pd.testing.assert_frame_equal(again.conf_int(0.9), sleep_profile.conf_int(0.9))
    assert isinstance(again.curves["Days"], Curve)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fit: gl.profile(fit, "sd Subject.Dasy"), "did you mean 'sd Subject.Days'"),
        (lambda fit: gl.profile(fit, level=1.0), "level is a probability"),
        (lambda fit: gl.profile(fit, "sigma", level=0.9).conf_int(0.95), "make it with level=0.95"),
        (lambda fit: gl.profile(fit, "sigma").conf_int(95), "level is a probability"),
        (lambda fit: fit.conf_int(method="profile", ddf="z"), "no option 'ddf'"),
    ],
)
def test_bad_input_is_refused(sleep, call, message):
    with pytest.raises(ModelError, match=message):
        call(sleep)


def test_a_fit_that_is_no_optimum_is_found_out(sleep):
    held, _ = held_parameters(sleep)
    sigma = next(h for h in held if h.name == "sigma")
    sigma.start = sigma.start + 0.5
    with pytest.raises(ModelError, match="the deviance is lower by"):
        trace(sigma, 1.0)


def test_the_picture_has_one_axes_for_each_parameter(sleep_profile):
    import matplotlib.pyplot as plt

    plt.close("all")
    axes = gl.plots.profile(sleep_profile)
    assert [ax.get_xlabel() for ax in axes] == list(sleep_profile.curves)
    line = next(line for line in axes[3].lines if line.get_label() == "profile")
    assert np.isfinite(line.get_ydata()).all() and (np.diff(line.get_ydata()) > 0).all()
    with pytest.raises(ModelError, match="6 parameters"):
        gl.plots.profile(sleep_profile, ax=plt.figure().subplots(1, 2))
    plt.close("all")
