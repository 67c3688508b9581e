"""What both judges share: a model as arrays, theta to Z Lambda, where to start and how to end a search."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize


@dataclass(frozen=True)
class Term:
    """One random-effects term: ``columns`` (n, q) times the effects of the level in ``codes`` (n,)."""

    codes: np.ndarray
    columns: np.ndarray
    correlated: bool = True


@dataclass(frozen=True)
class Model:
    """A mixed model as arrays; ``family`` None is the linear one, else (name, link)."""

    y: np.ndarray
    X: np.ndarray
    terms: tuple
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None
    reml: bool = False
    family: tuple | None = None


@dataclass(frozen=True)
class Verdict:
    """The lowest point that the search has found."""

    value: float
    parameters: np.ndarray
    unbounded: bool = False


class Factors:
    """Theta to the stacked matrix Z Lambda, in columns that are brought to a common scale first.

    A correlated term may have its columns replaced by orthogonal combinations (the set of covariance matrices
    stays the same), an uncorrelated one only by multiples.
    """

    def __init__(self, terms, weights):
        self.Z, self.entries, self.sizes, self.q = [], [], [], []
        start = 0
        for term in terms:
            columns = np.asarray(term.columns, float)
            q, J = columns.shape[1], int(term.codes.max()) + 1
            root = np.ones(len(columns)) if weights is None else np.sqrt(weights / np.mean(weights))
            if term.correlated and q > 1:
                R = np.linalg.qr(columns * root[:, None])[1]
                columns = np.linalg.solve(R.T, columns.T).T * np.sqrt(len(columns))
                rows, cols = np.tril_indices(q)
            else:
                columns = columns / np.sqrt(np.mean((columns * root[:, None]) ** 2, axis=0))
                rows = cols = np.arange(q)
            Z = np.zeros((len(columns), J, q))
            Z[np.arange(len(columns)), term.codes] = columns
            self.Z.append(Z)
            self.q.append(q)
            self.entries.append((rows, cols, slice(start, start + len(rows))))
            self.sizes += [start + i for i in np.flatnonzero(rows == cols)]
            start += len(rows)
        self.n_theta = start

    def matrix(self, theta):
        """Z Lambda (n, number of effects)."""
        blocks = []
        for Z, q, (rows, cols, part) in zip(self.Z, self.q, self.entries, strict=True):
            L = np.zeros((q, q))
            L[rows, cols] = theta[part]
            blocks.append((Z @ L).reshape(len(Z), -1))
        return np.concatenate(blocks, axis=1)

    def pull(self, G):
        """Derivative in theta from the derivative in the matrix Z Lambda."""
        gradient, start = np.empty(self.n_theta), 0
        for Z, q, (rows, cols, part) in zip(self.Z, self.q, self.entries, strict=True):
            n, J, _ = Z.shape
            block = G[:, start : start + J * q].reshape(n, J, q)
            gradient[part] = np.einsum("nja,njb->ab", Z, block)[rows, cols]
            start += J * q
        return gradient

    def starts(self, rng, sizes, n_random):
        """Zero, all combinations of sizes (thinned where there are many), random ones with correlations."""
        k = len(self.sizes)
        thinned = max(len(sizes) // {1: 48, 2: 16, 3: 8}.get(k, 5), 1)
        levels = sizes[::thinned]
        grid = [np.zeros(self.n_theta)]
        for combination in product([0.0, *levels], repeat=min(k, 4)):
            theta = np.zeros(self.n_theta)
            theta[self.sizes[: len(combination)]] = combination
            grid.append(theta)
        for _ in range(n_random):
            theta = rng.normal(size=self.n_theta) * np.exp(rng.normal(scale=1.5))
            theta[self.sizes] = np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[-1]), k)) * (
                rng.uniform(size=k) < 0.8
            )
            grid.append(theta)
        return grid


def promising(starts, values, count):
    """Indices of the lowest starts, no two of them near each other (on a logarithmic scale)."""
    places, chosen = np.arcsinh(np.abs(starts) * 20), []
    for k in np.argsort(values):
        if np.isfinite(values[k]) and all(np.abs(places[k] - places[j]).max() > 0.8 for j in chosen):
            chosen.append(k)
        if len(chosen) == count:
            break
    return chosen


def simplex(function, x, size=0.05, evaluations=150):
    corners = np.vstack([x, x + np.diag(np.maximum(np.abs(x) * size, size))])
    options = {"initial_simplex": corners, "xatol": 1e-7, "fatol": 1e-9, "maxfev": evaluations * len(x)}
    return minimize(function, x, method="Nelder-Mead", options=options)
