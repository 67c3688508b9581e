"""Variance components as people read them: SDs and correlations by grouping factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.factors import sds_and_correlations
from glmmlib.covariance.groups import Group, prefixed
from glmmlib.types import FloatArray


@dataclass(frozen=True)
class Component:
    """One SD of a grouping factor, as a table shows it.

    Attributes
    ----------
    name, parameter : str
        Of the effect, or of a term whose effects share one SD; and as :func:`glmmlib.profile` has it.
    sd : float
    correlations : dict of str to float
        Those with the effects above that are parameters of their own, by effect.
    shared : dict of str to float
        What all effects of the term share (``"rho"``, ``"range"``), told with its first SD.
    label : str
        Of the term, for what is shared.
    """

    name: str
    parameter: str
    sd: float
    correlations: dict
    shared: dict
    label: str


@dataclass(frozen=True, eq=False)
class GroupCovariance:
    """The covariance matrix of the random effects of one grouping factor.

    Attributes
    ----------
    name : str
        The grouping factor.
    sd : Series
        Standard deviations, in the units of the response per unit of the column.
    corr, cov : DataFrame
        Correlations (NaN where an SD is zero: not identified) and covariances, (q, q).
    free : (q, q) array of bool
        Which covariances the formula lets differ from zero.
    components : tuple of Component
        Its parameters, an SD each with what belongs to it.
    shared : dict of str to float
        Parameters that the effects of a term share, such as ``"rho ar1(week)"``; NaN where no two have
        an SD, so that it is not identified.
    """

    name: str
    sd: pd.Series
    corr: pd.DataFrame
    cov: pd.DataFrame
    free: np.ndarray
    components: tuple

    @property
    def shared(self) -> Any:
        """Parameters that the effects of a term share, such as ``"rho ar1(week)"``: a dict."""
        return {f"{kind} {c.label}": value for c in self.components for kind, value in c.shared.items()}


class VarCorr(Mapping):
    """All variance components of a fit, by grouping factor.

    ``fit.varcorr["Subject"].sd["Days"]`` is one SD; :meth:`to_frame` is the whole as a table.

    Attributes
    ----------
    sigma : float or None
        Residual SD; None where the distribution has none.
    residual : dict
        The SDs that belong to no grouping factor: ``{"Residual": sigma}``, one for each position of
        ``residual="us(visit | id)"`` and the like, or nothing.
    residual_components : tuple of Component
        What a table shows of the residuals.
    residual_covariance : GroupCovariance or None
        SDs and correlations of the residuals of one block; with ``sigma=`` SDs relative to the first.
    """

    def __init__(
        self,
        groups: Sequence[GroupCovariance],
        residual: dict[str, float],
        residual_covariance: GroupCovariance | None = None,
    ) -> None:
        self._groups = {g.name: g for g in groups}
        self.residual, self.sigma = residual, residual.get("Residual")
        self.residual_covariance = residual_covariance

    @property
    def residual_components(self) -> tuple[Component, ...]:
        """What a table shows of the residuals."""
        if self.residual_covariance is not None:
            return self.residual_covariance.components
        return tuple(Component("", "sigma", sd, {}, {}, "") for sd in self.residual.values())

    def __getitem__(self, name: str) -> GroupCovariance:
        if name not in self._groups:
            raise KeyError(
                f"there is no grouping factor {name!r}; those of this fit are {', '.join(self._groups)}"
            )
        return self._groups[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def to_frame(self) -> pd.DataFrame:
        """Return all SDs and correlations as one table.

        Returns
        -------
        DataFrame
            One row for each SD: ``group``, ``name``, ``variance``, ``sd``, its correlations with those above
            it, and what the effects of a term share (``rho``, ``range``).

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.varcorr.to_frame().round(2)["sd"].to_list()
        [24.74, 5.92, 25.59]
        """
        rows = []
        for g in self.values():
            for c in g.components:
                row = {"group": g.name, "name": c.name, "variance": c.sd**2, "sd": c.sd}
                rows.append(row | {f"corr {name}": r for name, r in c.correlations.items()} | c.shared)
        for c in self.residual_components:
            row = {"group": "Residual", "name": c.name, "variance": c.sd**2, "sd": c.sd}
            rows.append(row | {f"corr {name}": r for name, r in c.correlations.items()} | c.shared)
        return pd.DataFrame(rows)

    def _shown(self) -> pd.DataFrame:
        table = self.to_frame()
        components = [*(c for g in self.values() for c in g.components), *self.residual_components]
        for row, c in enumerate(components):
            for kind in (kind for kind, value in c.shared.items() if np.isnan(value)):
                table[kind] = table[kind].astype(object)
                table.loc[row, kind] = "not identified"
        return table

    def __repr__(self) -> str:
        return self._shown().to_string(index=False, na_rep="", float_format=lambda x: f"{x:.4g}")

    def _repr_html_(self) -> str:
        return self._shown().to_html(index=False, na_rep="", float_format=lambda x: f"{x:.4g}", border=0)


def group_covariance(group: Group, theta: FloatArray, sigma: float) -> GroupCovariance:
    """Return the :class:`GroupCovariance` for theta, on the columns as the user wrote them."""
    Lambda = group.covariance.factor(theta)
    covariance = sigma**2 * Lambda @ Lambda.T
    sd, corr = sds_and_correlations(covariance)
    names = list(group.columns)
    free = group.covariance.free_covariances()
    return GroupCovariance(
        group.name,
        pd.Series(sd, names, name="sd"),
        pd.DataFrame(corr, names, names),
        pd.DataFrame(covariance, names, names),
        free,
        tuple(
            c for part in group.parts_of_covariance() for c in _components(group, corr, *part, theta, sigma)
        ),
    )


def _components(group, corr, block, columns, term, theta, sigma):
    """Yield the components of one term."""
    quantities = block.structure.quantities(columns, term.label)
    values = dict(zip(quantities, block.structure.values(theta[block.index], sigma), strict=True))
    shared = {q.kind: float(value) for q, value in values.items() if q.kind not in ("sd", "corr")}
    has_own = any(q.kind == "corr" for q in quantities)
    start = block.columns.start
    for i, (quantity, sd) in enumerate((q, value) for q, value in values.items() if q.kind == "sd"):
        above = {columns[j]: float(corr[start + i, start + j]) for j in range(i)} if has_own else {}
        parameter = f"sd {prefixed(group.name, quantity.target)}"
        yield Component(quantity.target, parameter, float(sd), above, {} if i else shared, term.label)
