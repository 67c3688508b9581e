r"""The log-likelihood of a generalised model, cluster by cluster.

Where the random effects of each cluster are its own, the marginal likelihood is a product over clusters, and
so is Laplace's approximation of it: the rows' log-densities, :math:`|\hat u|^2`, and the factors of
:math:`|H|` each belong to one cluster. Quadrature adds the integrals of the outermost groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glmmlib.likelihood.glmm import LaplaceDeviance
from glmmlib.likelihood.laplace_solution import LaplaceSolution
from glmmlib.types import FloatArray, IntArray

STEP = 1e-2  # of a standard error, either way: the error of a difference is of its square


def cluster_deviances(problem: LaplaceDeviance, parameters: FloatArray, codes: IntArray) -> FloatArray:
    """Return -2 log L of each cluster (J,), whose sum is that of the model.

    Parameters
    ----------
    problem : LaplaceDeviance
    parameters : (k,) array
        As ``problem.evaluate`` takes them.
    codes : (n,) array
        The cluster of each row, counted from 0, in the order of the data; random effects do not go across.
    """
    codes, n = codes[problem.rows], int(codes.max()) + 1
    beta, Lambdas, dispersion = problem.split(parameters)
    mode = problem.mode(beta, Lambdas, dispersion)

    def by_cluster(of: IntArray, values: Any) -> FloatArray:
        sums = np.bincount(of, np.broadcast_to(values, of.shape), minlength=n)
        return np.asarray(sums, dtype=float)

    family, y, weights = problem.family, problem.y, problem.weights
    kernel = family.derivatives(y, mode.eta, weights, dispersion, order=0).kernel
    total = -2.0 * by_cluster(codes, kernel + family.constant(y, weights, dispersion))
    structure, factorisation = problem.structure, mode.factorisation
    places = []  # the cluster of each level
    for factor, u in zip(structure.factors, mode.u, strict=True):
        place = np.zeros(factor.n_levels, dtype=np.intp)
        place[factor.codes] = codes
        places.append(place)
        total += by_cluster(place, np.square(u).sum(axis=0))
    for f, C in zip(structure.chain, factorisation.C, strict=True):
        total += 2.0 * by_cluster(places[f], np.log(np.einsum("aaj->ja", C)).sum(axis=1))
    roots = np.log(np.diag(factorisation.L))
    for f in structure.crossed:
        own = roots[structure.dense_columns(f)].reshape(structure.factors[f].q, -1)
        total += 2.0 * by_cluster(places[f], own.sum(axis=0))
    if problem.quadrature is not None:
        total -= 2.0 * by_cluster(
            places[-1], problem.quadrature.log_integrals(problem, mode, Lambdas, dispersion)
        )
    return total


def cluster_scores(solution: LaplaceSolution, codes: IntArray) -> FloatArray:
    """Return the score (J, k) of each cluster, in the coordinates of the likelihood, at the estimates.

    Derivatives are central differences of :func:`cluster_deviances`.

    Examples
    --------
    They sum to zero at a maximum:

    >>> import numpy as np
    >>> import glmmlib as gl
    >>> ticks = gl.load("grouseticks")
    >>> fit = gl.glmer("TICKS ~ cHEIGHT + (1 | BROOD)", ticks, family="poisson")
    >>> scores = cluster_scores(fit.solution, fit.design.random[0].codes)
    >>> scores.shape, bool((abs(scores.sum(axis=0)) < 0.01).all())
    ((118, 3), True)
    """
    problem, parameters = solution.problem.precise(solution.mode.u), solution.parameters
    errors = np.sqrt(np.maximum(np.diag(solution.joint_covariance), 0.0))
    steps = STEP * np.minimum(np.where(errors > 0.0, errors, 1.0), np.maximum(1.0, np.abs(parameters)))
    columns = []
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for h in np.diag(steps):
            up, down = (cluster_deviances(problem, parameters + s, codes) for s in (h, -h))
            columns.append(-0.25 * (up - down) / h.max())
    return np.stack(columns, axis=-1)
