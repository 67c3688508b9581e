"""Design of a linear model whose rows are read in batches and not kept.

The recipe is learned from a sample: the first batch, and a row for each level of each factor, which a first
pass over the rows finds. A second pass computes the columns of each batch and adds up their products.
Where there are no factors among the fixed effects, the first pass ends with its first batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from glmmlib.covariance.registry import STRUCTURES
from glmmlib.design.arguments import argument
from glmmlib.design.arrays import Design, RandomDesign
from glmmlib.design.batch_reader import BatchReader
from glmmlib.design.batch_sample import learn_recipe, sample_rows
from glmmlib.design.build import check_more_rows_than_columns, check_response_varies
from glmmlib.design.columns import clean
from glmmlib.design.effects import Effects
from glmmlib.design.grouping import Grouping
from glmmlib.design.identifiability import (
    check_no_constant,
    check_random_effects,
    explained,
    independent_columns,
)
from glmmlib.design.level_codes import LevelCodes
from glmmlib.design.matrices import response_arrays, stack, summed_offset
from glmmlib.design.recipe import Recipe
from glmmlib.design.row_source import RowSource, Tally, complete_batches
from glmmlib.errors import DataError
from glmmlib.formula.parser import parse_formula
from glmmlib.linalg.row_sums import RowSums, Summing
from glmmlib.linalg.without_rows import WithoutRows
from glmmlib.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class StreamedGrouping(WithoutRows, Grouping):
    """Groups of rows that are not kept."""

    _rows = frozenset({"codes"})


@dataclass(frozen=True, eq=False)
class StreamedRandom(WithoutRows, RandomDesign):
    """A random-effects term of rows that are not kept."""

    _rows = frozenset({"codes", "Z"})


@dataclass(frozen=True, eq=False)
class StreamedDesign(WithoutRows, Design):
    """A design whose rows are not kept; ``n_rows`` were used."""

    _rows = frozenset({"data", "y", "X", "index", "offset"})
    n_rows: int = 0

    @property
    def nobs(self) -> int:
        return self.n_rows

    @property
    def keeps_rows(self) -> bool:
        return False

    @property
    def has_offset(self) -> bool:
        return bool(self.offset_argument or self.formula.offsets)


@dataclass(frozen=True, eq=False)
class Streamed:
    """What reading the rows has found.

    Attributes
    ----------
    design : StreamedDesign
    random : tuple of RandomDesign
        With stand-ins for the rows of Z: a few with the same means and products.
    sums : RowSums
        Columns of Z first, the response last; levels in the order of the grouping's.
    fixed : (p,) integer array
        Which columns are those of X.
    """

    design: StreamedDesign
    random: tuple[RandomDesign, ...]
    sums: RowSums
    fixed: IntArray


def read_design(
    formula: str,
    source: RowSource,
    offset: str | None = None,
    na_action: str = "drop",
) -> Streamed:
    """Read all rows, and return what a linear model with one grouping factor needs of them.

    Parameters
    ----------
    formula : str
    source : RowSource
    offset : str, optional
        The name of a column.
    na_action : {"drop", "raise"}

    Raises
    ------
    FormulaError, DataError, ModelError
        Also for what cannot be done batch by batch.

    Warns
    -----
    RankDeficientWarning
    """
    if na_action not in ("drop", "raise"):
        raise DataError(f"na_action is 'drop' or 'raise', not {na_action!r}")
    reader = BatchReader.of(parse_formula(formula), source, offset)
    sample, tally = sample_rows(reader)
    if tally is not None:
        tally.check(na_action)
    with explained({} if tally is None else tally.by_column, 1 if tally is None else tally.n_rows):
        recipe = learn_recipe(reader, sample)
    columns = _Columns.of(reader, recipe, sample)
    summing, codes = Summing(columns.rows(sample), columns.q), LevelCodes(source.type_of(reader.group))
    del sample
    tally = Tally()
    for batch, index in complete_batches(source, reader.names, tally):
        frame = reader.frame(batch, index)
        summing.add(columns.rows(frame), codes.codes(batch.column(reader.group)))
    tally.check(na_action)
    with explained(tally.by_column, tally.n_rows):
        levels = pd.DataFrame({reader.group: codes.levels()})
        grouping = Grouping.of(levels, (reader.group,))
    order = np.empty(len(levels), dtype=np.intp)
    order[grouping.codes] = np.arange(len(levels))
    return _put_together(reader, recipe, columns, grouping, summing.finished().reordered(order), tally)


# -- columns of a batch --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Columns:
    """How a batch becomes the columns w: those of Z first, what X has beside them, and the response."""

    reader: BatchReader
    recipe: Recipe
    names: tuple[str, ...]  # of X
    effects: tuple[tuple[str, ...], ...]  # of each random-effects term
    only_X: IntArray  # columns of X that are not in Z
    fixed: IntArray  # where in w the columns of X are
    in_X: tuple[int | None, ...]  # for each column of Z, which of X it is

    @classmethod
    def of(cls, reader: BatchReader, recipe: Recipe, sample: pd.DataFrame) -> _Columns:
        matrices = _matrices(reader, recipe, sample.iloc[:2])
        names = tuple(matrices["fixed"].columns)
        effects = tuple(tuple(matrices[f"random{i}"].columns) for i in range(len(reader.formula.random)))
        of_Z = [name for columns in effects for name in columns]
        only = [i for i, name in enumerate(names) if name not in of_Z]
        place = {name: k for k, name in enumerate(of_Z)} | {
            names[i]: len(of_Z) + k for k, i in enumerate(only)
        }
        fixed = np.array([place[name] for name in names], dtype=np.intp)
        in_X = tuple(names.index(name) if name in names else None for name in of_Z)
        return cls(reader, recipe, names, effects, np.array(only, dtype=np.intp), fixed, in_X)

    @property
    def q(self) -> int:
        return len(self.in_X)

    def rows(self, frame: pd.DataFrame) -> FloatArray:
        """Return the columns w (k, m) of complete rows."""
        matrices, index = _matrices(self.reader, self.recipe, frame), frame.index
        x = stack(matrices["fixed"], index)
        own: list[FloatArray] = []
        if None in self.in_X:
            own = [row for i in range(len(self.effects)) for row in stack(matrices[f"random{i}"], index)]
        w = np.empty((self.q + len(self.only_X) + 1, len(frame)))
        for k, at in enumerate(self.in_X):
            w[k] = own[k] if at is None else x[at]
        w[self.q : -1] = x[self.only_X]
        w[-1] = self._response(matrices, frame)
        return w

    def _response(self, matrices: dict[str, pd.DataFrame], frame: pd.DataFrame) -> FloatArray:
        reader = self.reader
        source = matrices if reader.response is None else clean(frame, reader.response)
        y, _, _ = response_arrays(reader.formula, source, frame.index)
        given = argument(reader.offset, "offset", frame)
        offset = summed_offset(matrices, given, frame.index)
        return y if offset is None else y - offset


def _matrices(reader: BatchReader, recipe: Recipe, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    columns = {name: recipe.variables[name].read(frame, "the data") for name in reader.needed}
    return recipe.matrices(reader.parts, columns, frame.index)


# -- the design --------------------------------------------------------------------------------


def _put_together(
    reader: BatchReader, recipe: Recipe, columns: _Columns, grouping: Grouping, sums: RowSums, tally: Tally
) -> Streamed:
    constant = columns.names.index("Intercept") if "Intercept" in columns.names else None
    w = sums.stand_ins(None if constant is None else int(columns.fixed[constant]))
    x, y, names = w[columns.fixed], w[-1], np.array(columns.names, dtype=object)
    check_no_constant(dict.fromkeys(reader.needed, pd.Series(dtype=float)), columns.names, x)
    kept = independent_columns(x, columns.names)
    random, start = [], 0
    for term, effects in zip(reader.formula.random, columns.effects, strict=True):
        Z = w[start : start + len(effects)]
        start += len(effects)
        structure = STRUCTURES[term.word].of(effects, None, **cast(dict[str, Any], dict(term.options)))
        random.append(RandomDesign(term, grouping, effects, Z, Effects(effects), structure))
    check_random_effects(random, None)
    check_more_rows_than_columns(sums.n, int(kept.sum()))
    if constant is not None:
        check_response_varies(y, reader.formula.response)
    hidden = StreamedGrouping(**vars(grouping) | {"codes": None})
    design = StreamedDesign(
        formula=reader.formula,
        data=cast(pd.DataFrame, None),
        y=None,
        trials=None,
        X=cast(np.ndarray, None),
        coef_names=tuple(names[kept]),
        term_slices=recipe.slices_of_kept(kept),
        aliased=tuple(names[~kept]),
        random=tuple(StreamedRandom(**vars(r) | {"grouping": hidden, "Z": None}) for r in random),
        offset=None,
        weights=None,
        n_missing=tally.n_missing,
        response_levels=None,
        recipe=recipe.without("response", "failures"),
        kept_columns=kept,
        category_levels={n: v.levels for n, v in recipe.variables.items() if v.levels is not None},
        offset_argument=reader.offset if reader.offset is not None else False,
        known={},
        n_rows=sums.n,
    )
    return Streamed(design, tuple(random), sums, columns.fixed[kept])
