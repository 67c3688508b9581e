r"""Linear models with large crossed factors, iteratively: estimates without a dense matrix.

Everything but one sum is computed to the tolerance of conjugate gradients: u, beta, r2 and the covariance of
beta. The sums over levels of the diagonal blocks of the inverse, of which the gradient needs the traces, are
means over random signs z, ``E z (S^-1 z)' = S^-1``; the signs are drawn once, from a stated seed, so that the
criterion stays one smooth function and a fit can be repeated. See :mod:`glmmlib.linalg.conjugate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmmlib.likelihood.lmm import MOST_DENSE, ProfiledDeviance, gradient_from_sums
from glmmlib.likelihood.lmm_start import first_theta
from glmmlib.likelihood.optimise import vanishing_gradient
from glmmlib.linalg.conjugate import CrossedProducts, CrossedSystem
from glmmlib.types import FloatArray

SEED = 1
PROBES, FEW_PROBES = 16, 8  # the latter where columns are many: their error falls with the levels too
GOAL, MOST_PROBES = 0.02, 320  # a Monte Carlo error of theta in standard errors, and probes to reach it
TOLERANCE, PROBE_TOLERANCE = 1e-8, 1e-3
FARTHEST = 0.5  # of theta's own length, a step: beyond zero lies the same model again, mirrored


def first_number(m: int) -> int:
    """Return the number of probes to begin with, for m columns of crossed factors."""
    return PROBES if m <= MOST_DENSE else FEW_PROBES


def enough_probes(number: int, error: float) -> int:
    """Return how many probes it takes where so many leave this error of theta, in standard errors."""
    return number if error <= GOAL else min(int(1.2 * number * (error / GOAL) ** 2), MOST_PROBES)


@dataclass(frozen=True, eq=False)
class IterativePoint:
    """The model at one value of theta (in standardised coordinates).

    ``sums[f]`` (k, q, q) are the sums of the diagonal blocks of the inverse, one estimate for each probe;
    ``information`` (p, p) is ``X'V^-1X`` without sigma^2.
    """

    Lambda: Sequence[FloatArray]
    system: CrossedSystem
    u: list[FloatArray]
    beta: FloatArray
    r2: float
    information: FloatArray
    sums: list[FloatArray]


class IterativeDeviance:
    """The same problem as a :class:`ProfiledDeviance`, solved without a dense matrix.

    Parameters
    ----------
    problem : ProfiledDeviance
        With two factors or more.
    probes : int, optional
        Vectors of random signs; the error of theta falls with the root of their number.
    """

    def __init__(self, problem: ProfiledDeviance, probes: int | None = None) -> None:
        probes = first_number(problem.structure.m) if probes is None else probes
        self.problem, self.structure, self.covariance = problem, problem.structure, problem.covariance
        self.n, self.p, self.df, self.reml = problem.n, problem.p, problem.df, problem.reml
        self.cross, self.Zy, self.yy = problem.cross, problem.Zy, problem.yy
        self.n_evaluations = 0
        self._last: dict[bytes, IterativePoint] = {}
        self.products = CrossedProducts(problem.structure, problem.cross)
        sides = [
            np.concatenate([ZX, Zy[:, None]], axis=1).swapaxes(1, 2).reshape(-1, self.p + 1)
            for ZX, Zy in zip(problem.cross.ZX, problem.Zy, strict=True)
        ]
        self.C0, self.C = sides[0], np.concatenate(sides[1:])
        self.G0 = np.block([[problem.cross.XX, problem.Xy[:, None]], [problem.Xy, problem.yy]])
        m = self.products.m
        self.is_exact = m <= probes  # unit vectors instead of signs: no more work, and no error
        signs = np.random.default_rng(SEED).choice([-1.0, 1.0], size=(m, probes))
        self.z = np.sqrt(m) * np.eye(m) if self.is_exact else signs

    def Lambdas(self, theta: FloatArray) -> list[FloatArray]:
        """Return the standardised factors, in the order of the structure."""
        return self.covariance.factors(theta)

    def at(self, Lambdas: Sequence[FloatArray]) -> IterativePoint:
        """Solve penalised least squares, and sum the diagonal blocks of the inverse over the probes."""
        key = b"".join(L.tobytes() for L in Lambdas)
        if key not in self._last:
            self._last.clear()
            self._last[key] = self._solved(Lambdas)
        return self._last[key]

    def without_probes(self, Lambdas: Sequence[FloatArray]) -> IterativePoint:
        """Solve penalised least squares alone; the point has no sums."""
        return self._solved(Lambdas, is_probed=False)

    def _solved(self, Lambdas, is_probed=True):
        system, p = CrossedSystem(self.products, Lambdas), self.p
        right = system.reduced(self.C0, self.C)
        W = system.solve(right, TOLERANCE)
        G = self.G0 - system.explained(self.C0) - right.T @ W
        beta = np.linalg.solve(G[:p, :p], G[:p, p])
        r2 = float(G[p, p] - beta @ G[:p, p])
        if not r2 > self.problem.least_r2:
            raise np.linalg.LinAlgError("the residual sum of squares is zero, or a difference without digits")
        U = [system.first(W, self.C0)] + [W[self.products.place[f]] for f in self.products.rest]
        residual = np.append(-beta, 1.0)
        factors = self.structure.factors
        u = [(V @ residual).reshape(f.q, f.n_levels) for V, f in zip(U, factors, strict=True)]
        if not is_probed:
            return IterativePoint(Lambdas, system, u, beta, r2, G[:p, :p], [])
        self.n_evaluations += 1
        sums = self._probed(system)
        if self.reml and p:
            root = np.linalg.inv(np.linalg.cholesky(G[:p, :p]))
            for s, V, f in zip(sums, U, factors, strict=True):
                flat = (V[:, :p] @ root.T).reshape(f.q, -1)
                s += flat @ flat.T
        return IterativePoint(Lambdas, system, u, beta, r2, G[:p, :p], sums)

    def _probed(self, system):
        Y = system.solve(self.z, PROBE_TOLERANCE)
        pairs = [(system.first(self.z), system.first(Y))]
        pairs += [(self.z[place], Y[place]) for place in self.products.place.values()]
        sums = [_outer(a, b, f.q) for (a, b), f in zip(pairs, self.structure.factors, strict=True)]
        sums[0] += system.Minv.sum(axis=2)
        return sums

    def block_sums(self, point: IterativePoint) -> list[FloatArray]:
        """Return the sum over levels of the diagonal blocks of the inverse, (q, q) for each factor."""
        return [s.mean(axis=0) for s in point.sums]

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Return the gradient of the criterion at theta."""
        point = self.at(self.Lambdas(theta))
        G = gradient_from_sums(point.Lambda, self.block_sums(point), point.u, self.df / point.r2)
        return self.covariance.pullback(theta, G)

    def gradient_covariance(self, theta: FloatArray, point: IterativePoint) -> FloatArray:
        """Return the Monte Carlo covariance (k, k) of the gradient, from the spread over the probes."""
        if self.is_exact:
            return np.zeros((len(theta), len(theta)))
        per_probe = []
        for single in zip(*point.sums, strict=True):
            G = [-2.0 * np.linalg.solve(L.T, s) for L, s in zip(point.Lambda, single, strict=True)]
            per_probe.append(self.covariance.pullback(theta, G))
        return np.atleast_2d(np.cov(np.array(per_probe).T)) / len(per_probe)

    def value(self, point: IterativePoint) -> tuple[float, float]:
        """Return the criterion at a point and its Monte Carlo error: that of a log-determinant."""
        found = point.system.log_determinants(self.z)
        value = (
            found.mean() + self.df * (1.0 + np.log(2.0 * np.pi * point.r2 / self.df)) + self.problem.constant
        )
        if self.reml:
            value += np.linalg.slogdet(point.information)[1]
        error = 0.0 if self.is_exact else found.std(ddof=1) / np.sqrt(len(found))
        return float(value), float(error)


def _outer(a, b, q):
    """Return the symmetric part of ``sum_j a_j b_j'`` for each probe: (k, q, q)."""
    a, b = a.reshape(q, -1, a.shape[1]), b.reshape(q, -1, b.shape[1])
    found = np.einsum("ajk,bjk->kab", a, b)
    return 0.5 * (found + found.swapaxes(1, 2))


def solve_gradient(
    deviance: IterativeDeviance, tolerance: float, begun: tuple[FloatArray, FloatArray] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return where the gradient vanishes, ``g' H^-1 g < tolerance``, and the inverse Hessian there; ``begun``
    are those with other probes.

    Raises
    ------
    numpy.linalg.LinAlgError
        If there is no such theta, as where a variance is zero.
    """
    start = first_theta(deviance) if begun is None else begun
    return vanishing_gradient(deviance.gradient, *start, tolerance, _length)[:2]


def _length(theta, step):
    return float(FARTHEST * np.linalg.norm(theta) / np.linalg.norm(step))
