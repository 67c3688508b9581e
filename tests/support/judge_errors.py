"""Standard errors of the fixed effects at the point that a fit reports, recomputed by the judge."""

import numpy as np

from support.judge_laplace import LaplaceJudge
from support.judge_linear import LinearJudge


def standard_errors(model, fit):
    """SEs of beta, in the order of ``model.X``, at the fit's own theta, sigma or dispersion.

    A linear model has them in closed form.  A generalised one has them from the Hessian in all parameters but
    those of columns of Lambda that are zero: the likelihood is even in these.
    """
    if model.family is None:
        return LinearJudge(model).standard_errors((fit.Z @ fit.Lambda).toarray(), model.X, fit.sigma)
    tau = None if fit.dispersion is None else np.log(fit.dispersion)
    build, theta = free_entries(model.terms, fit.theta.to_numpy())
    return LaplaceJudge(model).standard_errors(fit.params.to_numpy(), build, theta, tau)


def free_entries(terms, theta):
    """A function from the entries of theta in columns that are not zero to Z Lambda, and these entries."""
    places, start = [], 0
    for number, term in enumerate(terms):
        q = term.columns.shape[1]
        cells = (
            [(i, j) for j in range(q) for i in range(j, q)] if term.correlated else [(j, j) for j in range(q)]
        )
        columns = {j for k, (_, j) in enumerate(cells) if theta[start + k] != 0}
        places += [(number, i, j, start + k) for k, (i, j) in enumerate(cells) if j in columns]
        start += len(cells)

    def build(values):
        L = [np.zeros((t.columns.shape[1],) * 2) for t in terms]
        for (number, i, j, _), value in zip(places, values, strict=True):
            L[number][i, j] = value
        return np.concatenate([spread(t, t.columns @ one) for t, one in zip(terms, L, strict=True)], axis=1)

    return build, np.array([theta[k] for *_, k in places])


def spread(term, columns):
    """The columns of a term by level: (n, J q)."""
    n, q = columns.shape
    Z = np.zeros((n, int(term.codes.max()) + 1, q))
    Z[np.arange(n), term.codes] = columns
    return Z.reshape(n, -1)
