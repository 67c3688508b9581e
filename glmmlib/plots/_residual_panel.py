"""The residual panel: are quantile residuals uniform, all over, along the fitted values, and along a
covariate?
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from glmmlib.display.arguments import check_label
from glmmlib.display.words import listed
from glmmlib.errors import DataError, ModelError
from glmmlib.palette import DATA, MODEL, POOLED
from glmmlib.plots._axes import Axes, several_axes
from glmmlib.types import FloatArray
from glmmlib.variance.between import covariates

QUARTILES = (0.25, 0.5, 0.75)
MIN_IN_A_BIN = 25  # residuals between two points of a quartile line


def residual_panel(residuals: Any, x: str | None = None, ax: Any = None) -> NDArray[Any]:
    """Draw quantile residuals in three pictures: against the uniform distribution, the fitted values and a
    covariate.

    Under the model the points of the first lie on the diagonal (grey: where 95 of 100 of independent
    residuals lie, each by itself), and in the others the quartiles (blue) stay close to the dashed lines at
    0.25, 0.5 and 0.75.

    Parameters
    ----------
    residuals : SimulatedResiduals or Check
        What :func:`glmmlib.simulated_residuals` or :func:`glmmlib.check` returns.
    x : str, optional
        Column of the data for the third picture; by default the first numeric covariate of the fixed effects,
        or the order of the rows if there is none.
    ax : array of three matplotlib Axes, optional
        Drawn into; new ones side by side if not given.

    Returns
    -------
    array of Axes

    Raises
    ------
    DataError, ModelError
        For an unknown column, or another number of axes.

    Examples
    --------
    >>> import numpy as np, glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> axes = gl.plots.residual_panel(gl.simulated_residuals(fit, rng=np.random.default_rng(1)))
    >>> [a.get_xlabel() for a in axes]
    ['expected', 'fitted (rank)', 'Days']
    """
    if x is not None:
        check_label("x", x)
    import matplotlib.pyplot as plt

    if not hasattr(residuals, "values") or not hasattr(residuals, "fitted"):
        raise ModelError(
            "residual_panel draws what gl.simulated_residuals or gl.check returns, not a "
            f"{type(residuals).__name__}"
        )
    if ax is None:
        _, ax = plt.subplots(1, 3, figsize=(9.0, 3.0), layout="constrained")
    axes = several_axes(ax, 3, "the residual panel needs three axes")
    u = residuals.values.to_numpy()
    ranks = residuals.fitted.rank(method="first").to_numpy()
    label, values = _covariate(residuals.fit, x)
    _quantiles(axes[0], u)
    _along(axes[1], ranks / len(u), u, "fitted (rank)")
    _along(axes[2], values, u, label)
    return axes


def _covariate(fit, name):
    data = fit.design.data
    if name is None:
        numeric = [c for c in covariates(fit, ("fixed",)) if data[c].dtype.kind in "iuf"]
        if not numeric:
            return "row", np.arange(len(data), dtype=float)
        name = numeric[0]
    if name not in data:
        raise DataError(
            f"there is no column {name!r} in the data of the fit; there are {listed(list(data.columns), 8)}"
        )
    column = data[name]
    if column.dtype.kind not in "iuf":
        raise DataError(f"{name!r} is not numeric: see gl.plots.residuals_by_group for residuals by group")
    return name, column.to_numpy(float)


def _quantiles(ax: Axes, u: FloatArray) -> None:
    n = len(u)
    i = np.arange(1, n + 1)
    expected = i / (n + 1)
    ax.fill_between(
        expected,
        betaincinv(i, n + 1 - i, 0.025),
        betaincinv(i, n + 1 - i, 0.975),
        color=DATA,
        alpha=0.3,
        lw=0,
    )
    ax.plot([0, 1], [0, 1], color=POOLED, lw=1)
    ax.plot(expected, np.sort(u), color=MODEL, lw=0, marker=".", ms=3)
    ax.set(xlabel="expected", ylabel="residual", xlim=(0, 1), ylim=(0, 1))


def _along(ax: Axes, x: FloatArray, u: FloatArray, label: str) -> None:
    ax.scatter(x, u, s=6, color=DATA, alpha=0.5, linewidths=0)
    for q in QUARTILES:
        ax.axhline(q, color=POOLED, lw=1, ls=(0, (5, 4)))
    centres, lines = _running_quartiles(x, u)
    ax.plot(centres, lines, color=MODEL)
    ax.set(xlabel=label, ylabel="residual", ylim=(0, 1))


def _running_quartiles(x: FloatArray, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return medians of x and quartiles of u in bins of about equal size; equal values of x stay together."""
    n_bins = int(np.clip(len(x) // MIN_IN_A_BIN, 1, 10))
    edges = np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1)))
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, max(len(edges) - 2, 0))
    used = np.unique(bins)
    centres = np.array([np.median(x[bins == b]) for b in used])
    return centres, np.array([np.quantile(u[bins == b], QUARTILES) for b in used])
