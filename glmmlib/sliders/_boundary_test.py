"""The null distribution of the test that a variance is zero, against chi-square and the 50:50 mixture."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, chi2

from glmmlib.palette import MODEL, POOLED, TRUTH
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started, written
from glmmlib.types import FloatArray, Numbers

LARGEST = 8.0  # of the horizontal axis
LOWEST = 0.005  # of the vertical one
CELLS = 800
SPAN = 12  # the grid reaches so many SDs of the share on either side
CUT = {"naive": float(chi2.isf(0.05, 1)), "mixture": float(chi2.isf(0.10, 1))}


def statistic(share: Numbers, groups: float, size: float) -> FloatArray:
    r"""Restricted likelihood-ratio statistic of :math:`\sigma_a = 0` in J equal groups of n.

    With b the share of the sum of squares that lies between groups, and N = Jn, it is zero for :math:`b \le
    (J-1)/(N-1)`, and else

    .. math:: -(J-1) \log\frac{b}{J-1} - J(n-1) \log\frac{1-b}{J(n-1)} - (N-1) \log(N-1).

    Parameters
    ----------
    share : array_like
        b, between 0 and 1.
    groups, size : int
        J and n.

    Returns
    -------
    ndarray or float

    References
    ----------
    Crainiceanu, C. M. and Ruppert, D. (2004). Likelihood ratio tests in linear mixed models with one variance
    component. Journal of the Royal Statistical Society B 66, 165-185.

    Examples
    --------
    >>> round(float(statistic(56357.5 / (56357.5 + 58830.0), groups=6, size=5)), 3)
    6.369
    """
    df = groups - 1, groups * (size - 1)
    between, within = df[0] * np.log(share / df[0]), df[1] * np.log((1 - share) / df[1])
    value = -between - within - sum(df) * np.log(sum(df))
    return np.where(share > df[0] / sum(df), value, 0.0)


def survival(c: Numbers, groups: float, size: float) -> FloatArray:
    r"""Probability under H0 that the statistic exceeds `c`: exact, since b is then
    :math:`\mathrm{Beta}((J-1)/2, J(n-1)/2)`.

    Parameters
    ----------
    c : array_like
        Zero or more.
    groups, size : int

    Returns
    -------
    ndarray or float

    Examples
    --------
    >>> round(float(survival(0.0, groups=20, size=5)), 3)
    0.47
    """
    df = groups - 1, groups * (size - 1)
    mean = df[0] / sum(df)

    def share(value: float) -> float:
        if value <= 0:
            return mean
        return brentq(lambda b: statistic(b, groups, size) - value, mean, 1 - 1e-13, xtol=1e-14)

    return beta.sf(np.vectorize(share, otypes=[float])(c), df[0] / 2, df[1] / 2)


def lines(groups: float, size: float) -> list[str]:
    """The three lines of words that the chart writes for these positions of the sliders."""
    naive, mixture, positive = (100 * survival(c, groups, size) for c in (CUT["naive"], CUT["mixture"], 0.0))
    return [
        f"chi-square rejects {naive:.1f} %",
        f"mixture rejects {mixture:.1f} %",
        f"exactly zero {100 - positive:.0f} %",
    ]


def shown(groups: float, size: float) -> str:
    """The first of the three lines."""
    return lines(groups, size)[0]


DF = ("(groups - 1)", "(groups * (size - 1))", "(groups * size - 1)")
MEAN = f"({DF[0]} / {DF[2]})"
SD = f"sqrt(2 * {MEAN} * (1 - {MEAN}) / (groups * size + 1))"
LOW, HIGH = f"max(0, {MEAN} - {SPAN} * {SD})", f"min(1, {MEAN} + {SPAN} * {SD})"


def rlrt(share: str) -> str:
    """The Vega expression of `statistic`."""
    inner = f"min({share}, 1 - 1e-12)"
    terms = f"{DF[0]} * log({inner} / {MEAN}) + {DF[1]} * log((1 - {inner}) / (1 - {MEAN}))"
    return f"({share} > {MEAN} ? -({terms}) : 0)"


def exact(alt: Any) -> Any:
    """Cells of b with their probability under H0 (times a constant), and the statistic at both edges of a
    cell.

    Half of the cells lie below the mean of b, where the statistic is zero, and half above.
    """
    low, high, half = f"({MEAN} - ({LOW}))", f"(({HIGH}) - {MEAN})", CELLS // 2

    def edge(i: str) -> str:
        return f"({MEAN} + ({i} - {half}) / {half} * (datum.i < {half} ? {low} : {high}))"

    middle, width = edge("(datum.i + 0.5)"), f"(datum.i < {half} ? {low} : {high})"
    density = (
        f"({DF[0]} / 2 - 1) * log({middle} / {MEAN}) + ({DF[1]} / 2 - 1) * log((1 - {middle}) / (1 - {MEAN}))"
    )
    return alt.Chart(alt.sequence(0, CELLS, 1, as_="i")).transform_calculate(
        weight=f"{width} * exp({density})", at=rlrt(edge("datum.i")), next=rlrt(edge("(datum.i + 1)"))
    )


def rate(cells: Any, cut: float) -> Any:
    """Sum the weights above `cut`, the cell that holds it in part."""
    above = (
        f"datum.next > {cut} && datum.at >= {cut} ? 1 : datum.next <= {cut} ? 0 : (datum.next - {cut}) / "
        "(datum.next - datum.at)"
    )
    summed = cells.transform_calculate(part=f"datum.weight * ({above})")
    return summed.transform_aggregate(part="sum(part)", total="sum(weight)")


DESCRIPTION = (
    "Three falling curves against c, on a logarithmic scale: the probability that the test statistic of a "
    "variance exceeds c when "
    "that variance is zero. The highest is chi-square with 1 degree of freedom; its half, the 50:50 "
    "mixture, lies below it, and close "
    "to the mixture the exact one for equal groups. With {groups} groups of {size} the statistic is exactly "
    "zero in {zero:.0f} % of "
    "studies, a 5 % test by chi-square rejects {naive:.1f} % and one by the mixture {mixture:.1f} %. With 3 "
    "groups they reject "
    "{naive_few:.1f} and {mixture_few:.1f} %, with 60 groups {naive_many:.1f} and {mixture_many:.1f} %."
)


@started
def chart(groups: int = 20, size: int = 5) -> Slider:
    """The null distribution of the test that a variance is zero, against chi-square and the 50:50 mixture.

    The formula is that of :func:`~glmmlib.sliders._boundary_test.survival`; the sliders start at the values
    given.

    Parameters
    ----------
    groups, size
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.boundary_test(groups=6)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("groups", "Number of groups ", groups, 3, 60, 1),
        slider("size", "Members of a group ", size, 2, 20, 1),
    ]
    x = alt.X("at:Q", title="c", scale=alt.Scale(domain=[0, LARGEST]))
    percent = alt.Axis(values=[0.01, 0.05, 0.1, 0.5, 1], labelExpr="format(100 * datum.value, '.0f') + ' %'")
    y = alt.Y(
        "p:Q",
        title="Chance of a statistic above c",
        scale=alt.Scale(type="log", domain=[LOWEST, 1]),
        axis=percent,
    )
    one = row_of_data()
    level = one.transform_calculate(p="0.05").mark_rule(color=POOLED, strokeDash=[2, 3]).encode(y)
    grid = alt.Chart(alt.sequence(0, LARGEST + 0.01, 0.05, as_="at"))
    claims = [
        grid.transform_calculate(p=f"{share} * cumulativeNormal(-sqrt(datum.at))")
        .transform_filter(f"datum.p >= {LOWEST}")
        .mark_line(color=colour, strokeWidth=2, strokeDash=dash)
        .encode(x, y)
        for share, colour, dash in ((2, POOLED, [1, 0]), (1, TRUTH, [6, 3]))
    ]
    cells = exact(alt)
    curve = (
        cells.transform_joinaggregate(total="sum(weight)")
        .transform_window(above="sum(weight)", frame=[None, 0], sort=[alt.SortField("i", order="descending")])
        .transform_filter(f"datum.next > 0 && datum.at < {LARGEST}")
        .transform_calculate(p="datum.above / datum.total")
        .transform_filter(f"datum.p >= {LOWEST}")
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y, order="i:Q")
    )

    def words(row: int, colour: str, chart: Any, text: str) -> Any:
        here = chart.transform_calculate(at=str(LARGEST), p="1", words=text)
        return written(here, row, x, y, align="right", colour=colour)

    share = "format(100 * datum.part / datum.total, '.1f') + ' %'"
    names = [
        words(0, POOLED, rate(cells, CUT["naive"]), f"'chi-square rejects ' + {share}"),
        words(1, TRUTH, rate(cells, CUT["mixture"]), f"'mixture rejects ' + {share}"),
        words(
            2,
            MODEL,
            rate(cells, 0),
            "'exactly zero ' + format(100 - 100 * datum.part / datum.total, '.0f') + ' %'",
        ),
    ]
    numbers = {
        name + end: 100 * survival(c, J, size)
        for name, c in CUT.items()
        for end, J in (("", groups), ("_few", 3), ("_many", 60))
    }
    description = DESCRIPTION.format(
        groups=groups, size=size, zero=100 - 100 * survival(0.0, groups, size), **numbers
    )
    layers = alt.layer(level, *claims, curve, *names).add_params(*sliders)
    return finish(layers, "boundary_test", "Testing a variance at 5 %: chi-square is too strict", description)
