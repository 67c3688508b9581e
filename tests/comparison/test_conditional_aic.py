"""The conditional AIC counts how far fitted values follow the response, by the formula and by brute force."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import glmmlib as gl
from glmmlib.diagnostics.leverage import hat_values
from glmmlib.errors import ModelError, SingularFitWarning


def crossed():
    rng = np.random.default_rng(51)
    table = pd.DataFrame(
        {"a": np.repeat(list("abcde"), 5), "b": np.tile(list("uvwxy"), 5), "x": np.arange(25) % 4.0}
    )
    effects = {c: rng.normal(size=5) for c in "ab"}
    mean = sum(effects[c][pd.factorize(table[c])[0]] for c in "ab") + 0.3 * table["x"]
    return table.assign(
        y=mean + 0.7 * rng.normal(size=25), w=rng.uniform(0.5, 2.0, 25), known=rng.normal(size=25)
    )


def nested():
    return crossed().assign(cell=lambda t: (t["x"] > 2).astype(int))


MODELS = {
    "intercept, REML": ("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), {}),
    "intercept, ML": ("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), {"reml": False}),
    "weights and offset": ("y ~ x + (1 | a)", crossed(), {"weights": "w", "offset": "known"}),
    "slopes": ("y ~ x + (x | a)", crossed(), {}),
    "crossed": ("y ~ x + (1 | a) + (1 | b)", crossed(), {"weights": "w"}),
    "crossed slopes": ("y ~ x + (x || a) + (1 | b)", crossed(), {}),
    "nested": ("y ~ 0 + (1 | a/cell)", nested(), {"reml": False}),
    "variance of zero": ("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff2"), {}),
}


@pytest.fixture(params=MODELS, scope="module")
def fit(request):
    formula, data, options = MODELS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return gl.lmer(formula, data, **options)


def test_hat_values_are_the_diagonal_of_the_hat_matrix(fit):
    W = np.diag(np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights)
    V0 = (fit.Z @ fit.Lambda @ fit.Lambda.T @ fit.Z.T).toarray() + np.linalg.inv(W)
    inverse = np.linalg.inv(V0)
    X, identity = fit.X, np.eye(fit.nobs)
    gls = X @ np.linalg.pinv(X.T @ inverse @ X) @ X.T @ inverse
    hat = identity - np.linalg.inv(W) @ inverse @ (identity - gls)
    np.testing.assert_allclose(hat_values(fit), np.diag(hat), atol=1e-9)


def test_degrees_of_freedom_are_the_divergence_of_the_fitted_values(fit):
    """Stein's divergence: move each observation, fit again with all variances, and see how far its fitted
    value follows.
    """
    y, h = fit.design.y, 1e-3 * fit.sigma
    divergence = 0.0
    for i in range(fit.nobs):
        ends = [fit.refit(y + s * np.eye(fit.nobs)[i], warn=False).fittedvalues.iloc[i] for s in (h, -h)]
        divergence += (ends[0] - ends[1]) / (2 * h)
    found = gl.conditional_aic(fit)
    assert found.df == pytest.approx(divergence, abs=2e-3)
    if not fit.is_singular:
        assert found.df > found.df_known + 1e-3


def test_value_by_hand():
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    found = gl.conditional_aic(fit)
    llf = -0.5 * fit.nobs * np.log(2 * np.pi * fit.sigma**2) - 0.5 * (fit.resid**2).sum() / fit.sigma**2
    assert found.llf == pytest.approx(llf)
    assert float(found) == pytest.approx(-2 * llf + 2 * (found.df + 1))
    assert found.df_known == pytest.approx(hat_values(fit).sum())


def test_without_variation_between_groups_it_is_the_aic_of_least_squares():
    table = gl.load("Dyestuff2")
    with pytest.warns(SingularFitWarning):
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", table, reml=False)
    pooled = smf.ols("Yield ~ 1", table).fit()
    assert float(gl.conditional_aic(fit)) == pytest.approx(pooled.aic + 2)  # statsmodels does not count sigma
    compared = gl.compare(pooled, fit).table["cAIC"]
    assert compared["m0"] == pytest.approx(compared["m1"])


def test_compare_says_where_there_is_none():
    frogs = gl.load("frogs")
    fit = gl.glmer("presence ~ 1 + (1 | region)", frogs, family="binomial")
    result = gl.compare(fit)
    assert result.table["cAIC"].isna().all()
    assert "cAIC is for linear models only, so not for m0" in str(result)
    with pytest.raises(ModelError, match="computed for linear mixed models"):
        gl.conditional_aic(fit)


def test_tables_of_pooled_and_mixed_fits_keep_to_80_columns():
    sleep = gl.load("sleepstudy")
    fits = [gl.lmer(f"Reaction ~ Days + ({x} | Subject)", sleep, reml=False) for x in ("1", "Days")]
    text = str(gl.compare(smf.ols("Reaction ~ Days", sleep).fit(), *fits))
    assert max(map(len, text.splitlines())) <= 80
    assert "1711.7" in text
