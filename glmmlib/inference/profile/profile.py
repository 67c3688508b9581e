r"""Profile likelihood: intervals that follow the shape of the likelihood.

Hold one parameter :math:`\psi` at a value and minimise the deviance over all others. The signed root of the
increase,

.. math:: \zeta(\psi) = \operatorname{sign}(\psi - \hat\psi) \sqrt{d(\psi) - d(\hat\psi)},

is about standard normal at the true value, so the values with :math:`|\zeta| \le z` are a confidence
interval. A straight line means that the Wald interval is right; a bend, that it is not (Bates and Watts 1988,
*Nonlinear Regression Analysis and Its Applications*, chapter 6). The derivative of the minimum in
:math:`\psi` comes with it, so each curve is interpolated with exact slopes, and the ends of intervals are
found by Newton's method on the likelihood itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.design.residual import refuse_residual_side
from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.tables import Table, aligned
from glmmlib.display.words import wrapped
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedLinearModel, FittedModel
from glmmlib.inference.choice import chosen
from glmmlib.inference.profile.curve import trace
from glmmlib.inference.profile.deviances import held_parameters
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.types import FloatArray

NO_PARAMETER = "there is no parameter {name} to profile{hint}"


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile likelihood of a fit, made by :func:`glmmlib.profile`.

    Attributes
    ----------
    curves : dict of str to Curve
        One for each parameter: ``"sd Subject.Days"``, ``"corr Subject.Days.Intercept"``, ``"sigma"``,
        ``"Days"``.
    zeta : DataFrame
        All curves together: ``parameter``, ``value``, ``zeta``, and ``deviance`` at each point.
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
    def zeta(self) -> FloatArray:
        """All curves as one DataFrame: ``parameter``, ``value``, ``zeta``, and ``deviance`` at each point."""
        tables = [
            pd.DataFrame(
                {"parameter": name, "value": c.values, "zeta": c.zeta, "deviance": self.deviance + c.zeta**2}
            )
            for name, c in self.curves.items()
        ]
        return pd.concat(
            tables or [pd.DataFrame(columns=["parameter", "value", "zeta", "deviance"])], ignore_index=True
        )

    @checked
    def conf_int(self, level: float = 0.95, parm: str | Sequence[str] | None = None) -> pd.DataFrame:
        r"""Return the intervals of values whose deviance is at most the chi-square quantile above the
        minimum.

        Parameters
        ----------
        level : float
            At most that of the profile.
        parm : str or list of str, optional

        Returns
        -------
        DataFrame
            ``lower`` and ``upper``, one row for each parameter, right to 1e-6 of the interval's width.
            ``attrs["notes"]`` says which of them end at the boundary of the parameter's range.

        Raises
        ------
        ModelError
            For a level above the profile's, or an unknown parameter.

        Examples
        --------
        >>> import glmmlib as gl
        >>> found = gl.profile(gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False))
        >>> found.conf_int(parm="sd Batch.Intercept").round(1).iloc[0].to_dict()
        {'lower': 12.2, 'upper': 84.1}
        """
        checked_level(level)
        if level > self.level:
            raise ModelError(
                f"the profile reaches level {self.level:g}, not {level:g}: make it with level={level:g}"
            )
        names = chosen(parm, [*self.curves, *self.undefined], NO_PARAMETER)
        ends = {n: self.curves[n].interval(level) if n in self.curves else (-1.0, 1.0) for n in names}
        table = pd.DataFrame.from_dict(ends, orient="index", columns=["lower", "upper"])
        table.columns.name = "profile (ML)"
        table.attrs["notes"] = tuple(self._notes(ends))
        return table

    def _notes(self, ends: dict[str, tuple[float, float]]) -> Iterator[Any]:
        if self.refitted:
            yield "the model was fitted by REML; the profile is that of its ML deviance, refitted"
        for sentence in self.boundary:
            yield (
                f"singular fit: {sentence}; it may leave the boundary along the curves of the other "
                "parameters"
            )
        for name, (lower, upper) in ends.items():
            if name in self.undefined:
                yield f"{name}: an SD is estimated as zero, so every correlation fits equally well"
                continue
            held, estimate = self.curves[name]._held, self.curves[name].estimate
            for end, limit, side in ((lower, held.lower, "lower"), (upper, held.upper, "upper")):
                if end == limit:
                    yield _boundary_note(name, limit, side, estimate == limit)
                elif np.isnan(end):
                    yield (
                        f"{name}: the {side} end was not found, because the likelihood has no value on the "
                        "way"
                    )
            if not self.curves[name].is_monotone:
                yield (
                    f"{name}: zeta turns back, so the likelihood has several peaks; the interval goes to "
                    "its first crossing"
                )

    def __str__(self) -> str:
        level = min(0.95, self.level)
        table = self.conf_int(level)
        estimates = [self.curves[n].estimate if n in self.curves else np.nan for n in table.index]
        rows = [
            (name, *_cells(estimate, lower, upper))
            for name, estimate, lower, upper in zip(
                table.index, estimates, table["lower"], table["upper"], strict=True
            )
        ]
        header = ("", "ML estimate", f"{level:.0%} from", "to")
        lines = [f"Profile likelihood of {self.formula}", Table("", header, tuple(rows)).to_text()]
        return "\n".join(lines + [wrapped(note, "Note: ") for note in table.attrs["notes"]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<div class="glmmlib"><pre>{escape(str(self))}</pre></div>'


def _cells(*numbers: Any) -> list[str]:
    finite = [x for x in numbers if np.isfinite(x)]
    texts = iter(aligned(finite, [max(map(abs, finite))] if finite else None))
    return [
        "" if np.isnan(x) else ("-" if x < 0 else "") + "∞" if np.isinf(x) else next(texts) for x in numbers
    ]


def _boundary_note(name: str, limit: float, side: str, is_estimate: bool) -> str:
    if np.isinf(limit):
        return (
            f"{name}: the deviance does not rise enough {'below' if side == 'lower' else 'above'}: the "
            "interval is open"
        )
    what = (
        "the estimate is on the boundary"
        if is_estimate
        else "the deviance at the boundary is below the level"
    )
    return f"{name}: the {side} end is the end of its range, {limit:g}: {what}"


@checked
def profile(fit: FittedModel, parm: str | Sequence[str] | None = None, level: float = 0.99) -> Profile:
    """Compute the profile likelihood of the parameters of a fit.

    Parameters
    ----------
    fit : MixedModelFit
        Linear: the ML deviance is profiled, as in lme4; a REML fit is refitted by ML first. Generalised:
        minus twice the log-likelihood of the fit's own approximation (Laplace or quadrature).
    parm : str or list of str, optional
        Names of parameters: SDs (``"sd Subject.Days"``) and correlations (``"corr Subject.Days.Intercept"``)
        of random effects, ``"sigma"`` or ``"dispersion"``, and fixed effects; all by default.
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
        For an unknown parameter or a level outside (0, 1); or when a lower deviance turns up than that of the
        fit.

    Notes
    -----
    SDs and correlations are profiled on their own scale, whatever the model is fitted in. An interval ends
    where the range ends (SD 0, correlation -1 or 1) if the deviance there is still below the level. At a
    singular fit the SDs that are estimated as zero take part in the minimisation and may leave zero on the
    way, as in lme4.

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
    if fit.is_linear:
        refuse_residual_side(fit.design, "a profile likelihood")
    checked_level(level, example=0.99)
    refitted = bool(fit.reml)
    ml = cast(FittedLinearModel, fit).with_criterion(reml=False) if refitted else fit
    with one_blas_thread():
        held, undefined = held_parameters(ml)
        names = chosen(
            parm, [h.name for h in held] + undefined, "there is no parameter {name} to profile{hint}"
        )
        z = float(-ndtri(0.5 * (1.0 - level)))
        by_name = {h.name: h for h in held}
        curves = {name: trace(by_name[name], z) for name in names if name in by_name}
    left_out = tuple(name for name in names if name in undefined)
    return Profile(curves, level, fit.model_text, ml.deviance, refitted, left_out, ml.singular_terms)


def profile_intervals(
    fit: FittedModel, level: float, parm: str | Sequence[str] | None, **options: Any
) -> pd.DataFrame:
    """Return profile intervals, for ``fit.conf_int(method="profile")``."""
    if options:
        raise ModelError(f"the profile method has no option {', '.join(map(repr, options))}")
    return profile(fit, parm, level).conf_int(level)
