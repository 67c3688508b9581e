"""Where a look at the whole parameter space begins: sizes of the random effects over all orders that the
design can tell apart, each with each, and correlations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from glmmlib.covariance.base import CovarianceStructure
from glmmlib.covariance.parameters import Block, CovarianceParameters
from glmmlib.types import BoolArray, FloatArray, IntArray

BELOW, BEYOND = 0.1, 100.0  # of 1 / sqrt(information): smaller is zero, larger is one asymptote
STEPS = {1: 1.6, 2: 2.0, 3: 4.0}  # ratio of neighbouring sizes on a full grid, by the number of effects
CORRELATIONS = (-0.999, -0.6, 0.0, 0.6, 0.999)  # the last ones lead to plus and minus one, where minima end
RANDOM = 250  # candidates with more effects than a full grid serves
NEIGHBOUR = 1.05  # distance
STRATUM = (
    4.0  # places of correlations 0.3 apart are no neighbours: a shallow valley may end at plus or minus one
)
STEP = (
    1.6  # between neighbouring lengths of a coordinate, where a start goes down before it looks for a ridge
)
ON_THE_WAY = np.array([0.15, 0.35, 0.6, 0.85])  # from one start to another, where a ridge is looked for
NEAR_ZERO = 0.3  # an effect "of size zero" has this share of the smallest size: zero itself is stationary


@dataclass(frozen=True, eq=False)
class Candidates:
    """Relative covariance factors to look at, and where they lie.

    ``theta`` (S, k) are the parameters, and ``places`` (S, d) coordinates in which neighbours are about one
    unit apart.
    """

    theta: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.theta)

    def lowest(self, values: FloatArray, most: int) -> tuple[IntArray, BoolArray]:
        """Return which candidates are lower than their neighbours: (R, most) numbers, the lowest first, and
        whether each counts.

        ``values`` (R, S) holds one criterion a row.
        """
        order = np.argsort(values, axis=1)[:, : 3 * most]
        seen, place = np.unique(order, return_inverse=True)
        which, near = np.nonzero(self._near(seen))
        begins = np.searchsorted(which, np.arange(len(seen)))  # each is a neighbour of itself
        beside = np.stack([np.minimum.reduceat(row[near], begins) for row in values])
        found = np.take_along_axis(values, order, axis=1)
        is_low = np.isfinite(found) & (
            found <= np.take_along_axis(beside, place.reshape(order.shape), axis=1)
        )
        first = np.argsort(~is_low, axis=1, kind="stable")[:, :most]
        return np.take_along_axis(order, first, axis=1), np.take_along_axis(is_low, first, axis=1)

    def _near(self, chosen):
        """Which candidates are neighbours of the chosen ones: (chosen, S)."""
        near = np.ones((len(chosen), len(self)), dtype=bool)
        for coordinate in self.places.T:
            near &= np.abs(coordinate - coordinate[chosen, None]) < NEIGHBOUR
        return near


def in_own_valleys(
    model: IntArray,
    theta: FloatArray,
    value: FloatArray,
    evaluate: Callable[[IntArray, FloatArray], FloatArray],
) -> tuple[IntArray, FloatArray]:
    """Return the starts that lie in valleys of their own, the lowest first: numbers of models, and thetas.

    Not so the one from which the straight way to the lowest start of the same model rises nowhere above it:
    they are neighbours of the wide grid in one valley, or differ in a correlation of which one effect is
    nearly zero. A start of the grid may lie so high on its slope that a way from there sees no ridge, so it
    goes down a step along each coordinate first.

    Parameters
    ----------
    model : (S,) array
        The numbers of the models, sorted.
    theta, value : (S, k), (S,) arrays
    evaluate : callable
        ``evaluate(model, theta)`` returns values.
    """
    if len(np.unique(model)) == len(model):
        return model, theta
    theta, value = _step_down(model, theta, value, evaluate)
    order = np.lexsort((value, model))
    model, theta, value = model[order], theta[order], value[order]
    lowest, own = np.searchsorted(model, model), np.ones(len(model), bool)
    others = np.flatnonzero(lowest != np.arange(len(model)))
    here, goal, share = theta[others], theta[lowest[others]], ON_THE_WAY[:, None, None]
    way = ((1.0 - share) * here + share * goal).reshape(-1, theta.shape[1])
    heights = evaluate(np.tile(model[others], len(ON_THE_WAY)), way).reshape(len(ON_THE_WAY), -1)
    own[others] = heights.max(axis=0) > value[others]
    return model[own], theta[own]


def _step_down(model, theta, value, evaluate):
    """Return thetas and values after the best of three lengths of each coordinate in turn."""
    for k in range(theta.shape[1]):
        for ratio in (STEP, 1.0 / STEP):
            moved = theta.copy()
            moved[:, k] *= ratio
            there = evaluate(model, moved)
            lower = there < value
            theta, value = np.where(lower[:, None], moved, theta), np.where(lower, there, value)
    return theta, value


def spread_out(
    covariance: CovarianceParameters,
    information: Sequence[FloatArray],
    step: float | None = None,
    faces_apart: bool = False,
) -> Candidates:
    """Return :class:`Candidates` for the covariance factors of all grouping factors together.

    Parameters
    ----------
    covariance : CovarianceParameters
    information : sequence of (q, J) arrays
        For each column of each factor, what each level tells about its effect: the diagonal of ``Z_j'WZ_j``.
    step : float, optional
        The ratio of neighbouring sizes; by the number of sizes otherwise.
    faces_apart : bool
        Is no effect of size zero a neighbour of one with a size? Then every face of the parameter space has a
        lowest place of its own: the minimum on a face may lie in a valley narrower than the grid.
    """
    blocks = [block for _, block in covariance.places]
    ranges = [r for f, block in covariance.places for r in _ranges(block, information[f])]
    is_full = len(ranges) <= 3 and all(b.structure.q <= 2 for b in blocks if _is_correlated(b))
    step = step or STEPS.get(len(ranges) if is_full else 3)
    grids = [_grid(low, high, step) for low, high in ranges]
    shapes = tuple((_n_sizes(b.structure), b.structure.q if _is_correlated(b) else 0) for b in blocks)
    arrange = _full if is_full else _some
    positions, correlations, places = arrange(shapes, tuple(len(grid) for grid in grids))
    sizes = np.stack(
        [np.append(grid, NEAR_ZERO * grid[0])[k] for grid, k in zip(grids, positions.T, strict=True)], axis=1
    )
    if faces_apart:
        places = places.copy()
        places[:, : positions.shape[1]] -= NEIGHBOUR * (positions < 0)
    theta = np.empty((len(sizes), covariance.size))
    for block, columns, root in zip(blocks, _columns(shapes), correlations, strict=True):
        theta[:, block.index] = _parameters(block.structure, sizes[:, columns], root)
    return Candidates(theta, places)


def _is_correlated(block: Block) -> bool:
    return block.structure.has_free_correlations and block.structure.q > 1


def _columns(shapes) -> Iterator[Any]:
    """Yield which of all sizes belong to each block."""
    start = 0
    for n_sizes, _ in shapes:
        yield np.arange(start, start + n_sizes)
        start += n_sizes


def _n_sizes(structure):
    """Return how many sizes are looked at: one for each effect, or one for all."""
    return structure.q if len(structure.sizes) == structure.q else 1


def _parameters(structure: CovarianceStructure, sizes: FloatArray, root) -> FloatArray:
    """Return the parameters (S, k) for sizes (S, s) and, where they are free, the roots of correlations."""
    if root is not None:
        return structure.parameters(sizes[:, :, None] * root)
    return structure.start(np.broadcast_to(sizes**2, (len(sizes), structure.q)))


def _ranges(block: Block, information: FloatArray) -> Iterator[Any]:
    """Return the smallest and the largest size for each of a block's own sizes."""
    rows = information[list(block.columns)]
    for a in rows if _n_sizes(block.structure) == len(rows) else [rows.mean(axis=0)]:
        a = a[a > 0]
        yield ((BELOW / np.sqrt(a.max()), BEYOND / np.sqrt(_low(a))) if a.size else (0.1, 1.0))


def _low(values: FloatArray) -> float:
    """Return the quantile of a twentieth."""
    ordered, place = np.sort(values), 0.05 * (len(values) - 1)
    return float(np.interp(place, np.arange(len(ordered)), ordered))


def _grid(low, high, step):
    n = int(np.ceil(np.log(high / low) / np.log(step)))
    return low * (high / low) ** (np.arange(n + 1) / n)


# Which sizes go together does not depend on the data, and is the same for many fits. ``shapes`` holds of each
# block how many sizes it has, and of how many effects its correlations are free; ``lengths`` the number of
# sizes on each grid. Returned are the positions on the grids (-1: none), of each block the roots of its
# correlation matrices (or None), and the places.


@lru_cache(maxsize=32)
def _full(shapes, lengths):
    """Every size with every other, and for each pair in a block every correlation."""
    positions = np.array(list(product(*[range(-1, n) for n in lengths])))
    correlations = []
    for (_, q), columns in zip(shapes, _columns(shapes), strict=True):
        if not q:
            correlations.append(None)
            continue
        both = (positions[:, columns] >= 0).all(axis=1)
        repeats = np.where(both, len(CORRELATIONS), 1)
        which = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        r = np.where(np.repeat(both, repeats), np.array(CORRELATIONS)[which], 0.0)
        correlations = [None if c is None else np.repeat(c, repeats, axis=0) for c in correlations]
        R = np.tile(np.eye(2), (len(r), 1, 1))
        R[:, 0, 1] = R[:, 1, 0] = r
        correlations.append(R)
        positions = np.repeat(positions, repeats, axis=0)
    return _placed(positions, correlations)


@lru_cache(maxsize=32)
def _some(shapes, lengths):
    """None, each effect alone, all together, and random ones, the same every time."""
    rng, K = np.random.default_rng(20), len(lengths)
    most = np.array(lengths)
    chosen = [np.full((1, K), -1)]
    for share in np.linspace(0.0, 1.0, 6):
        everything = np.round(share * (most - 1)).astype(int)
        chosen += [everything[None], np.where(np.eye(K, dtype=bool), everything, -1)]
    random = np.floor(rng.uniform(size=(RANDOM, K)) * most).astype(int)
    chosen.append(np.where(rng.uniform(size=random.shape) < 0.25, -1, random))
    positions = np.concatenate(chosen)
    correlations = []
    for _, q in shapes:
        if not q:
            correlations.append(None)
            continue
        root = np.tril(rng.normal(size=(len(positions), q, q)))
        root[: len(positions) - RANDOM] = np.eye(q)
        root /= np.linalg.norm(root, axis=2, keepdims=True)
        correlations.append(root @ root.swapaxes(1, 2))
    return _placed(positions, correlations)


def _placed(positions, correlations):
    places = [positions.astype(float)]
    for R in correlations:
        if R is not None:
            i, j = np.tril_indices(R.shape[1], -1)
            places.append(STRATUM * R[:, i, j])
    roots = [None if R is None else np.linalg.cholesky(R) for R in correlations]
    return positions, roots, np.concatenate(places, axis=1)
