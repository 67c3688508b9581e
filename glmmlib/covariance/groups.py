"""The random effects of a model, arranged by grouping factor."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from glmmlib.covariance.base import CovarianceStructure, Quantity
from glmmlib.covariance.parameters import Block, BlockDiagonal
from glmmlib.errors import ModelError
from glmmlib.linalg.conditioning import standardising_map
from glmmlib.linalg.crossing import Factor
from glmmlib.types import FloatArray, IntArray, Numbers


@dataclass(frozen=True, eq=False)
class Group:
    """All random effects of one grouping factor.

    ``columns`` names the ``q`` random effects, ``levels`` the ``J`` groups, and ``covariance`` tells the
    structures of their covariance. ``parts`` tells, for each term of the formula that is in here, its
    position among the random-effects terms and the slice of ``columns`` that it contributed.
    """

    name: str
    levels: Sequence[Hashable]
    columns: tuple
    terms: tuple
    parts: tuple
    covariance: BlockDiagonal
    factor: Factor

    @property
    def q(self) -> int:
        return len(self.columns)

    @property
    def is_whole(self) -> bool:
        """Are all rows one group, so that its random effects are places, animals ... themselves?"""
        return self.factor.n_levels == 1

    @property
    def is_curve(self) -> bool:
        """Are its effects the bends of a curve ``s(x)``, no sample of levels?"""
        return all(block.structure.is_curve for block in self.covariance.blocks)

    @property
    def positions(self) -> list[str]:
        """Between what its effects differ that are no columns of a model matrix: times, places."""
        sides = (block.structure.left_side for block in self.covariance.blocks)
        return [side for side in dict.fromkeys(sides) if side in ("times", "places")]

    def columns_of(self, terms: Mapping[int, Any]) -> FloatArray:
        """Return the columns (q, n) of its effects, put together from those of its terms by position."""
        Z = np.empty((self.q, terms[self.parts[0][0]].Z.shape[1]))
        for position, columns in self.parts:
            Z[columns] = terms[position].Z
        return Z

    def counts(self) -> dict[str, int]:
        """Return how many levels there are, by the name of what has them: the factor, or each term."""
        if self.is_curve:
            return {}
        if not self.is_whole:
            return {self.name: len(self.levels)}
        return {
            term.label: len(block.columns)
            for term, block in zip(self.terms, self.covariance.blocks, strict=True)
        }

    def tables(self, values: Any) -> Any:
        """Return values, a dict of (q, J) arrays, as tables: by name a dict of columns, and the index.

        A column is named for its effect, with the key of the values before it; where all rows are one group,
        each term has a table of its own, with its effects as rows and one column, ``"effect"``.
        """
        if not self.is_whole:
            columns = {
                f"{what} {c}".strip(): row
                for what, rows in values.items()
                for c, row in zip(self.columns, rows, strict=True)
            }
            return {self.name: (columns, self.levels)}
        return {
            term.label: (
                {f"{what} effect".strip(): rows[block.columns, 0] for what, rows in values.items()},
                [self.columns[i] for i in block.columns],
            )
            for term, block in zip(self.terms, self.covariance.blocks, strict=True)
        }

    def parts_of_covariance(self) -> Iterator[tuple[Any, Any, Any]]:
        """Yield each block of the covariance with the names of its effects and its term."""
        for term, block in zip(self.terms, self.covariance.blocks, strict=True):
            yield block, tuple(self.columns[i] for i in block.columns), term

    def boundary_sentences(self, theta: FloatArray) -> Iterator[str]:
        """Yield a sentence for each term that is on the boundary; theta is that of standardised columns."""
        for block, columns, term in self.parts_of_covariance():
            yield from block.structure.boundary_sentences(theta[block.index], self.name, columns, term.text)


@dataclass(frozen=True, eq=False)
class Place:
    """Where one entry of theta belongs: the k-th of ``block``, in the ``position``-th group.

    ``name`` is that of the quantity for which the entry stands, such as ``"sd Subject.Days"``.
    """

    name: str
    quantity: Quantity
    position: int
    block: Block
    k: int


def prefixed(group: str, name: str) -> str:
    """Return the name of a parameter with that of its grouping factor, unless that is all rows or a curve."""
    return name if group in ("1", name) else f"{group}.{name}"


def places_of(groups: Sequence[Group]) -> list[Place]:
    """Return the :class:`Place` of each entry of theta."""
    found = {}
    for position, group in enumerate(groups):
        for block, columns, term in group.parts_of_covariance():
            for k, quantity in enumerate(block.structure.quantities(columns, term.label)):
                name = f"{quantity.kind} {prefixed(group.name, quantity.target)}"
                found[int(block.index[k])] = Place(name, quantity, position, block, k)
    return [found[i] for i in range(len(found))]


def values_of(groups: Sequence[Group], theta: FloatArray, scale: Numbers) -> FloatArray:
    """Return what the entries of theta (..., n), on the user's columns, stand for: (..., n)."""
    values = np.empty(np.shape(theta))
    for group in groups:
        for block in group.covariance.blocks:
            values[..., block.index] = block.structure.values(theta[..., block.index], scale)
    return values


def refuse_curves(groups: Sequence[Group], what: str) -> None:
    """Refuse what is about groups where the model holds curves, with ``what`` as the subject of the sentence.

    Raises
    ------
    ModelError
    """
    curves = [g.name for g in groups if g.is_curve]
    if curves:
        raise ModelError(
            f"{what} is not there yet for a model with curves ({', '.join(curves)}), which are no groups: "
            "gl.smooths(fit) tells how much they bend, gl.smooth_curve(fit) where they run"
        )


def arrange(
    random_designs: Sequence[Any], weights: FloatArray | None = None
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Collect the terms of a formula by grouping factor.

    Parameters
    ----------
    random_designs : sequence of RandomDesign
    weights : (n,) array, optional
        Known precisions of a linear model; they set the scale of the standardised columns.

    Returns
    -------
    groups : tuple of Group
        In the order in which the formula first names them.
    theta_names : tuple of str
        For each entry of theta, in the order of the formula: ``"Subject.Days"`` for a diagonal entry of
        Lambda, ``"Subject.Days.Intercept"`` for the entry in the row of Days and the column of Intercept.
    """
    designs_of: dict[str, list[Any]] = {}
    theta_names: list[str] = []
    places: dict[int, tuple[int, CovarianceStructure, IntArray]] = {}
    for position, design in enumerate(random_designs):
        structure = design.structure
        names = [
            prefixed(design.grouping.name, name)
            for name in structure.names(design.columns, design.term.label)
        ]
        index = np.arange(len(names)) + len(theta_names)
        places[id(design)] = position, structure, index
        theta_names += names
        designs_of.setdefault(design.grouping.name, []).append(design)
    groups = tuple(_group(name, designs, places, weights) for name, designs in designs_of.items())
    return groups, tuple(theta_names)


def _group(
    name: str,
    designs: Sequence[Any],
    places: dict[int, tuple[int, CovarianceStructure, IntArray]],
    weights: FloatArray | None,
) -> Group:
    columns = tuple(column for d in designs for column in d.columns)
    blocks, parts, start = [], [], 0
    for d in designs:
        position, structure, index = places[id(d)]
        here = range(start, start + structure.q)
        blocks.append(Block(structure, here, index, standardising_map(d.Z, structure.invariance, weights)))
        parts.append((position, slice(here.start, here.stop)))
        start = here.stop
    Z = designs[0].Z if len(designs) == 1 else np.concatenate([d.Z for d in designs])
    to_standard = blocks[0].to_standard if len(blocks) == 1 else block_diag(*[b.to_standard for b in blocks])
    factor = Factor(name, designs[0].codes, Z, len(designs[0].levels), to_standard)
    terms = tuple(d.term for d in designs)
    covariance = BlockDiagonal(start, tuple(blocks))
    return Group(name, designs[0].levels, columns, terms, tuple(parts), covariance, factor)
