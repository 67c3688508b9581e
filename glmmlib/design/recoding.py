"""The fit's rows, coded in another way."""

from __future__ import annotations

import numpy as np

from glmmlib.design.arrays import Design
from glmmlib.design.newdata import fit_columns
from glmmlib.design.recipe import columns_of, learn
from glmmlib.design.variables import Variable
from glmmlib.formula.algebra import Factor, Term, read_terms
from glmmlib.formula.expressions import in_expression, read_expression


def effect_names(design: Design, lhs: str) -> tuple[str, ...]:
    """Name the columns that the left of a bar has in the fit's data."""
    parts = {"random0": read_terms(lhs)}
    columns = fit_columns(design, columns_of(parts, design.data.columns))
    variables = {name: Variable.of(column) for name, column in columns.items()}
    _, matrices = learn(parts, variables, columns, design.index, design.recipe.functions)
    return tuple(matrices["random0"].columns)


def sum_to_zero(design: Design) -> tuple[np.ndarray, dict[str, slice]]:
    """Code the factors of the fixed effects by contrasts that sum to zero.

    Returns
    -------
    (n, p) array
        The columns, aliased ones with them.
    dict of str to slice
        The columns of each term, by the names in ``design.term_slices``.
    """
    recipe = design.recipe
    is_categorical = recipe.is_categorical("fixed")
    terms = tuple(
        Term(tuple(_recoded(factor) if is_categorical[factor] else factor for factor in term.factors))
        for term in recipe.parts["fixed"]
    )
    columns = fit_columns(design, recipe.columns(["fixed"], design.data.columns))
    other, matrices = learn({"fixed": terms}, recipe.variables, columns, design.index, recipe.functions)
    slices = dict(zip(recipe.term_names("fixed"), other.term_slices("fixed"), strict=True))
    return matrices["fixed"].to_numpy(dtype=float), slices


def _recoded(factor: Factor) -> Factor:
    text = in_expression(factor.text) if factor.expression is None else factor.text
    expression = read_expression(f"C({text}, contr.sum)")
    return Factor(expression.text, expression)
