"""A process in time or space that fits best without residual variation beside it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.spatial.distance import pdist, squareform

import glmmlib as gl
from glmmlib.errors import ModelError, SingularFitWarning

N = 60


@pytest.fixture(scope="module")
def places():
    """Places with a field that has no nugget, and the distances between them."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame(rng.uniform(0, 10, (N, 2)), columns=["east", "north"])
    distance = squareform(pdist(d))
    d["x"] = rng.standard_normal(N)
    d["y"] = 0.3 * d["x"] + np.linalg.cholesky(np.exp(-distance / 2.0)) @ rng.standard_normal(N)
    return d, distance


@pytest.fixture(scope="module")
def series():
    """Twelve series of six days whose neighbours are alike, and the distances in days within one."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"g": np.repeat(np.arange(12), 6), "t": np.tile(np.arange(6), 12)})
    lags = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    d["x"] = rng.standard_normal(72)
    d["y"] = (rng.standard_normal((12, 6)) @ np.linalg.cholesky(0.6**lags).T).ravel()
    group = d["g"].to_numpy()
    return d, np.where(np.equal.outer(group, group), np.kron(np.ones((12, 12)), lags), np.inf)


def dense(d, distance, reml):
    """-2 log L, or the REML criterion, of sd and range without residual variation, at its lowest."""
    X, y = np.column_stack([np.ones(len(d)), d["x"]]), d["y"].to_numpy()

    def criterion(log_sd_and_range):
        sd, length = np.exp(log_sd_and_range)
        root = np.linalg.cholesky(sd**2 * np.exp(-distance / length))
        A = np.linalg.solve(root, np.column_stack([X, y]))
        _, rest, *_ = np.linalg.lstsq(A[:, :2], A[:, 2], rcond=None)
        value = 2.0 * np.log(np.diag(root)).sum() + rest[0] + (len(d) - 2 * reml) * np.log(2.0 * np.pi)
        return value + reml * np.linalg.slogdet(A[:, :2].T @ A[:, :2])[1]

    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000}
    return minimize(criterion, [0.0, 0.5], method="Nelder-Mead", options=options)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(
    ("data", "term"), [("places", "exp(east + north | 1)"), ("series", "ar1(0 + t | g)")]
)
def test_the_fit_is_that_of_the_process_alone(data, term, reml, request):
    d, distance = request.getfixturevalue(data)
    best = dense(d, distance, reml)
    with pytest.warns(SingularFitWarning, match="residual variance is estimated as zero beside a process"):
        fit = gl.lmer(f"y ~ x + {term}", d, reml=reml)
    assert fit.convergence.converged and fit.is_singular
    assert fit.deviance == pytest.approx(best.fun, abs=1e-5)
    sd, length = np.exp(best.x)
    found = fit.varcorr.to_frame().iloc[0]
    assert found["sd"] == pytest.approx(sd, rel=1e-4)
    if data == "places":
        assert found["range"] == pytest.approx(length, rel=1e-4)
    else:
        assert found["rho"] == pytest.approx(np.exp(-1.0 / length), abs=1e-4)
    assert fit.at(fit.solution.estimates).deviance == pytest.approx(fit.deviance, abs=1e-6)


def test_rooms_after_the_fit_know_it(places):
    d, _ = places
    with pytest.warns(SingularFitWarning):
        fit = gl.lmer("y ~ x + exp(east + north | 1)", d, reml=False)
    np.testing.assert_allclose(fit.predict(), d["y"], atol=1e-3)
    assert "the residual variance is estimated as zero" in " ".join(str(fit.summary()).split())
    interval = fit.conf_int(method="profile", parm=["x", "sigma"])
    np.testing.assert_allclose(interval.loc["x"], [0.2267, 0.5243], atol=1e-3)  # by dense likelihoods
    assert interval.loc["sigma", "lower"] == 0.0 and 0.1 < interval.loc["sigma", "upper"] < 1.0
    assert fit.simulate(rng=np.random.default_rng(1)).std() > 0.2


@pytest.mark.parametrize("term", ["ar1(0 + t | g)", "(1 | g) + ar1(0 + t | g)"])
def test_a_response_that_has_no_likelihood_is_still_refused(series, term):
    d, _ = series
    with warnings.catch_warnings(), pytest.raises(ModelError, match="no maximum|no value"):
        warnings.simplefilter("ignore")
        gl.lmer(f"w ~ 1 + {term}", d.assign(w=1.0 * d["g"]), reml=False)


@pytest.mark.parametrize("term", ["exp(a + b | 1)", "mat(a + b | 1)", "ar1(0 + t | h)"])
def test_a_response_that_groups_reproduce_is_refused_beside_a_process_in_its_own_words(term):
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(12), 5), "h": np.tile(np.arange(4), 15), "x": rng.normal(size=60)}
    )
    data["a"], data["b"], data["t"] = rng.uniform(size=60), rng.uniform(size=60), np.repeat(np.arange(15), 4)
    data["y"] = rng.normal(size=12)[data["g"]] + 2.0 * data["x"]
    with pytest.raises(ModelError, match="constant within groups"):
        gl.lmer(f"y ~ x + (1 | g) + {term}", data)


def test_white_noise_on_places_ends_as_low_as_any_start_leads():
    rng = np.random.default_rng(0)  # from the moments alone it ended 3.2 above
    data = pd.DataFrame({"a": rng.uniform(0, 10, 50), "b": rng.uniform(0, 10, 50), "x": rng.normal(size=50)})
    data["y"] = rng.normal(size=50)
    fit = gl.lmer("y ~ x + exp(a + b | 1)", data)
    values = [fit.objective([size, phi]) for size in (0.05, 0.5, 5.0, 1e3) for phi in np.linspace(-3, 3, 13)]
    assert fit.deviance <= min(values)


def test_a_correlation_that_no_two_effects_tell_is_not_identified():
    rng = np.random.default_rng(85)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(12), 8), "x": rng.normal(size=96), "f": np.tile(list("ab"), 48)}
    )
    noise, effects = rng.normal(size=96), rng.normal(size=12)
    data["y"] = data["x"] + noise + np.where(data["f"] == "a", 0.5 * effects[data["g"]], 0.0)
    fit = gl.lmer("y ~ x + cs(0 + f | g)", data)
    assert np.isnan(fit.varcorr["g"].shared["rho cs(f)"])
    for text in (fit.varcorr, fit.summary(), gl.report(fit)):
        assert "not identified" in str(text) and "nan" not in str(text).lower()
