"""``fit.update``: the same model with changes."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

import pandas as pd

from glmmlib.display.arguments import R_SPELLINGS
from glmmlib.display.words import did_you_mean
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.formula.update import changed_formula

P = ParamSpec("P")
T = TypeVar("T")


class Remade(FittedModel, Protocol):
    """A fit that knows the call that made it."""

    _maker: ClassVar[Callable[..., Any]]

    def _arguments(self) -> dict[str, Any]: ...


def makes(kind: type[Remade]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Tell a class of fits which function makes them, so that the function may stand above the class."""

    def told(function: Callable[P, T]) -> Callable[P, T]:
        kind._maker = staticmethod(function)
        return function

    return told


def update(fit: Remade, formula: str | None = None, data: pd.DataFrame | None = None, **changes: Any) -> Any:
    """Fit a changed model; see :meth:`glmmlib.models.results.MixedModelFit.update`."""
    fitter = fit._maker
    _check_options(fitter, changes)
    arguments = fit._arguments() | {"functions": fit.design.recipe.functions}
    text = fit.formula if formula is None else changed_formula(fit.design.formula, formula)
    if data is None:
        if fit.is_refit:
            raise ModelError(
                "this fit came from refit(), and its response stands in no column: pass data that hold it"
            )
        data = fit.design.data
    arguments |= _rows_arguments(fit.design, data is fit.design.data, changes)
    return fitter(text, data, **(arguments | changes))


def _check_options(fitter, changes):
    """Refuse what the function that made the fit does not take: a linear model has no family."""
    options = [name for name in inspect.signature(fitter).parameters if name not in ("formula", "data")]
    for name in changes:
        if name not in options and name not in R_SPELLINGS:
            raise ModelError(
                f"this fit is changed as gl.{fitter.__name__} made it, which takes no "
                f"{name!r}{did_you_mean(name, options)}"
            )


def _rows_arguments(design, same_rows, changes):
    """Return weights and offset of the old fit, which belong to its rows unless they were given by name."""
    if isinstance(design.offset_argument, str):
        offset = {"offset": design.offset_argument}
    elif design.offset_argument and "offset" not in changes:
        if not same_rows or design.formula.offsets:
            raise DataError("the fit was given its offset as an array, so give it again: pass offset=")
        offset = {"offset": design.offset}
    else:
        offset = {}
    if design.weights is None or "weights" in changes:
        return offset
    if not same_rows:
        raise DataError("the fit was given weights, so new data need them too: pass weights=")
    return offset | {"weights": design.weights}
