"""New data: the arrays of a fitted model for rows it has not seen.

Everything learned from the fit's data is used again: the mean and spread of ``scale(x)``, the knots of
``bs(x)``, the levels and contrasts of factors, the codes of groups. A level that the fit does not know
is an error, never the reference level in disguise.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arguments import argument
from glmmlib.design.arrays import Design, NewDesign, NewRandom, RandomDesign
from glmmlib.design.columns import clean, require
from glmmlib.design.frames import as_frame, missing_rows
from glmmlib.design.matrices import stack, summed_offset
from glmmlib.design.rowwise import check_rowwise, suspects
from glmmlib.display.words import counted, listed
from glmmlib.errors import DataError, RankDeficientWarning
from glmmlib.types import FloatArray

_WHERE = "the new data"
POSITION = "residual position"  # what the positions of residuals are called among auxiliary columns


def new_design(
    design: Design,
    newdata: dict[str, list[int | str]] | pd.DataFrame,
    *,
    random: Sequence[int] | None = None,
    ungrouped: Sequence[int] = (),
    allow_new_levels: bool = False,
    offset: FloatArray | None = None,
    auxiliary: bool = False,
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
        Give a group that the fit has not seen, or that is missing, the code -1 instead of raising.
    offset : (n,) array or str, optional
        Takes the place of the fit's `offset` argument; needed when that was an array.
    auxiliary : bool
        Build the columns of auxiliary predictors as well.

    Returns
    -------
    NewDesign
        A row with a missing value is kept and is NaN throughout.

    Raises
    ------
    DataError
        For a missing column, an infinite value, an unseen level of a fixed-effects factor (always) or of a
        grouping factor (unless allowed), and for an offset that the fit had no argument for.

    Warns
    -----
    RankDeficientWarning
        When columns were left out of X and do not follow from the others in these rows as they did in the
        data: X is NaN there.

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
    keys = [
        key
        for key in design.recipe.parts
        if (auxiliary or not key.startswith("auxiliary"))
        and (not key.startswith("random") or int(key.removeprefix("random")) in chosen)
    ]
    needed = design.recipe.columns(keys, frame.columns, _WHERE)
    groups = [
        require(name, frame.columns, _WHERE)
        for i in chosen
        if i not in ungrouped
        for name in design.random[i].term.groups
    ]
    offset = _offset_argument(design, offset)
    by_name = [require(offset, frame.columns, _WHERE)] if isinstance(offset, str) else []
    residual = design.residual if auxiliary else None
    if residual is not None and residual.structure.hom:
        residual = None
    if residual is not None:
        by_name.append(require(residual.term.column, frame.columns, _WHERE))
    given = argument(offset, "offset", frame)

    mask, _ = missing_rows(frame, list(dict.fromkeys([*needed, *by_name])))
    complete = np.ones(len(frame), dtype=bool) if mask is None else ~mask
    rows = frame if mask is None else frame[complete]
    if len(rows) == 0:
        return _nothing_complete(design, frame, chosen, complete)
    if not allow_new_levels:
        _refuse_missing_groups(rows, groups)
    matrices = new_matrices(design, keys, rows)
    full = stack(matrices["fixed"], rows.index)
    x = _estimable(design, full)
    total = summed_offset(matrices, None if given is None else given[complete], rows.index)
    terms = {
        i: _new_random(design.random[i], matrices[f"random{i}"], rows, allow_new_levels, i not in ungrouped)
        for i in chosen
    }
    own = {a.name: stack(matrices[a.key], rows.index) for a in design.auxiliary if a.key in keys}
    if residual is not None:
        own[POSITION] = residual.positions_of(rows).astype(float)[None]
    if mask is None:
        return NewDesign(frame.index, x.T, total, terms, complete, {k: D.T for k, D in own.items()})
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
        {name: _spread(D, complete).T for name, D in own.items()},
    )


def new_matrices(design: Design, keys: Iterable[str], rows: pd.DataFrame) -> dict:
    """Compute parts of the model for complete new rows, as for the fit's.

    Raises
    ------
    DataError
        Also where a part cannot be computed for new rows by themselves.
    """
    recipe, keys = design.recipe, list(keys)
    names = recipe.columns(keys, rows.columns, _WHERE)
    columns = {name: recipe.variables[name].read(rows, _WHERE) for name in names}
    if suspects(recipe, keys):
        check_rowwise(recipe, keys, lambda read: fit_columns(design, read), design.index)
    return recipe.matrices(keys, columns, rows.index)


def fit_columns(design: Design, names: Iterable[str]) -> dict[str, pd.Series]:
    """Return columns of the fit's rows, clean."""
    return {name: clean(design.data, name) for name in names}


def estimable_rows(design: Design, full: np.ndarray) -> np.ndarray:
    """Mark the rows whose mean the data tell, by all columns (p, n) of their fixed effects.

    With columns left out that is so where these follow from the others as they do in the data.
    """
    if not design.aliased:
        return np.ones(full.shape[1], dtype=bool)
    kept = design.kept_columns
    names = design.recipe.columns(["fixed"], design.data.columns)
    data = stack(
        design.recipe.matrices(["fixed"], fit_columns(design, names), design.index)["fixed"], design.index
    )
    scale = np.sqrt(np.einsum("pn,pn->p", data, data))[:, None]
    scale[scale == 0] = 1.0
    weights = np.linalg.lstsq((data / scale)[kept].T, (data / scale)[~kept].T, rcond=1e-10)[0]
    gap = np.abs(weights.T @ (full / scale)[kept] - (full / scale)[~kept]).max(axis=0)
    return gap <= 1e-8 * np.abs(full / scale).max()


def _estimable(design: Design, full: np.ndarray) -> np.ndarray:
    """Return the columns of X, NaN in the rows that the data do not tell, with a warning."""
    x = full[design.kept_columns]
    known = estimable_rows(design, full)
    if known.all():
        return x
    warnings.warn(
        f"the data do not tell the mean of {counted(int((~known).sum()), 'row')} of the new data, which is "
        f"NaN: the columns left out of the fit ({listed(design.aliased)}) do not follow from the others "
        "there",
        RankDeficientWarning,
        stacklevel=7,
    )
    return np.where(known, x, np.nan)


def _offset_argument(design: Design, offset):
    """Return the offset to read: the one given, or the column that the fit's offset was."""
    if offset is not None and not design.offset_argument:
        why = "computes its offset from columns of the data" if design.formula.offsets else "has no offset"
        raise DataError(f"the fit {why}, so there is no offset argument to replace: leave offset= out")
    if offset is None and design.offset_argument is True:
        raise DataError("the fit was given its offset as an array, so new data need one too: pass offset=")
    return design.offset_argument if offset is None and design.offset_argument else offset


def _refuse_missing_groups(rows: pd.DataFrame, groups: Sequence[str]) -> None:
    for name in groups:
        missing = np.flatnonzero(rows[name].isna())
        if len(missing):
            raise DataError(
                f"the group '{name}' is missing in {counted(len(missing), 'row')} of {_WHERE} (first at row "
                f"{rows.index[missing[0]]}): pass allow_new_levels=True to predict for an unknown group"
            )


def _new_random(
    random: RandomDesign, matrix: Any, rows: pd.DataFrame, allow_new_levels: bool, grouped: bool
) -> NewRandom:
    Z, strange = random.effects.rows(stack(matrix, rows.index), rows)
    if strange:
        raise DataError(
            f"{random.term.text} has no effect for {listed(strange)} in {_WHERE}: the fit knows "
            f"{listed(random.columns)}; leave the term out with re_form"
        )
    if not grouped:
        return NewRandom(random.columns, Z, np.full(len(rows), -1))
    codes, unseen = random.grouping.codes_of(rows)
    if unseen and not allow_new_levels:
        raise DataError(
            f"'{random.group}' has levels in {_WHERE} that the fit has not seen ({listed(unseen)}): pass "
            "allow_new_levels=True to predict for a new group"
        )
    return NewRandom(random.columns, Z, codes)


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
    offset = np.full(n, np.nan) if design.has_offset else None
    own = {a.name: np.full(a.D.shape[1:], np.nan) * np.ones((n, 1)) for a in design.auxiliary}
    own[POSITION] = np.full((n, 1), np.nan)
    return NewDesign(frame.index, np.full((n, len(design.coef_names)), np.nan), offset, terms, complete, own)


def _spread(values: np.ndarray, complete: np.ndarray, fill: Any = np.nan) -> np.ndarray:
    """Put the incomplete rows back in, on the last axis."""
    out = np.full((*values.shape[:-1], len(complete)), fill, dtype=values.dtype)
    out[..., complete] = values
    return out
