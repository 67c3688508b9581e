r"""Adaptive Gauss-Hermite quadrature for one grouping factor, or for a chain of nested ones.

Given the effects of the larger groups around it, the integral over the random effects u of a group
(standardised, q of them) is a weighted sum of the integrand at points around its mode,

.. math::

    \int e^{\ell(u) - |u|^2/2}\,\frac{du}{(2\pi)^{q/2}} \approx |C|^{-1} \sum_k \omega_k\,
    e^{\ell(u_k) - |u_k|^2/2 + |t_k|^2/2}, \quad u_k = \hat u + d_k .

For one grouping factor, :math:`d_k = C'^{-1} t_k` with the Cholesky factor of :math:`H = CC'`. In a chain of
nested factors (children in families in towns) :math:`e^{\ell}` of a family is the product of its children's
integrals, each taken anew at every point of the family; and so on outwards. Points follow their
surroundings: with the Cholesky factor L of the whole H, the deviations from the joint mode are :math:`d =
L'^{-1} t`, so that those of a child have the centre and the scale of the conditional normal approximation
given those of its family and its town (Rabe-Hesketh, Skrondal and Pickles 2005, *Journal of Econometrics*
128(2)). K factors with Q points each cost :math:`Q^K` times the rows.

With one point, t = 0, this is Laplace's approximation (Pinheiro and Bates 1995, *Journal of Computational and
Graphical Statistics* 4(1)).

The gradient is exact: points move with the mode and with L, whose derivative is :math:`dL = L\,\Phi(L^{-1}\,
dH\,L'^{-1})`, :math:`\Phi` being the lower triangle with half the diagonal. What enters it are averages over
the points, each with its share of the integral: of the scores, of :math:`\gamma = L^{-1} g` with the gradient
g of the log integrand, and of :math:`t\gamma'`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from glmmlib.linalg import blocks
from glmmlib.linalg.crossing import Factor
from glmmlib.types import FloatArray, IntArray, Numbers

BLOCK_NUMBERS = 200_000  # points times rows at a time: arrays that stay in a processor's cache
ROWS = -1  # the place of what has a value for each row


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes ``t`` (K, q) and log-weights of a product Gauss-Hermite rule for the standard normal
    distribution, each with ``|t|^2 / 2`` added; ``n_points`` in each direction.
    """

    nodes: np.ndarray
    log_weights: np.ndarray
    n_points: int


@lru_cache(maxsize=32)
def product_rule(n_points: int, q: int) -> Rule:
    """Return the rule for q random effects; points of no weight are left out."""
    t, w = hermegauss(n_points)
    grids = np.meshgrid(*[t] * q, indexing="ij")
    weights = np.meshgrid(*[w / w.sum()] * q, indexing="ij")
    nodes = np.stack([g.ravel() for g in grids], axis=1)
    log_weights = np.log(np.prod([g.ravel() for g in weights], axis=0)) + 0.5 * (nodes**2).sum(axis=1)
    used = log_weights > log_weights.max() - 700.0
    return Rule(nodes[used], log_weights[used], n_points)


@dataclass(frozen=True, eq=False)
class Correction:
    """What quadrature adds to Laplace's approximation.

    ``value`` is added to -2 log L. The rest enters the gradient, by grouping factor: ``block[f]`` (q, q, J)
    and ``cell[f, h]`` (q_f, q_h, J_f) are added to the entries of ``H^-1``, ``pull[f]`` (q, J) to the
    derivative with respect to the mode, ``score`` (n,) takes the place of the score at the mode,
    ``gradient[f]`` (q, q) and ``tau`` (of the auxiliary coefficients) hold the direct derivatives.
    """

    value: float
    block: list[np.ndarray]
    cell: dict[tuple[int, int], np.ndarray]
    pull: list[np.ndarray]
    score: np.ndarray
    gradient: list[np.ndarray]
    tau: np.ndarray


@dataclass(frozen=True)
class Quadrature:
    """Adaptive quadrature with ``n_points`` for each random effect."""

    n_points: int

    def correction(
        self, model: Any, mode: Any, Lambdas: Sequence[FloatArray], dispersion: Numbers | None
    ) -> Correction:
        """Return the :class:`Correction` of a Laplace deviance at its mode."""
        return _Chain(self.n_points, model, mode, Lambdas, dispersion).correction()

    def log_integrals(
        self, model: Any, mode: Any, Lambdas: Sequence[FloatArray], dispersion: Numbers | None
    ) -> FloatArray:
        """Return what it adds to the log-likelihood of each outermost group (J,)."""
        return _Chain(self.n_points, model, mode, Lambdas, dispersion).log_integrals()


class _Average:
    """Averages over points, each with its share of a sum of exponentials, which grow as points come in.

    ``log`` (J,) is the logarithm of the sum; ``values`` holds averages by name and place, the last axis being
    the rows or the levels of a factor. ``index`` tells by place to which of the J entries they belong.
    """

    def __init__(self, J: int, index: Mapping[int, IntArray]) -> None:
        self.index, self.log = index, np.full(J, -np.inf)
        self.values: dict[Any, FloatArray] = {}

    def add(self, log: FloatArray, values: Mapping[Any, FloatArray]) -> None:
        """Add m points: their logarithms (m, J), and what is averaged (m, ..., size of its place)."""
        log = np.where(np.isnan(log), -np.inf, log)  # beyond the range of the floating-point numbers
        total = np.logaddexp(self.log, np.logaddexp.reduce(log, axis=0))
        share, kept = np.exp(log - total), np.exp(self.log - total)
        for key, value in values.items():
            here = self.index.get(key[1])
            weight, rest = (share, kept) if here is None else (share[:, here], kept[here])
            told = weight > 0.0
            if not told.all():  # what is not a number belongs to a point out of the link's range
                weight, value = np.where(told, weight, 0.0), np.where(_along(told, value), value, 0.0)
            sums = np.einsum("m...j,mj->...j", value, weight)
            if key in self.values:
                sums += np.where(rest > 0.0, rest, 0.0) * self.values[key]
            self.values[key] = sums
        self.log = total


def _along(weight, value):
    """Give (m, J) the axes of a value (m, ..., J)."""
    return weight.reshape(len(weight), *[1] * (value.ndim - 2), -1)


class _Chain:
    """The integrals of one evaluation; factor 0 is the innermost."""

    def __init__(self, n_points, model, mode, Lambdas, dispersion):
        self.model, self.mode, self.Lambdas, self.dispersion = model, mode, Lambdas, dispersion
        self.structure, self.factors = model.structure, model.structure.factors
        self.C, self.T = mode.factorisation.C, mode.factorisation.T
        self.rules = [product_rule(n_points, f.q) for f in self.factors]
        self.at_mode = [0.5 * (u**2).sum(axis=0) for u in mode.u]
        kernel = self._derivatives(mode.eta, 0).kernel
        self.at_mode[0] = self.at_mode[0] - _sums(self.factors[0], np.broadcast_to(kernel, mode.eta.shape))

    def _whole(self):
        with np.errstate(over="ignore", invalid="ignore"):
            return self._integral(len(self.factors) - 1, self.mode.eta, {})

    def log_integrals(self) -> FloatArray:
        return self._whole().log

    def correction(self) -> Correction:
        found = self._whole()
        values = found.values
        metric = _metric(self._path(), self._spread(values))
        parts = self._parts()
        leaf = [self._a_leaf(f) for f in range(len(self.factors))]
        return Correction(
            -2.0 * float(found.log.sum()),
            [metric[part, part][:, :, leaf[f]] for f, part in enumerate(parts)],
            {(f, h): metric[parts[f], parts[h]][:, :, leaf[f]] for f, h in self.structure.cells},
            [-2.0 * g for g in self._multiplied([values["whitened", f] for f in range(len(parts))])],
            values["score", ROWS],
            [-2.0 * values["moment", f].sum(axis=-1) for f in range(len(parts))],
            self._tau(values),
        )

    def _tau(self, values):
        predictors = self.model.predictors
        return -2.0 * predictors.pull(values["tau", ROWS].T) if predictors.size else np.zeros(0)

    # -- integrals ---------------------------------------------------------------------------------------

    def _integral(self, f: int, eta: FloatArray, d: dict[int, FloatArray]) -> _Average:
        """Integrate over the effects of factor f and all within it.

        ``d[h]`` (q, J) are the deviations of the factors around it, and in ``eta`` (n,) already.
        """
        factor, L, rule = self.factors[f], self.Lambdas[f], self.rules[f]
        found = _Average(factor.n_levels, self._index(f))
        shift = self._shift(f, d)
        at_once = max(1, BLOCK_NUMBERS // len(eta)) if f == 0 else 1
        for first in range(0, len(rule.nodes), at_once):
            here = slice(first, first + at_once)
            t, weights = rule.nodes[here], rule.log_weights[here]
            deviation = shift + _scaled(self.C[f], t)  # (m, q, J)
            u = self.mode.u[f] + deviation
            own = eta + _row_values(factor, L, deviation)
            log, values = self._rows(own) if f == 0 else self._inside(f, own[0], d | {f: deviation[0]})
            log = log + self.at_mode[f] - 0.5 * (u**2).sum(axis=1) + weights[:, None]
            Z_score = _effect_sums(factor, values["score", ROWS])
            g = np.einsum("ba,mbj->maj", L, Z_score) - u
            for h in range(f):
                g -= self._from_within(h, f, values["whitened", h][0])
            values["whitened", f] = np.moveaxis(blocks.solve_lower(self.C[f], np.moveaxis(g, 0, 1)), 1, 0)
            values["moment", f] = Z_score[:, :, None] * u[:, None]
            for h in range(f + 1):
                values["turn", h, f] = t[:, :, None, None] * values["whitened", h][:, None]
            found.add(log, values)
        return found

    def _rows(self, eta):
        """The log-densities of the rows, for each innermost group (m, J), and what they give the gradient."""
        model, shape = self.model, eta.shape
        d = self._derivatives(eta, 1)
        values = {("score", ROWS): np.broadcast_to(d.score, shape)}
        if model.predictors.size:
            slopes = model.family.dispersion_derivatives(model.y, eta, model.weights, self.dispersion).logpdf
            values["tau", ROWS] = np.moveaxis(slopes, -1, 1) if slopes.ndim > eta.ndim else slopes
        return _sums(self.factors[0], np.broadcast_to(d.kernel, shape)), values

    def _inside(self, f, eta, d):
        """The product of the integrals within each level of f at one point, and their averages."""
        inner = self._integral(f - 1, eta, d)
        log = np.bincount(self.structure.parent(f - 1, f), inner.log, minlength=self.factors[f].n_levels)
        return log[None], {key: value[None] for key, value in inner.values.items()}

    def _derivatives(self, eta, order):
        model = self.model
        with np.errstate(over="ignore", invalid="ignore"):
            return model.family.derivatives(model.y, eta, model.weights, self.dispersion, order=order)

    # -- points, and how they move -------------------------------------------------------------------------

    def _index(self, f):
        """Return the level of f of each row, and of each level within."""
        return {ROWS: self.factors[f].codes} | {h: self.structure.parent(h, f) for h in range(f)}

    def _shift(self, f, d):
        """Return how the deviations of those around move the centre of the points, (q, J)."""
        rest = np.zeros((self.factors[f].q, self.factors[f].n_levels))
        for h, outer in d.items():
            rest -= np.einsum("abj,bj->aj", self.T[f, h], outer[:, self.structure.parent(f, h)])
        return blocks.solve_upper(self.C[f], rest[:, None])[:, 0]

    def _from_within(self, h, f, gamma):
        """Return ``T'gamma`` of the levels of h, added up by the levels of f (q, J)."""
        product = np.einsum("abj,aj->bj", self.T[h, f], gamma)
        return blocks.sum_by(self.structure.parent(h, f), product[:, None], self.factors[f].n_levels)[:, 0]

    def _multiplied(self, gamma):
        """Return ``L gamma``."""
        g = [np.einsum("abj,bj->aj", C, x) for C, x in zip(self.C, gamma, strict=True)]
        for f in range(len(g)):
            for h in range(f):
                g[f] = g[f] + self._from_within(h, f, gamma[h])
        return g

    def _a_leaf(self, f):
        """Return a level of the innermost factor in each level of f."""
        if f == 0:
            return np.arange(self.factors[0].n_levels)
        found = np.zeros(self.factors[f].n_levels, dtype=int)
        parent = self.structure.parent(0, f)
        found[parent] = np.arange(parent.size)
        return found

    def _at_leaves(self, f):
        return slice(None) if f == 0 else self.structure.parent(0, f)

    def _path(self):
        """Return L along the way from each innermost level outwards: (Q, Q, J), Q effects in all."""
        return self._joined(lambda f, h: self.C[f] if f == h else self.T[h, f].swapaxes(0, 1))

    def _spread(self, values):
        """Return the averages of ``t gamma'`` along the same way."""
        return self._joined(lambda f, h: values["turn", h, f])

    def _parts(self):
        """Return where each factor's effects stand along this way."""
        ends = np.cumsum([0, *(f.q for f in self.factors)]).tolist()
        return [slice(*pair) for pair in pairwise(ends)]

    def _joined(self, block):
        parts = self._parts()
        found = np.zeros((parts[-1].stop, parts[-1].stop, self.factors[0].n_levels))
        for f, rows in enumerate(parts):
            for h, columns in enumerate(parts[: f + 1]):  # there is a block for each level of h
                found[rows, columns] = block(f, h)[:, :, self._at_leaves(h)]
        return found


def _scaled(C: FloatArray, t: FloatArray) -> FloatArray:
    """Return ``C_j'^-1 t`` (m, q, J) for m points t (m, q)."""
    repeated = np.broadcast_to(t.T[:, :, None], (*t.T.shape, C.shape[2]))
    return np.moveaxis(blocks.solve_upper(C, repeated), 1, 0)


def _row_values(factor: Factor, L: FloatArray, u: FloatArray) -> FloatArray:
    """Return each row's ``z' L u`` (m, n) for effects (m, q, J)."""
    b = np.einsum("ab,mbj->maj", L, u)
    total = factor.Z[0] * b[:, 0, factor.codes]
    for a in range(1, factor.q):
        total += factor.Z[a] * b[:, a, factor.codes]
    return total


def _sums(factor: Factor, values: FloatArray) -> FloatArray:
    """Add up values (..., n) by level: (..., J)."""
    J, rows = factor.n_levels, values.reshape(-1, values.shape[-1])
    sums = [np.bincount(factor.codes, row, minlength=J) for row in rows]
    return np.array(sums, dtype=float).reshape(*values.shape[:-1], J)


def _effect_sums(factor, values):
    """Return ``Z'values`` (m, q, J) for values (m, n)."""
    return np.stack([_sums(factor, z * values) for z in factor.Z], axis=1)


def _metric(L: FloatArray, spread: FloatArray) -> FloatArray:
    """Return ``2 L'^-1 G L^-1``: how the moving points feel a change of H.

    ``G`` is the average of ``t gamma'``, its lower triangle with half weight on the diagonal, made symmetric.
    """
    q = len(L)
    G = np.zeros_like(spread)
    for a in range(q):
        for b in range(a + 1):
            G[a, b] = G[b, a] = 0.5 * spread[a, b]
    half = blocks.solve_upper(L, 2.0 * G)
    return blocks.solve_upper(L, half.swapaxes(0, 1))
