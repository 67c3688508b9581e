"""Lines of groups from a random-slope model: what the correlation of intercepts and slopes looks like."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmmlib.design.arguments import finite_numbers
from glmmlib.display.arguments import check_from_one, checked
from glmmlib.errors import ModelError
from glmmlib.palette import DATA, GROUPS, TRUTH
from glmmlib.plots._axes import Axes, axes
from glmmlib.theory.deviations import deviations

GREEN = GROUPS[5]


@checked
def fan(
    slope: float,
    sd: tuple[float, float],
    corr: float,
    intercept: float = 0.0,
    x: Sequence[float] = (0.0, 10.0),
    groups: int = 24,
    highlight: int = 4,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw :math:`\beta_0 + a_{0j} + (\beta_1 + a_{1j}) x` for groups with exactly the covariance asked for.

    The groups with the highest intercepts are green. The typical group, the truth of this world, is the thick
    orange line.

    Parameters
    ----------
    slope, intercept : float
        The fixed effects.
    sd : (float, float)
        SDs of intercepts and of slopes.
    corr : float
        Their correlation, between -1 and 1.
    x : (float, float)
        Where the lines begin and end; the intercepts belong to x = 0.
    groups, highlight : int
        How many lines, and how many of them are green.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        If `corr` is not a correlation, for SDs below zero, fewer than three lines, or more green ones
        than there are.

    Examples
    --------
    >>> ax = fan(1.0, sd=(2.0, 0.5), corr=-0.7)
    >>> len(ax.lines)
    25
    """
    ends, sds = finite_numbers(x, "x", 2), finite_numbers(sd, "sd", 2)
    check_from_one("groups", groups)
    if not 0 <= highlight <= groups:
        raise ModelError(f"highlight is how many of the {groups} lines are green, not {highlight}")
    ax = axes(ax)
    a0, a1 = deviations(sds, corr, groups)
    highest = a0 >= np.sort(a0)[-highlight] if highlight else np.zeros(groups, bool)
    for is_high, b0, b1 in zip(highest, a0, a1, strict=True):
        style: dict[str, Any] = (
            {"color": GREEN, "lw": 2, "zorder": 3} if is_high else {"color": DATA, "lw": 1, "alpha": 0.6}
        )
        ax.plot(ends, intercept + b0 + (slope + b1) * ends, **style)
    ax.plot(ends, intercept + slope * ends, color=TRUTH, lw=3.5, zorder=4)
    return ax
