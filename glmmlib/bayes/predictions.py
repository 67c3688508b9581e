"""Predictions from posterior draws: rows of data times draws of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.fitted import FittedModel
from glmmlib.prediction.rows import Rows
from glmmlib.types import FloatArray


def linear_predictors(
    rows: Rows,
    beta: FloatArray,
    random: Sequence[FloatArray],
    roots: Sequence[FloatArray],
    new_levels: Sequence[Any],
    rng: np.random.Generator,
) -> FloatArray:
    """Return ``x'beta + z'b + offset`` (R, n) for R draws; levels that the fit has not seen draw their own b.

    Parameters
    ----------
    rows : Rows
    beta : (R, p) array
    random : list of (R, q, J) arrays
    roots : list of (R, q, q) arrays
        Of the covariance of each grouping factor.
    new_levels : list of (n,) arrays
        For each grouping factor a number for each new level (the same in all its rows), -1 elsewhere. Where
        no effect of the factor takes part otherwise, all of a new level do.
    """
    eta = beta @ rows.X.T
    for effects, b, root, new in zip(rows.effects, random, roots, new_levels, strict=True):
        known = effects.known
        for k in np.flatnonzero(effects.used):
            eta[:, known] += effects.Z[k, known] * b[:, k, effects.codes[known]]
        if (new >= 0).any():
            drawn = root @ rng.standard_normal((len(beta), root.shape[1], int(new.max()) + 1))
            is_new = new >= 0
            taking_part = effects.used if effects.used.any() else np.ones_like(effects.used)
            for k in np.flatnonzero(taking_part):
                eta[:, is_new] += effects.Z[k, is_new] * drawn[:, k, new[is_new]]
    return eta if rows.offset is None else eta + rows.offset


def open_variances(rows: Rows, roots: Sequence[FloatArray]) -> FloatArray:
    """Return ``z' Sigma z`` (R, n) of the random effects, to be averaged over."""
    total = np.zeros((len(roots[0]), len(rows.X)))
    for effects, root in zip(rows.effects, roots, strict=True):
        total += (np.einsum("an,rab->rnb", effects.Z, root) ** 2).sum(axis=2)
    return total


def on_scale(
    fit: FittedModel, eta: FloatArray, kind: str, unknown: FloatArray | None, auxiliary: Any
) -> FloatArray:
    """Return linear predictors (R, n) on the scale of the link or of the response, averaged over an unknown
    variance (R, n) where there is one.
    """
    family = fit.family
    if kind == "link":
        if unknown is None or family.link.is_straight:
            return eta
        return family.link.link(_means(family, eta, unknown, auxiliary))
    return _means(family, eta, unknown, auxiliary)


def _means(family: Family, eta: FloatArray, unknown: FloatArray | None, auxiliary: Any) -> FloatArray:
    by_draw = None if auxiliary is None else auxiliary[:, None]
    eta = family.within(eta)
    if unknown is None:
        return family.mean(eta, by_draw)
    own = () if by_draw is None else by_draw.shape[2:]  # several parameters along the last axis
    spread = None if by_draw is None else np.broadcast_to(by_draw, (*eta.shape, *own)).reshape(-1, *own)
    return family.average(eta.ravel(), unknown.ravel(), spread).reshape(eta.shape)


def observations(
    fit: FittedModel, eta: FloatArray, weights: FloatArray | None, auxiliary: Any, rng: np.random.Generator
) -> FloatArray:
    """Draw responses (R, n) around linear predictors (R, n)."""
    family = fit.family
    if weights is not None and not family.weights_scatter and (weights != 1.0).any():
        raise ModelError(
            f"weights of the {family.name} family multiply the log-density and do not say how a response "
            "scatters, so none can be drawn"
        )
    y = family.draw(eta, weights, None if auxiliary is None else auxiliary[:, None], rng)
    return y / weights if weights is not None and family.support.in_trials else y
