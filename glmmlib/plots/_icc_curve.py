"""The ICC along a covariate that has a random slope."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmmlib.display.arguments import checked
from glmmlib.fitted import FittedModel
from glmmlib.palette import MODEL
from glmmlib.plots._along import along
from glmmlib.plots._axes import Axes, axes
from glmmlib.types import ArrayLike
from glmmlib.variance.icc import icc, icc_conf_int


@checked
def icc_curve(
    fit: FittedModel,
    x: ArrayLike | Mapping[str, Any] | None = None,
    group: str | None = None,
    scale: str | None = None,
    rng: np.random.Generator | int | None = None,
    n: int = 499,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw :math:`ICC(x) = z'\Sigma z / (z'\Sigma z + \sigma^2)`, and with a Generator its bootstrap band.

    Parameters
    ----------
    fit : MixedModelFit
        With a random slope.
    x : array or dict, optional
        Values of the covariate, or ``{"x": values, "other": 3}`` where several matter; by default the range
        of the data.
    group, scale
        As for :func:`glmmlib.icc`.
    rng : numpy.random.Generator, optional
        Draws the pointwise percentile intervals of :func:`glmmlib.icc_conf_int` as a band; without it there
        is none.
    n : int
        Refits for the band.
    level : float
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError, DataError
        Without a random slope, or where `x` leaves open where to look.

    Examples
    --------
    >>> import numpy as np, glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> ax = gl.plots.icc_curve(fit, x=[0, 4, 9], rng=np.random.default_rng(1), n=100)
    >>> ax.lines[0].get_ydata().round(2).tolist()
    [0.48, 0.66, 0.85]
    """
    name, values, at = along(fit, x)
    curve: Any = icc(fit, at=at, group=group, scale=scale)
    ax = axes(ax)
    if rng is not None:
        band = icc_conf_int(fit, at=at, group=group, scale=scale, level=level, n=n, rng=rng)
        ax.fill_between(
            values,
            band["lower"],
            band["upper"],
            color=MODEL,
            alpha=0.2,
            lw=0,
            label=f"{100 * level:g} % band",
        )
    ax.plot(values, curve, color=MODEL, label="ICC")
    ax.set(xlabel=name, ylabel="ICC", ylim=(0.0, 1.0))
    return ax
