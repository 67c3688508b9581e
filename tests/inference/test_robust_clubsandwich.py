"""Cluster-robust covariances, degrees of freedom and joint tests of linear models are clubSandwich's.

The values are those of tests/reference/make_clusters.R. Both packages take theta at its estimate, and differ
by how exactly each found it: with nlme's unstructured correlation by 2e-5 of a standard error and 5e-6 of a
variance, else by a tenth of that or less.
"""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from support import reference_values as reference

VALUES = reference.extra("clusters")
GROWTH, TRIAL = "distance ~ Sex * age", "chg ~ base + arm * visit"


def _cut():
    sleep = reference.data("sleepstudy")
    lost = [2, 5, 13, 47, 48, 49, *range(120, 127)]
    return sleep.drop(index=[row - 1 for row in lost])


def _pixel():
    return reference.data("Pixel").assign(side=lambda d: d["Dog"].astype(str) + d["Side"].astype(str))


def _traps():
    traps = reference.data("traps")
    region = (pd.factorize(traps["site"], sort=True)[0] + 1) % 10
    place = [f"{r} {k % 4}" for r, k in zip(region, range(1, len(traps) + 1), strict=True)]
    return traps.assign(region=region, place=place, log=np.log(traps["beetles"] + 1))


def _growth(formula=GROWTH, **options):
    return gl.lmer(formula, reference.data("Orthodont"), **options)


def _inverse_age(**options):
    ages = reference.data("Orthodont")
    return gl.lmer(data=ages.assign(w=1.0 / ages["age"]), weights="w", **options)


FITS = {
    "intercept": lambda: gl.lmer("Reaction ~ Days + (1 | Subject)", _cut()),
    "slope": lambda: gl.lmer("Reaction ~ Days + (Days | Subject)", _cut()),
    "slope_ml": lambda: _growth(f"{GROWTH} + (age | Subject)", reml=False),
    "nested": lambda: gl.lmer("yield ~ Variety + nitro + (1 | Block / Variety)", reference.data("Oats")),
    "nested_slope": lambda: gl.lmer("pixel ~ day + I(day**2) + (day | Dog) + (1 | side)", _pixel()),
    "crossed_within": lambda: gl.lmer("log ~ shade + (1 | site) + (1 | place)", _traps()),
    "trial_us": lambda: gl.lmer(TRIAL, reference.data("trial"), residual="us(visit | id)"),
    "trial_ar1": lambda: gl.lmer(TRIAL, reference.data("trial"), residual="ar1(visit | id)"),
    "ortho_weights": lambda: _inverse_age(formula=f"{GROWTH} + (1 | Subject)"),
    "ortho_ar1_weights": lambda: _inverse_age(formula=GROWTH, residual="ar1(age | Subject)"),
    "ortho_sex_slopes": lambda: _growth(f"{GROWTH} + (age | Subject)", sigma="~ Sex"),
    "ortho_ar1_sex": lambda: _growth(
        f"{GROWTH} + (1 | Subject)", residual="ar1(age | Subject)", sigma="~ Sex"
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_it_is_what_clubsandwich_says(name):
    fit, wanted = FITS[name](), VALUES[name]
    scale, near = np.sqrt(np.diag(wanted["CR2"]["cov"])), 3e-5 if name == "trial_us" else 2e-6
    np.testing.assert_allclose((fit.params - wanted["estimate"]) / scale, 0.0, atol=near)
    for kind in ("CR0", "CR2"):
        found = gl.robust(fit, "region" if name == "crossed_within" else None, kind=kind)
        own = wanted[kind]
        both = [found.cov / np.outer(scale, scale), own["cov"] / np.outer(scale, scale)]
        np.testing.assert_allclose(*both, atol=near)
        np.testing.assert_allclose(found.table["df"], own["df"], rtol=near)
        np.testing.assert_allclose(np.log(found.table["p"]), np.log(own["p"]), rtol=near, atol=near)
        joint, htz = found.wald_test(np.eye(len(scale))[1:]), own["joint"]
        F = joint.statistic if joint.kind == "F" else joint.statistic**2
        np.testing.assert_allclose(F, htz["F"], rtol=near)
        np.testing.assert_allclose(joint.df[-1], htz["df"][1], rtol=near)
        np.testing.assert_allclose(np.log(joint.p), np.log(htz["p"]), rtol=near)


def test_where_nlme_multiplies_the_covariance_of_maximum_likelihood_clubsandwich_does_so_twice():
    """vcov() of gls by maximum likelihood holds n / (n - p), and it stands on both sides of the meat."""
    fit = gl.lmer(TRIAL, reference.data("trial"), residual="ar1(visit | id)", reml=False)
    wanted = np.array(VALUES["trial_ar1_ml"]["CR0"]["cov"])
    more = (fit.nobs / (fit.nobs - len(fit.params))) ** 2
    scale = np.sqrt(np.diag(wanted))
    found = more * gl.robust(fit, kind="CR0").cov
    np.testing.assert_allclose(found / np.outer(scale, scale), wanted / np.outer(scale, scale), atol=1e-5)
