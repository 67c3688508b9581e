"""From ``residual="us(visit | id)"`` to blocks of rows and the position of each row in its block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.residual import RESIDUAL_STRUCTURES
from glmmlib.covariance.residual_base import ResidualStructure
from glmmlib.design.columns import clean, is_categorical, require
from glmmlib.design.grouping import Grouping
from glmmlib.design.levels import codes_in, factor_of, text_of
from glmmlib.display.words import did_you_mean, listed
from glmmlib.errors import DataError, FormulaError, ModelError
from glmmlib.formula.tokens import plain_name

_NAME = r"\s*(?:`[^`]+`|[^`|:,()]+)\s*"
_TERM = re.compile(
    rf"\s*(\w+)\s*\((?:\s*0\s*\+)?(?P<left>{_NAME})\|(?P<right>{_NAME}(?::{_NAME})*)"
    r"(?:,\s*hom\s*=\s*(?P<hom>\w+)\s*)?\)\s*"
)
_LOGICAL = {"True": True, "TRUE": True, "False": False, "FALSE": False}


@dataclass(frozen=True)
class ResidualTerm:
    """What ``residual=`` says.

    Attributes
    ----------
    text : str
        As it was given.
    word : str
        The structure: ``"us"``.
    column : str
        Whose values are the positions in a block.
    groups : tuple of str
        The columns whose combinations are the blocks.
    hom : bool or None
        One SD for all positions? None where the structure leaves no choice.
    """

    text: str
    word: str
    column: str
    groups: tuple[str, ...]
    hom: bool | None

    @property
    def label(self) -> str:
        return f"{self.word}({self.column})"


@dataclass(frozen=True, eq=False)
class ResidualDesign:
    """The blocks of correlated residuals.

    Attributes
    ----------
    term : ResidualTerm
    grouping : Grouping
        The block of each row.
    levels : pandas.Index
        The q positions.
    position : (n,) integer array
    structure : ResidualStructure
    """

    term: ResidualTerm
    grouping: Grouping
    levels: pd.Index = field(repr=False)
    position: np.ndarray = field(repr=False)
    structure: ResidualStructure = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the positions: ``"visit[2]"``."""
        return tuple(f"{self.term.column}[{text_of(level)}]" for level in self.levels)

    def kept(self, keep: np.ndarray) -> ResidualDesign:
        """Return the blocks of some of the rows, by a mask (n,); all positions stay."""
        return replace(self, grouping=self.grouping.kept(keep), position=self.position[keep])

    def positions_of(self, rows: pd.DataFrame, where: str = "the new data") -> np.ndarray:
        """Return the positions of other rows.

        Raises
        ------
        DataError
            For a column that is not there, or a position that the fit has not seen.
        """
        name = require(self.term.column, rows.columns, where)
        codes = codes_in(self.levels, rows[name])
        if (codes < 0).any():
            unseen = list(dict.fromkeys(map(str, rows[name][codes < 0])))
            raise DataError(
                f"{self.term.text} has no residual SD for {listed(unseen)} in {where}: the fit knows "
                f"{listed(list(self.levels))}"
            )
        return codes


def read_residual(text: str) -> ResidualTerm:
    """Read ``residual=``.

    Raises
    ------
    FormulaError

    Examples
    --------
    >>> term = read_residual("ar1(week | id)")
    >>> term.word, term.column, term.groups, term.hom
    ('ar1', 'week', ('id',), True)
    """
    words = ", ".join(RESIDUAL_STRUCTURES)
    how = f"write a structure ({words}), the column of positions and the blocks, as in us(visit | id)"
    if not isinstance(text, str):
        raise FormulaError(f"residual= is text, not {type(text).__name__}: {how}")
    found = _TERM.fullmatch(text)
    if found is None:
        raise FormulaError(f"residual={text!r} is not understood: {how}")
    word = found[1]
    if word not in RESIDUAL_STRUCTURES:
        near = did_you_mean(word, list(RESIDUAL_STRUCTURES))
        raise FormulaError(f"residual={text!r} names no residual structure{near}: {how}")
    hom = RESIDUAL_STRUCTURES[word][1]
    if found["hom"] is not None:
        if hom is None:
            raise FormulaError(f"residual={text!r}: {word}() has an SD for each position, and no option hom")
        if found["hom"] not in _LOGICAL:
            raise FormulaError(f"residual={text!r}: hom is True or False, not {found['hom']}")
        hom = _LOGICAL[found["hom"]]
    (column,), groups = (
        tuple(plain_name(name) or name.strip() for name in re.findall(_NAME, found[side]))
        for side in ("left", "right")
    )
    return ResidualTerm(text.strip(), word, column, groups, hom)


def learn_residual(term: ResidualTerm, rows: pd.DataFrame) -> ResidualDesign:
    """Return the blocks of complete rows.

    Raises
    ------
    DataError
        For a position that stands twice in a block, one position only, blocks of one row each, and pairs of
        positions that no block holds where the structure has a correlation for each.
    """
    grouping = Grouping.of(rows, term.groups)
    column = clean(rows, term.column)
    is_factor = is_categorical(column) or column.dtype.kind == "b"
    coded = factor_of(column, f"column '{term.column}'")
    levels, position = coded.cat.categories, coded.cat.codes.to_numpy().astype(np.intp)
    if len(levels) < 2:
        raise DataError(f"{term.text} needs at least two positions in {term.column!r}, and there is one only")
    _check_once(term, grouping, levels, position, rows.index)
    structure = RESIDUAL_STRUCTURES[term.word][0](len(levels), _times(levels, is_factor), term.hom)
    _check_pairs(term, grouping, levels, position, structure)
    position.flags.writeable = False
    return ResidualDesign(term, grouping, levels, position, structure)


def _times(levels, is_factor):
    """Return the times of the positions: their order, or numbers; what matters of dates is their steps."""
    if is_factor:
        return np.arange(len(levels), dtype=float)
    is_number = pd.api.types.is_numeric_dtype(levels.dtype)
    return np.asarray(levels if is_number else levels.astype("int64"), dtype=float)


def _check_once(term, grouping, levels, position, index):
    twice = pd.DataFrame({"block": grouping.codes, "position": position}).duplicated().to_numpy()
    if twice.any():
        k = int(np.argmax(twice))
        raise DataError(
            f"{term.text} takes each value of {term.column!r} once in a block, but {term.column} = "
            f"{levels[position[k]]} stands twice in {grouping.name} = {grouping.levels[grouping.codes[k]]} "
            f"(the second time in row {index[k]})"
        )


def _check_pairs(term, grouping, levels, position, structure):
    seen = np.zeros((len(grouping.levels), len(levels)))
    seen[grouping.codes, position] = 1.0
    pairs = seen.T @ seen
    if term.word != "diag" and not (seen.sum(axis=1) > 1).any():
        raise DataError(
            f"no level of {grouping.name} has two rows, so the data say nothing of the correlations of "
            f"{term.text}: take the rows of one subject as a block"
        )
    if not structure.has_free_pairs:
        return
    if (pairs == 0).any():
        i, j = np.argwhere(pairs == 0)[0]
        raise DataError(
            f"no level of {grouping.name} has both {term.column} = {levels[j]} and {term.column} = "
            f"{levels[i]}, so the data say nothing of their correlation: take a structure with fewer "
            "parameters, such as ar1 or cs"
        )
    if len(grouping.levels) <= len(levels):
        raise DataError(
            f"{term.text} estimates the covariance of {len(levels)} positions from {len(grouping.levels)} "
            f"levels of {grouping.name}: it needs more levels than positions; take ar1 or cs"
        )


def has_residual_side(design: Any) -> bool:
    """Does a linear model have ``residual=`` or ``sigma=``?"""
    return design.residual is not None or bool(design.auxiliary)


def refuse_residual_side(design: Any, what: str) -> None:
    """Refuse what is not worked out for ``residual=`` and ``sigma=``, with ``what`` as the subject.

    Raises
    ------
    ModelError
    """
    if has_residual_side(design):
        given = f"residual={design.residual.term.text!r}" if design.residual is not None else "sigma="
        raise ModelError(
            f"{what} is not there for a linear model with a residual side of its own ({given}): its variance "
            "parameters have intervals by conf_int(parm=...) or method='bootstrap', and models are compared "
            "by gl.anova"
        )


def check_blocks(residual: ResidualDesign, random: Sequence[Any]) -> None:
    """Refuse blocks that cross a grouping factor, and random effects that the residuals hold already.

    Raises
    ------
    ModelError
    """
    blocks, term = residual.grouping, residual.term
    for design in random:
        parent = np.zeros(len(blocks.levels), dtype=design.codes.dtype)
        parent[blocks.codes] = design.codes
        crossing = parent[blocks.codes] != design.codes
        if crossing.any():
            level = blocks.levels[blocks.codes[int(np.argmax(crossing))]]
            raise ModelError(
                f"the residuals of {term.text} tie rows of several levels of {design.group!r} together "
                f"({blocks.name} = {level} is in more than one): a block must lie within one level of each "
                "grouping factor"
            )
        is_same = len(np.unique(parent)) == len(blocks.levels)
        if is_same and _holds(residual, design):
            raise ModelError(
                f"{term.text} holds the covariance of {design.term.text} already, so the data cannot tell "
                "the two apart: leave the random term out, or take ar1"
            )


def _holds(residual, design):
    """Do the residuals have every covariance within a block that the random effects make?"""
    word, position = residual.term.word, residual.position
    if word in ("cs", "toep"):
        return design.term.lhs == "1" and residual.structure.hom
    if word != "us":
        return False
    first = np.zeros((len(residual.levels), len(design.Z)))
    first[position] = design.Z.T
    return bool(np.allclose(first[position], design.Z.T))
