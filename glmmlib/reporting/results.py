"""The numbers of a report: tables, and the sentences of its results section."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.comparison.anova import anova
from glmmlib.display.tables import Table, fixed, p_text
from glmmlib.display.words import counted, identified, joined
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import check_ddf, coef_tests
from glmmlib.inference.smooths import smooths
from glmmlib.reporting.formats import code
from glmmlib.reporting.methods import LISTED, ratio_name
from glmmlib.reporting.tidy import tidy
from glmmlib.variance.icc import ICC, icc
from glmmlib.variance.r2 import RSquared, r2


@dataclass(frozen=True, eq=False)
class Numbers:
    """All that a report states.

    ``tests`` (coefficients, with lower and upper), ``variances`` (as :func:`glmmlib.tidy`), ``terms`` (joint
    tests, or None), ``icc`` and ``r2`` (None where the model has none), and the names of the choices.
    """

    tests: pd.DataFrame
    variances: pd.DataFrame
    terms: pd.DataFrame | None
    icc: ICC | None
    r2: RSquared | None
    ddf: str
    method: str
    options: dict
    level: float
    ratio: str | None
    notes: tuple
    auxiliary: dict

    @property
    def percent(self) -> str:
        return f"{100 * self.level:g}%"

    @classmethod
    def of(
        cls, fit: FittedModel, level: float, method: str, ddf: str | None, options: dict[str, Any]
    ) -> Numbers:
        ddf = check_ddf(fit, ddf)
        wald = {"ddf": ddf} if method == "wald" else {}
        table = tidy(fit, True, level=level, method=method, **wald, **options)
        is_fixed = table["effect"] == "fixed"
        of_mean = is_fixed & (table["component"] == "conditional" if "component" in table else True)
        tests = coef_tests(fit, ddf)
        variances = table[~is_fixed].drop(columns="component", errors="ignore").dropna(axis=1, how="all")
        auxiliary = {own.name: _of_component(fit, table, own.name) for own in fit.design.auxiliary}
        tests["lower"], tests["upper"] = (
            table.loc[of_mean, f"conf_{end}"].to_numpy() for end in ("low", "high")
        )
        separation = getattr(fit, "separation", None)
        if separation is not None:
            lost = [name for name in separation.coefficients if name in tests.index]
            tests.loc[lost, "estimate"] = np.copysign(np.inf, tests.loc[lost, "estimate"])
            tests.loc[lost, ["se", "statistic", "p", "lower", "upper"]] = np.nan
        several = any(s.stop - s.start > 1 for s in fit.design.term_slices.values())
        terms = anova(fit, ddf=ddf).table if several and separation is None else None
        shares = (None, None) if separation is not None else (_or_none(icc, fit), _or_none(r2, fit))
        return cls(
            tests,
            variances,
            terms,
            shares[0],
            shares[1],
            ddf,
            method,
            options,
            level,
            ratio_name(fit),
            tuple(table.attrs["notes"]),
            auxiliary,
        )


def _of_component(fit, table, name):
    """Return the tests of a parameter's coefficients with lower and upper."""
    rows = table[table["component"] == name]
    ends = rows[["conf_low", "conf_high"]].set_axis(["lower", "upper"], axis=1).set_index(rows["term"])
    return coef_tests(fit, predictor=name).join(ends)


def _or_none(function, fit):
    try:
        return function(fit)
    except ModelError:
        return None


# --- tables -----------------------------------------------------------------------------------------


def fixed_effects_table(numbers: Numbers) -> Table:
    t = numbers.tests
    cells = [t.index, _column(t["estimate"], t["se"]), _column(t["se"], t["se"])]
    header = ["", "Estimate", "SE"]
    if numbers.ratio:
        is_slope = t.index != "Intercept"  # exp(intercept) compares with nothing
        shown = _exp(t[["estimate", "lower", "upper"]]).where(pd.Series(is_slope, t.index), np.nan)
        se = shown["estimate"] * t["se"]
        cells += [
            map(_ratio, shown["estimate"], se),
            map(_ratio_interval, shown["lower"], shown["upper"], se),
        ]
        header += [numbers.ratio.capitalize(), f"{numbers.percent} CI"]
    else:
        cells.append(_interval_column(t["lower"], t["upper"], t["se"]))
        header.append(f"{numbers.percent} CI")
    if numbers.ddf != "z":
        cells.append(fixed(t["df"], 1))
        header.append("df")
    cells += [fixed(t["statistic"], 2), map(p_text, t["p"])]
    header += ["z" if numbers.ddf == "z" else "t", "p"]
    return Table("Fixed effects", tuple(header), tuple(zip(*cells, strict=True)))


def auxiliary_tables(fit: FittedModel, numbers: Numbers) -> Iterator[Table]:
    """Yield a table of thresholds, and of the coefficients of each parameter that has a formula."""
    if fit.thresholds is not None:
        yield _threshold_table(fit.thresholds, numbers)
    for own, _ in fit.modelled_auxiliary():
        t = numbers.auxiliary[own.name]
        cells = [t.index, _column(t["estimate"], t["se"]), _column(t["se"], t["se"])]
        cells += [_interval_column(t["lower"], t["upper"], t["se"]), fixed(t["statistic"], 2)]
        header = ("", "Estimate", "SE", f"{numbers.percent} CI", "z", "p")
        title = f"{own.title[0].upper()}{own.title[1:]} {own.symbol}, {own.link.name} scale"
        yield Table(title, header, tuple(zip(*cells, map(p_text, t["p"]), strict=True)))


def _threshold_table(t, numbers):
    half = ndtri(0.5 + 0.5 * numbers.level) * t["se"]
    cells = [t.index, _column(t["estimate"], t["se"]), _column(t["se"], t["se"])]
    cells.append(_interval_column(t["estimate"] - half, t["estimate"] + half, t["se"]))
    header = ("", "Estimate", "SE", f"{numbers.percent} CI")
    return Table("Thresholds", header, tuple(zip(*cells, strict=True)))


def random_effects_table(numbers: Numbers) -> Table:
    v = numbers.variances
    cells = [v["group"], v["term"].map(_parameter), _sizes(v["estimate"], v["term"])]
    header = ["Group", "Parameter", "Estimate"]
    if "conf_low" in v:
        ends = (_sizes(v[end], v["term"]) for end in ("conf_low", "conf_high"))
        cells.append([f"{low} to {high}" if low else "" for low, high in zip(*ends, strict=True)])
        header.append(f"{numbers.percent} CI")
    return Table("Random effects", tuple(header), tuple(zip(*cells, strict=True)), n_labels=2)


def _parameter(term: str) -> str:
    kind, _, name = term.partition("__")
    if kind == "cor":
        return f"correlation {name.replace('.', ', ', 1)}"
    kinds = {"sd": "SD"}
    return {"sd__Observation": "SD"}.get(term, f"{kinds.get(kind, kind)} {name}".strip())


def model_table(fit: FittedModel, numbers: Numbers) -> Table:
    rows = [("Rows", f"{fit.nobs:,}"), *_counts(fit)]
    if numbers.icc is not None:
        rows.append((f"ICC ({_words(numbers.icc)})", f"{numbers.icc.value:.2f}"))
        if len(fit.groups) > 1:
            rows += [(f"ICC of {name}", f"{value:.2f}") for name, value in numbers.icc.by_group.items()]
    if numbers.r2 is not None:
        rows += [
            ("R2, marginal", f"{numbers.r2.marginal:.2f}"),
            ("R2, conditional", f"{numbers.r2.conditional:.2f}"),
        ]
    rows += [
        ("REML criterion" if fit.reml else "Log-likelihood", f"{fit.deviance if fit.reml else fit.llf:.2f}")
    ]
    rows += [("AIC", f"{fit.aic:.2f}"), ("BIC", f"{fit.bic:.2f}")]
    if fit.solution.deviance_error > 0:
        rows.append(("Monte Carlo error of AIC and BIC", f"{fit.solution.deviance_error:.2g}"))
    return Table("Model", ("", "Value"), tuple(rows))


def _counts(fit):
    for g in fit.groups:
        for name, n in g.counts().items():
            yield f"{'Effects' if g.is_whole else 'Levels'} of {name}", f"{n:,}"


def _words(found):
    return ", ".join(note for note in (found.kind, found.scale, found.where) if note)


# --- sentences --------------------------------------------------------------------------------------


def results(fit: FittedModel, numbers: Numbers) -> Iterator[Any]:
    """Yield the sentences of the results section."""
    lines = set(fit.design.formula.lines)  # the slope of a curve's line alone says little
    names = [name for name in numbers.tests.index if name != "Intercept" and name not in lines]
    has_curves = any(g.is_curve for g in fit.groups)
    if "Intercept" in numbers.tests.index and not names and not has_curves:
        yield (
            f"The mean over groups was {_estimate(numbers, 'Intercept')}."
            if fit.family.link.is_straight
            else (f"The mean of the linear predictor was {_estimate(numbers, 'Intercept')}.")
        )
    for term, row in numbers.terms.iterrows() if numbers.terms is not None else ():
        width = fit.design.term_slices[term]
        if width.stop - width.start > 1:
            yield f"The test of all coefficients of {code(term)} gave {_joint(row)}."
    for name in names[:LISTED]:
        yield _coefficient(fit, numbers, name)
    if len(names) > LISTED:
        yield f"The other {counted(len(names) - LISTED, 'coefficient')} are in the table."
    if numbers.ratio and names:
        yield f"Each {numbers.ratio} compares members of one group, or of groups with equal random effects."
    yield from _variation(fit)
    yield from _shares(fit, numbers)


def _coefficient(fit, numbers, name):
    row = numbers.tests.loc[name]
    if not np.isfinite(row["estimate"]):
        return f"The coefficient of {code(name)} has no finite estimate."
    test = f"{_statistic(numbers, row)}, {_p(row['p'])}"
    is_slope = _is_plain_slope(fit, name)
    if numbers.ratio:
        ratio, lower, upper = _exp(row[["estimate", "lower", "upper"]])
        value = f"{numbers.percent} CI {_ratio_interval(lower, upper, ratio * row['se'])}; {test}"
        what = "one unit more of " if is_slope else ""
        return f"The {numbers.ratio} of {what}{code(name)} was {_ratio(ratio, ratio * row['se'])} ({value})."
    if is_slope and fit.family.link.is_straight:
        change = "rose" if row["estimate"] >= 0 else "fell"
        size = row.copy()
        if row["estimate"] < 0:
            size["estimate"], size["lower"], size["upper"] = -row["estimate"], -row["upper"], -row["lower"]
        by = _number(size["estimate"], size["se"])
        start = (
            f"With one unit more of {code(name)}, the mean of {code(fit.design.response_name)} {change} by "
            f"{by}"
        )
        return f"{start} (SE {_number(row['se'], row['se'])}, {_ci(numbers, size)}; {test})."
    return f"The coefficient of {code(name)} was {_estimate(numbers, name)}; {test}."


def _is_plain_slope(fit: FittedModel, name: str) -> bool:
    """Is it the slope of a column of numbers that enters the fixed effects once, and as it is?"""
    used = [other for other in fit.params.index if other != name and name in other]
    return name in fit.design.data and name not in fit.design.category_levels and not used


def _estimate(numbers, name):
    row = numbers.tests.loc[name]
    return f"{_number(row['estimate'], row['se'])} (SE {_number(row['se'], row['se'])}, {_ci(numbers, row)})"


def _ci(numbers: Numbers, row: pd.Series) -> str:
    return f"{numbers.percent} CI {_number(row['lower'], row['se'])} to {_number(row['upper'], row['se'])}"


def _statistic(numbers: Numbers, row: pd.Series) -> str:
    if numbers.ddf == "z":
        return f"z = {row['statistic']:.2f}"
    return f"t({row['df']:.1f}) = {row['statistic']:.2f}"


def _joint(row: pd.Series):
    if "F" in row:
        return f"F({row['df_num']:.0f}, {row['df_den']:.1f}) = {row['F']:.2f}, {_p(row['p'])}"
    return f"χ²({row['df_num']:.0f}) = {row['chi2']:.2f}, {_p(row['p'])}"


def _p(p: float) -> str:
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _variation(fit: FittedModel) -> Iterator[Any]:
    curves = {g.name for g in fit.groups if g.is_curve}
    for name, curve in (smooths(fit) if curves else pd.DataFrame()).iterrows():
        yield (
            f"The curve {code(name)} took {curve['edf']:.1f} effective degrees of freedom, of at most "
            f"{curve['largest']:.0f}."
        )
    for name, g in fit.varcorr.items():
        if name in curves:
            continue
        sds = [
            f"{_significant(c.sd)} for {'the intercept' if c.name == 'Intercept' else code(c.name)}"
            for c in g.components
        ]
        pairs = [r for c in g.components for r in c.correlations.values() if np.isfinite(r)]
        tie = ""
        if len(pairs) == 1:
            tie = f", and their correlation was {pairs[0]:.2f}"
        elif pairs:
            tie = "; their correlations are in the table"
        for c in g.components:
            for kind, value in c.shared.items():
                tie += f", with {identified(kind, value, _significant(value))} in {code(c.label)}"
        where = "Over all rows" if name == "1" else f"Between the levels of {code(name)}"
        yield f"{where} the SD was {joined(sds)}{tie}."
    if fit.is_linear and fit.varcorr.residual_covariance is not None:
        yield from _residual_variation(fit)
    for auxiliary, value in fit.named_auxiliary():
        yield auxiliary.sentence.format(_significant(value))
    for auxiliary, text in fit.modelled_auxiliary():
        values = fit.auxiliary_values[auxiliary.name]
        low, high = (_significant(float(f(values))) for f in (np.min, np.max))
        yield auxiliary.sentence.format(f"{low} to {high} (by {code(text)})")


def _residual_variation(fit):
    components = fit.varcorr.residual_covariance.components
    sds = [f"{_significant(c.sd)} at {code(c.name)}" for c in components if c.name]
    if sds and not fit.auxiliary_formulas:
        yield f"The residual SD was {joined(sds)}."
    elif sds:
        yield f"Relative to that of {code(components[0].name)} the residual SD was {joined(sds[1:])}."
    pairs = [r for c in components for r in c.correlations.values()]
    if pairs:
        low, high = min(pairs), max(pairs)
        yield f"Residuals of one block had correlations of {low:.2f} to {high:.2f}."
    shared = [identified(kind, v, f"{v:.2f}") for c in components for kind, v in c.shared.items()]
    if shared:
        yield f"Residuals of one block had {joined(shared)}."


def _shares(fit, numbers):
    if numbers.icc is not None:
        name = (
            "intraclass correlation ("
            if not numbers.icc.besides
            else "share of variance between groups (ICC, "
        )
        yield f"The {name}{_words(numbers.icc)}) was {numbers.icc.value:.2f}."
    if numbers.r2 is not None and len(fit.params):
        yield (
            f"The fixed effects explained {numbers.r2.marginal:.0%} of the variance, fixed and random "
            "effects together"
            f" {numbers.r2.conditional:.0%} (R2 of Nakagawa, Johnson and Schielzeth)."
        )


# --- numbers as text ----------------------------------------------------------------------------------


def _number(value: float, se: float) -> str:
    """Write a number to three significant digits of its standard error.

    >>> _number(10.46729, 1.5458), _number(float("inf"), 1.0), _number(-1234.5, 212.0)
    ('10.47', '∞', '-1234')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else "∞" if value > 0 else "-∞"
    if not (np.isfinite(se) and se > 0):
        return f"{value:.3g}"
    decimals = int(2 - np.floor(np.log10(se)))
    return f"{value:.3g}" if decimals > 6 else f"{value:.{max(decimals, 0)}f}"


def _column(values: pd.Series, se: pd.Series) -> list[str]:
    return [_number(v, s) for v, s in zip(values, se, strict=True)]


def _interval_column(lower: pd.Series, upper: pd.Series, se: pd.Series) -> list[str]:
    return [f"{a} to {b}" if a else "" for a, b in zip(_column(lower, se), _column(upper, se), strict=True)]


def _sizes(values: pd.Series, terms: pd.Series) -> list[str]:
    """Write correlations with two decimals, and SDs, which share no unit, to three digits each."""
    return [
        "" if np.isnan(v) else f"{v:.2f}" if term.startswith("cor__") else _significant(v)
        for v, term in zip(values, terms, strict=True)
    ]


def _significant(value: float) -> str:
    """
    >>> _significant(13.0), _significant(1234.5), _significant(0.0)
    ('13.0', '1234', '0')
    """
    if value == 0.0:
        return "0"
    return f"{value:.0f}" if 1e3 <= value < 1e6 else f"{value:#.3g}".rstrip(".")


def _exp(values: pd.DataFrame) -> pd.DataFrame:
    with np.errstate(over="ignore"):
        return np.exp(values)


def _ratio(value: float, se: float) -> str:
    """Write a ratio with two decimals, or with as many as its standard error calls for.

    >>> _ratio(0.37123, 0.11), _ratio(0.0923, 0.036), _ratio(1.0344, 0.0026), _ratio(9.4e7, 1e10),\\
    ...     _ratio(float("nan"), 1.0)
    ('0.37', '0.092', '1.0344', '9.4e+07', '')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else "∞"
    decimals = max(2, int(1 - np.floor(np.log10(se)))) if np.isfinite(se) and se > 0 else 2
    return f"{value:.3g}" if value >= 1e4 or decimals > 6 else f"{value:.{decimals}f}"


def _ratio_interval(lower: float, upper: float, se: float) -> pd.DataFrame:
    return "" if np.isnan(lower) else f"{_ratio(lower, se)} to {_ratio(upper, se)}"
