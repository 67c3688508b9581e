"""Residuals, group by group: do whole groups lie on one side of zero?"""

from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arguments import finite_numbers
from glmmlib.display.arguments import checked, is_list
from glmmlib.errors import ModelError
from glmmlib.palette import DATA, POOLED
from glmmlib.plots._axes import Axes, axes
from glmmlib.types import ArrayLike


@checked
def residuals_by_group(residuals: ArrayLike, groups: Any, ax: Axes | None = None) -> Axes:
    """Draw the residuals of each group on a row of its own, and a diamond at their mean.

    The groups are sorted by mean residual, the highest on top. Without dependence within groups the diamonds
    stay close to zero: closer, the more residuals a group has.

    Parameters
    ----------
    residuals : (n,) array_like
    groups : (n,) array_like
        The group of each residual.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from glmmlib import plots
    >>> ax = plots.residuals_by_group([-1.0, 0.0, 2.0, 3.0], ["a", "a", "b", "b"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['a', 'b']
    """
    values = finite_numbers(residuals, "residuals")
    if not is_list(groups):
        raise ModelError(
            f"groups has the group of each residual, and is a list, not a {type(groups).__name__}"
        )
    if len(groups) != len(values):
        raise ModelError(
            f"residuals and groups are as long as each other, not {len(values)} and {len(groups)}"
        )
    names = np.array([str(group) for group in groups])
    ax = axes(ax)
    table = pd.DataFrame({"residual": values, "group": names})
    means = table.groupby("group")["residual"].mean().sort_values()
    height = dict(zip(means.index, range(len(means)), strict=True))
    ax.scatter(table["residual"], table["group"].map(height), s=14, color=DATA, alpha=0.6, linewidths=0)
    ax.scatter(means, range(len(means)), s=60, marker="D", color=POOLED, zorder=3)
    ax.axvline(0.0, color=POOLED, lw=1)
    ax.set(yticks=range(len(means)), yticklabels=means.index, xlabel="residual")
    return ax
