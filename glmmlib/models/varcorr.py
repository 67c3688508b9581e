"""Variance components as people read them: SDs and correlations by grouping factor."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmlib.covariance.factors import sds_and_correlations


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
        Correlations (NaN where an SD is zero) and covariances, (q, q).
    free : (q, q) array of bool
        Which covariances the formula lets differ from zero.
    """

    name: str
    sd: pd.Series
    corr: pd.DataFrame
    cov: pd.DataFrame
    free: np.ndarray


class VarCorr(Mapping):
    """All variance components of a fit, by grouping factor.

    ``fit.varcorr["Subject"].sd["Days"]`` is one SD; :meth:`to_frame` is the whole as a table.

    Attributes
    ----------
    sigma : float or None
        Residual SD; None where the distribution has none.
    residual : dict
        The SDs that belong to no grouping factor: ``{"Residual": sigma}`` or nothing.
    """

    def __init__(self, groups, residual):
        self._groups = {g.name: g for g in groups}
        self.residual, self.sigma = residual, residual.get("Residual")

    def __getitem__(self, name):
        if name not in self._groups:
            raise KeyError(
                f"there is no grouping factor {name!r}; those of this fit are {', '.join(self._groups)}"
            )
        return self._groups[name]

    def __iter__(self):
        return iter(self._groups)

    def __len__(self):
        return len(self._groups)

    def to_frame(self):
        """Return all SDs and correlations as one table.

        Returns
        -------
        DataFrame
            One row for each SD: ``group``, ``name``, ``variance``, ``sd``, and its correlations with those
            above it.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> fit.varcorr.to_frame().round(2)["sd"].to_list()
        [24.74, 5.92, 25.59]
        """
        rows = []
        for g in self.values():
            for i, column in enumerate(g.sd.index):
                row = {"group": g.name, "name": column, "variance": g.sd.iloc[i] ** 2, "sd": g.sd.iloc[i]}
                row |= {f"corr {g.sd.index[j]}": g.corr.iloc[i, j] for j in range(i) if g.free[i, j]}
                rows.append(row)
        for name, sd in self.residual.items():
            rows.append({"group": name, "name": "", "variance": sd**2, "sd": sd})
        return pd.DataFrame(rows)

    def __repr__(self):
        return self.to_frame().to_string(index=False, na_rep="", float_format=lambda x: f"{x:.4g}")

    def _repr_html_(self):
        return self.to_frame().to_html(index=False, na_rep="", float_format=lambda x: f"{x:.4g}", border=0)


def group_covariance(group, Lambda, sigma):
    """Return the :class:`GroupCovariance` for ``sigma**2 Lambda Lambda'``."""
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
    )
