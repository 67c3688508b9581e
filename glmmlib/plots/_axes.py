"""Where a picture is drawn."""

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmlib.display.arguments import check_axes, is_list
from glmmlib.errors import ModelError
from glmmlib.palette import group_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any  # Matplotlib is not loaded before the first picture


def axes(ax: Any = None) -> Any:
    """Return the Axes given, or the current ones.

    Raises
    ------
    ModelError
        For something else than Axes.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        return plt.gca()
    check_axes("ax", ax)
    return ax


def several_axes(ax: Any, n: int, wanted: str) -> Any:
    """Return n Axes as one row of them.

    Raises
    ------
    ModelError
        For something else, or another number than the sentence of what is wanted says.
    """
    row = list(ax.flat) if isinstance(ax, np.ndarray) else list(ax) if isinstance(ax, list | tuple) else [ax]
    if len(row) != n:
        raise ModelError(f"{wanted}, not {len(row)}")
    for one in row:
        check_axes("ax", one)
    return np.array(row, dtype=object)


def highlighted(levels: Any, colours: Any = None) -> dict[str, Any]:
    """Return a colour for each of the levels that are to stand out, the course's own if none are given.

    Raises
    ------
    ModelError
        For something else than a list of levels, or than one colour for each.
    """
    for name, given in (("highlight", levels), ("colours", () if colours is None else colours)):
        if not is_list(given):
            raise ModelError(f"{name} is a list, one for each group that stands out, not {given!r}")
    names = [str(level) for level in levels]
    chosen = group_colours(len(names)) if colours is None or not len(colours) else list(colours)
    if len(chosen) != len(names):
        raise ModelError(f"colours has {len(chosen)} of them for {len(names)} levels of highlight")
    return dict(zip(names, chosen, strict=True))
