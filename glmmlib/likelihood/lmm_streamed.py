"""The linear mixed model of rows that were read in batches: the same problem, from their sums alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.errors import ModelError
from glmmlib.likelihood.lmm import CANCELLED, ProfiledDeviance
from glmmlib.likelihood.saturation import MOST_NUMBERS
from glmmlib.linalg.crossing import Factor, Structure
from glmmlib.linalg.pls import CrossProducts
from glmmlib.linalg.row_sums import RowSums
from glmmlib.linalg.without_rows import WithoutRows
from glmmlib.types import FloatArray, IntArray

TOO_FEW = (
    "in a fit whose rows are read in batches too little residual variation is left beside the random "
    "effects: read the rows into a DataFrame, if they fit into memory, or leave random effects out"
)


@dataclass(frozen=True, eq=False)
class StreamedFactor(WithoutRows, Factor):
    """A grouping factor of rows that are not kept; ``n_effects`` is the number q of its random effects."""

    _rows = frozenset({"codes", "Z"})
    n_effects: int

    @property
    def q(self) -> int:
        return self.n_effects


class StreamedDeviance(WithoutRows, ProfiledDeviance):
    """The profiled deviance (or REML criterion) of one linear mixed model with one grouping factor.

    Parameters
    ----------
    sums : RowSums
        Columns of Z first, the response last; levels in the order of the group's.
    fixed : (p,) integer array
        Which columns are those of X, in its order.
    group : Group
        With a :class:`StreamedFactor`.
    reml : bool
    """

    _rows = frozenset({"y", "X"})
    keeps_rows = False

    def __init__(self, sums: RowSums, fixed: IntArray, group: Group, reml: bool) -> None:
        self.exact = None
        self.n, self.p = sums.n, len(fixed)
        self.weights = self.offset = None
        self.groups: Sequence[Group] = (group,)
        self.structure = Structure([group.factor])
        self.covariance = CovarianceParameters(iter([group.covariance]))
        self.n_theta = self.covariance.size
        self._last = None
        self.least_share, self.cancelled = 0.0, CANCELLED
        self._read(sums, fixed, group.factor.to_standard)
        self._choose(reml)

    def _read(self, sums: RowSums, fixed: IntArray, to_standard: FloatArray) -> None:
        """Turn the sums of the conditioned columns into those of orthonormal X and standardised Z."""
        q, w, root = sums.q, sums.columns, sums.root
        X, y = w[fixed], w[-1]
        Q, R = np.linalg.qr(X.T)
        sign = np.where(np.diag(R) < 0, -1.0, 1.0)
        Q, self.R = Q * sign, R * sign[:, None]
        self.beta_ols = np.linalg.solve(self.R, Q.T @ y)
        rest = y - Q @ (Q.T @ y)
        self.Xy, self.yy = Q.T @ rest, rest @ rest
        self.column_squares = np.einsum("pk,pk->p", X, X)
        self.rounding = self.least_square(float(y @ y), self.beta_ols)
        of_Z = root[:q, :q] @ to_standard
        of_X = np.linalg.solve(self.R.T, root[:, fixed].T).T if self.p else np.zeros((len(root), 0))
        of_y = root[:, -1] - root[:, fixed] @ self.beta_ols
        both = np.einsum("ab,acj->bcj", of_Z, sums.by_level)
        A = np.einsum("bcj,cd->bdj", both[:, :q], of_Z)
        ZX = np.einsum("bcj,cx->bxj", both, of_X)
        self.Zy = [np.einsum("bcj,c->bj", both, of_y)]
        self.cross = CrossProducts([A], {}, [ZX], Q.T @ Q)

    @cached_property
    def is_saturated(self) -> bool:
        columns = self.structure.factors[0].n_columns + self.p
        if columns < self.n or self.p * self.n > MOST_NUMBERS:
            return False
        raise ModelError(TOO_FEW)

    def varying(self) -> float:
        return float(self.yy)

    def _penalised_square(
        self, Lambdas: Sequence[FloatArray], u: Sequence[FloatArray], beta: FloatArray
    ) -> float:
        raise np.linalg.LinAlgError("the residual sum of squares is a difference without digits")

    def check(self, r2: float) -> None:
        """Refuse an end where the residual sum of squares has lost its digits.

        Raises
        ------
        ModelError
        """
        if r2 <= 2.0 * CANCELLED * self.yy:
            raise ModelError(TOO_FEW)
