"""Counts that scatter more than Poisson counts: the negative binomial, its variance and its zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.palette import DATA, MODEL, POOLED, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started
from glmmlib.types import FloatArray, Numbers

LARGEST = 25  # count on the axis
HEADROOM = 1.3  # of the axis, over the highest probability
HALF_UP = 1e-9  # a tie is rounded up, in Python as in the browser


def overdispersion(mean: Numbers, phi: Numbers, count: Numbers = 0) -> tuple[Numbers, FloatArray, FloatArray]:
    r"""Variance of a negative binomial count, and how probable one count is beside a Poisson count of equal
    mean.

    .. math::

        \operatorname{Var}(y) = \mu + \mu^2 / \phi, \qquad
        P(0) = \Bigl(\frac{\phi}{\phi + \mu}\Bigr)^{\phi}, \qquad
        \frac{P(y)}{P(y - 1)} = \frac{\phi + y - 1}{y} \cdot \frac{\mu}{\phi + \mu}.

    Parameters
    ----------
    mean, phi : float
        :math:`\mu` and the dispersion, both above 0; the larger phi, the nearer to Poisson.
    count : int or array_like of int
        y, one or several counts.

    Returns
    -------
    variance : float
    negbinomial, poisson : float or ndarray
        Probability of `count`.

    Examples
    --------
    >>> variance, negbinomial, poisson = overdispersion(mean=3, phi=5.3)
    >>> round(variance, 2), round(float(negbinomial), 4), round(float(poisson), 4)
    (4.7, 0.0928, 0.0498)
    """
    top = int(np.max(count))
    y = np.arange(1, top + 1)
    steps = np.log((phi + y - 1) / y) - np.log1p(phi / mean)
    log_nb = np.concatenate([[-phi * np.log1p(mean / phi)], steps]).cumsum()
    log_poisson = np.concatenate([[-mean], np.log(mean / y)]).cumsum()
    return mean + mean**2 / phi, np.exp(log_nb)[count], np.exp(log_poisson)[count]


def lines(mean: float, phi: float) -> list[str]:
    """The two lines of words that the chart writes for these positions of the sliders."""
    variance, negbinomial, poisson = overdispersion(mean, phi)
    zeros = [f"{100 * float(p) + HALF_UP:.1f}" for p in (negbinomial, poisson)]
    return [
        f"variance {variance / mean + HALF_UP:.1f} times the mean",
        f"no bird: {zeros[0]} % (Poisson {zeros[1]} %)",
    ]


def shown(mean: float, phi: float) -> str:
    """The second of the two lines."""
    return lines(mean, phi)[1]


DESCRIPTION = (
    "Blue bars: how probable each count from 0 to {largest} is when counts are negative binomial; the bar "
    "of no bird is orange. "
    "Black dots: Poisson counts with the same mean. With a mean of {mean:g} and φ = {phi:g} the variance is "
    "{ratio:.1f} times the mean and "
    "{zeros[0]:.1f} % of the surveys find no bird, against {zeros[1]:.1f} % under Poisson. With φ = 0.5 the "
    "variance is {small[0]:.1f} times the "
    "mean and {small[1]:.1f} % find none. With φ = 30 bars and dots nearly meet. With a larger mean the "
    "same φ gives a larger "
    "ratio of variance to mean, and fewer zeros."
)


@started
def chart(mean: float = 3.0, phi: float = 5.3) -> Slider:
    """Counts that scatter more than Poisson counts: the negative binomial, its variance and its share of
    zeros.

    The formula is that of :func:`~glmmlib.sliders._overdispersion.overdispersion`; the sliders start at the
    values given.

    Parameters
    ----------
    mean
        Between 0.5 and 15.
    phi
        Between 0.2 and 30.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.overdispersion(mean=6)
    Slider(description=...)
    """
    alt = altair()
    controls = [
        slider("mean", "Mean count ", mean, 0.5, 15, 0.1),
        slider("phi", "Dispersion φ ", phi, 0.2, 30, 0.1),
    ]
    x = alt.X("y:Q", title="Birds in a survey", scale=alt.Scale(domain=[-0.6, LARGEST + 0.6], nice=False))
    height = alt.Y("p:Q", title="Probability")
    zero = {"nb": "phi * log(phi / (phi + mean))", "poisson": "-mean"}
    step = {
        "nb": "log((phi + datum.y - 1) / datum.y * mean / (phi + mean))",
        "poisson": "log(mean / datum.y)",
    }

    def probabilities(name: str) -> Any:
        """P(y) = P(0) times the ratios of neighbours, multiplied up as a running sum of logarithms."""
        counts = alt.Chart(alt.sequence(0, LARGEST + 1, as_="y"))
        counts = counts.transform_calculate(term=f"datum.y == 0 ? {zero[name]} : {step[name]}")
        return counts.transform_window(log_p="sum(term)", sort=[{"field": "y"}]).transform_calculate(
            p="exp(datum.log_p)"
        )

    colour = alt.condition("datum.y == 0", alt.value(TRUTH), alt.value(MODEL))
    bars = probabilities("nb").mark_bar(size=8).encode(x, height, color=colour)
    dots = (
        probabilities("poisson").mark_point(color=POOLED, filled=True, size=45, opacity=1).encode(x, height)
    )
    room = [  # for the words, above the highest bar and dot
        probabilities(name)
        .transform_calculate(p=f"{HEADROOM} * datum.p")
        .mark_point(opacity=0, aria=False)
        .encode(x, height)
        for name in zero
    ]
    path = probabilities("poisson").mark_line(color=DATA, strokeWidth=1.2).encode(x, height)

    def words(row: int, text: str, tint: str) -> Any:
        here = row_of_data(y=LARGEST).transform_calculate(words=text)
        style = {"align": "right", "baseline": "top", "fontWeight": "bold", "color": tint}
        return here.mark_text(**style).encode(x, y=alt.value(4 + 20 * row), text="words:N")

    percent = "format(100 * {p} + " + repr(HALF_UP) + ", '.1f')"
    none = percent.format(p="pow(phi / (phi + mean), phi)"), percent.format(p="exp(-mean)")
    named = [
        words(0, f"'variance ' + format(1 + mean / phi + {HALF_UP!r}, '.1f') + ' times the mean'", MODEL),
        words(1, f"'no bird: ' + {none[0]} + ' % (Poisson ' + {none[1]} + ' %)'", TRUTH),
    ]
    at_start, small = overdispersion(mean, phi), overdispersion(mean, 0.5)
    description = DESCRIPTION.format(
        largest=LARGEST,
        mean=mean,
        phi=phi,
        ratio=at_start[0] / mean,
        zeros=[100 * float(p) for p in at_start[1:]],
        small=(small[0] / mean, 100 * float(small[1])),
    )
    layers = alt.layer(*room, bars, path, dots, *named).add_params(*controls)
    return finish(layers, "overdispersion", "One mean, more scatter, more zeros", description)
