"""Predictions: which effects they use, for which rows, and how sure they are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from glmmlib.display.arguments import checked_level
from glmmlib.display.words import counted
from glmmlib.errors import ModelError, RangeWarning
from glmmlib.families.base import Family
from glmmlib.families.interval_scale import IntervalScale
from glmmlib.families.support import Support
from glmmlib.fitted import FittedModel
from glmmlib.prediction.error_variance import linear_variance
from glmmlib.prediction.joint_confidence import joint_confidence
from glmmlib.prediction.new_observation import response_ends
from glmmlib.prediction.probabilities import check_categories, table_of_categories
from glmmlib.prediction.rows import (
    Rows,
    chosen_effects,
    linear_predictor,
    open_variance,
    refuse_split_groups,
    rows_to_predict,
    weights_of_rows,
)
from glmmlib.types import ArrayLike, AuxiliaryValue, FloatArray

OF_AUXILIARY = ("zero", "probabilities")
KINDS = ("response", "link", "conditional", *OF_AUXILIARY)


def predict(
    fit: FittedModel,
    newdata: Any = None,
    re_form: str | None = None,
    kind: str = "response",
    allow_new_levels: bool = False,
    interval: str | None = None,
    level: float = 0.95,
    offset: str | ArrayLike | None = None,
    weights: str | ArrayLike | None = None,
) -> pd.DataFrame | pd.Series:
    r"""Predict from a fitted mixed model: ``x'beta + z'b + offset``, and its mean response.

    Parameters
    ----------
    newdata : DataFrame, optional
        Rows to predict; those of the fit if None. The response is not needed, nor a column that no part in
        use needs.
    re_form : str, optional
        Which random effects take part, by their conditional modes: all (None), none (``"~0"``, the typical
        group), or those named, such as ``"~(1 | Subject)"``, which of a term ``(Days | Subject)`` takes the
        intercepts alone. ``"marginal"`` averages the mean response over the normal distribution of all random
        effects; for an identity link that equals ``"~0"``.
    kind : {"response", "link", "conditional", "zero", "probabilities"}
        The scale. ``"conditional"`` is the mean of a response that is no structural zero; it is the mean
        response, unless zeros are added to the counts (``zi=``): then it is the mean of the counts
        themselves. ``"zero"`` is the probability of a structural zero. Of an ordinal model
        ``"probabilities"`` is a table with a column for each category, ``"link"`` the logit of a category
        above the first, and the mean response that of the scores: the categories themselves if they are whole
        numbers, else 1, 2, ...
    allow_new_levels : bool
        Predict for groups that the fit has not seen, with random effects of 0. That is the mean over new
        groups in a linear model; with another link it is the typical new group, and ``re_form="marginal"`` is
        the mean.
    interval : {None, "confidence", "prediction"}
        ``"confidence"`` is for ``x'beta + z'b``: it holds the uncertainty of beta and, jointly, of the modes
        b in use. ``"prediction"`` is for a new observation: it adds the variance of the random effects that
        are unknown (of new groups, or left out by `re_form`), and, on the scale of the response, the
        observation's own.
    level : float
        Of the interval.
    offset : column name or array, optional
        For new data, in the place of the fit's `offset` argument.
    weights : column name or array, optional
        For a prediction interval on new data: known precisions (for a binomial response the trials). Needed
        if the fit had weights.

    Returns
    -------
    Series or DataFrame
        With the index of `newdata`; probabilities have a column for each category. A row with a missing value
        is NaN, and so is, with a warning, a mean that the data do not tell, or whose linear predictor lies
        outside the range of the link. With an interval the columns are ``estimate``, ``lower`` and ``upper``
        (of probabilities below each category), and ``.attrs["holds"]`` lists the uncertainties that they
        hold.

    Raises
    ------
    DataError, ModelError, FormulaError
        For columns, groups or levels that are not there, and for effects that the fit does not have.

    Notes
    -----
    The intervals use normal quantiles and take theta (the relative variances) and the dispersion as known, so
    with few groups they are too narrow; a bootstrap holds that as well. A prediction interval takes
    thresholds and the probability of a structural zero as known too. Confidence intervals for probabilities
    of categories, mean scores, structural zeros and means with these hold the errors of all parameters, by
    the delta method on the logit or log scale, each by itself. Given
    theta the joint covariance of the errors of beta and b is exact in a linear model (Henderson 1975,
    *Biometrics* 31, 423-447).

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> new = {"Days": [5, 5], "Subject": ["308", "a new one"]}
    >>> fit.predict(new, allow_new_levels=True).round(1).to_list()
    [352.0, 303.7]
    >>> band = fit.predict(new, allow_new_levels=True, interval="prediction")
    >>> band.round(0).astype(int).to_numpy().tolist()
    [[352, 299, 405], [304, 209, 398]]
    >>> band.attrs["holds"]
    ('fixed effects', 'random effects of Subject', 'new levels of Subject', 'residual')
    """
    _check_options(kind, interval, level)
    _check_zeros(fit.family, kind, interval)
    check_categories(fit.family, kind, interval)
    used = chosen_effects(fit, re_form)
    link = fit.family.link
    is_marginal = re_form == "marginal" and not link.is_straight
    is_prediction = interval == "prediction"
    if weights is not None and not is_prediction:
        raise ModelError("weights= are the precisions of new observations: ask for interval='prediction'")
    if is_prediction:
        refuse_split_groups(fit, used, re_form)
    has_noise = is_prediction and (kind == "response" or link.is_straight)
    family = fit.family if kind == "response" else fit.family.counted
    needs_own = has_noise or kind in OF_AUXILIARY or (kind != "link" and family.mean_needs_auxiliary)
    needs_open = is_marginal or is_prediction
    rows = rows_to_predict(fit, newdata, used, needs_open, allow_new_levels, offset, needs_own)
    has_joint_errors = kind != "link" and family.mean_needs_auxiliary and family.errors_of_mean_need_auxiliary
    if kind in OF_AUXILIARY or (interval == "confidence" and has_joint_errors):
        return _with_auxiliary(fit, rows, kind, is_marginal, interval, level)
    own = weights_of_rows(fit, newdata, weights, rows.complete) if is_prediction else None
    eta = linear_predictor(fit, rows)
    unknown = open_variance(fit, rows)
    known = rows.auxiliary
    if kind == "conditional":
        known = fit.family.counted_auxiliary(known) if needs_own else None

    is_plain = kind == "link" and not is_marginal
    eta = eta if is_plain else _with_means(fit.family, eta)

    def on_scale(eta: FloatArray) -> FloatArray:
        if is_plain:
            return eta
        eta = fit.family.within(eta)
        if kind == "link":
            return link.link(link.average(eta, unknown))
        return family.average(eta, unknown, known) if is_marginal else family.mean(eta, known)

    if interval is None:
        return _table(rows, prediction=on_scale(eta))["prediction"]
    variance = linear_variance(fit, rows.X, rows.effects)
    tail = 0.5 + 0.5 * level
    if has_noise:
        ends = response_ends(fit.family, eta, variance + unknown, own, rows.auxiliary, tail)
    else:
        half = ndtri(tail) * np.sqrt(np.maximum(variance + unknown * is_prediction, 0.0))
        ends = [eta - half, eta + half] if is_prediction else [on_scale(eta - half), on_scale(eta + half)]
    found = _table(rows, estimate=on_scale(eta), lower=np.minimum(*ends), upper=np.maximum(*ends))
    found.attrs["holds"] = _holds(fit, rows, is_prediction, has_noise)
    return found


def _check_options(kind: str, interval: str | None, level: float) -> None:
    if kind not in KINDS:
        known = ", ".join(map(repr, KINDS[:-1]))
        raise ModelError(f"kind is {known} or {KINDS[-1]!r}, not {kind!r}")
    if interval not in (None, "confidence", "prediction"):
        raise ModelError(f"interval is None, 'confidence' or 'prediction', not {interval!r}")
    checked_level(level)


def _check_zeros(family, kind, interval):
    """Refuse what a model without structural zeros has not."""
    if kind == "zero" and not family.has_structural_zeros:
        raise ModelError("kind='zero' is the probability of a structural zero; the model has none: see zi=")
    if kind == "zero" and interval == "prediction":
        raise ModelError("a prediction interval is one for responses: ask for interval='confidence'")
    if kind == "conditional" and interval == "prediction":
        raise ModelError("a prediction interval is one for responses: ask for kind='response' or 'link'")


# --- numbers --------------------------------------------------------------------------------------


def _with_auxiliary(
    fit: FittedModel, rows: Rows, kind: str, is_marginal: bool, interval: str | None, level: float
) -> pd.DataFrame | pd.Series:
    """Return what rests on auxiliary parameters, with errors that hold theirs."""
    family, eta = fit.family, np.where(rows.complete, linear_predictor(fit, rows), 0.0)
    eta = _with_means(family, eta) if kind == "response" else eta

    def quantity(eta: FloatArray, unknown: FloatArray, own: AuxiliaryValue) -> FloatArray:
        if kind == "zero":
            return np.broadcast_to(family.structural_zeros(own), eta.shape)
        if kind == "probabilities" and not is_marginal:
            return family.probabilities(eta, own)
        if kind == "probabilities":
            return family.average_probabilities(eta, unknown, own)
        eta = family.within(eta)
        return family.average(eta, unknown, own) if is_marginal else family.mean(eta, own)

    def table(**columns: FloatArray) -> pd.DataFrame:
        if kind == "probabilities":
            return table_of_categories(family, rows, **columns)
        return _table(rows, **{name: np.where(np.isnan(eta), np.nan, v) for name, v in columns.items()})

    if interval is None:
        found = table(prediction=quantity(eta, open_variance(fit, rows), rows.auxiliary))
        return found if kind == "probabilities" else found["prediction"]
    support = Support(0.0, 1.0) if kind in OF_AUXILIARY else family.support
    three = joint_confidence(fit, rows, quantity, IntervalScale.of(support), level)
    found = table(**dict(zip(("estimate", "lower", "upper"), three, strict=True)))
    moves = kind != "zero" and (is_marginal or any(effects.take_part for effects in rows.effects))
    spread = ("variances of the random effects",) if moves else ()
    shared = () if kind == "zero" else _holds(fit, rows, False, False)
    found.attrs["holds"] = (*shared, family.beside_the_mean, *spread)
    return found


def _with_means(family: Family, eta: FloatArray) -> FloatArray:
    """Return the linear predictors, NaN where they have no mean, with a warning."""
    is_outside = ~(family.is_within(eta) | np.isnan(eta))
    if is_outside.any():
        low, high = family.eta_range
        warnings.warn(
            f"the linear predictor of {counted(int(is_outside.sum()), 'row')} lies outside the range of the "
            f"{family.link.name} link ({low:g} to {high:g}), so there is no mean, and NaN stands in its "
            "place: look at kind='link', and keep to predictors like those of the fit",
            RangeWarning,
            stacklevel=5,
        )
    return np.where(is_outside, np.nan, eta)


def _table(rows: Rows, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({k: np.where(rows.complete, v, np.nan) for k, v in columns.items()}, rows.index)


def _holds(fit, rows, is_prediction, has_noise):
    holds = ["fixed effects"] if rows.X.shape[1] else []
    for g, e in zip(fit.groups, rows.effects, strict=True):
        known = e.known[rows.complete]
        if e.used.any() and known.any():
            holds.append(f"the curve {g.name}" if g.is_curve else f"random effects of {g.name}")
        if is_prediction and not known.all():
            holds.append(f"new levels of {g.name}")
    if has_noise:
        holds.append(fit.family.noise)
    return tuple(holds)
