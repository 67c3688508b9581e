"""``fit.refit_many``: one model fitted to many responses."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sparse
from scipy.linalg import solve_triangular
from scipy.special import ndtr, stdtr

from .covariance import sds_and_correlations
from .errors import DataError
from .replicates import CHUNK_NUMBERS, Replicates, minimise_all
from .threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class Refits:
    """The estimates of R refits, one row each.

    Attributes
    ----------
    params, bse : DataFrame (R, p)
        Fixed effects and their standard errors.
    theta : DataFrame (R, k)
    sigma, deviance : (R,) arrays
    is_singular : (R,) array of bool
    """

    params: pd.DataFrame
    bse: pd.DataFrame
    theta: pd.DataFrame
    sigma: np.ndarray
    deviance: np.ndarray
    is_singular: np.ndarray
    _groups: tuple
    _df: object

    def __len__(self):
        return len(self.params)

    @property
    def tvalues(self):
        """Estimates divided by their standard errors."""
        return self.params / self.bse

    @cached_property
    def df(self):
        """Satterthwaite degrees of freedom (R, p) of each fixed effect."""
        return pd.DataFrame(self._df(), columns=self.params.columns)

    def pvalues(self, ddf="satterthwaite"):
        """Return the two-sided p-values (R, p) of ``coefficient = 0``.

        Parameters
        ----------
        ddf : {"satterthwaite", "z"}
            t tests with Satterthwaite degrees of freedom, or the normal distribution.
        """
        t = -self.tvalues.abs()
        if ddf == "z":
            return 2.0 * t.map(ndtr)
        if ddf != "satterthwaite":
            raise DataError(f"ddf is 'satterthwaite' or 'z', not {ddf!r}")
        return pd.DataFrame(2.0 * stdtr(self.df.to_numpy(), t.to_numpy()), columns=t.columns)

    @cached_property
    def sd(self):
        """SDs of the random effects (R, number of random effects), in columns ``"Subject.Days"``."""
        columns = {}
        for g in self._groups:
            L = np.zeros((len(self), g.q, g.q))
            L[:, g.pattern.rows, g.pattern.cols] = self.theta.to_numpy()[:, g.pattern.index]
            sd = self.sigma[:, None] * np.sqrt(np.einsum("rab,rab->ra", L, L))
            columns |= {f"{g.name}.{c}": sd[:, i] for i, c in enumerate(g.columns)}
        return pd.DataFrame(columns)

    @cached_property
    def corr(self):
        """Correlations of random effects (R, number of pairs), in columns ``"Subject.Days.Intercept"``."""
        columns = {}
        for g in self._groups:
            L = np.zeros((len(self), g.q, g.q))
            L[:, g.pattern.rows, g.pattern.cols] = self.theta.to_numpy()[:, g.pattern.index]
            corr = np.array([sds_and_correlations(x @ x.T)[1] for x in L])
            for block in g.pattern.blocks:
                for j in block:
                    columns |= {f"{g.name}.{g.columns[i]}.{g.columns[j]}": corr[:, i, j] for i in block if i > j}
        return pd.DataFrame(columns)


def refit_many(fit, Y):
    """Fit the model of ``fit`` to every column of ``Y`` (nobs, R); returns :class:`Refits`."""
    Y = np.asarray(Y, dtype=float)
    if Y.ndim != 2 or len(Y) != fit.nobs:
        raise DataError(f"Y has shape {Y.shape}; it needs {fit.nobs} rows, one for each row of the fit, and a column a response")
    if not np.isfinite(Y).all():
        raise DataError(f"{int((~np.isfinite(Y)).any(axis=0).sum())} of the {Y.shape[1]} responses hold missing or infinite values")
    with one_blas_thread():
        if len(fit.groups) == 1:
            return _vectorised(fit, Y)
        return _one_by_one(fit, Y)


def _vectorised(fit, Y):
    problem, group = fit._problem, fit.groups[0]
    projected = _project(problem, fit.X, Y, fit.design.weights, fit.design.offset)
    beta_ols, Zy, yy = projected
    everything = Replicates(problem, Zy, yy)
    step = max(1, CHUNK_NUMBERS // everything.numbers)
    pieces = [slice(s, s + step) for s in range(0, len(yy), step)]
    all_replicates = [everything.subset(piece) for piece in pieces]
    found = [_checked(fit, r, minimise_all(r), Y[:, piece]) for r, piece in zip(all_replicates, pieces, strict=True)]
    theta = np.concatenate([f.theta for f in found])
    to_user = solve_triangular(problem.R, np.eye(problem.p)) if problem.p else np.zeros((0, 0))

    def degrees_of_freedom():
        parts = [r.satterthwaite(f.theta, to_user)[1] for r, f in zip(all_replicates, found, strict=True)]
        return np.concatenate(parts)

    sigma = np.sqrt(np.concatenate([f.r2 for f in found]) / problem.df)
    beta = beta_ols + np.concatenate([f.beta for f in found]) @ to_user.T
    inverse = np.concatenate([np.linalg.inv(f.XX) for f in found])
    bse = sigma[:, None] * np.sqrt(np.einsum("cx,rxy,cy->rc", to_user, inverse, to_user, optimize=True))
    L = everything.Lambda(theta)
    return Refits(
        pd.DataFrame(beta, columns=fit.params.index),
        pd.DataFrame(bse, columns=fit.params.index),
        pd.DataFrame(_user_theta(group, L), columns=fit.theta.index),
        sigma,
        np.concatenate([f.value for f in found]),
        _is_singular(group, L),
        fit.groups,
        degrees_of_freedom,
    )


def _project(problem, X, Y, weights, offset):
    """Least squares of all responses on X: its coefficients (R, p), Z'W residual (R, q, J) and the sums of squares."""
    factor = problem.structure.factors[0]
    if offset is not None:
        Y = Y - offset[:, None]
    w = np.ones(len(Y)) if weights is None else weights
    Q = solve_triangular(problem.R, X.T, trans=1).T if problem.p else X
    coefficients = (Q * w[:, None]).T @ Y
    residual = Y - Q @ coefficients
    n, J = len(Y), factor.n_levels
    Zy = np.empty((Y.shape[1], factor.q, J))
    for a, z in enumerate(factor.columns()):
        Zt = sparse.csr_array((z * w, (factor.codes, np.arange(n))), shape=(J, n))
        Zy[:, a] = (Zt @ residual).T
    beta = solve_triangular(problem.R, coefficients).T if problem.p else coefficients.T
    return beta, Zy, np.einsum("nr,nr,n->r", residual, residual, w)


def _checked(fit, replicates, found, Y):
    """Fit the few replicates again, one by one, whose Newton iterations did not end."""
    for r in np.flatnonzero(~found.converged):
        single = fit._problem.with_response(Y[:, r])
        optimum = single.minimise()
        point = single.at(single.Lambdas(optimum.x))
        found.theta[r], found.value[r], found.r2[r] = optimum.x, point.value, point.r2
        state = replicates.subset(np.array([r])).state(optimum.x[None])
        found.beta[r], found.XX[r] = state.beta[0], state.XX[0]
    return found


def _user_theta(group, L):
    """Map standardised factors (R, q, q) to theta (R, k) on the user's columns."""
    M = group.factor.to_standard @ L
    if group.q == 1:
        return np.abs(M[:, 0])
    R = np.linalg.qr(M.swapaxes(1, 2), mode="r")
    lower = (R * np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, :, None]).swapaxes(1, 2)
    theta = np.empty((len(L), len(group.pattern.index)))
    theta[:, group.pattern.index] = lower[:, group.pattern.rows, group.pattern.cols]
    return theta


def _is_singular(group, L):
    smallest = [np.linalg.svd(L[:, b.start : b.stop, b.start : b.stop], compute_uv=False)[:, -1] for b in group.pattern.blocks]
    return np.min(smallest, axis=0) < 1e-3


def _one_by_one(fit, Y):
    fits = [fit.refit(y) for y in Y.T]
    return Refits(
        pd.DataFrame([f.params.to_numpy() for f in fits], columns=fit.params.index),
        pd.DataFrame([f.bse.to_numpy() for f in fits], columns=fit.params.index),
        pd.DataFrame([f.theta.to_numpy() for f in fits], columns=fit.theta.index),
        np.array([f.sigma for f in fits], dtype=float),
        np.array([f.deviance for f in fits]),
        np.array([f.is_singular for f in fits]),
        fit.groups,
        lambda: np.array([f.df.to_numpy() for f in fits]),
    )
