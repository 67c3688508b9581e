"""The conditional linear predictors of many responses, each at its own estimates."""

from typing import Any

import numpy as np

from glmmlib.fitted import FittedModel
from glmmlib.likelihood.glmm_batch import CHUNK_NUMBERS, TIGHT, LaplaceBatch
from glmmlib.likelihood.lmm_batch import suits
from glmmlib.replicates.refits import Refits
from glmmlib.types import FloatArray


def conditional_predictors(fit: FittedModel, refits: Refits, Y: FloatArray) -> FloatArray:
    """Return ``X beta + Z b + offset`` (n, R) for R responses and their own estimates, b the conditional
    modes of each.
    """
    problem = fit.solution.problem
    is_simple = (
        fit.has_single_auxiliary
        and suits(problem.structure, problem.covariance)
        and fit.family.is_log_concave
    )
    if not fit.is_linear and is_simple:
        return _all_at_once(fit, refits, Y)
    found = []
    for r, y in enumerate(Y.T):
        own = fit.solution.with_response(y) if fit.is_linear else problem.with_response(*response_of(fit, y))
        found.append(fit.solution.at(refits.estimates(r), own).linear_predictor())
    return np.stack(found, axis=1)


def _all_at_once(fit: FittedModel, refits: Refits, Y: FloatArray):
    problem, coordinates = fit.solution.problem, fit.solution.coordinates
    responses = np.array([response_of(fit, y)[0] for y in Y.T])[:, problem.rows]
    everything = LaplaceBatch(problem, responses)
    theta = problem.covariance.to_standardised(refits.theta.to_numpy())
    tau = None if refits.auxiliary is None else np.log(refits.auxiliary)
    beta = coordinates.orthonormal_beta(refits.params.to_numpy().T).T
    x = everything.join(beta, theta, tau)
    eta = np.empty_like(Y)
    step = max(1, CHUNK_NUMBERS // fit.nobs)
    for start in range(0, len(x), step):
        piece = slice(start, start + step)
        chunk = everything.subset(piece)
        u = np.zeros((everything.q, len(chunk.Y), everything.J))
        eta[problem.rows, piece] = chunk.modes(x[piece], u, TIGHT).eta.T
    return eta


def auxiliary_in_rows(fit: FittedModel, refits: Any) -> FloatArray | None:
    """Return what the family has beside the mean as it takes it for responses (R, n), or None."""
    if refits.auxiliary is None:
        return None
    if fit.has_single_auxiliary:
        return refits.auxiliary[:, None]
    found = (fit.solution.auxiliary_of(refits.estimates(r)) for r in range(len(refits)))
    return np.array([np.atleast_1d(values) for values in found])


def response_of(fit: FittedModel, y: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Return a response and its prior weights as the family takes them."""
    d = fit.design
    return fit.family.check_response(y, d.trials, d.weights, d.response_name, d.index)
