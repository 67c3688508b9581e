"""Random designs of every shape that the engine distinguishes, for tests that hold it to the dense solver."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from glmmlib.covariance.diagonal import Diagonal
from glmmlib.covariance.groups import Group
from glmmlib.covariance.parameters import Block, BlockDiagonal
from glmmlib.covariance.unstructured import Unstructured
from glmmlib.likelihood.lmm import ProfiledDeviance
from glmmlib.linalg.crossing import Factor

N = 180


@dataclass
class Problem:
    """One random model: the arrays, its groups, and the big matrices that the engine never forms."""

    y: np.ndarray
    X: np.ndarray
    groups: tuple
    weights: np.ndarray | None
    offset: np.ndarray | None
    theta: np.ndarray

    @property
    def Z(self):
        """All columns, effect by effect within a grouping factor: (n, sum of q J)."""
        return np.concatenate([expand(g.factor) for g in self.groups], axis=1)

    def Lambda(self, theta):
        return block_diag(
            *[np.kron(g.covariance.factor(theta), np.eye(g.factor.n_levels)) for g in self.groups]
        )

    def engine(self, reml=False):
        return ProfiledDeviance(self.y, self.X, self.groups, reml, self.weights, self.offset)

    def weighted(self):
        """Response, X and Z with the weights and the offset worked in, and log |W|."""
        y = self.y if self.offset is None else self.y - self.offset
        w = np.ones(len(y)) if self.weights is None else self.weights
        root = np.sqrt(w)
        return y * root, self.X * root[:, None], self.Z * root[:, None], np.log(w).sum()


def expand(factor):
    """Return the columns of one grouping factor, (n, q J), in standardised units."""
    n, q = factor.codes.size, factor.q
    Z = np.zeros((n, q, factor.n_levels))
    Z[np.arange(n), :, factor.codes] = factor.columns().T
    return Z.reshape(n, -1)


def compact(codes):
    return np.unique(codes, return_inverse=True)[1]


def _columns(rng, n, q):
    return np.concatenate([np.ones((1, n)), rng.normal(size=(max(q - 1, 0), n))])[:q]


def shapes(rng, n=N):
    """Name -> list of (codes, Z (q, n), correlated): one entry for each grouping factor."""
    a, b, c = compact(rng.integers(0, 25, n)), compact(rng.integers(0, 8, n)), compact(rng.integers(0, 5, n))
    parent = compact(rng.integers(0, 7, a.max() + 1))
    plots = a, parent[a]
    grand = compact(rng.integers(0, 3, parent.max() + 1))
    regions = grand[plots[1]]
    other = compact(rng.integers(0, 3, b.max() + 1))[b]  # b is nested in it, a is not
    one, two, three = (_columns(rng, n, q) for q in (1, 2, 3))
    slope = two[1:]
    all_rows = np.zeros(n, dtype=int)
    curve = np.array([np.cos(k * np.linspace(0.0, 3.0, n)) for k in range(1, 7)])
    return {
        "one intercept": [(a, one, True)],
        "one slope": [(a, slope, True)],
        "intercept and slope": [(a, two, True)],
        "three effects": [(a, three, True)],
        "uncorrelated": [(a, three, False)],
        "two nested": [(a, one, True), (plots[1], one, True)],
        "three nested, slopes": [(a, two, True), (plots[1], two, True), (regions, two, True)],
        "three nested, coarsest first": [(regions, one, True), (plots[1], two, False), (a, one, True)],
        "two crossed": [(a, one, True), (b, one, True)],
        "two crossed, slopes": [(a, two, True), (b, two, True)],
        "three crossed": [(a, one, True), (b, two, False), (c, one, True)],
        "crossed and nested": [(regions, two, True), (b, two, True), (a, two, True), (plots[1], two, False)],
        "nested among the crossed": [(a, one, True), (b, two, True), (other, one, True)],
        "same partition twice": [(a, one, True), (rng.permutation(a.max() + 1)[a], slope, True)],
        "everything": [
            (a, two, True),
            (plots[1], one, True),
            (b, three, True),
            (other, one, True),
            (c, slope, True),
        ],
        "one level": [(all_rows, curve, False)],
        "one level beside groups": [(a, two, True), (all_rows, curve, False)],
        "one level beside crossed groups": [(b, one, True), (all_rows, curve[:5], False), (a, two, True)],
        "one level above nested groups": [(all_rows, curve, True), (plots[1], one, True), (a, one, True)],
        "many effects": [(b, curve, True)],
    }


NAMES = list(shapes(np.random.default_rng(0)))


def problem(name, seed=0, p=2, weights=False, offset=False, n=N):
    """Draw a response from the named structure with a random theta."""
    rng = np.random.default_rng([seed, NAMES.index(name)])
    groups, start = [], 0
    for k, (codes, Z, correlated) in enumerate(shapes(rng, n)[name]):
        q = len(Z)
        structure = Unstructured(q) if correlated else Diagonal(q)
        index = np.arange(structure.n_parameters) + start
        covariance = BlockDiagonal(q, (Block(structure, range(q), index, np.eye(q)),))
        start += len(index)
        J = int(codes.max()) + 1
        factor = Factor(f"g{k}", codes, Z, J, np.eye(q))
        groups.append(Group(f"g{k}", pd.RangeIndex(J), tuple(map(str, range(q))), (), (), covariance, factor))
    theta = 0.7 * rng.normal(size=start)
    X = _columns(rng, n, p).T
    y = X @ rng.normal(size=p) + rng.normal(size=n)
    for g in groups:
        effects = g.covariance.factor(theta) @ rng.normal(size=(g.q, g.factor.n_levels))
        y += (g.factor.Z * effects[:, g.factor.codes]).sum(axis=0)
    w = rng.uniform(0.3, 3.0, n) if weights else None
    return Problem(y, X, tuple(groups), w, rng.normal(size=n) if offset else None, theta)
