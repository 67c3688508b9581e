"""What is learned of a model's columns from a sample of the rows, before all of them are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.batch_reader import INSTEAD, BatchReader, is_text
from glmmlib.design.columns import clean
from glmmlib.design.identifiability import check_terms_have_columns
from glmmlib.design.level_codes import LevelCodes
from glmmlib.design.plain import shown_as
from glmmlib.design.recipe import Recipe, learn
from glmmlib.design.row_source import Tally, complete_batches
from glmmlib.design.rowwise import suspects
from glmmlib.design.variables import Variable
from glmmlib.errors import DataError
from glmmlib.formula.algebra import Factor, Term
from glmmlib.types import IntArray

MOST_LEVELS = 10_000  # of a factor among the fixed effects


def sample_rows(reader: BatchReader) -> tuple[pd.DataFrame, Tally | None]:
    """Return complete rows in which each level of each factor occurs, and what was counted on the way, if all
    rows were read.
    """
    import pyarrow as pa

    levels = {name: LevelCodes(reader.source.type_of(name)) for name in reader.factors}
    found: list[Any] = []
    tally = Tally()
    for batch, _ in complete_batches(reader.source, reader.names, tally):
        fresh = [
            _first_rows(levels[name], batch.column(name), name, why) for name, why in reader.factors.items()
        ]
        if not found:
            found.append(batch)
            if not levels:
                break
        elif any(len(rows) for rows in fresh):
            found.append(batch.take(pa.array(np.unique(np.concatenate(fresh)))))
    if not found:
        tally.check("drop")
    table = pa.Table.from_batches(found).unify_dictionaries().combine_chunks()
    frame = reader.frame(table.to_batches()[0], pd.RangeIndex(len(table)))
    for name, codes in levels.items():
        if is_text(reader.source.type_of(name)):
            frame[name] = frame[name].astype(object)
        elif isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].cat.set_categories(codes.levels().cat.categories)
    return frame, tally if levels else None


def _first_rows(levels: LevelCodes, array: Any, name: str, why: str) -> IntArray:
    """Return the first row of each level that was not met before."""
    before = levels.n_levels
    codes = levels.codes(array)
    if levels.n_levels > MOST_LEVELS:
        raise DataError(
            f"'{why}' is a factor of more than {MOST_LEVELS:,} levels, too many for the columns of a "
            f"fit whose rows are read in batches: take '{name}' as a grouping factor, (1 | {name}), or as a "
            "number"
        )
    at = np.flatnonzero(codes >= before)
    return at[np.unique(codes[at], return_index=True)[1]]


def learn_recipe(reader: BatchReader, sample: pd.DataFrame) -> Recipe:
    """Learn how columns become model matrices, and refuse what a batch of rows does not give.

    Raises
    ------
    DataError
    """
    columns = {name: clean(sample, name) for name in reader.needed}
    variables = {name: Variable.of(column) for name, column in columns.items()}
    recipe, _ = learn(reader.parts, variables, columns, sample.index, {})
    check_terms_have_columns(recipe)
    _check_by_row(recipe, columns, sample.index)
    known = set(reader.factors)
    for key in (k for k in reader.parts if k.startswith(("fixed", "random"))):
        for factor, is_categorical in recipe.is_categorical(key).items():
            if is_categorical and not set(recipe.columns_of_factor(factor)) <= known:
                raise DataError(
                    f"the levels of '{shown_as(factor)}' are not known before all rows are read: {INSTEAD}"
                )
    return recipe


def _check_by_row(recipe: Recipe, columns: Mapping[str, pd.Series], index: pd.Index) -> None:
    """Refuse what a batch of rows does not give by itself."""
    held = list(suspects(recipe, recipe.parts))
    if any(spec.transform_state for spec in recipe.specs.values()):
        factors = dict.fromkeys(f for terms in recipe.parts.values() for t in terms for f in t.factors)
        held += [f for f in factors if f.expression is not None and _remembers(f, recipe, columns, index)]
    if held:
        raise DataError(
            f"'{shown_as(held[0])}' needs all rows at once, which a fit whose rows are read in batches never "
            f"has: {INSTEAD}"
        )


def _remembers(factor: Factor, recipe: Recipe, columns: Mapping[str, pd.Series], index: pd.Index) -> bool:
    alone, _ = learn({"fixed": (Term((factor,)),)}, recipe.variables, columns, index, {})
    return any(spec.transform_state for spec in alone.specs.values())
