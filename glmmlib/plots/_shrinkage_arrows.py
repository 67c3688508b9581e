"""From each group's own estimate to its conditional mode."""

import numpy as np

from glmmlib.display.arguments import checked
from glmmlib.fitted import FittedModel
from glmmlib.palette import DATA, MODEL, POOLED
from glmmlib.plots._axes import Axes, axes
from glmmlib.plots._effects import one_effect
from glmmlib.variance.shrinkage import shrinkage


@checked
def shrinkage_arrows(
    fit: FittedModel, group: str | None = None, effect: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw an arrow for each group from its raw effect (grey) to its conditional mode (blue), the smallest
    group on top.

    The numbers are those of :func:`glmmlib.shrinkage`; zero is a typical group.

    Parameters
    ----------
    fit : LinearMixedModelFit
    group, effect : str, optional
        Grouping factor and random effect, such as ``"Subject"`` and ``"Days"``; needed where the fit has
        several.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes
        Its tick labels name the groups and, in parentheses, their sizes. A group without a raw effect of its
        own has no arrow.

    Raises
    ------
    ModelError
        If the fit has several grouping factors or random effects and none is chosen, or no such one, and for
        a generalised model.

    Examples
    --------
    >>> import glmmlib as gl
    >>> ax = gl.plots.shrinkage_arrows(gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff")))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['A (5)', 'B (5)', 'C (5)', 'D (5)', 'E (5)', 'F (5)']
    """
    ax = axes(ax)
    group, effect = one_effect(fit, group, effect)
    table = shrinkage(fit, group).table.sort_values("n", kind="stable")
    raw, shrunken = (table[w] if w in table else table[f"{w} {effect}"] for w in ("raw", "shrunken"))
    ax.axvline(0, color=POOLED, lw=1)
    rows = np.arange(len(table))
    ax.hlines(rows, raw, shrunken, color=MODEL, lw=1.5)
    ax.plot(raw, rows, "o", color=DATA, ms=6, label="raw")
    for head, points in {">": shrunken > raw, "<": shrunken <= raw}.items():
        ax.plot(shrunken[points], rows[points], head, color=MODEL, ms=6)
    names = [f"{level} ({n})" for level, n in table["n"].items()]
    ax.set_yticks(rows, names, fontsize=min(11, 260 / len(table)))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=f"deviation of {effect}", ylabel=f"{group} (size)")
    return ax
