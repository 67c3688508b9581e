"""The lines of the groups of a mixed model, and the line of a typical group."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import refuse_curves
from glmmlib.display.arguments import checked
from glmmlib.display.words import meant
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.palette import DATA, MODEL
from glmmlib.plots._axes import Axes, axes, highlighted
from glmmlib.types import FloatArray


@checked
def group_lines(
    fit: FittedModel,
    x: str,
    highlight: Sequence[Any] = (),
    colours: Sequence[str] | None = None,
    group: str | None = None,
    labels: bool = False,
    kind: str = "link",
    ax: Axes | None = None,
) -> Axes:
    r"""Draw :math:`\beta_0 + a_{0j} + (\beta_1 + a_{1j}) x` for each group j, and :math:`\beta_0 + \beta_1
    x`.

    All lines run over the whole range of `x` in the data; the groups of `highlight` have colours of their
    own, the typical group (all its random effects zero) is the thick blue line. On the scale of the response
    the lines of a generalised model are curves: probabilities, or expected counts.

    Parameters
    ----------
    fit : LinearMixedModelFit or GeneralizedMixedModelFit
        With an intercept and `x` as its only fixed effects.
    x : str
        Name of the coefficient.
    highlight : sequence
        Levels of the grouping factor.
    colours : sequence of str, optional
        One for each level of `highlight`; the course's group colours if not given.
    group : str, optional
        The grouping factor; needed if the fit has several.
    labels : bool
        Write the names of the highlighted groups, and "typical", at the right ends of their lines.
    kind : {"link", "response"}
        The scale: of the linear predictor, without an offset, or of the mean response.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        If the fit has other fixed effects (its lines would need values for them), for an unknown group or
        scale.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> ax = gl.plots.group_lines(fit, "Days")
    >>> len(ax.lines)
    19
    """
    ax = axes(ax)
    inverse = _inverse(fit, kind)
    x = meant(x, list(fit.params.index))
    coefficients = _coefficients(fit, x, group)
    column = fit.X[:, list(fit.params.index).index(x)]
    grid = np.linspace(column.min(), column.max(), 2 if inverse is _same else 101)
    colour = highlighted(highlight, colours)
    if unknown := set(colour) - set(map(str, coefficients.index)):
        raise ModelError(f"the fit has no group {', '.join(sorted(unknown))}; look at fit.ranef()")
    for level, line in coefficients.iterrows():
        named = str(level) in colour
        style: dict[str, Any] = (
            {"color": colour[str(level)], "zorder": 3} if named else {"color": DATA, "lw": 0.8, "alpha": 0.5}
        )
        ax.plot(grid, inverse(line["Intercept"] + line[x] * grid), **style)
    typical = inverse(fit.params["Intercept"] + fit.params[x] * grid)
    ax.plot(grid, typical, color=MODEL, lw=3.5, zorder=4, label="typical group")
    if labels:
        _name(ax, "typical", grid[-1], typical[-1], MODEL)
        for level, shade in colour.items():
            line = coefficients.loc[coefficients.index.astype(str) == level].iloc[0]
            _name(ax, level, grid[-1], inverse(line["Intercept"] + line[x] * grid[-1]), shade)
    return ax


def _name(ax, text, x, y, colour):
    ax.annotate(text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", color=colour)


def _same(eta: FloatArray) -> FloatArray:
    return eta


def _inverse(fit: FittedModel, kind: str) -> Callable[..., Any]:
    """The function from the linear predictor to the scale that is drawn."""
    if kind not in ("link", "response"):
        raise ModelError(f"kind is 'link' or 'response', not {kind!r}")
    if kind == "link" or fit.family.link.is_straight:
        return _same
    own = fit.one_auxiliary("a curve of mean responses") if fit.family.mean_needs_auxiliary else None
    return lambda eta: fit.family.mean(eta, own)


def _coefficients(fit: FittedModel, x: str, group: str | None) -> pd.DataFrame:
    refuse_curves(getattr(fit, "groups", ()), "a picture of the groups' lines")
    if set(fit.params.index) != {"Intercept", x}:
        raise ModelError(
            f"group_lines draws the lines of a model with the fixed effects Intercept and {x!r}; this fit has"
            f" {', '.join(fit.params.index)}: draw its predictions instead (fit.predict)"
        )
    tables = fit.coef()
    if group is None and len(tables) > 1:
        raise ModelError(f"the fit has several grouping factors; choose one with group=: {', '.join(tables)}")
    if group is not None and group not in tables:
        raise ModelError(f"there is no grouping factor {group!r}; those of this fit are {', '.join(tables)}")
    return tables[group or next(iter(tables))]
