"""How much of its distance from the typical group a group keeps: the shrinkage factor."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.palette import DATA, MODEL
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import FloatArray, Numbers

LARGEST = 40  # of the axis


def shrinkage_factor(sd_group: Numbers, sd_residual: Numbers, size: Numbers) -> FloatArray:
    r"""Share of a group's raw deviation that its BLUP keeps in a random-intercept model.

    .. math:: \lambda = \frac{\sigma_a^2}{\sigma_a^2 + \sigma^2 / n},

    one half where :math:`n = \sigma^2 / \sigma_a^2`.  Exact for given variances, in unbalanced data too.

    Parameters
    ----------
    sd_group, sd_residual : array_like
        :math:`\sigma_a` and :math:`\sigma`, in units of the response; the second is not 0.
    size : array_like
        :math:`n`, the number of observations in the group.

    Returns
    -------
    ndarray or float
        Between 0 (the group is taken for a typical one) and 1 (it keeps its own mean).

    References
    ----------
    Robinson, G. K. (1991). That BLUP is a good thing: the estimation of random effects. Statistical Science
    6.

    Examples
    --------
    >>> round(float(shrinkage_factor(sd_group=6, sd_residual=9, size=3)), 3)
    0.571
    """
    precision = size * np.square(sd_group) / np.square(sd_residual)
    return precision / (1 + precision)


def lines(groups: float, residual: float, size: float) -> list[str]:
    """The two lines of words that the chart writes for these positions of the sliders."""
    half = f"half is kept at n = {residual**2 / groups**2:.1f}" if groups > 0 else "nothing is ever kept"
    return [f"a class of {size:.0f} keeps {100 * shrinkage_factor(groups, residual, size):.1f} %", half]


def shown(groups: float, residual: float, size: float) -> str:
    """The first of the two lines, which depends on all sliders."""
    return lines(groups, residual, size)[0]


FACTOR = "{n} * groups * groups / (residual * residual + {n} * groups * groups)"

DESCRIPTION = (
    "One curve against the number of pupils in a class: the share of its distance from the typical class "
    "that the class "
    "keeps. It rises steeply at first and then bends towards 100 %. With an SD of {sd_group:g} points "
    "between classes and "
    "{sd_residual:g} within, a class of {size} keeps {kept:.0f} %, one of {many} keeps {kept_many:.0f} %, "
    "and half is kept at "
    "{half:.1f} pupils. A larger SD between classes lifts the curve, a larger SD within lowers it; with no "
    "SD between classes "
    "it lies on zero."
)


@started
def chart(sd_group: float = 6.2, sd_residual: float = 8.8, size: int = 3) -> Slider:
    """How much of its distance from the typical group a group keeps: the shrinkage factor.

    The formula is that of :func:`~glmmlib.sliders._shrinkage_factor.shrinkage_factor`; the sliders start at
    the values given.

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
    >>> sliders.shrinkage_factor(size=10)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "SD between classes ", sd_group, 0, 12, 0.1),
        slider("residual", "SD within classes ", sd_residual, 2, 16, 0.1),
        slider("size", "Pupils in the class ", size, 1, LARGEST, 1),
    ]
    x = alt.X("n:Q", title="Pupils in the class", scale=alt.Scale(domain=[0, LARGEST]))
    y = alt.Y("kept:Q", title="Share kept", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    one = row_of_data()
    half = (
        one.transform_calculate(kept="0.5")
        .mark_rule(color=DATA, strokeDash=[5, 4], strokeWidth=1.5)
        .encode(y)
    )
    curve = (
        alt.Chart(alt.sequence(0, LARGEST + 0.1, 0.5, as_="n"))
        .transform_calculate(kept=FACTOR.format(n="datum.n"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    point = (
        one.transform_calculate(n="size", kept=FACTOR.format(n="size"))
        .mark_point(color=MODEL, filled=True, size=140, opacity=1)
        .encode(x, y)
    )

    def words(row: int, text: str) -> Any:
        here = one.transform_calculate(n=str(LARGEST), kept="0", words=text)
        return written(here, row, x, y, align="right", top=-34, colour=MODEL)

    names = [
        words(0, f"'a class of ' + size + ' keeps ' + format(100 * {FACTOR.format(n='size')}, '.1f') + ' %'"),
        words(
            1,
            "groups > 0 ? 'half is kept at n = ' + format(residual * residual / (groups * groups), '.1f')"
            " : 'nothing is ever kept'",
        ),
    ]
    description = DESCRIPTION.format(
        sd_group=sd_group,
        sd_residual=sd_residual,
        size=size,
        kept=100 * shrinkage_factor(sd_group, sd_residual, size),
        many=LARGEST,
        kept_many=100 * shrinkage_factor(sd_group, sd_residual, LARGEST),
        half=sd_residual**2 / sd_group**2 if sd_group > 0 else np.inf,
    )
    layers = alt.layer(half, curve, *names, point).add_params(*sliders)
    return finish(layers, "shrinkage_factor", "How much of its distance a class keeps", description)
