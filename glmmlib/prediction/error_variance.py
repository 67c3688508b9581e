r"""The joint uncertainty of fixed and random effects: the variance of ``x'beta + z'b`` row by row.

Given theta, the errors of :math:`\hat\beta` and of the conditional modes :math:`\hat b = \Lambda \hat u` have
the covariance matrix :math:`\sigma^2 M^{-1}`, where M is the matrix of penalised least squares (Henderson
1975, *Biometrics* 31, 423-447). A row needs few of its entries: those of its own levels, and of pairs of its
levels. Where two levels occur together in the data, :meth:`glmmlib.linalg.pls.Factorisation.inverse` has that
entry; for a new combination of known levels a column of the inverse is solved for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmmlib.fitted import FittedModel
from glmmlib.linalg.crossing import CHUNK_ROWS
from glmmlib.linalg.pls import Factorisation
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Effects:
    """The random effects of one grouping factor in some rows.

    ``Z`` (q, n) holds the columns, ``codes`` (n,) the level of each row, -1 where it is unknown or left out,
    and ``used`` (q,) tells which effects of a known level take part.
    """

    Z: np.ndarray
    codes: np.ndarray
    used: np.ndarray

    @property
    def known(self) -> BoolArray:
        return self.codes >= 0

    @property
    def take_part(self) -> bool:
        """Is there a row in which effects of a known level take part?"""
        return bool(self.used.any() and self.known.any())

    def part(self, modes: FloatArray) -> FloatArray:
        """Return ``z'b`` (n,) for modes (q, J); zero where the level is unknown."""
        total = np.zeros(len(self.codes))
        for z, mode in zip(self.Z[self.used], modes[self.used], strict=True):
            total += np.where(self.known, z * mode[self.codes], 0.0)
        return total

    def open_variance(self, covariance: FloatArray) -> FloatArray:
        """Return ``z' Sigma z`` (n,) where the level is unknown, zero elsewhere."""
        return np.where(self.known, 0.0, np.einsum("an,ab,bn->n", self.Z, covariance, self.Z))

    def select(self, rows: slice) -> Effects:
        return Effects(self.Z[:, rows], self.codes[rows], self.used)


def linear_variance(fit: FittedModel, X: FloatArray, effects: Sequence[Effects]) -> FloatArray:
    """Return the variance of ``x'beta + z'b`` for each row, given theta.

    Parameters
    ----------
    fit : MixedModelFit
    X : (n, p) array
    effects : sequence of Effects
        In the order of ``fit.groups``.  Effects of unknown levels take no part.

    Returns
    -------
    (n,) array
        On the scale of the linear predictor. For a linear mixed model exact given theta; for a generalised
        one the normal approximation at the conditional modes.

    Examples
    --------
    Without random effects this is the familiar ``x' cov(beta) x``:

    >>> import numpy as np
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> nobody = [Effects(np.ones((1, 1)), np.array([-1]), np.array([True]))]
    >>> np.allclose(linear_variance(fit, np.array([[1.0, 5.0]]), nobody),
    ...             [1, 5] @ fit.cov_params() @ [1, 5])
    True
    """
    solution, coordinates = fit.solution, fit.solution.coordinates
    effects = coordinates.ordered(effects)
    maps = [T.T * e.used for T, e in zip(coordinates.maps(solution.standard_Lambdas), effects, strict=True)]
    inverse = _Inverse(solution.joint_precision(), effects)
    # a generalised model takes the covariance of beta from the joint Hessian in (beta, theta): add the
    # difference
    more = None if fit.is_linear else coordinates.orthonormal_covariance(solution.beta_cov) - inverse.XX
    total = np.empty(len(X))
    for first in range(0, len(X), CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        here = [e.select(rows) for e in effects]
        x = coordinates.orthonormal(X[rows])
        a = [np.where(e.known, T @ e.Z, 0.0) for T, e in zip(maps, here, strict=True)]
        total[rows] = inverse.form(x, a, [e.codes for e in here], more)
    return np.where(solution.is_estimable(X), fit.scale**2 * total, np.inf)


def mode_variance(fit: FittedModel, effects: Sequence[Effects]) -> FloatArray:
    """Return the variance (n,) of ``z'b`` for each row, given all parameters of a generalised model."""
    if not any(e.take_part for e in effects):
        return np.zeros(len(effects[0].codes))
    solution, coordinates = fit.solution, fit.solution.coordinates
    effects = coordinates.ordered(effects)
    maps = [T.T * e.used for T, e in zip(coordinates.maps(solution.standard_Lambdas), effects, strict=True)]
    a = [np.where(e.known, T @ e.Z, 0.0) for T, e in zip(maps, effects, strict=True)]
    inverse = _Inverse(solution.mode.factorisation, effects)
    return inverse.form(np.zeros((0, len(effects[0].codes))), a, [e.codes for e in effects], None)


def mode_error_variances(fit: FittedModel, k: int) -> FloatArray:
    """Return the variances (q, J) of the errors of the conditional modes of one group, given theta.

    Parameters
    ----------
    fit : MixedModelFit
    k : int
        Position of the group in ``fit.groups``.
    """
    q, J = fit.groups[k].q, len(fit.groups[k].levels)
    effects = []
    for h, g in enumerate(fit.groups):
        Z = np.repeat(np.eye(q), J, axis=1) if h == k else np.zeros((g.q, q * J))
        codes = np.tile(np.arange(J), q) if h == k else np.full(q * J, -1)
        effects.append(Effects(Z, codes, np.full(g.q, h == k)))
    return linear_variance(fit, np.zeros((q * J, len(fit.params))), effects).reshape(q, J)


class _Inverse:
    """The entries of the inverse that given rows need."""

    def __init__(self, factorisation, effects):
        self.structure = factorisation.structure
        self.taken = [f for f, e in enumerate(effects) if e.take_part]
        if not self.taken:  # the lower corner of the inverse is that of the Cholesky factor
            m = self.structure.m
            corner = factorisation.L[m:, m:]
            half = solve_triangular(corner, np.eye(len(corner)), lower=True) if len(corner) else corner
            self.XX = half.T @ half
            return
        entries = factorisation.inverse(with_X=True)
        self.XX, self.ZX, self.block = entries.XX, entries.ZX, entries.block
        self.pairs = {
            (f, h): self._pair(f, h, factorisation, entries.cell[f, h], effects)
            for f in self.taken
            for h in self.taken
            if f < h
        }

    def form(self, x, a, codes, more):
        """Return the quadratic form of (x, a) row by row."""
        total = np.einsum("pn,pq,qn->n", x, self.XX, x)
        between = np.zeros_like(x)  # the covariance of beta with z'b
        for f in self.taken:
            total += np.einsum("an,abn,bn->n", a[f], self.block[f][:, :, codes[f]], a[f])
            between += np.einsum("apn,an->pn", self.ZX[f][:, :, codes[f]], a[f])
        total += 2.0 * np.einsum("pn,pn->n", x, between)
        for (f, h), (keys, values) in self.pairs.items() if self.taken else ():
            both = (codes[f] >= 0) & (codes[h] >= 0)
            at = np.searchsorted(keys, self._key(f, h, codes)[both])
            total[both] += 2.0 * np.einsum("an,abn,bn->n", a[f][:, both], values[:, :, at], a[h][:, both])
        if more is not None:
            d = x + np.linalg.solve(self.XX, between)
            total += np.einsum("pn,pq,qn->n", d, more, d)
        return total

    def _key(self, f: int, h: int, codes: IntArray) -> tuple[int, int]:
        return codes[f].astype(np.int64) * self.structure.factors[h].n_levels + codes[h]

    def _pair(self, f, h, factorisation, values, effects):
        """Return the sorted keys of all pairs of levels that the rows need, and their entries (q_f, q_h,
        pairs).
        """
        codes = {k: effects[k].codes for k in (f, h)}
        both = (codes[f] >= 0) & (codes[h] >= 0)
        known = self.structure.cells[f, h].key
        new = np.setdiff1d(self._key(f, h, codes)[both], known)
        if not len(new):
            return known, values
        keys = np.concatenate([known, new])
        values = np.concatenate([values, self._solve_for(f, h, factorisation, new)], axis=2)
        order = np.argsort(keys)
        return keys[order], values[:, :, order]

    def _solve_for(self, f, h, factorisation, keys):
        """Solve for the entries at new pairs of levels, a column for each effect and level of one side."""
        first, second = np.divmod(keys, self.structure.factors[h].n_levels)
        n_f = len(np.unique(first)) * self.structure.factors[f].q
        n_h = len(np.unique(second)) * self.structure.factors[h].q
        if n_f < n_h:
            return self._columns(f, first, h, second, factorisation).swapaxes(0, 1)
        return self._columns(h, second, f, first, factorisation)

    def _columns(
        self,
        given: IntArray,
        its_levels: IntArray,
        other: IntArray,
        other_levels: IntArray,
        factorisation: Factorisation,
    ) -> FloatArray:
        """Return the entries (q_other, q_given, pairs) by unit right-hand sides on the side ``given``."""
        factors = self.structure.factors
        found = np.empty((factors[other].q, factors[given].q, len(its_levels)))
        for level in np.unique(its_levels):
            here = its_levels == level
            for b in range(factors[given].q):
                rhs = [np.zeros((f.q, f.n_levels)) for f in factors]
                rhs[given][b, level] = 1.0
                u, _, _ = factorisation.solve(rhs)
                found[:, b, here] = u[other][:, other_levels[here]]
        return found
