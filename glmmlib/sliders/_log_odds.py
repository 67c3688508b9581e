"""One step in log-odds, wherever it starts: what it does to the probability, the odds and their ratio."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from glmmlib.palette import DATA, MODEL, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import Numbers

FAR = 6.0  # log-odds, to either side
MINUS = "\N{MINUS SIGN}"


def log_odds(start: Numbers, change: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    r"""Probabilities before and after a change in log-odds, with the two ratios.

    .. math::

        p(\eta) = \frac{1}{1 + e^{-\eta}}, \quad \frac{p_1 / (1 - p_1)}{p_0 / (1 - p_0)} =
        e^{\text{change}}.

    Parameters
    ----------
    start, change : array_like
        In log-odds.

    Returns
    -------
    tuple of four
        Probability before and after, odds ratio, ratio of the probabilities.

    References
    ----------
    Gelman, A. and Hill, J. (2007). Data Analysis Using Regression and Multilevel/Hierarchical Models, section
    5.2.

    Examples
    --------
    >>> [round(float(v), 2) for v in log_odds(-0.5, 1)]
    [0.38, 0.62, 2.72, 1.65]
    """
    before, after = expit(start), expit(np.add(start, change))
    return before, after, np.exp(change), after / before


def lines(start: float, change: float) -> list[str]:
    """The three lines of words that the chart writes for these positions of the sliders."""
    before, after, odds, risk = log_odds(start, change)
    return [
        f"probability {before:.2f} to {after:.2f} ({after - before:+.2f})".replace("-", MINUS),
        f"a quarter of the change: {change / 4:+.2f}".replace("-", MINUS),
        f"odds × {odds:.2f}, probability × {risk:.2f}",
    ]


def shown(start: float, change: float) -> str:
    """The first of the three lines, which depends on both sliders."""
    return lines(start, change)[0]


P = "(1 / (1 + exp(-({eta}))))"
BEFORE, AFTER = P.format(eta="start"), P.format(eta="start + change")

DESCRIPTION = (
    "An S-shaped curve: the probability against the log-odds, from near 0 at {low:g} through one half at 0 "
    "to near 1 at "
    "{far:g}; a dashed line of slope one quarter touches it in the middle. An orange step goes from one "
    "point of the curve "
    "to another: right by the change in log-odds, up by the change in probability. From log-odds {start:g}, "
    "a change of "
    "{change:+g} takes the probability from {before:.2f} to {after:.2f} and multiplies the odds by "
    "{odds:.2f} and the probability by "
    "{risk:.2f}. The odds are multiplied by the same number wherever the step starts; the probability moves "
    "most near "
    "one half, and never by more than a quarter of the change."
)


@started
def chart(start: float = -0.5, change: float = 1.0) -> Slider:
    """One step in log-odds, wherever it starts: what it does to the probability, to the odds, and to their
    ratio.

    The formula is that of :func:`~glmmlib.sliders._log_odds.log_odds`; the sliders start at the values given.

    Parameters
    ----------
    start, change
        Start from -4 to 4, change from -2 to 2.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.log_odds(change=0.5)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("start", "Log-odds at the start ", start, -4, 4, 0.1),
        slider("change", "Change in log-odds ", change, -2, 2, 0.1),
    ]
    x = alt.X("eta:Q", title="Log-odds", scale=alt.Scale(domain=[-FAR, FAR], nice=False))
    ticks = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2f")
    y = alt.Y("p:Q", title="Probability", scale=alt.Scale(domain=[0, 1.4], nice=False), axis=ticks)
    curve = (
        alt.Chart(alt.sequence(-FAR, FAR + 0.01, 0.1, as_="eta"))
        .transform_calculate(p=P.format(eta="datum.eta"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    ends = alt.InlineData([{"eta": -2, "p": 0}, {"eta": 2, "p": 1}])
    quarter = alt.Chart(ends).mark_line(color=DATA, strokeDash=[5, 4], strokeWidth=1.5).encode(x, y)
    one = row_of_data().transform_calculate(eta="start", to="start + change", p=BEFORE, up=AFTER)
    style = {"color": TRUTH, "strokeWidth": 3}
    across = one.mark_rule(**style).encode(x, y, x2="to:Q")
    upwards = one.mark_rule(**style).encode(alt.X("to:Q"), y, y2="up:Q")
    dot = {"color": TRUTH, "filled": True, "opacity": 1}
    dots = one.mark_point(size=90, **dot).encode(x, y) + one.mark_point(size=160, **dot).encode(
        x="to:Q", y="up:Q"
    )

    def words(row: int, text: str) -> Any:
        here = row_of_data(eta=-FAR, p=1.4).transform_calculate(words=text)
        return written(here, row, x, y, align="left")

    named = [
        words(
            0,
            f"'probability ' + format({BEFORE}, '.2f') + ' to ' + format({AFTER}, '.2f')"
            f" + ' (' + format({AFTER} - {BEFORE}, '+.2f') + ')'",
        ),
        words(1, "'a quarter of the change: ' + format(change / 4, '+.2f')"),
        words(
            2,
            f"'odds × ' + format(exp(change), '.2f') + ', probability × ' + format({AFTER} / {BEFORE}, "
            "'.2f')",
        ),
    ]
    before, after, odds, risk = log_odds(start, change)
    description = (
        DESCRIPTION.format(
            low=-FAR, far=FAR, start=start, change=change, before=before, after=after, odds=odds, risk=risk
        )
        .replace("-0", MINUS + "0")
        .replace(" -", " " + MINUS)
    )
    layers = alt.layer(quarter, curve, across, upwards, dots, *named).add_params(*sliders)
    return finish(layers, "log_odds", "One step in log-odds, many in probability", description)
