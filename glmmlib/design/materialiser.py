"""formulaic's machine that turns columns into a model matrix, taught what differs here.

- True and False are levels of a factor, also when a formula computes them, as in R and patsy.
- Columns carry the names that the user wrote, whatever formulaic was given.
- A level that the fit has not seen is an error; nothing is cast to missing, and no warning filter is touched.
- Two columns of one name are an error, not one column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.materializers.pandas import PandasMaterializer
from formulaic.materializers.types import FactorValues

from glmmlib.design.columns import is_time
from glmmlib.design.levels import IT, check_room, coded, factor_of
from glmmlib.errors import DataError, GlmmlibError
from glmmlib.types import FloatArray


def _check_form(values: Any, n: int) -> None:
    """Refuse what an expression gives if it is neither one number nor a value for each of the n rows."""
    if isinstance(values, str | bytes) or values is None or isinstance(values, Mapping):
        raise DataError(f"{IT} gives {values!r}, where a column of the data or a number has to stand")
    if not hasattr(values, "__len__") or np.ndim(values) == 0:
        return
    if len(values) != n:
        raise DataError(
            f"{IT} gives {len(values)} value{'' if len(values) == 1 else 's'} for {n} rows: it has to give "
            "one for each row, or one number for all"
        )


class Materialiser(PandasMaterializer):
    """Turns columns into model matrices.

    Attributes
    ----------
    shown : dict of str to str
        What the user wrote for each factor of the formula.
    """

    shown: Mapping[str, str] = {}

    @PandasMaterializer.override
    def _evaluate_factor(self, factor: Any, spec: Any, drop_rows: set[Any]) -> Any:
        with self._told(factor):
            return super()._evaluate_factor(factor, spec, drop_rows)

    @PandasMaterializer.override
    def _encode_evaled_factor(
        self, factor: Any, spec: Any, drop_rows: Sequence[Any], reduced_rank: bool = False
    ) -> dict[str, Any]:
        with self._told(factor.factor):
            return super()._encode_evaled_factor(factor, spec, drop_rows, reduced_rank)

    @PandasMaterializer.override
    def _evaluate(self, expr: str, metadata: Any, spec: Any) -> tuple[Any, set[Any]]:
        values, variables = super()._evaluate(expr, metadata, spec)
        if not isinstance(values, FactorValues):
            _check_form(values, len(self.data))
        return values, variables

    @contextmanager
    def _told(self, factor: Any) -> Iterator[Any]:
        """Turn an error in a factor into ours, which names the factor as the user wrote it."""
        shown = self.shown.get(str(factor), str(factor))
        try:
            yield
        except Exception as error:
            cause = error.__cause__ if isinstance(error, FormulaicError) and error.__cause__ else error
            if isinstance(cause, GlmmlibError):
                raise type(cause)(str(cause).replace(IT, f"'{shown}'")) from error
            reason = str(cause).strip().partition("\n")[0]
            if "extend beyond upper and/or lower bounds" in reason:
                raise DataError(
                    f"'{shown}' is asked for values beyond those of the fit, where a spline has no data: "
                    "keep within them, or write bs(x, df=4, extrapolation='extend') in the formula"
                ) from error
            raise DataError(
                f"'{shown}' cannot be computed from the data: {reason or type(cause).__name__}"
            ) from error

    @PandasMaterializer.override
    def _is_categorical(self, values: Any) -> bool:
        dtype = getattr(values, "dtype", None)
        if dtype is None or getattr(values, "ndim", 1) != 1:
            return super()._is_categorical(values)
        is_factor = dtype.kind in "bOUST" or isinstance(dtype, pd.CategoricalDtype | pd.StringDtype)
        return is_factor and not is_time(values)

    @PandasMaterializer.override
    def _encode_categorical(
        self,
        values: Any,
        metadata: Any,
        encoder_state: dict[str, Any],
        spec: Any,
        drop_rows: Sequence[Any],
        reduced_rank: bool = False,
    ) -> Any:
        values = values.__wrapped__ if isinstance(values, FactorValues) else values
        column = factor_of(values if isinstance(values, pd.Series) else pd.Series(values), IT)
        if "categories" in encoder_state:
            column = coded(column, pd.Index(encoder_state["categories"]), IT)
        check_room(len(column.cat.categories), len(column), IT)
        return super()._encode_categorical(column, metadata, encoder_state, spec, drop_rows, reduced_rank)

    @PandasMaterializer.override
    def _encode_numerical(
        self, values: Any, metadata: Any, encoder_state: dict[str, Any], spec: Any, drop_rows: Sequence[Any]
    ) -> Any:
        if hasattr(values, "dtype") and is_time(values):
            raise DataError(
                f"{IT} is a date or a duration, which has no unit of its own: turn it into a number first, "
                "such as x.dt.total_seconds() / 86400 for days"
            )
        return super()._encode_numerical(values, metadata, encoder_state, spec, drop_rows)

    @PandasMaterializer.override
    def _flatten_encoded_evaled_factor(self, name: str, values: Any) -> dict[str, Any]:
        return super()._flatten_encoded_evaled_factor(self.shown.get(name, name), values)

    @PandasMaterializer.override
    def _get_columns_for_term(
        self, factors: Sequence[dict[str, Any]], spec: Any, scale: int = 1
    ) -> dict[str, FloatArray]:
        expected = prod(len(factor) for factor in factors)
        found = super()._get_columns_for_term(factors, spec, scale)
        if len(found) < expected:
            raise DataError("two columns of a term would have one name: rename levels")
        return found

    @PandasMaterializer.override
    def _combine_columns(
        self, cols: Sequence[tuple[str, FloatArray]], spec: Any, drop_rows: Sequence[Any]
    ) -> pd.DataFrame:
        names = [name for name, _ in cols]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"two columns of the model would have the name '{twice}': rename levels")
        return super()._combine_columns(cols, spec, drop_rows)
