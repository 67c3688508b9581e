"""A smooth curve of a fit, with its pointwise intervals."""

from glmmlib.display.arguments import checked
from glmmlib.fitted import FittedModel
from glmmlib.inference.smooths import smooth_curve
from glmmlib.palette import DATA, MODEL
from glmmlib.plots._axes import Axes, axes
from glmmlib.types import ArrayLike

BAND, DOTS = 0.2, 0.5


@checked
def smooth(
    fit: FittedModel,
    name: str | None = None,
    level: float = 0.95,
    at: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a smooth curve ``s(x)``, centred, with its pointwise intervals, and a tick for each value of x.

    Parameters
    ----------
    fit : MixedModelFit
        With smooth curves.
    name : str, optional
        Which, such as ``"s(x)"`` or the column ``"x"``, if there are several.
    level : float
        Of the intervals.
    at : array, optional
        Values of the column of the curve; by default the range of the data.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes
        The height is on the scale of the linear predictor; zero is the mean over the data.

    Raises
    ------
    ModelError, DataError
        As :func:`glmmlib.smooth_curve`.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ s(Days, k=8) + (Days | Subject)", gl.load("sleepstudy"))
    >>> ax = gl.plots.smooth(fit)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Days', 's(Days), 1.3 degrees of freedom')
    """
    curve = smooth_curve(fit, name, at=at, level=level)
    label, rows, edf = curve.attrs["name"], curve.attrs["data"], curve.attrs["edf"]
    ax = axes(ax)
    ax.fill_between(curve["x"], curve["lower"], curve["upper"], color=MODEL, alpha=BAND, lw=0)
    ax.plot(curve["x"], curve["estimate"], color=MODEL)
    ax.plot(rows, [0.0] * len(rows), "|", color=DATA, alpha=DOTS, transform=ax.get_xaxis_transform(), ms=8)
    ax.set(xlabel=curve.attrs["column"], ylabel=f"{label}, {edf:.1f} degrees of freedom")
    return ax
