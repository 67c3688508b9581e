r"""Cluster-robust tests of the fixed effects: what stays right where the model's covariance is wrong.

The estimates are the model's; their covariance is that of the clusters' residuals (a "sandwich"). It does
not rest on the random effects and residuals being as the model says, only on clusters being independent. The
adjustments and degrees of freedom for few clusters do rest on the model, but on little of it
(:mod:`glmmlib.inference.sandwich`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from glmmlib.covariance.groups import refuse_curves
from glmmlib.design.grouping import Grouping
from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.tables import Table, aligned, fixed, html_with_notes, p_text, text_with_notes
from glmmlib.display.words import did_you_mean
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import half_widths, table_of_tests
from glmmlib.inference.sandwich import LARGEST, Sandwich, is_nested, sandwich
from glmmlib.inference.wald import WaldTest, contrast_matrix, equation
from glmmlib.types import ArrayLike, FloatArray, IntArray

KINDS = ("CR0", "CR2")


@dataclass(frozen=True, eq=False)
class RobustTests:
    """The result of :func:`glmmlib.robust`; ``print`` shows it.

    Attributes
    ----------
    table : DataFrame
        One row for each coefficient: ``estimate``, ``se``, ``df``, ``statistic``, ``p``, ``lower`` and
        ``upper``. H0: the coefficient is zero. Empty where the clusters tell nothing of it, as of the
        difference between two of them.
    cov : DataFrame (p, p)
        The robust covariance of the fixed effects.
    kind : {"CR0", "CR2"}
    cluster : str
        Whose levels are the clusters.
    n_clusters : int
    level : float
    """

    table: pd.DataFrame
    cov: pd.DataFrame
    kind: str
    cluster: str
    n_clusters: int
    level: float
    _fit: FittedModel = field(repr=False)
    _sandwich: Sandwich = field(repr=False)

    def wald_test(self, contrast: Any) -> WaldTest:
        """Test linear hypotheses about the fixed effects with the robust covariance.

        Parameters
        ----------
        contrast : str, dict, array, or list of str
            As in :func:`glmmlib.wald_test`.

        Returns
        -------
        WaldTest
            One row gives t, several an F test of all together, by the approximate Hotelling's T squared of
            Pustejovsky and Tipton (2018), "HTZ" in clubSandwich.

        Raises
        ------
        ModelError
            As in :func:`glmmlib.wald_test`, and where there are too few clusters for so many hypotheses.

        Examples
        --------
        >>> import glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
        >>> gl.robust(fit).wald_test("Days = 5")
        Wald test (cluster-robust, CR2, Satterthwaite degrees of freedom)
          H0        Estimate     SE    df     t      p
          Days = 5    10.467  1.546  17.0  3.54  0.003
        """
        L, rhs = contrast_matrix(self._fit, contrast)
        if not (L != 0).any(axis=1).all():
            raise ModelError("a row of the contrast has no coefficient in it: there is nothing to test")
        rows = _rows(self._fit, self._sandwich, L, rhs)
        names = self._fit.params.index
        hypotheses = tuple(equation(row, r, names) for row, r in zip(L, rhs, strict=True))
        if len(L) == 1:
            one = rows.iloc[0]
            t, df, p = (float(one[name]) for name in ("statistic", "df", "p"))
            return WaldTest(hypotheses, rows, "t", t, (df,), p, self.kind, L)
        F, df = self._sandwich.f_test(L, L @ self._fit.params.to_numpy() - rhs)
        return WaldTest(hypotheses, rows, "F", F, (len(L), df), float(fdtrc(len(L), df, F)), self.kind, L)

    def _table(self) -> Table:
        t = self.table
        columns = [
            list(map(str, t.index)),
            aligned(t["estimate"], t["se"]),
            aligned(t["se"]),
            fixed(t["df"], 1),
            fixed(t["statistic"], 2),
            list(map(p_text, t["p"])),
            aligned(t["lower"], t["se"]),
            aligned(t["upper"], t["se"]),
        ]
        header = ("", "Estimate", "SE", "df", "t", "p", f"{self.level:.0%} from", "to")
        return Table("Cluster-robust tests", header, tuple(zip(*columns, strict=True)))

    @property
    def _note(self) -> str:
        return (
            f"{self.kind} with {self.n_clusters} clusters ({self.cluster}), Satterthwaite degrees of freedom"
        )

    def __str__(self) -> str:
        return text_with_notes(self._table().to_text(), [self._note])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), [self._note])


@checked
def robust(
    fit: FittedModel, cluster: str | ArrayLike | None = None, kind: str = "CR2", level: float = 0.95
) -> RobustTests:
    r"""Test the fixed effects of a linear model with a cluster-robust covariance.

    .. math:: \hat C = M \Big[\sum_j X_j'V_j^{-1} A_j e_j e_j' A_j' V_j^{-1} X_j\Big] M

    Parameters
    ----------
    fit : LinearMixedModelFit
    cluster : str or array, optional
        A column of the data, a grouping factor such as ``"batch:cask"``, or a label for each row: clusters
        are independent of each other. By default the outermost grouping factor.
    kind : {"CR2", "CR0"}
        ``"CR2"`` adjusts the residuals so that the covariance has no bias where the model is right; ``"CR0"``
        takes them as they are, which is too small with few clusters.
    level : float
        Of the intervals.

    Returns
    -------
    RobustTests
        With ``table``, ``cov`` and ``wald_test()``.

    Raises
    ------
    ModelError
        For a generalised model; where random effects or residuals go across clusters, as with crossed
        factors; for curves, and for clusters too large for a dense matrix.
    DataError
        For clusters that are no column, or are missing in some rows.

    Notes
    -----
    The tests are t tests with Satterthwaite's degrees of freedom, which say how many clusters really tell
    about a coefficient: far fewer than there are where a covariate differs in few of them. The same is
    ``vcovCR`` and ``coef_test`` of the R package clubSandwich.

    References
    ----------
    Pustejovsky, J. E. and Tipton, E. (2018), Small-sample methods for cluster-robust variance estimation and
    hypothesis testing in fixed effects models, *Journal of Business & Economic Statistics* 36, 672-683.

    Examples
    --------
    The intercepts' model alone has too small an error for the slope; the clusters know better:

    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> fit.bse["Days"].round(2).item(), gl.robust(fit).table.loc["Days", "se"].round(2).item()
    (0.8, 1.55)
    """
    checked_level(level)
    if kind not in KINDS:
        raise ModelError(f"kind is 'CR0' or 'CR2', not {kind!r}")
    if not fit.is_linear:
        raise ModelError(
            "robust covariances are those of linear models: for a generalised one look at the fit with "
            "gl.check, and take a family that scatters as the data do, or fit.bootstrap"
        )
    refuse_curves(fit.groups, "a robust covariance")
    name, codes = _clusters(fit, cluster)
    largest = int(np.bincount(codes).max())
    if largest > LARGEST:
        raise ModelError(
            f"the largest cluster has {largest:,} rows, and {LARGEST:,} is the most: take smaller ones"
        )
    found = sandwich(fit, codes, kind == "CR2")
    names = fit.params.index
    table = _rows(fit, found, np.eye(len(names)), 0.0).set_index(names)
    half = half_widths(table, level)
    table["lower"], table["upper"] = table["estimate"] - half, table["estimate"] + half
    cov = pd.DataFrame(found.covariance, names, names)
    return RobustTests(table, cov, kind, name, int(codes.max()) + 1, level, fit, found)


def _rows(fit: FittedModel, found: Sandwich, L: FloatArray, rhs: Any) -> pd.DataFrame:
    estimate = L @ fit.params.to_numpy()
    se = np.sqrt(np.einsum("rp,pq,rq->r", L, found.covariance, L))
    df = found.df(L)
    return table_of_tests(estimate, np.where(np.isnan(df), np.nan, se), df, rhs)


def _clusters(fit: FittedModel, cluster: Any) -> tuple[str, IntArray]:
    """Return the name of the clusters and the code of each row."""
    factors = {d.grouping.name: d.grouping.codes for d in fit.design.random if d.term.groups}
    if fit.design.residual is not None:
        factors[fit.design.residual.grouping.name] = fit.design.residual.grouping.codes
    if cluster is None:
        nested = {name: codes for name, codes in factors.items() if is_nested(fit, codes)}
        if not nested:
            raise ModelError(
                f"no grouping factor of {fit.formula!r} holds independent clusters, because others go across "
                "it: name clusters of the data within which all random effects stay, by cluster="
            )
        return max(nested.items(), key=lambda item: -int(item[1].max()))
    name, codes = _given(fit, cluster, factors)
    if codes.max() == 0:
        raise DataError(f"all rows are one cluster ({name}), and a robust covariance needs several")
    if not is_nested(fit, codes):
        raise ModelError(
            f"random effects or residuals of the model go across the clusters ({name}), which are not "
            "independent then: take larger clusters, or a model whose groups lie within them"
        )
    return name, codes


def _given(fit, cluster, factors):
    if isinstance(cluster, str) and cluster in factors:
        return cluster, factors[cluster]
    data = fit.design.data
    if isinstance(cluster, str):
        if cluster not in data:
            near = did_you_mean(cluster, [*factors, *(c for c in data if isinstance(c, str))])
            raise DataError(f"cluster is a column of the data; there is no {cluster!r}{near}")
        name, labels = cluster, data[cluster]
    else:
        name, labels = "given", pd.Series(cluster)
        if np.ndim(cluster) != 1 or len(labels) != fit.nobs:
            raise DataError(
                f"cluster has one label for each of the {fit.nobs} rows of the fit, or is a column"
            )
    if labels.isna().any():
        raise DataError(f"cluster is missing in {int(labels.isna().sum())} rows of the fit")
    if labels.nunique() == 1:
        return name, np.zeros(fit.nobs, dtype=np.intp)
    return name, Grouping.of(pd.DataFrame({"cluster": labels.to_numpy()}), ("cluster",)).codes
