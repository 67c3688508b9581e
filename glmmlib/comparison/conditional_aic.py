r"""The conditional AIC: how well would the model predict new observations of the *same* groups?

AIC counts the random effects as integrated out, and asks about new groups. The conditional AIC takes the
likelihood at the conditional modes and counts how freely the fitted values follow the response,

.. math::

    \mathrm{cAIC} = -2 \log f(y \mid \hat\beta, \hat b, \hat\sigma) + 2 (\rho + 1),
    \qquad \rho = \sum_i \frac{\partial \hat y_i}{\partial y_i} .

For known variance ratios :math:`\rho` is the trace of the hat matrix (Vaida and Blanchard 2005); that they
are estimated from the same response adds (Greven and Kneib 2010), by the implicit function theorem at the
optimum of the criterion D,

.. math::

    \rho = \operatorname{tr} H - \sum_{kl} (D'')^{-1}_{kl} \,
    \frac{\partial^2 D}{\partial\theta_l \partial y'} \, \frac{\partial \hat y}{\partial\theta_k},
    \qquad \frac{\partial D}{\partial y} = \frac{2\,\mathrm{df}}{r^2}\, W (y - \hat y) .

Without that term the larger model nearly always wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmlib.covariance.tangent import Tangent
from glmmlib.design.residual import refuse_residual_side
from glmmlib.diagnostics.leverage import hat_values
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.lmm import Point
from glmmlib.likelihood.variance_moves import r2_slopes
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.types import FloatArray

_STEP = 1e-4  # half-width of the differences, relative to the (standardised) column of Lambda


@dataclass(frozen=True)
class ConditionalAIC:
    """The conditional AIC of a fit; ``float(...)`` of it is the number.

    Attributes
    ----------
    value : float
    llf : float
        Log-likelihood of the response given the conditional modes.
    df_known : float
        Trace of the hat matrix: effective degrees of freedom, were the variance ratios known.
    df : float
        The same with the correction for their estimation; one more, for sigma, enters the penalty.
    """

    value: float
    llf: float
    df_known: float
    df: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return (
            f"conditional AIC = {self.value:.2f}: conditional log-likelihood {self.llf:.2f}, {self.df:.2f} "
            "effective degrees of"
            f" freedom ({self.df_known:.2f} were the variances known) and one for sigma"
        )


@checked
def conditional_aic(fit: FittedModel) -> ConditionalAIC:
    """Return the conditional AIC of a linear mixed model, corrected for the estimation of the variances.

    Parameters
    ----------
    fit : LinearMixedModelFit

    Returns
    -------
    ConditionalAIC

    Raises
    ------
    ModelError
        For a generalised model, where no such exact correction is known.

    Notes
    -----
    The formula of the module ``glmmlib.comparison.conditional_aic``, with sigma as the fit has it (ML or
    REML). At a singular fit variances of zero stay there: the model is the one without them, as Greven and
    Kneib advise.

    References
    ----------
    Vaida and Blanchard (2005), Conditional Akaike information for mixed-effects models, *Biometrika* 92.

    Greven and Kneib (2010), On the behaviour of marginal and conditional AIC in linear mixed models,
    *Biometrika* 97.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> gl.conditional_aic(fit)
    conditional AIC = 1767.10: ...
    """
    if not fit.is_linear:
        raise ModelError(
            "the conditional AIC is computed for linear mixed models; for generalised ones compare AIC, "
            "gl.anova(m0, m1), or"
            " predictions of rows held out"
        )
    refuse_residual_side(fit.design, "the conditional AIC")
    if "conditional_aic" not in fit.memory:
        with one_blas_thread():
            fit.memory["conditional_aic"] = _conditional_aic(fit)
    return fit.memory["conditional_aic"]


def _conditional_aic(fit):
    w = np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights
    r = fit.resid.to_numpy()
    llf = -0.5 * float((np.log(2.0 * np.pi * fit.sigma**2 / w) + w * (r / fit.sigma) ** 2).sum())
    known = float(hat_values(fit).sum())
    df = known + _for_estimated_variances(fit, w, r)
    return ConditionalAIC(-2.0 * llf + 2.0 * (df + 1.0), llf, known, df)


def _for_estimated_variances(fit: FittedModel, w: FloatArray, r: FloatArray) -> float:
    """Return what the estimation of theta adds to the degrees of freedom."""
    problem = fit.solution.problem
    tangent = Tangent(problem.covariance, fit.solution.standard_theta)
    k, point = len(tangent), problem.at(tangent.factors)
    hessian, moves = np.empty((k, k)), np.empty((k, fit.nobs))
    for row, step in enumerate(_STEP * tangent.size):
        up, down = (problem.at(tangent.moved(row, s)) for s in (step, -step))
        higher = tangent.pullback(problem.gradient_matrices(up), row, step)
        lower = tangent.pullback(problem.gradient_matrices(down), row, -step)
        hessian[row] = (higher - lower) / (2.0 * step)
        moves[row] = (_fitted(fit, up) - _fitted(fit, down)) / (2.0 * step)
    r2_slope = tangent.pullback(r2_slopes(problem, point))
    # cross[l, k] = -(d2 D / d theta_l dy) (d yhat / d theta_k)
    cross = (
        2.0 * problem.df / point.r2 * ((moves * w) @ moves.T + np.outer(r2_slope, moves @ (w * r)) / point.r2)
    )
    return (
        float(np.trace(np.linalg.pinv(0.5 * (hessian + hessian.T), hermitian=True, rcond=1e-10) @ cross))
        if k
        else 0.0
    )


def _fitted(fit: FittedModel, point: Point) -> FloatArray:
    """Return ``X beta + Z b`` (n,) at a point of the profiled deviance, but for what is the same at all
    points.
    """
    problem = fit.solution.problem
    fitted = fit.X @ fit.solution.coordinates.beta(point.beta)
    for f, L, u in zip(problem.structure.factors, point.Lambda, point.u, strict=True):
        for z, effect in zip(f.columns(), L @ u, strict=True):
            fitted += z * effect[f.codes]
    return fitted
