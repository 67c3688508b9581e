"""Fits as tidy tables, for those who put many fits into one data frame: estimates, fits, rows.

The three verbs and their columns are those of R's ``broom.mixed``, every dot an underscore: ``std_error``,
``p_value``, ``_fitted``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import prefixed
from glmmlib.diagnostics.leverage import hat_values
from glmmlib.display.arguments import checked, checked_level
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import coef_tests, quantile

EFFECTS = ("fixed", "ran_pars", "ran_vals")
_ORDER = (
    "effect",
    "component",
    "group",
    "level",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "df",
    "p_value",
    "conf_low",
    "conf_high",
)


@checked
def tidy(
    fit: FittedModel,
    conf_int: bool = False,
    effects: Sequence[str] = ("fixed", "ran_pars"),
    level: float = 0.95,
    method: str = "wald",
    **options: Any,
) -> pd.DataFrame:
    """Return the estimates of a fit, one row each.

    Parameters
    ----------
    fit : MixedModelFit
    conf_int : bool
        Add ``conf_low`` and ``conf_high``.
    effects : str or sequence of str
        ``"fixed"``: fixed effects, and the coefficients of other parameters that have a formula.
        ``"ran_pars"``: SDs and correlations of the random effects, the residual
        SD and the dispersion. ``"ran_vals"``: the conditional modes, with conditional SDs for standard
        errors.
    level, method, **options
        Of the intervals, as in ``fit.conf_int``. Wald intervals are for fixed effects only;
        ``method="profile"`` and ``"bootstrap"`` have those of the SDs and correlations too.

    Returns
    -------
    DataFrame
        ``effect``, ``component`` (only where a parameter such as the dispersion has a formula, or the model
        has thresholds: ``"conditional"`` for the mean's part, or the parameter's name), ``group``, ``level``
        (with ``"ran_vals"``), ``term``, ``estimate``, ``std_error``,
        ``statistic``, ``df`` (linear models) and ``p_value``. What an estimate has not is NaN: an SD has no
        useful standard error. Terms of random effects are ``"sd__Days"``, ``"cor__Intercept.Days"`` and
        ``"sd__Observation"`` (sigma). Conditional modes and thresholds have normal intervals.
        ``attrs["notes"]`` holds the notes of the intervals.

    Raises
    ------
    ModelError
        For unknown effects, and as ``fit.conf_int``.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.tidy(fit)[["effect", "group", "term", "estimate", "std_error"]].round(2)
         effect     group                 term  estimate  std_error
    0     fixed       NaN            Intercept    251.41       6.82
    1     fixed       NaN                 Days     10.47       1.55
    2  ran_pars   Subject        sd__Intercept     24.74        NaN
    3  ran_pars   Subject             sd__Days      5.92        NaN
    4  ran_pars   Subject  cor__Intercept.Days      0.07        NaN
    5  ran_pars  Residual      sd__Observation     25.59        NaN
    """
    level = checked_level(level)
    wanted = (effects,) if isinstance(effects, str) else tuple(effects)
    if not wanted:
        raise ModelError(f"effects names none; there are {', '.join(map(repr, EFFECTS))}")
    if unknown := [name for name in wanted if name not in EFFECTS]:
        raise ModelError(f"there are no effects {unknown[0]!r}; there are {', '.join(map(repr, EFFECTS))}")
    make = {"fixed": _fixed, "ran_pars": _parameters, "ran_vals": _modes}
    tables = [make[name](fit) for name in wanted]
    table = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
    if "component" in table:
        table["component"] = table.get("component", pd.Series(dtype=object)).fillna("conditional")
    if not conf_int and (method != "wald" or options):
        raise ModelError("method= and its options are for intervals: ask for conf_int=True")
    notes = ()
    if conf_int:
        intervals = fit.conf_int(level, method, **options)
        notes = intervals.attrs.get("notes", ())
        found = intervals.reindex(table["_parameter"])
        table["conf_low"], table["conf_high"] = found["lower"].to_numpy(), found["upper"].to_numpy()
        _add_normal_intervals(table, level)
    table = table[[c for c in _ORDER if c in table and (c != "df" or fit.is_linear)]]
    table.attrs["notes"] = notes
    return table


def _fixed(fit: FittedModel) -> pd.DataFrame:
    table = _coefficients(coef_tests(fit), fit.bse)
    names = [own.name for own in fit.design.auxiliary]
    others = [_of_predictor(fit, name) for name in names]
    others += [] if fit.thresholds is None else [_of_thresholds(fit.thresholds)]
    return pd.concat([table, *others], ignore_index=True) if others else table


def _of_thresholds(found):
    names = [f"threshold {name}" for name in found.index]
    table = {"effect": "fixed", "term": names, "estimate": found["estimate"], "std_error": found["se"]}
    return pd.DataFrame(table).assign(component="thresholds", group=None, _parameter=names)


def _of_predictor(fit, name):
    tests = coef_tests(fit, predictor=name)
    table = _coefficients(tests, tests["se"])
    return table.assign(component=name, _parameter=[f"{name} {term}" for term in table["term"]])


def _coefficients(tests, se):
    return pd.DataFrame(
        {
            "effect": "fixed",
            "group": np.nan,
            "term": tests.index,
            "estimate": tests["estimate"].to_numpy(),
            "std_error": se.to_numpy(),
            "statistic": tests["statistic"].to_numpy(),
            "df": tests["df"].to_numpy(),
            "p_value": tests["p"].to_numpy(),
            "_parameter": tests.index,
        }
    ).astype({"group": object})


def _parameters(fit: FittedModel) -> pd.DataFrame:
    """SDs and correlations; ``_parameter`` is the name that profile and bootstrap give them."""
    rows = []
    groups = dict(fit.varcorr)
    if fit.varcorr.residual_covariance is not None:
        groups["Residual"] = fit.varcorr.residual_covariance
    for name, g in groups.items():
        rows += [(name, f"sd__{c.name}", c.sd, c.parameter) for c in g.components if c.name]
        for c in g.components:
            for earlier, corr in c.correlations.items():
                parameter = f"{c.parameter.replace('sd ', 'corr ', 1)}.{earlier}"
                rows.append((name, f"cor__{earlier}.{c.name}", corr, parameter))
            for kind, value in c.shared.items():
                of = kind.replace("rho", f"rho {c.label}") if name == "Residual" else None
                parameter = of or f"{kind} {prefixed(name, c.label)}"
                rows.append((name, f"{kind}__{c.label}", value, parameter))
    if fit.thresholds is None:
        rows += [("Residual", a.term, value, a.name) for a, value in fit.named_auxiliary()]
    return _frame("ran_pars", rows, ["group", "term", "estimate", "_parameter"])


def _modes(fit):
    rows = []
    for name, table in fit.ranef(cond_sd=True).items():
        columns = [c for c in table if f"sd {c}" in table]
        rows += [
            (name, level, c, value, sd)
            for c in columns
            for level, value, sd in zip(table.index, table[c], table[f"sd {c}"], strict=True)
        ]
    return _frame("ran_vals", rows, ["group", "level", "term", "estimate", "std_error"]).assign(
        _parameter=None
    )


def _frame(effect: str, rows: Sequence[tuple[str, str, float, str]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns).astype({"estimate": float})
    table.insert(0, "effect", effect)
    return table


def _add_normal_intervals(table: pd.DataFrame, level: float) -> None:
    modes = table["effect"] == "ran_vals"
    if "component" in table:
        modes |= table["component"] == "thresholds"
    if not modes.any():
        return
    half = -quantile(0.5 * (1.0 - level), np.inf) * table.loc[modes, "std_error"]
    table.loc[modes, "conf_low"] = table.loc[modes, "estimate"] - half
    table.loc[modes, "conf_high"] = table.loc[modes, "estimate"] + half


@checked
def glance(fit: FittedModel) -> pd.DataFrame:
    """Return what describes a fit as a whole, as a table of one row.

    Parameters
    ----------
    fit : MixedModelFit

    Returns
    -------
    DataFrame
        ``nobs``, ``sigma``, ``dispersion``, ``logLik``, ``AIC``, ``BIC``, ``REMLcrit`` (for a fit by REML),
        ``deviance`` (-2 log L, for one by maximum likelihood), ``df_residual``, ``is_singular`` and
        ``converged``; for a fit that was solved iteratively also ``AIC_error``, the Monte Carlo error of AIC,
        BIC and deviance. So rows of several fits can be stacked.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.glance(fit)[["nobs", "sigma", "logLik", "AIC", "REMLcrit"]].round(1)
       nobs  sigma  logLik     AIC  REMLcrit
    0   180   25.6  -871.8  1755.6    1743.6
    """
    error = fit.solution.deviance_error
    return pd.DataFrame(
        [
            {
                "nobs": fit.nobs,
                "sigma": _number(fit.auxiliary if fit.is_linear else None),  # NaN where rows differ in it
                "dispersion": _number(getattr(fit, "dispersion", None)),  # NaN where rows differ in it
                "logLik": fit.llf,
                "AIC": fit.aic,
                "BIC": fit.bic,
                "REMLcrit": fit.deviance if fit.reml else np.nan,
                "deviance": np.nan if fit.reml else fit.deviance,
                "df_residual": fit.df_resid,
                "is_singular": fit.is_singular,
                "converged": fit.convergence.converged,
            }
            | ({"AIC_error": error} if error > 0 else {})
        ]
    )


def _number(value: float | None) -> float:
    return np.nan if value is None or np.ndim(value) else float(value)


@checked
def augment(fit: FittedModel) -> pd.DataFrame:
    """Return the rows that a fit used, with what it says about each.

    Parameters
    ----------
    fit : MixedModelFit

    Returns
    -------
    DataFrame
        The columns of the data, and ``_fitted`` (mean given the conditional modes), ``_fixed`` (mean where
        all random effects are zero), ``_resid`` (observed minus fitted; proportions for a binomial response),
        ``_pearson`` (divided by its SD), for a linear model ``_hat`` (the row's leverage, the diagonal of the
        hat matrix), and ``_offset`` where there is one. Means are on the scale of the response; broom.mixed
        has those of a GLMM on the scale of the link. The index is that of the data.

    Raises
    ------
    DataError
        If the data have such a column already.
    ModelError
        For a fit by ``fit.refit``, whose response is not in the data.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.augment(fit).head(2).round(1)
       Reaction  Days Subject  _fitted  _fixed  _resid  _pearson  _hat
    0     249.6     0     308    253.7   251.4    -4.1      -0.2   0.2
    1     258.7     1     308    273.3   261.9   -14.6      -0.6   0.2
    """
    if fit.is_refit:
        raise ModelError(
            "the response of this fit was given to refit(), so it is not in the data: augment the fit of "
            "the data"
        )
    columns = {
        "_fitted": fit.fittedvalues,
        "_fixed": fit.predict(re_form="~0"),
        "_resid": fit.resid,
        "_pearson": fit.resid_pearson,
    }
    if fit.is_linear:
        columns["_hat"] = hat_values(fit)
    if fit.design.offset is not None:
        columns["_offset"] = fit.design.offset
    if taken := [name for name in columns if name in fit.design.data]:
        raise DataError(f"the data have a column {taken[0]!r} already: rename it before you fit")
    return fit.design.data.assign(**{name: np.asarray(values) for name, values in columns.items()})
