r"""Separation: when a coefficient has no finite estimate.

If some direction :math:`\delta` has :math:`x_i'\delta \ge 0` in every row with only successes, :math:`\le 0`
in every row with only failures, and :math:`= 0` in mixed rows, moving the fixed effects along it never lowers
the likelihood, and the maximum lies at infinity (Albert and Anderson 1984, *Biometrika* 71(1)). For counts
with a log link the same holds with rows of zeros and of positive counts: a level whose counts are all zero
has a log mean of minus infinity. Ordered categories are split at each of their thresholds.

Linear programmes find such directions, or prove that there are none. In the limit the rows that such a
direction moves fit perfectly and add nothing to the likelihood: what can be estimated, and how well, is what
the remaining rows tell (Geyer 2009, *Electronic Journal of Statistics* 3, 259-289).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glmmlib.families.base import Family
from glmmlib.types import FloatArray

SUSPECT = 1e-4  # a mean of the fixed part, or its distance from 1, below which it is worth asking
_TOLERANCE = 1e-7
_RANK = 1e-9  # of columns of length one


@dataclass(frozen=True)
class Separation:
    """What separates the responses; ``print`` says it in words.

    Attributes
    ----------
    coefficients : tuple of str
        Those that go to infinity together (as a likelihood knows them, their positions).
    complete : bool
        Is every single response predicted without error?
    lowest : str
        Of counts, some of whose means go to zero: what their rows hold, in words.
    constant : str
        Where all responses are alike: which they are, in words.
    directions : (p, d) array
        Basis of the directions in which the remaining rows tell nothing of the fixed effects.
    joint : (k, d) array
        The same with the further parameters that go to infinity with them, as the family's
        ``separating_rows`` have them.
    """

    coefficients: tuple
    complete: bool
    lowest: str
    constant: str = ""
    directions: FloatArray = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    joint: FloatArray = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)

    def named(self, names: Sequence[str]) -> Separation:
        """Return the same with the names of the columns of X in the place of positions.

        Parameters
        ----------
        names : sequence of str
            The columns of X.

        Returns
        -------
        Separation

        Examples
        --------
        >>> Separation((1,), complete=False, lowest="").named(["Intercept", "x"]).coefficients
        ('x',)
        """
        moving = [names[k] for k in self.coefficients]
        return replace(self, coefficients=tuple([n for n in moving if n != "Intercept"] or moving))

    def moves(self, L: FloatArray) -> FloatArray:
        """Mark the linear combinations of the fixed effects that have no finite estimate.

        Parameters
        ----------
        L : (r, p) or (r, k) array
            One combination a row, of the fixed effects or of all parameters that may go to infinity.

        Returns
        -------
        (r,) bool array

        Examples
        --------
        >>> found = Separation(("x",), False, "", directions=np.array([[0.0], [1.0]]))
        >>> found.moves([[1.0, 0.0], [1.0, 2.0]]).tolist()
        [False, True]
        """
        L = np.asarray(L, dtype=float)
        return _moved(L, self.directions if L.shape[1] == len(self.directions) else self.joint)

    def __str__(self) -> str:
        if self.constant:
            return (
                f"{self.constant}, so no coefficient has a finite estimate: there is nothing to compare in "
                "these rows"
            )
        names = ", ".join(self.coefficients)
        one = len(self.coefficients) == 1
        if self.lowest:
            return (
                f"{names} {'has' if one else 'have'} no finite estimate: some combination of predictors "
                f"holds nothing but {self.lowest}, so its log mean is minus infinity; merge that level with "
                "another, leave the predictor out, or test it by anova"
            )
        kind = "complete" if self.complete else "quasi-complete"
        what = "every response" if self.complete else "some responses"
        return (
            f"{kind} separation: {names} {'predicts' if one else 'together predict'} {what} without error, so"
            f" {'its estimate is' if one else 'their estimates are'} infinite and the standard errors mean "
            "nothing; merge levels,"
            " leave the predictor out, test it by anova, or use a prior (a Bayesian model)"
        )


def find_separation(
    family: Family, predictor: FloatArray, X: FloatArray, y: FloatArray, weights: FloatArray | None
) -> Separation | None:
    """Return the :class:`Separation` of a response, or None; cheap unless the means show signs of it.

    Parameters
    ----------
    family : Family
    predictor : (n,) array
        The fixed part of the linear predictor, as it was fitted.
    X : (n, p) array
    y, weights : (n,) arrays
        As the family takes them; weights may be None.
    """
    if not family.separable:
        return None
    told = family.tells_of_mean(y)
    if told is not None:
        predictor, X, y, weights = predictor[told], X[told], y[told], None
    mean = family.link.inverse(predictor)
    if X.shape[1] == 0 or not family.distance_from_ends(mean).min() < SUSPECT:
        return None
    sign = family.extreme(y, weights)
    lowest = "" if family.support.in_trials else family.lowest
    if sign[0] != 0 and (sign == sign[0]).all():
        everything = np.eye(X.shape[1])
        positions = tuple(range(X.shape[1]))
        return Separation(positions, True, lowest, family.all_alike(sign[0]), everything)
    p = X.shape[1]
    rows = np.unique(np.column_stack(family.separating_rows(X, y, weights)), axis=0)
    scale = np.maximum(np.abs(rows[:, :-1]).max(axis=0), 1e-300)
    scaled, sign = rows[:, :-1] / scale, rows[:, -1]
    delta = _direction(scaled, sign)
    if delta is None:
        return None
    remaining = np.abs(scaled @ delta) <= _TOLERANCE
    basis = _null_space(scaled[remaining])
    moving = tuple(np.flatnonzero(np.abs(basis[:p]).max(axis=1) > 1e-6).tolist())
    if not moving:
        return None
    joint = basis / scale[:, None]
    directions = joint if len(joint) == p else _range(joint[:p])
    return Separation(moving, not remaining.any(), lowest, directions=directions, joint=joint)


def _direction(X, sign):
    """Return the direction (p,) that moves every row which any direction of separation moves, or None.

    Each programme looks for a direction that moves rows not moved so far; their sum moves all of them.
    """
    from scipy.optimize import linprog

    is_pure = sign != 0
    pure, mixed = X[is_pure] * sign[is_pure, None], X[~is_pure]
    equal = (mixed, np.zeros(len(mixed))) if len(mixed) else (None, None)
    total, fixed = None, np.ones(len(pure), dtype=bool)
    while fixed.any():
        best = linprog(
            -pure[fixed].sum(axis=0),
            -pure,
            np.zeros(len(pure)),
            *equal,
            bounds=[(-1.0, 1.0)] * X.shape[1],
            method="highs",
        )
        if best.status != 0 or not -best.fun > _TOLERANCE * max(int(fixed.sum()), 1):
            break
        total = best.x if total is None else total + best.x
        fixed &= pure @ best.x <= _TOLERANCE
    return total


def _null_space(X):
    """Return an orthonormal basis (p, d) of the directions in which X (n, p) is zero."""
    if not len(X):
        return np.eye(X.shape[1])
    size = np.sqrt(np.einsum("np,np->p", X, X))
    size[size == 0] = 1.0
    root = np.linalg.qr(X / size, mode="r")
    _, values, rows = np.linalg.svd(root, full_matrices=True)
    rank = int((values > _RANK * max(values[0], 1e-300)).sum())
    basis = np.linalg.qr(rows[rank:].T / size[:, None])[0]
    return np.where(np.abs(basis) < _RANK, 0.0, basis)


def _range(D):
    """Return an orthonormal basis (p, d) of the space that the columns of D (p, m) span."""
    basis, values, _ = np.linalg.svd(D, full_matrices=False)
    return basis[:, values > 1e-6 * values[0]]


def _moved(L, directions):
    if not directions.size or not len(L):
        return np.zeros(len(L), dtype=bool)
    size = np.abs(L) @ np.abs(directions)
    return (np.abs(L @ directions) > 1e-7 * np.maximum(size, 1e-300)).any(axis=1)
