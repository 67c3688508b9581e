"""The semivariogram of residuals: pair by pair, in closed forms, refusals."""

import re

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, GlmmlibError


@pytest.mark.parametrize("chunk", [50, 2_000_000])
def test_it_is_half_the_mean_square_of_the_pairs_of_a_bin(monkeypatch, chunk):
    monkeypatch.setattr("glmmlib.diagnostics.semivariogram.CHUNK", chunk)
    rng = np.random.default_rng(1)
    r, places, g = rng.normal(size=60), rng.uniform(size=(60, 2)), rng.integers(0, 3, 60)
    for within in (None, g):
        found = gl.semivariogram(r, places, n_bins=4, max_distance=0.8, within=within)
        pairs = [
            (np.hypot(*(places[i] - places[j])), (r[i] - r[j]) ** 2)
            for i in range(60)
            for j in range(i)
            if within is None or g[i] == g[j]
        ]
        d, s = np.array(pairs).T
        for k, row in found.iterrows():
            here = (d >= 0.2 * k) & (d < 0.2 * (k + 1))
            assert row["pairs"] == here.sum()
            assert row["distance"] == pytest.approx(d[here].mean())
            assert row["semivariance"] == pytest.approx(0.5 * s[here].mean())


def test_of_a_line_it_is_half_the_square_of_the_distance():
    found = gl.semivariogram(np.arange(20.0), np.arange(20.0), n_bins=10, max_distance=10)
    whole = found["pairs"] * found["semivariance"]
    assert found["pairs"].iloc[0] == 19 and whole.iloc[0] == pytest.approx(19 * 0.5)


def test_of_a_fit_they_are_its_residuals_flat_where_the_model_is_right():
    sleep = gl.load("sleepstudy")
    plain = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    found = gl.semivariogram(plain, "Days", within="Subject")
    same = gl.semivariogram(plain.resid_pearson, sleep[["Days"]], within=sleep["Subject"])
    pd.testing.assert_frame_equal(found, same)
    series = gl.lmer("Reaction ~ Days", sleep, residual="ar1(Days | Subject)")
    flat = gl.semivariogram(series, "Days", within="Subject")["semivariance"]
    assert found["semivariance"].iloc[0] < 0.7 * found["semivariance"].iloc[-1]
    assert flat.iloc[0] == pytest.approx(1.0, abs=0.25)


def test_refusals():
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    r = np.arange(4.0)
    for ask, words in (
        (lambda: gl.semivariogram(fit, "Day"), "did you mean 'Days'"),
        (lambda: gl.semivariogram(r, "Days"), "give the fit"),
        (lambda: gl.semivariogram(r, r, within="g"), "give the fit"),
        (lambda: gl.semivariogram(r, r[:2]), "one row for each of the 4"),
        (lambda: gl.semivariogram(r, r, within=r[:2]), "one label for each of the 4"),
        (lambda: gl.semivariogram(r, [0, 1, np.nan, 2]), "missing or infinite"),
        (lambda: gl.semivariogram(r, list("abcd")), "give the fit"),
        (lambda: gl.semivariogram(r, np.ones(4)), "no two rows lie apart"),
        (lambda: gl.semivariogram(r, r, max_distance=0.5), "take a larger max_distance"),
        (lambda: gl.semivariogram(r, r, n_bins=0), "n_bins is the number"),
        (lambda: gl.semivariogram(None, r), "missing or infinite"),
    ):
        with pytest.raises(GlmmlibError, match=re.escape(words)):
            ask()
    with pytest.raises(DataError):
        gl.semivariogram([1.0], [1.0])
