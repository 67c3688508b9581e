r"""Smooth curves ``s(x)`` of a fit: how much they bend, and where they run.

A curve is :math:`f(x) = (x - \bar x)\beta + z(x)'u` with :math:`u \sim N(0, \tau^2 I)`, and no line for a
cyclic one.  Its effective degrees of freedom are one for the line and

.. math:: q - \mathrm{tr}\left[(M^{-1})_{uu}\right]

for the bends, M being the matrix of penalised least squares with the rows of u scaled to unit variance. Its
variance is that of the posterior under a flat prior of beta (Wahba 1983; Marra and Wood 2012, *Scandinavian
Journal of Statistics* 39): intervals from it cover about what they say on average over x.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.design.arguments import finite_numbers
from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.words import listed, meant
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.prediction.error_variance import Effects, linear_variance
from glmmlib.types import ArrayLike

GRID = 200  # points over the range of the data


@checked
def smooths(fit: FittedModel) -> pd.DataFrame:
    """Return how much each smooth curve ``s(x)`` of a fit bends.

    Parameters
    ----------
    fit : MixedModelFit
        With smooth curves.

    Returns
    -------
    DataFrame
        By curve: ``edf``, the effective degrees of freedom (1 is a straight line, 0 a flat cyclic one);
        ``largest``, what the knots allow; ``sd``, the SD of the bends, which are columns of mean square one.

    Raises
    ------
    ModelError
        Without a curve.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ s(Days, k=8) + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.smooths(fit).round(2)
              edf  largest    sd
    s(Days)  1.25      7.0  0.43
    """
    curves = _curves(fit)
    inverse = fit.solution.joint_precision().inverse(with_X=True)
    blocks = fit.solution.coordinates.as_in_formula(inverse.block)
    rows = {}
    for k, g in curves.items():
        n_lines = int(_effects(fit, g).has_line)
        bends = g.q - float(np.einsum("aaj->", blocks[k]))
        rows[g.name] = {"edf": n_lines + bends, "largest": float(n_lines + g.q), "sd": _sd(fit, g)}
    return pd.DataFrame.from_dict(rows, orient="index")


@checked
def smooth_curve(
    fit: FittedModel, name: str | None = None, at: ArrayLike | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Return the height of a smooth curve ``s(x)``, centred: its mean over the data is zero.

    Parameters
    ----------
    fit : MixedModelFit
        With smooth curves.
    name : str, optional
        Which, such as ``"s(x)"`` or the column ``"x"``, if there are several.
    at : array, optional
        Values of the column of the curve; by default 200 over the range of the data. Beyond it the curve goes
        on as a straight line (a cyclic one repeats itself).
    level : float
        Of the pointwise intervals.

    Returns
    -------
    DataFrame
        ``x``, and on the scale of the linear predictor ``estimate``, ``se``, ``lower`` and ``upper``;
        ``.attrs`` holds the ``"name"`` and ``"edf"`` of the curve, the ``"column"`` that it smooths and its
        distinct values.

    Raises
    ------
    ModelError, DataError
        Without such a curve, or where a curve of an expression, ``s(log(x))``, leaves open what to vary.

    Notes
    -----
    The intervals are the Bayesian ones of Wahba and Wood, which take the amount of bending as known. ``1 -
    level`` is how often they miss on average over x, and more often where a curve bends most.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ s(Days, k=8) + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.smooth_curve(fit, at=[0, 9, 12]).round(1)[["estimate", "se"]].to_numpy().tolist()
    [[-46.3, 7.1], [47.9, 7.1], [80.7, 12.5]]
    """
    checked_level(level)
    k, g = _one(fit, name)
    curve = _effects(fit, g)
    x = np.linspace(curve.distinct[0], curve.distinct[-1], GRID) if at is None else finite_numbers(at, "at")
    X, centre = np.zeros((len(x), len(fit.params))), 0.0
    if curve.has_line:
        column = _line_column(fit, g)
        centre = float(curve.middle)
        X[:, column] = x - centre
    Z = curve.bends(x)
    effects = [
        Effects(Z, np.zeros(len(x), dtype=np.intp), np.ones(h.q, dtype=bool))
        if i == k
        else Effects(np.zeros((h.q, len(x))), np.full(len(x), -1), np.zeros(h.q, dtype=bool))
        for i, h in enumerate(fit.groups)
    ]
    estimate = X @ fit.solution.estimates.beta + fit.solution.modes[k][:, 0] @ Z
    se = np.sqrt(np.maximum(linear_variance(fit, X, effects), 0.0))
    half = ndtri(0.5 + 0.5 * level) * se
    columns = {"x": x, "estimate": estimate, "se": se, "lower": estimate - half, "upper": estimate + half}
    found = pd.DataFrame(columns)
    found.attrs |= {
        "name": g.name,
        "column": g.terms[0].smoothed,
        "edf": float(smooths(fit).loc[g.name, "edf"]),
        "data": curve.distinct.tolist(),
    }
    return found


def _curves(fit):
    found = {k: g for k, g in enumerate(fit.groups) if g.is_curve}
    if not found:
        raise ModelError(f"{fit.formula!r} has no smooth curve: write one as s(x)")
    return found


def _one(fit, name):
    curves = _curves(fit)
    names = [g.name for g in curves.values()]
    if name is None and len(names) == 1:
        name = names[0]
    of_column = [g.name for g in curves.values() if meant(name, [g.terms[0].smoothed]) == g.terms[0].smoothed]
    name = of_column[0] if len(of_column) == 1 else meant(name, names)
    if name not in names:
        found = "it has several" if name is None else f"{name!r} is none of them"
        raise ModelError(f"name one of the curves of this fit ({listed(names)}): {found}")
    return next((k, g) for k, g in curves.items() if g.name == name)


def _effects(fit, group):
    position = group.parts[0][0]
    return fit.design.random[position].effects


def _line_column(fit, group):
    """Return the position of the straight line of a curve among the fixed effects."""
    names, name = list(fit.design.coef_names), _effects(fit, group).line_name
    if name not in names:
        raise ModelError(
            f"the straight line of {group.name} was left out of the fixed effects, because it follows from "
            "other columns: leave those out"
        )
    return names.index(name)


def _sd(fit, group):
    (block,) = group.covariance.blocks
    return float(fit.scale * abs(fit.solution.estimates.theta[block.index[0]]))
