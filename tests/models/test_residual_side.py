"""Correlated residuals and a formula for sigma: against R, by dense algebra, and in each room.

The values are those of tests/reference/make_residuals.R: nlme, glmmTMB, lmerTest and pbkrtest.
"""

import pickle

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.covariance.residual import RESIDUAL_STRUCTURES
from glmmlib.errors import DataError, FormulaError, ModelError
from support import reference_values as rv

REFERENCE = rv.extra("residuals")
TRIAL = ("chg ~ base + arm * visit", "trial")
GROWTH = ("distance ~ Sex * age", "Orthodont")
MODELS = {
    "trial_us": (*TRIAL, {"residual": "us(visit | id)"}),
    "trial_ar1": (*TRIAL, {"residual": "ar1(visit | id)"}),
    "trial_hetar1": (*TRIAL, {"residual": "ar1(visit | id, hom=False)"}),
    "trial_cs": (*TRIAL, {"residual": "cs(visit | id, hom=True)"}),
    "trial_hetcs": (*TRIAL, {"residual": "cs(visit | id)"}),
    "trial_toep": (*TRIAL, {"residual": "toep(visit | id, hom=True)"}),
    "trial_diag": (*TRIAL, {"residual": "diag(visit | id)"}),
    "trial_arm": (f"{TRIAL[0]} + (1 | id)", "trial", {"sigma": "~ arm"}),
    "ortho_us": (*GROWTH, {"residual": "us(age | Subject)"}),
    "ortho_sex": (f"{GROWTH[0]} + (1 | Subject)", "Orthodont", {"sigma": "~ Sex"}),
    "ortho_sex_slopes": (f"{GROWTH[0]} + (age | Subject)", "Orthodont", {"sigma": "~ Sex"}),
    "ortho_ar1_intercept": (
        f"{GROWTH[0]} + (1 | Subject)",
        "Orthodont",
        {"residual": "ar1(age | Subject)"},
    ),
    "ortho_ar1_sex": (
        f"{GROWTH[0]} + (1 | Subject)",
        "Orthodont",
        {"residual": "ar1(age | Subject)", "sigma": "~ Sex"},
    ),
    "ortho_age": (*GROWTH, {"sigma": "~ age"}),
}


def fitted(name, reml=True, **changes):
    formula, data, arguments = MODELS[name]
    return gl.lmer(formula, rv.data(data), reml=reml, **(arguments | changes))


@pytest.fixture(scope="module")
def growth():
    return rv.data("Orthodont")


@pytest.fixture(scope="module")
def mmrm(growth):
    return gl.lmer(GROWTH[0], growth, residual="us(age | Subject)")


@pytest.fixture(scope="module")
def both(growth):
    return gl.lmer(f"{GROWTH[0]} + (1 | Subject)", growth, residual="ar1(age | Subject)", sigma="~ Sex")


# -- against R ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reml", [True, False])
def test_agrees_with_nlme(name, reml):
    ref = REFERENCE[f"{name}_{'reml' if reml else 'ml'}"]
    fit = fitted(name, reml)
    assert fit.convergence.converged
    assert fit.deviance == pytest.approx(ref["deviance"], abs=2e-6)
    assert fit.n_parameters == ref["npar"]
    se = fit.bse.to_numpy()
    assert np.abs(fit.params.to_numpy() - ref["estimate"]).max() < 1e-4 * se.max()
    if ref["se"]:
        np.testing.assert_allclose(se, ref["se"], rtol=1e-4)
    if "cs" not in name:  # nlme's root of compound symmetry is not Cholesky's
        np.testing.assert_allclose(fit.resid_normalised.to_numpy()[:8], ref["normalised"], atol=2e-4)


@pytest.mark.parametrize("name", ["trial_ar1", "trial_cs", "trial_toep", "ortho_ar1_intercept"])
def test_sigma_and_correlations_are_those_of_nlme(name):
    ref, fit = REFERENCE[f"{name}_reml"], fitted(name)
    assert fit.sigma == pytest.approx(ref["sigma"], rel=1e-4)
    (component,) = fit.varcorr.residual_components
    # nlme tells a Toeplitz structure by the coefficients of an autoregression
    if name != "trial_toep":
        assert component.shared["rho"] == pytest.approx(ref["cor"][0], abs=1e-4)


def test_sds_and_correlations_of_visits_are_those_of_nlme():
    ref, fit = REFERENCE["trial_us_reml"], fitted("trial_us")
    found = fit.varcorr.residual_covariance
    np.testing.assert_allclose(found.sd, ref["sigma"] * np.array(ref["ratio"]), rtol=1e-4)
    np.testing.assert_allclose(found.corr.to_numpy()[np.triu_indices(5, 1)], ref["cor"], atol=1e-4)


@pytest.mark.parametrize("name", ["trial_us", "ortho_us", "trial_cs"])
def test_degrees_of_freedom_are_those_of_lmertest_and_pbkrtest(name):
    """In lmer an unstructured covariance is (0 + visit | id), one positive correlation a random intercept."""
    tests, fit = REFERENCE[f"{name}_ddf"], fitted(name)
    np.testing.assert_allclose(fit.df, tests["satterthwaite"], rtol=5e-6)
    kr = gl.coef_tests(fit, "kenward-roger")
    np.testing.assert_allclose(kr["se"], tests["kenward_roger_se"], rtol=2e-6)
    np.testing.assert_allclose(kr["df"], tests["kenward_roger"], rtol=2e-6)


def test_heterogeneous_toeplitz_is_that_of_glmmtmb():
    ref = REFERENCE["trial_hettoep_ml"]
    fit = gl.lmer(TRIAL[0], rv.data("trial"), reml=False, residual="toep(visit | id)")
    assert fit.deviance == pytest.approx(ref["deviance"], abs=2e-6)


def test_known_weights_are_those_of_nlme(growth):
    for reml in (True, False):
        ref = REFERENCE[f"ortho_ar1_weights_{'reml' if reml else 'ml'}"]
        fit = gl.lmer(
            GROWTH[0], growth, reml=reml, residual="ar1(age | Subject)", weights=1.0 / growth["age"]
        )
        assert fit.deviance == pytest.approx(ref["deviance"], abs=2e-6)
        np.testing.assert_allclose(fit.resid_normalised.to_numpy()[:8], ref["normalised"], atol=2e-4)


def test_slopes_of_the_log_sd_are_those_of_nlme():
    ref, fit = REFERENCE["ortho_sex_reml"], fitted("ortho_sex")
    (slope,) = [name for name in fit.auxiliary_params.index if "Sex" in name]
    log_ratio = abs(fit.auxiliary_params[slope])
    assert log_ratio == pytest.approx(abs(np.log(ref["ratio"][1])), rel=1e-4)


def test_one_correlation_is_a_random_intercept(growth):
    plain = gl.lmer(f"{GROWTH[0]} + (1 | Subject)", growth)
    fit = gl.lmer(GROWTH[0], growth, residual="cs(age | Subject, hom=True)")
    assert fit.deviance == pytest.approx(plain.deviance, abs=1e-8)
    for ddf in ("satterthwaite", "kenward-roger"):
        ours, theirs = gl.coef_tests(fit, ddf), gl.coef_tests(plain, ddf)
        np.testing.assert_allclose(ours[["se", "df"]], theirs[["se", "df"]], rtol=1e-4)


def test_two_responses_in_one_call():
    """Two measurements of a bird, stacked: their covariance is that of the two columns."""
    rng = np.random.default_rng(4)
    y = rng.multivariate_normal([1.0, 5.0], [[1.0, 1.2], [1.2, 4.0]], 60)
    birds = pd.DataFrame(
        {"bird": np.repeat(np.arange(60), 2), "trait": np.tile(["mass", "wing"], 60), "y": y.ravel()}
    )
    fit = gl.lmer("y ~ 0 + trait", birds, residual="us(trait | bird)")
    np.testing.assert_allclose(fit.varcorr.residual_covariance.cov, np.cov(y.T), rtol=1e-5)


# -- by itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hom", [True, False])
@pytest.mark.parametrize("word", RESIDUAL_STRUCTURES)
def test_structures_keep_their_contract(word, hom):
    if hom and RESIDUAL_STRUCTURES[word][1] is None:
        hom = False
    structure = RESIDUAL_STRUCTURES[word][0](4, np.arange(4.0), hom)
    rng = np.random.default_rng(1)
    par = rng.uniform(0.2, 0.8, structure.n_parameters)
    R, h = structure.matrix(par), 1e-6
    assert R[0, 0] == pytest.approx(1.0) and np.linalg.eigvalsh(R)[0] > 0
    G = rng.normal(size=(4, 4))
    G = G + G.T
    slopes = [
        np.sum(G * (structure.matrix(par + h * e) - structure.matrix(par - h * e))) / (2 * h)
        for e in np.eye(len(par))
    ]
    np.testing.assert_allclose(structure.pullback(par, G), slopes, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(structure.matrix(structure.nearest(3.0 * R)), R, atol=1e-8)
    columns = tuple("abcd")
    assert len(structure.quantities(columns, word)) == len(structure.values(par, 2.0)) == len(par) + 1
    np.testing.assert_allclose(structure.sds(par), np.sqrt(np.diag(R)))
    basis = structure.covariance_basis()
    if basis is not None:
        c = np.linalg.lstsq(basis.reshape(len(basis), -1).T, R.ravel(), rcond=None)[0]
        np.testing.assert_allclose(np.tensordot(c, basis, 1), R, atol=1e-10)


def dense(fit):
    """V / scale, by the formula, from what the fit tells."""
    n = fit.nobs
    sd = np.broadcast_to(fit.auxiliary, n) / (
        1.0 if fit.design.weights is None else np.sqrt(fit.design.weights)
    )
    corr = np.eye(n)
    residual = fit.design.residual
    if residual is not None:
        same = residual.grouping.codes[:, None] == residual.grouping.codes
        R = fit.varcorr.residual_covariance.corr.to_numpy()
        corr = np.where(same, R[np.ix_(residual.position, residual.position)], 0.0)
    ZL = fit.scale * (fit.Z @ fit.Lambda).toarray()
    R = corr * np.outer(sd, sd)
    return ZL, R


@pytest.mark.parametrize("which", ["mmrm", "both"])
def test_everything_follows_from_the_covariance_that_is_told(which, request):
    fit = request.getfixturevalue(which)
    ZL, R = dense(fit)
    V = ZL @ ZL.T + R
    X, y, inverse = fit.X, fit.design.y, np.linalg.inv(V)
    information = X.T @ inverse @ X
    beta = np.linalg.solve(information, X.T @ inverse @ y)
    np.testing.assert_allclose(fit.params, beta, rtol=1e-7)
    np.testing.assert_allclose(fit.cov_params(), np.linalg.inv(information), rtol=1e-6)
    r = y - X @ beta
    n, p = X.shape
    value = (n - p) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1]
    assert fit.deviance == pytest.approx(value + r @ inverse @ r, abs=1e-6)
    np.testing.assert_allclose(fit.fittedvalues, X @ beta + ZL @ ZL.T @ inverse @ r, rtol=1e-7)
    # leverage: the fitted values are H y
    W = X @ np.linalg.solve(information, X.T @ inverse)
    H = W + ZL @ ZL.T @ inverse @ (np.eye(n) - W)
    np.testing.assert_allclose(gl.augment(fit)["_hat"], np.diag(H), atol=1e-7)


@pytest.mark.parametrize("which", ["mmrm", "both"])
def test_a_fit_goes_through_the_rooms(which, request, tmp_path):
    fit = request.getfixturevalue(which)
    assert fit.refit(fit.design.y).deviance == pytest.approx(fit.deviance, abs=1e-7)
    assert pickle.loads(pickle.dumps(fit)).deviance == fit.deviance
    fit.save(tmp_path / "fit")
    kept = gl.load_fit(tmp_path / "fit")
    assert kept.deviance == fit.deviance and kept.bse.equals(fit.bse)
    assert fit.at(fit.solution.estimates).deviance == pytest.approx(fit.deviance, abs=1e-8)
    assert fit.update(reml=False).deviance == pytest.approx(fit.with_criterion(False).deviance, abs=1e-7)
    boot = fit.bootstrap(3, rng=np.random.default_rng(1))
    assert set(fit.auxiliary_estimates) <= set(boot.estimates.index)
    assert boot.replicates.notna().all(axis=None)
    for shown in (fit.summary(), gl.report(fit), gl.tidy(fit), fit.varcorr):
        assert "nan" not in str(shown).lower() or isinstance(shown, pd.DataFrame)
    assert fit.design.residual.term.text in " ".join(str(fit.summary()).split())
    assert np.isfinite(gl.glance(fit)["AIC"]).all()
    new = fit.design.data.iloc[:4]
    wide, narrow = (fit.predict(new, re_form="~0", interval=kind) for kind in ("prediction", "confidence"))
    assert ((wide["upper"] - wide["lower"]) > (narrow["upper"] - narrow["lower"])).all()


def test_draws_have_the_covariance(both):
    ZL, R = dense(both)
    Y = both.simulate(4000, rng=np.random.default_rng(1)) - both.solution.fixed_predictor()[:, None]
    found, V = np.cov(Y[:8]), (ZL @ ZL.T + R)[:8, :8]
    assert np.abs(found - V).max() < 6.0 * V.max() / np.sqrt(4000)


def test_a_prediction_interval_takes_the_sd_of_its_visit(mmrm):
    new = pd.DataFrame({"Sex": ["Male"] * 2, "age": [10.0, 12.0], "Subject": ["M01"] * 2})
    found = mmrm.predict(new, interval="prediction", re_form="~0")
    half = (found["upper"] - found["lower"]).to_numpy() / 2
    sd = mmrm.varcorr.residual
    assert half[1] / half[0] == pytest.approx(sd["age[12]"] / sd["age[10]"], rel=0.03)
    with pytest.raises(DataError, match="no residual SD for 9"):
        mmrm.predict(new.assign(age=9.0), interval="prediction", re_form="~0")


def test_structures_are_compared_where_one_holds_the_other(growth):
    fits = {
        word: gl.lmer(GROWTH[0], growth, reml=False, residual=f"{word}")
        for word in ("cs(age | Subject, hom=True)", "toep(age | Subject, hom=True)", "us(age | Subject)")
    }
    small, middle, large = fits.values()
    table = gl.anova(small, middle, large).table
    assert table["df"].to_list()[1:] == [2, 6]
    other = gl.lmer(GROWTH[0], growth, reml=False, residual="diag(age | Subject)")
    with pytest.raises(ModelError, match="no special case"):
        gl.anova(small, other)


def test_visits_may_be_missing_and_rows_in_any_order(growth):
    rows = growth.drop(index=[1, 6, 50]).sample(frac=1.0, random_state=np.random.RandomState(2))
    one, other = (
        gl.lmer(GROWTH[0], d, residual="us(age | Subject)")
        for d in (rows, rows.sort_values(["Subject", "age"]))
    )
    assert one.deviance == pytest.approx(other.deviance, abs=1e-7)


# -- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda fit: fit.sigma,
        lambda fit: gl.icc(fit),
        lambda fit: gl.r2(fit),
        lambda fit: gl.shrinkage(fit),
        lambda fit: gl.profile(fit),
        lambda fit: gl.conditional_aic(fit),
        lambda fit: gl.exact_rlrt(fit, rng=1),
        lambda fit: gl.correlation(fit, 8, 10),
        lambda fit: fit.objective(fit.theta),
        lambda fit: gl.influence(fit),
        lambda fit: gl.plots.likelihood_surface(fit),
    ],
)
def test_what_is_not_there_says_so(call, mmrm):
    with pytest.raises(ModelError) as found:
        call(mmrm)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"residual": "us(age)"}, FormulaError, "not understood"),
        ({"residual": 3}, FormulaError, "text"),
        ({"residual": "un(age | Subject)"}, FormulaError, "no residual structure"),
        ({"residual": "us(age | Subject, hom=True)"}, FormulaError, "no option hom"),
        ({"residual": "ar1(age | Subject, hom=perhaps)"}, FormulaError, "True or False"),
        ({"residual": "us(visit | Subject)"}, DataError, "visit"),
        ({"residual": "us(age | child)"}, DataError, "child"),
        ({"residual": "us(Sex | Subject)"}, DataError, "stands twice"),
        ({"residual": "us(distance | Subject)"}, DataError, "twice|both"),
        (
            {"residual": "ar1(Subject | age)", "formula": "distance ~ age + (1 | Subject)"},
            ModelError,
            "tie rows",
        ),
        (
            {"residual": "us(age | Subject)", "formula": "distance ~ age + (1 | Subject)"},
            ModelError,
            "already",
        ),
        ({"sigma": "~ weight"}, DataError, "weight"),
        ({"sigma": "Sex"}, FormulaError, "formula of its own"),
        ({"sigma": "~ 0 + age"}, ModelError, "no intercept"),
        ({"sigma": "~ (1 | Subject)"}, FormulaError, "random effects"),
        ({}, ModelError, "no random-effects term"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(growth, arguments, error, words):
    arguments = {"formula": GROWTH[0]} | arguments
    with pytest.raises(error, match=words) as found:
        gl.lmer(data=growth, **arguments)
    assert "\n" not in str(found.value).split("\n    ")[0]


def test_pairs_that_no_block_holds_and_too_few_blocks(growth):
    apart = growth[(growth["age"] < 11) == growth["Subject"].astype(str).str.startswith("M")]
    with pytest.raises(DataError, match="nothing of their correlation"):
        gl.lmer("distance ~ age", apart, residual="us(age | Subject)")
    few = growth[growth["Subject"].isin(["M01", "M02", "F01", "F02"])]
    with pytest.raises(DataError, match="more levels than positions"):
        gl.lmer("distance ~ age", few, residual="us(age | Subject)")
    with pytest.raises(DataError, match="two rows"):
        gl.lmer(
            "distance ~ age",
            growth[growth["age"] == growth.groupby("Subject")["age"].transform("first")].assign(
                age=lambda d: np.arange(len(d)) % 3
            ),
            residual="ar1(age | Subject)",
        )


def test_times_that_are_no_steps_are_refused(growth):
    with pytest.raises(DataError, match="equally spaced"):
        gl.lmer("distance ~ age", growth.assign(t=np.exp(growth["age"])), residual="ar1(t | Subject)")
    with pytest.raises(DataError, match="equally spaced"):
        gl.lmer("distance ~ age", growth[growth["age"] != 10], residual="toep(age | Subject)")


def test_steps_of_dates_are_steps(growth):
    """How long a step is does not matter, so dates, durations and months serve as times."""
    years = (growth["age"] - 8).astype(int)
    formula, residual = "distance ~ age", "ar1(t | Subject)"
    right = gl.lmer(formula, growth.assign(t=years), residual=residual).deviance
    months = pd.Series(pd.period_range("2020-01", periods=12, freq="M"))
    for times in (
        months[years].set_axis(growth.index),
        pd.to_timedelta(years, unit="D"),
        pd.Timestamp("2020-01-01") + pd.to_timedelta(years, unit="D"),
    ):
        fit = gl.lmer(formula, growth.assign(t=times), residual=residual)
        assert fit.deviance == pytest.approx(right, abs=1e-6)
