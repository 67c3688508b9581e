"""What the words of a formula mean: the functions behind the names in :mod:`glmmlib.formula.vocabulary`.

formulaic computes ``bs``, ``poly`` and the like, and remembers for new data what they learned from the fit's
(knots, means). :func:`factor` and :func:`kept` here do the same for levels and for statistics, ``x.mean()``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic.materializers.types import FactorValues
from formulaic.transforms import TRANSFORMS
from formulaic.transforms.contrasts import ContrastsRegistry, encode_contrasts
from formulaic.utils.stateful_transforms import stateful_transform

from glmmlib.design.levels import IT, check_room, coded, codes_in, factor_of
from glmmlib.display.words import hint, listed
from glmmlib.errors import DataError, FormulaError
from glmmlib.formula import vocabulary as known
from glmmlib.types import FloatArray

KEPT, NUMBER = "_kept", "_number"  # names that no formula can spell: a leading underscore is refused


def factor(
    data: pd.DataFrame,
    contrasts: Any = None,
    *,
    levels: Sequence[Any] | None = None,
    spans_intercept: bool = True,
) -> FactorValues:
    """``C(x)``: x as a factor, with contrasts and levels if they are given."""
    if isinstance(contrasts, str):
        raise DataError(
            f"contrasts are written without quotes: C(x, contr.{contrasts.removeprefix('contr.')})"
        )

    def encoder(values: FloatArray, reduced_rank: bool, drop_rows: Any, encoder_state: Any, model_spec: Any):
        column = factor_of(_plain(values), IT)
        if levels is not None and "categories" not in encoder_state:
            _check_named(column, pd.Index(list(levels)))
        known_levels = encoder_state.get("categories", levels)
        if known_levels is not None:
            column = coded(column, pd.Index(list(known_levels)), IT)
        check_room(len(column.cat.categories), len(column), IT)
        try:
            return encode_contrasts(
                column,
                contrasts=contrasts,
                levels=None if known_levels is None else list(known_levels),
                reduced_rank=reduced_rank,
                _state=encoder_state,
                _spec=model_spec,
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DataError(
                f"the contrasts of {IT} do not fit its {len(column.cat.categories)} levels "
                f"({listed(column.cat.categories)}): {error}"
            ) from error

    return FactorValues(
        _plain(data), kind="categorical", spans_intercept=bool(spans_intercept), encoder=encoder
    )


def _check_named(column: pd.Series, levels: pd.Index) -> None:
    unnamed = column[codes_in(levels, column) < 0].unique()
    if len(unnamed):
        raise DataError(
            f"{IT} has values ({listed(list(unnamed))}) beside its levels ({listed(levels)}): "
            "name all of them in levels="
        )


def _plain(values: pd.Series) -> pd.Series:
    values = values.__wrapped__ if isinstance(values, FactorValues) else values
    return values if isinstance(values, pd.Series) else pd.Series(values)


@stateful_transform
def kept(data: pd.DataFrame, _state: Any = None) -> Any:
    """A statistic of all rows, such as ``x.mean()``: of new data's rows it is that of the fit's."""
    return _state.setdefault("value", data)


def number(data: pd.Series) -> pd.Series | np.ndarray:
    """A response or an offset: one number for each row, True counted as 1."""
    values = np.asarray(_plain(data))
    if values.dtype.kind not in "biuf" or values.ndim != 1:
        raise DataError(f"{IT} must be one number per row: code text as numbers")
    return values.astype(float)


MEANINGS: dict[str, Any] = {
    **known.ELEMENTWISE,
    **known.STATISTICS,
    **known.VALUES,
    **{name: TRANSFORMS[name] for name in (*known.TRANSFORMS, *known.ORDERED) if name in TRANSFORMS},
    **{name: TRANSFORMS[name] for name in known.PATSY_CONTRASTS},
    "C": factor,
    "factor": factor,
    "np": np,
    "contr": ContrastsRegistry,
    KEPT: kept,
    NUMBER: number,
}


def check_called(names: Sequence[str], functions: Mapping[str, Callable]) -> None:
    """Refuse a function that is neither known here nor handed over.

    Raises
    ------
    FormulaError
    """
    for name in names:
        if name in MEANINGS or name in functions:
            continue
        if name in ("offset", "cbind"):
            where = "on its own, joined by '+'" if name == "offset" else "on the left of '~'"
            raise FormulaError(f"{name}() stands {where}")
        if name in known.R_HABITS:
            raise FormulaError(f"'{name}()' is R's: {known.R_HABITS[name]}")
        near = hint(difflib.get_close_matches(name, _PUBLIC, n=1))
        raise FormulaError(
            f"the formula calls '{name}()', which is not known here{near}: compute the column beforehand, "
            f"or hand your function over, functions={{'{name}': {name}}}"
        )


_PUBLIC = [name for name in MEANINGS if not name.startswith("_") and callable(MEANINGS[name])]


def checked_functions(functions: Mapping[str, Callable[..., Any]] | None) -> dict[str, Callable]:
    """Return the caller's own functions, by name.

    Raises
    ------
    FormulaError
    """
    if functions is None:
        return {}
    if not isinstance(functions, Mapping):
        raise FormulaError(
            f"functions is a dict of names and functions, {{'f': f}}, not of type {type(functions).__name__}"
        )
    for name, function in functions.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise FormulaError(f"functions names a function {name!r}, which no formula could call")
        if name in ("np", "contr", "offset", "cbind"):
            raise FormulaError(f"functions cannot give {name!r} another meaning")
        if not callable(function):
            raise FormulaError(f"functions[{name!r}] is no function, but {type(function).__name__}")
    return dict(functions)
