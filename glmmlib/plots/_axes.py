"""Where a picture is drawn."""

from typing import Any

from glmmlib.display.arguments import check_axes


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
