"""The share of ones among 0/1 responses along a covariate."""

import numpy as np
import pandas as pd

from glmmlib.design.arguments import numbers_in
from glmmlib.display.arguments import check_columns, checked
from glmmlib.errors import DataError
from glmmlib.palette import DATA, POOLED
from glmmlib.plots._axes import Axes, axes


@checked
def binned_share(data: pd.DataFrame, x: str, y: str, bins: int = 10, ax: Axes | None = None) -> Axes:
    """Draw 0/1 responses as ticks at the bottom and top, and the share of ones in bins of equal size as
    points.

    Parameters
    ----------
    data : DataFrame
    x, y : str
        Columns of `data`; `y` holds 0 and 1 only.
    bins : int
        Each holds the same number of rows, as nearly as ties allow, and its point stands at its mean of `x`.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `y` holds anything but 0 and 1, or `x` a missing value.

    Examples
    --------
    >>> import glmmlib as gl
    >>> ax = gl.plots.binned_share(gl.load("frogs"), "depth", "presence", bins=4)
    >>> ax.lines[-1].get_ydata().round(2).tolist()
    [0.2, 0.38, 0.43, 0.56]
    """
    check_columns(data, x=x, y=y)
    from scipy.stats import rankdata

    ax = axes(ax)
    covariate, response = (numbers_in(data[name], repr(name), "one for each row") for name in (x, y))
    if not np.isin(response, (0.0, 1.0)).all():
        raise DataError(f"{y!r} holds values other than 0 and 1, and a share of ones needs no other")
    if not np.isfinite(covariate).all():
        raise DataError(f"{x!r} holds missing values or infinite ones; drop those rows first")
    bin_of = np.floor((rankdata(covariate) - 0.5) / len(covariate) * bins)  # ties have one rank, so one bin
    used = np.unique(bin_of)
    centres, shares = (np.array([v[bin_of == b].mean() for b in used]) for v in (covariate, response))
    for value in (0.0, 1.0):
        there = covariate[response == value]
        ax.plot(there, np.full(len(there), value), "|", color=DATA, ms=9, alpha=0.4)
    ax.plot(centres, shares, "o", color=POOLED, ms=7)
    ax.set(xlabel=x, ylabel=y, ylim=(-0.05, 1.05))
    return ax
