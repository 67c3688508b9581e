"""The effect of one variable in an interaction, at each value of the other."""

import numpy as np

from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.words import meant
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import half_widths, single_tests
from glmmlib.palette import DATA, MODEL
from glmmlib.plots._axes import Axes, axes
from glmmlib.types import ArrayLike


@checked
def simple_effect(
    fit: FittedModel, effect: str, product: str, x: ArrayLike, level: float = 0.95, ax: Axes | None = None
) -> Axes:
    r"""Draw :math:`\beta_{effect} + \beta_{product}\, x` with its interval, and a dashed line at zero.

    In a model with the interaction of x and another variable, the coefficient of the other one is its effect
    where x is zero. Elsewhere it is this line; refitting with x measured from :math:`c` prints the line's
    height at :math:`c`.

    Parameters
    ----------
    fit : LinearMixedModelFit or GeneralizedMixedModelFit
    effect, product : str
        Names of two coefficients, such as ``"fertiliser[T.B]"`` and ``"temperature:fertiliser[T.B]"``.
    x : array
        Values of x, in the units of the fit.
    level : float
        Of the pointwise intervals (t with Satterthwaite's degrees of freedom, or normal).
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        If a name is not a coefficient, or the level no probability.

    References
    ----------
    Schielzeth (2010), Simple means to improve the interpretability of regression coefficients, *Methods in
    Ecology and Evolution* 1.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("distance ~ age * Sex + (1 | Subject)", gl.load("Orthodont"))
    >>> ax = gl.plots.simple_effect(fit, "Sex[T.Female]", "age:Sex[T.Female]", x=[0, 11])
    >>> ax.lines[0].get_ydata().round(2).tolist()
    [1.03, -2.32]
    """
    checked_level(level)
    names = list(fit.params.index)
    effect, product = meant(effect, names), meant(product, names)
    if unknown := [name for name in (effect, product) if not isinstance(name, str) or name not in names]:
        raise ModelError(f"the fit has no coefficient {unknown[0]!r}; there are {', '.join(names)}")
    ax = axes(ax)
    try:
        x = np.asarray(x, dtype=float)
    except (TypeError, ValueError, OverflowError):
        x = np.zeros(0)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ModelError("x is a list of numbers, values of the other variable, such as np.linspace(0, 9)")
    L = np.zeros((len(x), len(names)))
    L[:, names.index(effect)] = 1.0
    L[:, names.index(product)] = x
    tests = single_tests(fit, L)
    half = half_widths(tests, level)
    ax.plot(x, tests["estimate"], color=MODEL)
    ax.fill_between(x, tests["estimate"] - half, tests["estimate"] + half, color=MODEL, alpha=0.2, lw=0)
    ax.axhline(0.0, color=DATA, ls="--", lw=1.5)
    ax.set(ylabel=effect)
    return ax
