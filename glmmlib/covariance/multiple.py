r"""A known matrix times one parameter: :math:`\Lambda = \theta C`."""

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY, WITHOUT_TERM, LinearStructure, Quantity
from glmmlib.covariance.coordinates import HeldParameter, scaled
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.tangent import ParameterChart


class Multiple(LinearStructure):
    """One SD for all effects, whose correlations (and relative sizes) are known.

    Parameters
    ----------
    C : (q, q) array
        A root of the known matrix.
    """

    invariance = "none"
    n_parameters = 1
    phrase = "independent and with one SD"
    boundary_advice = WITHOUT_TERM

    def __init__(self, C):
        self.q, self.D, self.sizes = len(C), C[None], np.array([0])
        self.weight = (C**2).sum(axis=1)  # of the variances

    def parameters(self, L):
        variances = (L**2).sum(axis=-1)
        return np.sqrt((variances @ self.weight) / (self.weight @ self.weight))[..., None]

    def transformed(self, par, T):
        return np.abs(T[0, 0] * par)

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns, label):
        return (f"{label}.sd",)

    def quantities(self, columns, label):
        return (Quantity("sd", label, 0.0, np.inf),)

    def values(self, par, scale):
        return np.asarray(scale)[..., None] * np.abs(par)

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances):
        return np.sqrt((variances @ self.weight) / (self.weight @ self.weight))[..., None]

    def rectified(self, par):
        return np.abs(par)

    def snapped(self, par):
        return np.where(np.abs(par) < NEAR_BOUNDARY, 0.0, np.abs(par))

    def boundary_distance(self, par):
        return np.abs(par[..., 0])

    def boundary_sentences(self, par, group, columns, term):
        if np.abs(par[0]) < SINGULAR:
            yield f"the variance of {term} is estimated as zero"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par):
        return ParameterChart.of(self, self.rectified(par), np.flatnonzero(np.abs(par) >= SINGULAR))

    def held(self, k, par, to_user, scale):
        unit = abs(scale * to_user[0, 0])
        return HeldParameter(self, self.rectified(np.asarray(par)), k, scaled(unit), unit)

    def missing_dimensions(self, Sigma):
        return int(np.trace(Sigma) < 1e-9)

    def covariance_basis(self):
        return self.D @ self.D.swapaxes(1, 2)

    def free_covariances(self):
        return self.covariance_basis()[0] != 0
