"""The posterior of the SD between groups, as its prior and the number of groups change."""

from __future__ import annotations

import numpy as np

from glmmlib.palette import DATA, MODEL, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started
from glmmlib.types import FloatArray

#: The grid of sigma_a on which both Python and the chart add up the posterior.
TOP, STEP = 4.0, 0.01
#: The standard error of one group's own estimate, in the units of sigma_a.
ERROR = 0.4


def posterior(
    groups: float, scale: float, best: float, error: float = ERROR
) -> tuple[FloatArray, FloatArray]:
    r"""Posterior of :math:`\sigma_a` on a grid, for J groups whose estimates all have the same standard
    error.

    The estimates are :math:`N(\mu, v)` with :math:`v = \sigma_a^2 + \tau^2`. With a flat prior on
    :math:`\mu`, integrated out,

    .. math::

        p(\sigma_a \mid y) \propto p(\sigma_a)\, v^{-(J-1)/2} \exp\left(-\frac{J - 1}{2}\, \frac{\hat
        v}{v}\right),
        \quad p(\sigma_a) \propto \exp\left(-\frac{\sigma_a^2}{2 s^2}\right),

    where :math:`\hat v = \hat\sigma_a^2 + \tau^2` is the variance of the estimates: the (restricted)
    likelihood peaks at
    :math:`\hat\sigma_a`. The prior is half-normal, cut off at 4, where the grid ends.

    Parameters
    ----------
    groups : int
        J, two or more.
    scale : float
        s, the scale of the half-normal prior.
    best : float
        :math:`\hat\sigma_a`, 0 or more.
    error : float
        :math:`\tau`.

    Returns
    -------
    tuple of ndarray
        The grid, and the probability of each of its points.

    References
    ----------
    Gelman, A. (2006). Prior distributions for variance parameters in hierarchical models. *Bayesian Analysis*
    1(3).

    Examples
    --------
    >>> sigma, p = posterior(groups=5, scale=1.0, best=0.0)
    >>> round(float(p @ sigma), 2)
    0.34
    """
    sigma = np.arange(round(TOP / STEP) + 1) * STEP
    spread = (best**2 + error**2) / (sigma**2 + error**2)
    density = np.exp(-(sigma**2) / (2 * scale**2) - (groups - 1) / 2 * (spread - 1 - np.log(spread)))
    return sigma, density / density.sum()


def interval(groups: float, scale: float, best: float, error: float = ERROR) -> tuple[float, float, float]:
    """The 2.5 %, 50 % and 97.5 % points of `posterior`: the first grid point that reaches each.

    Examples
    --------
    >>> [round(float(q), 2) for q in interval(groups=5, scale=1.0, best=0.0)]
    [0.01, 0.27, 1.06]
    """
    sigma, p = posterior(groups, scale, best, error)
    low, middle, high = sigma[np.searchsorted(np.cumsum(p), (0.025, 0.5, 0.975))]
    return low, middle, high


def shown(groups: float, scale: float, best: float) -> str:
    """The words that the chart writes for these positions of the sliders."""
    low, middle, high = interval(groups, scale, best)
    return f"median {middle:.2f}, 95 % from {low:.2f} to {high:.2f}"


#: How high the prior is where its name stands.
PRIOR_LABEL = "exp(-datum.sigma * datum.sigma / (2 * scale * scale))"

DESCRIPTION = (
    "Two curves against the SD between groups, each 1 at its peak: a half-normal prior and the posterior. "
    "With {few} groups, "
    "data that fit an SD of {best:g} best and a prior of scale {scale:g}, the posterior has median "
    "{a[1]:.2f} and a 95 % interval from "
    "{a[0]:.2f} to {a[2]:.2f}. A prior of scale 0.2 moves the median to {b[1]:.2f}, one of scale 3 to "
    "{c[1]:.2f}. With {many} groups and "
    "data that fit 0.5 best, the same two priors give medians {d[1]:.2f} and {e[1]:.2f}: the prior hardly "
    "matters."
)


@started
def chart(groups: int = 5, scale: float = 1.0, best: float = 0.0) -> Slider:
    """The posterior of the SD between groups, as its prior and the number of groups change.

    The formula is that of :func:`~glmmlib.sliders._prior_of_sigma.posterior`; the sliders start at the values
    given.

    Parameters
    ----------
    groups, scale, best
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.prior_of_sigma(groups=8)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "Number of groups ", groups, 3, 60, 1),
        slider("scale", "Scale of the prior ", scale, 0.1, 3, 0.1),
        slider("best", "SD that fits the data best ", best, 0, 1.5, 0.05),
    ]
    x = alt.X("sigma:Q", title="SD between groups", scale=alt.Scale(domain=[0, 2.5], nice=False))
    y = alt.Y("height:Q", title="density (peak = 1)", scale=alt.Scale(domain=[0, 1.25], nice=False))
    spread = f"((best * best + {ERROR**2:.4g}) / (datum.sigma * datum.sigma + {ERROR**2:.4g}))"
    grid = (
        alt.Chart(alt.sequence(0, round(TOP / STEP) + 0.5, 1, as_="step"))
        .transform_calculate(sigma=f"datum.step * {STEP}")
        .transform_calculate(prior="exp(-datum.sigma * datum.sigma / (2 * scale * scale))", spread=spread)
        .transform_calculate(
            density="datum.prior * exp(-(groups - 1) / 2 * (datum.spread - 1 - log(datum.spread)))"
        )
    )
    seen = "datum.sigma <= 2.5"
    prior = grid.transform_calculate(height="datum.prior").transform_filter(seen)
    prior = prior.mark_line(color=DATA, strokeWidth=2, strokeDash=[6, 4]).encode(x, y)
    peak = grid.transform_joinaggregate(peak="max(density)").transform_calculate(
        height="datum.density / datum.peak"
    )
    curve = peak.transform_filter(seen).mark_line(color=MODEL, strokeWidth=3).encode(x, y)
    words = (
        grid.transform_joinaggregate(total="sum(density)")
        .transform_window(below="sum(density)", sort=[{"field": "sigma"}])
        .transform_calculate(
            **{
                name: f"datum.below < {q} * datum.total ? 1 : 0"
                for name, q in zip("abc", (0.025, 0.5, 0.975), strict=True)
            }
        )
        .transform_aggregate(low="sum(a)", middle="sum(b)", high="sum(c)")
        .transform_calculate(
            text=f"'median ' + format(datum.middle * {STEP}, '.2f')"
            f" + ', 95 % from ' + format(datum.low * {STEP}, '.2f')"
            f" + ' to ' + format(datum.high * {STEP}, '.2f')",
            sigma="2.45",
            height="1.18",
        )
        .mark_text(align="right", fontWeight="bold", color=MODEL)
        .encode(x, y, text="text:N")
    )
    here = row_of_data().transform_calculate(sigma="best", height="0")
    point = here.mark_point(color=TRUTH, filled=True, size=120, opacity=1, clip=False).encode(x, y)
    name = here.mark_text(color=TRUTH, align="left", dx=9, dy=-10, fontSize=12).encode(
        x, y, text=alt.value("fits best")
    )
    a, b, c = (interval(groups, s, best) for s in (scale, 0.2, 3))
    d, e = (interval(60, s, 0.5) for s in (0.2, 3))
    description = DESCRIPTION.format(few=groups, best=best, scale=scale, many=60, a=a, b=b, c=c, d=d, e=e)
    beside = row_of_data().transform_calculate(sigma="min(scale * 1.01, 2.2)", height=PRIOR_LABEL)
    label = beside.mark_text(align="left", dx=6, dy=-6, fontSize=12).encode(x, y, text=alt.value("prior"))
    layers = alt.layer(prior, curve, words, point, name, label).add_params(*sliders)
    return finish(layers, "prior_of_sigma", "What the data say, and what the prior adds", description)
