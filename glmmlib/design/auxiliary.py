"""The linear predictors of a family's auxiliary parameters: formulas of their own, ``dispersion="~ x"``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from glmmlib.design.arrays import AuxiliaryDesign, frozen
from glmmlib.design.matrices import stack
from glmmlib.design.rank import independent_rows
from glmmlib.design.recipe import Parts
from glmmlib.display.words import listed
from glmmlib.errors import FormulaError, ModelError
from glmmlib.formula.algebra import INTERCEPT, Term, read_terms
from glmmlib.formula.parser import parse_formula


def read_auxiliary_parts(formulas: Mapping[str, str]) -> Parts:
    """Return the terms of each formula, as parts of a recipe.

    Raises
    ------
    FormulaError
        For a response, random effects or an offset, which such a predictor cannot have.
    """
    return {f"auxiliary {name}": _terms(name, text) for name, text in formulas.items()}


def is_constant(name: str, text: str) -> bool:
    """Does a formula say no more than that there is one value for all rows?

    Examples
    --------
    >>> is_constant("dispersion", "~ 1"), is_constant("dispersion", "~ x")
    (True, False)
    """
    return _terms(name, text) == (INTERCEPT,)


def _terms(name: str, text: str) -> tuple[Term, ...]:
    if not isinstance(text, str) or not text.lstrip().startswith("~"):
        raise FormulaError(f"{name}= is a formula of its own without a response, such as '~ x', not {text!r}")
    whole = f"{name} {text.lstrip()}"
    formula = parse_formula(whole)
    if formula.random or formula.offsets:
        what = "random effects" if formula.random else "an offset"
        raise FormulaError(f"{name}= takes columns of the data, and cannot have {what}", whole, 0)
    terms = read_terms(formula.fixed)
    if not terms:
        raise FormulaError(f"{name}= has no column: write ~ 1 for one value in all rows", whole, 0)
    return terms


def auxiliary_designs(
    formulas: Mapping[str, str], matrices: Mapping, index: pd.Index
) -> tuple[AuxiliaryDesign, ...]:
    """Return the columns of each predictor.

    Raises
    ------
    ModelError
        For columns that follow from those before them.
    """
    found = []
    for name, text in formulas.items():
        matrix = matrices[f"auxiliary {name}"]
        columns, rows = tuple(matrix.columns), stack(matrix, index)
        if lost := [columns[k] for k in np.flatnonzero(~independent_rows(rows))]:
            raise ModelError(
                f"in {name}={text!r} the column of {listed(lost)} is constant or a linear combination of "
                "those before it, so it has no coefficient of its own: leave it out"
            )
        found.append(AuxiliaryDesign(name, text.strip(), columns, frozen(rows).T))
    return tuple(found)
