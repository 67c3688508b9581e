"""Data that break fitters: groups alike, zeros, huge counts, odd units, separation, boundaries; and
invariances that must hold.
"""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ConvergenceWarning, QuadratureWarning, SeparationWarning, SingularFitWarning
from glmmlib.families.registry import FAMILIES, family
from glmmlib.likelihood.optimise import minimise
from support.family_cases import case

NUMBERS = {name: chosen for name, chosen in FAMILIES.items() if chosen.example_levels is None}
PAIRS = [(name, link.name) for name, chosen in NUMBERS.items() for link in chosen.links]
LOG_PAIRS = [pair for pair in PAIRS if not family(*pair).limited_range]
DISPERSION = {name: case(name, chosen.links[0].name).auxiliary for name, chosen in FAMILIES.items()}
DISPERSION |= {"negbinomial": 2.0, "gamma": 0.3}


def simulated(pair, groups=30, size=8, sd=(0.7, 0.0), seed=1, intercept=0.5, h_sd=0.4):
    """Data of one family with effects of g (intercept and slope) and h; a limited link stays in range."""
    rng = np.random.default_rng([seed, PAIRS.index(pair)])
    fam = family(*pair)
    n = groups * size
    g, h, x = np.repeat(np.arange(groups), size), rng.integers(0, 7, n), rng.normal(size=n)
    b = rng.normal(size=(2, groups)) * np.reshape(sd, (2, 1))
    scale = 0.2 if fam.limited_range else 1.0
    eta = intercept + scale * (0.4 * x + b[0][g] + b[1][g] * x + h_sd * rng.normal(size=7)[h])
    eta = np.maximum(eta + 2.0, 0.3) if fam.limited_range else eta
    trials = case(*pair).trials_of(n)
    y = fam.observed(fam.draw(eta, trials, DISPERSION.get(pair[0]), rng), trials)
    own = {} if trials is None else {"trials": trials}
    data = {"g": g, "h": h, "x": x, "y": y, "f": np.resize(list("abc"), n), "row": np.arange(n)}
    return pd.DataFrame(data | own)


def quiet(formula, data, pair, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", QuadratureWarning)
        own = {"weights": "trials"} if "trials" in data else {}
        return gl.glmer(formula, data, family=pair[0], link=pair[1], **(own | options))


def warned(category, formula, data, name, words, **options):
    """Fit, and return the fit after checking that one warning of the category holds the words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = gl.glmer(formula, data, family=name, **options)
    assert not [w for w in caught if issubclass(w.category, RuntimeWarning)]
    messages = [str(w.message) for w in caught if issubclass(w.category, category)]
    assert len(messages) == 1, [str(w.message) for w in caught]
    assert words in messages[0], messages[0]
    assert "\n" not in messages[0]
    return fit


def same(a, b, params=True):
    assert a.llf == pytest.approx(b.llf, abs=1e-6)
    if params:
        np.testing.assert_allclose(a.params, b.params, atol=2e-5 * b.bse.max())
        np.testing.assert_allclose(a.bse, b.bse, rtol=1e-3)


# ---------------------------------------- the same model written in other units


@cache
def in_plain_units(pair):
    data = simulated(pair, sd=(0.6, 0.4))
    return data, quiet("y ~ x + (x | g)", data, pair)


UNITS = [(1e6, 0.0), (1.0, 1e4), (1e-6, 0.0), (1e3, 1e6)]


# Columns are conditioned before a family sees them: each pair takes two of the four, turn about.
@pytest.mark.parametrize(
    ("pair", "factor", "shift"),
    [(pair, *UNITS[2 * (k % 2) + part]) for k, pair in enumerate(PAIRS) for part in (0, 1)],
    ids=str,
)
def test_units_of_a_predictor(pair, factor, shift):
    data, fit = in_plain_units(pair)
    other = quiet("y ~ z + (z | g)", data.assign(z=factor * data["x"] + shift), pair)
    assert fit.convergence.converged and other.convergence.converged
    assert other.llf == pytest.approx(fit.llf, abs=1e-6)
    assert factor * other.params["z"] == pytest.approx(fit.params["x"], rel=1e-4)
    assert factor * other.bse["z"] == pytest.approx(fit.bse["x"], rel=2e-3)
    assert factor * other.varcorr["g"].sd["z"] == pytest.approx(fit.varcorr["g"].sd["x"], rel=1e-3)


def test_a_far_origin_is_no_infinite_variance():
    data = simulated(("binomial", "logit"), groups=60, sd=(0.6, 0.7)).assign(z=lambda d: d["x"] + 1e4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fit = quiet("y ~ z + (z | g)", data, ("binomial", "logit"))
    assert fit.varcorr["g"].sd["Intercept"] > 1000


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_order_of_rows_and_names_of_levels(pair):
    data = simulated(pair)
    fit = quiet("y ~ x + (1 | g) + (1 | h)", data, pair)
    shuffled = data.sample(frac=1.0, random_state=3).assign(g=lambda d: 1000 - 7 * d["g"])
    again = quiet("y ~ x + (1 | h) + (1 | g)", shuffled, pair)
    same(again, fit)
    np.testing.assert_allclose(again.fittedvalues.loc[data.index], fit.fittedvalues, rtol=1e-4)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_an_offset_is_a_known_part(pair):
    data = simulated(pair)
    fit = quiet("y ~ x + (1 | g)", data, pair)
    moved = quiet("y ~ x + (1 | g)", data, pair, offset=0.1 * data["x"] + 0.2)
    assert moved.llf == pytest.approx(fit.llf, abs=1e-6)
    np.testing.assert_allclose(moved.params + [0.2, 0.1], fit.params, atol=1e-4 * fit.bse.max())


# ---------------------------------------- the same data in another form


def test_three_spellings_of_binomial_data():
    cbpp = gl.load("cbpp")
    cbpp["share"] = cbpp["incidence"] / cbpp["size"]
    rows = cbpp.loc[cbpp.index.repeat(cbpp["size"])].reset_index(drop=True)
    rows["y"] = (rows.groupby(["herd", "period"], observed=True).cumcount() < rows["incidence"]).astype(int)
    pair = "binomial", "logit"
    two = quiet("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, pair)
    same(quiet("share ~ period + (1 | herd)", cbpp, pair, weights="size"), two)
    single = quiet("y ~ period + (1 | herd)", rows, pair)
    np.testing.assert_allclose(single.params, two.params, rtol=1e-6)
    np.testing.assert_allclose(single.bse, two.bse, rtol=1e-4)
    constant = two.family.constant(cbpp["incidence"].to_numpy(float), cbpp["size"].to_numpy(float)).sum()
    assert two.llf - single.llf == pytest.approx(constant, abs=1e-6)


@pytest.mark.parametrize(
    "pair", [("poisson", "log"), ("poisson", "sqrt"), ("negbinomial", "log")], ids="-".join
)
def test_a_weight_of_two_is_the_row_twice(pair):
    data = simulated(pair)
    weights = np.random.default_rng(4).integers(1, 4, len(data))
    weighted = quiet("y ~ x + (1 | g) + (1 | h)", data, pair, weights=weights)
    same(weighted, quiet("y ~ x + (1 | g) + (1 | h)", data.loc[data.index.repeat(weights)], pair))


def test_gamma_weights_divide_the_dispersion():
    """The mean of w responses of equal mean is gamma with phi / w."""
    data = simulated(("gamma", "log"))
    data["y"] = data.groupby(["g", "f"])["y"].transform("mean")
    data["x"] = data.groupby(["g", "f"])["x"].transform("mean")
    pair = "gamma", "log"
    cells = data.groupby(["g", "f"], as_index=False).agg(y=("y", "first"), x=("x", "first"), n=("y", "size"))
    fit = quiet("y ~ x + (1 | g)", cells, pair, weights="n")
    halved = quiet("y ~ x + (1 | g)", cells, pair, weights=cells["n"] / 2.0)
    same(halved, fit)
    assert halved.dispersion == pytest.approx(0.5 * fit.dispersion, rel=1e-4)


def test_gamma_responses_in_other_units():
    data = simulated(("gamma", "log"))
    fit = quiet("y ~ x + (1 | g)", data, ("gamma", "log"))
    large = quiet("y ~ x + (1 | g)", data.assign(y=1e6 * data["y"]), ("gamma", "log"))
    assert large.llf + len(data) * np.log(1e6) == pytest.approx(fit.llf, abs=1e-5)
    assert large.params["x"] == pytest.approx(fit.params["x"], rel=1e-5)
    assert large.dispersion == pytest.approx(fit.dispersion, rel=1e-5)


def test_nested_factors_written_apart():
    data = simulated(("poisson", "log")).assign(plot=lambda d: d["g"].astype(str) + d["f"])
    same(
        quiet("y ~ x + (1 | g / f)", data, ("poisson", "log")),
        quiet("y ~ x + (1 | plot) + (1 | g)", data, ("poisson", "log")),
    )


# ---------------------------------------- groups and counts at their limits


@pytest.mark.parametrize("pair", [p for p in LOG_PAIRS if p[0] == "binomial"], ids="-".join)
def test_groups_whose_responses_are_alike_are_ordinary_data(pair):
    data = simulated(pair, groups=40, size=5)
    data.loc[data["g"] < 8, "y"] = 1.0
    data.loc[(data["g"] >= 8) & (data["g"] < 14), "y"] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", QuadratureWarning)
        fit = gl.glmer("y ~ x + (1 | g)", data, family=pair[0], link=pair[1])
    modes = fit.ranef()["g"]["Intercept"]
    assert modes[:8].min() > modes[8:14].max()
    assert 0.5 < fit.varcorr["g"].sd["Intercept"] < 5.0


@pytest.mark.parametrize("name", ["poisson", "negbinomial"])
def test_groups_of_zeros(name):
    data = simulated((name, "log"))
    data.loc[data["g"] < 5, "y"] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", QuadratureWarning)
        fit = gl.glmer("y ~ x + (1 | g)", data, family=name)
    modes = fit.ranef()["g"]["Intercept"]
    assert modes[:5].max() < modes[5:].quantile(0.2)
    assert fit.convergence.promise < 1e-8


@pytest.mark.parametrize(
    "pair",
    [("poisson", "log"), ("poisson", "sqrt"), ("poisson", "identity"), ("negbinomial", "log")],
    ids="-".join,
)
def test_counts_of_a_million(pair):
    rng = np.random.default_rng(6)
    data = simulated(pair, groups=20)
    fam, b = family(*pair), rng.normal(size=20)[data["g"]]
    eta = {
        "log": 14.0 + 0.3 * b + 0.3 * data["x"],
        "sqrt": 1000.0 + 50 * b + 20 * data["x"],
        "identity": 1e6 + 3e4 * b + 1e4 * data["x"],
    }[pair[1]].to_numpy()
    data["y"] = fam.draw(eta, None, 50.0 if pair[0] == "negbinomial" else None, rng)
    slope, sd = {"log": (0.3, 0.3), "sqrt": (20.0, 50.0), "identity": (1e4, 3e4)}[pair[1]]
    fit = quiet("y ~ x + (1 | g)", data, pair)
    assert fit.convergence.converged
    assert abs(fit.params["x"] - slope) < 4 * fit.bse["x"]
    assert fit.varcorr["g"].sd["Intercept"] == pytest.approx(sd, rel=0.6)


def test_one_wild_count():
    data = simulated(("poisson", "log")).assign(y=lambda d: d["y"].where(d["row"] != 3, 1e5))
    for name, formula in [
        ("poisson", "y ~ x + (1 | g)"),
        ("negbinomial", "y ~ x + (1 | g)"),
        ("poisson", "y ~ x + (1 | g) + (1 | row)"),
        ("negbinomial", "y ~ x + (1 | g) + (1 | row)"),
    ]:
        fit = quiet(formula, data, (name, "log"))
        assert fit.convergence.converged
        assert fit.llf < 0


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_groups_of_one_and_two_rows(pair):
    rng = np.random.default_rng(8)
    data = simulated(pair, groups=20, size=8)
    data["pairs"] = data["row"] // 2
    data.loc[rng.choice(len(data), 40, replace=False), "pairs"] = 1000 + np.arange(40)
    fit = quiet("y ~ x + (1 | pairs)", data, pair)
    assert fit.convergence.converged
    assert fit.ngroups["pairs"] > 80


def test_tiny_data():
    data = pd.DataFrame({"g": [1, 1, 2, 2, 3, 3], "y": [0, 1, 1, 1, 0, 1.0]})
    fit = quiet("y ~ 1 + (1 | g)", data, ("binomial", "logit"))
    assert fit.params["Intercept"] == pytest.approx(np.log(2.0), abs=1e-5)
    assert fit.is_singular


# ---------------------------------------- boundaries, said in a sentence


def test_a_variance_of_zero_is_the_model_without_it():
    data = simulated(("poisson", "log"), sd=(0.0, 0.0), h_sd=0.0)
    fit = warned(
        SingularFitWarning,
        "y ~ x + (1 | g)",
        data,
        "poisson",
        "the variance of Intercept between the levels of g is estimated as zero",
    )
    assert fit.varcorr["g"].sd["Intercept"] == 0.0
    assert fit.is_singular and len(fit.singular_terms) == 1


def test_poisson_counts_have_an_infinite_k():
    data = simulated(("poisson", "log"))
    data["y"] = np.random.default_rng(1).binomial(
        6, 1.0 / (1.0 + np.exp(-0.3 * data["x"]))
    )  # scatter less than Poisson counts
    data["y"] += data["g"] % 5
    fit = warned(
        SingularFitWarning, "y ~ x + (1 | g)", data, "negbinomial", "the dispersion phi runs to infinity"
    )
    poisson = quiet("y ~ x + (1 | g)", data, ("poisson", "log"))
    assert fit.llf == pytest.approx(poisson.llf, abs=1e-4)
    np.testing.assert_allclose(fit.bse, poisson.bse, rtol=1e-3)


def test_a_random_effect_for_each_row_leaves_a_gamma_response_nothing():
    rng = np.random.default_rng(2)
    data = simulated(("gamma", "log")).assign(
        y=lambda d: np.exp(0.3 * d["x"] + np.abs(rng.normal(size=len(d))))
    )
    warned(SingularFitWarning, "y ~ x + (1 | row)", data, "gamma", "the dispersion phi runs to zero")


def test_a_variance_that_runs_to_infinity():
    rng = np.random.default_rng(9)
    data = simulated(("binomial", "logit")).assign(y=lambda d: rng.integers(0, 2, 30)[d["g"]])
    warned(
        ConvergenceWarning,
        "y ~ x + (1 | g)",
        data,
        "binomial",
        "which runs to infinity: within most groups all responses are alike",
    )


def test_too_few_points_are_said():
    toenail = gl.load("toenail")
    formula = "outcome ~ treatment * time + (1 | patientID)"
    warned(QuadratureWarning, formula, toenail, "binomial", "Laplace's approximation is rough here")
    warned(QuadratureWarning, formula, toenail, "binomial", "9 quadrature points are too few here", n_agq=9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gl.glmer(formula, toenail, family="binomial", n_agq=50)


# ---------------------------------------- separation


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_complete_separation(link):
    data = simulated(("binomial", "logit")).assign(y=lambda d: (d["x"] > 0.1).astype(int))
    fit = warned(
        SeparationWarning,
        "y ~ x + (1 | g)",
        data,
        "binomial",
        "complete separation: x predicts every response",
        link=link,
    )
    assert np.isinf(fit.bse["x"])
    assert fit.separation.complete


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_quasi_complete_separation_by_one_level(link):
    data = simulated(("binomial", "logit"))
    data.loc[data["f"] == "c", "y"] = 1.0
    words = "quasi-complete separation: f[T.c] predicts some responses"
    fit = warned(SeparationWarning, "y ~ f + x + (1 | g)", data, "binomial", words, link=link)
    assert fit.separation.coefficients == ("f[T.c]",)
    assert np.isfinite(fit.bse[["f[T.b]", "x"]]).all()
    others = quiet("y ~ f + x + (1 | g)", data[data["f"] != "c"], ("binomial", link))
    assert fit.params["x"] == pytest.approx(others.params["x"], abs=0.02)


def test_separation_in_grouped_data():
    cbpp = gl.load("cbpp")
    cbpp.loc[cbpp["period"] == "3", "incidence"] = 0
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = warned(
        SeparationWarning, formula, cbpp, "binomial", "period[T.3] predicts some responses without error"
    )
    assert not fit.separation.complete


@pytest.mark.parametrize("name", ["poisson", "negbinomial"])
def test_a_level_of_nothing_but_zeros(name):
    data = simulated((name, "log"))
    data.loc[data["f"] == "b", "y"] = 0.0
    fit = warned(SeparationWarning, "y ~ f + (1 | g)", data, name, "f[T.b] has no finite estimate")
    assert fit.separation.coefficients == ("f[T.b]",)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("binomial", 1, "all responses are successes"),
        ("binomial", 0, "all responses are failures"),
        ("poisson", 0, "every count is zero"),
    ],
)
def test_responses_without_variation(name, value, words):
    data = simulated(("binomial", "logit")).assign(y=value)
    fit = warned(SeparationWarning, "y ~ x + (1 | g)", data, name, words)
    assert np.isinf(fit.bse).all()


def test_a_steep_slope_is_no_separation():
    data = simulated(("binomial", "logit")).assign(x=lambda d: 12 * d["x"])
    data["y"] = family("binomial").draw(data["x"].to_numpy(), None, None, np.random.default_rng(3))
    fit = quiet("y ~ x + (1 | h)", data, ("binomial", "logit"))
    assert np.abs(fit.linear_predictor).max() > 9
    assert fit.separation is None


# ---------------------------------------- starts


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("pair", "formula"),
    [
        (("binomial", "logit"), "y ~ x + (x | g)"),
        (("binomial", "cloglog"), "y ~ x + (1 | g) + (1 | h)"),
        (("poisson", "log"), "y ~ x + (x | g) + (1 | h)"),
        (("negbinomial", "log"), "y ~ x + (x | g)"),
        (("gamma", "log"), "y ~ x + (x || g)"),
    ],
    ids=["binary slopes", "binary crossed", "counts", "negative binomial", "gamma"],
)
def test_no_start_finds_a_better_optimum(pair, formula, seed):
    """Weak data, often singular: six random starts never end above the fit's likelihood."""
    rng = np.random.default_rng(seed)
    data = simulated(pair, groups=12, size=5, sd=(0.5, 0.3), seed=100 + seed)
    fit = quiet(formula, data, pair)
    if fit.separation is not None:
        return
    problem, x = fit.solution.problem, fit.solution.parameters
    H = np.diag(np.full(len(x), 0.05))
    for _ in range(6):
        start = x.copy()
        k = problem.p
        start[:k] += rng.normal(size=k) * np.sqrt(np.diag(fit.solution.joint_covariance)[:k])
        start[k : k + problem.n_theta] = rng.normal(size=problem.n_theta)
        if problem.family.has_dispersion:
            start[-1] = rng.normal()
        with np.errstate(all="ignore"):
            found = minimise(problem.objective, start, H, tolerance=1e-6)
        assert fit.deviance <= found.value + 1e-5
