"""Confidence intervals of a fit, by the method asked for."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from glmmlib.display.arguments import checked, checked_level
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.bootstrap import bootstrap_intervals
from glmmlib.inference.choice import chosen
from glmmlib.inference.contrasts import auxiliary_tests, coef_tests, half_widths
from glmmlib.inference.profile.profile import profile_intervals
from glmmlib.inference.residual_intervals import residual_intervals

NO_FIXED_EFFECT = (
    "{name} is not a fixed effect{hint}; Wald intervals are for fixed effects only, because the estimates of "
    "variances are far from normal"
)


def wald_intervals(
    fit: FittedModel, level: float, parm: str | Sequence[str] | None, ddf: str | None = None
) -> pd.DataFrame:
    """Return ``estimate -+ quantile * se``, the quantile of the t (or normal) distribution that the tests
    use; what is asked for by name of a residual side has its interval on a scale of its own.
    """
    auxiliary, residual = auxiliary_tests(fit), residual_intervals(fit, level)
    default = [*fit.params.index, *auxiliary.index]
    names = default if parm is None else chosen(parm, [*default, *residual.index], NO_FIXED_EFFECT)
    tests = coef_tests(fit, ddf)
    tests = pd.concat([tests, auxiliary]) if len(auxiliary) else tests
    half = half_widths(tests, level)
    found = pd.DataFrame({"lower": tests["estimate"] - half, "upper": tests["estimate"] + half})
    return (pd.concat([found, residual]) if len(residual) else found).loc[names]


#: Each method is called with (fit, level, parm, **options) and returns a table with lower and upper.
METHODS: dict[str, Callable[..., Any]] = {
    "wald": wald_intervals,
    "profile": profile_intervals,
    "bootstrap": bootstrap_intervals,
}


@checked
def conf_int(
    fit: FittedModel,
    level: float = 0.95,
    method: str = "wald",
    parm: str | Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Compute confidence intervals; see :meth:`glmmlib.models.results.MixedModelFit.conf_int`."""
    checked_level(level)
    if method not in METHODS:
        raise ModelError(
            f"there is no method {method!r} for intervals; there is {', '.join(map(repr, METHODS))}"
        )
    try:
        inspect.signature(METHODS[method]).bind(fit, level, parm, **options)
    except TypeError as error:
        raise ModelError(f"intervals by {method!r}: {error}") from None
    return METHODS[method](fit, level, parm, **options)
