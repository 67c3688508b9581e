"""Counts of which a sum of log-densities would have no digits left."""

import warnings

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ConvergenceWarning, DataError, QuadratureWarning
from glmmlib.families.registry import family

LINKS = {"log": (np.log, mp.exp), "sqrt": (np.sqrt, lambda eta: eta**2), "identity": (np.positive, mp.mpf)}
SIZES = [999_999.0, 1e6, 1e9, 1e11, 1e12]


@pytest.mark.parametrize("name", ["poisson", "truncated_poisson"])
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("y", SIZES)
@pytest.mark.parametrize("off", [-4.0, 0.3, 3.0])
def test_the_log_density_keeps_its_digits(name, link, y, off):
    if link != "log" and name != "poisson":
        link = "log"
    forth, back = LINKS[link]
    eta = float(forth(y + off * np.sqrt(y)))
    with mp.workdps(60):
        mu = back(mp.mpf(eta))
        exact = mp.mpf(y) * mp.log(mu) - mu - mp.loggamma(mp.mpf(y) + 1)
        found = family(name, link).logpdf(np.array([y]), np.array([eta]))[0]
        assert abs(found - float(exact)) < 1e-6


@pytest.mark.parametrize("name, link", [("poisson", k) for k in LINKS] + [("truncated_poisson", "log")])
@pytest.mark.parametrize("size", [1e6, 1e9, 1e10])
def test_a_fit_of_large_counts_converges_to_the_linear_one(name, link, size):
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 8), rng.normal(size=96)
    forth, _ = LINKS[link]
    line = {"log": np.exp, "sqrt": lambda e: (6.0 + e) ** 2, "identity": lambda e: 9.0 + e}[link]
    y = rng.poisson(size * line(0.3 * x + 0.5 * rng.normal(size=12)[g])).astype(float)
    data = pd.DataFrame({"g": g, "x": x, "y": y})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("error", QuadratureWarning)
        fit = gl.glmer("y ~ x + (1 | g)", data, family=name, link=link)
    columns = np.column_stack(
        [g[:, None] == np.arange(12), x]
    )  # so large, counts show their lines as they are
    *levels, slope = np.linalg.lstsq(columns, forth(y), rcond=None)[0]
    np.testing.assert_allclose(fit.params, [np.mean(levels), slope], rtol=1e-3)
    assert fit.theta.iloc[0] == pytest.approx(np.std(levels), rel=1e-3)


@pytest.mark.parametrize(
    "name", ["poisson", "negbinomial", "negbinomial1", "truncated_poisson", "truncated_negbinomial"]
)
def test_counts_without_digits_for_random_effects_are_refused(name):
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 4), "y": 1e14 + np.arange(24.0)})
    with pytest.raises(DataError, match="no digits"):
        gl.glmer("y ~ 1 + (1 | g)", data, family=name)
