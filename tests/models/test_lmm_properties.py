"""What must not change a fit, and what must hold at every optimum, on data that hypothesis makes up."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import glmmlib as gl
from glmmlib.errors import GlmmlibError, GlmmlibWarning
from support import reference_values as rv
from support.examples import examples

FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (x | g)",
    "y ~ x + (x || g)",
    "y ~ 0 + (1 | g)",
    "y ~ x + (0 + x | g)",
    "y ~ x + (1 | g) + (1 | h)",
    "y ~ x + (x | g) + (1 | h)",
    "y ~ x + (1 | h/g)",
]
SHIFTABLE = [f for f in FORMULAS if "||" not in f and "0 +" not in f]


@st.composite
def tables(draw):
    """Unbalanced data with zero, small or large variances between 3 to 9 groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    J = draw(st.integers(3, 9))
    sizes = np.array(draw(st.lists(st.integers(2, 7), min_size=J, max_size=J)))
    sd, slope, noise = (
        draw(st.sampled_from(choices)) for choices in ([0.0, 0.3, 1.0, 5.0], [0.0, 0.5, 2.0], [0.1, 1.0])
    )
    g = np.repeat(np.arange(J), sizes)
    h = rng.integers(0, 4, g.size)
    h[:2] = 0, 1
    x = rng.normal(size=g.size)
    y = (
        2
        + x
        + rng.normal(scale=sd, size=J)[g]
        + x * rng.normal(scale=slope, size=J)[g]
        + rng.normal(scale=noise, size=g.size)
    )
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def fitted(formula, table, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        try:
            return gl.lmer(formula, table, **options)
        except GlmmlibError:
            assume(False)  # too few rows for these random effects


def same(a, b, deviance=1e-6, estimates=1e-4):
    """The criterion agrees closely; the estimates up to the flatness of the surface."""
    assert a.deviance == pytest.approx(b.deviance, abs=deviance)
    np.testing.assert_allclose(
        a.fittedvalues.sort_index(), b.fittedvalues.sort_index(), atol=estimates * np.ptp(b.design.y)
    )
    assert a.sigma == pytest.approx(b.sigma, rel=10 * estimates)


cases = given(tables(), st.sampled_from(FORMULAS), st.booleans())
quick = examples(20)


@quick
@cases
def test_order_of_rows(table, formula, reml):
    shuffled = table.sample(frac=1.0, random_state=1)
    same(fitted(formula, shuffled, reml=reml), fitted(formula, table, reml=reml))


@quick
@cases
def test_labels_of_groups(table, formula, reml):
    """Text for numbers, in another order."""
    label = dict(enumerate(np.random.default_rng(2).permutation(list("qwertyuio"))))
    renamed = table.assign(g=table["g"].map(label))
    a, b = fitted(formula, table, reml=reml), fitted(formula, renamed, reml=reml)
    same(a, b)
    if "/" not in formula:
        modes = a.ranef()["g"]
        modes.index = modes.index.map(label)
        np.testing.assert_allclose(
            b.ranef()["g"], modes.loc[b.ranef()["g"].index], atol=1e-3 * np.ptp(table["y"])
        )


@quick
@given(tables(), st.sampled_from(FORMULAS), st.booleans(), st.sampled_from([1e-8, 1e-3, -1.0, 1e8]))
def test_units_of_the_response(table, formula, reml, c):
    a, b = fitted(formula, table, reml=reml), fitted(formula, table.assign(y=c * table["y"]), reml=reml)
    df = a.nobs - (len(a.params) if reml else 0)
    assert b.deviance == pytest.approx(a.deviance + 2 * df * np.log(abs(c)), abs=1e-6)
    np.testing.assert_allclose(b.params, c * a.params, rtol=1e-3, atol=1e-4 * abs(c) * np.ptp(table["y"]))
    assert b.sigma == pytest.approx(abs(c) * a.sigma, rel=1e-3)


@quick
@given(tables(), st.sampled_from(FORMULAS), st.booleans(), st.sampled_from([-3.0, 1e6]))
def test_origin_of_the_response(table, formula, reml, shift):
    assume("0 +" not in formula.split("(")[0])
    a, b = fitted(formula, table, reml=reml), fitted(formula, table.assign(y=table["y"] + shift), reml=reml)
    assert b.deviance == pytest.approx(a.deviance, abs=1e-5)
    assert b.params["Intercept"] - shift == pytest.approx(
        a.params["Intercept"], abs=1e-3 * np.ptp(table["y"])
    )


@quick
@given(tables(), st.sampled_from(FORMULAS), st.booleans(), st.sampled_from([1e-6, -2.0, 1e6]))
def test_units_of_x(table, formula, reml, c):
    """The REML criterion carries the units of x: log |X'V^-1 X|."""
    a, b = fitted(formula, table, reml=reml), fitted(formula, table.assign(x=c * table["x"]), reml=reml)
    carried = 2 * np.log(abs(c)) if reml and "x" in a.params else 0.0
    assert b.deviance == pytest.approx(a.deviance + carried, abs=1e-6)
    if "x" in a.params:
        assert c * b.params["x"] == pytest.approx(a.params["x"], abs=1e-3 * a.bse["x"])
        assert abs(c) * b.bse["x"] == pytest.approx(a.bse["x"], rel=1e-3)


@quick
@given(tables(), st.sampled_from(SHIFTABLE), st.booleans(), st.sampled_from([5.0, -1e4, 1e7]))
def test_origin_of_x(table, formula, reml, shift):
    """Where intercept and slope may correlate."""
    a, b = fitted(formula, table, reml=reml), fitted(formula, table.assign(x=table["x"] + shift), reml=reml)
    assert b.deviance == pytest.approx(a.deviance, abs=1e-5)
    assert b.params["x"] == pytest.approx(a.params["x"], abs=1e-3 * a.bse["x"])


@quick
@given(tables(), st.sampled_from(FORMULAS), st.booleans(), st.sampled_from([1e-9, 0.3, 1e9]))
def test_units_of_the_weights(table, formula, reml, c):
    w = 1.0 + table["h"].to_numpy() % 3
    a, b = (fitted(formula, table, reml=reml, weights=k * w) for k in (1.0, c))
    same_but_sigma = b.sigma / np.sqrt(c)
    assert b.deviance == pytest.approx(a.deviance, abs=1e-6)
    assert same_but_sigma == pytest.approx(a.sigma, rel=1e-3)
    assert a.is_singular == b.is_singular


@examples(12)
@given(tables(), st.booleans())
def test_a_larger_model_fits_no_worse(table, shift):
    """Of nested models by ML; with the same fixed effects also by REML."""
    if shift:
        table = table.assign(x=table["x"] + 100.0)
    chain = ["y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)"]
    for reml in (False, True):
        fits = [fitted(formula, table, reml=reml).llf for formula in chain]
        assert (np.diff(fits) >= -1e-6).all()
    fixed = [
        fitted(formula, table, reml=False).llf
        for formula in ("y ~ 1 + (x | g)", "y ~ x + (x | g)", "y ~ x + I(x**2) + (x | g)")
    ]
    assert (np.diff(fixed) >= -1e-6).all()


@quick
@cases
def test_at_the_optimum(table, formula, reml):
    """The gradient vanishes, nearby values of theta are no better, and what is reported belongs to theta."""
    fit = fitted(formula, table, reml=reml)
    assert fit.convergence.converged
    assert fit.convergence.promise < 1e-6
    theta = fit.theta.to_numpy()
    assert fit.objective(theta) == pytest.approx(fit.deviance, abs=1e-8)
    rng = np.random.default_rng(3)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(5):
            assert (
                fit.objective(theta + size * rng.normal(size=theta.size) * (0.1 + np.abs(theta)))
                >= fit.deviance - 1e-7
            )
    for L in fit.solution.Lambdas:
        assert (np.diag(L) >= 0).all() and np.isfinite(L).all()
    assert np.isfinite(fit.solution.problem.covariance.to_standardised(theta)).all()


@quick
@cases
def test_shares_lie_between_zero_and_one(table, formula, reml):
    fit = fitted(formula, table, reml=reml)
    assert 0 <= float(gl.icc(fit)) <= 1
    assert 0 <= float(gl.icc(fit, kind="unadjusted")) <= float(gl.icc(fit))
    for group in fit.ngroups:
        found = gl.shrinkage(fit, group)
        columns = [c for c in found.table if c.split()[0] in ("factor", "kept")]
        shares = found.table[columns].to_numpy()
        assert ((shares > -1e-9) & (shares < 1 + 1e-9) | np.isnan(shares)).all()
        assert (np.linalg.eigvals(found.weights).real > -1e-6).all()


@quick
@cases
def test_residuals_and_fitted_values_make_up_the_response(table, formula, reml):
    fit = fitted(formula, table, reml=reml)
    np.testing.assert_allclose(fit.fittedvalues + fit.resid, table["y"], rtol=1e-9, atol=1e-9)
    Zb = fit.Z @ np.concatenate([fit.ranef()[g.name].to_numpy().ravel() for g in fit.groups])
    np.testing.assert_allclose(
        fit.X @ fit.params.to_numpy() + Zb, fit.fittedvalues, atol=1e-8 * np.ptp(table["y"]) + 1e-9
    )
    assert (np.linalg.eigvalsh(fit.cov_params().to_numpy()) > 0).all()


def test_sleepstudy_in_any_units():
    """The figures of the course: ML 1751.9393, REML 1771.2593 for Days * 1e6; unchanged for Days + 1e4 and +
    1e8.
    """
    table, formula = rv.data("sleepstudy"), "Reaction ~ x + (x | Subject)"
    plain = {
        reml: gl.lmer(formula, table.assign(x=table["Days"]), reml=reml).deviance for reml in (False, True)
    }
    assert plain[False] == pytest.approx(1751.9393, abs=1e-4)
    assert plain[True] == pytest.approx(1743.6283, abs=1e-4)
    assert gl.lmer(formula, table.assign(x=table["Days"] * 1e6), reml=False).deviance == pytest.approx(
        1751.9393, abs=1e-4
    )
    assert gl.lmer(formula, table.assign(x=table["Days"] * 1e6)).deviance == pytest.approx(
        1771.2593, abs=1e-4
    )
    for shift in (1e4, 1e8):
        for reml in (False, True):
            moved = gl.lmer(formula, table.assign(x=table["Days"] + shift), reml=reml)
            assert moved.deviance == pytest.approx(plain[reml], abs=1e-3)


@pytest.mark.parametrize("formula", ["Reaction ~ Days + (Days | Subject)", "Reaction ~ Days + (1 | Subject)"])
def test_simulated_data_give_the_parameters_back(formula):
    """Averages over 200 simulated responses, within three standard errors of their mean."""
    fit = gl.lmer(formula, rv.data("sleepstudy"))
    Y = fit.simulate(200, rng=np.random.default_rng(8))
    many = fit.refit_many(np.asarray(Y))
    beta = many.params.to_numpy()
    assert (np.abs(beta.mean(axis=0) - fit.params) < 3 * beta.std(axis=0) / np.sqrt(len(beta))).all()
    np.testing.assert_allclose(beta.std(axis=0), fit.bse, rtol=0.2)
    sigma2 = many.sigma**2
    assert sigma2.mean() == pytest.approx(fit.sigma**2, abs=3 * sigma2.std() / np.sqrt(len(sigma2)))
    cov = np.array([fit.at(many.estimates(r)).varcorr["Subject"].cov.to_numpy().ravel() for r in range(200)])
    error = np.abs(cov.mean(axis=0) - fit.varcorr["Subject"].cov.to_numpy().ravel())
    assert (error < 3.5 * cov.std(axis=0) / np.sqrt(len(cov))).all()
