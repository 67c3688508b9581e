"""Wald intervals for residual SDs and correlations: nlme's, second differences, coverage."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from support import reference_values as reference

R = reference.extra("residuals")
TRIAL, GROWTH = ("chg ~ base + arm * visit", "trial"), ("distance ~ Sex * age", "Orthodont")
MODELS = {
    "trial_us": (*TRIAL, {"residual": "us(visit | id)"}),
    "trial_ar1": (*TRIAL, {"residual": "ar1(visit | id)"}),
    "trial_hetar1": (*TRIAL, {"residual": "ar1(visit | id, hom=False)"}),
    "trial_cs": (*TRIAL, {"residual": "cs(visit | id, hom=True)"}),
    "trial_hetcs": (*TRIAL, {"residual": "cs(visit | id)"}),
    "trial_diag": (*TRIAL, {"residual": "diag(visit | id)"}),
    "ortho_us": (*GROWTH, {"residual": "us(age | Subject)"}),
    "ortho_ar1_intercept": (f"{GROWTH[0]} + (1 | Subject)", GROWTH[1], {"residual": "ar1(age | Subject)"}),
    "ortho_ar1_sex": (
        f"{GROWTH[0]} + (1 | Subject)",
        GROWTH[1],
        {"residual": "ar1(age | Subject)", "sigma": "~ Sex"},
    ),
}


def fitted(name, reml=True):
    formula, data, options = MODELS[name]
    return gl.lmer(formula, reference.data(data), reml=reml, **options)


def names(fit):
    return fit.solution.predictors.natural_names


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_they_are_those_of_nlme(name, reml):
    """To 2 % of their width at most: nlme differentiates twice by small steps, which leaves three digits of
    gls, and two of a correlation beside random effects. The next test has ours to 1e-4.
    """
    ref = R[f"{name}_{'reml' if reml else 'ml'}"]["intervals"]
    fit = fitted(name, reml)
    found = fit.conf_int(parm=names(fit))
    near = 0.02 if name.startswith("ortho") else 0.002
    pairs = [name for name in found.index if name.startswith(("corr", "rho"))]
    if pairs:
        ours, theirs = (
            np.arctanh(x) for x in (found.loc[pairs].to_numpy(), np.array([*ref["cor"].values()]).T)
        )
        assert (np.abs(ours - theirs) < near * np.diff(theirs)).all()
    first = [name for name in found.index if name.startswith(("sigma", "sd "))][:1]
    if first:  # nlme's sigma is that of the first position
        ours, theirs = np.log(found.loc[first[0]].to_numpy()), np.log(ref["sigma"])
        assert (np.abs(ours - theirs) < near * np.ptp(theirs)).all()


@pytest.mark.parametrize("name", ["trial_ar1", "trial_cs", "ortho_ar1_intercept", "ortho_ar1_sex"])
def test_they_are_those_of_second_differences_of_the_criterion(name):
    fit = fitted(name)
    whole, solution = fit.solution.whole, fit.solution
    best = np.append(solution.phi, solution.standard_theta)
    k, h = len(best), 1e-3
    steps = h * np.eye(k)
    signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    H = np.zeros((k, k))
    for i, j in np.ndindex(k, k):
        at = [best + a * steps[i] + b * steps[j] for a, b in signs]
        H[i, j] = np.array([1, -1, -1, 1]) @ [whole.objective(x)[0] for x in at] / (4 * h**2)
    covariance = 2.0 * np.linalg.inv(H)
    ends = fit.solution.predictors.ranges[-1]

    def placed(phi):
        own = whole.side.to_user(1.0, phi)
        rho = solution.predictors.natural(own)[-1]
        place = (rho - ends[0]) / (ends[1] - ends[0])
        return np.log(place / (1 - place))

    n = whole.n_phi
    g = [(placed(best[:n] + s[:n]) - placed(best[:n] - s[:n])) / (2 * h) for s in steps[:n]]
    half = 1.959964 * np.sqrt(np.array(g) @ covariance[:n, :n] @ g)
    middle = placed(best[:n])
    wanted = ends[0] + (ends[1] - ends[0]) / (1 + np.exp(-(middle + np.array([-half, half]))))
    np.testing.assert_allclose(fit.conf_int(parm=names(fit)[-1:]).iloc[0], wanted, atol=2e-4)


def test_equal_correlations_keep_to_their_range():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 4), "t": np.tile(np.arange(4), 8)})
    y = rng.normal(size=(8, 4))
    data["y"] = (y - 0.9 * y.mean(axis=1, keepdims=True)).ravel()
    fit = gl.lmer("y ~ 1", data, residual="cs(t | g, hom=True)")
    low, high = fit.conf_int(parm="rho cs(t)", level=0.999).iloc[0]
    rho = fit.solution.predictors.natural(fit.solution.estimates.auxiliary)[-1]
    assert -1 / 3 < low < rho < high < 1


def test_they_cover_the_truth_as_often_as_they_say():
    """300 data sets of 20 series of 6: 95 % of them, with a Monte Carlo error of 1.3 %."""
    rng, rho, hits = np.random.default_rng(7), 0.6, []
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 6), "t": np.tile(np.arange(6), 20)})
    for _ in range(300):
        e = rng.normal(size=(20, 6))
        for k in range(1, 6):
            e[:, k] = rho * e[:, k - 1] + np.sqrt(1 - rho**2) * e[:, k]
        fit = gl.lmer("y ~ t", data.assign(y=2.0 * e.ravel()), residual="ar1(t | g)")
        table = fit.conf_int(parm=["sigma", "rho ar1(t)"])
        hits.append((table["lower"] < [2.0, rho]) & (table["upper"] > [2.0, rho]))
    covered = np.mean(hits, axis=0)
    assert (np.abs(covered - 0.95) < 0.04).all(), covered


def test_names():
    fit = fitted("trial_ar1")
    assert list(fit.conf_int().index) == list(fit.params.index)
    both = fit.conf_int(parm=["base", "rho ar1(visit)"])
    assert list(both.index) == ["base", "rho ar1(visit)"] and (both["lower"] < both["upper"]).all()
    with pytest.raises(ModelError, match="did you mean 'rho ar1\\(visit\\)'"):
        fit.conf_int(parm="rho ar1(visits)")
    sleep = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    with pytest.raises(ModelError, match="not a fixed effect"):
        sleep.conf_int(parm="sigma")
