"""The slope of a random-intercept model as a blend of the slopes within and between groups."""

from __future__ import annotations

from glmmlib.palette import DATA, MODEL, POOLED
from glmmlib.sliders._slider import Slider, altair, finish, row_of_data, slider, started
from glmmlib.types import Numbers


def slope_blend(
    between: Numbers,
    icc: Numbers,
    group_size: Numbers,
    slope_between: Numbers,
    slope_within: Numbers = 0.0,
) -> tuple[Numbers, Numbers]:
    r"""Expected slopes of the pooled fit and of the random-intercept model, neither of which has the group
    mean.

    The data are groups of :math:`n`, a share :math:`B` of the predictor's sum of squares lies between them,
    the slope is :math:`\beta_B` between and :math:`\beta_W` within groups, and the model's intra-class
    correlation is
    :math:`\rho`. Least squares gives weight :math:`B` to :math:`\beta_B`. Generalised least squares gives

    .. math:: w = \frac{B \lambda}{B \lambda + 1 - B}, \qquad \lambda = \frac{1 - \rho}{1 + (n - 1) \rho},

    because a slope between group means has variance :math:`\sigma_a^2 + \sigma^2 / n` to live with. Exact for
    equal groups and known :math:`\rho`.

    Parameters
    ----------
    between : array_like
        :math:`B`, from 0 to 1.
    icc : array_like
        :math:`\rho`, from 0 to 1, excluding 1.
    group_size : array_like
        :math:`n`.
    slope_between, slope_within : array_like
        :math:`\beta_B` and :math:`\beta_W`.

    Returns
    -------
    tuple of float or ndarray
        The pooled slope and the random-intercept slope.

    Examples
    --------
    >>> pooled, mixed = slope_blend(between=0.4, icc=0.3, group_size=4, slope_between=1.0)
    >>> round(pooled, 3), round(mixed, 3)
    (0.4, 0.197)
    """
    weight = (1 - icc) / (1 + (group_size - 1) * icc)
    mixed = between * weight / (between * weight + 1 - between)
    return (
        slope_within + between * (slope_between - slope_within),
        slope_within + mixed * (slope_between - slope_within),
    )


def shown(share: float, icc: float, size: float, steep: float) -> str:
    """The number that the chart writes beside its point for these positions of the sliders."""
    return f"random intercept {slope_blend(share, icc, size, steep)[1]:.3f}"


LAMBDA = "((1 - icc) / (1 + ({n} - 1) * icc))"
MIXED = "(steep * share * " + LAMBDA + " / (share * " + LAMBDA + " + 1 - share))"

DESCRIPTION = (
    "Two expected slopes against the number of observations in a group, when the slope is zero within "
    "groups and not "
    "zero between them. The pooled slope is a level line. The slope of the random-intercept model lies "
    "below it "
    "and falls towards zero as groups grow, faster for a larger intra-class correlation. With a slope of "
    "0.28 "
    "between groups, 40 % of the predictor's variation between groups and an intra-class correlation of "
    "0.30, the "
    "pooled slope is {pooled:.3f}; the random-intercept slope is {four:.3f} with 4 observations in a group "
    "and {forty:.3f} with 40."
)


@started
def chart(between: float = 0.4, icc: float = 0.3, group_size: int = 4, slope_between: float = 0.28) -> Slider:
    """The slope of a random-intercept model as a blend of the slopes within and between groups.

    The formula is that of :func:`~glmmlib.sliders._slope_blend.slope_blend`; the sliders start at the values
    given.  The slope within groups is zero.

    Parameters
    ----------
    between, icc, group_size, slope_between
        As there.

    Returns
    -------
    Slider
        Shown by Jupyter and by the built page.

    Examples
    --------
    >>> from glmmlib import sliders
    >>> sliders.slope_blend(icc=0.1)
    Slider(description=...)
    """
    alt = altair()
    sliders = [
        slider("size", "Observations in a group ", group_size, 2, 60, 1),
        slider("icc", "Intra-class correlation ", icc, 0, 0.9, 0.01),
        slider("share", "Share of x between groups ", between, 0, 0.95, 0.01),
        slider("steep", "Slope between groups ", slope_between, 0, 0.31, 0.01),
    ]
    x = alt.X("n:Q", title="Observations in a group", scale=alt.Scale(domain=[2, 60]))
    y = alt.Y("slope:Q", title="Expected slope", scale=alt.Scale(domain=[-0.03, 0.3], nice=False))
    curve = (
        alt.Chart(alt.sequence(2, 60.01, 0.5, as_="n"))
        .transform_calculate(slope=MIXED.format(n="datum.n"))
        .mark_line(color=MODEL, strokeWidth=3)
        .encode(x, y)
    )
    end = row_of_data(n=60).transform_calculate(slope="steep * share")
    pooled = end.mark_rule(color=POOLED, strokeWidth=2).encode(y)
    name = end.mark_text(align="right", dy=-10).encode(x, y, text=alt.value("pooled fit"))
    zero = row_of_data(n=60, slope=0)
    truth = zero.mark_rule(color=DATA, strokeDash=[5, 4]).encode(y)
    within = zero.mark_text(align="right", dy=10, fontSize=12).encode(
        x, y, text=alt.value("slope within groups")
    )
    here = row_of_data().transform_calculate(
        n="size", slope=MIXED.format(n="size"), words="'random intercept ' + format(datum.slope, '.3f')"
    )
    point = here.mark_point(color=MODEL, filled=True, size=140, opacity=1).encode(x, y)
    words = here.mark_text(
        fontWeight="bold", color=MODEL, dy=-16, dx=8, align=alt.expr("size > 30 ? 'right' : 'left'")
    )
    words = words.encode(x, y, text="words:N")
    _, four = slope_blend(0.4, 0.3, 4, 0.28)
    level, forty = slope_blend(0.4, 0.3, 40, 0.28)
    description = DESCRIPTION.format(pooled=level, four=four, forty=forty)
    layers = alt.layer(truth, within, pooled, name, curve, point, words).add_params(*sliders)
    return finish(layers, "slope_blend", "A random intercept still blends two slopes", description)
