"""What a prior weight does to the terms of its row."""

from collections.abc import Callable
from typing import Any, TypeVar

from glmmlib.types import FloatArray

Terms = TypeVar("Terms", bound=tuple[Any, ...])


def times(values: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Values times their weights; None stands for ones."""
    return values if weights is None else values * weights


def over(values: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Values over their weights; None stands for ones."""
    return values if weights is None else values / weights


def weighted(terms: Terms, weights: FloatArray | None) -> Terms:
    """Every derivative of a log-density times its prior weight."""
    if weights is None:
        return terms
    by_row: Callable[..., Terms] = type(terms)
    return by_row(*(None if term is None else term * weights for term in terms))
