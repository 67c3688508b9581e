"""The curve of the pooled test's Type I error rate, as a picture that stands still."""

import numpy as np

from glmmlib.display.arguments import check_from_one, checked
from glmmlib.errors import ModelError
from glmmlib.palette import POOLED
from glmmlib.plots._axes import Axes, axes
from glmmlib.theory.type_one_rate import NOMINAL, type_one_rate


@checked
def type_one_curve(icc: float, group_size: int, n_groups: int, ax: Axes | None = None) -> Axes:
    """Draw the rate at which the pooled slope test rejects a true null, against the share of x between
    groups.

    The formula is that of ``sliders.type_one_rate``; its function says what it assumes.

    Parameters
    ----------
    icc : float
        Intra-class correlation of the response.
    group_size, n_groups : int
        At least two groups, and three observations in all.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        For something else.

    Examples
    --------
    >>> from glmmlib import plots
    >>> ax = plots.type_one_curve(icc=0.3, group_size=24, n_groups=15)
    >>> float(ax.lines[0].get_ydata()[-1].round(2))
    0.49
    """
    if not 0.0 <= icc <= 1.0:
        raise ModelError(f"icc is a correlation of rows of one group, between 0 and 1, not {icc!r}")
    for name, number in (("group_size", group_size), ("n_groups", n_groups)):
        check_from_one(name, number)
    if n_groups < 2 or group_size * n_groups < 3:
        raise ModelError(f"a slope needs two groups and three observations, not {n_groups} of {group_size}")
    ax = axes(ax)
    share = np.linspace(0.0, 1.0, 201)
    ax.plot(share, type_one_rate(share, icc, group_size, n_groups), color=POOLED)
    ax.axhline(NOMINAL, color=POOLED, lw=1, ls=(0, (5, 4)))
    ax.set(
        xlabel="share of the predictor's variation between groups",
        ylabel="Type I error rate",
        xlim=(-0.02, 1.02),
        ylim=(0, None),
    )
    return ax
