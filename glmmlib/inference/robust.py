r"""Cluster-robust tests of the fixed effects: what stays right where the model's covariance is wrong.

The estimates are the model's; their covariance is that of the clusters' residuals, or scores (a "sandwich").
It does not rest on the random effects and residuals being as the model says, only on clusters being
independent. The adjustments and degrees of freedom for few clusters do rest on the model, but on little of it
(:mod:`glmmlib.inference.sandwich`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import refuse_curves
from glmmlib.design.arguments import labels_in
from glmmlib.design.grouping import Grouping
from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.tables import Table, aligned, fixed, html_with_notes, p_text, text_with_notes
from glmmlib.display.words import did_you_mean
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import half_widths, table_of_tests
from glmmlib.inference.sandwich import LARGEST, Sandwich, ScoreSandwich, is_nested, sandwich, score_sandwich
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
    _sandwich: Sandwich | ScoreSandwich = field(repr=False)

    @checked
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
        single, joint = self._sandwich.statistics
        if len(L) == 1:
            one = rows.iloc[0]
            t, df, p = (float(one[name]) for name in ("statistic", "df", "p"))
            return WaldTest(hypotheses, rows, single, t, (df,), p, self.kind, L)
        value, found, p = self._sandwich.joint(L, L @ self._fit.params.to_numpy() - rhs)
        return WaldTest(hypotheses, rows, joint, value, found, p, self.kind, L)

    def _table(self) -> Table:
        t, letter = self.table, self._sandwich.statistics[0]
        columns = [
            list(map(str, t.index)),
            aligned(t["estimate"], t["se"]),
            aligned(t["se"]),
            *([fixed(t["df"], 1)] if letter == "t" else []),
            fixed(t["statistic"], 2),
            list(map(p_text, t["p"])),
            aligned(t["lower"], t["se"]),
            aligned(t["upper"], t["se"]),
        ]
        df = ("df",) if letter == "t" else ()
        header = ("", "Estimate", "SE", *df, letter, "p", f"{self.level:.0%} from", "to")
        return Table("Cluster-robust tests", header, tuple(zip(*columns, strict=True)))

    @property
    def _note(self) -> str:
        how = "Satterthwaite degrees of freedom" if self._sandwich.statistics[0] == "t" else "z tests"
        return f"{self.kind} with {self.n_clusters} clusters ({self.cluster}), {how}"

    def __str__(self) -> str:
        return text_with_notes(self._table().to_text(), [self._note])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), [self._note])


@checked
def robust(
    fit: FittedModel, cluster: str | ArrayLike | None = None, kind: str | None = None, level: float = 0.95
) -> RobustTests:
    r"""Test the fixed effects with a cluster-robust covariance.

    .. math:: \hat C = M \Big[\sum_j X_j'V_j^{-1} A_j e_j e_j' A_j' V_j^{-1} X_j\Big] M

    in a linear model, and :math:`C \big[\sum_j s_j s_j'\big] C` in a generalised one, :math:`s_j` being the
    score of a cluster's log-likelihood and C the covariance of all parameters.

    Parameters
    ----------
    fit : MixedModelFit
    cluster : str or array, optional
        A column of the data, a grouping factor such as ``"batch:cask"``, or a label for each row: clusters
        are independent of each other. By default the outermost grouping factor.
    kind : {"CR2", "CR0"}, optional
        ``"CR2"``, the default of a linear model, adjusts the residuals so that the covariance has no bias
        where the model is right; ``"CR0"`` takes them as they are, which is too small with few clusters.
        Generalised models have CR0 only.
    level : float
        Of the intervals.

    Returns
    -------
    RobustTests
        With ``table``, ``cov`` and ``wald_test()``.

    Raises
    ------
    ModelError
        For CR2 of a generalised model; where random effects or residuals go across clusters, as with crossed
        factors; for curves, and for clusters of a linear model too large for a dense matrix.
    DataError
        For clusters that are no column, or are missing in some rows.

    Notes
    -----
    Of a linear model the tests are t tests with Satterthwaite's degrees of freedom, which say how many
    clusters really tell about a coefficient: far fewer than there are where a covariate differs in few of
    them. The same are ``vcovCR``, ``coef_test`` and ``Wald_test`` of the R package clubSandwich, but for
    nlme's ``gls`` by maximum likelihood, whose ``vcov`` holds :math:`n / (n - p)`: its CR0 is larger by the
    square of that. Of a generalised model they are z tests, which
    need many clusters: with fewer than some 40 they reject too often. What the clusters cannot mend is a mean
    that is wrong: the estimates are then those of the nearest such model.

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

    Counts that scatter more than Poisson ones:

    >>> fit = gl.glmer("TICKS ~ YEAR + (1 | BROOD)", gl.load("grouseticks"), family="poisson")
    >>> fit.bse["YEAR[T.96]"].round(2).item(), gl.robust(fit).table.loc["YEAR[T.96]", "se"].round(2).item()
    (0.31, 0.33)
    """
    checked_level(level)
    kind = ("CR2" if fit.is_linear else "CR0") if kind is None else kind
    if kind not in KINDS:
        raise ModelError(f"kind is 'CR0' or 'CR2', not {kind!r}")
    if kind == "CR2" and not fit.is_linear:
        raise ModelError(
            "CR2 adjusts the residuals of linear models, and a generalised one has no such covariance: ask "
            "for kind='CR0', or with few clusters for fit.bootstrap"
        )
    refuse_curves(fit.groups, "a robust covariance")
    name, codes = _clusters(fit, cluster)
    largest = int(np.bincount(codes).max())
    if fit.is_linear and largest > LARGEST:
        raise ModelError(
            f"the largest cluster has {largest:,} rows, and {LARGEST:,} is the most: take smaller ones"
        )
    found = sandwich(fit, codes, kind == "CR2") if fit.is_linear else score_sandwich(fit, codes)
    names = fit.params.index
    table = _rows(fit, found, np.eye(len(names)), 0.0).set_index(names)
    half = half_widths(table, level)
    table["lower"], table["upper"] = table["estimate"] - half, table["estimate"] + half
    cov = pd.DataFrame(found.covariance, names, names)
    return RobustTests(table, cov, kind, name, int(codes.max()) + 1, level, fit, found)


def _rows(fit: FittedModel, found: Sandwich | ScoreSandwich, L: FloatArray, rhs: Any) -> pd.DataFrame:
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
        name, labels = "given", pd.Series(labels_in(cluster, "cluster", fit.nobs))
    if labels.isna().any():
        raise DataError(f"cluster is missing in {int(labels.isna().sum())} rows of the fit")
    if labels.nunique() == 1:
        return name, np.zeros(fit.nobs, dtype=np.intp)
    return name, Grouping.of(pd.DataFrame({"cluster": labels.to_numpy()}), ("cluster",)).codes
