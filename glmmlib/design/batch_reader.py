"""Which columns a model reads from a source of rows, and how a batch of them becomes a data frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from glmmlib.covariance.registry import STRUCTURES
from glmmlib.design.columns import require
from glmmlib.design.matrices import read_parts
from glmmlib.design.plain import shown_as
from glmmlib.design.recipe import Parts, columns_of
from glmmlib.design.row_source import RowSource
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.formula.algebra import Term
from glmmlib.formula.terms import Cbind, MixedFormula
from glmmlib.formula.tokens import plain_name

INSTEAD = "compute the column beforehand, or pass lmer a DataFrame"


@dataclass(frozen=True, eq=False)
class BatchReader:
    """Which columns are read, and how a batch of them becomes a data frame."""

    formula: MixedFormula
    source: RowSource
    parts: Parts
    group: str
    response: str | None  # the column's name, if it is no expression
    needed: list[str]
    offset: str | None

    @classmethod
    def of(cls, formula: MixedFormula, source: RowSource, offset: str | None) -> BatchReader:
        if isinstance(formula.response, Cbind):
            raise ModelError(
                "cbind(successes, failures) is a binomial response: fit it with glmer(..., family='binomial')"
            )
        _check_terms(formula)
        parts, names = read_parts(formula, True), source.columns
        plain = plain_name(formula.response)
        return cls(
            formula,
            source,
            parts,
            require(formula.random[0].groups[0], names),
            None if plain is None else require(plain, names),
            columns_of(parts, names),
            None if offset is None else require(offset, names),
        )

    @property
    def names(self) -> list[str]:
        """All columns that the model reads."""
        given = (self.response, *self.needed, self.group, self.offset)
        return list(dict.fromkeys(name for name in given if name is not None))

    @property
    def factors(self) -> dict[str, str]:
        """The columns whose levels the fixed effects and the left sides of bars need, and what says so."""
        found = {name: name for name in self.needed if _is_factor(self.source.type_of(name))}
        for factor in (f for terms in self.parts.values() for term in terms for f in term.factors):
            expression = factor.expression
            if expression is not None and {"C", "factor"} & set(expression.called):
                names = columns_of({"": (Term((factor,)),)}, self.source.columns)
                found |= dict.fromkeys(names, shown_as(factor))
        return found

    def frame(self, batch: Any, index: pd.Index) -> pd.DataFrame:
        """Return a batch of complete rows as a data frame, without the column of groups."""
        columns = {}
        for name in self.names:
            if name != self.group or name in self.needed or name in (self.response, self.offset):
                array = batch.column(name)
                array = array.dictionary_encode() if is_text(array.type) else array
                columns[name] = array.to_pandas().set_axis(index)
        return pd.DataFrame(columns, index=index, copy=False)


def _check_terms(formula: MixedFormula) -> None:
    what = "a fit whose rows are read in batches"
    if not formula.random:
        raise ModelError(
            f"{formula.text!r} has no random-effects term; add one such as (1 | group), or fit it by "
            "ordinary least squares with statsmodels"
        )
    for term in formula.random:
        kind = STRUCTURES[term.word]
        if kind.is_curve or kind.left_side != "effects" or not kind.needs_repeats:
            raise ModelError(f"{what} has terms such as (x | g) and (x || g), not {term.text}: {INSTEAD}")
    groups = list(dict.fromkeys(term.groups for term in formula.random))
    if len(groups) > 1:
        names = [":".join(names) or "1" for names in groups]
        raise ModelError(
            f"{what} has one grouping factor, but the formula has {len(names)} ({listed(names)}): pass lmer "
            "a DataFrame"
        )
    if len(groups[0]) != 1:
        raise ModelError(
            f"{what} has a column for its grouping factor, not {':'.join(groups[0]) or '1'}: write such a "
            "column, or pass lmer a DataFrame"
        )


def is_text(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_factor(kind: Any) -> bool:
    import pyarrow as pa

    return is_text(kind) or pa.types.is_dictionary(kind) or pa.types.is_boolean(kind)
