"""Design: from a formula and a data frame to the arrays of a mixed model.

The model is ``y = X beta + sum over terms of Z_t b_t + offset + error``. For each random-effects term
this module keeps the q columns of its left-hand side as a dense (q, n) array and one integer code per
row that says to which group the row belongs; the big sparse Z is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from glmmlib.covariance.registry import STRUCTURES
from glmmlib.design.arguments import argument, check_weights
from glmmlib.design.arrays import Design, RandomDesign, frozen
from glmmlib.design.auxiliary import auxiliary_designs
from glmmlib.design.columns import clean
from glmmlib.design.effects import Effects, checked_known, learn_effects
from glmmlib.design.frames import as_frame, complete_rows
from glmmlib.design.functions import checked_functions
from glmmlib.design.grouping import Grouping
from glmmlib.design.identifiability import (
    check_no_constant,
    check_number_of_covariances,
    check_random_effects,
    check_terms_have_columns,
    explained,
    independent_columns,
)
from glmmlib.design.matrices import read_parts, response_arrays, stack, summed_offset, term_columns
from glmmlib.design.named import NamedColumns
from glmmlib.design.ordered import ordered_response, response_column
from glmmlib.design.plain import Matrix
from glmmlib.design.recipe import Recipe, learn
from glmmlib.design.residual import check_blocks, learn_residual, read_residual
from glmmlib.design.smooths import by_level, learn_curve
from glmmlib.design.variables import Variable
from glmmlib.errors import DataError, ModelError
from glmmlib.formula.parser import parse_formula
from glmmlib.formula.terms import MixedFormula, RandomTerm
from glmmlib.types import ArrayLike


def build_design(
    formula: str | MixedFormula,
    data: Any,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: str = "drop",
    *,
    response: bool = True,
    binary: bool = False,
    ordered: bool = False,
    functions: Mapping[str, Callable] | None = None,
    auxiliary: Mapping[str, str] | None = None,
    known: Mapping[str, pd.DataFrame] | None = None,
    residual: str | None = None,
) -> Design:
    """Turn a formula and a data frame into the arrays of a mixed model.

    Parameters
    ----------
    formula : str or MixedFormula
    data : DataFrame, or dict of columns
        Text columns are factors with sorted levels; a ``pd.Categorical`` keeps its order and loses unused
        levels. The first level is the reference (treatment contrasts).
    weights, offset : array, Series or str, optional
        One number per row of `data`, or the name of a column. Weights are positive.
    na_action : {"drop", "raise"}
        What to do with rows that miss a value in a column the model uses. Dropped rows are counted. Rows
        are dropped before ``scale(x)`` and the like are computed. Rows of ``cbind(0, 0)`` tell nothing, and
        are always dropped and counted.
    response : bool
        False leaves the left-hand side unread (to simulate a response that does not exist yet).
    binary : bool
        True takes a factor of two levels as a response, as R does: the first is 0, the second 1.
    ordered : bool
        True takes a response of ordered categories, and holds their scores.
    functions : dict of str to callable, optional
        The caller's own functions, by the names that the formula calls.
    auxiliary : dict of str to str, optional
        Formulas of auxiliary parameters by their names: ``{"dispersion": "~ x"}``. Rows that miss a value
        there are incomplete, too.
    known : dict of str to DataFrame, optional
        Known covariances, by the names that terms ``known(1 | animal, cov="A")`` give.
    residual : str, optional
        The structure of correlated residuals and their blocks: ``"us(visit | id)"``.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError, DataError

    Warns
    -----
    RankDeficientWarning
        When columns of X are linear combinations of those before them; they are left out, as R does.

    Examples
    --------
    >>> data = {"y": [1, 3, 2, 5], "x": [0, 1, 0, 1], "g": ["a", "a", "b", "b"]}
    >>> design = build_design("y ~ x + (x | g)", data)
    >>> design.coef_names, design.random[0].columns, list(design.random[0].levels)
    (('Intercept', 'x'), ('Intercept', 'x'), ['a', 'b'])
    """
    if not isinstance(formula, MixedFormula):
        formula = parse_formula(formula)
    if na_action not in ("drop", "raise"):
        raise DataError(f"na_action is 'drop' or 'raise', not {na_action!r}")
    data, functions, known = as_frame(data), checked_functions(functions), checked_known(known)
    _check_name_of_curves(formula, functions)
    arguments = {"weights": argument(weights, "weights", data), "offset": argument(offset, "offset", data)}
    term = None if residual is None else read_residual(residual)
    beside = [name for name in (weights, offset) if isinstance(name, str)]
    beside += [] if term is None else [term.column, *term.groups]
    auxiliary = auxiliary or {}
    named = NamedColumns.of(formula, data.columns, response=response, auxiliary=auxiliary, beside=beside)
    rows, keep, n_missing, missing = complete_rows(data, named.all, na_action)
    weights, given_offset = (None if a is None else a[keep] for a in arguments.values())
    if weights is not None:
        check_weights(weights, rows.index)

    with explained(missing, len(data)):
        learned = _learn(formula, named, response, rows, functions)
    y, trials, response_levels = (
        _response(learned, named.response, rows, binary, ordered) if response else (None, None, None)
    )
    if trials is not None and not trials.all():  # such rows tell nothing
        told = np.arange(len(data))[keep][trials > 0]
        design = build_design(
            formula,
            data.iloc[told],
            None if weights is None else weights[trials > 0],
            offset if isinstance(offset, str) or given_offset is None else given_offset[trials > 0],
            na_action,
            binary=binary,
            ordered=ordered,
            functions=functions,
            auxiliary=auxiliary,
            known=known,
            residual=residual,
        )
        return replace(design, n_missing=len(data) - len(told))

    names, x = learned.names, stack(learned.matrices["fixed"], rows.index)
    left_sides = _left_sides(learned, x, rows.index)
    if response:
        check_number_of_covariances(_counts(left_sides), len(rows))
    own = auxiliary_designs(auxiliary, learned.matrices, rows.index)
    total_offset = summed_offset(learned.matrices, given_offset, rows.index)
    learned.matrices.clear()  # formulaic's copies of the columns
    with explained(missing, len(data)):
        groupings = {names: Grouping.of(rows, columns) for names, columns in named.groups.items()}
        blocks = None if term is None else learn_residual(term, rows)
    random = tuple(
        _random_design(term, columns, Z, groupings, rows, known) for term, columns, Z in left_sides
    )
    if blocks is not None:
        check_blocks(blocks, random)
    check_no_constant(learned.columns, names, x)
    kept = independent_columns(x, names)
    check_random_effects(random, x if kept.all() else None)
    return Design(
        formula=learned.formula,
        data=rows,
        y=frozen(y),
        trials=frozen(trials),
        X=x.T if kept.all() else frozen(x[kept]).T,
        coef_names=tuple(np.array(names, dtype=object)[kept]),
        aliased=tuple(np.array(names, dtype=object)[~kept]),
        term_slices=learned.recipe.slices_of_kept(kept),
        random=random,
        offset=frozen(total_offset),
        weights=frozen(weights),
        n_missing=n_missing,
        response_levels=response_levels,
        recipe=learned.recipe.without("response", "failures"),
        kept_columns=kept,
        category_levels=learned.category_levels,
        offset_argument=offset if isinstance(offset, str) else offset is not None,
        auxiliary=own,
        known=known,
        residual=blocks,
    )


def _response(learned, name, rows, binary, ordered):
    """Return the response, its trials, and the levels of a factor."""
    if ordered and name is not None:
        y, levels = ordered_response(response_column(rows, name), name)
        return y, None, levels
    y, trials, levels = response_arrays(learned.formula, learned.source(name, rows), rows.index, binary)
    if ordered and trials is None:
        y, levels = ordered_response(pd.Series(y), learned.formula.response)
    return y, trials, levels


def _check_name_of_curves(formula, functions):
    if "s" in functions and any(term.is_curve for term in formula.random):
        raise ModelError(
            "s(x) in a formula is a smooth curve: give your function s another name in functions="
        )


@dataclass(frozen=True, eq=False)
class _Learned:
    """What the complete rows tell of a formula: its columns, their variables, the recipe and the matrices."""

    formula: MixedFormula
    columns: Mapping[str, pd.Series]
    variables: Mapping[str, Variable]
    recipe: Recipe
    matrices: dict[str, Matrix]

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the fixed effects, aliased ones too."""
        return tuple(self.matrices["fixed"].columns)

    @property
    def category_levels(self) -> dict[str, tuple]:
        return {name: v.levels for name, v in self.variables.items() if v.levels is not None}

    def source(self, response: str | None, rows: pd.DataFrame) -> Any:
        """Where the response stands: in a column, or in what the formula computes."""
        if response is None:
            return self.matrices
        return self.columns[response] if response in self.columns else clean(rows, response)


def _learn(formula, named, response, rows, functions):
    columns = {name: clean(rows, name) for name in named.computed}
    variables = {name: Variable.of(column) for name, column in columns.items()}
    parts = dict(named.parts)
    if any(term.goes_by for term in formula.random):
        formula = by_level(formula, {name: variable.levels for name, variable in variables.items()})
        parts |= read_parts(formula, response)
    recipe, matrices = learn(parts, variables, columns, rows.index, functions)
    check_terms_have_columns(recipe)
    return _Learned(formula, columns, variables, recipe, matrices)


def _left_sides(learned, x, index):
    """Return the terms, the names of their columns, and these as (q, n), views of X where it holds them."""
    return [
        (term, *term_columns(learned.matrices[f"random{i}"], x, learned.names, index))
        for i, term in enumerate(learned.formula.random)
    ]


def _counts(left_sides):
    """Yield each term with the number of its effects and of the parameters of their covariance."""
    for term, columns, _ in left_sides:
        options = cast(dict[str, Any], dict(term.options))
        yield term, len(columns), STRUCTURES[term.word].count(len(columns), **options)


def _random_design(
    term: RandomTerm, names: tuple[str, ...], matrix: np.ndarray, groupings: Mapping, rows, known
) -> RandomDesign:
    kind = STRUCTURES[term.word]
    effects: Effects
    if kind.left_side == "curve":
        effects = learn_curve(term, names, matrix)
        Z = effects.rows(matrix, rows)[0]
    else:
        effects, Z = learn_effects(term, kind.left_side, names, matrix, rows, known)
    structure = kind.of(effects.columns, effects.places, **cast(dict[str, Any], dict(term.options)))
    if kind.is_curve or kind.left_side == "levels":
        grouping = Grouping.whole(len(rows), *([term.label] if kind.is_curve else []))
    else:
        grouping = groupings[term.groups]
    return RandomDesign(term, grouping, effects.columns, frozen(Z), effects, structure)


def check_lmm_sizes(design: Design) -> None:
    """Refuse a linear mixed model without a residual: as many fixed effects as rows, or a constant response.

    Raises
    ------
    ModelError
    """
    n, p = design.X.shape
    check_more_rows_than_columns(n, p)
    if design.y is not None:
        check_response_varies(design.y, design.response_name)


def check_more_rows_than_columns(n: int, p: int) -> None:
    """Refuse as many fixed effects as rows.

    Raises
    ------
    ModelError
    """
    if p >= n:
        raise ModelError(f"{p} fixed effects cannot be estimated from {n} observations: leave terms out")


def check_response_varies(y: np.ndarray, name: object) -> None:
    """Refuse a constant response.

    Raises
    ------
    ModelError
    """
    if (y == y[0]).all():
        raise ModelError(f"the response '{name}' is constant ({y[0]:g}): there is no variation to model")
