"""One strip of points a group, the smallest group first."""

import numpy as np
import pandas as pd

from glmmlib.design.arguments import numbers_in
from glmmlib.display.arguments import check_columns, checked
from glmmlib.palette import DATA, POOLED
from glmmlib.plots._axes import Axes, axes


@checked
def group_strips(data: pd.DataFrame, y: str, group: str, ax: Axes | None = None) -> Axes:
    """Draw each group's observations as a strip of grey points and its mean as a black dash, groups ordered
    by size.

    Parameters
    ----------
    data : DataFrame
    y, group : str
        Columns of `data`.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes
        Its tick labels name the groups; groups of equal size keep the order of their levels.

    Examples
    --------
    >>> import glmmlib as gl
    >>> ax = gl.plots.group_strips(gl.load("Dyestuff"), "Yield", "Batch")
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['A', 'B', 'C', 'D', 'E', 'F']
    """
    check_columns(data, y=y, group=group)
    values = numbers_in(data[y], repr(y), "one for each row")
    ax = axes(ax)
    groups = pd.Series(values, data.index, name=y).groupby(data[group], observed=True)
    means = groups.mean().loc[groups.size().sort_values(kind="stable").index]
    position = dict(zip(means.index, range(len(means)), strict=True))
    ax.scatter(data[group].map(position).astype(int), values, s=14, color=DATA, alpha=0.45, linewidths=0)
    ax.hlines(
        means, np.arange(len(means)) - 0.35, np.arange(len(means)) + 0.35, color=POOLED, lw=2.5, zorder=3
    )
    ax.set_xticks(range(len(means)), means.index.astype(str), rotation=90 if len(means) > 10 else 0)
    ax.grid(axis="x", visible=False)
    ax.set(xlabel=f"{group}, from the smallest to the largest", ylabel=y)
    return ax
