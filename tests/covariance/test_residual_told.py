"""Random effects as many as rows: fitted where the data tell their covariance from the residual's."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError


def two_rows_a_group():
    rng = np.random.default_rng(4)
    g, x, u = np.repeat(np.arange(40), 2), rng.normal(size=80), rng.normal(size=(40, 2))
    y = 1 + x + u[g, 0] + 0.7 * x * u[g, 1] + 0.5 * rng.normal(size=80)
    d = pd.DataFrame({"g": g, "x": x, "y": y})
    return d.assign(z=np.tile([0, 1], 40), o=np.arange(80))


# lme4 1.1-31: lmer(y ~ x + (x | g), d, control = lmerControl(check.nobs.vs.nRE = "ignore")), d written by
# two_rows_a_group(): REMLcrit, getME(, "theta"), sigma
LME4 = {
    "y ~ x + (x | g)": (229.5853796, [1.494680, 0.318272, 1.720483], 0.4847396),
    "y ~ x + (x || g)": (230.2837514, [1.46143, 1.75545], 0.4865933),
}


@pytest.mark.parametrize("formula", LME4)
def test_slopes_for_two_rows_a_group_where_x_differs(formula):
    fit, (criterion, theta, sigma) = gl.lmer(formula, two_rows_a_group()), LME4[formula]
    assert fit.deviance == pytest.approx(criterion, abs=1e-5)
    np.testing.assert_allclose(fit.theta, theta, rtol=2e-3)
    assert fit.sigma == pytest.approx(sigma, rel=2e-3)


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)"])
def test_an_estimate_without_a_residual_is_refused(formula):
    """Three groups of two rows: the likelihood rises until the effects reproduce the response."""
    d = pd.DataFrame(
        {
            "y": [1.989190, 3.142958, 3.532020, 2.651181, 3.635489, 2.199373],
            "x": [-0.137965, 1.013719, 1.352142, 0.653788, 1.497118, 0.289958],
            "g": [0, 0, 1, 1, 2, 2],
            "h": [0, 1, 2, 1, 3, 1],
        }
    )
    with pytest.raises(ModelError, match="without residual variation"):
        gl.lmer(formula, d, reml=False)


def test_a_slope_of_single_rows_where_x_differs():
    """Var(y) = tau^2 x^2 + sigma^2."""
    fit = gl.lmer("y ~ z + (0 + x | o)", two_rows_a_group())
    assert np.isfinite(fit.deviance)


@pytest.mark.parametrize(
    "formula", ["y ~ z + (z | g)", "y ~ z + (1 | o)", "y ~ z + (x | o)", "y ~ 1 + (0 + z2 | o)"]
)
def test_what_no_response_can_tell_is_refused(formula):
    d = two_rows_a_group().assign(z2=lambda t: 1 - 2 * t["z"])
    with pytest.raises(ModelError, match="cannot be told from|no response could"):
        gl.lmer(formula, d)
