"""``report``: tables and a methods-and-results paragraph, as one writes them into a paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from glmmlib.display.arguments import checked
from glmmlib.fitted import FittedModel
from glmmlib.reporting import formats
from glmmlib.reporting.methods import caveats, methods
from glmmlib.reporting.results import (
    Numbers,
    auxiliary_tables,
    fixed_effects_table,
    model_table,
    random_effects_table,
    results,
)


@dataclass(frozen=True)
class Report:
    """A report on a fit: ``print`` it, show it in a notebook, or take one of its formats.

    Attributes
    ----------
    title : str
    sections : tuple of (str, tuple of str)
        Heading and sentences: methods, results and, where there is cause, caveats.
    tables : tuple of Table
        Fixed effects, random effects, the model.
    text, markdown, html, latex : str
        LaTeX needs no package.
    """

    title: str
    sections: tuple
    tables: tuple

    @property
    def text(self) -> str:
        return formats.to_text(self)

    @property
    def markdown(self) -> str:
        return formats.to_markdown(self)

    @property
    def html(self) -> str:
        return formats.to_html(self)

    @property
    def latex(self) -> str:
        return formats.to_latex(self)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html

    def _repr_markdown_(self) -> str:
        return self.markdown


@checked
def report(
    fit: FittedModel, level: float = 0.95, method: str = "wald", ddf: str | None = None, **options: Any
) -> Report:
    """Report a fit: tables of fixed and random effects, and methods and results in plain English.

    Parameters
    ----------
    fit : MixedModelFit
    level : float
        Of the confidence intervals.
    method : {"wald", "profile", "bootstrap"}
        Of the intervals. Wald intervals are for fixed effects only; the others give SDs and correlations
        intervals too.
    ddf : {"satterthwaite", "kenward-roger", "z"}, optional
        Degrees of freedom of the tests, as in :func:`glmmlib.coef_tests`.
    **options
        Further ones of ``fit.conf_int``: ``n`` and ``rng`` for ``method="bootstrap"``.

    Returns
    -------
    Report
        ``print`` it, or take ``.text``, ``.markdown``, ``.html`` or ``.latex``.

    Raises
    ------
    ModelError
        As ``fit.conf_int`` and :func:`glmmlib.coef_tests`.

    Notes
    -----
    The tables show a coefficient and, for links whose coefficients are logarithms of ratios, the odds, rate,
    hazard or mean ratio with its interval. The ICC is the adjusted one (:func:`glmmlib.icc`), R2 that of
    :func:`glmmlib.r2`. Singular fits, separation, rows left out, weights, offsets and the dispersion are
    stated where they occur. The sentences say what was done and found; whether the model holds is for
    :func:`glmmlib.check`.

    Examples
    --------
    >>> import glmmlib as gl
    >>> print(gl.report(gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))))
    A linear mixed model of Reaction
    ...
    With one unit more of Days, the mean of Reaction rose by 10.47 (SE 1.55, 95% CI
    7.21 to 13.73; t(17.0) = 6.77, p < 0.001).
    ...
    """
    numbers = Numbers.of(fit, level, method, ddf, options)
    sections = [("Methods", tuple(methods(fit, numbers))), ("Results", tuple(results(fit, numbers)))]
    if found := tuple(caveats(fit, numbers)):
        sections.append(("What to keep in mind", found))
    tables = [random_effects_table(numbers)] if len(numbers.variances) else []
    tables.append(model_table(fit, numbers))
    tables[:0] = auxiliary_tables(fit, numbers)
    if len(fit.params):
        tables.insert(0, fixed_effects_table(numbers))
    return Report(f"A {fit.kind} of {fit.design.response_name}", tuple(sections), tuple(tables))
