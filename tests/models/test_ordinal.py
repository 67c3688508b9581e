"""Cumulative logit models: R's clmm and polr, exact integrals, the binomial limit, and refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit

import glmmlib as gl
from glmmlib.errors import DataError, ModelError, SeparationWarning, SingularFitWarning
from support import reference_values as reference

FORMULA = "rating ~ temp + contact + (1 | judge)"


def bitterness(**columns):
    """Bitterness of wine (Randall 1989): nine judges, eight bottles, five ratings from words in order."""
    wine = reference.data("wine")
    return wine.assign(rating=pd.Categorical(wine["rating"], list("12345"), ordered=True), **columns)


def ratings():
    """Texts rated by readers, simulated in tests/reference/make_data.R."""
    data = reference.data("sim_ratings")
    return data.assign(y=pd.Categorical(data["y"], list("12345"), ordered=True))


@pytest.fixture(scope="module")
def fit():
    return gl.glmer(FORMULA, bitterness(), family="ordinal")


@pytest.fixture(scope="module")
def two():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(25), 8), "x": rng.normal(size=200)})
    truth = {"fixef": {"x": 0.8}, "thresholds": [0.3], "sd": {"g": 1.0}}
    y = gl.simulate("~ x + (1 | g)", data, family="ordinal", rng=rng, **truth)
    return data.assign(y=y, z=(y == 2).astype(int))


def test_names_of_the_thresholds(fit):
    assert list(fit.thresholds.index) == ["1|2", "2|3", "3|4", "4|5"]


@pytest.mark.filterwarnings("ignore::glmmlib.errors.QuadratureWarning")
@pytest.mark.parametrize("name", reference.extra("ordinal")["clmm"])
def test_it_is_what_clmm_says(name):
    """Estimates to 4e-5 of a standard error, standard errors to 6e-5 of themselves. clmm's modes are less
    exact: by a dense computation ours is the log-likelihood of the wine data, and clmm's 3.5e-6 too high.
    """
    wanted = reference.extra("ordinal")["clmm"][name]
    data = bitterness() if name.startswith("wine") else ratings()
    fit = gl.glmer(wanted["formula"], data, family="ordinal", n_agq=wanted["nAGQ"])
    assert fit.llf == pytest.approx(wanted["logLik"], abs=5e-6)
    found = np.r_[fit.params.iloc[1:], fit.thresholds["estimate"]]
    se = np.r_[wanted["coef_se"], wanted["thresholds_se"]]
    np.testing.assert_allclose(found / se, np.r_[wanted["coef"], wanted["thresholds"]] / se, atol=5e-5)
    np.testing.assert_allclose(np.r_[fit.bse.iloc[1:], fit.thresholds["se"]], se, rtol=1e-4)
    for group, sd in wanted["sd"].items():
        np.testing.assert_allclose(fit.varcorr[group].sd, sd, rtol=5e-5)
    if wanted["correlation"] is not None:
        assert fit.varcorr["g"].corr.iloc[1, 0] == pytest.approx(wanted["correlation"], abs=1e-4)


def test_without_variance_between_groups_it_is_polr():
    wanted = reference.extra("ordinal")
    data = bitterness(half=lambda d: d["bottle"].astype(int) % 2)
    with pytest.warns(SingularFitWarning):
        fit = gl.glmer("rating ~ temp + contact + (1 | half)", data, family="ordinal")
    assert fit.llf == pytest.approx(wanted["logLik"], abs=1e-8)
    np.testing.assert_allclose(fit.params.iloc[1:], list(wanted["coef"].values()), atol=1e-5)
    np.testing.assert_allclose(fit.thresholds["estimate"], list(wanted["zeta"].values()), atol=1e-5)
    se = [*fit.bse.iloc[1:], *fit.thresholds["se"]]
    np.testing.assert_allclose(se, list(wanted["se"].values()), rtol=1e-4)
    new = {"temp": ["cold", "warm"] * 2, "contact": ["no", "no", "yes", "yes"]}
    found = fit.predict(new, kind="probabilities", re_form="~0")
    np.testing.assert_allclose(found, wanted["probabilities"], atol=1e-6)


def test_quadrature_finds_the_maximum_of_the_integrated_likelihood(two):
    """Dense integration by the trapezium rule, which for such integrands is exact to rounding."""
    wine = bitterness()
    fit = gl.glmer(FORMULA, wine, family="ordinal", n_agq=25)
    X = np.column_stack([wine["temp"] == "warm", wine["contact"] == "yes"]).astype(float)
    y, judges = wine["rating"].cat.codes.to_numpy(), wine["judge"].astype(int).to_numpy() - 1
    b, step = np.linspace(-12.0, 12.0, 801, retstep=True)

    def deviance(parameters):
        cuts = np.concatenate([[-np.inf], parameters[:4], [np.inf]])
        eta = (X @ parameters[4:6])[:, None] + b * parameters[6]
        p = expit(cuts[y + 1][:, None] - eta) - expit(cuts[y][:, None] - eta)
        logs = np.array([np.log(p[judges == j]).sum(axis=0) for j in range(9)])
        density = np.exp(-0.5 * b**2) / np.sqrt(2 * np.pi)
        return -2.0 * np.log((np.exp(logs) * density).sum(axis=1) * step).sum()

    own = [*fit.thresholds["estimate"], *fit.params.iloc[1:], fit.varcorr["judge"].sd["Intercept"]]
    assert deviance(np.array(own)) == pytest.approx(fit.deviance, abs=1e-7)
    best = minimize(deviance, own, method="BFGS", options={"maxiter": 3})
    assert fit.deviance - best.fun < 1e-6


@pytest.mark.filterwarnings("ignore::glmmlib.errors.QuadratureWarning")
@pytest.mark.parametrize("n_agq", [1, 7])
def test_two_categories_are_a_binomial_response(two, n_agq):
    a = gl.glmer("y ~ x + (1 | g)", two, family="ordinal", n_agq=n_agq)
    b = gl.glmer("z ~ x + (1 | g)", two, family="binomial", n_agq=n_agq)
    assert a.deviance == pytest.approx(b.deviance, abs=1e-8)
    np.testing.assert_allclose(a.params, b.params, atol=1e-8)
    np.testing.assert_allclose(a.bse, b.bse, rtol=1e-6)
    assert a.thresholds.loc["1|2"].to_list() == pytest.approx([-b.params["Intercept"], b.bse["Intercept"]])
    np.testing.assert_allclose(a.predict(kind="probabilities")[2], b.fittedvalues, atol=1e-8)
    assert gl.icc(a).value == pytest.approx(gl.icc(b).value)


def test_names_and_numbers_of_categories(fit):
    words = dict(zip("12345", ["none", "little", "some", "much", "all"], strict=True))
    data = bitterness()
    named = data.assign(rating=data["rating"].cat.rename_categories(words))
    numbers = data.assign(rating=data["rating"].astype(int) * 10 - 30)  # -20, -10, 0, 10, 20
    for other in (gl.glmer(FORMULA, d, family="ordinal") for d in (named, numbers)):
        assert other.deviance == pytest.approx(fit.deviance, abs=1e-9)
    np.testing.assert_allclose(other.predict(), 10.0 * fit.predict() - 30.0, atol=1e-6)
    assert list(other.predict(kind="probabilities")) == [-20, -10, 0, 10, 20]
    y = other.simulate(rng=1)
    assert set(y) <= {-20.0, -10.0, 0.0, 10.0, 20.0} and other.refit(y).convergence.converged
    drawn = fit.simulate(rng=1)
    assert drawn.cat.ordered and fit.refit(drawn).llf == fit.refit(fit.simulate(1, rng=1)[:, 0]).llf
    assert fit.refit(list(data["rating"])).deviance == pytest.approx(fit.deviance, abs=1e-8)


def test_probabilities_and_mean_scores(fit):
    table = fit.predict(kind="probabilities")
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    np.testing.assert_allclose(table @ np.arange(1, 6), fit.fittedvalues)
    np.testing.assert_allclose(1.0 - table["1"], expit(fit.predict(kind="link")))
    average = fit.predict({"temp": ["warm"], "contact": ["no"]}, kind="probabilities", re_form="marginal")
    rng, many = np.random.default_rng(2), pd.DataFrame({"judge": np.arange(40_000)})
    y = fit.simulate(rng=rng, newdata=many.assign(temp="warm", contact="no"))
    np.testing.assert_allclose(average.iloc[0], y.value_counts(normalize=True, sort=False), atol=0.012)
    missing = fit.predict({"temp": ["warm", None], "contact": "no"}, kind="probabilities", re_form="~0")
    assert missing.iloc[1].isna().all() and missing.iloc[0].notna().all()


def test_means_of_scores_hold_the_errors_of_the_thresholds(fit):
    one = gl.means(fit, "temp").table
    change = gl.comparisons(fit, {"temp": "pairwise"}, re_form="~0").table
    assert (one["lower"] > 1).all() and (one["upper"] < 5).all() and (change["se"] > 0).all()
    known = gl.means(fit, "temp", kind="link").table  # the same with the widths of the categories known
    slope = fit.family.mean_slope(known["mean"].to_numpy(), fit.one_auxiliary("a slope"))
    assert not np.allclose(one["se"], slope * known["se"], rtol=1e-3)


def test_tables(fit):
    tidy = gl.tidy(fit, conf_int=True)
    rows = tidy[tidy["component"] == "thresholds"]
    assert rows["term"].to_list() == [f"threshold {name}" for name in fit.thresholds.index]
    assert ((rows["conf_low"] < rows["estimate"]) & (rows["estimate"] < rows["conf_high"])).all()
    assert "2|3    1.5134  0.6037" in str(fit.summary()) and "1 < 2 < 3 < 4 < 5" in str(fit.summary())
    assert "proportional odds" in " ".join(gl.report(fit).text.split())
    assert gl.profile(fit, "width 2", level=0.8).conf_int(0.8).loc["width 2"].between(2.0, 5.0).all()


def test_a_coefficient_that_splits_the_inner_categories_is_infinite():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 6), "x": np.tile([0, 1], 60)})
    data["y"] = np.where(data["x"] == 1, 3, 1) + rng.integers(0, 2, 120)
    with pytest.warns(SeparationWarning, match="x predicts"):
        fit = gl.glmer("y ~ x + (1 | g)", data, family="ordinal")
    assert np.isinf(fit.bse["x"]) and np.isfinite(fit.bse["Intercept"])
    assert np.isinf(fit.thresholds["se"]).tolist() == [False, True, True]


def test_a_refit_without_a_category_says_so(fit):
    y = np.where(bitterness()["rating"] == "3", 2.0, bitterness()["rating"].astype(float))
    with pytest.warns(SeparationWarning, match="no row in the category 3"):
        fit.refit(y)


BAD = {
    "order nothing tells": {"y": list("abc") * 24},
    "has no row in 5, 6": {"y": pd.Categorical(list("1234") * 18, list("123456"), ordered=True)},
    "whole": {"y": np.tile([0.5, 1.0, 1.5], 24)},
    "nothing to tell apart": {"y": 1},
    "more than the 50": {"y": np.arange(72)},
    "leave 0": {"formula": "y ~ 0 + temp + (1 | judge)"},
    "cbind": {"formula": "cbind(y, 4 - y) ~ temp + (1 | judge)"},
    "not counts": {"zi": "~ 1"},
    "no dispersion": {"dispersion": "~ temp"},
    "it has 'logit'": {"link": "probit"},
    "beside the mean": {"formula": "y ~ temp + (1 | judge) + (1 | bottle)", "exact": False},
    "did you mean 'ordinal'": {"family": "clmm"},
}


@pytest.mark.parametrize("match, asked", BAD.items(), ids=BAD)
def test_what_it_cannot_be_fitted_to(match, asked):
    options = {"formula": "y ~ temp + (1 | judge)", "family": "ordinal", **asked}
    data = reference.data("wine").assign(y=options.pop("y", np.tile([1, 2, 3, 4], 18)))
    with pytest.raises((DataError, ModelError), match=match):
        gl.glmer(options.pop("formula"), data, options.pop("family"), **options)


def test_what_a_fit_refuses(fit):
    for match, ask in {
        "is one for responses": lambda: fit.predict(kind="probabilities", interval="prediction"),
        "a category|holds z": lambda: fit.refit(["z"] * 72),
        "are 1, 2, 3, 4, 5, but it holds 0": lambda: fit.refit(np.tile([0, 1], 36)),
        "compares probabilities": lambda: gl.comparisons(fit, {"temp": "pairwise"}, change="odds ratio"),
    }.items():
        with pytest.raises((DataError, ModelError), match=match):
            ask()


def test_simulation_asks_for_thresholds():
    wine, asked = reference.data("wine"), {"sd": {"judge": 1.0}, "rng": 1}
    for family, thresholds, fixef, match in (
        ("ordinal", None, [1.0], "needs thresholds="),
        ("ordinal", [1.0, 0.0], [1.0], "rising"),
        ("ordinal", [0.0, 1.0], {"Intercept": 0.0, "temp[T.warm]": 1.0}, "no coefficient"),
        ("poisson", [0.0, 1.0], [0.0, 1.0], "no thresholds"),
    ):
        with pytest.raises(ModelError, match=match):
            gl.simulate(
                "~ temp + (1 | judge)", wine, family=family, thresholds=thresholds, fixef=fixef, **asked
            )
    with pytest.raises(ModelError, match="thresholds"):
        gl.power(
            "~ x + (1 | g)",
            groups=5,
            group_sizes=4,
            fixef={"x": 1.0},
            test="x",
            sd={"g": 1},
            family="ordinal",
            rng=1,
        )
