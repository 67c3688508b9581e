"""Parts of a formula whose terms are 1 and columns of numbers: their matrices need no formula engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from glmmlib.design.variables import Variable
from glmmlib.formula.algebra import Factor, Term

Plain = dict[str, str | None]


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


def plain_matrix(plain: Plain, columns: Mapping[str, pd.Series], index: pd.Index) -> pd.DataFrame:
    """Return the model matrix of a plain part; columns are not copied."""
    one = np.broadcast_to(np.float64(1.0), len(index))
    values = {label: one if name is None else columns[name].to_numpy() for label, name in plain.items()}
    return pd.DataFrame(values, index=index, copy=False)
