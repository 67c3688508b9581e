"""The p-value of the likelihood-ratio test that belongs to a difference of AIC."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import chdtrc

from glmmlib.palette import DATA, MODEL, POOLED, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import FloatArray, Numbers

LOWEST, HIGHEST = -12, 10  # of the axis of the difference
SMALLEST = 0.0003  # of the axis of p
MOST = 6  # parameters more


def aic_and_p(delta: Numbers, extra: Numbers) -> FloatArray:
    r"""Return the p-value of the likelihood-ratio test, from the difference of the two AICs.

    For nested models that differ by :math:`k` parameters, :math:`\chi^2 = \Delta + 2k` with :math:`\Delta`
    the AIC of the smaller model less that of the larger one, so

    .. math:: p = P(\chi^2_k > \Delta + 2k).

    It holds where the null distribution is chi-square: not for a variance of zero.

    Parameters
    ----------
    delta : array_like
        :math:`\Delta`; positive where AIC prefers the larger model. It is never below :math:`-2k`.
    extra : array_like
        :math:`k`, the parameters that the larger model has more.

    Returns
    -------
    ndarray or float

    References
    ----------
    Burnham, K. P. and Anderson, D. R. (2002). Model Selection and Multimodel Inference. 2nd edition.
    Springer.

    Examples
    --------
    >>> aic_and_p(delta=[-2, 0, 2], extra=1).round(4).tolist()
    [1.0, 0.1573, 0.0455]
    """
    delta, extra = np.broadcast_arrays(np.asarray(delta, dtype=float), extra)
    return chdtrc(extra, np.maximum(delta + 2 * extra, 0.0))


def shown(delta: float, extra: int) -> str:
    """The line that the chart writes beside its point for these positions of the sliders."""
    return f"here p = {aic_and_p(delta, extra):.4f}"


CHI2 = "max(0, {d} + 2 * extra)"
ODD = (
    "2 * cumulativeNormal(-sqrt({x})) + sqrt(2 / PI) * exp(-{x} / 2) * "
    "((extra >= 3 ? sqrt({x}) : 0) + (extra >= 5 ? {x} * sqrt({x}) / 3 : 0))"
)
EVEN = "exp(-{x} / 2) * (1 + (extra >= 4 ? {x} / 2 : 0) + (extra >= 6 ? {x} * {x} / 8 : 0))"


def p_value(d: str) -> str:
    """The Vega expression of p for the difference `d`: the sums of chi-square with up to six degrees."""
    x = CHI2.format(d=d)
    return f"(extra % 2 == 1 ? {ODD.format(x=x)} : {EVEN.format(x=x)})"


DESCRIPTION = (
    "A falling curve of the likelihood-ratio test's p-value, on a logarithmic axis, against the difference "
    "of AIC between a "
    "smaller and a larger nested model. Sliders set the difference and the number of parameters more. With "
    "one "
    "parameter more the curve starts at p = 1 where the larger model is worse by 2, passes {zero:.3f} where "
    "the two AICs "
    "are equal, and {two:.3f} where the larger model is better by 2. With {most} parameters more, equal "
    "AICs mean "
    "p = {many:.3f}. One number decides the other."
)


@started
def chart(delta: float = 0.0, extra: int = 1) -> Slider:
    """The p-value of the likelihood-ratio test that belongs to a difference of AIC.

    The formula is that of :func:`~glmmlib.sliders._aic_and_p.aic_and_p`; the sliders start at the values
    given.

    Parameters
    ----------
    delta, extra
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.aic_and_p(delta=2, extra=3)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("extra", "Parameters more ", extra, 1, MOST, 1),
        slider("delta", "AIC smaller model − AIC larger ", delta, LOWEST, HIGHEST, 0.1),
    ]
    ticks = alt.Axis(values=list(range(LOWEST, HIGHEST + 1, 2)))
    x = alt.X(
        "d:Q",
        title="AIC of smaller model − AIC of larger",
        scale=alt.Scale(domain=[LOWEST, HIGHEST]),
        axis=ticks,
    )
    y = alt.Y(
        "p:Q",
        title="p of the likelihood-ratio test",
        scale=alt.Scale(type="log", domain=[SMALLEST, 1]),
        axis=alt.Axis(values=[0.001, 0.01, 0.05, 0.2, 1], format="~g"),
    )
    curve = (
        alt.Chart(alt.sequence(LOWEST, HIGHEST + 0.05, 0.1, as_="d"))
        .transform_filter("datum.d >= -2 * extra - 0.001")
        .transform_calculate(p=p_value("datum.d"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    level = row_of_data(p=0.05).mark_rule(color=POOLED, strokeDash=[5, 4]).encode(y)
    equal = row_of_data(d=0).mark_rule(color=DATA, strokeDash=[2, 3]).encode(x)
    here = row_of_data().transform_calculate(d="max(delta, -2 * extra)", p=p_value("delta"))
    point = here.mark_point(color=TRUTH, filled=True, size=140, opacity=1).encode(x, y)
    corner = row_of_data(d=LOWEST, p=SMALLEST)

    def line(row: int, source: Any, words: str) -> Any:
        here = source.transform_calculate(words=words)
        return written(here, row, x, y, align="left", top=-12, gap=-20)

    lines = [
        line(1, corner, f"'here p = ' + format({p_value('delta')}, '.4f')"),
        line(0, corner, f"'equal AIC: p = ' + format({p_value('0')}, '.4f')"),
    ]
    description = DESCRIPTION.format(
        zero=aic_and_p(0, 1), two=aic_and_p(2, 1), most=MOST, many=aic_and_p(0, MOST)
    )
    layers = alt.layer(level, equal, curve, point, *lines).add_params(*sliders)
    return finish(layers, "aic_and_p", "A difference of AIC is a p-value", description)
