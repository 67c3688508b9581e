"""The zero of x moved along a fan of lines: SD of the intercepts, correlation and ICC change, the lines do
not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.palette import DATA, MODEL, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.theory.deviations import deviations
from glmmlib.types import ArrayLike, FloatArray

WIDEST = 100.0  # SD
SITES, LOW, HIGH = 12, 0.0, 25.0
ORIGIN, INTERCEPT, SLOPE = 15.0, 0.607, 0.068


def moving_zero(
    shift: ArrayLike, sd: tuple[float, float], corr: float, sigma: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""What a random-slope model says at a zero of x that lies `shift` further along the axis.

    .. math::

        \sigma_0^2(c) = \sigma_0^2 + 2 c \sigma_{01} + c^2 \sigma_1^2, \quad
        \rho(c) = \frac{\sigma_{01} + c \sigma_1^2}{\sigma_0(c)\,\sigma_1}, \quad
        \mathrm{ICC}(c) = \frac{\sigma_0^2(c)}{\sigma_0^2(c) + \sigma^2}.

    Parameters
    ----------
    shift : array_like
        c: the new zero in units of x, counted from the old one.
    sd : (float, float)
        SDs of intercepts and of slopes at the old zero.
    corr : float
        Their correlation at the old zero, strictly between -1 and 1.
    sigma : float
        Residual SD.

    Returns
    -------
    tuple of three
        SD of the intercepts, correlation of intercepts and slopes, and intra-class correlation, at the new
        zero.

    Examples
    --------
    >>> [round(float(v), 2) for v in moving_zero(-15, (0.226, 0.0613), 0.542, 0.323)]
    [0.82, -0.97, 0.87]
    """
    c, cov = np.asarray(shift, dtype=float), corr * sd[0] * sd[1]
    variance = sd[0] ** 2 + 2 * c * cov + c**2 * sd[1] ** 2
    sd0 = np.sqrt(variance)
    return sd0, (cov + c * sd[1] ** 2) / (sd0 * sd[1]), variance / (variance + sigma**2)


def lines(
    zero: float, sd: tuple[float, float] = (0.226, 0.0613), corr: float = 0.542, sigma: float = 0.323
) -> list[str]:
    """The two lines of words that the chart writes for this position of the slider."""
    sd0, rho, icc = (round(float(v), 2) + 0.0 for v in moving_zero(zero - ORIGIN, sd, corr, sigma))
    minus = f"{rho:.2f}".replace("-", "\N{MINUS SIGN}")
    return [f"zero at {zero:.1f} °C: SD of intercepts {sd0:.2f}", f"correlation {minus}, ICC there {icc:.2f}"]


def shown(zero: float) -> str:
    """The second of the two lines, at the chart's own parameters."""
    return lines(zero)[1]


DESCRIPTION = (
    "Twelve thin lines of pH change against temperature, one a site, that cross near {narrow:.0f} °C and "
    "fan out on both "
    "sides, and a thick blue line for a typical site. The slider moves the zero of x, a vertical line, from "
    "0 to 25 "
    "degrees; orange dots mark where it meets the lines: the intercepts. The lines never move. With the "
    "zero at 0 degrees "
    "the SD of the intercepts is {cold[0]:.2f} and their correlation with the slopes {cold[1]:.2f}; at "
    "{narrow:.0f} "
    "degrees they are {mid[0]:.2f} and {mid[1]:.2f}; at 25 degrees {warm[0]:.2f} and {warm[1]:.2f}. The ICC "
    "at the zero is "
    "{cold[2]:.2f}, {mid[2]:.2f} and {warm[2]:.2f}. The grey band is where plots were measured, 10 to 20 "
    "degrees."
)


@started
def chart(
    zero: float = 15.0, sd: tuple[float, float] = (0.226, 0.0613), corr: float = 0.542, sigma: float = 0.323
) -> Slider:
    """The zero of x moved along a fan of lines: SD of the intercepts, correlation and ICC change, the lines
    do not.

    The formula is that of :func:`~glmmlib.sliders._moving_zero.moving_zero`; the slider starts at the value
    given.

    Parameters
    ----------
    zero
        In degrees, between 0 and 25.
    sd, corr, sigma
        As there, with the old zero at 15 degrees; by default those of the soil sites.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.moving_zero(zero=10)
    Slider(description=...)
    """
    if not 0.0 < min(*sd, sigma) <= max(*sd, sigma) < WIDEST or not abs(corr) < 1.0:
        raise ModelError(f"SDs lie between 0 and {WIDEST:g}, and their correlation between -1 and 1")
    alt = altair()
    control = slider("zero", "Zero of x (°C) ", zero, LOW, HIGH, 0.5)
    a0, a1 = deviations(sd, corr, SITES)
    lines = np.round([INTERCEPT + a0, SLOPE + a1], 9).tolist()  # the digits of every machine
    sites = [{"site": j, "b0": lines[0][j], "b1": lines[1][j]} for j in range(SITES)]
    x = alt.X("x:Q", title="Temperature (°C)", scale=alt.Scale(domain=[LOW, HIGH], nice=False))
    y = alt.Y("y:Q", title="pH change", scale=alt.Scale(domain=[-2.6, 3.6], nice=False))
    height = f"datum.b0 + datum.b1 * (datum.x - {ORIGIN:g})"
    ends = alt.InlineData([site | {"x": end} for site in sites for end in (LOW, HIGH)])
    drawn = (
        alt.Chart(ends)
        .transform_calculate(y=height)
        .mark_line(color=DATA, strokeWidth=1.2)
        .encode(x, y, detail="site:N")
    )
    middle = alt.InlineData([{"x": end, "b0": INTERCEPT, "b1": SLOPE} for end in (LOW, HIGH)])
    typical = (
        alt.Chart(middle).transform_calculate(y=height).mark_line(color=MODEL, strokeWidth=3).encode(x, y)
    )
    measured = row_of_data(x=10, end=20).mark_rect(color=DATA, opacity=0.15).encode(x, x2="end")
    one = row_of_data().transform_calculate(x="zero")
    axis = one.mark_rule(color=TRUTH, strokeWidth=2).encode(x)
    at_zero = alt.Chart(alt.InlineData(sites)).transform_calculate(x="zero").transform_calculate(y=height)
    dots = at_zero.mark_circle(color=TRUTH, size=60, opacity=1).encode(x, y)

    cov, c = corr * sd[0] * sd[1], f"(zero - {ORIGIN:g})"
    variance = f"({sd[0] ** 2!r} + 2 * {c} * {cov!r} + {c} * {c} * {sd[1] ** 2!r})"
    rho = f"(({cov!r} + {c} * {sd[1] ** 2!r}) / (sqrt({variance}) * {sd[1]!r}))"

    def words(row: int, text: str) -> Any:
        here = row_of_data(x=LOW, y=3.6).transform_calculate(words=text)
        return written(here, row, x, y, align="left")

    share = f"{variance} / ({variance} + {sigma**2!r})"
    named = [
        words(
            0,
            f"'zero at ' + format(zero, '.1f') + ' °C: SD of intercepts ' + format(sqrt({variance}), '.2f')",
        ),
        words(1, f"'correlation ' + format({rho}, '.2f') + ', ICC there ' + format({share}, '.2f')"),
    ]
    narrow = ORIGIN - corr * sd[0] / sd[1]
    there = (moving_zero(at - ORIGIN, sd, corr, sigma) for at in (LOW, round(narrow), HIGH))
    cold, mid, warm = ([round(float(v), 2) + 0.0 for v in values] for values in there)
    description = DESCRIPTION.format(narrow=narrow, cold=cold, mid=mid, warm=warm).replace(
        "-", "\N{MINUS SIGN}"
    )
    layers = alt.layer(measured, drawn, typical, axis, dots, *named).add_params(control)
    return finish(layers, "moving_zero", "The zero moves, the lines stay", description)
