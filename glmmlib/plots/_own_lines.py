"""The least-squares line of each group, fitted to that group alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arguments import numbers_in
from glmmlib.display.arguments import check_columns, checked
from glmmlib.errors import DataError
from glmmlib.palette import DATA
from glmmlib.plots._axes import Axes, axes, highlighted


@checked
def own_lines(
    data: pd.DataFrame,
    x: str,
    y: str,
    group: str,
    highlight: Sequence[str] = (),
    colours: Mapping[Any, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the line of each group over that group's own range of `x`, and a dot at the group's means.

    Nothing is shared between the groups: each line is ordinary least squares on the rows of one group.

    Parameters
    ----------
    data : DataFrame
    x, y, group : str
        Columns of `data`.
    highlight : sequence
        Levels of `group` with colours of their own; the others are grey.
    colours : sequence of str, optional
        One for each level of `highlight`; the course's group colours if not given.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a level of `highlight` is not in the data, or if a group has fewer than two values of `x`.

    Examples
    --------
    >>> import glmmlib as gl
    >>> from glmmlib import plots
    >>> ax = plots.own_lines(gl.load("sleepstudy"), "Days", "Reaction", "Subject", highlight=["308", "309"])
    >>> len(ax.lines)
    18
    """
    check_columns(data, x=x, y=y, group=group)
    numbers = {name: numbers_in(data[name], repr(name), "one for each row") for name in (x, y)}
    data = data.assign(**numbers)
    ax = axes(ax)
    colour = highlighted(highlight, colours)
    levels = data[group].astype(str)
    if unknown := [name for name in colour if name not in set(levels)]:
        raise DataError(f"{group} has no level {', '.join(unknown)}; look at data[{group!r}].unique()")
    for level, rows in data.groupby(levels):
        if rows[x].nunique() < 2:
            raise DataError(
                f"{group} {level} has one value of {x!r}, so it has no line of its own; leave it out"
            )
        ends = np.array([rows[x].min(), rows[x].max()])
        slope, intercept = np.polyfit(rows[x], rows[y], 1)
        style = {"color": colour.get(level, DATA), "zorder": 3 if level in colour else 2}
        ax.plot(ends, intercept + slope * ends, lw=2.5 if level in colour else 1.5, **style)
        ax.scatter([rows[x].mean()], [rows[y].mean()], s=36, **style)
    ax.set(xlabel=x, ylabel=y)
    return ax
