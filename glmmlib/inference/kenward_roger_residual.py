"""What Kenward and Roger's adjustment needs of correlated residuals: sums over blocks, pattern by pattern."""

from __future__ import annotations

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.likelihood.residual_solution import ResidualSolution
from glmmlib.types import FloatArray


def check_residual_side(fit: FittedModel) -> None:
    """Refuse residual sides for which the adjustment is not worked out.

    Raises
    ------
    ModelError
    """
    residual = fit.design.residual
    if fit.design.auxiliary:
        why = f"a residual SD that differs between rows (sigma={fit.auxiliary_formulas['sigma']!r})"
    elif residual is None:
        return
    elif fit.groups:
        why = f"correlated residuals beside random effects ({residual.term.text})"
    elif residual.structure.covariance_basis() is None:
        why = f"{residual.term.text}, whose covariance is not linear in its parameters"
    else:
        return
    raise ModelError(f"Kenward and Roger's adjustment is not worked out for {why}: use ddf='satterthwaite'")


def residual_sums(fit: FittedModel) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return t (k, k), P (k, p, p) and Q (k, k, p, p) for the parameters of the residual covariance."""
    solution, residual = fit.solution, fit.design.residual
    assert isinstance(solution, ResidualSolution) and residual is not None
    side, basis = solution.whole.side, residual.structure.covariance_basis()
    assert basis is not None
    X = solution.coordinates.orthonormal(fit.X)
    if side.weights is not None:
        X = X * np.sqrt(side.weights)
    Sigma = solution.parameters.covariance_of_positions(solution.estimates.auxiliary)
    k, p = len(basis), len(X)
    t, P, Q = np.zeros((k, k)), np.zeros((k, p, p)), np.zeros((k, k, p, p))
    for part in side.blocks.parts:
        for pattern, positions in enumerate(part.positions):
            rows = part.rows[part.pattern == pattern]
            here = np.ix_(positions, positions)
            inverse = np.linalg.inv(Sigma[here])
            XX = np.einsum("xbi,ybj->ijxy", X[:, rows], X[:, rows], optimize=True)
            A = np.array([inverse @ E[here] for E in basis])
            AA = np.einsum("iab,jbc->ijac", A, A)
            t += len(rows) * np.einsum("ijaa->ij", AA)
            P -= np.tensordot(A @ inverse, XX, 2)
            Q += np.tensordot(AA @ inverse, XX, 2)
    return t, P, Q
