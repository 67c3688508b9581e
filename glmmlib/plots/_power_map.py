"""Power over numbers of groups and group sizes."""

import numpy as np
import pandas as pd

from glmmlib.display.arguments import checked, checked_level
from glmmlib.errors import ModelError
from glmmlib.palette import POOLED
from glmmlib.plots._axes import Axes, axes

_WORDS = {
    "power": "power",
    "type_one": "Type I error rate",
    "sd": "standard deviation of the estimate",
    "singular": "share of singular fits",
}


@checked
def power_map(table: pd.DataFrame, value: str = "power", wanted: float = 0.8, ax: Axes | None = None) -> Axes:
    """Draw one number of :func:`glmmlib.power` for each size of a study, its cell the lighter the larger the
    number.

    Parameters
    ----------
    table : DataFrame
        As :func:`glmmlib.power` returns it.
    value : {"power", "type_one", "sd", "singular"}
    wanted : float or None
        For ``value="power"``: cells with at least this power get a frame.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        For another value.

    Examples
    --------
    >>> import pandas as pd
    >>> import glmmlib as gl
    >>> sizes = pd.DataFrame({"groups": [10, 10, 40, 40], "group_size": [5, 20, 5, 20],
    ...                       "power": [0.3, 0.35, 0.85, 0.9]})
    >>> ax = gl.plots.power_map(sizes)
    >>> [text.get_text() for text in ax.texts], len(ax.patches)
    (['0.30', '0.85', '0.35', '0.90'], 2)
    """
    from matplotlib.patches import Rectangle

    if value not in _WORDS:
        raise ModelError(f"value is {', '.join(map(repr, _WORDS))}, not {value!r}")
    lacking = [name for name in ("groups", "group_size", value) if name not in table]
    if lacking or table[value].dtype.kind not in "iuf":
        raise ModelError(
            f"table is what gl.power returns; this one has no numbers {lacking[0] if lacking else value!r}"
        )
    if wanted is not None:
        checked_level(wanted, 0.8, "wanted")
    ax = axes(ax)
    grid = table.pivot(index="group_size", columns="groups", values=value)
    numbers = grid.to_numpy()
    top = 1.0 if value == "power" else max(np.nanmax(numbers), 1e-12)
    ax.pcolormesh(numbers, cmap="cividis", vmin=0.0, vmax=top, edgecolors="white", linewidth=2)
    for (row, column), number in np.ndenumerate(numbers):
        ink = POOLED if number > 0.55 * top else "white"
        decimals = 2 if value in ("power", "singular") else 3
        ax.text(column + 0.5, row + 0.5, f"{number:.{decimals}f}", ha="center", va="center", color=ink)
    order = table.set_index(["group_size", "groups"])[value]
    for (size, count), number in order.items():
        if value == "power" and wanted is not None and number >= wanted:
            corner = (grid.columns.get_loc(count) + 0.04, grid.index.get_loc(size) + 0.04)
            ax.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=POOLED, linewidth=2))
    ax.set_xticks(np.arange(len(grid.columns)) + 0.5, grid.columns)
    ax.set_yticks(np.arange(len(grid.index)) + 0.5, grid.index)
    ax.grid(visible=False)
    title = _WORDS[value] + (
        f"; framed: {wanted:g} or more" if value == "power" and wanted is not None else ""
    )
    ax.set(xlabel="number of groups", ylabel="group size", title=title)
    return ax
