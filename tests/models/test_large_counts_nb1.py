"""Counts of any size whose variance is proportional to their mean, with and without structural zeros."""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import GlmmlibWarning
from glmmlib.families.negbinomial1 import NegativeBinomial1


@pytest.mark.parametrize("zi", [None, "~ 1"])
@pytest.mark.parametrize("phi", [0.0, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_the_fit_converges_at_the_dispersion_of_the_data(size, phi, zi):
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(12), 8)
    x = rng.normal(size=96)
    mean = size * np.exp(0.3 * x + 0.4 * rng.normal(size=12)[g])
    k = rng.poisson(rng.gamma(mean / phi) * phi) if phi else rng.poisson(mean)
    if (k > 0).mean() < 0.5:
        pytest.skip("hardly any count is above zero")
    if zi:
        k = np.where(rng.uniform(size=96) < 0.3, 0, k)
    options = {"zi": zi} if zi else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.glmer(
            "k ~ x + (1 | g)", pd.DataFrame({"k": k, "g": g, "x": x}), family="negbinomial1", **options
        )
    assert fit.convergence.converged
    assert 1.0 + fit.dispersion == pytest.approx(1.0 + phi, rel=0.5)
    told = mean[k > 0] * ((x[k > 0] - x[k > 0].mean()) ** 2)
    se = np.sqrt((1.0 + fit.dispersion) / told.sum())  # of a slope that other groups tell as well
    assert 0.5 * se < fit.bse["x"] < 2.0 * se
    assert abs(fit.params["x"] - 0.3) < 5.0 * fit.bse["x"]


@pytest.mark.parametrize("y", [0.0, 1.0, 1e6])
def test_no_count_is_likely_where_the_dispersion_has_no_end(y):
    family = NegativeBinomial1()
    found = [
        float(family.derivatives(np.array(y), np.array(np.log(1e6)), None, phi, order=0).kernel)
        + float(family.constant(np.array(y)))
        for phi in (1e8, 1e50, 1e99, 1e101, 1e200, 1e300)
    ]
    assert np.isfinite(found).all()
    steps = np.diff(found)
    assert (steps < 0).all() if y else (steps >= -1e-9).all()  # all but a zero becomes ever less likely
    if y:
        np.testing.assert_allclose(steps[1:] / np.log(10) / -np.array([49, 2, 99, 100]), 1.0, rtol=1e-6)
