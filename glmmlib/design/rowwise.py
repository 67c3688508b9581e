"""Which parts of a formula need the other rows, so that new rows cannot be computed from them alone.

Statistics of all rows (``x.mean()``) are remembered by the recipe. What is left are ranks, sums along the
rows, statistics by group, and functions of the caller: whether these need the other rows is found by
computing some rows of the fit each by itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.plain import shown_as
from glmmlib.design.recipe import Recipe, learn
from glmmlib.errors import DataError, GlmmlibError
from glmmlib.formula import vocabulary as known
from glmmlib.formula.algebra import Factor, Term

ROWS = 8  # computed one by one
_TOLERANCE = 1e-9
_SUSPECT = known.METHODS_ORDERED | known.NUMPY_ORDERED | known.LOOKUPS


def check_rowwise(
    recipe: Recipe,
    keys: Iterable[str],
    columns: Callable[[list[str]], dict[str, pd.Series]],
    index: pd.Index,
) -> None:
    """Refuse to compute new rows where that needs the rows of the fit.

    Parameters
    ----------
    recipe : Recipe
    keys : iterable of str
        The parts that are computed.
    columns : callable
        Returns clean columns of the fit's rows, by their names.
    index : Index
        Of the fit's rows.

    Raises
    ------
    DataError
    """
    for factor in suspects(recipe, keys):
        if _needs_other_rows(recipe, factor, columns, index):
            raise DataError(
                f"'{shown_as(factor)}' is computed from all rows of the fit, so it has no value for new "
                "rows: compute the column beforehand, or use what is remembered, such as center(x), "
                "scale(x), x - x.mean() or bs(x)"
            )


def suspects(recipe: Recipe, keys: Iterable[str]) -> list[Factor]:
    """List the factors of some parts of which it is to be found out whether they need the other rows."""
    factors = (factor for key in keys for term in recipe.parts[key] for factor in term.factors)
    return [factor for factor in dict.fromkeys(factors) if _is_suspect(factor, recipe)]


def _is_suspect(factor: Factor, recipe: Recipe) -> bool:
    if factor.expression is None:
        return False
    nodes = list(ast.walk(factor.expression.tree))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    called = set(factor.expression.called)
    return bool(attributes & _SUSPECT or called & {*known.ORDERED, *recipe.functions})


def _needs_other_rows(recipe: Recipe, factor: Factor, read: Any, index: pd.Index) -> bool:
    """Compute the factor for some rows by themselves, and compare with what all rows give."""
    columns = read(recipe.columns_of_factor(factor))
    alone, matrices = learn({"fixed": (Term((factor,)),)}, recipe.variables, columns, index, recipe.functions)
    whole = matrices["fixed"].to_numpy(dtype=float)
    scale = np.abs(whole).max(initial=0.0)

    def agrees(rows: np.ndarray) -> bool | None:
        some = {name: column.iloc[rows] for name, column in columns.items()}
        try:
            found = alone.matrices(["fixed"], some, index[rows])["fixed"].to_numpy(dtype=float)
        except GlmmlibError:
            return None
        return np.allclose(found, whole[rows], rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True)

    singles = [agrees(np.array([i])) for i in np.unique(np.linspace(0, len(index) - 1, ROWS).astype(int))]
    if None not in singles:
        return not all(singles)
    # a function may want more than one row
    halves = [agrees(np.arange(start, len(index), 2)) for start in (0, 1)]
    return not all(halves)
