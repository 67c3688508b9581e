r"""Coordinates of covariance factors in which an SD or a correlation is one coordinate.

- An SD, :math:`|t'\Lambda|` with the row t of the standardising map, is the corner of the triangular factor
  of
  :math:`B\Lambda\Lambda'B'`, where the first row of the basis B is :math:`t/|t|` and the others are
  orthogonal to it.
- A correlation is that between the first two rows of such a factor.

So either can be held while the other coordinates move freely.
"""

import numpy as np

from glmmlib.covariance.factors import lower_factor


class Free:
    """Covariance factors with nothing held: their coordinates are theta.

    ``start`` holds the coordinates of the given factors, and ``diagonal`` the positions of diagonal entries.
    """

    def __init__(self, patterns, factors):
        self.patterns = patterns
        self.theta = np.zeros(sum(len(p.index) for p in patterns))
        diagonal = np.zeros(len(self.theta), dtype=bool)
        for pattern, L in zip(patterns, factors, strict=True):
            pattern.read(L, self.theta)
            diagonal[pattern.index] = pattern.rows == pattern.cols
        self.start, self.diagonal = self.theta, np.flatnonzero(diagonal)

    def factors(self, x, value):
        return [pattern.Lambda(x) for pattern in self.patterns]

    def gradient(self, x, value, G):
        """Return the derivatives in the coordinates and in the held value, for G (q, q) of each factor."""
        found = np.zeros(len(self.theta))
        for pattern, g in zip(self.patterns, G, strict=True):
            pattern.read(g, found)
        return found, 0.0


class HeldBlock(Free):
    """Covariance factors of which one block is written in a basis that has the held quantity as a coordinate.

    ``rows`` (1 or 2, m) are the combinations of the block's standardised effects whose SD or correlation is
    held.
    """

    def __init__(self, patterns, factors, f, block, rows, unit):
        super().__init__(patterns, factors)
        self.f, self.here = f, np.ix_(block, block)
        size = np.linalg.norm(rows, axis=1, keepdims=True)
        complement = np.linalg.qr(rows.T, mode="complete")[0][:, len(rows) :].T
        basis = np.concatenate([rows / size, complement])
        self.inverse = np.linalg.inv(basis)
        pattern = patterns[f]
        inside = np.isin(pattern.rows, block)
        self.outside = np.setdiff1d(np.arange(len(self.theta)), pattern.index[inside])
        K = lower_factor(basis @ factors[f][self.here])
        self.corner = HeldSD(K, unit * size[0, 0]) if len(rows) == 1 else HeldCorrelation(K)
        n, is_outside = len(self.outside), np.isin(self.outside, self.diagonal)
        self.start = np.concatenate([self.theta[self.outside], self.corner.start])
        self.diagonal = np.concatenate([np.flatnonzero(is_outside), n + self.corner.diagonal])

    def factors(self, x, value):
        theta, n = np.zeros(len(self.theta)), len(self.outside)
        theta[self.outside] = x[:n]
        found = [pattern.Lambda(theta) for pattern in self.patterns]
        found[self.f][self.here] = self.inverse @ self.corner.factor(x[n:], value)
        return found

    def gradient(self, x, value, G):
        outside, _ = super().gradient(x, value, G)
        dK = self.inverse.T @ G[self.f][self.here]
        inside, held = self.corner.gradient(x[len(self.outside) :], value, dK)
        return np.concatenate([outside[self.outside], inside]), held


class HeldSD:
    """A triangular factor (m, m) with a held corner: ``K[0, 0] = value / unit``; its other entries are the
    coordinates.
    """

    def __init__(self, K, unit):
        self.m, self.unit = len(K), unit
        self.rows, self.cols = (index[1:] for index in np.tril_indices(self.m))
        self.start = K[self.rows, self.cols]
        self.diagonal = np.flatnonzero(self.rows == self.cols)

    def factor(self, x, value):
        K = np.zeros((self.m, self.m))
        K[0, 0], K[self.rows, self.cols] = value / self.unit, x
        return K

    def gradient(self, x, value, dK):
        return dK[self.rows, self.cols], dK[0, 0] / self.unit


class HeldCorrelation:
    """A triangular factor (m, m) with a held correlation of its first two rows.

    Coordinates: the logarithms of the two SDs, then the entries of the other rows.
    """

    def __init__(self, K):
        self.m = len(K)
        rows, cols = np.tril_indices(self.m)
        self.rows, self.cols = rows[rows > 1], cols[rows > 1]
        sds = [K[0, 0], np.hypot(K[1, 0], K[1, 1])]
        self.is_perfect = bool(abs(K[1, 1]) < 1e-8 * sds[1])
        self.start = np.concatenate([np.log(np.maximum(sds, 1e-10)), K[self.rows, self.cols]])
        self.diagonal = 2 + np.flatnonzero(self.rows == self.cols)

    def factor(self, x, value):
        K = np.zeros((self.m, self.m))
        K[0, 0], sd = np.exp(x[:2])
        K[1, :2] = sd * value, sd * np.sqrt(max(1.0 - value**2, 0.0))
        K[self.rows, self.cols] = x[2:]
        return K

    def gradient(self, x, value, dK):
        K = self.factor(x, value)
        logs = [dK[0, 0] * K[0, 0], dK[1, 0] * K[1, 0] + dK[1, 1] * K[1, 1]]
        sd, rest = np.exp(x[1]), np.sqrt(max(1.0 - value**2, 0.0))
        held = sd * (dK[1, 0] - (dK[1, 1] * value / rest if rest else np.nan))
        return np.concatenate([logs, dK[self.rows, self.cols]]), held
