"""Where a picture is drawn."""

from typing import Any


def axes(ax: Any = None) -> Any:
    """Return the Axes given, or the current ones."""
    import matplotlib.pyplot as plt

    return plt.gca() if ax is None else ax
