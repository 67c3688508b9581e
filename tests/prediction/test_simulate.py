"""Simulation, refitting and updating: moments, equality with fresh fits, and refusals in one sentence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmmlib as gl
from glmmlib.errors import DataError, FormulaError, ModelError
from glmmlib.formula.parser import parse_formula
from glmmlib.formula.update import changed_formula
from support.examples import examples


def grid(J=6, n=3):
    return pd.DataFrame(
        {"g": np.repeat(np.arange(J), n), "h": np.tile(np.arange(n), J), "x": np.linspace(-1, 2, J * n)}
    )


def draw(formula="~ x + (x | g)", data=None, **changes):
    arguments = {
        "fixef": {"Intercept": 1, "x": 2},
        "sd": {"g": {"Intercept": 1, "x": 0.5}},
        "corr": {"g": -0.7},
        "sigma": 1,
        "rng": np.random.default_rng(1),
    }
    arguments |= changes
    return gl.simulate(formula, grid() if data is None else data, **arguments)


# --- moments ----------------------------------------------------------------------------------------


def test_means_and_covariances():
    """X beta + offset, and Z Sigma Z' + sigma^2 / w, for two crossed factors, correlations, weights and an
    offset.
    """
    data = grid(4, 3).assign(w=np.linspace(1, 3, 12), o=np.arange(12.0))
    R = 200_000
    y = draw("~ x + (x | g) + (1 | h)", data, sd={"g": [1, 0.5], "h": 0.8}, weights="w", offset="o", n=R)
    x = data.x.to_numpy()
    sigma = np.array([[1, -0.35], [-0.35, 0.25]])
    z = np.stack([np.ones(12), x])
    V = np.einsum("an,ab,bm->nm", z, sigma, z) * (data.g.to_numpy()[:, None] == data.g.to_numpy())
    V += 0.64 * (data.h.to_numpy()[:, None] == data.h.to_numpy()) + np.diag(1 / data.w)
    mean = 1 + 2 * x + data.o
    assert (np.abs(y.mean(axis=1) - mean) < 5 * np.sqrt(np.diag(V) / R)).all()
    se = np.sqrt((V**2 + np.outer(np.diag(V), np.diag(V))) / R)
    assert (np.abs(np.cov(y) - V) < 5 * se).all()


@pytest.mark.parametrize(
    ("family", "link", "dispersion", "mean", "variance"),
    [
        ("poisson", None, None, lambda m: m, lambda m: m),
        ("negbinomial", None, 2.0, lambda m: m, lambda m: m + m**2 / 2),
        ("gamma", None, 0.5, lambda m: m, lambda m: 0.5 * m**2),
        ("poisson", "sqrt", None, lambda m: m, lambda m: m),
    ],
)
def test_families(family, link, dispersion, mean, variance):
    """Marginal means and variances against numerical averages over the normal random intercept."""
    R, s = 100_000, 0.5
    y = draw(
        "~ x + (1 | g)",
        fixef=[3, 0.3],
        sd={"g": s},
        corr=None,
        sigma=None,
        family=family,
        link=link,
        dispersion=dispersion,
        n=R,
    )
    z = np.linspace(-8, 8, 401)
    w = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    eta = 3 + 0.3 * grid().x.to_numpy() + s * z[:, None]
    mu = eta**2 if link == "sqrt" else np.exp(eta)
    m = w @ mean(mu)
    v = w @ (variance(mu) + mu**2) - m**2
    assert (np.abs(y.mean(axis=1) - m) < 5 * np.sqrt(v / R)).all()
    assert (np.abs(y.var(axis=1) / v - 1) < 0.05).all()


def test_binomial_forms():
    """0/1 without trials, proportions with them, successes for cbind."""
    data = grid().assign(n=np.arange(3, 21))
    common = {"data": data, "sd": {"g": 1}, "corr": None, "sigma": None, "family": "binomial", "n": 500}
    zero_one = draw("~ x + (1 | g)", **common)
    share = draw("y ~ x + (1 | g)", weights="n", **common)
    successes = draw("cbind(k, n - k) ~ x + (1 | g)", weights="n", **common)
    assert set(np.unique(zero_one)) == {0, 1}
    assert share.max() <= 1
    np.testing.assert_allclose(share * data.n.to_numpy()[:, None], successes)


def test_a_fit_draws_from_its_estimates():
    fit = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    y = fit.simulate(40_000, np.random.default_rng(1))
    total = sum(g.sd.iloc[0] ** 2 for g in fit.varcorr.values()) + fit.sigma**2
    np.testing.assert_allclose(y.var(axis=1).mean(), total, rtol=0.01)
    kept = fit.simulate(40_000, np.random.default_rng(1), conditional=True)
    np.testing.assert_allclose(kept.mean(axis=1), fit.fittedvalues, atol=5 * fit.sigma / 200)
    np.testing.assert_allclose(kept.var(axis=1).mean(), fit.sigma**2, rtol=0.01)


def test_a_glmm_draws_what_it_can_fit():
    for formula, data, weights in (
        ("cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), None),
        (
            "share ~ period + (1 | herd)",
            gl.load("cbpp").assign(share=lambda d: d.incidence / d["size"]),
            "size",
        ),
    ):
        fit = gl.glmer(formula, data, family="binomial", weights=weights)
        y = fit.simulate(2000, np.random.default_rng(1), conditional=True)
        trials = data["size"].to_numpy() if weights is None else 1.0
        np.testing.assert_allclose(y.mean(axis=1), fit.fittedvalues * trials, atol=0.35)
        assert (y.max(axis=1) <= trials).all()


@examples(25)
@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 4))
def test_without_variation_the_mean_comes_back(a, b, n):
    y = draw(fixef=[a, b], sd={"g": [0, 0]}, corr=None, sigma=1e-12, n=n)
    np.testing.assert_allclose(y, np.repeat(a + b * grid().x.to_numpy()[:, None], n, axis=1), atol=1e-10)


def test_a_perfect_correlation_is_allowed():
    y = draw("~ 0 + x + (x | g)", fixef={"x": 0}, corr={"g": 1.0}, sd={"g": [1, 2]}, sigma=1e-9)
    line = y.to_numpy().reshape(6, 3)
    x = grid().x.to_numpy().reshape(6, 3)
    np.testing.assert_allclose(
        line / (1 + 2 * x), np.repeat((line / (1 + 2 * x))[:, :1], 3, axis=1), atol=1e-6
    )


def test_one_response_is_a_series_with_the_datas_index():
    data = grid().set_index(np.arange(100, 118))
    one = draw(data=data)
    assert list(one.index) == list(range(100, 118))
    assert draw(data=data, n=1).shape == (18, 1)
    np.testing.assert_array_equal(one, draw(data=data, n=1)[:, 0])
    assert draw("z ~ x + (x | g)").name == "z"


def test_the_same_seed_draws_the_same():
    np.testing.assert_array_equal(draw(n=3), draw(n=3))


# --- refusals ---------------------------------------------------------------------------------------

REFUSED = {
    "names no coefficient of the model: z; it needs Intercept, x": {
        "fixef": {"Intercept": 1, "x": 1, "z": 3}
    },
    "fixef lacks x": {"fixef": {"Intercept": 1}},
    "fixef has 3 values, but the model has 2: Intercept, x": {"fixef": [1, 2, 3]},
    "fixef holds a value that is missing or infinite": {"fixef": [1, np.nan]},
    "fixef must be numbers": {"fixef": ["a", "b"]},
    "sd lacks the grouping factor g": {"sd": {}, "corr": None},
    "sd names no grouping factor of the model: k; it has g": {"sd": {"g": [1, 1], "k": 1}},
    "sd is a dict by grouping factor": {"sd": 1.0},
    r"sd\['g'\] has 1 values, but the model has 2": {"sd": {"g": 1.0}},
    r"sd\['g'\] names no random effect": {"sd": {"g": {"Intercept": 1, "slope": 1}}},
    r"sd\['g'\] holds the negative value -1": {"sd": {"g": [1, -1]}},
    "is not a correlation matrix: it is symmetric": {"corr": {"g": 1.2}},
    r"corr\['g'\] has shape \(3, 3\)": {"corr": {"g": np.eye(3)}},
    "corr names no grouping factor": {"corr": {"k": 0.1}},
    "the gaussian family needs sigma=": {"sigma": None},
    "sigma is a positive number, not 0": {"sigma": 0},
    "the poisson family has no sigma": {"family": "poisson"},
    "the gamma family needs dispersion=": {"family": "gamma", "sigma": None},
    "There is no family 'student'": {"family": "student"},
    "The gaussian family has no link 'log'; it has 'identity'": {"link": "log"},
    "random draws need a numpy Generator": {"rng": None},
    "random draws need a numpy Generator or a seed": {"rng": True},
    "not 'seed'": {"rng": "seed"},
    "not 1.5": {"rng": 1.5},
    "not -1": {"rng": -1},
    "n is the number of responses": {"n": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    with pytest.raises(ModelError, match=message):
        draw(**REFUSED[message])


SOURCES = [7, np.int64(7), np.random.SeedSequence(7), np.random.PCG64(7), np.random.default_rng(7)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_what_numpy_takes_for_a_generator_is_taken_here(source):
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    assert fit.simulate(rng=source).equals(fit.simulate(rng=np.random.default_rng(7)))


def test_more_refusals():
    with pytest.raises(ModelError, match="the formula says that they are independent"):
        draw("~ x + (x || g)")
    with pytest.raises(ModelError, match="smallest eigenvalue"):
        corr = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
        data = grid().assign(v=np.cos(np.arange(18)))
        draw("~ x + (x + v | g)", data, sd={"g": [1, 1, 1]}, corr={"g": corr})
    with pytest.raises(DataError, match="missing"):
        draw(data=grid().assign(x=np.nan))
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    with pytest.raises(ModelError, match="random draws need a numpy Generator"):
        fit.simulate(3)


# --- refit ------------------------------------------------------------------------------------------

MODELS = [
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", {}),
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)", {"reml": False}),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", {}),
    ("Pastes", "strength ~ 1 + (1 | batch/cask)", {}),
    (
        "sleepstudy",
        "Reaction ~ 0 + Days + (1 | Subject)",
        {"weights": np.linspace(1, 3, 180), "offset": np.arange(180.0)},
    ),
    ("sleepstudy", "Reaction ~ 0 + (1 | Subject)", {}),
]


@pytest.mark.parametrize(("name", "formula", "arguments"), MODELS)
def test_refit_equals_a_fresh_fit(name, formula, arguments):
    data = gl.load(name)
    fit = gl.lmer(formula, data, **arguments)
    y = fit.simulate(rng=np.random.default_rng(8))
    fresh = gl.lmer(formula, data.assign(**{y.name: y}), **arguments)
    for again in (fit.refit(y), fit.refit(y.to_numpy())):
        np.testing.assert_allclose(again.deviance, fresh.deviance, rtol=1e-10)
        np.testing.assert_allclose(again.params, fresh.params, rtol=1e-5)
        np.testing.assert_allclose(again.bse, fresh.bse, rtol=1e-4)
        np.testing.assert_allclose(again.fittedvalues, fresh.fittedvalues, rtol=1e-4)
    assert fit.deviance == gl.lmer(formula, data, **arguments).deviance


def test_refit_is_exact_far_from_zero():
    """With y + X b the deviance stays, also when b is a million times the residual SD."""
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    far = fit.refit(fit.design.y + fit.X @ [3e7, -1e6])
    np.testing.assert_allclose(far.deviance, fit.deviance, rtol=1e-8)
    np.testing.assert_allclose(far.params - [3e7, -1e6], fit.params, atol=1e-6)


def test_refit_refuses():
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    with pytest.raises(DataError, match="the data have 30 rows"):
        fit.refit(np.ones(29))
    with pytest.raises(DataError, match="1 missing or infinite values"):
        fit.refit(np.r_[np.nan, np.arange(29.0)])
    with pytest.raises(ModelError, match="constant"):
        fit.refit(np.ones(30))
    with pytest.raises(DataError, match="index"):
        fit.refit(pd.Series(np.arange(30.0), index=np.arange(30) + 5))
    with pytest.raises(ModelError, match="came from refit"):
        fit.refit(fit.simulate(rng=np.random.default_rng(1))).update("~ .")


# --- update -----------------------------------------------------------------------------------------

CHANGES = {
    "~ . + b": "y ~ a + b + (a | g) + (1 | h) + offset(o)",
    ". ~ . + (1 | k)": "y ~ a + (a | g) + (1 | h) + (1 | k) + offset(o)",
    ". ~ . - (1 | h)": "y ~ a + (a | g) + offset(o)",
    ". ~ . - (1 + a|g) + (1 | g)": "y ~ a + (1 | h) + (1 | g) + offset(o)",
    "log(y) ~ .": "log(y) ~ a + (a | g) + (1 | h) + offset(o)",
    ". ~ b*c + (1 | g)": "y ~ b*c + (1 | g)",
    "z ~ 1 + (1 | g)": "z ~ 1 + (1 | g)",
}


@pytest.mark.parametrize("text", CHANGES)
def test_changed_formulas(text):
    old = parse_formula("y ~ a + (a | g) + (1 | h) + offset(o)")
    assert changed_formula(old, text) == CHANGES[text]


@pytest.mark.parametrize("text", ["~ . - (1 | k)", "a + b", "~ . -"])
def test_changes_that_make_no_sense(text):
    with pytest.raises(FormulaError):
        changed_formula(parse_formula("y ~ a + (a | g)"), text)


def test_update_equals_a_fresh_fit():
    data = gl.load("sleepstudy")
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", data)
    assert (
        fit.update("~ . - (Days | Subject) + (1 | Subject)").deviance
        == gl.lmer("Reaction ~ Days + (1 | Subject)", data).deviance
    )
    assert (
        fit.update(reml=False).deviance
        == gl.lmer("Reaction ~ Days + (Days | Subject)", data, reml=False).deviance
    )
    assert fit.update("~ . - Days").params.index.tolist() == ["Intercept"]
    half = data[data.Days < 8]
    assert fit.update(data=half).deviance == gl.lmer("Reaction ~ Days + (Days | Subject)", half).deviance


def test_update_keeps_weights_offset_and_rows():
    data = gl.load("sleepstudy").assign(
        w=np.linspace(1, 2, 180), v=np.where(np.arange(180) == 7, np.nan, 1.5)
    )
    data["o"] = np.arange(180.0)
    fit = gl.lmer(
        "Reaction ~ Days + (1 | Subject)", data.assign(Days=data.Days * data.v), weights="w", offset="o"
    )
    again = fit.update(reml=False)
    assert again.nobs == 179
    fresh = gl.lmer(fit.formula, data.assign(Days=data.Days * data.v), weights="w", offset="o", reml=False)
    np.testing.assert_allclose(again.deviance, fresh.deviance, rtol=1e-12)
    with pytest.raises(DataError, match="pass weights="):
        fit.update(data=data)
    as_array = gl.lmer("Reaction ~ Days + (1 | Subject)", data, offset=data.o.to_numpy())
    np.testing.assert_allclose(as_array.update().deviance, as_array.deviance, rtol=1e-12)
    with pytest.raises(DataError, match="pass offset="):
        as_array.update(data=data)
    assert as_array.update(data=data, offset=np.zeros(180)).deviance != as_array.deviance


def test_a_glmm_is_updated_as_the_family_it_is():
    fit = gl.glmer("y ~ lbase + trt + (1 | subject)", gl.load("epil"), family="poisson", n_agq=5)
    fresh = gl.glmer("y ~ lbase + (1 | subject)", gl.load("epil"), family="poisson", n_agq=5)
    np.testing.assert_allclose(fit.update("~ . - trt").llf, fresh.llf, rtol=1e-9)
