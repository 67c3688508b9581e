r"""Average changes: how much the expected response moves when one variable changes and all else stays.

For each row i the model expects :math:`\mu_i(x) = E[y_i \mid x]`, for a typical group or on average over the
groups. With the variable at a in one copy of the rows and at b in another,

.. math:: \Delta = \bar\mu(b) - \bar\mu(a), \qquad \bar\mu(x) = \sum_i w_i \mu_i(x) \big/ \sum_i w_i,

or the ratio, or the odds ratio, of the two averages. A slope is the average derivative. Standard errors are
by the delta method: :math:`\mathrm{var}(\Delta) = g'Cg`, where g holds the derivatives of :math:`\Delta` in
the parameters and C is their covariance. The rows count as given: they are not a sample of further rows.

Stata calls these average marginal effects; the packages called marginaleffects, average comparisons and
average slopes (Arel-Bundock, Greifer and Heiss 2024, *Journal of Statistical Software* 111(9)). On averages
over groups: Zeger, Liang and Albert (1988), Models for longitudinal data: a generalized estimating equation
approach, *Biometrics* 44, 1049-1060.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.arguments import checked, checked_level
from glmmlib.display.tables import Table, aligned, fixed, html_with_notes, labels_of, p_text, text_with_notes
from glmmlib.display.words import counted, listed
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.averages import difference, rows_to_average, shares_of_rows, table_of_changes
from glmmlib.inference.bends import NEGLIGIBLE, Bends, curve_keys
from glmmlib.inference.changes import Change, changes, nudges
from glmmlib.inference.contrasts import check_ddf, covariance, degrees_of_freedom
from glmmlib.inference.expected import Scale, bend_gradients, rows_of
from glmmlib.likelihood.delta import gradients
from glmmlib.likelihood.solution import Estimates
from glmmlib.types import ArrayLike, FloatArray

CHANGES = ("difference", "ratio", "odds ratio")


@dataclass(frozen=True, eq=False)
class Comparisons:
    """The result of :func:`glmmlib.comparisons` and :func:`glmmlib.slopes`; ``print`` shows it with a
    statement of what was averaged.

    Attributes
    ----------
    table : DataFrame
        One row for each change (and each value of ``by``): ``estimate``, ``se``, ``df``, ``statistic``,
        ``p``, ``lower`` and ``upper``. H0: no change. Of a ratio the interval and the test are those of its
        logarithm.
    cov : DataFrame
        Covariance of the estimates (of the logarithms of ratios), to compare them with each other.
    change : {"slope", "difference", "ratio", "odds ratio"}
    kind : {"response", "link", "conditional"}
    level : float
    ddf : {"satterthwaite", "kenward-roger", "z"}
    notes : tuple of str
        What was averaged over, and what the standard errors hold.
    """

    table: pd.DataFrame
    cov: pd.DataFrame
    change: str
    kind: str
    level: float
    ddf: str
    notes: tuple
    _title: str = field(repr=False)
    _by: list = field(repr=False)

    def _table(self) -> Table:
        t = self.table
        has_t = self.ddf != "z"
        columns = [*labels_of(t.index), aligned(t["estimate"], t["se"]), aligned(t["se"])]
        columns += [fixed(t["df"], 1)] if has_t else []
        columns += [list(map(p_text, t["p"])), aligned(t["lower"], t["se"]), aligned(t["upper"], t["se"])]
        names = ["Variable", *(["Change"] if "change" in t.index.names else []), *self._by]
        ends = (f"{self.level:.0%} from", "to")
        header = (*names, self.change.capitalize(), "SE", *(("df",) if has_t else ()), "p", *ends)
        return Table(self._title, header, tuple(zip(*columns, strict=True)), n_labels=t.index.nlevels)

    def __str__(self) -> str:
        return text_with_notes(self._table().to_text(), self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), self.notes)


@checked
def comparisons(
    fit: FittedModel,
    variables: str | Sequence[str] | Mapping[str, Any] | None = None,
    by: str | Sequence[str] | None = None,
    newdata: Any = None,
    re_form: str = "marginal",
    kind: str = "response",
    change: str = "difference",
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    level: float = 0.95,
    ddf: str | None = None,
) -> Comparisons:
    r"""Return average changes of the expected response, with intervals (average marginal effects).

    .. math:: \Delta = \frac1n \sum_i \left[\mu_i(b) - \mu_i(a)\right]

    Parameters
    ----------
    fit : MixedModelFit
    variables : str, list of str, or dict, optional
        What changes; all variables of the fixed effects by default. A covariate goes up by one unit (from 0
        to 1 if it has no other values), a factor from its first level to each other. A dict says otherwise:
        ``{"Days": 2}`` is a step of two units, ``{"Days": (0, 9)}`` a change from 0 to 9, ``{"arm": ("a",
        "b")}`` one from a to b; ``{"arm": "pairwise"}`` and ``{"arm": "sequential"}`` are for all pairs of
        levels and for each level and the next.
    by : str or list of str, optional
        Columns of the data: an average for each of their combinations.
    newdata : DataFrame, optional
        Rows to average over; those of the fit if None.
    re_form : {"marginal", "~0"}
        ``"marginal"`` averages the mean response over the distribution of all random effects (new groups),
        ``"~0"`` sets them to zero (a typical group), as in ``fit.predict``. A linear model gives the same.
    kind : {"response", "link", "conditional"}
        Of what the change is, as in ``fit.predict``; the linear predictor is the same on average over groups
        and in a typical one.
    change : {"difference", "ratio", "odds ratio"}
        Of the two averages.
    weights : column name or array, optional
        How much each row counts in the averages, such as trials or shares of a population; equally by
        default.
    offset : column name or array, optional
        For new data, in the place of the fit's `offset` argument.
    level : float
        Of the intervals.
    ddf : {"satterthwaite", "kenward-roger", "z"}, optional
        Degrees of freedom, as in :func:`coef_tests`.

    Returns
    -------
    Comparisons
        With ``table`` and ``cov``.

    Raises
    ------
    ModelError, DataError
        For names that are no variables or columns, changes that are not there, ratios of averages that are
        not positive, and rows with missing values.

    Notes
    -----
    The delta method takes, of a linear model, the covariance of the fixed effects, and of a generalised one
    the joint covariance of all parameters: an average over groups moves with their variances, and a mean with
    structural zeros with those too. Derivatives in the parameters are central differences. What moves along a
    curve ``s(x)`` has the curve's errors as well, which take the amount of bending as known, and a z test.

    Examples
    --------
    A typical herd, and the average over herds:

    >>> import glmmlib as gl
    >>> cbpp = gl.load("cbpp")
    >>> fit = gl.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    >>> gl.comparisons(fit, {"period": ("1", "4")}, re_form="~0").table["estimate"].round(3).item()
    -0.15
    >>> gl.comparisons(fit, {"period": ("1", "4")}).table["estimate"].round(3).item()
    -0.159
    """
    scale = _checked_options(re_form, kind, level)
    if change not in CHANGES:
        raise ModelError(f"change is {', '.join(map(repr, CHANGES[:-1]))} or {CHANGES[-1]!r}, not {change!r}")
    _check_ratio(fit, change, kind)
    found = changes(fit, variables, _names(fit, scale, variables is None))
    return _compared(fit, found, change, scale, by, newdata, weights, offset, level, ddf)


@checked
def slopes(
    fit: FittedModel,
    variables: str | Sequence[str] | None = None,
    by: str | Sequence[str] | None = None,
    newdata: Any = None,
    re_form: str = "marginal",
    kind: str = "response",
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    level: float = 0.95,
    ddf: str | None = None,
) -> Comparisons:
    r"""Return average slopes: derivatives of the expected response in covariates, with intervals.

    .. math:: \frac1n \sum_i \frac{\partial \mu_i}{\partial x_i}

    Parameters
    ----------
    fit : MixedModelFit
    variables : str or list of str, optional
        Covariates; all of them by default.
    by, newdata, re_form, kind, weights, offset, level, ddf
        As in :func:`comparisons`.

    Returns
    -------
    Comparisons
        In units of the response for one unit of the covariate.

    Raises
    ------
    ModelError, DataError
        For a factor, and as in :func:`comparisons`.

    Notes
    -----
    Everything that a covariate enters moves with it: powers, splines, interactions, and random slopes, where
    the average over groups depends on their spread. The derivative in the covariate is a central difference.

    Examples
    --------
    In a linear model without interactions the slope is the coefficient:

    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.slopes(fit)
    Average slopes of the expected response
      Variable   Slope     SE    df        p  95% from      to
      Days      10.467  1.546  17.0  < 0.001     7.206  13.729
    Note: averaged over the 180 rows of the fit
    """
    scale = _checked_options(re_form, kind, level)
    found = nudges(fit, variables, _names(fit, scale, variables is None))
    return _compared(fit, found, "slope", scale, by, newdata, weights, offset, level, ddf)


def _checked_options(re_form, kind, level):
    if kind not in ("response", "link", "conditional"):
        raise ModelError(f"kind is 'response', 'link' or 'conditional', not {kind!r}")
    if re_form not in ("marginal", "~0"):
        raise ModelError(
            "re_form is 'marginal', the average over groups, or '~0', a typical group, not "
            f"{re_form!r}: changes within groups of the data are differences of fit.predict"
        )
    checked_level(level)
    return Scale(kind, re_form == "marginal")


def _check_ratio(fit, change, kind):
    if change == "difference":
        return
    if kind == "link":
        raise ModelError(
            "a ratio is one of expected responses, and kind='link' has none: ask for a difference"
        )
    low, high = fit.family.location_range
    if change == "odds ratio" and ((low, high) != (0.0, 1.0) or not fit.family.is_mean_of_link):
        raise ModelError(
            f"an odds ratio compares probabilities, and means of the {fit.family.name} family are none: ask "
            "for change='difference' or 'ratio'"
        )


def _names(fit, scale, by_default):
    """Return the variables that can change the expected response; of offsets only where asked for."""
    scale, recipe = scale.for_model(fit), fit.design.recipe
    kinds = ["fixed", *(["auxiliary"] if scale.needs_auxiliary(fit) else [])]
    if not by_default:
        kinds += ["offset", *(["random"] if scale.over_groups else [])]
    keys = [key for key in recipe.parts if key.startswith(tuple(kinds))]
    return recipe.columns([*keys, *curve_keys(fit)], fit.design.data.columns)


# --- averages -------------------------------------------------------------------------------------


def _compared(
    fit: FittedModel,
    found: Sequence[Change],
    change: str,
    scale: Scale,
    by: Any,
    newdata: Any,
    weights: Any,
    offset: Any,
    level: float,
    ddf: str | None,
) -> Comparisons:
    ddf = check_ddf(fit, ddf)
    bends = Bends.of(fit)
    data, offset = rows_to_average(fit, newdata, offset)
    shares, keys, names = shares_of_rows(data, by, weights)
    scenes = {scene: None for one in found for scene in (one.start, one.end)}
    rows = {scene: rows_of(fit, bends, scene.frame(data, fit.design), offset, scale) for scene in scenes}

    def compared(estimates: Estimates, heights: FloatArray) -> FloatArray:
        means = {scene: shares @ at.expected(estimates, heights) for scene, at in rows.items()}
        ends = [(means[one.start], means[one.end], one.divisor) for one in found]
        return np.concatenate([difference(change, *three) for three in ends])

    best = fit.solution.estimates
    estimate = compared(best, bends.heights)
    G = gradients(fit.solution, lambda at: compared(at, bends.at(at.beta)))
    D = bend_gradients(lambda heights: compared(best, heights), bends)
    C = covariance(fit, ddf) if ddf == "kenward-roger" else fit.solution.free_cov
    of_bends = D @ bends.cov @ D.T
    cov = G @ C @ G.T + of_bends
    bent = np.diag(of_bends) > NEGLIGIBLE * np.diag(cov)
    df = np.where(bent, np.inf, degrees_of_freedom(fit, G, ddf))
    texts = [one.text("-" if change in ("difference", "slope") else "/") for one in found]
    labels = [
        (one.name, *(() if change == "slope" else (text,)), *key)
        for one, text in zip(found, texts, strict=True)
        for key in keys
    ]
    index_names = ["variable", *(() if change == "slope" else ("change",)), *names]
    index = pd.MultiIndex.from_tuples(labels, names=index_names)
    index = index if index.nlevels > 1 else index.get_level_values(0)
    table = table_of_changes(estimate, cov, df, level, "ratio" in change).set_index(index)
    notes = _notes(fit, scale, change, newdata, data, weights)
    notes += (f"{listed(bends.names)}: how much a curve bends is taken as known",) if bent.any() else ()
    what = {"response": "expected response", "link": "linear predictor", "conditional": "conditional mean"}
    head = {"slope": "slopes", "difference": "changes"}.get(change, f"changes ({change}s)")
    title = f"Average {head} of the {what['response' if fit.is_linear else scale.kind]}"
    return Comparisons(
        table, pd.DataFrame(cov, index, index), change, scale.kind, level, ddf, notes, title, names
    )


def _notes(fit, scale, change, newdata, data, weights):
    what = (
        f"{counted(len(data), 'row')} of newdata" if newdata is not None else f"{fit.nobs:,} rows of the fit"
    )
    notes = [f"averaged over the {what}{'' if weights is None else ', weighted'}"]
    if fit.is_linear or scale.kind == "link":
        return tuple(notes)
    names = ", ".join(fit.ngroups)
    if scale.for_model(fit).over_groups:
        notes[0] += f", and over the distribution of the random effects ({names})"
    elif not scale.over_groups:
        notes[0] += "; random effects are zero (a typical group)"
    return tuple(notes)
