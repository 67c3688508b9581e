"""Where a generalised model may have a lower minimum than that found, and where to look for it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glmmlib.covariance.parameters import CovarianceParameters
from glmmlib.types import BoolArray, FloatArray, IntArray

SIZES = (1.0, 3.0, 10.0)  # of random effects, in units of the root of 1 / information
SHIFTS = ((3.0, -2.0), (3.0, 2.0), (10.0, -2.0), (10.0, 2.0))  # sizes, and means moved by so many of them
FEW_LEVELS, FEW_ROWS = 6.0, 2_000  # an effective number of levels below which there may be several minima
EXPLAINED = 1e-3  # -2 log L a row of counts or successes below which nothing is left to be found
STEPS = 40  # after which a search that has come no lower is given up: with separated levels it has no end
WIDE = 2.0  # effects of this size, in the same units, may lie about several means
ROWS_TO_TELL = 3  # rows a level, on average, that tell its effect from the dispersion


@dataclass(frozen=True, eq=False)
class Start:
    """Where some of R minimisations begin again.

    Attributes
    ----------
    rows : (m,) int array
        Which of them.
    theta : (m, k) array
    shift : (m,) array
        What is added to the mean of all rows, on the scale of the link.
    """

    rows: IntArray
    theta: FloatArray
    shift: FloatArray


def other_starts(
    covariance: CovarianceParameters,
    theta: FloatArray,
    value: FloatArray,
    information: Callable[[], Sequence[FloatArray]],
    n: int,
    has_dispersion: bool,
) -> Iterator[Start]:
    """Yield where a search for a lower minimum begins.

    Where a variance ended near zero, which is always a stationary point, it is given other sizes. Where there
    may be several minima all effects are: few levels hold what there is to know, or the dispersion can do
    what the effects of levels of few rows do. Few levels that differ widely may lie about another mean, which
    is moved as well.

    Parameters
    ----------
    covariance : CovarianceParameters
    theta : (R, k) array
        Where R minimisations ended.
    value : (R,) array
        -2 log L there.
    information : callable
        Returns for each factor the diagonals (q, R, J) of ``Z_j'WZ_j`` there; asked only where it matters.
    n : int
        The number of rows.
    has_dispersion : bool
    """
    is_open = has_dispersion | (value > EXPLAINED * n)
    collapsed = covariance.collapsed(theta) & is_open[:, None]
    is_small = n < FEW_ROWS
    if not is_small and not collapsed.any():
        return
    totals = [np.maximum(_by_effect(a), 1e-300) for a in information()]
    typical = 1.0 / np.sqrt(np.max([a.mean(axis=1) for a in totals], axis=0))
    if not is_small:
        yield from _resized(collapsed, theta, typical)
        return
    few, can_trade = (
        is_open & _few_levels(totals),
        has_dispersion and n < ROWS_TO_TELL * max(a.shape[1] for a in totals),
    )
    rest = (few | can_trade) & ~collapsed.any(axis=1)
    collapsed[np.ix_(rest, covariance.sizes)] = True
    yield from _resized(collapsed, theta, typical)
    sds = [np.sqrt((L**2).sum(axis=-1)).max(axis=-1) for L in covariance.factors(theta)]
    is_wide = np.max(sds, axis=0) > WIDE * typical
    few &= is_wide
    had = rest & (len(covariance.sizes) == covariance.size)  # without correlations those above are the same
    yield from _anew(covariance, np.flatnonzero(few & ~had), typical, [(size, 0.0) for size in SIZES])
    yield from _anew(covariance, np.flatnonzero(few), typical, SHIFTS)


def _by_effect(information):
    """What the levels tell (R, J); of a curve or a map, which have one level, what the columns do."""
    return information[:, :, 0].T if information.shape[2] == 1 else information.sum(axis=0)


def _few_levels(totals: Sequence[FloatArray]) -> BoolArray:
    effective = np.min([a.sum(axis=1) ** 2 / (a**2).sum(axis=1) for a in totals], axis=0)
    return effective < FEW_LEVELS


def _resized(chosen: BoolArray, theta: FloatArray, typical: FloatArray) -> Iterator[Start]:
    """The chosen entries of theta with other sizes, and all others as they are."""
    rows = np.flatnonzero(chosen.any(axis=1))
    for size in SIZES if rows.size else ():
        trial = np.where(chosen, size * typical[:, None], theta)[rows]
        yield Start(rows, trial, np.zeros(rows.size))


def _anew(
    covariance: CovarianceParameters,
    rows: IntArray,
    typical: FloatArray,
    trials: Sequence[tuple[float, float]],
) -> Iterator[Start]:
    """Effects of other sizes without correlation, about the mean and far from it."""
    for size, moved in trials if rows.size else ():
        sd = size * typical[rows]
        variances = [np.repeat(sd[:, None] ** 2, f.q, axis=1) for f in covariance.members]
        yield Start(rows, covariance.start(variances), moved * sd)
