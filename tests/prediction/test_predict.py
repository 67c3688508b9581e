"""Predictions: lme4's values, dense algebra for every variance, coverage, and refusals in one sentence."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

import glmmlib as gl
from glmmlib.errors import DataError, ModelError
from glmmlib.families.averages import mixture_quantile
from glmmlib.families.links import Cloglog, Identity, Inverse, Log, Logit, Probit, Sqrt
from glmmlib.families.registry import family
from support import reference_values as reference

RS = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep():
    return gl.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep):
    return gl.lmer(RS, sleep)


@pytest.fixture(scope="module")
def cbpp():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return gl.glmer(formula, gl.load("cbpp"), family="binomial")


def close(found, expected, rtol=1e-6):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol)


# --- lme4's values ------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
def test_lme4_sleepstudy(sleep, reml):
    ref = reference.extra(f"predict_sleep_rs_{'reml' if reml else 'ml'}")
    fit = gl.lmer(RS, sleep, reml=reml)
    new = pd.DataFrame(ref["newdata"])
    close(fit.predict(new, allow_new_levels=True), ref["re_NULL_allow_new"])
    close(fit.predict(new, re_form="~0"), ref["re_NA"])
    close(fit.predict(new, re_form="~(1 | Subject)", allow_new_levels=True), ref["re_int_only"])
    close(fit.predict(), ref["fitted_all"])
    close(fit.predict(re_form="~0"), ref["fitted_NA"])


@pytest.mark.parametrize("kind", ["link", "response"])
def test_lme4_cbpp(cbpp, kind):
    ref = reference.extra("predict_cbpp")
    new = pd.DataFrame(ref["newdata"])
    close(cbpp.predict(new, allow_new_levels=True, kind=kind), ref[f"{kind}_re"])
    close(cbpp.predict(new, re_form="~0", kind=kind), ref[f"{kind}_NA"])


@pytest.mark.parametrize("name", ["sleep_rs", "penicillin", "machines_nested"])
def test_lme4_standard_errors(name):
    """Henderson's equations solved in R: the SE of x'beta, and of x'beta + z'b."""
    ref = reference.extra("predict_se")[name]
    set_name = {"sleep_rs": "sleepstudy", "penicillin": "Penicillin", "machines_nested": "Machines"}[name]
    fit = gl.lmer(ref["formula"], reference.data(set_name))
    level = 2 * stats.norm.cdf(1) - 1
    for re_form, se in (("~0", "se_fixed"), (None, "se_fit")):
        band = fit.predict(re_form=re_form, interval="confidence", level=level)
        close(band["upper"] - band["estimate"], ref[se], rtol=1e-5)


# --- dense algebra --------------------------------------------------------------------------------


def crossed(seed=3, weights=False):
    """Subjects and items partly crossed, slopes on both, classes above subjects; some pairs never meet."""
    rng = np.random.default_rng(seed)
    n = 150
    data = pd.DataFrame({"s": rng.integers(0, 12, n), "i": rng.integers(0, 7, n), "x": rng.normal(2, 1, n)})
    data = data[(data.s + data.i) % 4 != 0].reset_index(drop=True)
    data["c"] = data.s // 4
    data["y"] = gl.simulate(
        "~ x + (x | s) + (1 + x | i) + (1 | c)",
        data,
        fixef=[1, 2],
        sigma=1,
        rng=rng,
        sd={"s": [1, 0.7], "i": [0.8, 0.5], "c": 1.0},
    )
    data["w"] = rng.uniform(0.5, 3, len(data)) if weights else 1.0
    return data


def dense_variance(fit, X, Z):
    """(X, Z) sigma^2 [X'WX, X'WZ; Z'WX, Z'WZ + (Lambda Lambda')^-1]^-1 (X, Z)', with u = Lambda^-1 b."""
    L = fit.Lambda.toarray()
    W = np.eye(fit.nobs) if fit.design.weights is None else np.diag(fit.design.weights)
    full = np.hstack([fit.X, fit.Z @ L])
    penalty = np.diag(np.repeat([0.0, 1.0], [X.shape[1], L.shape[1]]))
    row = np.hstack([X, Z @ L])
    inverse = np.linalg.inv(full.T @ W @ full + penalty)
    return fit.sigma**2 * np.einsum("nk,kl,nl->n", row, inverse, row)


def dense_Z(fit, new):
    """Columns level by level within each factor, as ``fit.Z``; zero for unknown levels."""
    blocks = []
    for g in fit.groups:
        columns = {"Intercept": np.ones(len(new)), "x": new["x"].to_numpy()}
        z = np.stack([columns[c] for c in g.columns], axis=1)
        hit = new[g.name].to_numpy()[:, None] == g.levels.to_numpy()
        blocks.append((hit[:, :, None] * z[:, None, :]).reshape(len(new), -1))
    return np.hstack(blocks)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "formula",
    ["y ~ x + (x | s) + (x | i)", "y ~ x + (x | s) + (1 | i) + (1 | c)", "y ~ 0 + x + (1 | c) + (x | s)"],
)
@pytest.mark.filterwarnings("ignore::glmmlib.errors.SingularFitWarning")
def test_variances_equal_dense_algebra(formula, weights):
    """Observed pairs of levels, pairs that never met, and unknown levels, against the whole inverse."""
    data = crossed(weights=weights)
    fit = gl.lmer(formula, data, weights="w" if weights else None)
    every = [(s, i) for s in [*range(12), 99] for i in [*range(7), 77]]
    new = pd.DataFrame(every, columns=["s", "i"]).assign(x=np.linspace(-2, 5, len(every)))
    new["c"] = new.s // 4
    X = np.stack([np.ones(len(new)), new.x], axis=1)[:, -fit.X.shape[1] :]
    Z = dense_Z(fit, new)
    level = 2 * stats.norm.cdf(1) - 1
    band = fit.predict(new, interval="confidence", level=level, allow_new_levels=True)
    close((band["upper"] - band["estimate"]) ** 2, dense_variance(fit, X, Z))
    close(
        band["estimate"],
        X @ fit.params + Z @ np.concatenate([t.to_numpy().ravel() for t in fit.ranef().values()]),
    )

    own = np.linspace(1, 2, len(new)) if weights else np.ones(len(new))
    band = fit.predict(
        new, interval="prediction", level=level, allow_new_levels=True, weights=own if weights else None
    )
    unknown = np.zeros(len(new))
    for g in fit.groups:
        cov = fit.varcorr[g.name].cov.loc[list(g.columns), list(g.columns)].to_numpy()
        z = np.stack([{"Intercept": np.ones(len(new)), "x": new.x}[c] for c in g.columns], axis=1)
        unknown += ~new[g.name].isin(g.levels) * np.einsum("na,ab,nb->n", z, cov, z)
    expected = dense_variance(fit, X, Z) + unknown + fit.sigma**2 / own
    close((band["upper"] - band["estimate"]) ** 2, expected)


def test_some_columns_of_a_term(fit, sleep):
    """The interval for beta and the intercept modes alone, against the whole inverse with the slopes' columns
    zeroed.
    """
    level = 2 * stats.norm.cdf(1) - 1
    band = fit.predict(re_form="~(1 | Subject)", interval="confidence", level=level)
    Z = fit.Z.toarray()
    Z[:, 1::2] = 0
    close((band["upper"] - band["estimate"]) ** 2, dense_variance(fit, fit.X, Z))


def test_intervals_do_not_depend_on_the_origin(sleep):
    plain = gl.lmer(RS, sleep).predict(interval="prediction")
    far = gl.lmer(RS, sleep.assign(Days=sleep.Days * 1e3 + 1e7)).predict(interval="prediction")
    close(far, plain, rtol=1e-4)


def test_a_left_out_group_counts_as_a_new_one(fit):
    """Re_form ~0 and an unknown subject are the same state of knowledge."""
    new = pd.DataFrame({"Days": [0.0, 4, 9]})
    left_out = fit.predict(new, re_form="~0", interval="prediction")
    unknown = fit.predict(new.assign(Subject="x"), allow_new_levels=True, interval="prediction")
    close(left_out, unknown)
    assert left_out.attrs["holds"] == ("fixed effects", "new levels of Subject", "residual")
    close(fit.predict(new, re_form="marginal", interval="prediction"), left_out)


# --- coverage -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::glmmlib.errors.SingularFitWarning")
def test_coverage():
    """Over 150 studies of 30 groups of 6: new rows of known groups, and of new groups, and the known groups'
    lines.
    """
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 8), "x": np.tile(np.arange(8.0), 40)})
    truth = {"fixef": [10, 1], "sd": {"g": [2, 0.5]}, "corr": {"g": 0.4}, "sigma": 1.5}
    response = gl.simulate("~ x + (x | g)", data, **truth, n=150, rng=rng)
    seen = (data.g < 30) & (data.x < 6)
    fit = gl.lmer("y ~ x + (x | g)", data[seen].assign(y=response[seen, 0]))
    inside = []
    for y in response.T:
        again = fit.refit(y[seen])
        band = again.predict(data[~seen], allow_new_levels=True, interval="prediction")
        inside.append((y[~seen] >= band["lower"]) & (y[~seen] <= band["upper"]))
    inside = np.array(inside)
    known = (data.g[~seen] < 30).to_numpy()
    assert abs(inside[:, known].mean() - 0.95) < 0.012
    assert 0.92 < inside[:, ~known].mean() < 0.96  # theta is taken as known: a little under 0.95


# --- generalised models ---------------------------------------------------------------------------


@pytest.mark.parametrize("link", [Identity(), Log(), Logit(), Probit(), Cloglog(), Sqrt()])
@pytest.mark.parametrize("variance", [0.0, 0.3, 4.0, 100.0])
def test_marginal_mean_is_the_integral(link, variance):
    eta = 0.7
    s = np.sqrt(variance)
    if link.name == "log" and variance == 100:
        expected = np.exp(eta + 50)
    else:
        expected, _ = quad(
            lambda z: float(link.inverse(eta + s * z)) * stats.norm.pdf(z), -12, 12, epsabs=1e-11, limit=400
        )
    close(link.average(np.array([eta]), np.array([variance]))[0], expected, rtol=1e-7)


def test_marginal_mean_of_an_inverse_link_does_not_exist():
    with pytest.raises(ModelError, match="does not exist"):
        Inverse().average(np.ones(1), np.ones(1))


def test_marginal_prediction(cbpp):
    new = pd.DataFrame({"period": ["1", "4"]})
    v = cbpp.varcorr["herd"].cov.iloc[0, 0]
    typical = cbpp.predict(new, re_form="~0", kind="link")
    expected = Logit().average(typical.to_numpy(), np.full(2, v))
    close(cbpp.predict(new, re_form="marginal"), expected)
    close(cbpp.predict(new, re_form="marginal", kind="link"), Logit().link(expected))
    band = cbpp.predict(new, re_form="marginal", interval="confidence")
    assert ((band["lower"] < expected) & (expected < band["upper"])).all()


def test_glmm_confidence_of_the_typical_group_is_walds(cbpp):
    new = pd.DataFrame({"period": ["1", "2", "3", "4"]})
    X = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1.0]])
    se = np.sqrt(np.einsum("np,pq,nq->n", X, cbpp.cov_params(), X))
    band = cbpp.predict(
        new, re_form="~0", kind="link", interval="confidence", level=2 * stats.norm.cdf(1) - 1
    )
    close(band["upper"] - band["estimate"], se)
    back = cbpp.predict(new, re_form="~0", interval="confidence", level=2 * stats.norm.cdf(1) - 1)
    close(back["lower"], Logit().inverse(band["lower"].to_numpy()))


def test_glmm_joint_variance_is_the_dense_one():
    """With theta given: [z' M^-1 z] plus the joint Hessian's covariance of beta carried through the modes."""
    data = gl.load("epil")
    fit = gl.glmer("y ~ lbase * trt + V4 + (1 | subject)", data, family="poisson")
    mu, L = fit.fittedvalues.to_numpy(), fit.Lambda.toarray()
    ZL = fit.Z.toarray() @ L
    M = ZL.T @ (mu[:, None] * ZL) + np.eye(ZL.shape[1])
    d = fit.X - ZL @ np.linalg.solve(M, ZL.T @ (mu[:, None] * fit.X))
    expected = np.einsum("nk,kn->n", ZL, np.linalg.solve(M, ZL.T))
    expected += np.einsum("np,pq,nq->n", d, fit.cov_params(), d)
    band = fit.predict(kind="link", interval="confidence", level=2 * stats.norm.cdf(1) - 1)
    close((band["upper"] - band["estimate"]) ** 2, expected, rtol=1e-5)


EXACT = {
    "poisson": (np.log([0.2, 3.0, 250.0]), None, None, lambda p: stats.poisson([0.2, 3.0, 250.0]).ppf(p)),
    "binomial": (
        Logit().link(np.array([0.02, 0.5, 0.9])),
        np.array([1.0, 10, 40]),
        None,
        lambda p: stats.binom([1, 10, 40], [0.02, 0.5, 0.9]).ppf(p) / [1, 10, 40],
    ),
    "negbinomial": (
        np.log([0.2, 3.0, 250.0]),
        None,
        1.7,
        lambda p: stats.nbinom(1.7, 1.7 / (1.7 + np.array([0.2, 3.0, 250.0]))).ppf(p),
    ),
    "gamma": (
        np.log([0.2, 3.0, 250.0]),
        None,
        0.6,
        lambda p: stats.gamma(1 / 0.6, scale=0.6 * np.array([0.2, 3.0, 250.0])).ppf(p),
    ),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("p", [0.025, 0.5, 0.975])
def test_quantiles_without_scatter_are_the_familys_own(name, p):
    eta, weights, dispersion, exact = EXACT[name]
    close(mixture_quantile(family(name), eta, np.zeros(3), p, weights, dispersion), exact(p))


@pytest.mark.parametrize("name", EXACT)
def test_quantiles_with_scatter_by_simulation(name):
    """The share of draws at or below the quantile reaches p; below it, it does not."""
    eta, weights, dispersion, _ = EXACT[name]
    rng, p, n = np.random.default_rng(2), 0.9, 200_000
    q = mixture_quantile(family(name), eta, np.full(3, 0.7), p, weights, dispersion)
    eta = eta + 0.7 * rng.standard_normal((n, 3))
    y = family(name).draw(eta, weights, dispersion, rng) / (1.0 if weights is None else weights)
    assert ((y <= q + 1e-9).mean(axis=0) > p - 0.004).all()
    assert ((y < q - 1e-9).mean(axis=0) < p + 0.004).all()


# --- rows and refusals ----------------------------------------------------------------------------


def test_index_and_missing_rows(fit):
    new = pd.DataFrame({"Days": [1.0, np.nan, 3.0], "Subject": ["308", None, None]}, index=list("abc"))
    with pytest.raises(DataError, match=r"'Subject' is missing in 1 row of the new data \(first at row c\)"):
        fit.predict(new)  # a row that misses more than its group is NaN in any case
    found = fit.predict(new, allow_new_levels=True)
    assert list(found.index) == list("abc") and found.isna().tolist() == [False, True, False]
    typical = fit.predict(new, re_form="~0")
    assert typical.isna().tolist() == [False, True, False]
    assert found["c"] == typical["c"]  # as lme4 has it: a missing group is an unknown one
    band = fit.predict(new, allow_new_levels=True, interval="prediction")
    assert band.isna().all(axis=1).tolist() == [False, True, False]
    stranger = new.assign(Subject=["308", None, "a new one"])
    close(band, fit.predict(stranger, allow_new_levels=True, interval="prediction"))


def test_left_out_groups_need_no_column():
    fit = gl.lmer("y ~ x + (x | s) + (1 | i)", crossed())
    new = pd.DataFrame({"x": [1.0, 2.0], "i": [0, 1]})
    expected = (
        fit.params["Intercept"]
        + fit.params["x"] * new.x
        + fit.ranef()["i"].loc[[0, 1], "Intercept"].to_numpy()
    )
    close(fit.predict(new, re_form="~(1 | i)"), expected)
    band = fit.predict(new, re_form="~(1 | i)", interval="prediction")
    assert band.attrs["holds"] == ("fixed effects", "new levels of s", "random effects of i", "residual")


def test_offset_is_added(sleep):
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep, offset=np.arange(180.0))
    new = sleep.head(3)
    close(fit.predict(new, offset=[5, 6, 7.0]), fit.predict(new, offset=np.zeros(3)) + [5, 6, 7])
    close(fit.predict(), fit.fittedvalues)


def test_terms_of_one_group_are_told_apart(sleep):
    fit = gl.lmer("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleep)
    modes = fit.ranef()["Subject"].loc["308"]
    new = pd.DataFrame({"Days": [4.0], "Subject": ["308"]})
    base = fit.predict(new, re_form="~0")[0]
    close(fit.predict(new, re_form="~(1 | Subject)")[0], base + modes["Intercept"])
    close(fit.predict(new, re_form="~(0 + Days | Subject)")[0], base + 4 * modes["Days"])
    close(fit.predict(new, re_form="~(Days || Subject)")[0], fit.predict(new)[0])


REFUSED = {
    "levels in the new data that the fit has not seen": {"newdata": {"Days": [1], "Subject": ["x"]}},
    "the fit has Subject": {"re_form": "~(1 | Day)"},
    "the random effect 'Reaction' of Subject": {"re_form": "~(Reaction | Subject)"},
    "takes all random effects of Subject": {"re_form": "~(1 | Subject)", "interval": "prediction"},
    "kind is 'response', 'link', 'conditional', 'zero' or 'probabilities'": {"kind": "mean"},
    "interval is None, 'confidence' or 'prediction'": {"interval": True},
    "level is a probability": {"level": 95},
    "'Days' is not a column of the new data": {"newdata": {"Subject": ["308"]}},
    "offset= is for new data": {"offset": np.zeros(180)},
    "weights= are for new data": {"weights": np.ones(180), "interval": "prediction"},
    "re_form is None, 'marginal'": {"re_form": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(fit, message):
    with pytest.raises((DataError, ModelError), match=message):
        fit.predict(**REFUSED[message])


def test_a_weighted_fit_asks_for_weights():
    data = crossed(weights=True)
    fit = gl.lmer("y ~ x + (1 | s)", data, weights="w")
    with pytest.raises(DataError, match="pass weights="):
        fit.predict(data, interval="prediction")
    close(fit.predict(data, interval="prediction", weights="w"), fit.predict(interval="prediction"))
