"""The rows to predict: their columns, the random effects that take part, what is not known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import Group
from glmmlib.design.arguments import argument, check_weights
from glmmlib.design.arrays import Design, NewDesign
from glmmlib.design.frames import as_frame
from glmmlib.design.newdata import new_design
from glmmlib.design.recoding import effect_names
from glmmlib.display.words import listed
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.formula.parser import random_only
from glmmlib.formula.terms import RandomTerm
from glmmlib.prediction.error_variance import Effects
from glmmlib.types import ArrayLike, AuxiliaryValue, BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Rows:
    """The arrays of the rows to predict; ``complete`` (n,) is False where a value is missing.

    ``auxiliary`` is what the family has beside the mean, as it takes it, where it was asked for; ``new`` are
    the rows that a model has not seen, None for its own.
    """

    index: pd.Index
    X: np.ndarray
    offset: np.ndarray | None
    effects: list
    complete: np.ndarray
    auxiliary: object
    new: NewDesign | None = None

    def auxiliary_of(self, fit: FittedModel) -> AuxiliaryValue:
        """Return what the family has beside the mean, by another fit of the same model."""
        return fit.auxiliary if self.new is None else fit.auxiliary_in(self.new)


def chosen_effects(fit: FittedModel, re_form: str | None) -> list[BoolArray]:
    """Return which random effects `re_form` names: for each grouping factor an array (q,) of bool.

    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> [mask.tolist() for mask in chosen_effects(fit, "~(0 + Days | Subject)")]
    [[False, True]]
    """
    if re_form is not None and not isinstance(re_form, str):
        raise ModelError(
            f"re_form is None, 'marginal', '~0' or random-effects terms such as '~(1 | g)', not {re_form!r}"
        )
    masks = [np.full(g.q, re_form is None or g.is_curve) for g in fit.groups]  # new rows share the curves
    if re_form is None or re_form == "marginal":
        return masks
    for term in random_only(re_form):
        same = [
            k
            for k, g in enumerate(fit.groups)
            if g.is_curve == term.is_curve
            and (
                g.terms[0].written == term.written
                if term.is_curve
                else set(g.terms[0].groups) == set(term.groups)
            )
        ]
        if not same:
            raise ModelError(
                f"re_form names '{term.group}', but the fit has {listed([g.name for g in fit.groups])}"
            )
        group, mask = fit.groups[same[0]], masks[same[0]]
        names = _effect_names(fit.design, group, term)
        for name in names:
            if name not in group.columns:
                raise ModelError(
                    f"re_form asks for the random effect '{name}' of {group.name}, but the fit has "
                    f"{listed(group.columns)}"
                )
        mask |= np.isin(group.columns, names)
    return masks


def _effect_names(design: Design, group: Group, term: RandomTerm) -> list[str]:
    """Return the column names of a term, as they would be in the fit's own data."""
    for own, (_, columns) in zip(group.terms, group.parts, strict=True):
        if own.lhs == term.lhs:
            return list(group.columns[columns])
    if term.lhs == "1":
        return ["Intercept"]
    return list(effect_names(design, term.lhs))


def refuse_split_groups(fit: FittedModel, used: Sequence[BoolArray], re_form: str | None) -> None:
    """An observation of a known group whose slope is taken from a new group is nobody's observation."""
    for g, mask in zip(fit.groups, used, strict=True):
        if mask.any() and not mask.all():
            raise ModelError(
                f"a prediction interval takes all random effects of {g.name} ({listed(g.columns)}) or none "
                f"of them, but re_form={re_form!r} takes some: ask for interval='confidence'"
            )


def rows_to_predict(
    fit: FittedModel,
    newdata: Any,
    used: Sequence[BoolArray],
    needs_open: bool,
    allow_new_levels: bool,
    offset: Any,
    needs_own: bool,
) -> Rows:
    """Return the :class:`Rows` to predict: those of the fit, or new ones.

    ``used`` tells which effects of each grouping factor take part; ``needs_open`` asks for the columns of the
    others too, ``needs_own`` for what the family has beside the mean.
    """
    design = fit.design
    if newdata is None:
        if offset is not None:
            raise ModelError("offset= is for new data; the fit's rows have their own")
        effects = [
            Effects(g.factor.Z, g.factor.codes if mask.any() else np.full(fit.nobs, -1), mask)
            for g, mask in zip(fit.groups, used, strict=True)
        ]
        complete = np.ones(fit.nobs, dtype=bool)
        return Rows(design.index, design.X, design.offset, effects, complete, fit.auxiliary)
    taken: list[int] = []
    left_out: list[int] = []
    for g, mask in zip(fit.groups, used, strict=True):
        for position, columns in g.parts:
            (taken if mask[columns].any() else left_out).append(position)
    left_out = left_out if needs_open else []
    new = new_design(
        design,
        newdata,
        random=[*taken, *left_out],
        ungrouped=left_out,
        allow_new_levels=allow_new_levels,
        offset=offset,
        auxiliary=needs_own,
    )
    effects = [_new_effects(g, mask, new, taken) for g, mask in zip(fit.groups, used, strict=True)]
    auxiliary = fit.auxiliary_in(new) if needs_own else None
    return Rows(new.index, new.X, new.offset, effects, new.complete, auxiliary, new)


def _new_effects(group: Group, mask: BoolArray, new: NewDesign, taken: Sequence[int]) -> Effects:
    Z, codes = np.zeros((group.q, len(new.index))), np.full(len(new.index), -1)
    for position, columns in group.parts:
        if position in new.random:
            Z[columns] = np.where(new.complete, new.random[position].Z, 0.0)
        if position in taken:
            codes = new.random[position].codes
    return Effects(Z, codes, mask)


def weights_of_rows(
    fit: FittedModel,
    newdata: Any,
    weights: str | ArrayLike | None,
    complete: BoolArray,
    because: str = "the fit has weights, so a prediction interval for new data needs",
) -> FloatArray | None:
    """Return the known precisions (or trials) of the rows; `because` begins the sentence if they lack."""
    design = fit.design
    own = design.weights if design.trials is None else design.trials
    if newdata is None:
        if weights is not None:
            raise ModelError("weights= are for new data; the fit's rows have their own")
        return own
    if weights is None:
        if own is not None:
            raise DataError(f"{because} them too: pass weights=")
        return None
    frame = as_frame(newdata)
    found: Any = argument(weights, "weights", frame)
    check_weights(found[complete], frame.index[complete])
    return found


def linear_predictor(fit: FittedModel, rows: Rows) -> FloatArray:
    eta = rows.X @ fit.solution.estimates.beta
    if any(effects.take_part for effects in rows.effects):
        for effects, modes in zip(rows.effects, fit.solution.modes, strict=True):
            eta = eta + effects.part(modes)
    return eta if rows.offset is None else eta + rows.offset


def open_variance(fit: FittedModel, rows: Rows) -> FloatArray:
    """Variance of the random effects that the rows leave unknown (n,)."""
    covariances = [fit.varcorr[g.name].cov.to_numpy() for g in fit.groups]
    return sum(e.open_variance(S) for e, S in zip(rows.effects, covariances, strict=True))
