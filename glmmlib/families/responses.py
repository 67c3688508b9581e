"""Checks of a response before a fit: what a family can take, or one sentence that says why it cannot."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from glmmlib.errors import DataError
from glmmlib.types import BoolArray, FloatArray

# successes = proportion * trials is rounded only this close to a whole number
_WHOLE = 1e-6

LARGEST_COUNT = 1e12  # y eps log(y), the rounding of a score, is then a hundredth of what one effect adds


def check_binomial(
    y: FloatArray,
    trials: FloatArray | None = None,
    weights: FloatArray | None = None,
    name: str = "response",
    labels: Sequence[Any] | None = None,
) -> tuple[FloatArray, FloatArray | None]:
    """Successes and trials from 0/1 values, from successes with `trials`, or from proportions with `weights`.

    Returns
    -------
    successes : ndarray
    trials : ndarray or None
        None where every row is one trial.

    Raises
    ------
    DataError
        For values outside 0/1, more successes than trials, fractions of a trial.

    Examples
    --------
    >>> check_binomial([0.25, 0.5], weights=[4, 6])
    (array([1., 3.]), array([4., 6.]))
    """
    y = _numbers(y, name, labels)
    if trials is not None and weights is not None:
        raise DataError(
            "A binomial response takes its trials either from cbind(successes, failures) or from weights, "
            "not from both: leave out weights."
        )
    if trials is None and weights is None:
        _refuse(
            (y != 0) & (y != 1),
            y,
            labels,
            f"A binomial response without trials is 0 or 1, but {name!r} holds",
            "code it as 0/1, use cbind(successes, failures), or give proportions with weights = the trials",
        )
        return y, None
    if trials is None:
        successes, n = _from_proportions(y, weights, name, labels)
    else:
        successes, n = y, _trials(trials, y.size, "The number of trials", labels)
        _refuse(
            (y < 0) | (y != np.round(y)),
            y,
            labels,
            f"The successes {name!r} are counts, 0, 1, 2, ..., but hold",
            "correct those rows",
        )
        _refuse(
            y > n,
            y,
            labels,
            f"{name!r} holds more successes than trials:",
            "in cbind(successes, failures) the second column counts the failures, not the trials",
        )
    return successes, None if np.all(n == 1) else n


def check_counts(y: FloatArray, name: str = "response", labels: Sequence[Any] | None = None) -> FloatArray:
    """Whole numbers from 0 up, as floats.

    Raises
    ------
    DataError
        For negative or fractional values.
    """
    y = _numbers(y, name, labels)
    _refuse(y < 0, y, labels, f"Counts are never negative, but {name!r} holds", "correct or drop those rows")
    _refuse(
        y != np.round(y),
        y,
        labels,
        f"Counts are whole numbers, but {name!r} holds",
        "model the counts themselves and put exposure into offset = log(exposure), or use family='gamma'",
    )
    _refuse(
        y > LARGEST_COUNT,
        y,
        labels,
        f"Counts above {LARGEST_COUNT:g} have no digits left for random effects, but {name!r} holds",
        "fit their logarithms by gl.lmer",
    )
    return y


def check_counts_above_zero(
    y: FloatArray, family: str, name: str = "response", labels: Sequence[Any] | None = None
) -> FloatArray:
    """Whole numbers from 1 up, as floats.

    Raises
    ------
    DataError
        For negative or fractional values, and for zeros.
    """
    y = check_counts(y, name, labels)
    _refuse(
        y == 0,
        y,
        labels,
        f"With family={family!r} counts are never zero, but {name!r} holds",
        "leave those rows out if zeros could not be seen; otherwise give zeros a part of the model, zi='~ 1'",
    )
    return y


def check_positive(
    y: FloatArray, family: str, name: str = "response", labels: Sequence[Any] | None = None
) -> FloatArray:
    """Numbers above 0, as floats.

    Raises
    ------
    DataError
        For zero or negative values.
    """
    y = _numbers(y, name, labels)
    _refuse(
        y <= 0,
        y,
        labels,
        f"A {family} response is above 0, but {name!r} holds",
        f"a {family} distribution cannot produce them, so model zeros apart or choose another family",
    )
    return y


def check_numbers(y: FloatArray, name: str = "response", labels: Sequence[Any] | None = None) -> FloatArray:
    """Finite numbers, as floats.

    Raises
    ------
    DataError
        For text, missing and infinite values.
    """
    return _numbers(y, name, labels)


def check_shares(y: FloatArray, name: str = "response", labels: Sequence[Any] | None = None) -> FloatArray:
    """Numbers between 0 and 1, both left out, as floats.

    Raises
    ------
    DataError
        For other values.
    """
    y = _numbers(y, name, labels)
    _refuse(
        (y < 0) | (y > 1),
        y,
        labels,
        f"A beta response is a share between 0 and 1, but {name!r} holds",
        "divide percentages by 100; counts of successes need family='binomial'",
    )
    _refuse(
        (y == 0) | (y == 1),
        y,
        labels,
        f"A beta response lies between 0 and 1, but {name!r} holds",
        "if they are rounded, pull all values inwards, (y (n - 1) + 0.5) / n for n rows (Smithson and "
        "Verkuilen 2006); if they are shares of a count, use family='binomial'; if they are of another kind, "
        "model them apart",
    )
    return y


def check_categories(
    y: FloatArray, levels: Sequence[Any], name: str = "response", labels: Sequence[Any] | None = None
) -> FloatArray:
    """Scores of ordered categories, as floats.

    Raises
    ------
    DataError
        For numbers that are no category's, and where there is but one category.
    """
    y = _numbers(y, name, labels)
    if len(levels) < 2:
        raise DataError(
            f"An ordinal response has two categories or more, but {name!r} has "
            f"{f'only {levels[0]!r}' if levels else 'none'}: there is nothing to tell apart."
        )
    _refuse(
        ~np.isin(y, scores_of(levels)),
        y,
        labels,
        f"The categories of {name!r} are {', '.join(f'{s:g}' for s in scores_of(levels))}, but it holds",
        "give numbers of the categories that the model was fitted to",
    )
    return y


def scores_of(levels: Sequence[Any]) -> list[float]:
    """Return the number of each category: itself where all are whole numbers that rise, else 1, 2, ...

    >>> scores_of((0, 2, 5)), scores_of(("low", "high"))
    ([0.0, 2.0, 5.0], [1.0, 2.0])
    """
    if all(isinstance(level, int | float | np.number) for level in levels):
        own = [float(level) for level in levels]
        if all(score.is_integer() for score in own) and all(a < b for a, b in pairwise(own)):
            return own
    return [float(k) for k in range(1, len(levels) + 1)]


def check_weights(
    weights: FloatArray | None, n_rows: int, labels: Sequence[Any] | None = None
) -> FloatArray | None:
    """Prior weights: positive numbers, one a row; None where there are none or all are 1.

    Raises
    ------
    DataError
        For weights that are missing, zero or negative, or of the wrong length.
    """
    if weights is None:
        return None
    weights = _one_a_row(_numbers(weights, "weights", labels), n_rows, "weights")
    _refuse(
        weights <= 0,
        weights,
        labels,
        "Prior weights are above 0, but 'weights' holds",
        "drop a row that is not to count",
    )
    return None if np.all(weights == 1) else weights


def refuse_trials(trials: FloatArray | None, family: str) -> None:
    """Raise for a two-column response in a family without trials."""
    if trials is not None:
        raise DataError(
            f"A two-column response cbind(successes, failures) needs family='binomial', not {family!r}: "
            "give a single column, or change the family."
        )


def _from_proportions(y, weights, name, labels):
    n = _trials(weights, y.size, "With binomial proportions weights are the numbers of trials; they", labels)
    _refuse(
        (y < 0) | (y > 1),
        y,
        labels,
        f"With weights a binomial response is a proportion between 0 and 1, but {name!r} holds",
        "divide the successes by the trials, or use cbind(successes, failures) without weights",
    )
    product = y * n
    successes = np.round(product)
    _refuse(
        np.abs(product - successes) > _WHOLE * np.maximum(1, n),
        product,
        labels,
        f"{name!r} times weights must be whole numbers of successes, but gives",
        "check that weights holds the trials, or use cbind(successes, failures)",
    )
    return successes, n


def _trials(trials, n_rows, what, labels):
    n = _one_a_row(_numbers(trials, "trials", labels), n_rows, "trials")
    _refuse(
        (n < 1) | (n != np.round(n)),
        n,
        labels,
        f"{what} must be whole numbers from 1 up, but hold",
        "drop rows without trials and correct the others",
    )
    return n


def _one_a_row(values: FloatArray, n_rows: int, what: str) -> FloatArray:
    if values.size not in (1, n_rows):
        raise DataError(f"There are {values.size} {what} for {n_rows} rows: give one for each row.")
    return np.broadcast_to(values, (n_rows,)).copy()


def _numbers(values: FloatArray, name: str, labels: Sequence[Any] | None) -> FloatArray:
    """A float array, or the sentence that says why not."""
    array = np.asarray(values)
    try:
        numbers = array.astype(float)
    except (TypeError, ValueError):
        text = next(v for v in array.ravel() if not isinstance(v, (int, float, np.number)))
        raise DataError(
            f"{name!r} holds {str(text)!r}, which is not a number: code it as numbers first."
        ) from None
    _refuse(~np.isfinite(numbers), numbers, labels, f"{name!r} holds", "drop or correct those rows")
    return numbers


def _refuse(
    bad: BoolArray, values: FloatArray, labels: Sequence[Any] | None, found: str, advice: str
) -> None:
    """Raise a DataError that names up to three distinct offending values and the first row that holds one."""
    if not np.any(bad):
        return
    rows = np.flatnonzero(bad)
    distinct = list(dict.fromkeys(f"{value:.6g}" for value in values[rows]))
    shown = ", ".join(distinct[:3]) + (" and others" if len(distinct) > 3 else "")
    where = rows[0] if labels is None else labels[rows[0]]
    count = "1 row" if rows.size == 1 else f"{rows.size} rows"
    raise DataError(f"{found} {shown} in {count} (the first is row {where}): {advice}.")
