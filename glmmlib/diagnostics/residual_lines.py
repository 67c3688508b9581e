"""The lines of :func:`glmmlib.check` that look at residuals, with p-values calibrated by refitting."""

from typing import Any

import numpy as np

from glmmlib.diagnostics.calibration import Calibration
from glmmlib.diagnostics.verdict import FINE, Line, by_p
from glmmlib.display.tables import p_text
from glmmlib.fitted import FittedModel


def residual_lines(fit: FittedModel, calibration: Calibration) -> tuple[Line, ...]:
    """Return a line for each statistic that the model admits."""
    makers = {
        "dispersion": _overdispersion,
        "spread": _spread,
        "zeros": _zeros,
        "outliers": _outliers,
        "uniformity": _uniformity,
        "curves": _curves,
        "slopes": _slopes,
    }
    return tuple(make(fit, calibration) for name, make in makers.items() if name in calibration.found)


def _p(p: float) -> str:
    text = p_text(p)
    return f"p {text}" if text[0] == "<" else f"p = {text}"


def _overdispersion(fit: FittedModel, c: Any):
    p = c.p_two_sided("dispersion")
    ratio = float(c.found["dispersion"] / c.drawn["dispersion"].mean())
    name = fit.family.name
    if by_p(p) == FINE:
        sentence = f"the responses scatter as a {name} model has it ({_p(p)})"
    elif ratio > 1.0:
        sentence = (
            f"the responses scatter more than a {name} model allows ({_p(p)}), so its standard errors are "
            "too small:"
            f" try {fit.family.remedy}"
        )
    else:
        sentence = (
            f"the responses scatter less than a {name} model has it ({_p(p)}): are rows copies of each "
            "other, or sums?"
        )
    return Line("overdispersion", by_p(p), ratio, f"{ratio:.2f}", sentence, p)


def _spread(fit: FittedModel, c: Calibration) -> Line:
    p, found = c.p_two_sided("spread"), float(c.found["spread"])
    more = found > c.drawn["spread"].mean()
    if by_p(p) == FINE:
        sentence = f"the residuals are spread alike at low and high fitted values ({_p(p)})"
    else:
        remedy = fit.family.remedy_for_spread
        sentence = (
            f"the residuals are spread {'more' if more else 'less'} where fitted values are high ({_p(p)}): "
            f"try {remedy}"
        )
    return Line("equal spread", by_p(p), found, f"{found:+.2f}", sentence, p)


def _zeros(fit: FittedModel, c: Any):
    p, y = c.p_two_sided("zeros"), fit.observations[0]
    count = int((y == 0).sum())
    expected = count - float(c.found["zeros"] - c.drawn["zeros"].mean())
    if by_p(p) == FINE:
        sentence = f"as many zeros as the model expects ({expected:.0f}; {_p(p)})"
    elif count > expected:
        sentence = (
            f"the model expects {expected:.0f} zeros ({_p(p)}): are there rows that could not be anything "
            "but zero?"
        )
    else:
        sentence = f"the model expects {expected:.0f} zeros ({_p(p)}): are zeros recorded?"
    return Line("zeros", by_p(p), count, str(count), sentence, p)


def _outliers(fit: FittedModel, c: Calibration) -> Line:
    p, row = c.p_upper("outliers"), int(np.argmax(np.abs(c.scores)))
    found, label = float(c.scores[row]), fit.design.index[row]
    where = (
        f"the residual of row {label} is {abs(found):.1f} SDs {'above' if found > 0 else 'below'} the middle"
    )
    sentence = (
        f"{where}, as the largest of {fit.nobs:,} may be ({_p(p)})"
        if by_p(p) == FINE
        else (f"{where}, too far for the model ({_p(p)}): look at this row, and refit without it")
    )
    return Line("outliers", by_p(p), abs(found), f"{abs(found):.1f} SD", sentence, p)


def _uniformity(fit: FittedModel, c: Calibration) -> Line:
    p, found = c.p_upper("uniformity"), float(c.found["uniformity"])
    if by_p(p) == FINE:
        sentence = f"the residuals have the distribution that the model gives them ({_p(p)})"
    else:
        sentence = (
            f"the residuals do not have the distribution that the model gives them ({_p(p)}): see "
            "check(...).plot()"
        )
    return Line("uniformity", by_p(p), found, f"{found:.3f}", sentence, p)


def _curves(fit: FittedModel, c: Calibration) -> Line:
    name, p = c.curve()
    basis = c.patterns.curves[name]
    z = c.scores - c.scores.mean()
    share = float(((basis.T @ z) ** 2).sum() / (z @ z))
    if by_p(p) == FINE:
        sentence = f"the residuals follow no curve along {_covariates(c.patterns.curves)} ({_p(p)})"
    else:
        sentence = (
            f"the residuals follow a curve along {name} ({_p(p)}): try I({name}**2) or a spline, bs({name}, "
            "df=4)"
        )
    return Line("curves", by_p(p), share, f"{100 * share:.1f} %", sentence, p)


def _covariates(names):
    names = list(names)
    return names[0] if len(names) == 1 else f"any of {len(names)} covariates"


def _slopes(fit: FittedModel, c: Calibration) -> Line:
    (group, column), p = c.slope()
    position = list(c.patterns.slopes).index((group, column))
    ratio = float(c.found["slopes"][position] / c.drawn["slopes"][:, position].mean())
    if by_p(p) == FINE:
        sentence = f"no effect varies between the groups more than the model allows ({_p(p)})"
    elif column == "Intercept":
        sentence = (
            f"the level varies between levels of {group} more than the model allows ({_p(p)}): try a random "
            "intercept"
        )
    else:
        sentence = (
            f"the slopes of {column} vary between levels of {group} more than the model allows ({_p(p)}): "
            "try a random"
            " slope, and test it with gl.anova"
        )
    return Line("varying slopes", by_p(p), ratio, f"{ratio:.2f}", sentence, p)
