"""The information of beta-binomial rows with many trials: right, and as fast as with few."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.families import betabinomial


@pytest.mark.parametrize("n", [600.0, 3_000.0, 20_000.0])
@pytest.mark.parametrize(("a", "b"), [(0.05, 2.0), (1.0, 1.0), (3.0, 0.4), (30.0, 70.0), (4e3, 1e4)])
def test_the_information_is_that_of_the_whole_sum(n, a, b, monkeypatch):
    n, a, b = (np.array([value]) for value in (n, a, b))
    found = betabinomial._mean_bend(n, a, b)
    monkeypatch.setattr(betabinomial, "_TERMS", 10**6)
    exact = betabinomial._mean_bend(n, a, b)
    assert found == pytest.approx(exact, rel=0.02)  # where it is a step: the distance of two nodes


def test_counts_of_a_million_trials_are_fitted_at_once():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(12), 6)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=72), "n": rng.integers(1, 10**6, 72)})
    mean = 1.0 / (1.0 + np.exp(-0.6 * d.x - rng.normal(size=12)[g]))
    d["s"] = rng.binomial(d.n, rng.beta(3.0 * mean, 3.0 * (1.0 - mean)))
    fit = gl.glmer("cbind(s, n - s) ~ x + (1 | g)", d, family="betabinomial")
    share = gl.glmer("s ~ x + (1 | g)", d.assign(s=(d.s / d.n).clip(1e-9, 1 - 1e-9)), family="beta")
    assert fit.params["x"] == pytest.approx(share.params["x"], abs=0.02)  # so many trials are a share
    assert fit.dispersion == pytest.approx(share.dispersion, rel=0.05)
