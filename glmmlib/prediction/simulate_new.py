"""Responses drawn from a fitted model for rows it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.frames import as_frame
from glmmlib.design.newdata import new_design
from glmmlib.display.words import counted
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.prediction.given import series_of
from glmmlib.prediction.rows import weights_of_rows
from glmmlib.prediction.simulate import checked_count, draw_responses, require_generator, simulate_fit
from glmmlib.types import FloatArray


def simulate_rows(
    fit: FittedModel,
    n: int | None = None,
    rng: np.random.Generator | int | None = None,
    conditional: bool = False,
    newdata: Any = None,
    weights: Any = None,
    offset: Any = None,
) -> FloatArray | pd.Series:
    """Draw responses for the rows of a fit, or for new ones; see :meth:`MixedModelFit.simulate`."""
    if newdata is None:
        if weights is not None or offset is not None:
            raise ModelError("weights= and offset= are for new data; the fit's rows have their own")
        return simulate_fit(fit, n, rng, conditional)
    rng = require_generator(rng)
    y, index = _new_rows(
        fit, newdata, 1 if n is None else checked_count(n), rng, conditional, weights, offset
    )
    return series_of(y, index, fit.design.response_name, fit.family) if n is None else y


def _new_rows(fit, newdata, n, rng, conditional, weights, offset):
    if fit.design.residual is not None:
        raise ModelError(
            "responses of new rows are not drawn from a model with residual=, whose blocks they would have "
            "to join: simulate the rows of the fit, without newdata="
        )
    frame = as_frame(newdata)
    terms = range(len(fit.design.random))
    new = new_design(
        fit.design, frame, random=terms, allow_new_levels=not conditional, offset=offset, auxiliary=True
    )
    if not new.complete.all() or np.isnan(new.X).any():
        lost = int((~new.complete | np.isnan(new.X).any(axis=1)).sum())
        raise DataError(f"{counted(lost, 'row')} of newdata lack a value, or a mean that the data tell")
    eta = new.fixed_predictor(fit.solution.estimates.beta)
    total = np.repeat(eta[:, None], n, axis=1)
    for k, g in enumerate(fit.groups):
        Z = g.columns_of(new.random)
        if conditional or g.is_curve:
            codes, modes = new.random[g.parts[0][0]].codes, fit.solution.modes[k]
            total += np.einsum("an,an->n", Z, modes[:, codes])[:, None]
            continue
        codes = _levels(fit, g, frame)
        root = fit.scale * fit.solution.Lambdas[k]
        b = np.tensordot(root, rng.standard_normal((g.q, int(codes.max(initial=-1)) + 1, n)), 1)
        for z, effect in zip(Z, b, strict=True):
            total += z[:, None] * effect[codes]
    prior = weights_of_rows(
        fit, frame, weights, new.complete, "the fit has weights (or trials), so responses of new rows need"
    )
    as_proportions = fit.design.trials is None
    y = draw_responses(total, rng, fit.family, prior, fit.auxiliary_in(new), as_proportions)
    return y, new.index


def _levels(fit, group, frame):
    """Return a code for each level of a grouping factor that the new rows hold, known to the fit or not."""
    term = fit.design.random[group.parts[0][0]].term
    if not term.groups:
        return np.zeros(len(frame), dtype=np.intp)
    labels = [pd.factorize(frame[name], use_na_sentinel=True)[0] for name in term.groups]
    for name, codes in zip(term.groups, labels, strict=True):
        if (codes < 0).any():
            raise DataError(
                f"the group '{name}' is missing in {counted(int((codes < 0).sum()), 'row')} of newdata"
            )
    return np.unique(np.stack(labels), axis=1, return_inverse=True)[1].ravel()
