"""How widely group means scatter, raw and partially pooled, beside the SD of the groups themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.palette import DATA, MODEL, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import FloatArray, Numbers

LARGEST, HIGHEST = 40, 18  # of the axes


def spread_of_means(sd_group: Numbers, sd_residual: Numbers, size: Numbers) -> tuple[FloatArray, FloatArray]:
    r"""Expected spread of raw group means, and of partially pooled ones, in a random-intercept model.

    A mean of :math:`n` observations of a group carries what is left of the residuals, so raw means have the
    variance
    :math:`\sigma_a^2 + \sigma^2 / n`. The conditional modes, with :math:`\lambda = \sigma_a^2 / (\sigma_a^2 +
    \sigma^2 / n)`, have the variance :math:`\lambda \sigma_a^2`. Both are exact when the variances and the
    overall mean are known.

    Parameters
    ----------
    sd_group, sd_residual : array_like
        :math:`\sigma_a` and :math:`\sigma`, not both 0.
    size : array_like
        :math:`n`, the number of observations in each group.

    Returns
    -------
    raw, pooled : ndarray or float
        The two SDs, in the units of the response. The SD of the groups lies between them.

    References
    ----------
    Searle, S. R., Casella, G. and McCulloch, C. E. (1992). Variance Components. Wiley.

    Examples
    --------
    >>> raw, pooled = spread_of_means(sd_group=6, sd_residual=9, size=5)
    >>> round(float(raw), 2), round(float(pooled), 2)
    (7.22, 4.98)
    """
    raw = np.sqrt(np.square(sd_group) + np.square(sd_residual) / size)
    return raw, np.square(sd_group) / raw


def shown(groups: float, residual: float, size: float) -> str:
    """The longest of the three lines that the chart writes for these positions of the sliders."""
    return f"partially pooled {spread_of_means(groups, residual, size)[1]:.1f}"


RAW = "sqrt(groups * groups + residual * residual / {n})"
POOLED_SD = "groups * groups / " + RAW

DESCRIPTION = (
    "Two curves against the number of pupils in each class. The upper one, the expected SD of the raw class "
    "means, "
    "falls towards the dashed line of the classes' own SD; the lower one, the SD of the partially pooled "
    "means, "
    "rises towards it. Sliders set the two SDs and the class size. With an SD of 6 points between classes "
    "and 9 within, "
    "raw means of {few} pupils have an SD of {raw_few:.1f} and partially pooled ones of {pooled_few:.1f}; "
    "with {many} "
    "pupils the two are {raw_many:.1f} and {pooled_many:.1f}. With no variation between classes raw means "
    "still scatter, "
    "and partially pooled ones do not."
)


@started
def chart(sd_group: float = 6.0, sd_residual: float = 9.0, size: int = 5) -> Slider:
    """How widely group means scatter, raw and partially pooled, beside the SD of the groups themselves.

    The formula is that of :func:`~glmmlib.sliders._spread_of_means.spread_of_means`; the sliders start at the
    values given.

    Parameters
    ----------
    sd_group, sd_residual, size
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.spread_of_means(size=20)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "SD between classes ", sd_group, 0, 12, 0.1),
        slider("residual", "SD within classes ", sd_residual, 2, 16, 0.1),
        slider("size", "Pupils in each class ", size, 2, LARGEST, 1),
    ]
    x = alt.X("n:Q", title="Pupils in each class", scale=alt.Scale(domain=[0, LARGEST]))
    y = alt.Y("sd:Q", title="SD of the class means (points)", scale=alt.Scale(domain=[0, HIGHEST]))
    sizes = alt.Chart(alt.sequence(2, LARGEST + 0.1, 0.5, as_="n"))
    raw = (
        sizes.transform_calculate(sd=RAW.format(n="datum.n"))
        .mark_line(color=DATA, strokeWidth=3)
        .encode(x, y)
    )
    pooled = (
        sizes.transform_calculate(sd=POOLED_SD.format(n="datum.n"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    one = row_of_data()
    truth = (
        one.transform_calculate(sd="groups")
        .mark_rule(color=TRUTH, strokeDash=[5, 4], strokeWidth=2)
        .encode(y)
    )

    def point(formula: str, colour: str) -> Any:
        here = one.transform_calculate(n="size", sd=formula.format(n="size"))
        return here.mark_point(color=colour, filled=True, size=140, opacity=1).encode(x, y)

    def words(row: int, name: str, formula: str, colour: str) -> Any:
        line = f"'{name} ' + format({formula.format(n='size')}, '.1f')"
        here = one.transform_calculate(n=str(LARGEST), sd=str(HIGHEST), words=line)
        return written(here, row, x, y, align="right", top=14, gap=19, colour=colour)

    names = [
        words(0, "raw means", RAW, DATA),
        words(1, "the classes", "groups", TRUTH),
        words(2, "partially pooled", POOLED_SD, MODEL),
    ]
    (raw_few, raw_many), (pooled_few, pooled_many) = spread_of_means(6, 9, np.array([5, LARGEST]))
    description = DESCRIPTION.format(
        few=5,
        many=LARGEST,
        raw_few=raw_few,
        pooled_few=pooled_few,
        raw_many=raw_many,
        pooled_many=pooled_many,
    )
    layers = alt.layer(truth, raw, pooled, point(RAW, DATA), point(POOLED_SD, MODEL), *names).add_params(
        *sliders
    )
    return finish(layers, "spread_of_means", "Raw means scatter more than the classes do", description)
