"""The errors of conditional modes: against dense algebra, against draws, and what a fixed beta leaves out."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl


def column(fit, word):
    """All entries of one kind in the order of the columns of Z."""
    tables = fit.ranef(cond_sd=True, error_sd=True)
    return np.concatenate(
        [tables[g.name][[f"{word} {c}" for c in g.columns]].to_numpy().ravel() for g in fit.groups]
    )


def dense(fit, fixed):
    """SDs from Henderson's mixed model equations: of the errors, or (beta fixed) conditional."""
    ZL = fit.Z.toarray() @ fit.Lambda.toarray()
    W = np.eye(fit.nobs) if fit.design.weights is None else np.diag(fit.design.weights)
    full = ZL if fixed else np.hstack([ZL, fit.X])
    m, q = ZL.shape[1], full.shape[1]
    inverse = np.linalg.inv(full.T @ W @ full + np.diag(np.arange(q) < m))[:m, :m]
    L = fit.Lambda.toarray()
    return fit.sigma * np.sqrt(np.diag(L @ inverse @ L.T))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | s)", "y ~ x + (x || s)", "y ~ x + (x | s) + (1 | i)", "y ~ 0 + x + (x | s)"]
)
def test_sds_equal_dense_algebra(formula, weights):
    rng = np.random.default_rng(3)
    data = pd.DataFrame(
        {"s": rng.integers(0, 9, 150), "i": rng.integers(0, 7, 150), "x": rng.normal(1, 1, 150)}
    )
    shift, slope, item = rng.normal(size=9), rng.normal(size=9), rng.normal(size=7)
    data["y"] = shift[data.s] + slope[data.s] * data.x + item[data.i] + rng.normal(size=150)
    data["w"] = rng.uniform(0.5, 2, 150)
    fit = gl.lmer(formula, data, weights=weights)
    assert not fit.is_singular
    np.testing.assert_allclose(column(fit, "error sd"), dense(fit, fixed=False), rtol=1e-6)
    np.testing.assert_allclose(column(fit, "sd"), dense(fit, fixed=True), rtol=1e-6)
    assert (column(fit, "error sd") > column(fit, "sd")).all()


def test_glmm_errors_equal_dense_algebra():
    """With the joint Hessian's covariance of beta carried through the modes."""
    fit = gl.glmer("y ~ lbase * trt + V4 + (1 | subject)", gl.load("epil"), family="poisson")
    mu, ZL = fit.fittedvalues.to_numpy(), fit.Z.toarray() @ fit.Lambda.toarray()
    M = ZL.T @ (mu[:, None] * ZL) + np.eye(ZL.shape[1])
    follows = np.linalg.solve(M, ZL.T @ (mu[:, None] * fit.X))
    inverse = np.linalg.inv(M) + follows @ fit.cov_params().to_numpy() @ follows.T
    L = fit.Lambda.toarray()
    np.testing.assert_allclose(column(fit, "error sd"), np.sqrt(np.diag(L @ inverse @ L.T)), rtol=1e-5)


def test_error_of_a_balanced_one_way_layout():
    """With equal groups: the conditional variance plus the share of the mean's variance that the mode takes
    over.
    """
    fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"))
    kept = gl.shrinkage(fit)["factor"].iloc[0]
    conditional = column(fit, "sd")
    mean_variance = fit.cov_params().iloc[0, 0]
    np.testing.assert_allclose(
        column(fit, "error sd") ** 2, conditional**2 + kept**2 * mean_variance, rtol=1e-8
    )
