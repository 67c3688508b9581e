"""Six sites from a random-intercept model: what its two SDs do to lines, points and their correlation."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from glmmlib.palette import GROUPS, MODEL, group_colours
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started
from glmmlib.types import FloatArray

SITES, PLOTS = 6, 8
INTERCEPT, SLOPE, ORIGIN = 0.6, 0.06, 15.0
LOW, HIGH = 10.0, 20.0


def standard_draws() -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""The numbers behind the picture, before the SDs scale them.

    Deviations of the sites are the middle quantiles of N(0, 1), so that their lines show the distribution;
    residuals are the middle quantiles of N(0, 1) in a fixed random order, and so are the temperatures of a
    uniform distribution.

    Returns
    -------
    x : ndarray (6, 8)
        Temperatures, from 10 to 20 degrees.
    z : ndarray (6,)
        Deviations of the sites, in units of their SD.
    e : ndarray (6, 8)
        Residuals, in units of their SD.

    Examples
    --------
    >>> x, z, e = standard_draws()
    >>> z.round(2).tolist()
    [-1.38, -0.67, -0.21, 0.21, 0.67, 1.38]
    """
    rng = np.random.default_rng(5)
    middle = (np.arange(SITES * PLOTS) + 0.5) / (SITES * PLOTS)
    x, e = (middle[np.argsort(rng.random(middle.size))].reshape(SITES, PLOTS) for _ in range(2))
    z = ndtri((np.arange(SITES) + 0.5) / SITES)
    return (LOW + (HIGH - LOW) * x).round(1), z.round(3), ndtri(e).round(3)


def parallel_lines(sd_group: float, sd_residual: float) -> tuple[FloatArray, FloatArray, float]:
    r"""Observations, lines and correlation of the model :math:`Y_{ij} = \beta_0 + a_{0j} + \beta_1 x_{ij} +
    \epsilon_{ij}`.

    Parameters
    ----------
    sd_group, sd_residual : float
        :math:`\sigma_a` and :math:`\sigma`, in pH units, not both 0.

    Returns
    -------
    y : ndarray (6, 8)
        Observations: the draws of `standard_draws`, scaled.
    ends : ndarray (6, 2)
        Height of each site's line at 10 and at 20 degrees.
    correlation : float
        Of two members of one site, :math:`\sigma_a^2 / (\sigma_a^2 + \sigma^2)`.

    Examples
    --------
    >>> y, ends, correlation = parallel_lines(0.2, 0.4)
    >>> round(correlation, 3)
    0.2
    >>> bool(np.allclose(ends[:, 1] - ends[:, 0], 0.6))
    True
    """
    x, z, e = standard_draws()
    typical = INTERCEPT + SLOPE * (x - ORIGIN)
    ends = INTERCEPT + SLOPE * (np.array([LOW, HIGH]) - ORIGIN) + sd_group * z[:, None]
    correlation = sd_group**2 / (sd_group**2 + sd_residual**2)
    return typical + sd_group * z[:, None] + sd_residual * e, ends, float(correlation)


def shown(groups: float, residual: float) -> str:
    """The line of words that the chart writes for these positions of the sliders."""
    return f"correlation of two plots of a site: {parallel_lines(groups, residual)[2]:.2f}"


DESCRIPTION = (
    "Six coloured parallel lines of pH change against temperature, one a site, eight points around each, "
    "and a thick "
    "blue line for a typical site. One slider sets the SD between sites, the other the residual SD. The "
    "first moves the "
    "lines apart and takes the points with them; the second moves the points away from their line. With SDs "
    "of "
    "{sd_group:.2f} and {sd_residual:.2f} two plots of a site correlate at {now:.2f}; with no SD between "
    "sites the six "
    "lines are one and the correlation is 0; with 0.60 and 0.10 it is {high:.2f}. The slope never changes."
)


@started
def chart(sd_group: float = 0.21, sd_residual: float = 0.36) -> Slider:
    """Six sites drawn from a random-intercept model: what its two SDs do to lines, points and their
    correlation.

    The formula is that of :func:`~glmmlib.sliders._parallel_lines.parallel_lines`; the sliders start at the
    values given.

    Parameters
    ----------
    sd_group, sd_residual
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.parallel_lines(sd_group=0.4)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "SD between sites ", sd_group, 0, 0.6, 0.01),
        slider("residual", "Residual SD ", sd_residual, 0.05, 0.6, 0.01),
    ]
    ticks = alt.Axis(values=list(range(10, 21, 2)), format="d")
    x = alt.X("x:Q", title="Temperature (°C)", scale=alt.Scale(domain=[LOW, HIGH], nice=False), axis=ticks)
    y = alt.Y("y:Q", title="pH change", scale=alt.Scale(domain=[-1.7, 2.9], nice=False))
    colours = alt.Scale(domain=list(range(SITES)), range=group_colours(len(GROUPS))[:SITES])
    colour = alt.Color("site:N", scale=colours, legend=None)
    temperatures, z, e = (values.tolist() for values in standard_draws())
    plots = [
        {"site": j, "x": temperatures[j][i], "z": z[j], "e": e[j][i]}
        for j in range(SITES)
        for i in range(PLOTS)
    ]
    ends = [{"site": j, "x": end, "z": z[j]} for j in range(SITES) for end in (LOW, HIGH)]
    typical = f"{INTERCEPT} + {SLOPE} * (datum.x - {ORIGIN:g})"
    lines = alt.Chart(alt.InlineData(ends)).transform_calculate(y=f"{typical} + groups * datum.z")
    lines = lines.mark_line(strokeWidth=1.5).encode(x, y, colour)
    points = alt.Chart(alt.InlineData(plots)).transform_calculate(
        y=f"{typical} + groups * datum.z + residual * datum.e"
    )
    points = points.mark_circle(size=45, opacity=0.9).encode(x, y, colour)
    middle = alt.Chart(alt.InlineData([{"x": LOW}, {"x": HIGH}])).transform_calculate(y=typical)
    middle = middle.mark_line(color=MODEL, strokeWidth=3).encode(x, y)
    share = "groups * groups / (groups * groups + residual * residual)"
    words = row_of_data(x=(LOW + HIGH) / 2, y=2.7).transform_calculate(
        words=f"'correlation of two plots of a site: ' + format({share}, '.2f')"
    )
    words = words.mark_text(fontWeight="bold").encode(x, y, text="words:N")
    description = DESCRIPTION.format(
        sd_group=sd_group,
        sd_residual=sd_residual,
        now=parallel_lines(sd_group, sd_residual)[2],
        high=parallel_lines(0.6, 0.1)[2],
    )
    layers = alt.layer(lines, middle, points, words).add_params(*sliders)
    return finish(layers, "parallel_lines", "Two SDs: one moves the lines, one the points", description)
