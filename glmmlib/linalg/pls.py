r"""Penalised least squares: the one numerical core under every model.

For given relative covariance factors :math:`\Lambda` (a small matrix for each grouping factor) and weights
:math:`W`, both the linear mixed model and each step of a generalised one need

.. math:: \min_{u, \beta} \; |W^{1/2}(y - Z \Lambda u - X \beta)|^2 + |u|^2,

which is a linear system with the symmetric matrix

.. math:: \begin{bmatrix} \Lambda' Z'WZ \Lambda + I & \Lambda' Z'WX \\ X'WZ \Lambda & X'WX \end{bmatrix}.

Three steps, and none but the first touches the rows of the data:

1. :func:`cross_products` sums :math:`Z'WZ`, :math:`Z'WX` ... by level;
2. :class:`Factorisation` is the Cholesky factor of the matrix, block by block along the chain of nested
   factors, then dense for the crossed ones (see :mod:`glmmlib.linalg.crossing`); it solves and gives
   log-determinants;
3. :meth:`Factorisation.inverse` gives the entries of the inverse that gradients and conditional
   variances need: those where the matrix itself has entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import lapack

from glmmlib.linalg import blocks
from glmmlib.linalg.crossing import Structure, rows_at_once
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class CrossProducts:
    """Weighted sums of products by level.

    ``A[f]`` (q, q, J): Z_f'WZ_f; ``C[f, h]`` (q_f, q_h, cells): Z_f'WZ_h; ``ZX[f]`` (q, p, J): Z_f'WX; ``XX``
    (p, p).
    """

    A: list
    C: dict
    ZX: list
    XX: np.ndarray


def cross_products(
    structure: Structure, columns: Callable[..., Any], p: int, weights: FloatArray | None = None
) -> CrossProducts:
    """Sum all products that the model needs, in one pass over the data.

    ``columns(rows)`` returns the dense columns ``(p, rows)``: those of X, and of whatever else is to
    be multiplied with Z, such as the response.
    """
    factors = structure.factors
    A = [np.zeros((f.q, f.q, f.n_levels)) for f in factors]
    ZX = [np.zeros((f.q, p, f.n_levels)) for f in factors]
    C = {
        (f, h): np.zeros((factors[f].q, factors[h].q, cells.size))
        for (f, h), cells in structure.cells.items()
    }
    XX = np.zeros((p, p))
    n = factors[0].codes.size if factors else columns(slice(None)).shape[1]
    step = rows_at_once(max((sums.shape[2] for sums in (*A, *C.values())), default=1))
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        X = columns(rows)
        Z = [f.columns(rows) for f in factors]
        w = None if weights is None else weights[rows]
        XX += (X if w is None else X * w) @ X.T
        for k, f in enumerate(factors):
            wZ = Z[k] if w is None else Z[k] * w
            by_level = partial(f.by_level, first=first)
            _add_products(A[k], by_level, wZ, Z[k], symmetric=True)
            _add_products(ZX[k], by_level, wZ, X)
            for h in range(k + 1, len(factors)):
                cells = structure.cells[k, h]
                _add_products(C[k, h], _sums_at(cells.slot[rows], cells.size), wZ, Z[h])
    return CrossProducts(A, C, ZX, XX)


def _sums_at(index, size):
    return lambda values: np.bincount(index, values, minlength=size)


def _add_products(total, sums, left, right, symmetric=False):
    if total.shape[2] == 1:
        total[:, :, 0] += left @ right.T
        return
    for a in range(left.shape[0]):
        for b in range(a + 1 if symmetric else right.shape[0]):
            total[a, b] += sums(left[a] * right[b])
            if symmetric and b < a:
                total[b, a] = total[a, b]


@dataclass(frozen=True, eq=False)
class Inverse:
    """The entries of the inverse where the matrix has entries, in the coordinates of u.

    ``block[f]`` (q, q, J), ``cell[f, h]`` (q_f, q_h, cells), ``ZX[f]`` (q, p, J), ``XX`` (p, p).
    """

    block: list
    cell: dict
    ZX: list
    XX: np.ndarray


def log_det_gradient(
    cross: CrossProducts, Lambda: Sequence[FloatArray], inverse: Inverse
) -> list[FloatArray]:
    """Return the derivative of the log-determinant with respect to each Lambda, as full (q, q) matrices.

    It is ``2 sum_j (Z'WZ Lambda H^-1)_jj``, with the columns of X beside those of Z where ``inverse`` holds
    them.
    """
    G = [
        2.0 * blocks.sum_of_products(blocks.right(A, L), block)
        for A, L, block in zip(cross.A, Lambda, inverse.block, strict=True)
    ]
    for (f, h), C in cross.C.items():
        cell = inverse.cell[f, h]
        G[f] += 2.0 * blocks.sum_of_products(blocks.right(C, Lambda[h]), cell)
        G[h] += 2.0 * blocks.sum_of_products(blocks.right(C.swapaxes(0, 1), Lambda[f]), cell.swapaxes(0, 1))
    if inverse.XX.size:
        for g, ZX, inverse_ZX in zip(G, cross.ZX, inverse.ZX, strict=True):
            g += 2.0 * blocks.sum_of_products(ZX, inverse_ZX)
    return G


class Factorisation:
    """Cholesky factorisation of the penalised least squares matrix.

    Parameters
    ----------
    structure : Structure
    cross : CrossProducts
    Lambda : list of (q, q) arrays, in the order of ``structure.factors``

    Attributes
    ----------
    log_det_Z : float
        ``log |Lambda'Z'WZ Lambda + I|``.
    log_det_X : float
        ``log |X'V^-1 X|``, with ``V = Z Lambda Lambda' Z' + W^-1``.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite (possible only with negative weights or collinear X).
    """

    def __init__(self, structure: Structure, cross: CrossProducts, Lambda: Sequence[FloatArray]) -> None:
        self.structure, self.p = structure, cross.XX.shape[0]
        _ = structure.dense_cells  # refused where the dense matrix has no room
        self.C: list[FloatArray] = []
        self.T: dict[tuple[int, int], FloatArray] = {}
        self.TX: list[FloatArray] = []
        M = [
            blocks.right(blocks.left(L.T, A), L) + np.eye(len(L))[:, :, None]
            for L, A in zip(Lambda, cross.A, strict=True)
        ]
        B = {(f, h): blocks.right(blocks.left(Lambda[f].T, C), Lambda[h]) for (f, h), C in cross.C.items()}
        E = [blocks.left(L.T, ZX) for L, ZX in zip(Lambda, cross.ZX, strict=True)]
        S = self._crossed_block(M, B, E, cross.XX)
        self.values: dict[int, FloatArray] = {}
        for f in structure.chain:
            self._eliminate(f, M, B, E, S)
        self._factorise_dense(S)
        if structure.on_factorisation is not None:
            structure.on_factorisation()

    def _crossed_block(self, M, B, E, XX):
        """Return the matrix of the crossed factors and X, lower triangle, before the chain is eliminated."""
        st, m = self.structure, self.structure.m
        S = np.zeros((m + self.p, m + self.p))
        if not S.size:
            return S
        S[m:, m:] = XX
        for f in st.crossed:
            q, J, own = st.factors[f].q, st.factors[f].n_levels, st.dense_columns(f)
            level = np.arange(J)
            S[m:, own] = E[f].swapaxes(0, 1).reshape(self.p, q * J)
            S[own, own].reshape(q, J, q, J)[:, level, :, level] = M[f].transpose(2, 0, 1)
            for h in range(f + 1, len(st.factors)):
                r, K, cells = st.factors[h].q, st.factors[h].n_levels, st.cells[f, h]
                other = S[st.dense_columns(h), own].reshape(r, K, q, J)
                other[:, cells.second, :, cells.first] = B[f, h].transpose(2, 1, 0)
        return S

    def _eliminate(self, f, M, B, E, S):
        """Eliminate factor ``f`` of the chain: what follows loses what ``f`` explains."""
        st = self.structure
        later = range(f + 1, len(st.factors))
        C = blocks.cholesky(M[f])
        self.C.append(C)
        TX = blocks.solve_lower(C, E[f])
        self.TX.append(TX)
        for h in later:
            self.T[f, h] = blocks.solve_lower(C[:, :, st.cells[f, h].first], B[f, h])
        for h in range(f + 1, st.n_chain):
            parent, J, T = st.parent(f, h), st.factors[h].n_levels, self.T[f, h]
            M[h] = M[h] - blocks.sum_by(parent, blocks.transpose_multiply(T, T), J)
            E[h] = E[h] - blocks.sum_by(parent, blocks.transpose_multiply(T, TX), J)
            for k in range(h + 1, len(st.factors)):
                update = blocks.transpose_multiply(T[:, :, st.cells[f, k].first], self.T[f, k])
                B[h, k] = B[h, k] - blocks.sum_by(st.lift[f, h, k], update, st.cells[h, k].size)
        m = st.m
        if m:
            dense = st.dense_cells[f]
            values = dense.sort(self._dense_values(f))
            self.values[f] = values
            S[:m, :m] -= dense.gram(values)
            S[m:, :m] -= dense.transpose_times(values, TX).T
        if self.p:
            flat = TX.swapaxes(0, 1).reshape(self.p, -1)
            S[m:, m:] -= flat @ flat.T
        M[f] = E[f] = None  # large, and no longer needed

    def _dense_values(self, f: int) -> FloatArray:
        parts = [self.T[f, h].reshape(len(self.C[f]), -1) for h in self.structure.crossed]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _factorise_dense(self, S):
        m = self.structure.m
        if len(S):
            self.L, failed = lapack.dpotrf(S, lower=1, clean=1)
            if failed or not np.isfinite(self.L[-1, -1]):
                raise np.linalg.LinAlgError("the penalised least squares matrix is not positive definite")
        else:
            self.L = S
        diagonal = 2.0 * np.log(np.diag(self.L))
        self.log_det_Z = sum(map(blocks.log_determinant, self.C)) + diagonal[:m].sum()
        self.log_det_X = diagonal[m:].sum()
        if not np.isfinite(self.log_det_Z):
            raise np.linalg.LinAlgError(
                "a block of the penalised least squares matrix is not positive definite"
            )

    @property
    def root_of_information(self) -> FloatArray:
        """The lower triangular root of ``X'V^-1X`` (p, p)."""
        m = self.structure.m
        return self.L[m:, m:]

    def solve(
        self, rhs: Sequence[FloatArray], rhs_X: FloatArray | None = None
    ) -> tuple[list[FloatArray], FloatArray, float]:
        """Solve the system for right-hand sides ``rhs[f]`` (q, J) and ``rhs_X`` (p,).

        Returns ``u`` (list of (q, J)), ``beta`` (p,) and the quadratic form ``rhs' inverse rhs``.
        """
        st, m = self.structure, self.structure.m
        rhs = [r[:, None, :] for r in rhs]
        dense = np.concatenate(
            [rhs[f].ravel() for f in st.crossed] + [np.zeros(self.p) if rhs_X is None else rhs_X]
        )
        t, quadratic = [], 0.0
        for f in st.chain:
            tf = blocks.solve_lower(self.C[f], rhs[f])
            t.append(tf)
            quadratic += float(np.vdot(tf, tf))
            for h in range(f + 1, st.n_chain):
                update = blocks.transpose_multiply(self.T[f, h], tf)
                rhs[h] = rhs[h] - blocks.sum_by(st.parent(f, h), update, st.factors[h].n_levels)
            if m:
                dense[:m] -= st.dense_cells[f].transpose_times(self.values[f], tf)[:, 0]
            if self.p:
                dense[m:] -= np.einsum("axj,aj->x", self.TX[f], tf[:, 0])
        if len(dense):
            td = solve_triangular(self.L, dense, lower=True)
            quadratic += float(td @ td)
            dense = solve_triangular(self.L, td, lower=True, trans=True)
        return self._back_substitute(t, dense), dense[m:], quadratic

    def draw(self, rng: np.random.Generator) -> tuple[list[FloatArray], FloatArray, float]:
        """Draw u (list of (q, J)) and beta (p,) with the inverse as their covariance; return also their
        quadratic form in the matrix itself.
        """
        t = [rng.standard_normal((len(C), 1, C.shape[2])) for C in self.C]
        dense: FloatArray = rng.standard_normal(len(self.L))
        quadratic = sum(float(np.vdot(x, x)) for x in (*t, dense))
        if len(dense):
            dense = solve_triangular(self.L, dense, lower=True, trans=True)
        return self._back_substitute(t, dense), dense[self.structure.m :], quadratic

    def _back_substitute(self, t, dense):
        st, m = self.structure, self.structure.m
        u = [None] * len(st.factors)
        for f in st.crossed:
            q, J = st.factors[f].q, st.factors[f].n_levels
            u[f] = dense[st.dense_columns(f)].reshape(q, J)
        for f in reversed(st.chain):
            rest = t[f][:, 0]
            if self.p:
                rest = rest - np.einsum("axj,x->aj", self.TX[f], dense[m:])
            for h in range(f + 1, st.n_chain):
                rest = rest - np.einsum("abj,bj->aj", self.T[f, h], u[h][:, st.parent(f, h)])
            if m:
                rest = rest - st.dense_cells[f].times_columns(self.values[f], dense[:m, None])[:, 0]
            u[f] = blocks.solve_upper(self.C[f], rest[:, None, :])[:, 0]
        return u

    def inverse(self, with_X: bool = True) -> Inverse:
        """Return the :class:`Inverse` of the matrix, or (``with_X=False``) of its random-effects part."""
        st, m = self.structure, self.structure.m
        p = self.p if with_X else 0
        S = self.dense_inverse(p) if m + p else np.zeros((0, 0))
        K = len(st.factors)
        found = Inverse([None] * K, {}, [None] * K, S[m:, m:])
        for f in st.crossed:
            self._read_dense(f, S, found)
        for f in reversed(st.chain):
            self._extend(f, S, p, found)
        return found

    def dense_inverse(self, p: int) -> FloatArray:
        """Return the inverse of what is left of the crossed factors and ``p`` columns of X."""
        size = self.structure.m + p
        S, _ = lapack.dpotri(self.L[:size, :size], lower=1)
        S += np.tril(S, -1).T  # the upper triangle is zero: dpotrf cleaned it
        return S.T  # the same, in the order in which NumPy reads

    def _read_dense(self, f, S, found):
        st, m = self.structure, self.structure.m
        q, J, start = st.factors[f].q, st.factors[f].n_levels, st.dense_start[f]
        own = S[start : start + q * J]
        found.block[f] = np.einsum("ajbj->abj", own[:, start : start + q * J].reshape(q, J, q, J)).copy()
        found.ZX[f] = own[:, m:].reshape(q, J, -1).swapaxes(1, 2)
        for h in range(f + 1, len(st.factors)):
            cells, r = st.cells[f, h], st.factors[h].q
            i = start + np.arange(q)[:, None, None] * J + cells.first
            k = st.dense_start[h] + np.arange(r)[None, :, None] * st.factors[h].n_levels + cells.second
            found.cell[f, h] = S[i, k]

    def _extend(self, f, S, p, found):
        """Extend the inverse from the later factors to factor ``f``.

        With the Cholesky row ``(C, T)`` of ``f``, the inverse is ``-C'^-1 T S^-1`` beside the diagonal and
        ``C'^-1 (I + T S^-1 T') C^-1`` on it, where ``S^-1`` is the inverse of the later part.
        """
        st, m = self.structure, self.structure.m
        later, C, TX = range(f + 1, len(st.factors)), self.C[f], self.TX[f][:, :p]
        Y = dict.fromkeys(later, 0.0)  # T S^-1 at the cells of (f, h)
        YX = blocks.right(TX, S[m:, m:]) if p else TX
        for h in range(f + 1, st.n_chain):
            T, parent = self.T[f, h], st.parent(f, h)
            for k in later:
                first = st.cells[f, k].first
                Y[k] = Y[k] + blocks.multiply(T[:, :, first], self._between(f, h, k, found))
                if k >= st.n_chain:
                    other = self._between(f, k, h, found)
                    product = blocks.multiply(self.T[f, k], other)
                    Y[h] = Y[h] + blocks.sum_by(first, product, st.factors[f].n_levels)
            if p:
                YX = YX + blocks.multiply(T, found.ZX[h][:, :, parent])
                Y[h] = Y[h] + blocks.multiply_transpose(TX, found.ZX[h][:, :, parent])
        if m:
            self._extend_dense(f, S, p, Y, TX)
            if p:
                YX = YX + st.dense_cells[f].times_columns(self.values[f], S[:m, m:])
        inner = blocks.multiply_transpose(YX, TX) if p else np.zeros_like(C)
        for h in later:
            first = st.cells[f, h].first
            product = blocks.multiply_transpose(Y[h], self.T[f, h])
            inner = inner + (
                product if h < st.n_chain else blocks.sum_by(first, product, st.factors[f].n_levels)
            )
            found.cell[f, h] = blocks.solve_upper(C[:, :, first], np.negative(Y[h], out=Y[h]))
        inner = inner + np.eye(len(C))[:, :, None]
        half = blocks.solve_upper(C, inner)
        found.block[f] = blocks.solve_upper(C, half.swapaxes(0, 1))
        found.ZX[f] = -blocks.solve_upper(C, YX) if p else YX

    def _between(self, f, h, k, found):
        """Return the inverse between factors ``h`` and ``k``, read at the cells of factor ``f`` with the
        crossed one.

        Both in the chain: at the levels of ``f``.
        """
        st = self.structure
        if h == k:
            return found.block[h][:, :, st.parent(f, h)]
        if h > k:
            return self._between(f, k, h, found).swapaxes(0, 1)
        at = st.lift[f, h, k]
        return found.cell[h, k][:, :, at]

    def _extend_dense(self, f, S, p, Y, TX):
        """Add to Y the part that comes through the dense matrix."""
        st, m = self.structure, self.structure.m
        dense = st.dense_cells[f]
        product = dense.unsort(dense.times(self.values[f], S[:m, :m]))
        position = 0
        for h in st.crossed:
            cells, q, J = st.cells[f, h], st.factors[h].q, st.factors[h].n_levels
            size = q * cells.size
            part = product[:, position : position + size].reshape(-1, q, cells.size)
            Y[h] = part if np.isscalar(Y[h]) else Y[h] + part
            position += size
            SX = S[m : m + p, st.dense_columns(h)].reshape(p, q, J)
            if J == 1:
                Y[h] += np.tensordot(TX, SX[:, :, 0], axes=(1, 0)).swapaxes(1, 2)[:, :, cells.first]
                continue
            for x in range(p):
                for b in range(q):
                    row = SX[x, b][cells.second]
                    for a in range(len(TX)):
                        Y[h][a, b] += TX[a, x][cells.first] * row
