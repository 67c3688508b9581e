"""A fit seen at other parameters: what a replicate's estimates say about the design of the fit.

Functions that read nothing but design and parameters (:func:`glmmlib.icc`, :func:`glmmlib.r2`, simulation)
take such a view in the place of a fit, so that a bootstrap need not keep R fitted models.
"""

from dataclasses import replace

import numpy as np

from glmmlib.likelihood.glmm_batch import CHUNK_NUMBERS, TIGHT, LaplaceBatch


def view_at(fit, refits, r):
    """Return the fit with the parameters of replicate r of ``refits``: no modes, no standard errors, no
    deviance.
    """
    view = object.__new__(type(fit))
    kept = ("design", "groups", "_theta_names", "_problem", "family", "n_agq", "reml")
    view.__dict__.update({name: fit.__dict__[name] for name in kept if name in fit.__dict__})
    view._estimates = replace(
        fit._estimates,
        theta=refits.theta.to_numpy()[r],
        beta=refits.params.to_numpy()[r],
        auxiliary=float(refits.auxiliary[r]) if fit.has_dispersion else None,
        beta_cov=None,
        modes=None,
        deviance=np.nan,
        convergence=None,
    )
    return view


def conditional_predictors(fit, refits, Y):
    """Return ``X beta + Z b + offset`` (n, R) for R responses and their own estimates, b the conditional
    modes of each.
    """
    if not fit.is_linear and len(fit.groups) == 1 and fit._problem.covariance.is_linear:
        return _all_at_once(fit, refits, Y)
    one = _linear if fit.is_linear else _generalised
    return np.stack([one(view_at(fit, refits, r), y) for r, y in enumerate(Y.T)], axis=1)


def _standard_Lambdas(view):
    covariance = view._problem.covariance
    return covariance.factors(covariance.to_standardised(view._estimates.theta))


def _linear(view, y):
    problem, Lambdas = view._problem.with_response(y), _standard_Lambdas(view)
    modes = [None] * len(view.groups)
    for k, L, u in zip(problem.structure.order, Lambdas, problem.at(Lambdas).u, strict=True):
        modes[k] = view.groups[k].factor.to_standard @ L @ u
    return view._linear_predictor(modes=modes)


def _generalised(view, y):
    problem = view._problem.with_response(*response_of(view, y))
    mode = problem.mode(problem.R @ view.params.to_numpy(), _standard_Lambdas(view), view.auxiliary)
    eta = np.empty(view.nobs)
    eta[problem.rows] = mode.eta
    return eta


def _all_at_once(fit, refits, Y):
    problem = fit._problem
    responses = np.array([response_of(fit, y)[0] for y in Y.T])[:, problem.rows]
    everything = LaplaceBatch(problem, responses)
    theta = problem.covariance.to_standardised(refits.theta.to_numpy())
    tau = None if refits.auxiliary is None else np.log(refits.auxiliary)
    x = everything.join(refits.params.to_numpy() @ problem.R.T, theta, tau)
    eta = np.empty_like(Y)
    step = max(1, CHUNK_NUMBERS // fit.nobs)
    for start in range(0, len(x), step):
        piece = slice(start, start + step)
        chunk = everything.subset(piece)
        u = np.zeros((everything.q, len(chunk.Y), everything.J))
        eta[problem.rows, piece] = chunk.modes(x[piece], u, TIGHT).eta.T
    return eta


def response_of(fit, y):
    """Return a response and its prior weights as the family takes them."""
    d = fit.design
    return fit.family.check_response(y, d.trials, d.weights, d.response_name, d.index)
