"""The probability of a typical group and the average over groups, as groups come to differ more."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, ndtri

from glmmlib.families.links import Logit
from glmmlib.palette import DATA, MODEL, POOLED, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started
from glmmlib.types import ArrayLike, FloatArray

LOW, HIGH, ZERO, AT = 0.1, 2.5, 1.3, 2.3
INTERCEPT = -0.53
REGIONS = 11
REACH, STEP = 6.0, 0.4  # of the trapezium rule that the browser works, in SDs


def typical_and_average(
    x: ArrayLike, slope: float, sd: float, intercept: float = INTERCEPT
) -> tuple[FloatArray, FloatArray]:
    r"""Probability of a typical group, and mean of the probabilities of all groups, in a random-intercept
    logit model.

    .. math:: \text{logit}\,\pi_j(x) = \beta_0 + \beta_1 x + a_j, \quad a_j \sim N(0, \sigma_a^2).

    The typical group has :math:`a_j = 0`, so its probability is also the median over groups; the average is
    the integral over :math:`a_j` (``glmmlib.families.links.Link.average``).

    Parameters
    ----------
    x : array_like
        In the units of the covariate, from its zero.
    slope, sd : float
        :math:`\beta_1` and :math:`\sigma_a`, in logits.
    intercept : float
        :math:`\beta_0`, by default that of the frogs at 1.3 m.

    Returns
    -------
    tuple of ndarray
        Typical and average probability.

    Examples
    --------
    >>> [round(float(p), 3) for p in typical_and_average(1.0, slope=1.0, sd=1.52)]
    [0.615, 0.582]
    """
    eta = intercept + slope * np.asarray(x, dtype=float)
    average = Logit().average(np.atleast_1d(eta), np.full(eta.size, float(sd) ** 2))
    return expit(eta), average.reshape(eta.shape)


def shown(sd: float, slope: float) -> str:
    """The words that the chart writes for these positions of the sliders."""
    typical, average = typical_and_average(AT - ZERO, slope, sd)
    return f"{AT} m: typical {typical:.2f}, average {average:.2f}"


DESCRIPTION = (
    "Eleven thin S-shaped curves of the chance of frogs against depth, one a region, a thick blue curve for "
    "the typical "
    "region in their middle, and a thick orange curve for the average over all regions. With an SD between "
    "regions of 0 all "
    "curves are one. As the SD grows the regions spread, the blue curve stays, and the orange one grows "
    "flatter and nearer "
    "to one half. With a slope of 1.0 the typical region has {typical:.2f} at 2.3 m; the average there is "
    "{one:.2f} with an "
    "SD of 1.5, {two:.2f} with 3 and {three:.2f} with 4."
)


@started
def chart(sd: float = 1.5, slope: float = 1.0) -> Slider:
    """The probability of a typical group and the average over groups, as groups come to differ more.

    The formula is that of :func:`~glmmlib.sliders._typical_and_average.typical_and_average`; the sliders
    start at the values given.

    Parameters
    ----------
    sd
        SD between regions in logits, between 0 and 4.
    slope
        In logits a metre, between 0 and 4.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.typical_and_average(sd=3.0)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("sd", "SD between regions (logits) ", sd, 0, 4, 0.1),
        slider("slope", "Slope within a region (logits/m) ", slope, 0, 4, 0.1),
    ]
    x = alt.X("depth:Q", title="Depth (m)", scale=alt.Scale(domain=[LOW, HIGH], nice=False))
    y = alt.Y("p:Q", title="Chance of frogs", scale=alt.Scale(domain=[0, 1], nice=False))
    eta = f"({INTERCEPT!r} + slope * (datum.depth - {ZERO!r}))"
    depths = alt.sequence(LOW, HIGH + 0.01, 0.06, as_="depth")

    quantiles = [round(float(q), 4) + 0.0 for q in ndtri((np.arange(REGIONS) + 0.5) / REGIONS)]
    regions = (
        alt.Chart(depths)
        .transform_calculate(z=str(quantiles))
        .transform_flatten(["z"])
        .transform_calculate(p=f"1 / (1 + exp(-{eta} - sd * datum.z))")
        .mark_line(color=DATA, strokeWidth=1)
        .encode(x, y, detail="z:N")
    )
    typical = alt.Chart(depths).transform_calculate(p=f"1 / (1 + exp(-{eta}))")
    typical = typical.mark_line(color=MODEL, strokeWidth=3).encode(x, y)
    average = _average(alt.Chart(depths), eta).mark_line(color=TRUTH, strokeWidth=3).encode(x, y)

    here = _average(row_of_data(depth=AT), eta)
    point = here.mark_point(color=TRUTH, filled=True, size=90, opacity=1).encode(x, y)
    dot = row_of_data(depth=AT).transform_calculate(p=f"1 / (1 + exp(-{eta}))")
    dot = dot.mark_point(color=MODEL, filled=True, size=90, opacity=1).encode(x, y)
    words = (
        here.transform_calculate(
            words=f"'{AT} m: typical ' + format(1 / (1 + exp(-{eta})), '.2f')"
            " + ', average ' + format(datum.p, '.2f')"
        )
        .transform_calculate(depth=f"{LOW}", p="1")
        .mark_text(align="left", baseline="top", dx=6, dy=6, fontWeight="bold", color=POOLED)
        .encode(x, y, text="words:N")
    )
    numbers = (typical_and_average(AT - ZERO, 1.0, s) for s in (1.5, 3.0, 4.0))
    (middle, one), (_, two), (_, three) = numbers
    description = DESCRIPTION.format(typical=middle, one=one, two=two, three=three)
    layers = alt.layer(regions, typical, average, dot, point, words).add_params(*sliders)
    return finish(
        layers, "typical_and_average", "The average flattens, the typical region does not", description
    )


def _average(chart: Any, eta: str) -> Any:
    """The chart's rows with the mean over regions as ``p``, by the trapezium rule."""
    nodes = f"sequence({-REACH!r}, {REACH + STEP / 2!r}, {STEP!r})"
    return (
        chart.transform_calculate(z=nodes)
        .transform_flatten(["z"])
        .transform_calculate(weight="exp(-0.5 * datum.z * datum.z)")
        .transform_calculate(part=f"datum.weight / (1 + exp(-{eta} - sd * datum.z))")
        .transform_aggregate(total="sum(weight)", parts="sum(part)", groupby=["depth"])
        .transform_calculate(p="datum.parts / datum.total")
    )
