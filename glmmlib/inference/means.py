"""Marginal means: what the fixed effects predict for the levels of a factor, averaged evenly over everything
else.

The predictions stand on a grid: all combinations of the levels of the factors among the fixed effects, with
covariates at their means. A marginal mean is the plain average of the grid's predictions with that level, so
that factors which are unbalanced in the data do not leak into each other. It is a linear combination of the
coefficients, and is tested as one.

Searle, Speed and Milliken (1980), Population marginal means in the linear model: an alternative to least
squares means, *The American Statistician* 34, 216-221.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.tables import Table, aligned, fixed, html_with_notes, labels_of, p_text, text_with_notes
from glmmlib.display.words import did_you_mean, listed
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.bends import Bends, curve_keys, grid_bends
from glmmlib.inference.contrasts import DDF_TITLE, check_ddf, half_widths
from glmmlib.inference.joint_means import grid_auxiliary, joint_means
from glmmlib.inference.reference_grid import grid_rows, reference_grid
from glmmlib.types import FloatArray

ADJUSTMENTS = {
    None: "not adjusted for their number",
    "holm": "adjusted by Holm's method",
    "tukey": "adjusted by Tukey's method",
}


@dataclass(frozen=True, eq=False)
class Means:
    """The result of :func:`glmmlib.means`; ``print`` shows it with a statement of what was averaged.

    Attributes
    ----------
    table : DataFrame
        One row for each combination of the levels of ``by``: ``mean``, ``se``, ``df``, ``lower`` and
        ``upper``; on the scale of the response the interval is that of the link, transformed, and ``se`` is
        by the delta method.
    kind : {"link", "response"}
    level : float
    averaged : tuple of str
        What was averaged over, or held where.
    ddf : {"satterthwaite", "kenward-roger", "z"}
    L : (r, p) array
        The means on the scale of the link are ``L @ fit.params`` (plus the mean offset, and what curves
        bend); NaN where they cannot be estimated.
    """

    table: pd.DataFrame
    kind: str
    level: float
    averaged: tuple
    ddf: str
    L: np.ndarray = field(repr=False)
    _fit: FittedModel = field(repr=False)
    _D: np.ndarray = field(repr=False)  # the same of the bends of curves
    _bends: Bends = field(repr=False)

    @checked
    def differences(
        self, within: str | Sequence[str] | None = None, adjust: str | None = None
    ) -> Differences:
        """Test the differences between all pairs of means.

        Parameters
        ----------
        within : str or list of str, optional
            Factors of ``by`` at whose levels the others are compared; without it all pairs are.
        adjust : {None, "holm", "tukey"}
            How p-values are adjusted for the number of comparisons (with `within`: for those at one level).
            Tukey's is exact for equal standard errors and slightly conservative otherwise.

        Returns
        -------
        Differences

        Raises
        ------
        ModelError
            For an unknown factor or adjustment, or when nothing is left to compare.

        Examples
        --------
        >>> import glmmlib as gl
        >>> cbpp = gl.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = gl.glmer(formula, cbpp, family="binomial")
        >>> found = gl.means(fit, "period").differences(adjust="holm")
        >>> found.table.loc["1 - 2", ["estimate", "odds ratio"]].round(2).to_dict()
        {'estimate': 0.99, 'odds ratio': 2.7}
        """
        return differences(self, within, adjust)

    def _table(self) -> Table:
        t = self.table
        columns = [*labels_of(t.index), aligned(t["mean"], t["se"]), aligned(t["se"])]
        if self.ddf != "z":
            columns.append(fixed(t["df"], 1))
        columns += [aligned(t["lower"], t["se"]), aligned(t["upper"], t["se"])]
        ends = (f"{self.level:.0%} from", "to")
        header = (*t.index.names, "Mean", "SE", *(() if self.ddf == "z" else ("df",)), *ends)
        return Table(self._title(), header, tuple(zip(*columns, strict=True)), n_labels=t.index.nlevels)

    def _title(self):
        if self._fit.is_linear:
            return f"Marginal means ({DDF_TITLE[self.ddf]}{'' if self.ddf == 'z' else ' degrees of freedom'})"
        link = f"{self._fit.family.link.name} link"
        scale = {"response": "response", "link": link, "conditional": "conditional mean"}[self.kind]
        return f"Marginal means on the scale of the {scale}"

    def __str__(self) -> str:
        return text_with_notes(self._table().to_text(), self.averaged)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), self.averaged)


@dataclass(frozen=True, eq=False)
class Differences:
    """The result of :meth:`~glmmlib.inference.means.Means.differences`; ``print`` shows it with its null
    hypothesis.

    Attributes
    ----------
    table : DataFrame
        One row for each pair, ``"A - B"``: ``estimate``, ``se``, ``df``, ``statistic``, ``p`` (adjusted),
        ``lower`` and ``upper`` (not adjusted), on the scale of the link; and the ratio, such as ``"odds
        ratio"``, where exp() of a difference is one.
    adjust : {None, "holm", "tukey"}
    level : float
    ddf : {"satterthwaite", "kenward-roger", "z"}
    notes : tuple of str
    ratio : str or None
        The name of the column with exp() of the differences.
    """

    table: pd.DataFrame
    adjust: str | None
    level: float
    ddf: str
    notes: tuple
    ratio: str | None

    def _table(self):
        t, letter = self.table, "z" if self.ddf == "z" else "t"
        columns = [*labels_of(t.index), aligned(t["estimate"], t["se"]), aligned(t["se"])]
        if self.ddf != "z":
            columns.append(fixed(t["df"], 1))
        columns += [fixed(t["statistic"], 2), map(p_text, t["p"])]
        header = (
            [*t.index.names[:-1], "Difference", "Estimate", "SE"]
            + ([] if self.ddf == "z" else ["df"])
            + [letter, "p"]
        )
        ratio = [self.ratio] if self.ratio else []
        columns += [aligned(t[c]) for c in ratio]
        return Table(
            "Differences of marginal means",
            (*header, *ratio),
            tuple(zip(*columns, strict=True)),
            t.index.nlevels,
        )

    def __str__(self) -> str:
        return text_with_notes(self._table().to_text(), self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), self.notes)


@checked
def means(
    fit: FittedModel,
    by: str | Sequence[str],
    at: Mapping[str, Any] | None = None,
    kind: str = "response",
    level: float = 0.95,
    ddf: str | None = None,
) -> Means:
    """Compute marginal means (also known as least-squares or estimated marginal means).

    Parameters
    ----------
    fit : MixedModelFit
    by : str or list of str
        Variables of the fixed effects: factors, or covariates whose values stand in `at`.
    at : dict, optional
        Values at which a covariate is held, ``{"Days": 5}`` or ``{"Days": [0, 5, 9]}``, or the levels of a
        factor to be used. Several values of a variable that is not in `by` are averaged over.
    kind : {"response", "link", "conditional"}
        For a generalised model: the scale of the means, as in ``fit.predict``; with zero inflation
        ``"conditional"`` are the means of the counts themselves. The average is always taken on the scale of
        the link (of structural zeros on that of theirs), then transformed.
    level : float
        Of the confidence intervals.
    ddf : {"satterthwaite", "kenward-roger", "z"}, optional
        Degrees of freedom, as in :func:`coef_tests`.

    Returns
    -------
    Means
        With ``table``, and ``differences()`` for the comparisons.

    Raises
    ------
    ModelError
        For a variable that is not among the fixed effects, a covariate without values in `at`, or an unknown
        level.

    Notes
    -----
    Levels of the other factors have equal weights, whatever their numbers of rows; covariates are at their
    means over the rows of the fit; random effects are zero, so for a generalised model the mean is that of a
    typical group and not the average over groups. Means in cells that the data leave undetermined are NaN.
    What lies on a curve ``s(x)`` has the curve's errors, which take the amount of bending as known, and z
    tests.

    Examples
    --------
    >>> import glmmlib as gl
    >>> cbpp = gl.load("cbpp")
    >>> fit = gl.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    >>> gl.means(fit, "period")
    Marginal means on the scale of the response
      period     Mean       SE  95% from       to
      1       0.19805  0.03692   0.13538  0.28032
      2       0.08387  0.02384   0.04748  0.14395
      3       0.07397  0.02262   0.04014  0.13240
      4       0.04839  0.01980   0.02142  0.10565
    Note: averaged on the logit scale, then transformed; random effects are zero (a
          typical group)
    """
    if kind not in ("response", "link", "conditional"):
        raise ModelError(f"kind is 'response', 'link' or 'conditional', not {kind!r}")
    checked_level(level)
    ddf = check_ddf(fit, ddf)
    of_zeros = fit.family.has_structural_zeros
    jointly = fit.family.errors_of_mean_need_auxiliary and (
        kind == "response" or (kind == "conditional" and not of_zeros)
    )
    own = [part.key for part in fit.design.auxiliary] if jointly else []
    grid, averaged = reference_grid(fit, by, at, [*curve_keys(fit), *own])
    bends = Bends.of(fit)
    X, Z = grid_rows(fit.design, grid), grid_bends(fit, bends, grid).T
    keys = list(grid.columns[: 1 if isinstance(by, str) else len(by)])
    groups = grid.groupby(keys, sort=False, observed=True).indices
    order = sorted(groups, key=lambda k: groups[k][0])
    rows = [groups[k] for k in order]
    L, D = _averages(X, rows), _averages(Z, rows)
    index = pd.MultiIndex.from_tuples([k if isinstance(k, tuple) else (k,) for k in order], names=keys)
    index = index.get_level_values(0) if len(keys) == 1 else index
    offset = 0.0 if fit.design.offset is None else float(fit.design.offset.mean())
    if jointly:
        others = {key: _averages(columns, rows) for key, columns in grid_auxiliary(fit.design, grid).items()}
        table = joint_means(fit, bends, L, D, others, offset, level)
    else:
        table = _estimates(fit, bends, L, D, offset, kind, level, ddf)
    table = table.set_index(index)
    if fit.design.offset is not None:
        averaged.append(f"the offset is at its mean, {offset:.4g}")
    if not fit.is_linear:
        scale = fit.family.link.name
        what = (
            f"averaged on the {scale} scale, then transformed" if kind != "link" else f"on the {scale} scale"
        )
        if jointly and of_zeros:
            what = (
                f"counts averaged on the {scale} scale, structural zeros on the logit scale, then transformed"
            )
        averaged.append(f"{what}; random effects are zero (a typical group)")
    if bends.groups:
        averaged.append(f"{listed(bends.names)}: how much a curve bends is taken as known")
    if np.isnan(L).any():
        averaged.append("means left empty depend on combinations of levels that the data do not hold")
    elif table["mean"].isna().any():
        averaged.append(f"means left empty lie outside the range of the {fit.family.link.name} link")
    return Means(table, kind, level, tuple(averaged), ddf, L, fit, D, bends)


def _averages(columns, rows):
    """Return the mean of some rows of (n, k) columns, for each set of rows."""
    return np.array([columns[here].mean(axis=0) for here in rows])


# --- estimates ----------------------------------------------------------------------------------


def _estimates(
    fit: FittedModel,
    bends: Bends,
    L: FloatArray,
    D: FloatArray,
    offset: float,
    kind: str,
    level: float,
    ddf: str,
) -> pd.DataFrame:
    table = (
        _tests(fit, bends, L, D, ddf).drop(columns=["statistic", "p"]).rename(columns={"estimate": "mean"})
    )
    table["mean"] += offset
    half = half_widths(table, level)
    table["lower"], table["upper"] = table["mean"] - half, table["mean"] + half
    if kind != "link":
        table[~fit.family.is_within(table["mean"].to_numpy())] = np.nan
        eta = table["mean"].to_numpy()
        low, high = (fit.family.within(table[end].to_numpy()) for end in ("lower", "upper"))
        mean, slope = _transformation(fit, kind)
        table["mean"], (table["lower"], table["upper"]) = mean(eta), np.sort([mean(low), mean(high)], axis=0)
        table["se"] *= np.abs(slope(eta))
    return table


def _transformation(fit, kind):
    """Return the function from the link's scale to that of the means, and its derivative."""
    family = fit.family if kind == "response" else fit.family.counted
    if family.is_mean_of_link:
        return family.link.inverse, family.link.derivative
    own = None
    if family.mean_needs_auxiliary:
        own = fit.family.counted_auxiliary(fit.one_auxiliary("a mean response", family))
    return (lambda eta: family.mean(eta, own)), (lambda eta: family.mean_slope(eta, own))


def _tests(fit, bends, L, D, ddf):
    """Test the rows of L that can be estimated, with those of the bends beside them; the others are NaN."""
    known = ~np.isnan(L).any(axis=1)
    table = bends.single_tests(fit, L[known], D[known], ddf).set_index(np.flatnonzero(known))
    return table.reindex(range(len(L)))


def differences(
    means: Means, within: str | Sequence[str] | None = None, adjust: str | None = None
) -> Differences:
    """Compare all pairs of means; see :meth:`Means.differences`."""
    if means.kind == "response" and means._fit.family.has_structural_zeros:
        raise ModelError(
            "means of responses with structural zeros have no common scale on which to subtract them: ask "
            "for gl.comparisons(fit, ...), or for differences of gl.means(..., kind='conditional')"
        )
    if adjust not in ADJUSTMENTS:
        raise ModelError(f"adjust is None, 'holm' or 'tukey', not {adjust!r}")
    index = means.table.index
    if within is not None and not len(within):
        raise ModelError("within names no factor: leave it out, or name one of those in by")
    kept = [] if within is None else [within] if isinstance(within, str) else list(within)
    for name in kept:
        if name not in index.names:
            raise ModelError(f"{name!r} is not one of the means' factors{did_you_mean(name, index.names)}")
    keys = index.to_frame(index=False)
    free = [name for name in index.names if name not in kept]
    blocks = (
        [np.arange(len(keys))]
        if not kept
        else list(keys.groupby(kept, sort=False, observed=True).indices.values())
    )
    pairs = [(i, j, k) for k, block in enumerate(blocks) for i, j in combinations(block, 2)]
    if not free or not pairs:
        raise ModelError(
            "there is only one mean to look at: name in by a factor with two levels or more, outside within"
        )
    first, second, of = map(np.array, zip(*pairs, strict=True))
    L, D = (x[first] - x[second] for x in (means.L, means._D))
    table = _tests(means._fit, means._bends, L, D, means.ddf)
    half = half_widths(table, means.level)
    table["lower"], table["upper"] = table["estimate"] - half, table["estimate"] + half
    for k, block in enumerate(blocks):
        here = of == k
        table.loc[here, "p"] = _adjusted(table[here], len(block), adjust)
    family = means._fit.family
    ratio = family.ratio
    if ratio:
        table[ratio] = np.exp(table["estimate"])
    text = keys[free].astype(str).agg(" ".join, axis=1) if len(free) > 1 else keys[free[0]].astype(str)
    names = [f"{text[i]} - {text[j]}" for i, j in zip(first, second, strict=True)]
    labels = [*(keys[name].to_numpy()[first] for name in kept), names]
    table.index = (
        pd.MultiIndex.from_arrays(labels, names=[*kept, "difference"])
        if kept
        else pd.Index(names, name="difference")
    )
    where = "" if means._fit.is_linear else f" on the {family.link.name} scale"
    how = ADJUSTMENTS[adjust] + (
        f", within each level of {', '.join(kept)}" if kept and adjust else f" ({len(pairs)})"
    )
    note = f"H0: the difference{where} is zero; p-values are {how}"
    return Differences(
        table,
        adjust,
        means.level,
        means.ddf,
        (note, *means.averaged[: len(means.averaged) - (not means._fit.is_linear)]),
        ratio,
    )


def _adjusted(table, n_means, adjust):
    """Return the p-values of one family of comparisons, adjusted for their number."""
    p = table["p"].to_numpy()
    if adjust == "holm":
        known = np.flatnonzero(~np.isnan(p))
        order = known[np.argsort(p[known])]
        steps = p[order] * np.arange(len(order), 0, -1)
        adjusted = p.copy()
        adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
        return adjusted
    if adjust == "tukey":
        from scipy.stats import studentized_range

        return studentized_range.sf(np.sqrt(2.0) * table["statistic"].abs(), n_means, table["df"])
    return p
