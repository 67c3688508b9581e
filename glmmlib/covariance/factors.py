r"""Relative covariance factors: theta, Lambda, and the SDs and correlations they stand for.

For one grouping factor with ``q`` random effects the covariance matrix is
:math:`\Sigma = \sigma^2 \Lambda \Lambda'` with a lower-triangular :math:`\Lambda` (q, q). Its free entries,
column by column, are the parameters :math:`\theta`.
"""

from dataclasses import dataclass

import numpy as np

SINGULAR = 1e-4  # a relative SD (or a remainder after correlation) below this counts as zero


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the entries of theta stand in the Lambda of one grouping factor.

    ``Lambda[rows[k], cols[k]] = theta[index[k]]``; everything else is zero.  A factor that several terms
    share, or a term written with ``||``, has a block-diagonal pattern. ``blocks`` lists the columns of each
    block.
    """

    q: int
    rows: np.ndarray
    cols: np.ndarray
    index: np.ndarray
    blocks: tuple

    def Lambda(self, theta):
        """Return Lambda (q, q) for the whole parameter vector."""
        L = np.zeros((self.q, self.q))
        L[self.rows, self.cols] = theta[self.index]
        return L

    def read(self, L, theta):
        """Write the free entries of ``L`` into the parameter vector."""
        theta[self.index] = L[self.rows, self.cols]


def lower_triangle(columns):
    """Return the rows and columns of a lower triangle, column by column."""
    pairs = [(i, j) for j in columns for i in columns if i >= j]
    return tuple(np.array(x, dtype=int) for x in zip(*pairs, strict=True))


def rectify(L):
    """Return ``L`` with the columns' signs changed so that its diagonal is not negative."""
    return L * np.where(np.diag(L) < 0, -1.0, 1.0)


def lower_factor(A):
    """Return the lower-triangular ``L`` with ``L L' = A A'`` and no negative diagonal entry (from LQ, never
    from A A').
    """
    R = np.linalg.qr(A.T, mode="r")
    return rectify(R.T)


def snapped(patterns, Lambdas):
    """Return factors whose small singular values (below 0.01) are exactly zero, their signs rectified."""
    result = []
    for pattern, L in zip(patterns, Lambdas, strict=True):
        new = np.zeros_like(L)
        for block in pattern.blocks:
            here = np.ix_(block, block)
            U, s, _ = np.linalg.svd(L[here])
            new[here] = lower_factor(U * np.where(s < 0.01, 0.0, s)) if s[-1] < 0.01 else rectify(L[here])
        result.append(new)
    return result


def sds_and_correlations(covariance):
    """Split a covariance matrix into SDs (q,) and the correlation matrix (q, q); NaN where an SD is zero."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.outer(sd, sd)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(scale > 0, covariance / scale, np.nan)
    np.fill_diagonal(correlation, 1.0)
    return sd, np.clip(correlation, -1.0, 1.0)
