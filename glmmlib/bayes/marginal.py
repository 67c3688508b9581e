"""What a likelihood must offer so that its posterior can be drawn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmlib.bayes.scores import NormalScores
from glmmlib.types import FloatArray, IntArray

STEP = 1e-4  # half-width of differences, in scores


@dataclass(frozen=True, eq=False)
class Effects:
    """Draws of what is integrated out.

    Attributes
    ----------
    beta : (R, p) array
        The user's coefficients.
    random : list of (R, q, J) arrays
        The random effects of each grouping factor of the formula, on the user's columns.
    """

    beta: FloatArray
    random: Sequence[FloatArray]


class Marginal(ABC):
    """The posterior of the scores, with random effects (and coefficients) integrated out.

    Attributes
    ----------
    scores : NormalScores
    method : str
        How the random effects are integrated out, in words.
    default_draws : int
        How many draws take a moment.
    """

    scores: NormalScores
    method: str
    default_draws = 4000

    @abstractmethod
    def log_likelihood(self, Z: FloatArray) -> FloatArray:
        """Return the marginal log-likelihood (R,) at scores (R, size), up to a constant, as a smooth
        function.
        """

    def weigh(self, Z: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, Any]:
        """Return the log-likelihood (R,), or an unbiased estimate of it, and what was drawn for it."""
        return self.log_likelihood(Z), None

    @abstractmethod
    def effects(self, Z: FloatArray, drawn: Any, which: IntArray, rng: np.random.Generator) -> Effects:
        """Draw what is integrated out, given scores (R, size); `drawn` is what `weigh` drew, and `which` (R,)
        tells for which of its rows.
        """

    def gradient(self, z: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood at scores (size,) and its gradient, by central differences."""
        shift = STEP * np.eye(len(z))
        values = self.log_likelihood(np.concatenate([z[None], z + shift, z - shift]))
        up, down = np.split(values[1:], 2)
        with np.errstate(invalid="ignore"):  # where neither has a value
            return float(values[0]), (up - down) / (2.0 * STEP)


def chunks(R: int, numbers: int, most: int) -> Iterator[slice]:
    """Cut R rows into slices whose arrays, ``numbers`` for each row, hold at most ``most`` numbers."""
    step = max(1, most // max(numbers, 1))
    for first in range(0, R, step):
        yield slice(first, min(first + step, R))


def standardised(groups: Sequence[Any], roots: Sequence[FloatArray]) -> list[FloatArray]:
    """Return roots (R, q, q) of the covariance on the standardised columns, those on the user's given."""
    return [np.linalg.inv(g.factor.to_standard) @ L for g, L in zip(groups, roots, strict=True)]
