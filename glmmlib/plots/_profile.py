"""The profile zeta plot: how far each likelihood is from a parabola."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from glmmlib.display.arguments import check_axes, check_labels, checked_level, is_list
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.profile.profile import Profile
from glmmlib.inference.profile.profile import profile as make_profile
from glmmlib.palette import DATA, MODEL, POOLED
from glmmlib.types import FloatArray


def profile(
    fit: FittedModel, parm: str | None = None, levels: Sequence[float] = (0.5, 0.95), ax: Any = None
) -> Any:
    """Draw the signed root of the deviance's increase against each parameter, with its intervals.

    A straight line (dashed: the one that the Wald interval stands for) means a likelihood of normal shape; a
    bend means an interval that is not symmetrical. Vertical lines mark the ends of the intervals.

    Parameters
    ----------
    fit : Profile or MixedModelFit
        What :func:`glmmlib.profile` returns, or a fit, which is then profiled.
    parm : str or list of str, optional
        Parameters; all of the profile by default.
    levels : sequence of float
        Levels of the intervals.
    ax : matplotlib Axes, or an array of as many as there are parameters, optional
        Drawn into; if not given, the current axes for one parameter, new ones in rows of three for several.

    Returns
    -------
    Axes, or array of Axes
        One for each parameter.

    Raises
    ------
    ModelError
        For an unknown parameter, one without a curve, or when the number of axes is wrong.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False)
    >>> ax = gl.plots.profile(fit, "sd Batch.Intercept")
    >>> ax.get_xlabel()
    'sd Batch.Intercept'
    """
    import matplotlib.pyplot as plt

    if parm is not None:
        check_labels("parm", parm)
    asked: list[Any] = list(levels) if is_list(levels) else [levels]
    if not asked or (parm is not None and not len(parm)):
        raise ModelError("a picture of a profile needs one level and one parameter, or more")
    for level in asked:
        checked_level(level, name="levels")
    drawn = fit if isinstance(fit, Profile) else make_profile(fit, parm)
    names = list(drawn.conf_int(min(asked), parm).index)
    missing = [name for name in names if name not in drawn.curves]
    if missing:
        raise ModelError(
            f"{missing[0]!r} has no curve, because an SD is estimated as zero: name the others in parm"
        )
    if ax is None:
        ax = plt.gca() if len(names) == 1 else _grid(len(names))
    axes = list(ax.flat) if isinstance(ax, np.ndarray) else list(ax) if isinstance(ax, list | tuple) else [ax]
    for one in axes:
        check_axes("ax", one)
    if len(axes) != len(names):
        raise ModelError(f"there are {len(axes)} axes for {len(names)} parameters ({', '.join(names)})")
    for one, name in zip(axes, names, strict=True):
        _draw(one, drawn.curves[name], asked)
        one.set_ylabel("ζ")
    return axes[0] if len(names) == 1 else np.array(axes, dtype=object)


def _grid(n: int) -> FloatArray:
    """Return n new axes, three in a row."""
    import matplotlib.pyplot as plt

    columns, rows = min(n, 3), -(-n // 3)
    _, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(3.0 * columns, 2.6 * rows), layout="constrained"
    )
    for unused in axes.ravel()[n:]:
        unused.set_axis_off()
    return axes.ravel()[:n]


def _draw(ax, curve, levels):
    values = np.linspace(curve.values[0], curve.values[-1], 201)
    ax.axhline(0.0, color=DATA, lw=1)
    slope = curve.slope[curve.values == curve.estimate][0]
    if np.isfinite(slope) and slope > 0:
        ax.plot(values, slope * (values - curve.estimate), color=POOLED, lw=1, ls=(0, (5, 4)), label="Wald")
    ax.plot(values, curve(values), color=MODEL, label="profile")
    for level in levels:
        z = -ndtri(0.5 * (1.0 - level))
        for end in curve.interval(level):
            if np.isfinite(end):
                height = float(np.clip(curve(end), -z, z))
                ax.plot([end, end], [0.0, height], color=MODEL, lw=1.5)
    top = 1.1 * max(np.abs(curve.zeta).max(), 1e-3)
    ax.set(xlabel=curve.name, ylim=(-top, top))
