r"""Sums of the diagonal blocks of the inverse over levels: all that the gradient of a linear model needs.

With H the penalised least squares matrix, u its solution and ``s = df / r2``, the equations
``Lambda_f' Z_f'W e = u_f`` turn the derivative of the criterion in Lambda_f into

.. math:: G_f = 2\Lambda_f'^{-1}\Big[J_f I - \sum_j (H^{-1})_{jj} - s \sum_j u_ju_j'\Big],

without a pass over the cells where two factors meet, and with half of the products that the entries of the
inverse take. Where Lambda is nearly singular the bracket loses its digits; see
:func:`glmmlib.linalg.pls.log_det_gradient` for the way that does not.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from glmmlib.linalg import blocks
from glmmlib.linalg.pls import Factorisation
from glmmlib.linalg.triangular import solve_triangular
from glmmlib.types import FloatArray

CHUNK_NUMBERS = 2_000_000  # of the right-hand sides that are solved at once
CHUNK_LEVELS = 1 << 15  # of the only factor: what is computed of them stays in a processor's cache


def block_sums(factorisation: Factorisation, with_X: bool) -> list[FloatArray]:
    """Return ``sum_j (H^-1)_jj`` (q, q) for each factor; ``with_X`` says whether H holds the columns of X."""
    structure = factorisation.structure
    if structure.n_chain != 1:
        return [block.sum(axis=2) for block in factorisation.inverse(with_X).block]
    p = factorisation.p if with_X else 0
    if not structure.m:
        return [_alone(factorisation, p)]
    if not structure.dense_cells[0].is_dense:
        return _by_inverse(factorisation, p)
    return _by_substitution(factorisation, p)


def _alone(factorisation, p):
    """Return the sum for the only factor there is."""
    C, TX = factorisation.C[0], factorisation.TX[0] if p else None
    root = lapack.dtrtri(factorisation.L, lower=1)[0] if p else None
    total = np.zeros(C.shape[:2])
    for first in range(0, C.shape[2], CHUNK_LEVELS):
        levels = slice(first, first + CHUNK_LEVELS)
        inner = np.zeros_like(C[:, :, levels])
        if p:
            rows = blocks.right(TX[:, :, levels], root.T)
            inner = blocks.multiply_transpose(rows, rows)
        total += _eliminated(C[:, :, levels], inner)
    return total


def _by_substitution(factorisation, p):
    """Solve for the rows of T, where they are dense: ``T S^-1 T' = |L^-1 T'|^2``."""
    structure, size = factorisation.structure, factorisation.structure.m + p
    L = factorisation.L[:size, :size]
    C = factorisation.C[0]
    q, J = len(C), C.shape[2]
    inner = np.zeros((q, q, J))
    step = max(1, CHUNK_NUMBERS // max(1, q * size))
    for first in range(0, J, step):
        levels = slice(first, min(first + step, J))
        rows = _rows(factorisation, p, levels)
        root = solve_triangular(L, rows.reshape(-1, size).T, lower=True)
        root = root.reshape(size, q, -1)
        for a in range(q):
            for b in range(a + 1):
                inner[a, b, levels] = inner[b, a, levels] = np.einsum("mj,mj->j", root[:, a], root[:, b])
    inverse_root, _ = lapack.dtrtri(L, lower=1)
    return [_eliminated(C, inner)] + [_own(structure, f, inverse_root) for f in structure.crossed]


def _own(structure, f, inverse_root):
    """Return the sum of the blocks of ``inverse_root' inverse_root`` that belong to a crossed factor."""
    q, J = structure.factors[f].q, structure.factors[f].n_levels
    columns = inverse_root[:, structure.dense_columns(f)].reshape(len(inverse_root), q, J).swapaxes(0, 1)
    return np.array([[np.vdot(a, b) for b in columns] for a in columns])


def _rows(factorisation, p, levels):
    """Return the rows of T for some levels, crossed factors and X beside each other: (q, levels, m + p)."""
    structure, q = factorisation.structure, len(factorisation.C[0])
    m, count = structure.m, levels.stop - levels.start
    rows = np.zeros((q, count, m + p))
    dense = structure.dense_cells[0]
    here = slice(dense.start[levels.start], dense.start[levels.stop])
    rows[:, dense.level[here] - levels.start, dense.column[here]] = factorisation.values[0][:, here]
    rows[:, :, m:] = factorisation.TX[0][:, :p, levels].swapaxes(1, 2)
    return rows


def _by_inverse(factorisation, p):
    """Read the entries of the dense inverse where levels of the first factor meet the others."""
    structure, m = factorisation.structure, factorisation.structure.m
    dense, values, C, TX = (
        structure.dense_cells[0],
        factorisation.values[0],
        factorisation.C[0],
        factorisation.TX[0],
    )
    TX = TX[:, :p]
    q, J = len(C), C.shape[2]
    S = factorisation.dense_inverse(p)
    Y = dense.times(values, S[:m, :m])
    inner = np.empty((q, q, J))
    for a in range(q):
        for b in range(q):
            inner[a, b] = np.bincount(dense.level, Y[a] * values[b], minlength=J)
    if p:
        mixed = blocks.multiply_transpose(dense.times_columns(values, S[:m, m:]), TX)
        inner += mixed + mixed.swapaxes(0, 1) + blocks.multiply_transpose(blocks.right(TX, S[m:, m:]), TX)
    return [_eliminated(C, inner)] + [_trace_blocks(structure, f, S) for f in structure.crossed]


def _trace_blocks(structure, f, S):
    q, J, start = structure.factors[f].q, structure.factors[f].n_levels, structure.dense_start[f]
    at = start + np.arange(q)[:, None] * J + np.arange(J)
    return S[at[:, None], at[None]].sum(axis=2)


def _eliminated(C, inner):
    """Return ``sum_j C_j'^-1 (I + inner_j) C_j^-1``."""
    half = blocks.solve_upper(C, inner + np.eye(len(C))[:, :, None])
    return blocks.solve_upper(C, half.swapaxes(0, 1)).sum(axis=2)
