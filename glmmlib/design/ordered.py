"""Responses of ordered categories: which there are, in which order, and the scores that stand for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.columns import clean, is_categorical
from glmmlib.design.levels import text_of
from glmmlib.display.words import listed
from glmmlib.errors import DataError
from glmmlib.families.responses import scores_of
from glmmlib.types import ArrayLike, FloatArray

MOST_CATEGORIES = 50


def ordered_response(column: pd.Series, name: object) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Return the score of each row, and the categories in their order.

    Parameters
    ----------
    column : Series
        Complete. An ordered categorical has the order of its categories; whole numbers have their own.
    name : object
        What messages call it.

    Raises
    ------
    DataError
        For categories without an order, for one that no row has, and for numbers that are no categories.

    Examples
    --------
    >>> import pandas as pd
    >>> sizes = pd.Categorical(["L", "S", "M"], categories=["S", "M", "L"], ordered=True)
    >>> ordered_response(pd.Series(sizes), "size")
    (array([3., 1., 2.]), ('S', 'M', 'L'))
    >>> ordered_response(pd.Series([0, 2, 5, 2]), "stars")
    (array([0., 2., 5., 2.]), (0, 2, 5))
    """
    what = f"the response '{name}'"
    if is_categorical(column):
        levels = _declared(column, what)
        codes = column.cat.codes.to_numpy()
    elif column.dtype.kind in "biuf":
        found = column.to_numpy()
        _check_whole(np.asarray(found, float), what)
        values, codes = np.unique(found, return_inverse=True)
        levels = tuple(v if isinstance(v, bool) else int(v) for v in values.tolist())
    else:
        raise DataError(f"{what} holds neither categories nor numbers (its type is {column.dtype})")
    if len(levels) > MOST_CATEGORIES:
        raise DataError(
            f"{what} has {len(levels)} different values, more than the {MOST_CATEGORIES} categories that an "
            "ordinal model takes: model the numbers themselves (a linear model, or one of counts), or join "
            "neighbours"
        )
    return np.array(scores_of(levels))[codes], levels


def _declared(column, what):
    """Return the categories of a categorical that has an order and a row for each."""
    levels = tuple(column.cat.categories.tolist())
    if not column.cat.ordered:
        raise DataError(
            f"{what} has categories whose order nothing tells ({listed([text_of(v) for v in levels], 3)}): "
            "make it ordered, by pd.Categorical(values, categories=[...], ordered=True) with the categories "
            "from the lowest to the highest"
        )
    present = np.bincount(column.cat.codes, minlength=len(levels)) > 0
    absent = [text_of(level) for level, is_there in zip(levels, present, strict=True) if not is_there]
    if absent:
        raise DataError(
            f"{what} has no row in {listed(absent, 3)}, so nothing tells where the thresholds beside it lie: "
            "drop it by .cat.remove_unused_categories(), or join it with a neighbour"
        )
    return levels


def _check_whole(values: FloatArray, what: str) -> None:
    bad = values[~(np.isfinite(values) & (values == np.round(values)))]
    if bad.size:
        raise DataError(
            f"{what} holds {bad[0]:g}: categories given as numbers are whole; round them, or make an ordered "
            "categorical, by pd.cut(values, bins), if they are measurements in classes"
        )


def scores_like(y: ArrayLike, levels: tuple[Any, ...]) -> Any:
    """Return a response given to ``refit`` as scores, where it holds categories; numbers as they are.

    Raises
    ------
    DataError
        For a category that the fit has not.
    """
    column = y if isinstance(y, pd.Series) else pd.Series(y)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return y
    known = {text_of(level): score for level, score in zip(levels, scores_of(levels), strict=True)}
    texts = column.map(text_of, na_action="ignore").astype(object)
    unknown = [text for text in texts.dropna().unique() if text not in known]
    if unknown:
        raise DataError(
            f"the response given to refit holds {listed(unknown, 3)}, and the fit has {listed(list(known))}"
        )
    return texts.map(known).astype(float)


def response_column(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return a response that is a column; a categorical keeps the categories that no row has."""
    return rows[name] if isinstance(rows[name].dtype, pd.CategoricalDtype) else clean(rows, name)


def categories_of(scores: FloatArray, levels: tuple[Any, ...]) -> Any:
    """Return what scores stand for: an ordered categorical where categories have names, else the numbers."""
    own = scores_of(levels)
    if list(levels) == own:
        return scores
    return pd.Categorical.from_codes(np.searchsorted(own, scores), list(levels), ordered=True)
