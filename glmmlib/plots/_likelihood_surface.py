"""The likelihood of a linear mixed model over two parameters, with the way the optimiser takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.design.arguments import finite_numbers
from glmmlib.design.residual import refuse_residual_side
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.lmm_start import first_theta
from glmmlib.likelihood.optimise import minimise
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.palette import POOLED
from glmmlib.plots._axes import Axes, axes
from glmmlib.types import FloatArray

LEVELS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # contour lines: how far the deviance is above its minimum
REACH = 8.0  # the picture ends about where the deviance has risen by this much


@checked
def likelihood_surface(
    fit: FittedModel,
    path: bool = True,
    start: Sequence[float] | None = None,
    x: FloatArray | None = None,
    y: FloatArray | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the contours of the deviance (or REML criterion) above its minimum, and the optimiser's path.

    With one parameter in theta the axes are theta, the ratio :math:`\sigma_b/\sigma`, and sigma:

    .. math::

        d(\theta, \sigma) = \log|M(\theta)| + \mathrm{df} \log(2\pi\sigma^2) + r^2(\theta) / \sigma^2 +
        \text{constant};

    a dashed line shows the best sigma for each theta, along which the optimiser moves, for it sees the
    *profiled* deviance. With two parameters in theta these are the axes, and sigma is profiled out.

    Parameters
    ----------
    fit : LinearMixedModelFit
        With one or two parameters in theta, such as ``(1 | g)``, ``(1 | a) + (1 | b)`` or ``(x || g)``.
    path : bool
        Draw the points that the optimiser goes through, from an open circle to the minimum.
    start : sequence of float, optional
        The theta from which it starts; by default the moment estimate from which :func:`glmmlib.lmer` starts.
    x, y : array, optional
        Values along the axes; by default as far as the deviance rises by about 8.
    ax : matplotlib Axes, optional
        Drawn into; the current axes if not given.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        For a generalised model, one with three or more parameters in theta, a start of another size, or
        values along an axis that do not increase.

    Notes
    -----
    The criterion is computed at each value of theta on the grid (61 for one parameter, 41 x 41 for two):
    meant for the small data sets of a lesson.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False)
    >>> ax = gl.plots.likelihood_surface(fit, start=[3.0])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('θ of Batch.Intercept', 'σ')
    """
    _check(fit, start)
    x, y = _along("x", x), _along("y", y)
    if len(fit.theta) == 1 and y is not None and y[0] <= 0.0:
        raise ModelError(f"y holds values of sigma, which are above zero, not {y[0]:g}")
    with one_blas_thread():
        surface: Any = (_OneTheta if len(fit.theta) == 1 else _TwoThetas)(fit)
        way = surface.path(start) if path else np.empty((0, 2))
        x, y = surface.axes(x, y, way)
        rise = surface.values(x, y) - fit.deviance
        ridge = surface.ridge(x)
    ax = axes(ax)
    ax.contourf(x, y, rise, levels=[-1.0, *LEVELS], cmap="cividis_r", extend="max", alpha=0.85)
    lines = ax.contour(x, y, rise, levels=LEVELS, colors=POOLED, linewidths=0.8)
    ax.clabel(lines, fmt="%g", fontsize=9)
    if ridge is not None:
        ax.plot(x, ridge, color=POOLED, lw=1.2, ls=(0, (5, 4)), label="best σ for each θ")
    if path:
        ax.plot(*way.T, "-o", color=POOLED, ms=4, lw=1.5, label="optimiser", clip_on=False)
        ax.plot(*way[0], "o", color="white", mec=POOLED, mew=1.5, ms=8, label="start", clip_on=False)
    ax.plot(*surface.optimum, "*", color="white", mec=POOLED, ms=15, label="minimum", zorder=4, clip_on=False)
    ax.grid(False)
    ax.set(xlabel=surface.labels[0], ylabel=surface.labels[1], xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    return ax


def _check(fit, start):
    if not fit.is_linear:
        raise ModelError(
            "the surface is drawn for linear mixed models; for a generalised one see gl.plots.profile(fit)"
        )
    refuse_residual_side(fit.design, "the surface over theta")
    names = ", ".join(fit.theta.index)
    if len(fit.theta) > 2:
        raise ModelError(
            f"theta has {len(fit.theta)} parameters ({names}) and a surface has room for two: leave "
            "correlations out with ||, or"
            " see gl.plots.profile(fit)"
        )
    if start is not None and len(finite_numbers(start, "start")) != len(fit.theta):
        raise ModelError(f"start is a list of {len(fit.theta)}, one value for each of {names}")


def _along(name, values):
    """Return the values along an axis, if they are such."""
    if values is None:
        return None
    try:
        array = np.asarray(values)
        is_good = array.dtype.kind in "iuf" and array.ndim == 1 and len(array) > 1
        is_good = is_good and bool(np.isfinite(array).all() and (np.diff(array) > 0).all())
    except (TypeError, ValueError, OverflowError):
        is_good = False
    if not is_good:
        shown = " ".join(repr(values).split())
        raise ModelError(f"{name} is a list of two or more increasing numbers along an axis, not {shown:.60}")
    return array.astype(float)


@dataclass(frozen=True, eq=False)
class _Surface:
    fit: FittedModel

    def point(self, theta):
        problem = self.fit.solution.problem
        return problem.at(problem.Lambdas(problem.covariance.to_standardised(theta)))

    def thetas(self, start):
        """Return the points of the optimiser's first descent (k, number of thetas), on the user's scale."""
        problem = self.fit.solution.problem
        x, inverse_hessian = first_theta(problem)
        if start is not None:
            x = problem.covariance.to_standardised(np.asarray(start, dtype=float))
        path = minimise(problem.objective, x, inverse_hessian, tolerance=1e-10).path
        return problem.covariance.to_user(np.stack([standard for standard, _ in path]))


class _OneTheta(_Surface):
    """Over theta and sigma."""

    @property
    def labels(self):
        return f"θ of {self.fit.theta.index[0]}", "σ"

    @property
    def optimum(self):
        return self.fit.theta.iloc[0], self.fit.sigma

    def best_sigma(self, theta):
        return np.sqrt(self.point(np.atleast_1d(theta)).r2 / self.fit.solution.problem.df)

    def path(self, start: Sequence[float]) -> FloatArray:
        return np.array([(theta[0], self.best_sigma(theta)) for theta in self.thetas(start)])

    def values(self, x, y):
        df, columns = self.fit.solution.problem.df, []
        for theta in x:
            point = self.point(np.array([theta]))
            profiled_out = df * (point.share + np.log(2.0 * np.pi * point.r2 / df))
            columns.append(
                point.value - profiled_out + df * np.log(2.0 * np.pi * y**2) + point.penalised / y**2
            )
        return np.array(columns).T

    def axes(self, x: FloatArray, y: FloatArray, path: FloatArray) -> tuple[FloatArray, FloatArray]:
        theta, sigma = self.optimum
        if x is None:
            ends = _reach(lambda v: self.point(np.array([v])).value - self.fit.deviance, theta)
            x = _span(ends, path[:, :1], 61)
        if y is None:
            ends = _reach(lambda v: self.values([theta], np.array([v])).item() - self.fit.deviance, sigma)
            y = _span(ends, path[:, 1:], 61)
            y = y[y > 0.0]
        return np.asarray(x, dtype=float), np.asarray(y, dtype=float)

    def ridge(self, x: FloatArray) -> list[float]:
        return [self.best_sigma(v) for v in x]


class _TwoThetas(_Surface):
    """Over both thetas, sigma profiled out."""

    @property
    def labels(self):
        return tuple(f"θ of {name}" for name in self.fit.theta.index)

    @property
    def optimum(self):
        return tuple(self.fit.theta)

    def path(self, start: Sequence[float]):
        return self.thetas(start)

    def values(self, x: FloatArray | Sequence[float], y: FloatArray) -> FloatArray:
        return np.array([[self.point(np.array([a, b])).value for a in x] for b in y])

    def axes(self, x: FloatArray, y: FloatArray, path: FloatArray):
        chosen = []
        for k, given in enumerate((x, y)):
            if given is None:
                ends = _reach(lambda v, k=k: self._moved(k, v) - self.fit.deviance, self.optimum[k])
                given = _span(ends, path[:, k : k + 1], 41)
            chosen.append(np.asarray(given, dtype=float))
        return chosen

    def _moved(self, k: int, value: float):
        theta = np.array(self.optimum)
        theta[k] = value
        return self.point(theta).value

    def ridge(self, x: FloatArray):
        return None


def _reach(rise: Callable[..., Any], at: float) -> tuple[float, float]:
    """Return the values below and above ``at``, neither of them negative, where ``rise`` passes
    :data:`REACH`.
    """
    upper = max(2.0 * at, 0.5)
    while rise(upper) < REACH and upper < 50.0 * max(at, 0.5):
        upper *= 1.5
    return _bisect(rise, at, max(1e-3 * at, 0.0)), _bisect(rise, at, upper)


def _bisect(rise: Callable[..., Any], inside: float, outside: float) -> float:
    if outside == inside or rise(outside) <= REACH:
        return outside
    for _ in range(12):
        middle = 0.5 * (inside + outside)
        inside, outside = (inside, middle) if rise(middle) > REACH else (middle, outside)
    return outside


def _span(ends: Sequence[float], path: FloatArray, n: int) -> FloatArray:
    lower, upper = min([ends[0], *path[:, 0]]), max([ends[1], *path[:, 0]])
    lower = 0.0 if lower < 0.15 * upper else lower
    return np.linspace(lower, upper + 0.04 * (upper - lower), n)
