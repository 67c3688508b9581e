"""Summaries: what a fit says, as text of at most 80 columns and as HTML.  Display only; nothing is computed
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from glmmlib.display.tables import Table, aligned, fixed, html_with_notes, p_text
from glmmlib.display.words import identified, wrapped
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import DDF_TITLE, check_ddf, coef_tests
from glmmlib.inference.smooths import smooths

NEARLY_ALL = 0.9  # of the degrees of freedom of a curve: more knots may let it bend more


@dataclass(frozen=True)
class Summary:
    """A summary of a fit: ``print`` it, or let a notebook show it.

    Attributes
    ----------
    title : str
    facts : tuple of (str, str)
        Formula, rows, groups, criterion ...
    tables : tuple of Table
        Random effects, then fixed effects.
    notes : tuple of str
        What a reader must know before trusting the numbers.
    """

    title: str
    facts: tuple
    tables: tuple
    notes: tuple

    def __str__(self) -> str:
        size = max(len(name) for name, _ in self.facts)
        facts = [wrapped(text, f"{name.ljust(size)}  ") for name, text in self.facts]
        parts = ["\n".join([self.title, *facts]), *(table.to_text() for table in self.tables)]
        if self.notes:
            parts.append("\n".join(wrapped(note, "Note: ") for note in self.notes))
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(
            f'<tr><th scope="row">{escape(n)}</th><td>{escape(t)}</td></tr>' for n, t in self.facts
        )
        caption = f"<caption>{escape(self.title)}</caption>"
        head = f'<table class="glmmlib-facts">{caption}<tbody>{facts}</tbody></table>'
        tables = "".join(table.to_html() for table in self.tables)
        return html_with_notes(head + tables, self.notes)


def summary(fit: FittedModel, ddf: str | None = None) -> Summary:
    """Summarise a fit; see :meth:`glmmlib.models.results.MixedModelFit.summary`."""
    ddf = check_ddf(fit, ddf)
    curves = [_smooths(fit)] if any(g.is_curve for g in fit.groups) else []
    has_spread = fit.ngroups or fit.varcorr.residual_components
    random = [_random_effects(fit)] if has_spread else []
    fixed_effects = [_fixed_effects(fit, ddf)] if len(fit.params) else []
    tables = (*random, *curves, *fixed_effects, *_threshold_tables(fit), *_auxiliary_tables(fit))
    return Summary(fit.title, _facts(fit), tables, tuple(_notes(fit)))


def one_line(fit: FittedModel) -> str:
    """Return the short representation of a fit."""
    groups = f"; {_groups(fit)}" if fit.ngroups else ""
    return f"<{fit.title}: {fit.model_text}; {fit.nobs:,} rows{groups}>"


def _facts(fit):
    d = fit.design
    facts = [("Formula", fit.model_text if fit.is_linear else fit.formula), *fit.facts]
    dropped = "" if not d.n_missing else f" ({d.n_missing:,} more left out: {d.why_left_out})"
    facts += [("Rows", f"{fit.nobs:,}{dropped}"), *([("Groups", _groups(fit))] if fit.ngroups else [])]
    if d.weights is not None:
        facts.append(("Weights", "known"))
    if d.has_offset:
        facts.append(("Offset", "known"))
    if d.aliased:
        facts.append(("Left out", f"{', '.join(d.aliased)} (follow from the other columns)"))
    criterion = f"REML criterion {fit.deviance:.3f}" if fit.reml else f"log-likelihood {fit.llf:.3f}"
    facts.append(("Fit", f"{criterion}, AIC {fit.aic:.2f}, BIC {fit.bic:.2f}"))
    if not d.keeps_rows:
        return (*facts, ("Residuals", "rows were read in batches and are not kept"))
    quantiles = np.quantile(fit.resid_pearson, [0, 0.25, 0.5, 0.75, 1])
    names = ("min", "1st quartile", "median", "3rd quartile", "max")
    facts.append(
        ("Residuals", "scaled: " + ", ".join(f"{n} {q:.2f}" for n, q in zip(names, quantiles, strict=True)))
    )
    return tuple(facts)


def _groups(fit: FittedModel) -> str:
    return ", ".join(f"{name} {levels:,}" for name, levels in fit.ngroups.items())


def _random_effects(fit: FittedModel) -> Table:
    rows, sds, correlations = [], [], []
    curves = {g.name for g in fit.groups if g.is_curve}
    for g in (g for name, g in fit.varcorr.items() if name not in curves):
        above: list[str] = []
        for c in g.components:
            rows.append(("" if above else g.name, c.name))
            sds.append(c.sd)
            shared = [identified(kind, value, f"{value:.3g}") for kind, value in c.shared.items()]
            correlations.append(shared or [_correlation(c.correlations.get(name)) for name in above])
            above.append(c.name)
    above = []
    for c in fit.varcorr.residual_components:
        rows.append(("" if above else "Residual", c.name))
        sds.append(c.sd)
        shared = [identified(kind, value, f"{value:.3g}") for kind, value in c.shared.items()]
        correlations.append(shared or [_correlation(c.correlations.get(name)) for name in above])
        above.append(c.name)
    width = max(map(len, correlations))
    cells = [[*c, *[""] * (width - len(c))] for c in correlations]
    variances = aligned(np.square(sds))
    lines = [(*row, v, s, *c) for row, v, s, c in zip(rows, variances, aligned(sds), cells, strict=True)]
    header = ("Group", "Effect", "Variance", "SD", *(["Corr"] + [""] * (width - 1) if width else []))
    title = "Random effects" if fit.groups else "Residuals"
    return Table(title, header, tuple(lines), n_labels=2)


def _smooths(fit):
    found = smooths(fit)
    columns = (list(found.index), fixed(found["edf"], 2), fixed(found["largest"], 0), aligned(found["sd"]))
    return Table(
        "Smooth curves (edf: effective degrees of freedom)",
        ("", "edf", "at most", "SD of bends"),
        tuple(zip(*columns, strict=True)),
    )


def _correlation(value) -> str:
    return f"{value:.2f}" if value is not None and np.isfinite(value) else ""


def _fixed_effects(fit, ddf):
    how = "z tests" if ddf == "z" else f"t tests, {DDF_TITLE[ddf]} degrees of freedom"
    return _coefficients(f"Fixed effects ({how})", coef_tests(fit, ddf), ddf)


def _threshold_tables(fit):
    """Yield the table of the thresholds between ordered categories, where there are any."""
    found = fit.thresholds
    if found is not None:
        columns = (list(found.index), aligned(found["estimate"], found["se"]), aligned(found["se"]))
        title = "Thresholds (the first is minus the intercept)"
        yield Table(title, ("", "Estimate", "SE"), tuple(zip(*columns, strict=True)))


def _auxiliary_tables(fit):
    """Yield a table of the coefficients of each parameter that has a formula."""
    for own, _ in fit.modelled_auxiliary():
        title = f"{own.title[0].upper()}{own.title[1:]} {own.symbol} ({own.link.name} link, z tests)"
        yield _coefficients(title, coef_tests(fit, predictor=own.name), "z")


def _coefficients(title, tests, ddf):
    columns = [list(tests.index), aligned(tests["estimate"], tests["se"]), aligned(tests["se"])]
    if ddf != "z":
        columns.append(fixed(tests["df"], 1))
    columns += [fixed(tests["statistic"], 2), map(p_text, tests["p"])]
    header = ("", "Estimate", "SE", *(() if ddf == "z" else ("df",)), "z" if ddf == "z" else "t", "p")
    return Table(title, header, tuple(zip(*columns, strict=True)))


def _notes(fit):
    if not fit.convergence.converged:
        yield f"not converged: {fit.convergence}"
    if fit.convergence.approximation:
        yield fit.convergence.approximation
        yield (
            f"the log-likelihood has a Monte Carlo error of {0.5 * fit.solution.deviance_error:.2g}, AIC "
            f"and BIC one of {fit.solution.deviance_error:.2g}: smaller differences between models "
            "say nothing"
        )
    for sentence in fit.singular_terms:
        yield f"singular fit: {sentence}; tests of the fixed effects take it as known"
    if any(g.is_curve for g in fit.groups):
        for name, curve in smooths(fit).iterrows():
            if curve["edf"] > NEARLY_ALL * curve["largest"]:
                yield (
                    f"{name} uses {curve['edf']:.1f} of the {curve['largest']:.0f} degrees of freedom that "
                    "its knots allow: try a larger k"
                )
    for term in (term for g in fit.groups for term in g.terms):
        columns = next(r.columns for r in fit.design.random if r.term == term)
        if term.is_double and "Intercept" in columns and len(columns) > 1:
            yield (
                f"{term.text} leaves out correlations, so the model depends on where "
                f"{', '.join(columns[1:])} has its zero"
            )
