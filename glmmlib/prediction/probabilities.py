"""Probabilities of the categories of an ordinal response."""

import numpy as np
import pandas as pd

from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.prediction.rows import Rows
from glmmlib.types import FloatArray


def check_categories(family: Family, kind: str, interval: str | None) -> None:
    """Refuse what a model without categories has not."""
    if kind == "probabilities" and not family.levels:
        raise ModelError(
            "kind='probabilities' is a table of the categories of an ordinal response; the mean response of "
            "a binomial model is its probability"
        )
    if kind == "probabilities" and interval == "prediction":
        raise ModelError(
            "a prediction interval is one for responses, and kind='probabilities' says already how likely "
            "each is: ask for interval='confidence'"
        )


def table_of_categories(family: Family, rows: Rows, **columns: FloatArray) -> pd.DataFrame:
    """Return a table with columns (n, K) for each category; of several kinds, below the name of each."""
    labels = [(level, name) for level in family.levels for name in columns]
    names = [level for level, _ in labels] if len(columns) == 1 else pd.MultiIndex.from_tuples(labels)
    values = np.stack(list(columns.values()), axis=-1).reshape(len(rows.index), -1)
    return pd.DataFrame(np.where(rows.complete[:, None], values, np.nan), rows.index, names)
