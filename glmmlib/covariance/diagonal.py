"""Independent effects: Lambda is diagonal."""

import numpy as np

from glmmlib.covariance.base import NEAR_BOUNDARY, WITHOUT_TERM, LinearStructure, Quantity
from glmmlib.covariance.coordinates import HeldParameter, scaled
from glmmlib.covariance.factors import SINGULAR
from glmmlib.covariance.multiple import Multiple
from glmmlib.covariance.tangent import EntryChart


class Diagonal(LinearStructure):
    """Each effect has an SD, and none is correlated with another: ``(x || g)``, ``diag(x | g)``.

    With ``hom=True`` all have the same SD.
    """

    word, example = "diag", "diag(x | g)"
    options = {"hom": False}
    invariance = "scaling"
    needs_repeats = allows_quadrature = True
    boundary_advice = WITHOUT_TERM

    def __init__(self, q):
        self.q = self.n_parameters = q
        self.sizes = np.arange(q)
        self.D = np.zeros((q, q, q))
        self.D[self.sizes, self.sizes, self.sizes] = 1.0

    @classmethod
    def of(cls, columns, places, hom=False):
        return Multiple(np.eye(len(columns))) if hom else cls(len(columns))

    def factor(self, par):
        par = np.asarray(par)
        L = np.zeros((*par.shape[:-1], self.q, self.q))
        L[..., self.sizes, self.sizes] = par
        return L

    def pullback(self, par, G):
        return G[..., self.sizes, self.sizes]

    def parameters(self, L):
        if _is_diagonal(L):
            return L[..., self.sizes, self.sizes].copy()
        return np.sqrt((L**2).sum(axis=-1))

    def transformed(self, par, T):
        return np.abs(np.diag(T) * par)

    # -- names -------------------------------------------------------------------------------------------

    def names(self, columns, label=None):
        return tuple(columns)

    def quantities(self, columns, label=None):
        return tuple(Quantity("sd", name, 0.0, np.inf) for name in columns)

    def values(self, par, scale):
        return np.asarray(scale)[..., None] * np.abs(par)

    # -- the search --------------------------------------------------------------------------------------

    def start(self, variances):
        return np.sqrt(variances)

    def rectified(self, par):
        return np.abs(par)

    def snapped(self, par):
        par = np.abs(par)
        return np.where(par < NEAR_BOUNDARY, 0.0, par)

    def boundary_distance(self, par):
        return np.abs(par).min(axis=-1)

    def boundary_sentences(self, par, group, columns, term):
        for size, name in zip(np.abs(par), columns, strict=True):
            if size < SINGULAR:
                yield f"the variance of {name} between the levels of {group} is estimated as zero"

    # -- tests and intervals -----------------------------------------------------------------------------

    def chart(self, par):
        L = self.factor(np.where(np.abs(par) < SINGULAR, 0.0, par))
        free = np.flatnonzero(np.diag(L))
        return EntryChart.of(L, free, free)

    def held(self, k, par, to_user, scale):
        unit = abs(scale * to_user[k, k])
        return HeldParameter(self, self.rectified(par), k, scaled(unit), unit)

    def covariance_basis(self):
        return self.D

    def free_covariances(self):
        return np.eye(self.q, dtype=bool)


def _is_diagonal(L):
    return np.count_nonzero(L) == np.count_nonzero(np.diagonal(L, axis1=-2, axis2=-1))
