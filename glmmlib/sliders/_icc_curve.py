"""The ICC along x, as the SDs of intercepts, slopes and residuals and their correlation move."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.palette import DATA, MODEL
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import ArrayLike, FloatArray

LOW, ORIGIN, HIGH = 10.0, 15.0, 20.0


def icc_curve(
    x: ArrayLike, sd_intercept: float, sd_slope: float, corr: float, sigma: float
) -> tuple[FloatArray, float]:
    r"""Correlation of two members of a group at the same x, and the x where it is lowest.

    .. math::

        \mathrm{ICC}(x) = \frac{v(x)}{v(x) + \sigma^2}, \qquad
        v(x) = \sigma_0^2 + 2 x \sigma_{01} + x^2 \sigma_1^2, \qquad
        x_{\min} = -\frac{\sigma_{01}}{\sigma_1^2}.

    Parameters
    ----------
    x : array_like
        Counted from the zero that `sd_intercept` and `corr` belong to.
    sd_intercept, sd_slope : float
        :math:`\sigma_0` and :math:`\sigma_1`.
    corr : float
        Correlation of intercepts and slopes, :math:`\sigma_{01} = \rho \sigma_0 \sigma_1`.
    sigma : float
        Residual SD, above 0.

    Returns
    -------
    icc : ndarray or float
    lowest : float
        nan where slopes do not vary: the curve is flat.

    References
    ----------
    Snijders and Bosker (2012), *Multilevel Analysis*, 2nd ed., chapter 5.

    Examples
    --------
    >>> icc, lowest = icc_curve([-5, 0, 5], 0.226, 0.0613, 0.542, 0.323)
    >>> icc.round(2).tolist(), round(lowest, 1)
    ([0.4, 0.33, 0.68], -2.0)
    """
    x = np.asarray(x, dtype=float)
    cov = corr * sd_intercept * sd_slope
    # at corr = -1 or 1 rounding can leave the variance just below zero
    between = np.maximum(sd_intercept**2 + 2 * x * cov + x**2 * sd_slope**2, 0.0)
    lowest = -cov / sd_slope**2 if sd_slope > 0 else np.nan
    return between / (between + sigma**2), lowest


def lines(intercepts: float, slopes: float, corr: float, residual: float) -> list[str]:
    """The two lines of words that the chart writes for these positions of the sliders."""
    icc, lowest = icc_curve([LOW - ORIGIN, 0.0, HIGH - ORIGIN], intercepts, slopes, corr, residual)
    cold, middle, warm = (f"{value:.2f}" for value in icc)
    at = f"{round(ORIGIN + lowest, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")
    place = "the same at every temperature" if np.isnan(lowest) else f"lowest at {at} °C"
    return [place, f"10, 15, 20 °C: {cold}, {middle}, {warm}"]


def shown(intercepts: float, slopes: float, corr: float, residual: float) -> str:
    """The second of the two lines, which depends on all sliders."""
    return lines(intercepts, slopes, corr, residual)[1]


DESCRIPTION = (
    "One curve of the intra-class correlation of two plots of a site against their temperature, from 10 to "
    "20 degrees. With "
    "SDs of {sd_intercept:g} for intercepts at 15 degrees, {sd_slope:g} for slopes and {sigma:g} for "
    "residuals, and a "
    "correlation of {corr:g}, it falls from {cold:.2f} at 10 degrees to its lowest point at {lowest:.1f} "
    "degrees, marked by a "
    "dashed line, and rises to {warm:.2f} at 20 degrees. With the correlation reversed it is the mirror "
    "image about 15 "
    "degrees; with an SD of slopes of 0 it is flat at {middle:.2f}, the value at 15 degrees. A larger "
    "residual SD lowers "
    "the whole curve and leaves its lowest point where it is."
)


@started
def chart(
    sd_intercept: float = 0.23, sd_slope: float = 0.06, corr: float = 0.54, sigma: float = 0.32
) -> Slider:
    """The ICC along x, as the SDs of intercepts, slopes and residuals and their correlation move.

    The formula is that of :func:`~glmmlib.sliders._icc_curve.icc_curve`; the sliders start at the values
    given. The zero of x is at 15 degrees.

    Parameters
    ----------
    sd_intercept, sd_slope, corr, sigma
        By default those of the soil sites, rounded.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.icc_curve(corr=-0.5)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("intercepts", "SD of intercepts at 15 °C ", sd_intercept, 0, 0.5, 0.01),
        slider("slopes", "SD of slopes ", sd_slope, 0, 0.12, 0.005),
        slider("corr", "Their correlation ", corr, -1, 1, 0.02),
        slider("residual", "Residual SD ", sigma, 0.1, 0.6, 0.01),
    ]
    x = alt.X("x:Q", title="Temperature of both plots (°C)", scale=alt.Scale(domain=[LOW, HIGH], nice=False))
    y = alt.Y("icc:Q", title="ICC", scale=alt.Scale(domain=[0, 1], nice=False))
    one = row_of_data()

    def icc(at: str) -> str:
        away = f"({at} - {ORIGIN:g})"
        square = (
            f"(intercepts * intercepts + 2 * {away} * corr * intercepts * slopes + {away} * {away} * slopes "
            "* slopes)"
        )
        between = f"max(0, {square})"
        return f"({between} / ({between} + residual * residual))"

    curve = (
        alt.Chart(alt.sequence(LOW, HIGH + 0.01, 0.1, as_="x"))
        .transform_calculate(icc=icc("datum.x"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    place = f"({ORIGIN:g} - corr * intercepts / slopes)"
    inside = f"slopes > 0 && {place} >= {LOW:g} && {place} <= {HIGH:g}"
    waist = one.transform_calculate(x=place, icc="0", top="0.84").transform_filter(inside)  # below the words
    waist = waist.mark_rule(color=DATA, strokeWidth=2, strokeDash=[5, 4]).encode(x, y, y2="top:Q")

    def words(row: int, text: str) -> Any:
        here = one.transform_calculate(x=str(LOW), icc="1", words=text)
        return written(here, row, x, y, align="left", top=12, gap=19, colour=MODEL)

    low, mid, high = (f"format({icc(str(at))}, '.2f')" for at in (LOW, ORIGIN, HIGH))
    named = [
        words(
            0, f"slopes > 0 ? 'lowest at ' + format({place}, '.1f') + ' °C' : 'the same at every temperature'"
        ),
        words(1, f"'10, 15, 20 °C: ' + {low} + ', ' + {mid} + ', ' + {high}"),
    ]
    found, lowest = icc_curve([LOW - ORIGIN, 0.0, HIGH - ORIGIN], sd_intercept, sd_slope, corr, sigma)
    description = DESCRIPTION.format(
        sd_intercept=sd_intercept,
        sd_slope=sd_slope,
        corr=corr,
        sigma=sigma,
        cold=found[0],
        middle=found[1],
        warm=found[2],
        lowest=ORIGIN + lowest,
    )
    layers = alt.layer(waist, curve, *named).add_params(*sliders)
    return finish(layers, "icc_curve", "Where two plots of a site are least alike", description)
