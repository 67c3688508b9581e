"""The four ingredients of a generalised linear mixed model, each drawn with the numbers of one fit."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glmmlib.display.arguments import check_fit, check_number
from glmmlib.errors import ModelError
from glmmlib.families.support import Support
from glmmlib.fitted import FittedModel
from glmmlib.palette import DATA, MODEL, TRUTH
from glmmlib.plots._axes import Axes, several_axes
from glmmlib.plots._group_lines import group_lines

BARS = 0.999  # of the probability is shown
WIDTH = 3.2  # SDs on either side of the middle of the random effects


def ingredients(fit: FittedModel, x: str, level: str, at: float, ax: Any = None) -> NDArray[Any]:
    r"""Follow one group through the model, from its random effect to the distribution of its response.

    .. math::

        a_{0j} \sim N(0, \sigma_a^2) \to \eta = \beta_0 + \beta_1 x + a_{0j} \to \mu = g^{-1}(\eta) \to
        y \sim \text{family}(\mu).

    Parameters
    ----------
    fit : GeneralizedMixedModelFit
        Of 0/1 responses or counts, with an intercept and `x` as its fixed effects and a random intercept for
        one factor.
    x : str
        Name of the coefficient.
    level : str
        The group that is followed (orange).
    at : float
        The value of `x`.
    ax : four matplotlib Axes, optional
        Drawn into, in the order of the formula; a new figure of two by two if not given.

    Returns
    -------
    array of Axes

    Raises
    ------
    ModelError
        For another model, an unknown group, or another number of axes.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989), *Generalized Linear Models*, 2nd ed., section 2.2, for three of
    the four.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.glmer("presence ~ depth + (1 | region)", gl.load("frogs"), family="binomial")
    >>> axes = gl.plots.ingredients(fit, "depth", level="r12", at=1.0)
    >>> [bar.get_height().round(2).item() for bar in axes[3].patches]
    [0.14, 0.86]
    """
    check_fit("fit", fit)
    check_number("at", at)
    import matplotlib.pyplot as plt

    modes = _check(fit, level)
    if ax is None:
        _, ax = plt.subplots(2, 2, figsize=(6.4, 5.6), layout="constrained")
    axes = several_axes(ax, 4, "the four ingredients need four axes")
    group_lines(fit, x, highlight=[level], colours=[TRUTH], ax=axes[1])
    mode = modes[modes.index.astype(str) == str(level)].iloc[0]
    eta = fit.params["Intercept"] + fit.params[x] * at + mode
    _random_effects(axes[0], fit.varcorr[fit.groups[0].name].sd["Intercept"], modes, mode)
    axes[1].plot(at, eta, "o", color=TRUTH, ms=8, zorder=5)
    axes[1].set(xlabel=x, ylabel=r"$\eta$", title="2 Linear predictor")
    own = fit.one_auxiliary("the picture of a response")
    _link(axes[2], lambda at: fit.family.mean(at, own), axes[1].get_ylim(), eta)
    _response(axes[3], fit, eta, own)
    return axes


def _check(fit: FittedModel, level: str) -> pd.Series:
    family = getattr(fit, "family", None)
    is_continuous = not getattr(family, "support", Support()).is_discrete
    if is_continuous or fit.design.trials is not None or len(fit.groups) > 1:
        raise ModelError(
            "ingredients draws a generalised model of 0/1 responses or counts with one grouping factor, "
            "such as"
            " gl.glmer('y ~ x + (1 | g)', data, family='binomial')"
        )
    group = fit.groups[0]
    if list(group.columns) != ["Intercept"]:
        raise ModelError(
            f"ingredients draws a random intercept alone; here {group.name} has {', '.join(group.columns)}"
        )
    modes = fit.ranef()[group.name]["Intercept"]
    if str(level) not in set(modes.index.astype(str)):
        raise ModelError(f"{group.name} has no level {level}; look at fit.ranef()")
    return modes


def _random_effects(ax: Axes, sd: float, modes: pd.Series, mode: float) -> None:
    reach = max(WIDTH * sd, 1.1 * abs(modes).max())
    a = np.linspace(-reach, reach, 201)
    ax.plot(a, np.exp(-0.5 * (a / sd) ** 2), color=MODEL)
    ax.plot(modes, np.zeros(len(modes)), "|", color=DATA, ms=14)
    ax.plot(mode, 0, "o", color=TRUTH, ms=8, zorder=5)
    ax.set(xlabel="$a_{0j}$", yticks=[], ylim=(-0.08, 1.1), title="1 Random effects")


def _link(ax, mean, limits, eta):
    grid = np.linspace(*limits, 201)
    ax.plot(grid, mean(grid), color=MODEL)
    mu = float(mean(np.asarray(eta)))
    ax.plot([eta, eta, limits[0]], [0, mu, mu], color=TRUTH, lw=1.2, ls="--")
    ax.plot(eta, mu, "o", color=TRUTH, ms=8, zorder=5)
    ax.set(xlim=limits, xlabel=r"$\eta$", ylabel="mean", title="3 Link")


def _response(ax, fit, eta, own):
    values = np.arange(2.0 if fit.family.support.in_trials else 400.0)
    probability = np.exp(fit.family.logpdf(values, np.full(len(values), eta), None, own))
    shown = slice(int(np.searchsorted(np.cumsum(probability), BARS)) + 1 if len(values) > 2 else 2)
    ax.bar(values[shown], probability[shown], color=TRUTH, width=0.7)
    ax.set(xlabel="$y$", ylabel="probability", title="4 Response")
    if len(values) == 2:
        ax.set(xticks=[0, 1], ylim=(0, 1))
