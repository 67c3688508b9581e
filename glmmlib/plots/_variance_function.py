"""The variance of the response along a covariate that has a random slope."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmmlib.display.arguments import checked
from glmmlib.fitted import FittedModel
from glmmlib.palette import DATA, MODEL, POOLED
from glmmlib.plots._along import along
from glmmlib.plots._axes import Axes, axes
from glmmlib.types import ArrayLike
from glmmlib.variance.between import between_variance


@checked
def variance_function(
    fit: FittedModel,
    x: ArrayLike | Mapping[str, Any] | None = None,
    group: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the variance between groups, :math:`z'\Sigma z`, the residual variance and their sum against x.

    For a random intercept and slope :math:`z'\Sigma z = \sigma_0^2 + 2 x \sigma_{01} + x^2 \sigma_1^2`, a
    parabola with its minimum at :math:`-\sigma_{01} / \sigma_1^2`. A generalised model has the variance
    between groups only, on the scale of the linear predictor.

    Parameters
    ----------
    fit : MixedModelFit
        With a random slope.
    x : array or dict, optional
        Values of the covariate, or ``{"x": values, "other": 3}`` where several matter; by default the range
        of the data.
    group : str, optional
        One grouping factor; all together by default.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes
        Its lines are labelled, for a legend.  With known weights the residual variance is that of weight one.

    Raises
    ------
    ModelError, DataError
        Without a random slope, or where `x` leaves open where to look.

    References
    ----------
    Snijders and Bosker (2012), *Multilevel Analysis*, 2nd ed., chapters 5 and 8.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> ax = gl.plots.variance_function(fit, x=[0, 9])
    >>> ax.lines[0].get_ydata().round(1).tolist()
    [612.1, 3625.8]
    """
    name, values, at = along(fit, x)
    between = between_variance(fit, at=at, group=group).to_numpy()
    ax = axes(ax)
    ax.plot(values, between, color=MODEL, label="between groups")
    if fit.is_linear:
        residual = np.full(len(values), float(fit.one_auxiliary("the picture of a variance")) ** 2)
        ax.plot(values, residual, color=DATA, ls="--", label="residual")
        ax.plot(values, between + residual, color=POOLED, ls="-.", label="sum" if group else "total")
        ax.set(ylabel=f"variance of {fit.design.response_name}")
    else:
        ax.set(ylabel="variance of the linear predictor")
    ax.set(xlabel=name, ylim=(0.0, None))
    ax.legend()
    return ax
