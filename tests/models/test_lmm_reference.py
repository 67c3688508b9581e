"""Linear mixed models agree with lme4 on every frozen fit: first the objective, then the estimates."""

import re
import warnings
from functools import cache

import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import RankDeficientWarning, SingularFitWarning
from glmmlib.likelihood.optimise import gradient_hessian
from support import reference_values as rv
from support.reference_matching import column_key, conditional_covariances, groups_by_name, matched, parts

NAMES = rv.fit_names(family="gaussian")
RELATIVE = 1e-4
OF_AN_SE = 1e-3


@cache
def fitted(name):
    """The reference and our fit of the same model to the same data."""
    ref = rv.fit(name)
    table = rv.model_data(ref)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficientWarning)
        return ref, gl.lmer(rv.formula(ref), table, reml=ref["REML"], weights=rv.weights(ref, table))


@pytest.fixture(params=NAMES)
def pair(request):
    return fitted(request.param)


def reference_theta(ref, fit):
    """lme4's theta (larger factors first, lower triangle by column) in our order (the formula's)."""
    groups, values = groups_by_name(fit), iter(ref["theta"])
    theta = np.full(len(fit.theta), np.nan)
    for term in ref["VarCorr"]:
        group = groups[frozenset(parts(term["group"]))]
        own = [column_key(c) for c in group.columns]
        at = [own.index(column_key(c)) for c in term["terms"]]
        for j in range(len(at)):
            for i in range(j, len(at)):
                theta[entry(group, at[i], at[j])] = next(values)
    assert np.isfinite(theta).all() and next(values, None) is None
    return theta


def entry(group, i, j):
    """The position in theta of an entry of the group's Lambda."""
    block = next(b for b in group.covariance.blocks if i in b.columns)
    i, j = i - block.columns.start, j - block.columns.start
    return block.index[block.structure.D[:, i, j] == 1]


def theta_se(fit):
    """A scale for theta: what the curvature of the objective says, zero for what is on the boundary."""
    x = fit.theta.to_numpy()

    def gradient(theta):
        steps = 1e-5 * np.eye(len(theta))
        return np.array([(fit.objective(theta + h) - fit.objective(theta - h)) / 2e-5 for h in steps])

    hessian = gradient_hessian(gradient, x, np.full(len(x), 1e-3))
    return np.sqrt(np.abs(np.diag(np.linalg.pinv(0.5 * hessian, rcond=1e-6))))


def test_every_reference_is_fitted():
    assert len(NAMES) >= 70


def test_objective(pair):
    ref, fit = pair
    assert fit.deviance <= ref["minus2logLik"] + 1e-5
    assert fit.deviance == pytest.approx(ref["minus2logLik"], abs=1e-4)
    assert fit.llf == -0.5 * fit.deviance
    assert (fit.aic, fit.bic) == pytest.approx((ref["AIC"], ref["BIC"]), abs=1e-4)
    assert (fit.nobs, fit.n_parameters, fit.reml) == (ref["nobs"], ref["npar"], ref["REML"])


def test_objective_at_the_reference_theta(pair):
    """Before any optimum: at lme4's theta the objective has lme4's value."""
    ref, fit = pair
    assert fit.objective(reference_theta(ref, fit)) == pytest.approx(ref["minus2logLik"], abs=1e-6)


def test_fixed_effects(pair):
    ref, fit = pair
    order = rv.positions(ref, fit.params.index)
    estimate, se = (np.array(ref["fixef"][key], dtype=float)[order] for key in ("estimate", "se"))
    cov = np.array(ref["vcov"], dtype=float).reshape(len(se), len(se))[np.ix_(order, order)]
    assert len(fit.params) == len(se) == len(ref["fixef"]["names"])
    assert np.abs(fit.params - estimate).le(np.maximum(RELATIVE * np.abs(estimate), OF_AN_SE * se)).all()
    np.testing.assert_allclose(fit.bse, se, rtol=RELATIVE)
    np.testing.assert_allclose(fit.cov_params() / np.outer(se, se), cov / np.outer(se, se), atol=2 * RELATIVE)


def test_theta_and_sigma(pair):
    ref, fit = pair
    theirs = reference_theta(ref, fit)
    allowed = np.maximum(RELATIVE * np.abs(theirs), OF_AN_SE * theta_se(fit))
    allowed = np.where(theirs == 0, np.maximum(allowed, 1e-4), allowed)
    assert (np.abs(fit.theta - theirs) <= allowed).all()
    assert fit.sigma == pytest.approx(ref["sigma"], rel=RELATIVE)


def test_variance_components(pair):
    ref, fit = pair
    groups = groups_by_name(fit)
    for term in ref["VarCorr"]:
        group = groups[frozenset(parts(term["group"]))]
        own = [column_key(c) for c in group.columns]
        at = [own.index(column_key(c)) for c in term["terms"]]
        ours, sd = fit.varcorr[group.name], np.array(term["sd"])
        np.testing.assert_allclose(ours.sd.iloc[at], sd, rtol=1e-3, atol=1e-4 * fit.sigma)
        theirs = np.array(term["cov"], dtype=float).reshape(len(at), len(at))
        np.testing.assert_allclose(
            ours.cov.iloc[at, at] / np.outer(sd, sd).clip(1e-8 * fit.sigma**2),
            theirs / np.outer(sd, sd).clip(1e-8 * fit.sigma**2),
            atol=1e-3,
        )


def test_conditional_modes_and_variances(pair):
    ref, fit = pair
    assert {frozenset(parts(e["group"])) for e in ref["ranef"]} == set(groups_by_name(fit))
    for entry, position, columns, rows in matched(ref, fit):
        sd = fit.varcorr[fit.groups[position].name].sd.to_numpy()[columns]
        modes = fit.solution.modes[position][columns][:, rows]
        theirs = np.array(entry["modes"], dtype=float).reshape(len(rows), len(columns)).T
        scale = np.maximum(sd, 1e-3 * fit.sigma)[:, None]
        assert np.abs((modes - theirs) / scale).max() <= 1e-4
        ours = fit.conditional_covariances[position][np.ix_(columns, columns, rows)]
        for at, theirs in conditional_covariances(entry):
            difference = ours[np.ix_(at, at)] - theirs
            assert np.abs(difference / (scale * scale.T)[np.ix_(at, at)][:, :, None]).max() <= 1e-4


def test_fitted_values(pair):
    ref, fit = pair
    theirs = np.array(ref["fitted_first20"])
    np.testing.assert_allclose(fit.fittedvalues.iloc[: len(theirs)], theirs, atol=1e-4 * fit.sigma)
    np.testing.assert_allclose(fit.resid.iloc[: len(theirs)], ref["resid_first20"], atol=1e-4 * fit.sigma)


def test_singular_fits_are_named(pair):
    ref, fit = pair
    assert fit.is_singular == ref["isSingular"]


@pytest.mark.parametrize("case", ["scaled", "shifted", "shifted_1e6", "tiny", "both"])
@pytest.mark.parametrize("reml", [False, True], ids=["ml", "reml"])
def test_badly_scaled_slopes(case, reml):
    """Days in other units, or counted from another day, is the same model."""
    frozen = rv.extra("ill_conditioned")[case]
    factor, shift = (float(s) for s in re.fullmatch(r"Days \* (\S+) \+ (\S+)", frozen["x"]).groups())
    table = rv.data("sleepstudy")
    table["x"] = table["Days"] * factor + shift
    fit, theirs = gl.lmer("Reaction ~ x + (x | Subject)", table, reml=reml), frozen["reml" if reml else "ml"]
    assert fit.deviance == pytest.approx(frozen["reml_criterion" if reml else "ml_deviance"], abs=1e-4)
    np.testing.assert_allclose(fit.params, np.ravel(theirs["fixef"]), rtol=1e-4)
    np.testing.assert_allclose(fit.bse, theirs["se"], rtol=1e-4)
    np.testing.assert_allclose(fit.varcorr["Subject"].sd, theirs["sd"], rtol=1e-4)
    assert fit.varcorr["Subject"].corr.iloc[0, 1] == pytest.approx(theirs["corr"], abs=1e-4)
    assert fit.sigma == pytest.approx(theirs["sigma"], rel=1e-4)
