"""New data: the arrays of a fitted model for rows it has not seen.

Everything learned from the fit's data is used again: the mean and spread of ``scale(x)``, the knots of
``bs(x)``, the levels and contrasts of factors, the codes of groups. A level that the fit does not know
is an error, never the reference level in disguise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from glmmlib.design.arguments import argument
from glmmlib.design.arrays import Design, NewDesign, NewRandom, RandomDesign
from glmmlib.design.columns import as_frame, clean, is_categorical, missing_rows, require, with_levels
from glmmlib.design.matrices import materialise, needed_columns, stack, summed_offset
from glmmlib.display.words import listed
from glmmlib.errors import DataError

_WHERE = "the new data"


def new_design(
    design: Design,
    newdata,
    *,
    random: Sequence[int] | None = None,
    ungrouped: Sequence[int] = (),
    allow_new_levels: bool = False,
    offset=None,
) -> NewDesign:
    """Build the arrays of a model for new data.

    Parameters
    ----------
    design : Design
        Of the fit.
    newdata : DataFrame, or dict of columns
        Needs neither the response nor a column that only a left-out term uses.
    random : sequence of int, optional
        Positions in ``design.random`` of the terms to build: all by default, none for ``()``.
    ungrouped : sequence of int
        Those of them whose group is left open: code -1 in every row, and no grouping column is needed.
    allow_new_levels : bool
        Give a group that the fit has not seen the code -1 instead of raising.
    offset : (n,) array or str, optional
        Takes the place of the fit's `offset` argument; needed when that was an array.

    Returns
    -------
    NewDesign
        A row with a missing value is kept and is NaN throughout.

    Raises
    ------
    DataError
        For a missing column, an infinite value, an unseen level of a fixed-effects factor (always) or of a
        grouping factor (unless allowed).

    Examples
    --------
    >>> from glmmlib.design.build import build_design
    >>> data = {"y": [1, 3, 2, 5], "x": [0, 1, 0, 1], "g": ["a", "a", "b", "b"]}
    >>> design = build_design("y ~ x + (1 | g)", data)
    >>> new_design(design, {"x": [7]}, random=()).X
    array([[1., 7.]])
    >>> new_design(design, {"x": [7], "g": ["c"]}, allow_new_levels=True).random[0].codes
    array([-1])
    """
    frame = as_frame(newdata)
    chosen = list(range(len(design.random)) if random is None else random)
    specs = {
        key: spec
        for key, spec in design.specs.items()
        if not key.startswith("random") or int(key.removeprefix("random")) in chosen
    }
    needed = needed_columns(specs, frame.columns, _WHERE)
    groups = [
        require(name, frame.columns, _WHERE)
        for i in chosen
        if i not in ungrouped
        for name in design.random[i].term.groups
    ]
    if offset is None and design.offset_argument is True:
        raise DataError("the fit was given its offset as an array, so new data need one too: pass offset=")
    if offset is None and design.offset_argument:
        offset = design.offset_argument
    by_name = [offset] if isinstance(offset, str) else []
    given = argument(offset, "offset", frame)

    mask, _ = missing_rows(frame, list(dict.fromkeys([*needed, *groups, *by_name])))
    complete = np.ones(len(frame), dtype=bool) if mask is None else ~mask
    rows = frame if mask is None else frame[complete]
    if len(rows) == 0:
        return _nothing_complete(design, frame, chosen, complete)
    columns = {name: _as_in_fit(clean(rows, name, where=_WHERE), design) for name in needed}
    matrices = materialise(specs, columns, rows.index)
    x = stack(matrices["fixed"], rows.index)[design.kept_columns]
    total = summed_offset(matrices, None if given is None else given[complete], rows.index)
    terms = {
        i: _new_random(design.random[i], matrices[f"random{i}"], rows, allow_new_levels, i not in ungrouped)
        for i in chosen
    }
    if mask is None:
        return NewDesign(frame.index, x.T, total, terms, complete)
    spread = {
        i: replace(term, Z=_spread(term.Z, complete), codes=_spread(term.codes, complete, -1))
        for i, term in terms.items()
    }
    return NewDesign(
        frame.index,
        _spread(x, complete).T,
        None if total is None else _spread(total, complete),
        spread,
        complete,
    )


def _as_in_fit(column: pd.Series, design: Design) -> pd.Series:
    """Give a factor the fit's levels; refuse text where the fit had numbers."""
    if column.name in design.category_levels:
        return with_levels(column, design.category_levels[column.name])
    if is_categorical(column):
        raise DataError(
            f"column '{column.name}' of {_WHERE} is categorical ({listed(column.cat.categories, 3)}), "
            "but the fit had numbers there"
        )
    return column


def _new_random(
    random: RandomDesign, matrix, rows: pd.DataFrame, allow_new_levels: bool, grouped: bool
) -> NewRandom:
    if not grouped:
        return NewRandom(random.columns, stack(matrix, rows.index), np.full(len(rows), -1))
    codes, unseen = random.grouping.codes_of(rows)
    if unseen and not allow_new_levels:
        raise DataError(
            f"'{random.group}' has levels in {_WHERE} that the fit has not seen ({listed(unseen)}): pass "
            "allow_new_levels=True to predict for a new group"
        )
    return NewRandom(random.columns, stack(matrix, rows.index), codes)


def _nothing_complete(
    design: Design, frame: pd.DataFrame, chosen: Sequence[int], complete: np.ndarray
) -> NewDesign:
    n = len(frame)
    terms = {
        i: NewRandom(
            design.random[i].columns, np.full((len(design.random[i].columns), n), np.nan), np.full(n, -1)
        )
        for i in chosen
    }
    offset = None if design.offset is None else np.full(n, np.nan)
    return NewDesign(frame.index, np.full((n, design.X.shape[1]), np.nan), offset, terms, complete)


def _spread(values: np.ndarray, complete: np.ndarray, fill=np.nan) -> np.ndarray:
    """Put the incomplete rows back in, on the last axis."""
    out = np.full((*values.shape[:-1], len(complete)), fill, dtype=values.dtype)
    out[..., complete] = values
    return out
