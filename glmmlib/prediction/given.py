"""Parameters that are given by name, and responses that are handed back as the data would hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.ordered import categories_of
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.types import ArrayLike, AuxiliaryValue, FloatArray


def fixed_effects(fixef: Mapping[str, float] | ArrayLike, names: Sequence[str]) -> FloatArray:
    """Return the coefficients in the order of the model."""
    return by_name(fixef, names, "fixef", "coefficient")


def by_name(values: Any, names: Sequence[str], what: str, kind: str) -> FloatArray:
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
    except (TypeError, ValueError, OverflowError):
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


def from_thresholds(
    family: Family, thresholds: Any, fixef: Mapping[str, float] | ArrayLike, names: Sequence[str]
) -> tuple[Family, FloatArray, AuxiliaryValue]:
    """Return a family with its categories, the coefficients, and the auxiliary parameters.

    The intercept among the coefficients is minus the first threshold; `fixef` has none.

    Raises
    ------
    ModelError
        For thresholds that are missing, do not rise, or belong to another number of categories.
    """
    if not family.needs_intercept:
        raise ModelError(f"the {family.name} family has no thresholds: leave thresholds= out")
    wanted = f"the {family.name} family needs thresholds=, K - 1 rising numbers for K categories"
    try:
        cuts = np.atleast_1d(np.asarray(thresholds, dtype=float))
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"{wanted}, not {thresholds!r}") from None
    if cuts.ndim != 1 or not np.isfinite(cuts).all() or (np.diff(cuts) <= 0).any() or not cuts.size:
        raise ModelError(f"{wanted}, not {thresholds!r}")
    if "Intercept" not in names:
        raise ModelError("thresholds stand in the place of the intercept: leave 0 (or -1) out of the formula")
    levels = family.levels or tuple(range(1, len(cuts) + 2))
    if len(levels) != len(cuts) + 1:
        raise ModelError(f"{len(levels)} categories have {len(levels) - 1} thresholds, not {len(cuts)}")
    chosen = family.with_levels(levels)
    intercept, own = chosen.from_thresholds(cuts)
    beta = fixed_effects(fixef, [name for name in names if name != "Intercept"])
    own = own if np.ndim(own) == 0 else np.array([own])
    return chosen, np.insert(beta, list(names).index("Intercept"), intercept), own


def series_of(y: FloatArray, index: pd.Index, name: object, family: Family) -> pd.Series:
    """Return the first of the responses (n, R) as a column of the data: categories where they have names."""
    values = categories_of(y[:, 0], family.levels) if family.levels else y[:, 0]
    return pd.Series(values, index, name=name)
