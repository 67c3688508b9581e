"""The likelihood of ML and of REML for the SD between groups, as the number of groups changes."""

from __future__ import annotations

from typing import Any

from glmmlib.palette import GROUPS, MODEL, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.theory.ml_and_reml import maxima

ML = GROUPS[2]
LARGEST = 3.0  # of the axis
STEP = 0.02


def lines(groups: float, size: float, ratio: float) -> list[str]:
    """The three lines of words that the chart writes for these positions of the sliders."""
    ml, reml = maxima(ratio, groups, size)
    return [f"{groups:.0f} groups: ML peaks at {ml:.2f}", f"REML at {reml:.2f}", f"truth {ratio:.2f}"]


def shown(groups: float, size: float, ratio: float) -> str:
    """The first of the three lines, which depends on all sliders."""
    return lines(groups, size, ratio)[0]


F = "(1 + size * ratio * ratio)"
BEST_ML = f"sqrt(max({F} * (groups - 1) / groups - 1, 0) / size)"


def relative(theta: str, best: str, reml: bool) -> str:
    """The Vega expression of a relative likelihood."""
    power, df = ("(groups - 1)", "(groups * size - 1)") if reml else ("groups", "groups * size")

    def r2(scale: str) -> str:
        return f"(groups * (size - 1) + (groups - 1) * {F} / {scale})"

    here, there = f"(1 + size * {theta} * {theta})", f"(1 + size * {best} * {best})"
    return f"exp(-({power} * log({here} / {there}) + {df} * log({r2(here)} / {r2(there)})) / 2)"


DESCRIPTION = (
    "Two curves against theta, the SD between groups as a multiple of the SD within: the relative "
    "likelihood of ML and of "
    "REML, each 1 at its peak. Both are hills; that of ML lies to the left. With {groups} groups of {size} "
    "and a true theta of "
    "{ratio:g}, in data whose mean squares are exactly what the truth expects, ML peaks at {ml:.2f} and "
    "REML at {reml:.2f}. "
    "With {few} groups ML peaks at {ml_few:.2f} and the hills are broad; with {many} it peaks at "
    "{ml_many:.2f} and the two "
    "narrow hills nearly coincide."
)


@started
def chart(groups: int = 6, size: int = 5, ratio: float = 1.0) -> Slider:
    """The likelihood of ML and of REML for the SD between groups, as the number of groups changes.

    The formula is that of :func:`~glmmlib.theory.ml_and_reml.curves`; the sliders start at the values
    given.

    Parameters
    ----------
    groups, size, ratio
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.ml_and_reml(groups=20)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "Number of groups ", groups, 3, 60, 1),
        slider("size", "Members of a group ", size, 2, 20, 1),
        slider("ratio", "True SD between / SD within ", ratio, 0, 2, 0.05),
    ]
    x = alt.X("theta:Q", title="theta: SD between / SD within", scale=alt.Scale(domain=[0, LARGEST]))
    y = alt.Y(
        "likelihood:Q",
        title="Relative likelihood",
        scale=alt.Scale(domain=[0, 1.3]),
        axis=alt.Axis(values=[0, 0.5, 1]),
    )
    one = row_of_data()
    grid = alt.Chart(alt.sequence(0, LARGEST + STEP / 2, STEP, as_="theta"))
    hills, peaks = [], []
    for best, reml, colour in ((BEST_ML, False, ML), ("ratio", True, MODEL)):
        hill = grid.transform_calculate(likelihood=relative("datum.theta", best, reml))
        hills.append(hill.mark_line(color=colour, strokeWidth=3).encode(x, y))
        peak = one.transform_calculate(theta=best, likelihood="1")
        peaks.append(peak.mark_point(color=colour, filled=True, size=110, opacity=1).encode(x, y))
    truth = (
        one.transform_calculate(theta="ratio", likelihood="0", top="1")
        .mark_rule(color=TRUTH, strokeDash=[5, 4], strokeWidth=1.5)
        .encode(x, y, y2="top:Q")
    )

    def words(row: int, colour: str, text: str) -> Any:
        here = one.transform_calculate(theta=str(LARGEST), likelihood="1.3", words=text)
        return written(here, row, x, y, align="right", colour=colour)

    names = [
        words(0, ML, f"groups + ' groups: ML peaks at ' + format({BEST_ML}, '.2f')"),
        words(1, MODEL, "'REML at ' + format(ratio, '.2f')"),
        words(2, TRUTH, "'truth ' + format(ratio, '.2f')"),
    ]
    few, many = 3, 60
    description = DESCRIPTION.format(
        groups=groups,
        size=size,
        ratio=ratio,
        ml=maxima(ratio, groups, size)[0],
        reml=maxima(ratio, groups, size)[1],
        few=few,
        ml_few=maxima(ratio, few, size)[0],
        many=many,
        ml_many=maxima(ratio, many, size)[0],
    )
    layers = alt.layer(truth, *hills, *peaks, *names).add_params(*sliders)
    return finish(layers, "ml_and_reml", "ML lies to the left of REML", description)
