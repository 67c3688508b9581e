"""Type I error rate of the pooled slope test, from a predictor within groups to one between groups."""

from __future__ import annotations

from glmmlib.palette import MODEL, POOLED
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started
from glmmlib.theory.type_one_rate import NOMINAL, type_one_rate


def shown(share: float, icc: float, size: float, groups: float) -> str:
    """The number that the chart writes beside its point for these positions of the sliders."""
    return f"{100 * type_one_rate(share, icc, size, groups):.1f} %"


TRUE = "(1 + icc * (size * {b} - 1))"
CLAIMED = "((size * groups - (1 + icc * (size - 1)) - " + TRUE + ") / (size * groups - 2))"
RATE = "2 * cumulativeNormal(-quantileNormal(0.975) * sqrt(" + CLAIMED + " / " + TRUE + "))"

DESCRIPTION = (
    "A curve of the pooled test's Type I error rate against the share of the predictor's variation that lies "
    "between groups, with a dashed line at the nominal 5 %. Sliders set the share, the intra-class "
    "correlation, "
    "the group size and the number of groups. With 15 groups of 24 and an intra-class correlation of 0.30 "
    "the "
    "test rejects {within:.0f} % of true null hypotheses when the predictor varies only within groups, "
    "passes 5 % at a "
    "share of about 1 / 24, and reaches {all:.0f} % when it varies only between groups. With an intra-class "
    "correlation of zero the curve lies on the dashed line."
)


@started
def chart(between: float = 0.5, icc: float = 0.3, group_size: int = 24, n_groups: int = 15) -> Slider:
    """Type I error rate of the pooled slope test, from a predictor within groups to one between groups.

    The formula is that of :func:`~glmmlib.theory.type_one_rate.type_one_rate`; the sliders start at the
    values given.

    Parameters
    ----------
    between, icc, group_size, n_groups
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.type_one_rate(icc=0.1)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("share", "Share of x between groups ", between, 0, 1, 0.01),
        slider("icc", "Intra-class correlation of y ", icc, 0, 0.9, 0.01),
        slider("size", "Group size ", group_size, 2, 60, 1),
        slider("groups", "Number of groups ", n_groups, 5, 60, 1),
    ]
    x = alt.X(
        "b:Q", title="Share of the predictor's variation between groups", scale=alt.Scale(domain=[0, 1])
    )
    percent = alt.Axis(labelExpr="format(100 * datum.value, '.0f') + ' %'")
    y = alt.Y("rate:Q", title="Type I error rate", scale=alt.Scale(domain=[0, 1]), axis=percent)
    curve = (
        alt.Chart(alt.sequence(0, 1.0001, 0.01, as_="b"))
        .transform_calculate(rate=RATE.format(b="datum.b"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    level = row_of_data(b=1, rate=NOMINAL)
    nominal = level.mark_rule(color=POOLED, strokeDash=[5, 4]).encode(y)
    name = level.mark_text(align="right", dy=10, fontSize=12).encode(x, y, text=alt.value("nominal 5 %"))
    here = row_of_data().transform_calculate(
        b="share", rate=RATE.format(b="share"), words="format(100 * datum.rate, '.1f') + ' %'"
    )
    point = here.mark_point(color=MODEL, filled=True, size=140, opacity=1).encode(x, y)
    words = here.mark_text(dy=-18, fontWeight="bold").encode(x, y, text="words:N")
    description = DESCRIPTION.format(
        within=100 * type_one_rate(0, 0.3, 24, 15), all=100 * type_one_rate(1, 0.3, 24, 15)
    )
    layers = alt.layer(nominal, name, curve, point, words).add_params(*sliders)
    return finish(
        layers, "type_one_rate", "The pooled test rejects a true null too often, or too rarely", description
    )
