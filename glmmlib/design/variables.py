"""Variables: the columns that formulas read, in the fit and in new data.

A column is a number, a flag (True or False), a factor, or a time. Formulas see it in up to three ways:

- as a term by itself, ``y ~ flag``: a flag is a factor there, as in R and patsy, and a time is refused;
- as what arithmetic works on, ``I(1 - flag)``, ``I(x**20)``: flags and whole numbers are 64-bit floats, so
  that nothing overflows;
- as anything else in a call, ``C(x)``, ``np.where(flag, x, 0)``: as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from glmmlib.design.columns import clean, is_categorical
from glmmlib.design.levels import coded
from glmmlib.display.words import listed
from glmmlib.errors import DataError

AS_IS, AS_FLOAT, AS_FACTOR = "as it is", "as a float", "as a factor"


@dataclass(frozen=True, eq=False)
class Variable:
    """What the fit knows of a column.

    Attributes
    ----------
    name : str
    kind : {"number", "whole", "flag", "factor", "time"}
    levels : Index or None
        Those of a factor, or of a flag.
    """

    name: str
    kind: str
    levels: pd.Index | None = field(repr=False)

    @classmethod
    def of(cls, column: pd.Series) -> Variable:
        """Look at a clean column of the fit."""
        kind = _kind(column)
        levels = None
        if kind in ("factor", "flag"):
            levels = column.cat.categories if kind == "factor" else pd.Index(np.unique(column.to_numpy()))
        return cls(str(column.name), kind, levels)

    def way(self, use: str) -> str:
        """Return in which of the three ways it is seen: `use` is ``"term"``, ``"operand"`` or ``"call"``.

        Raises
        ------
        DataError
            For a time that stands by itself.
        """
        if use == "term" and self.kind == "time":
            raise DataError(time_advice(self.name))
        if use == "term" and self.kind == "flag":
            return AS_FACTOR
        if use == "operand" and self.kind in ("flag", "whole"):
            return AS_FLOAT
        return AS_IS

    def seen(self, column: pd.Series, way: str) -> pd.Series:
        """Return a clean column as formulas see it."""
        if way == AS_FLOAT:
            return column.astype(float)
        return coded(column, self.levels, f"column '{self.name}'") if way == AS_FACTOR else column

    def read(self, rows: pd.DataFrame, where: str) -> pd.Series:
        """Return the column of complete new rows, as the fit had it.

        Raises
        ------
        DataError
            For a column of another kind, and for levels that the fit has not seen.
        """
        column = clean(rows, self.name, where=where)
        kind = _kind(column)
        if self.kind == "factor":
            return coded(column, self.levels, f"column '{self.name}'", where)
        if self.kind == "flag" and kind == "factor":
            found = coded(column, pd.Index([False, True]), f"column '{self.name}'", where)
            return pd.Series(found.cat.codes.to_numpy() == 1, index=column.index, name=self.name)
        if self.kind in ("number", "whole") and kind in ("number", "whole"):
            return column if kind == self.kind == "whole" else column.astype(float)
        if kind != self.kind:
            shown = f" ({listed(column.cat.categories, 3)})" if kind == "factor" else ""
            raise DataError(
                f"column '{self.name}' of {where} is {_KINDS[kind]}{shown}, but the fit had "
                f"{_KINDS_OF_FIT[self.kind]} there"
            )
        return column


_KINDS = {
    "number": "numeric",
    "whole": "numeric",
    "flag": "True or False",
    "factor": "categorical",
    "time": "a time",
}
_KINDS_OF_FIT = {"number": "numbers", "whole": "numbers", "flag": "True and False", "time": "times"}


def _kind(column: pd.Series) -> str:
    if is_categorical(column):
        return "factor"
    if column.dtype.kind == "f":
        return "number"
    return {"b": "flag", "i": "whole"}.get(column.dtype.kind, "time")


def time_advice(name: str) -> str:
    """Say what to do with a date, a duration or a period."""
    return (
        f"column '{name}' holds dates or durations, which have no unit of their own: turn it into a "
        f"number first, such as days since a start, or take it as a factor, C({name})"
    )


def variables_of(
    rows: pd.DataFrame, names: Sequence[str]
) -> tuple[dict[str, Variable], dict[str, pd.Series]]:
    """Return the variables of complete rows, and their clean columns."""
    columns = {name: clean(rows, name) for name in names}
    return {name: Variable.of(column) for name, column in columns.items()}, columns


def new_columns(
    variables: Mapping[str, Variable], names: Sequence[str], rows: pd.DataFrame, where: str = "the new data"
) -> dict[str, pd.Series]:
    """Return the columns of complete new rows, as the fit had them."""
    return {name: variables[name].read(rows, where) for name in names}
