"""Intervals that hold the errors of auxiliary parameters: categories, mean scores, structural zeros."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, ndtri
from scipy.stats import binom

import glmmlib as gl
from glmmlib.errors import ModelError
from glmmlib.prediction.error_variance import mode_variance
from glmmlib.prediction.rows import chosen_effects, rows_to_predict
from support import reference_values as reference

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.QuadratureWarning")


def categories(frame, column):
    return frame.assign(**{column: pd.Categorical(frame[column].astype(str), list("12345"), ordered=True)})


@pytest.fixture(scope="module")
def wine():
    data = categories(reference.data("wine"), "rating")
    return gl.glmer("rating ~ temp + contact + (1 | judge)", data, family="ordinal")


@pytest.fixture(scope="module")
def ratings():
    data = categories(reference.data("sim_ratings"), "y")
    return gl.glmer("y ~ x + z + (x | g) + (1 | h)", data, family="ordinal")


@pytest.fixture(scope="module")
def traps():
    return gl.glmer(
        "beetles ~ shade + (1 | site)", reference.data("traps"), family="negbinomial", zi="~ shade"
    )


def test_errors_of_modes_given_all_parameters_are_those_of_dense_matrices(ratings):
    rows = rows_to_predict(ratings, None, chosen_effects(ratings, None), False, False, None, True)
    solution = ratings.solution
    Z = (ratings.Z @ ratings.Lambda).toarray()
    weight = solution.problem.as_in_data(solution.mode.weight)
    V = np.linalg.inv(np.eye(Z.shape[1]) + Z.T @ (weight[:, None] * Z))
    wanted = np.einsum("ij,jk,ik->i", Z, V, Z)
    np.testing.assert_allclose(mode_variance(ratings, rows.effects), wanted, rtol=1e-8)


@pytest.mark.parametrize("re_form", [None, "~0", "marginal", "~(1 | h)"])
def test_intervals_hold_the_estimate_and_stay_within_the_range(ratings, re_form):
    table = ratings.predict(kind="probabilities", interval="confidence", re_form=re_form)
    estimate, lower, upper = (table.xs(name, axis=1, level=1) for name in ("estimate", "lower", "upper"))
    plain = ratings.predict(kind="probabilities", re_form=re_form)
    np.testing.assert_allclose(estimate, plain, atol=1e-12)
    assert ((lower > 0) & (lower < estimate) & (estimate < upper) & (upper < 1)).all(axis=None)
    scores = ratings.predict(interval="confidence", re_form=re_form)
    np.testing.assert_allclose(scores["estimate"], ratings.predict(re_form=re_form), atol=1e-10)
    assert ((scores["lower"] > 1) & (scores["lower"] < scores["estimate"])).all()
    assert ((scores["estimate"] < scores["upper"]) & (scores["upper"] < 5)).all()
    narrow = ratings.predict(kind="probabilities", interval="confidence", re_form=re_form, level=0.5)
    assert (narrow.xs("lower", axis=1, level=1) > lower).all(axis=None)


def test_ends_of_the_typical_group_are_those_of_the_thresholds(wine):
    """P(rating = 1) is the inverse logit of the first threshold, with cold bottles and no contact."""
    new, asked = {"temp": ["cold"], "contact": ["no"]}, {"re_form": "~0", "interval": "confidence"}
    table = wine.predict(new, kind="probabilities", **asked)
    one, half = wine.thresholds.loc["1|2"], ndtri(0.975)
    wanted = expit([one["estimate"] - half * one["se"], one["estimate"] + half * one["se"]])
    np.testing.assert_allclose(table["1"].iloc[0][["lower", "upper"]].astype(float), wanted, rtol=1e-6)


def test_two_categories_have_the_intervals_of_a_binomial_response():
    data = reference.data("sim_ratings").assign(
        high=lambda d: d["y"].astype(int) > 3, score=lambda d: 1 + d["high"]
    )
    a = gl.glmer("score ~ x + (1 | g)", data, family="ordinal")
    b = gl.glmer("high ~ x + (1 | g)", data.assign(high=data["high"].astype(int)), family="binomial")
    ask = {"newdata": {"x": [-1.0, 2.0], "g": [1, 2]}, "interval": "confidence"}
    wanted = b.predict(**ask, re_form="~0")
    np.testing.assert_allclose(a.predict(**ask, kind="probabilities", re_form="~0")[2], wanted, rtol=1e-6)
    known, own = (
        a.predict(**ask, kind="probabilities")[2],
        b.predict(**ask),
    )  # b's takes the variance as known
    np.testing.assert_allclose(known["estimate"], own["estimate"], rtol=1e-6)
    wider = (known["upper"] - known["lower"]) / (own["upper"] - own["lower"])
    assert wider.between(1.0, 1.05).all()


def test_means_are_those_of_marginal_means(wine, traps):
    new = {"temp": ["cold", "warm"], "contact": ["no", "no"]}
    ends = ["lower", "upper"]
    found = wine.predict(new, interval="confidence", re_form="~0")[ends]
    wanted = gl.means(wine, "temp", at={"contact": "no"}).table[ends]
    np.testing.assert_allclose(found, wanted, rtol=1e-8)
    found = traps.predict({"shade": [0.0, 1.0]}, interval="confidence", re_form="~0")[ends]
    wanted = gl.means(traps, "shade", at={"shade": [0.0, 1.0]}).table[ends]
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_structural_zeros_have_the_interval_of_their_own_predictor(traps):
    found = traps.predict({"shade": [0.5]}, kind="zero", interval="confidence", re_form="~0").iloc[0]
    table = gl.coef_tests(traps, predictor="zi")
    assert logit(found["estimate"]) == pytest.approx(table["estimate"] @ [1.0, 0.5], rel=1e-6)
    cov = traps.solution.auxiliary_cov[-2:, -2:]
    half = ndtri(0.975) * np.sqrt(np.array([1.0, 0.5]) @ cov @ [1.0, 0.5])
    middle = logit(found["estimate"])
    np.testing.assert_allclose(found[["lower", "upper"]], expit([middle - half, middle + half]), rtol=1e-5)


def test_what_the_intervals_hold(wine, traps):
    def holds(fit, **asked):
        return fit.predict(interval="confidence", **asked).attrs["holds"]

    everything = ("fixed effects", "random effects of judge", "thresholds", "variances of the random effects")
    assert holds(wine, kind="probabilities") == everything
    assert holds(wine, re_form="~0") == ("fixed effects", "thresholds")
    assert holds(traps, re_form="marginal")[-2:] == ("structural zeros", "variances of the random effects")
    assert holds(traps, kind="zero") == ("structural zeros",)


def test_missing_rows_far_rows_and_separation(wine):
    ask = {"kind": "probabilities", "interval": "confidence", "re_form": "~0"}
    table = wine.predict({"temp": ["warm", None], "contact": "no"}, **ask)
    assert table.iloc[0].notna().all() and table.iloc[1].isna().all()
    far = gl.glmer("y ~ x + (1 | g)", categories(reference.data("sim_ratings"), "y"), family="ordinal")
    table = far.predict({"x": [1e4]}, **ask)
    assert table.notna().all(axis=None) and table[("1", "upper")].iloc[0] < 1e-6
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 6), "x": np.tile([0, 1], 60)})
    data["y"] = np.where(data["x"] == 1, 3, 1) + rng.integers(0, 2, 120)
    with pytest.warns(gl.errors.SeparationWarning):
        split = gl.glmer("y ~ x + (1 | g)", data, family="ordinal")
    table = split.predict({"x": [0]}, **ask)
    assert (table.xs("lower", axis=1, level=1) == 0).all(axis=None)
    assert (table.xs("upper", axis=1, level=1) == 1).all(axis=None)


def test_what_is_no_interval_is_refused(wine, traps):
    for fit, kind in ((wine, "probabilities"), (traps, "zero")):
        with pytest.raises(ModelError, match="prediction interval is one for responses"):
            fit.predict(kind=kind, interval="prediction")


def test_they_cover_the_truth_as_often_as_they_say():
    """A typical group, the average over groups and a group of the data, 30 groups of 8, 150 data sets.

    Covers of one data set hang together: eight of them count as two and a half. Intervals for groups of the
    data are a little narrow, as modes are not quite normal: 92.5 % of 300 data sets.
    """
    rng, cuts, J, n = np.random.default_rng(5), np.array([-1.0, 0.5, 2.0]), 30, 8
    x, g = rng.normal(size=J * n), np.repeat(np.arange(J), n)
    new = {"x": [0.0, 1.0], "g": [0, 1]}

    def probabilities(b):
        below = expit(cuts - (0.8 * np.array(new["x"]) + b)[:, None])
        return np.diff(below, axis=1, prepend=0.0, append=1.0)

    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    average = sum(w * probabilities(node) for node, w in zip(nodes, weights / weights.sum(), strict=True))
    covered = {"~0": [], "marginal": [], None: []}
    for _ in range(150):
        b = rng.normal(size=J)
        latent = 0.8 * x + b[g] + rng.logistic(size=J * n)
        data = pd.DataFrame({"x": x, "g": g, "y": 1 + (latent[:, None] > cuts).sum(axis=1)})
        fit = gl.glmer("y ~ x + (1 | g)", data, family="ordinal")
        truths = {"~0": probabilities(0.0), "marginal": average, None: probabilities(b[:2])}
        for re_form, truth in truths.items():
            table = fit.predict(new, re_form, "probabilities", interval="confidence")
            lower, upper = (table.xs(end, axis=1, level=1).to_numpy() for end in ("lower", "upper"))
            covered[re_form].append((lower < truth) & (truth < upper))
    for re_form, found in covered.items():
        low, high = binom.interval(0.999, 150 * 2.5, 0.925 if re_form is None else 0.95)
        assert low <= 150 * 2.5 * np.mean(found) <= high, re_form
