r"""Profile likelihood: intervals that follow the shape of the likelihood.

Hold one parameter :math:`\psi` at a value and minimise the deviance over all others.  The signed root of the increase,

.. math:: \zeta(\psi) = \operatorname{sign}(\psi - \hat\psi) \sqrt{d(\psi) - d(\hat\psi)},

is about standard normal at the true value, so the values with :math:`|\zeta| \le z` are a confidence interval.  A straight
line means that the Wald interval is right; a bend, that it is not (Bates and Watts 1988, *Nonlinear Regression Analysis and
Its Applications*, chapter 6).  The derivative of the minimum in :math:`\psi` comes with it, so each curve is interpolated
with exact slopes, and the ends of intervals are found by Newton's method on the likelihood itself.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.interpolate import CubicHermiteSpline
from scipy.special import ndtri

from .errors import ModelError
from .held import Held, Minimum, held_parameters
from .inference import INTERVALS, did_you_mean
from .tables import Table, aligned
from .threads import one_blas_thread

STEP = 0.45  # of zeta between neighbouring points
FLAT = 1e-4  # of zeta: two growing steps that change it less have found its limit
MAX_STEPS = 40  # on each side of the estimate
LAST_STEP = 1e-4  # in zeta: Newton's step from here leaves an error of the order of its square
LOWER_MINIMUM = 1e-4  # a profile that gets this far below the fit's deviance has found a better fit


@dataclass(frozen=True, eq=False)
class Curve:
    """The profile of one parameter: ``zeta`` and its ``slope`` at increasing ``values``.

    ``start`` and ``end`` say how the curve ends on each side: ``"level"`` (it reaches the level asked for), ``"boundary"``
    (of the parameter's range) or ``"open"`` (the deviance stays below the level as far as was looked).
    """

    name: str
    estimate: float
    values: np.ndarray
    zeta: np.ndarray
    slope: np.ndarray
    start: str
    end: str
    _held: Held = field(repr=False)
    _minima: tuple = field(repr=False)

    @property
    def is_monotone(self):
        """Does zeta grow all along the curve?"""
        return bool((np.diff(self.zeta) > -FLAT).all())

    def __call__(self, values):
        """Interpolate zeta at values within the curve (NaN outside)."""
        if len(self.values) < 2:
            return np.where(np.asarray(values) == self.estimate, 0.0, np.nan)
        return self._spline(values)

    @cached_property
    def _spline(self):
        return CubicHermiteSpline(self.values, self.zeta, self.slope, extrapolate=False)

    def interval(self, level):
        """Return the ends of the interval: values whose zeta is the normal quantile, or the end of the range."""
        z = float(-ndtri(0.5 * (1.0 - level)))
        return self._end(-1, z), self._end(1, z)

    def _end(self, side, z):
        """Find where zeta is ``side * z``, between the two points of the curve around it."""
        how = self.start if side < 0 else self.end
        outward = range(self._centre, -1, -1) if side < 0 else range(self._centre, len(self.values))
        outside = next((i for i in outward if side * self.zeta[i] >= z), None)
        if outside is None:
            return (self._held.lower if side < 0 else self._held.upper) if how != "level" else np.nan
        if side * self.zeta[outside] == z:
            return float(self.values[outside])
        with one_blas_thread():
            return self._solve(side * z, outside - side, outside)

    def _solve(self, target, inside, outside):
        """Newton's method on zeta, each step a minimisation; kept between the points by bisection."""
        low, high = sorted((self.values[inside], self.values[outside]))
        a, b = self._minima[inside], self._minima[outside]
        value, d0 = self._interpolated(target, low, high), self._minima[self._centre].deviance
        for _ in range(20):
            share = (value - a.value) / (b.value - a.value)
            found = self._held.solve(value, a.x + share * (b.x - a.x), b.inverse_hessian)
            if found is None:
                return np.nan
            zeta, slope = signed_root(found, self.estimate, d0)
            low, high = (value, high) if zeta < target else (low, value)
            new = value - (zeta - target) / slope if slope > 0 else 0.5 * (low + high)
            new = new if low < new < high else 0.5 * (low + high)
            if abs(zeta - target) < LAST_STEP or abs(new - value) <= 1e-10 * abs(self.values[outside] - self.estimate):
                return float(new)
            value = new
        return float(value)

    @property
    def _centre(self):
        return int(np.flatnonzero(self.values == self.estimate)[0])

    def _interpolated(self, target, low, high):
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self(middle) < target else (low, middle)
        return 0.5 * (low + high)


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile likelihood of a fit, made by :func:`profile`.

    Attributes
    ----------
    curves : dict of str to Curve
        One for each parameter: ``"sd Subject.Days"``, ``"corr Subject.Days.Intercept"``, ``"sigma"``, ``"Days"``.
    level : float
        The highest level whose intervals the curves reach.
    formula : str
    deviance : float
        Of the maximum likelihood fit, where every zeta is zero.
    refitted : bool
        Was the fit by REML, and refitted by ML for the profile?
    undefined : tuple of str
        Correlations that have no curve, because an SD is estimated as zero.
    boundary : tuple of str
        What is on the boundary at the ML fit, in sentences.
    """

    curves: dict
    level: float
    formula: str
    deviance: float
    refitted: bool
    undefined: tuple
    boundary: tuple

    @cached_property
    def zeta(self):
        """All curves as one DataFrame: ``parameter``, ``value``, ``zeta``, and ``deviance`` at each point."""
        tables = [
            pd.DataFrame({"parameter": name, "value": c.values, "zeta": c.zeta, "deviance": self.deviance + c.zeta**2})
            for name, c in self.curves.items()
        ]
        return pd.concat(tables or [pd.DataFrame(columns=["parameter", "value", "zeta", "deviance"])], ignore_index=True)

    def conf_int(self, level=0.95, parm=None):
        r"""Return the intervals of values whose deviance is at most the chi-square quantile above the minimum.

        Parameters
        ----------
        level : float
            At most that of the profile.
        parm : str or list of str, optional

        Returns
        -------
        DataFrame
            ``lower`` and ``upper``, one row for each parameter, right to 1e-6 of the interval's width.  ``attrs["notes"]``
            says which of them end at the boundary of the parameter's range.

        Raises
        ------
        ModelError
            For a level above the profile's, or an unknown parameter.
        """
        if not 0.0 < level < 1.0:
            raise ModelError(f"level is a probability between 0 and 1, such as 0.95, not {level!r}")
        if level > self.level:
            raise ModelError(f"the profile reaches level {self.level:g}, not {level:g}: make it with level={level:g}")
        names = chosen(parm, [*self.curves, *self.undefined])
        ends = {n: self.curves[n].interval(level) if n in self.curves else (-1.0, 1.0) for n in names}
        table = pd.DataFrame.from_dict(ends, orient="index", columns=["lower", "upper"])
        table.columns.name = "profile (ML)"
        table.attrs["notes"] = tuple(self._notes(ends))
        return table

    def _notes(self, ends):
        if self.refitted:
            yield "the model was fitted by REML; the profile is that of its ML deviance, refitted"
        for sentence in self.boundary:
            yield f"singular fit: {sentence}; it may leave the boundary along the curves of the other parameters"
        for name, (lower, upper) in ends.items():
            if name in self.undefined:
                yield f"{name}: an SD is estimated as zero, so every correlation fits equally well"
                continue
            held, estimate = self.curves[name]._held, self.curves[name].estimate
            for end, limit, side in ((lower, held.lower, "lower"), (upper, held.upper, "upper")):
                if end == limit:
                    yield _boundary_note(name, limit, side, estimate == limit)
                elif np.isnan(end):
                    yield f"{name}: the {side} end was not found, because the likelihood has no value on the way"
            if not self.curves[name].is_monotone:
                yield f"{name}: zeta turns back, so the likelihood has several peaks; the interval goes to its first crossing"

    def __str__(self):
        from .summary import wrapped

        level = min(0.95, self.level)
        table = self.conf_int(level)
        estimates = [self.curves[n].estimate if n in self.curves else np.nan for n in table.index]
        rows = [
            (name, *_cells(estimate, lower, upper))
            for name, estimate, lower, upper in zip(table.index, estimates, table["lower"], table["upper"], strict=True)
        ]
        header = ("", "ML estimate", f"{level:.0%} from", "to")
        lines = [f"Profile likelihood of {self.formula}", Table("", header, tuple(rows)).to_text()]
        return "\n".join(lines + [wrapped(note, "Note: ") for note in table.attrs["notes"]])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        return f'<div class="glmmlib"><pre>{escape(str(self))}</pre></div>'


def _cells(*numbers):
    finite = [x for x in numbers if np.isfinite(x)]
    texts = iter(aligned(finite, [max(map(abs, finite))] if finite else None))
    return ["" if np.isnan(x) else ("-" if x < 0 else "") + "∞" if np.isinf(x) else next(texts) for x in numbers]


def _boundary_note(name, limit, side, is_estimate):
    if np.isinf(limit):
        return f"{name}: the deviance does not rise enough {'below' if side == 'lower' else 'above'}: the interval is open"
    what = "the estimate is on the boundary" if is_estimate else "the deviance at the boundary is below the level"
    return f"{name}: the {side} end is the end of its range, {limit:g}: {what}"


def chosen(parm, names):
    """Return the names asked for, in their order."""
    if parm is None:
        return list(names)
    wanted = [parm] if isinstance(parm, str) else list(parm)
    for name in wanted:
        if name not in names:
            raise ModelError(f"there is no parameter {name!r} to profile{did_you_mean(name, names)}")
    return wanted


def profile(fit, parm=None, level=0.99):
    """Compute the profile likelihood of the parameters of a fit.

    Parameters
    ----------
    fit : MixedModelFit
        Linear: the ML deviance is profiled, as in lme4; a REML fit is refitted by ML first.  Generalised: minus twice the
        log-likelihood of the fit's own approximation (Laplace or quadrature).
    parm : str or list of str, optional
        Names of parameters: SDs (``"sd Subject.Days"``) and correlations (``"corr Subject.Days.Intercept"``) of random
        effects, ``"sigma"`` or ``"dispersion"``, and fixed effects; all by default.
    level : float
        How far out to go: the highest level at which intervals will be asked for.

    Returns
    -------
    Profile
        With the curves, ``zeta`` as a DataFrame, and ``conf_int(level)``; ``print`` shows 95 % intervals.
        ``gl.plots.profile`` draws it.

    Raises
    ------
    ModelError
        For an unknown parameter or a level outside (0, 1); or when a lower deviance turns up than that of the fit.

    Notes
    -----
    SDs and correlations are profiled on their own scale, whatever the model is fitted in.  An interval ends where the range
    ends (SD 0, correlation -1 or 1) if the deviance there is still below the level.  At a singular fit the SDs that
    are estimated as zero take part in the minimisation and may leave zero on the way, as in lme4.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"), reml=False)
    >>> gl.profile(fit)
    Profile likelihood of Reaction ~ Days + (Days | Subject)
                                  ML estimate  95% from       to
      sd Subject.Intercept              23.78     14.38    37.72
      corr Subject.Days.Intercept      0.0813   -0.4815   0.6850
      sd Subject.Days                   5.717     3.801    8.753
      sigma                             25.59     22.90    28.86
      Intercept                         251.4     237.7    265.1
      Days                              10.47      7.36    13.58
    """
    if not 0.0 < level < 1.0:
        raise ModelError(f"level is a probability between 0 and 1, such as 0.99, not {level!r}")
    refitted = bool(fit.reml)
    ml = fit.with_criterion(reml=False) if refitted else fit
    with one_blas_thread():
        held, undefined = held_parameters(ml)
        names = chosen(parm, [h.name for h in held] + undefined)
        z = float(-ndtri(0.5 * (1.0 - level)))
        by_name = {h.name: h for h in held}
        curves = {name: trace(by_name[name], z) for name in names if name in by_name}
    left_out = tuple(name for name in names if name in undefined)
    return Profile(curves, level, fit.formula, ml.deviance, refitted, left_out, ml.singular_terms)


def profile_intervals(fit, level, parm, **options):
    """Return profile intervals, for ``fit.conf_int(method="profile")``."""
    if options:
        raise ModelError(f"the profile method has no option {', '.join(map(repr, options))}")
    return profile(fit, parm, level).conf_int(level)


INTERVALS["profile"] = profile_intervals


# --- tracing a curve ----------------------------------------------------------------------------


def signed_root(minimum, estimate, d0):
    """Return zeta and its slope at a minimum, d0 being the least deviance of all."""
    excess = minimum.deviance - d0
    if excess < -LOWER_MINIMUM:
        raise ModelError(
            f"with a parameter held at {minimum.value:.6g} the deviance is lower by {-excess:.2g} than at the estimates: the fit"
            " is at a local optimum only; look at its convergence and at its scaling, and refit"
        )
    zeta = np.sign(minimum.value - estimate) * np.sqrt(max(excess, 0.0))
    return float(zeta), float(minimum.slope / (2.0 * zeta)) if zeta else np.inf


def trace(held, z):
    """Follow the profile of one parameter from its estimate outwards until ``|zeta|`` reaches z, or its range ends."""
    hessian = held.hessian()
    hessian = np.where(np.isfinite(hessian), hessian, np.eye(len(hessian)))
    inverse = _positive_inverse(hessian[:-1, :-1])
    tangent = -inverse @ hessian[:-1, -1]
    curvature = hessian[-1, -1] + hessian[-1, :-1] @ tangent
    slope = np.sqrt(max(0.5 * curvature, 0.0)) / held.unit
    deviance = held.objective(held.start, held.estimate)[0]
    centre = (held.estimate, 0.0, slope, Minimum(held.estimate, held.start, deviance, 0.0, inverse))
    below, start = _walk(held, -1, z, centre, tangent / held.unit)
    above, end = _walk(held, 1, z, centre, tangent / held.unit)
    values, zeta, slopes, minima = zip(*below[::-1], centre, *above, strict=True)
    slopes = _finite_slopes(np.array(values), np.array(zeta), np.array(slopes))
    return Curve(held.name, held.estimate, np.array(values), np.array(zeta), slopes, start, end, held, minima)


def _walk(held, side, z, centre, tangent):
    """Return the points (value, zeta, slope, minimum) on one side, and how the curve ends there."""
    limit = held.lower if side < 0 else held.upper
    value, zeta, slope, minimum = centre
    d0, inverse, points, n_flat = minimum.deviance, minimum.inverse_hessian, [], 0
    if value == limit:
        return points, "boundary"
    typical = STEP / slope if slope > 0 else 0.2 * held.unit
    step = min(typical, 2.0 * held.unit) if not slope > 1e-3 / held.unit else typical
    for _ in range(MAX_STEPS):
        new = value + side * step
        if side * (new - limit) >= 0 or abs(limit - new) < 0.02 * abs(limit - value):
            new = limit
        found = held.solve(new, minimum.x + tangent * (new - value), inverse)
        if found is None:
            found = held.solve(new, minimum.x, inverse)
        if found is None or not np.isfinite(found.deviance):
            if step < 1e-3 * typical:
                return points, "level"
            step *= 0.25
            continue
        new_zeta, slope = signed_root(found, held.estimate, d0)
        if abs(new_zeta - zeta) > 3.0 * STEP and new != limit and step > 1e-3 * typical:
            step *= 0.4
            continue
        tangent, inverse = (found.x - minimum.x) / (new - value), found.inverse_hessian
        n_flat = n_flat + 1 if abs(new_zeta - zeta) < FLAT else 0
        last, value, zeta, minimum = abs(new - value), new, new_zeta, found
        points.append((value, zeta, slope, minimum))
        if side * zeta >= z:
            return points, "level"
        if value == limit:
            return points, "boundary"
        if n_flat == 2:
            return points, "open"
        step = min(STEP / slope, 3.0 * last) if 0 < slope < np.inf else 1.5 * last
    return points, "open"


def _positive_inverse(H):
    """Return an inverse of a Hessian with its eigenvalues made positive, judged after scaling."""
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-12))
    values, vectors = np.linalg.eigh(H * np.outer(scale, scale))
    floor = 1e-3 * max(values[-1], 1e-12) if len(values) else 0.0
    return (vectors / np.maximum(np.abs(values), floor)) @ vectors.T * np.outer(scale, scale)


def _finite_slopes(values, zeta, slopes):
    """Give points without a derivative (the ends of a range) the slope of a parabola through their neighbour."""
    slopes = slopes.copy()
    for i in np.flatnonzero(~np.isfinite(slopes)):
        j = 1 if i == 0 else i - 1
        if len(values) > 1:
            secant = (zeta[i] - zeta[j]) / (values[i] - values[j])
            slopes[i] = max(2.0 * secant - slopes[j], 0.0) if np.isfinite(slopes[j]) else secant
    return slopes
