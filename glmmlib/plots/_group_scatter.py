"""Data with a few groups picked out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from glmmlib.display.arguments import check_columns, checked
from glmmlib.errors import DataError
from glmmlib.palette import DATA
from glmmlib.plots._axes import Axes, axes, highlighted


@checked
def group_scatter(
    data: pd.DataFrame,
    x: str,
    y: str,
    group: str,
    highlight: Sequence[str] = (),
    colours: Mapping[Any, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw all observations in grey and the groups of `highlight` in colours of their own, named in a legend.

    Parameters
    ----------
    data : DataFrame
    x, y, group : str
        Columns of `data`.
    highlight : sequence
        Levels of `group`.
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
        If a level of `highlight` is not in the data.

    Examples
    --------
    >>> import glmmlib as gl
    >>> sleep = gl.load("sleepstudy")
    >>> ax = gl.plots.group_scatter(sleep, "Days", "Reaction", "Subject", highlight=["308", "309"])
    >>> len(ax.collections)
    3
    """
    check_columns(data, x=x, y=y, group=group)
    ax = axes(ax)
    levels = data[group].astype(str)
    colour_of = highlighted(highlight, colours)
    unknown = [level for level in colour_of if level not in set(levels)]
    if unknown:
        raise DataError(f"{group} has no level {', '.join(unknown)}; look at data[{group!r}].unique()")
    rest = data[~levels.isin(list(colour_of))]
    ax.scatter(rest[x], rest[y], s=12, color=DATA, alpha=0.35 if colour_of else 0.6, linewidths=0)
    for level, colour in colour_of.items():
        rows = data[levels == level]
        ax.scatter(rows[x], rows[y], s=28, color=colour, label=level, zorder=3)
    ax.set(xlabel=x, ylabel=y)
    return ax
