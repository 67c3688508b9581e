"""Ordinal responses that lack a category of the fit, and arrays that hold no response."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, SeparationWarning


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 6)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=72)})
    latent = 0.6 * d.x + rng.normal(size=12)[g] + rng.logistic(size=72)
    d["o"] = pd.Categorical.from_codes(np.digitize(latent, [-1.5, 0, 1.5]), list("abcd"), ordered=True)
    d["y"], d["k"] = latent, rng.poisson(np.exp(0.3 * latent))
    d["s"], d["n"] = rng.binomial(8, 1 / (1 + np.exp(-latent))), 8
    return d


@pytest.fixture(scope="module")
def fit(data):
    return gl.glmer("o ~ x + (1 | g)", data, family="ordinal")


@pytest.mark.parametrize(("lost", "taken"), [("a", "b"), ("b", "c"), ("d", "c")])
def test_one_story_of_a_response_without_a_category(data, fit, lost, taken):
    y = data.o.cat.codes.to_numpy() + 1.0
    number = {level: k for k, level in enumerate("abcd", 1)}
    other = np.where(y == number[lost], number[taken], y)
    with pytest.warns(SeparationWarning, match=f"no row in the category {lost}") as told:
        again = fit.refit(other)
    assert len(told) == 1
    with pytest.warns(
        SeparationWarning, match=f"1 of 2 responses have no row in the category {lost}"
    ) as told:
        many = fit.refit_many(np.column_stack([y, other]))
    assert len(told) == 1
    merged = data.assign(o=data.o.astype(str).replace(lost, taken))
    merged["o"] = pd.Categorical(merged["o"], [c for c in "abcd" if c != lost], ordered=True)
    expected = gl.glmer("o ~ x + (1 | g)", merged, family="ordinal")
    assert again.deviance == pytest.approx(expected.deviance, abs=1e-3)
    for found in (again.params["x"], many.params["x"][1]):
        assert found == pytest.approx(expected.params["x"], abs=1e-3)
    assert again.bse["x"] == pytest.approx(expected.bse["x"], rel=1e-2)
    infinite = {"a": [True, False, False], "b": [False] * 3, "d": [False, False, True]}[lost]
    assert np.isinf(again.thresholds["se"]).tolist() == infinite


def test_responses_with_all_categories_are_fitted_in_silence(fit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.refit_many(fit.simulate(3, rng=1))


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ x + (1 | g)", None),
        ("y ~ x + (x | g)", None),
        ("k ~ x + (1 | g)", "poisson"),
        ("o ~ x + (1 | g)", "ordinal"),
        ("cbind(s, n - s) ~ x + (1 | g)", "betabinomial"),
    ],
)
@pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")
def test_an_array_without_a_response_is_refused(data, formula, family):
    one = gl.lmer(formula, data) if family is None else gl.glmer(formula, data, family=family)
    with pytest.raises(DataError, match="no response"):
        one.refit_many(np.zeros((72, 0)))
