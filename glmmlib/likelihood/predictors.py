r"""Auxiliary predictors: what a family has beside its mean, row by row.

An auxiliary parameter, such as a dispersion, has a link h of its own, and either one value for all rows or a
linear predictor,

.. math:: \tau_i = h(\phi_i) = d_i'\gamma.

Families know derivatives in :math:`\tau_i`, row by row; those in :math:`\gamma` are D' times them. The
columns of D are made orthonormal here, but for their length :math:`\sqrt n`: each is then of the size of a
constant, and so is what the data tell about its coefficient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from glmmlib.families.auxiliary import Auxiliary
from glmmlib.families.base import Family
from glmmlib.linalg.conditioning import triangular_factor
from glmmlib.types import AuxiliaryValue, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class AuxiliaryPredictor:
    """One auxiliary parameter of a family.

    Attributes
    ----------
    auxiliary : Auxiliary
        Its name and its link.
    D : (n, r) array or None
        The columns of its linear predictor; None for one value in all rows.
    names : tuple of str
        Of these columns.
    """

    auxiliary: Auxiliary
    D: FloatArray | None = None
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many coefficients it has."""
        return 1 if self.D is None else self.D.shape[1]

    @cached_property
    def R(self) -> FloatArray:
        """Upper triangular (r, r): ``D = Q R``."""
        D = self.D
        if D is None:
            return np.eye(1)
        return triangular_factor(lambda rows: D[rows].T, len(D)) / np.sqrt(len(D))

    @cached_property
    def Q(self) -> FloatArray:
        """The columns, made orthonormal but for their length, as the rows of an (r, n) array."""
        assert self.D is not None, "one value for all rows has no columns"
        return np.linalg.solve(self.R.T, self.D.T)

    def values(self, gamma: FloatArray) -> Any:
        """Return the parameter: a number, or (n,) numbers, for coefficients of the orthonormal columns."""
        return self.auxiliary.link.inverse(gamma[0] if self.D is None else gamma @ self.Q)

    def values_of_many(self, gamma: FloatArray) -> Any:
        """Return it for R replicates, (R, 1) or (R, n), of coefficients (R, r)."""
        return self.auxiliary.link.inverse(gamma if self.D is None else gamma @ self.Q)

    def values_at(self, gamma: FloatArray, D: Any = None) -> Any:
        """Return it in rows D (m, r), for the user's coefficients."""
        return self.auxiliary.link.inverse(gamma[0] if self.D is None else D @ gamma)

    def constant(self, value: float) -> FloatArray:
        """Return the coefficients whose predictor is nearest to a constant."""
        tau = float(self.auxiliary.link.link(value))
        return np.array([tau]) if self.D is None else tau * self.Q.mean(axis=1)

    def pull(self, rowwise: FloatArray) -> FloatArray:
        """Return the derivatives in the coefficients, for those in each row's tau."""
        return np.array([np.sum(rowwise)]) if self.D is None else self.Q @ rowwise


class AuxiliaryPredictors:
    """All auxiliary parameters of a family; their coefficients stand one after the other in ``gamma``.

    Parameters
    ----------
    parts : sequence of AuxiliaryPredictor
        In the order of ``family.auxiliary``.
    n : int
        Rows.

    Notes
    -----
    Families take a single parameter as a number or as an array (n,), several as (n, number of parameters).
    """

    def __init__(self, parts: Sequence[AuxiliaryPredictor], n: int):
        self.parts, self.n = tuple(parts), n
        ends = np.cumsum([0, *(part.size for part in self.parts)]).tolist()
        self.places = [slice(start, end) for start, end in pairwise(ends)]
        self.size = ends[-1]

    @classmethod
    def of(
        cls, family: Family, designs: Mapping[str, tuple[FloatArray, tuple[str, ...]]], n: int
    ) -> AuxiliaryPredictors:
        """Return those of a family; ``designs`` holds, by name, the columns (n, r) and their names."""
        return cls([AuxiliaryPredictor(a, *designs.get(a.name, ())) for a in family.auxiliary], n)

    def in_order(self, rows: IntArray) -> AuxiliaryPredictors:
        """Return the same with the rows in another order."""
        parts = [p if p.D is None else replace(p, D=p.D[rows]) for p in self.parts]
        return AuxiliaryPredictors(parts, self.n)

    @property
    def is_constant(self) -> bool:
        """Has each parameter one value for all rows?"""
        return all(part.D is None for part in self.parts)

    @property
    def is_single(self) -> bool:
        """Is there at most one parameter, with one value?"""
        return len(self.parts) <= 1 and self.is_constant

    # -- at coefficients of the orthonormal columns ------------------------------------------------------

    def values(self, gamma: FloatArray) -> AuxiliaryValue:
        """Return the parameters as the family takes them."""
        if self.is_single:
            return float(self.parts[0].values(gamma)) if self.parts else None
        return self._joined([p.values(gamma[place]) for p, place in self._placed()], self.n)

    def constant(self, values: AuxiliaryValue) -> FloatArray:
        """Return the coefficients at which each parameter is nearest to one value in all rows."""
        if not self.parts:
            return np.zeros(0)
        given = np.atleast_1d(values)
        return np.concatenate([p.constant(v) for p, v in zip(self.parts, given, strict=True)])

    def change(self, values: AuxiliaryValue, old: AuxiliaryValue) -> FloatArray:
        """Return by how much each row's tau differs between two sets of parameters."""
        if len(self.parts) == 1:
            link = self.parts[0].auxiliary.link
            return link.link(values) - link.link(old)
        links = [part.auxiliary.link for part in self.parts]
        moved = [h.link(values[..., k]) - h.link(old[..., k]) for k, h in enumerate(links)]
        return np.stack(moved, axis=-1)

    def pull(self, rowwise: FloatArray) -> FloatArray:
        """Return the derivatives in gamma, for those in each row's tau, (n,) or (n, number of parameters)."""
        columns = [rowwise] if len(self.parts) == 1 else list(rowwise.T)
        return np.concatenate([p.pull(column) for p, column in zip(self.parts, columns, strict=True)])

    # -- at coefficients (R, size) of many replicates ----------------------------------------------------

    def values_of_many(self, gamma: FloatArray) -> Any:
        """Return the parameters, (R, 1) or (R, n), with one more axis for several; None for none."""
        found = [p.values_of_many(gamma[:, place]) for p, place in self._placed()]
        if len(found) <= 1:
            return found[0] if found else None
        return np.stack(np.broadcast_arrays(*found), axis=-1)

    def along(self, rowwise: FloatArray) -> Iterator[FloatArray]:
        """Yield what each coefficient adds row by row (R, n), for what each row's tau adds, (R, n) or (R, n,
        number of parameters).
        """
        columns = [rowwise] if len(self.parts) == 1 else np.moveaxis(rowwise, -1, 0)
        for part, column in zip(self.parts, columns, strict=True):
            yield from [column] if part.D is None else (column * q for q in part.Q)

    @property
    def may_be_exact(self) -> bool:
        """Are there values at which the model reproduces the response?"""
        return any(part.auxiliary.may_be_exact for part in self.parts)

    def is_exact(self, gamma: FloatArray) -> bool:
        """Does the model reproduce the response of some row?"""
        found = ((part, part.values(gamma[place])) for part, place in self._placed())
        return any(part.auxiliary.is_exact(f(value)) for part, value in found for f in (np.min, np.max))

    # -- on the user's scale -----------------------------------------------------------------------------

    @cached_property
    def to_user(self) -> FloatArray:
        """The map (size, size) to the user's coefficients."""
        T = np.zeros((self.size, self.size))
        for part, place in self._placed():
            T[place, place] = np.linalg.inv(part.R)
        return T

    def estimate(self, gamma: FloatArray) -> AuxiliaryValue:
        """Return what :class:`~glmmlib.likelihood.solution.Estimates` holds: a single parameter itself, else
        the user's coefficients; None where there is nothing.
        """
        return self.values(gamma) if self.is_single else self.to_user @ gamma

    def coefficients(self, estimate: AuxiliaryValue) -> FloatArray:
        """The inverse of :meth:`estimate`."""
        if self.is_single:
            return self.constant(estimate)
        return np.linalg.solve(self.to_user, estimate)

    def values_at(
        self, estimate: AuxiliaryValue, designs: Mapping[str, FloatArray], n: int
    ) -> AuxiliaryValue:
        """Return the parameters in n other rows, whose columns ``designs`` holds by name."""
        if self.is_single:
            return estimate
        found = [p.values_at(estimate[place], designs.get(p.auxiliary.name)) for p, place in self._placed()]
        return self._joined(found, n)

    def named(self, estimate: AuxiliaryValue) -> dict[str, Any]:
        """Return by name each parameter that has one value, and the coefficients of the others."""
        if self.is_single:
            return {part.auxiliary.name: estimate for part in self.parts}
        found = {}
        for part, place in self._placed():
            if part.D is None:
                found[part.auxiliary.name] = float(part.auxiliary.link.inverse(estimate[place][0]))
            else:
                found |= dict(zip(coefficient_names(part), estimate[place].tolist(), strict=True))
        return found

    @property
    def modelled_names(self) -> list[str]:
        """Name the coefficients of the parameters that have a linear predictor."""
        return [name for part in self.parts for name in coefficient_names(part)]

    @property
    def is_modelled(self) -> np.ndarray:
        """Mark these coefficients among all, (size,)."""
        return np.repeat([p.D is not None for p in self.parts], [p.size for p in self.parts]).astype(bool)

    def with_any(self, marked: BoolArray) -> Iterator[tuple[Auxiliary, bool]]:
        """Yield the parameters with a marked coefficient (size,), and whether they have one value."""
        for part, place in self._placed():
            if marked[place].any():
                yield part.auxiliary, part.D is None

    def by_name(self, values: AuxiliaryValue) -> dict[str, Any]:
        """Return each parameter by its name, from their values as the family takes them."""
        names = [part.auxiliary.name for part in self.parts]
        if len(names) <= 1:
            return dict.fromkeys(names, values)
        columns = {name: values[..., k] for k, name in enumerate(names)}
        is_one = {part.auxiliary.name: part.D is None for part in self.parts}
        return {name: float(v[0]) if is_one[name] else v for name, v in columns.items()}

    @property
    def names(self) -> list[str]:
        """Name each coefficient in a sentence."""
        named = (["the " + p.auxiliary.name] if p.D is None else coefficient_names(p) for p in self.parts)
        return [name for names in named for name in names]

    def _placed(self):
        return zip(self.parts, self.places, strict=True)

    def runs_off(self, found: AuxiliaryValue) -> Iterator[tuple[str, int]]:
        """Name what is zero or infinite in some of the rows of :meth:`values_at`, with their number."""
        for k, part in enumerate(self.parts):
            low, high = part.auxiliary.range
            values = np.asarray(found if len(self.parts) == 1 else found[..., k], dtype=float)
            lost = int((np.isinf(values) | ((values == low) & np.isinf(high))).sum())
            if part.D is not None and lost:
                yield part.auxiliary.name, lost

    @staticmethod
    def _joined(values, n):
        if len(values) == 1:
            return values[0]
        return np.stack([np.broadcast_to(value, (n,)) for value in values], axis=-1)


def coefficient_names(part: AuxiliaryPredictor) -> list[str]:
    """Name the coefficients of a parameter as intervals and profiles do: ``"dispersion x"``."""
    return [f"{part.auxiliary.name} {name}" for name in part.names]
