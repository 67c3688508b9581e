"""Which columns of the data a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from glmmlib.design.auxiliary import read_auxiliary_parts
from glmmlib.design.columns import require
from glmmlib.design.matrices import read_parts
from glmmlib.design.recipe import Parts, columns_of
from glmmlib.formula.terms import MixedFormula
from glmmlib.formula.tokens import plain_name


@dataclass(frozen=True, eq=False)
class NamedColumns:
    """The columns that a model names, each of them found in the data.

    Attributes
    ----------
    parts : mapping of str to terms
        The formula's parts, and those of auxiliary parameters.
    computed : list of str
        What the parts read.
    response : str or None
        A response that is a column itself.
    groups : mapping
        The columns of each grouping factor, by the names in the formula.
    beside : list of str
        Those of weights, offset and blocks of residuals.
    """

    parts: Parts
    computed: list[str]
    response: str | None
    groups: Mapping[tuple[str, ...], tuple[str, ...]]
    beside: list[str]

    @classmethod
    def of(
        cls,
        formula: MixedFormula,
        columns: pd.Index,
        *,
        response: bool,
        auxiliary: Mapping[str, str],
        beside: Sequence[str],
    ) -> NamedColumns:
        """Find what a model names among the columns of the data.

        Raises
        ------
        FormulaError, DataError
            For a part that cannot be read, and for a name that is no column.
        """
        parts = {**read_parts(formula, response), **read_auxiliary_parts(auxiliary)}
        computed = columns_of(parts, columns)
        plain = plain_name(formula.response) if response and isinstance(formula.response, str) else None
        return cls(
            parts,
            computed,
            None if plain is None else require(plain, columns),
            {term.groups: tuple(require(name, columns) for name in term.groups) for term in formula.random},
            [require(name, columns) for name in beside],
        )

    @property
    def all(self) -> list[str]:
        """Each column once."""
        response = [] if self.response is None else [self.response]
        of_groups = [name for names in self.groups.values() for name in names]
        return list(dict.fromkeys([*response, *self.computed, *of_groups, *self.beside]))
