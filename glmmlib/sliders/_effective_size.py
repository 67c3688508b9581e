"""The intra-class correlation, the design effect, and how many independent members a group is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.palette import DATA, MODEL, POOLED
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import FloatArray, Numbers

LARGEST, HIGHEST, TOP_OF_DIAGONAL = 40, 26, 15  # of the axes, and where the line of independent pupils stops


def effective_size(
    sd_group: Numbers, sd_residual: Numbers, size: Numbers
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Correlation of two members of a group, and what it costs a mean over groups of equal size.

    .. math::

        \rho = \frac{\sigma_a^2}{\sigma_a^2 + \sigma^2}, \qquad
        \text{design effect} = 1 + (n - 1) \rho, \qquad
        \text{effective size} = \frac{n}{1 + (n - 1) \rho} < \frac{1}{\rho}.

    Exact when the groups are of equal size and the variances are known.

    Parameters
    ----------
    sd_group, sd_residual : array_like
        :math:`\sigma_a` and :math:`\sigma`, not both 0.
    size : array_like
        :math:`n`, the members of each group.

    Returns
    -------
    icc, design_effect, effective_size : ndarray or float
        The last is the number of members, each from a group of its own, that a group is worth to the mean.

    References
    ----------
    Kish, L. (1965). Survey Sampling. Wiley.

    Examples
    --------
    >>> icc, effect, worth = effective_size(sd_group=6, sd_residual=8, size=25)
    >>> round(float(icc), 2), round(float(effect), 2), round(float(worth), 2)
    (0.36, 9.64, 2.59)
    """
    icc = np.square(sd_group) / (np.square(sd_group) + np.square(sd_residual))
    effect = 1 + (np.asarray(size) - 1) * icc
    return icc, effect, size / effect


def lines(groups: float, residual: float, size: float) -> list[str]:
    """The three lines of words that the chart writes for these positions of the sliders."""
    icc, effect, worth = effective_size(groups, residual, size)
    return [
        f"ICC {icc:.2f}",
        f"design effect {effect:.2f}",
        f"a class of {size:.0f} is worth {worth:.1f} pupils",
    ]


def shown(groups: float, residual: float, size: float) -> str:
    """The last of the three lines, which depends on all sliders."""
    return lines(groups, residual, size)[-1]


ICC = "(groups * groups / (groups * groups + residual * residual))"
EFFECT = "(1 + (size - 1) * " + ICC + ")"
WORTH = "{n} / (1 + ({n} - 1) * " + ICC + ")"

DESCRIPTION = (
    "One curve against the number of pupils in each class: how many pupils, each from a class of their own, "
    "the class "
    "is worth to the estimate of the mean. A dashed grey line shows independent pupils, worth one each; a "
    "dashed black line "
    "the ceiling, one over the intra-class correlation. With an SD of {sd_group:g} points between classes "
    "and {sd_residual:g} within, "
    "the correlation is {icc:.2f}, a class of {size} has the design effect {effect:.2f} and is worth "
    "{worth:.1f} pupils, and a "
    "class of {many} is worth {worth_many:.1f}. With no SD between classes the curve is the grey line."
)


@started
def chart(sd_group: float = 6.2, sd_residual: float = 8.8, size: int = 18) -> Slider:
    """The intra-class correlation, the design effect, and how many independent members a group is worth.

    The formula is that of :func:`~glmmlib.sliders._effective_size.effective_size`; the sliders start at the
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
    >>> sliders.effective_size(size=25)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "SD between classes ", sd_group, 0, 12, 0.1),
        slider("residual", "SD within classes ", sd_residual, 2, 16, 0.1),
        slider("size", "Pupils in each class ", size, 2, LARGEST, 1),
    ]
    x = alt.X("n:Q", title="Pupils in each class", scale=alt.Scale(domain=[0, LARGEST]))
    y = alt.Y(
        "worth:Q", title="Worth, in independent pupils", scale=alt.Scale(domain=[0, HIGHEST], nice=False)
    )
    one = row_of_data()
    diagonal = alt.InlineData([{"n": 1, "worth": 1}, {"n": TOP_OF_DIAGONAL, "worth": TOP_OF_DIAGONAL}])
    independent = alt.Chart(diagonal).mark_line(color=DATA, strokeDash=[5, 4]).encode(x, y)
    end = row_of_data(n=TOP_OF_DIAGONAL, worth=TOP_OF_DIAGONAL)
    independent += end.mark_text(align="left", dx=6, fontSize=12).encode(
        x, y, text=alt.value("independent pupils")
    )
    ceiling = one.transform_calculate(worth=f"1 / {ICC}", n=str(LARGEST)).transform_filter(
        f"datum.worth < {HIGHEST}"
    )
    curve = (
        alt.Chart(alt.sequence(1, LARGEST + 0.1, 0.5, as_="n"))
        .transform_calculate(worth=WORTH.format(n="datum.n"))
        .mark_line(color=MODEL, strokeWidth=3, clip=True)
        .encode(x, y)
    )
    point = (
        one.transform_calculate(n="size", worth=WORTH.format(n="size"))
        .mark_point(color=MODEL, filled=True, size=140, opacity=1, clip=True)
        .encode(x, y)
    )

    def words(row: int, text: str) -> Any:
        here = one.transform_calculate(n=str(LARGEST), worth=str(HIGHEST), words=text)
        return written(here, row, x, y, align="right", gap=19, colour=MODEL)

    names = [
        words(0, f"'ICC ' + format({ICC}, '.2f')"),
        words(1, f"'design effect ' + format({EFFECT}, '.2f')"),
        words(
            2, f"'a class of ' + size + ' is worth ' + format({WORTH.format(n='size')}, '.1f') + ' pupils'"
        ),
        ceiling.mark_rule(color=POOLED, strokeDash=[5, 4]).encode(y),
        ceiling.mark_text(align="right", dx=-4, dy=-9, fontSize=12).encode(
            x, y, text=alt.value("ceiling 1 / ICC")
        ),
    ]
    icc, effect, worth = effective_size(sd_group, sd_residual, size)
    description = DESCRIPTION.format(
        sd_group=sd_group,
        sd_residual=sd_residual,
        size=size,
        icc=icc,
        effect=effect,
        worth=worth,
        many=LARGEST,
        worth_many=effective_size(sd_group, sd_residual, LARGEST)[2],
    )
    layers = alt.layer(independent, curve, *names, point).add_params(*sliders)
    return finish(layers, "effective_size", "More pupils of a class soon add little", description)
