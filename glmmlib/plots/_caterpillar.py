"""Conditional modes in order, with their conditional intervals."""

import numpy as np
from scipy.special import ndtri

from glmmlib.display.arguments import checked
from glmmlib.fitted import FittedModel
from glmmlib.palette import MODEL, POOLED
from glmmlib.plots._axes import Axes, axes
from glmmlib.plots._effects import one_effect


@checked
def caterpillar(
    fit: FittedModel,
    group: str | None = None,
    effect: str | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw each group's conditional mode and its interval, :math:`\tilde a_j \pm z \, sd(a_j | y)`, the
    lowest first.

    The conditional SDs take theta and beta as known (see
    :meth:`~glmmlib.models.results.MixedModelFit.ranef`), and the intervals are not adjusted for their number:
    a picture of what is known about each group, and no list of tests.

    Parameters
    ----------
    fit : LinearMixedModelFit or GeneralizedMixedModelFit
    group, effect : str, optional
        Grouping factor and random effect, such as ``"Subject"`` and ``"Days"``; needed where the fit has
        several.
    level : float
        Of the intervals, which take the conditional distributions as normal.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes
        Its tick labels name the groups, from the bottom upwards in the order of their modes.

    Raises
    ------
    ModelError
        If the fit has several grouping factors or random effects and none is chosen, or no such one.

    Examples
    --------
    >>> import glmmlib as gl
    >>> ax = gl.plots.caterpillar(gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff")))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['F', 'D', 'A', 'B', 'C', 'E']
    """
    ax = axes(ax)
    group, effect = one_effect(fit, group, effect)
    modes = fit.ranef(cond_sd=True)[group].sort_values(effect, kind="stable")
    rows, reach = np.arange(len(modes)), ndtri((1 + level) / 2) * modes[f"sd {effect}"]
    ax.axvline(0, color=POOLED, lw=1)
    ax.hlines(rows, modes[effect] - reach, modes[effect] + reach, color=MODEL, lw=2, alpha=0.5)
    ax.plot(modes[effect], rows, "o", color=MODEL, ms=5)
    ax.set_yticks(rows, modes.index.astype(str), fontsize=min(11, 260 / len(modes)))
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=f"deviation of {effect}", ylabel=group, ylim=(-0.8, len(modes) - 0.2))
    return ax
