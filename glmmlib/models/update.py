"""``fit.update``: the same model with changes."""

from typing import Any

import pandas as pd

from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.formula.update import changed_formula


def update(
    fit: FittedModel, formula: str | None = None, data: pd.DataFrame | None = None, **changes: Any
) -> FittedModel:
    """Fit a changed model; see :meth:`glmmlib.models.results.MixedModelFit.update`."""
    fitter, arguments = fit._call()
    arguments |= {"functions": fit.design.recipe.functions}
    text = fit.formula if formula is None else changed_formula(fit.design.formula, formula)
    if data is None:
        if fit.is_refit:
            raise ModelError(
                "this fit came from refit(), and its response stands in no column: pass data that hold it"
            )
        data = fit.design.data
    arguments |= _rows_arguments(fit.design, data is fit.design.data, changes)
    return fitter(text, data, **(arguments | changes))


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
