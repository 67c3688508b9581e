r"""The hat matrix of a linear mixed model: how much each fitted value follows its own observation.

For given variances the conditional mean :math:`\hat y = X\hat\beta + Z\hat b` is linear in the response. With
:math:`V_0 = Z\Lambda\Lambda'Z' + W^{-1}` and :math:`C = [Z\Lambda \;\; X]`,

.. math:: \hat y = H y, \qquad H = C \left(C'WC + \begin{bmatrix} I & \\ & 0 \end{bmatrix}\right)^{-1} C'W .

The trace of H counts parameters: a random effect counts for 1 where it is not shrunken and for 0 where it is
shrunken away (Hodges and Sargent 2001, *Biometrika* 88).
"""

import numpy as np

from glmmlib.fitted import FittedModel
from glmmlib.types import FloatArray


def hat_values(fit: FittedModel) -> FloatArray:
    """Return the diagonal of H (n,) of a linear mixed model, from the entries of the inverse that its groups
    touch.
    """
    if fit.has_residual_side:
        return fit.solution.hat_values()
    solution, structure = fit.solution, fit.solution.problem.structure
    inverse = solution.joint_precision().inverse()
    columns = [L.T @ f.columns() for L, f in zip(solution.standard_Lambdas, structure.factors, strict=True)]
    codes = [f.codes for f in structure.factors]
    x = solution.coordinates.orthonormal(fit.X)
    found = np.einsum("an,ab,bn->n", x, inverse.XX, x)
    for f, v in enumerate(columns):
        found += np.einsum("an,abn,bn->n", v, inverse.block[f][:, :, codes[f]], v)
        found += 2.0 * np.einsum("an,apn,pn->n", v, inverse.ZX[f][:, :, codes[f]], x)
        for h in range(f + 1, len(columns)):
            between = inverse.cell[f, h][:, :, structure.cells[f, h].slot]
            found += 2.0 * np.einsum("an,abn,bn->n", v, between, columns[h])
    return found if fit.design.weights is None else found * fit.design.weights
