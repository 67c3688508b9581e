"""Parts of a formula whose terms are 1 and columns of numbers: their matrices need no formula engine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmlib.design.variables import Variable
from glmmlib.formula.algebra import Factor, Term

Plain = dict[str, str | None]


@dataclass(frozen=True, eq=False)
class PlainMatrix:
    """A model matrix whose columns are those of the data, not copied; it is read like a data frame, which
    would take longer to make than a small fit to draw its sums.
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
    """Return for each column of a part the variable that it is, None for the intercept.

    Returns None for a part that holds anything else, or nothing at all.
    """
    found: Plain = {}
    for term in terms:
        if not term.factors:
            found["Intercept"] = None
            continue
        factor = term.factors[0]
        variable = variables.get(factor.text)
        is_number = variable is not None and variable.kind in ("number", "whole")
        if len(term.factors) > 1 or factor.expression is not None or not is_number:
            return None
        found[shown_as(factor)] = factor.text
    return found if len(found) == len(terms) > 0 else None


def plain_matrix(plain: Plain, columns: Mapping[str, pd.Series], n: int) -> PlainMatrix:
    """Return the model matrix of a plain part, for n rows."""
    one = np.broadcast_to(np.float64(1.0), n)
    values = tuple(one if name is None else columns[name].to_numpy() for name in plain.values())
    return PlainMatrix(tuple(plain), values)
