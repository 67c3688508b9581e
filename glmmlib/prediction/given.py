"""Parameters that are given by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.types import ArrayLike, FloatArray


def fixed_effects(fixef: Mapping[str, float] | ArrayLike, names: Sequence[str]) -> FloatArray:
    """Return the coefficients in the order of the model."""
    return by_name(fixef, names, "fixef", "coefficient")


def by_name(values, names, what, kind):
    """Return one number for each name, from a dict or Series by name, or from a sequence in their order."""
    if isinstance(values, pd.Series):
        values = values.to_dict()
    if isinstance(values, Mapping):
        unknown = [name for name in values if name not in names]
        missing = [name for name in names if name not in values]
        if unknown or missing:
            found = (
                f"names no {kind} of the model: {listed(unknown)}" if unknown else f"lacks {listed(missing)}"
            )
            raise ModelError(f"{what} {found}; it needs {listed(names, len(names)) or 'nothing'}")
        values = [values[name] for name in names]
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ModelError(f"{what} must be numbers, one for each {kind}, not {values!r}") from None
    if array.ndim == 0 and len(names) == 1:
        array = array[None]
    if array.shape != (len(names),):
        raise ModelError(
            f"{what} has {array.size} values, but the model has {len(names)}: {listed(names, len(names))}"
        )
    if not np.isfinite(array).all():
        raise ModelError(f"{what} holds a value that is missing or infinite: {values!r}")
    return array
