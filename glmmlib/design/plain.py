"""Parts of a formula whose terms are 1, numbers and factors: their matrices need no formula engine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.variables import Variable
from glmmlib.formula.algebra import Factor, Term

FEW_LEVELS = 50  # of a factor


@dataclass(frozen=True)
class PlainColumn:
    """A column of the ``term``-th term: ones, a column of numbers by its name, or the indicator of a level.

    Attributes
    ----------
    term : int
    name : str or None
        None for ones.
    level : int or None
        The number of a level, for a factor.
    """

    term: int
    name: str | None = None
    level: int | None = None

    def values(self, columns: Mapping[str, pd.Series], n: int) -> np.ndarray:
        """Return the column of n rows, from their clean columns."""
        if self.name is None:
            return np.broadcast_to(np.float64(1.0), n)
        column = columns[self.name]
        return column.to_numpy() if self.level is None else column.cat.codes.to_numpy() == self.level


Plain = dict[str, PlainColumn]


@dataclass(frozen=True, eq=False)
class PlainMatrix:
    """A model matrix whose columns are those of the data, numbers not copied; it is read like a data frame,
    which would take longer to make than a small fit to draw its sums.
    """

    columns: tuple[str, ...]
    values: tuple[np.ndarray, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.values[0]), len(self.values)

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each column with its name."""
        return zip(self.columns, self.values, strict=True)

    def to_numpy(self, dtype: type = float) -> np.ndarray:
        """Return the (n, p) array."""
        return np.array(self.values, dtype=dtype).T


Matrix = pd.DataFrame | PlainMatrix


def shown_as(factor: Factor) -> str:
    """Name a factor as columns and terms do: as it is written, in backticks where it could be mistaken.

    >>> shown_as(Factor("my x")), shown_as(Factor("Intercept")), shown_as(Factor("a:b"))
    ('my x', '`Intercept`', '`a:b`')
    """
    if factor.expression is not None or _PLAIN.fullmatch(factor.text):
        return factor.text
    return f"`{factor.text}`"


_PLAIN = re.compile(r"(?!Intercept$|[\d.]+$)[\w. ]+")


def plain_columns(terms: Sequence[Term], variables: Mapping[str, Variable]) -> Plain | None:
    """Return the columns of a part by their names.

    A factor has treatment contrasts, or, where nothing before it holds the mean, a column for each level.
    Returns None for a part that holds anything else, or nothing at all.
    """
    found: Plain = {}
    holds_mean = any(not term.factors for term in terms)
    n = 0
    for i, term in enumerate(terms):
        if not term.factors:
            new = {"Intercept": PlainColumn(i)}
        elif len(term.factors) == 1 and term.factors[0].expression is None:
            factor = term.factors[0]
            variable, label = variables.get(factor.text), shown_as(factor)
            if variable is None:
                return None
            if variable.kind in ("number", "whole"):
                new = {label: PlainColumn(i, factor.text)}
            elif _is_plain_factor(variable):
                first, mark = (1, "T.") if holds_mean else (0, "")
                levels = list(enumerate(_levels(variable)))[first:]
                new = {f"{label}[{mark}{level}]": PlainColumn(i, factor.text, k) for k, level in levels}
                holds_mean = True
            else:
                return None
        else:
            return None
        found |= new
        n += len(new)
    return found if len(found) == n > 0 else None


def _is_plain_factor(variable: Variable) -> bool:
    levels = _levels(variable) if variable.kind == "factor" else []
    return 2 <= len(levels) <= FEW_LEVELS and all(isinstance(level, str) for level in levels)


def _levels(variable: Variable) -> Sequence[Any]:
    return [] if variable.levels is None else list(variable.levels)


def plain_matrix(plain: Plain, columns: Mapping[str, pd.Series], n: int) -> PlainMatrix:
    """Return the model matrix of a plain part, for n rows."""
    return PlainMatrix(tuple(plain), tuple(column.values(columns, n) for column in plain.values()))
