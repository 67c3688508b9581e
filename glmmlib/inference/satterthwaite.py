r"""Satterthwaite's degrees of freedom for contrasts of the fixed effects of a linear mixed model.

The estimated variance of a contrast, :math:`v = l'C(\theta, \sigma) l`, is itself uncertain. Matching its
mean and variance to those of a scaled chi-square gives

.. math:: \nu = \frac{2 v^2}{g'Ag},

where g is the gradient of v in the variance parameters and A their asymptotic covariance: twice the inverse
Hessian of the deviance (or REML criterion) in all of them, sigma included
(``glmmlib.likelihood.variance_moves``).

Satterthwaite (1946), *Biometrics Bulletin* 2; Fai and Cornelius (1996), *Journal of Statistical Computation
and Simulation* 54, for several contrasts at once; Kuznetsova, Brockhoff and Christensen (2017), *Journal of
Statistical Software* 82(13).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmmlib.fitted import FittedModel
from glmmlib.likelihood.coordinates import Coordinates
from glmmlib.likelihood.variance_moves import curvature
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class VarianceInformation:
    """What the data say about the variance parameters, and how the fixed effects' covariance hangs on them.

    The k + 1 parameters are the free entries of the standardised Lambda, then log sigma^2; the fixed effects
    are those of the orthonormal columns ``X R^-1``.

    Attributes
    ----------
    A : (k + 1, k + 1) array
        Asymptotic covariance of the variance parameters.
    C : (p, p) array
        Covariance of the fixed effects.
    gradient : (k + 1, p, p) array
        Derivatives of C.
    coordinates : Coordinates
        They turn contrasts of the user's coefficients into contrasts here.
    """

    A: np.ndarray
    C: np.ndarray
    gradient: np.ndarray
    coordinates: Coordinates

    def df(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of each row of L (r, p): shape (r,)."""
        L = self.coordinates.orthonormal(np.atleast_2d(L)).T
        variance = np.einsum("rp,pq,rq->r", L, self.C, L)
        g = np.einsum("rp,kpq,rq->rk", L, self.gradient, L)
        return 2.0 * variance**2 / np.einsum("rk,kl,rl->r", g, self.A, g)


def variance_information(fit: FittedModel) -> VarianceInformation:
    """Compute the :class:`VarianceInformation` of a linear mixed model.

    Hessian and derivatives are central differences of the exact gradient and of the exact covariance, taken
    together: two evaluations for each free parameter. Where the fit is singular, Lambda stays on its
    boundary: only directions that keep its rank are free. (lmerTest differentiates across the boundary and so
    gets other numbers.)
    """
    with one_blas_thread():
        found = curvature(fit.solution.moves())
    return VarianceInformation(found.covariance, found.C, found.gradient, fit.solution.coordinates)


def multiple_df(nu: FloatArray | Sequence[float]) -> float:
    """Return the denominator df of an F test from those of its q independent t tests (Fai and Cornelius).

    The mean of ``sum t^2 / q`` is matched: ``2 E / (E - q)`` with ``E = sum nu / (nu - 2)``.

    >>> float(multiple_df([10.0, 10.0]))
    10.0
    """
    nu = np.asarray(nu, dtype=float)
    if np.ptp(nu) < 1e-8:
        return nu.mean()
    if (nu <= 2).any():
        return 2.0
    expectation = (nu / (nu - 2.0)).sum()
    return 2.0 * expectation / (expectation - len(nu))
