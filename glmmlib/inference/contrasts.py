r"""Tests and intervals for the fixed effects.

A contrast :math:`l'\beta` is divided by its standard error. For a linear mixed model the ratio is compared
with a t distribution whose degrees of freedom are Satterthwaite's (the default), Kenward and Roger's, or
infinite (``"z"``); for a generalised one it is compared with the normal distribution. Several contrasts at
once give an F (or chi-square) test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtrc, ndtri, stdtr, stdtrit

from glmmlib.display.arguments import checked
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.kenward_roger import kenward_roger
from glmmlib.inference.satterthwaite import multiple_df, variance_information
from glmmlib.types import FloatArray, Numbers

DDF = ("satterthwaite", "kenward-roger", "z")
DDF_TITLE = {"satterthwaite": "Satterthwaite", "kenward-roger": "Kenward-Roger", "z": "normal approximation"}


@dataclass(frozen=True)
class Test:
    """A test of one or several contrasts: ``statistic`` is ``kind`` (t, z, F or chi2) distributed under H0.

    ``df`` is the denominator's (infinite for z and chi2), ``n_contrasts`` the numerator's.
    """

    __test__ = False  # for pytest: not a test case

    kind: str
    statistic: float
    n_contrasts: int
    df: float
    p: float


def check_ddf(fit: FittedModel, ddf: str | None) -> str:
    """Return the name of the degrees of freedom to use: the model's default for None."""
    if ddf is None:
        return "satterthwaite" if fit.statistic == "t" else "z"
    if not isinstance(ddf, str) or ddf not in DDF:
        raise ModelError(f"ddf is {', '.join(map(repr, DDF[:-1]))} or {DDF[-1]!r}, not {ddf!r}")
    if fit.statistic == "z" and ddf != "z":
        raise ModelError(
            f"{DDF_TITLE[ddf]} degrees of freedom belong to linear mixed models; for this one tests are "
            "normal (ddf='z'),"
            " by likelihood ratio (gl.anova(m0, m1)) or by bootstrap"
        )
    return ddf


def degrees_of_freedom(fit: FittedModel, L: FloatArray, ddf: str | None) -> FloatArray:
    """Return the degrees of freedom of each row of L (r, p), as an array (r,)."""
    if ddf == "z":
        return np.full(len(L), np.inf)
    return _source(fit, ddf).df(L)


def covariance(fit: FittedModel, ddf: str | None) -> FloatArray:
    """Return the covariance of the fixed effects (p, p) that goes with these degrees of freedom."""
    return _source(fit, ddf).cov_params if ddf == "kenward-roger" else fit.solution.beta_cov


def _source(fit, ddf):
    """Compute once what the degrees of freedom rest on, and keep it with the fit."""
    make = {"satterthwaite": variance_information, "kenward-roger": kenward_roger}[ddf]
    if ddf not in fit.memory:
        fit.memory[ddf] = make(fit)
    return fit.memory[ddf]


def single_tests(fit: FittedModel, L: FloatArray, rhs: Numbers = 0.0, ddf: str | None = None) -> pd.DataFrame:
    """Test each row of L on its own: a DataFrame with estimate, se, df, statistic and p.

    After separation a row without a finite estimate has an infinite standard error, and no test.
    """
    ddf = check_ddf(fit, ddf)
    estimate = L @ fit.params.to_numpy()
    se = np.sqrt(np.einsum("rp,pq,rq->r", L, covariance(fit, ddf), L))
    df = degrees_of_freedom(fit, L, ddf) if len(L) else np.zeros(0)
    told = fit.solution.is_estimable(L)
    table = table_of_tests(estimate, np.where(told, se, np.nan), df, rhs)
    table["se"] = np.where(told, se, np.inf)
    return table


def table_of_tests(estimate: FloatArray, se: FloatArray, df: FloatArray, rhs: Numbers = 0.0) -> pd.DataFrame:
    """Test estimates (r,) against the right-hand side: estimate, se, df, statistic and p."""
    statistic = (estimate - rhs) / se
    columns = {"estimate": estimate, "se": se, "df": df, "statistic": statistic}
    return pd.DataFrame(columns | {"p": two_sided(statistic, df)})


def joint_test(fit: FittedModel, L: FloatArray, rhs: Numbers = 0.0, ddf: str | None = None) -> Test:
    r"""Test all rows of L at once.

    The F statistic is :math:`(L\beta - r)'(LCL')^{-1}(L\beta - r) / q`, times Kenward and Roger's factor
    where theirs is asked for; with ``ddf="z"`` it is not divided by q and is chi-square. After separation
    rows without a finite estimate leave it NaN.
    """
    ddf = check_ddf(fit, ddf)
    q = len(L)
    if not fit.solution.is_estimable(L).all():
        return Test("chi2", np.nan, q, np.inf, np.nan)
    distance = L @ fit.params.to_numpy() - rhs
    V = L @ covariance(fit, ddf) @ L.T
    scale = 1.0 / np.sqrt(np.diag(V))
    values, vectors = np.linalg.eigh(V * np.outer(scale, scale))
    if values[0] < 1e-10 * values[-1]:
        raise ModelError(
            "the rows of the contrast are linearly dependent: leave out those that follow from the others"
        )
    rotated = vectors.T @ (scale * distance)
    wald = float((rotated**2 / values).sum())
    if ddf == "z":
        return Test("chi2", wald, q, np.inf, float(chdtrc(q, wald)))
    if ddf == "kenward-roger":
        df, factor = _source(fit, ddf).f_test(L)
    else:
        V = L @ covariance(fit, ddf) @ L.T
        _, vectors = np.linalg.eigh(V)
        df, factor = multiple_df(degrees_of_freedom(fit, vectors.T @ L, ddf)), 1.0
    F = factor * wald / q
    return Test("F", F, q, float(df), float(fdtrc(q, df, F)))


def two_sided(statistic: FloatArray, df: FloatArray) -> FloatArray:
    """Return two-sided p-values of t statistics (normal where df is infinite)."""
    return 2.0 * stdtr(df, -np.abs(statistic))


@checked
def coef_tests(fit: FittedModel, ddf: str | None = None, predictor: str | None = None) -> pd.DataFrame:
    """Return the t (or z) tests of the fixed effects as a table.

    Parameters
    ----------
    fit : MixedModelFit
    ddf : {"satterthwaite", "kenward-roger", "z"}, optional
        Degrees of freedom for a linear mixed model (Satterthwaite's by default). Kenward and Roger's come
        with an adjusted covariance, so standard errors may differ too; they need a REML fit.
    predictor : str, optional
        The name of a parameter that has a formula of its own, such as ``"dispersion"``: tests of its
        coefficients, on the scale of its link, in the place of the fixed effects'.

    Returns
    -------
    DataFrame
        ``estimate``, ``se``, ``df``, ``statistic``, ``p``; one row for each coefficient. H0: the coefficient
        is zero.

    Raises
    ------
    ModelError
        For an unknown `ddf`, or one that the model does not have; for a parameter without a formula.

    Notes
    -----
    At a singular fit they are conditional on the boundary: variances estimated as zero are taken as known to
    be zero.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.coef_tests(fit).round(2)
               estimate    se    df  statistic    p
    Intercept    251.41  6.82  17.0      36.84  0.0
    Days          10.47  1.55  17.0       6.77  0.0
    """
    if predictor is not None:
        return _predictor_tests(fit, ddf, predictor)
    return single_tests(fit, np.eye(len(fit.params)), ddf=ddf).set_index(fit.params.index)


def _predictor_tests(fit, ddf, predictor):
    check_ddf(fit, ddf)
    if predictor not in fit.auxiliary_formulas:
        known = listed([*fit.auxiliary_formulas]) or "none"
        raise ModelError(
            f"{predictor!r} has no formula of its own in this fit, so there are no coefficients to test; "
            f"parameters that have one: {known}"
        )
    own = next(design for design in fit.design.auxiliary if design.name == predictor)
    tests = auxiliary_tests(fit).loc[[f"{predictor} {column}" for column in own.columns]]
    return tests.set_axis(list(own.columns))


def auxiliary_tests(fit: FittedModel) -> pd.DataFrame:
    """Test the coefficients of all auxiliary predictors against zero, by the normal distribution."""
    estimate, se = fit.auxiliary_params, fit.auxiliary_bse
    df = np.full(len(se), np.inf)
    columns = {"estimate": estimate, "se": se, "df": df, "statistic": estimate / se}
    return pd.DataFrame(columns | {"p": two_sided((estimate / se).to_numpy(), df)}, index=estimate.index)


# --- intervals ----------------------------------------------------------------------------------


def half_widths(tests: pd.DataFrame, level: float) -> pd.Series:
    """Return half the width of each estimate's interval, by its ``se`` and ``df``."""
    return -quantile(0.5 * (1.0 - level), tests["df"].to_numpy()) * tests["se"]


def quantile(probability: float, df: Numbers) -> FloatArray:
    """Return the quantile of t with these df (normal where infinite)."""
    df = np.asarray(df, dtype=float)
    return np.where(np.isinf(df), ndtri(probability), stdtrit(np.where(np.isinf(df), 1.0, df), probability))
