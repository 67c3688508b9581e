"""How well a planned study would know the mean, the mean slope and the SD of the slopes."""

from __future__ import annotations

from glmmlib.palette import GROUPS, MODEL, POOLED
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.theory.study_precision import study_precision

FEWEST, MOST, HIGHEST = 3, 60, 0.6  # of the axes
MEAN, SLOPE, SPREAD = POOLED, MODEL, GROUPS[2]


def lines(groups: float, size: float, level: float, slope: float) -> list[str]:
    """The lines of words that the chart writes for these positions of the sliders."""
    mean, mean_slope, spread = study_precision(groups, size, level, slope)
    return [
        f"SD of slopes {slope:.2f}, give or take {spread:.2f}",
        f"mean, give or take {mean:.2f}",
        f"mean slope, give or take {mean_slope:.2f}",
        f"{groups:.0f} x {size:.0f} = {groups * size:.0f} rows",
    ]


def shown(groups: float, size: float, level: float, slope: float) -> str:
    """The first of the lines, which shows what is hardest to know."""
    return lines(groups, size, level, slope)[0]


OWN = "(slope * slope + 1 / size)"
CURVES = {
    "spread": "sqrt(2 * pow("
    + OWN
    + ", 2) / ({J} - 1) + 2 / (size * size * {J} * (size - 2))) / (2 * slope)",
    "mean": "sqrt((level * level + 1 / size) / {J})",
    "slope": "sqrt(" + OWN + " / {J})",
}

DESCRIPTION = (
    "Three falling curves of standard errors against the number of groups, from 3 to 60: of the mean, of "
    "the mean slope, "
    "and of the SD of the slopes. Sliders set the number and the size of the groups, and the SDs of "
    "intercepts and slopes "
    "as multiples of the residual SD; x has SD 1 in each group. With {groups} groups of {size}, an SD of "
    "intercepts of {sd_group:g} "
    "and of slopes of {sd_slope:g}, the standard errors are {mean:.2f} for the mean, {slope:.2f} for the "
    "mean slope and {spread:.2f} for "
    "the SD of the slopes; with {many} rows in each group they are {mean_many:.2f}, {slope_many:.2f} and "
    "{spread_many:.2f}."
)


@started
def chart(groups: int = 20, size: int = 6, sd_group: float = 0.7, sd_slope: float = 0.3) -> Slider:
    """How well a planned study would know the mean, the mean slope and the SD of the slopes.

    The formula is that of :func:`~glmmlib.theory.study_precision.study_precision`; the sliders start at the
    values given.

    Parameters
    ----------
    groups, size, sd_group, sd_slope
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.study_precision(groups=40)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "Number of groups ", groups, FEWEST, MOST, 1),
        slider("size", "Rows in each group ", size, 3, 40, 1),
        slider("level", "SD of intercepts ", sd_group, 0, 2, 0.05),
        slider("slope", "SD of slopes ", sd_slope, 0.1, 1, 0.05),
    ]
    x = alt.X("J:Q", title="Number of groups", scale=alt.Scale(domain=[0, MOST]))
    y = alt.Y("se:Q", title="Standard error (residual SD = 1)", scale=alt.Scale(domain=[0, HIGHEST]))
    one = row_of_data()
    words = [
        "'SD of slopes ' + format(slope, '.2f') + ', give or take ' + format(datum.se, '.2f')",
        "'mean, give or take ' + format(datum.se, '.2f')",
        "'mean slope, give or take ' + format(datum.se, '.2f')",
    ]
    corner, layers = (alt.value("width"), alt.value(0)), []
    for row, ((formula, text), colour) in enumerate(
        zip(zip(CURVES.values(), words, strict=True), (SPREAD, MEAN, SLOPE), strict=True)
    ):
        curve = alt.Chart(alt.sequence(FEWEST, MOST + 0.1, 0.5, as_="J")).transform_calculate(
            se=formula.format(J="datum.J")
        )
        layers.append(curve.mark_line(color=colour, strokeWidth=3, clip=True).encode(x, y))
        here = one.transform_calculate(J="groups", se=formula.format(J="groups"))
        layers.append(here.mark_point(color=colour, filled=True, size=120, opacity=1, clip=True).encode(x, y))
        there = one.transform_calculate(se=formula.format(J="groups")).transform_calculate(words=text)
        layers.append(written(there, row, *corner, align="right", gap=19, colour=colour))
    rows = one.transform_calculate(words="groups + ' x ' + size + ' = ' + groups * size + ' rows'")
    layers.append(written(rows, 3, *corner, align="right", gap=19, colour=POOLED))
    values = dict(
        zip(("mean", "slope", "spread"), study_precision(groups, size, sd_group, sd_slope), strict=True)
    )
    many = 4 * size
    values |= dict(
        zip(
            ("mean_many", "slope_many", "spread_many"),
            study_precision(groups, many, sd_group, sd_slope),
            strict=True,
        )
    )
    description = DESCRIPTION.format(
        groups=groups, size=size, sd_group=sd_group, sd_slope=sd_slope, many=many, **values
    )
    drawn = alt.layer(*layers).add_params(*sliders)
    return finish(drawn, "study_precision", "What a study of this size would know", description)
