"""Probabilities of the categories of an ordinal response."""

from typing import Any

import numpy as np
import pandas as pd

from glmmlib.errors import ModelError
from glmmlib.families.base import Family
from glmmlib.types import FloatArray


def check_categories(family: Family, kind: str, interval: str | None) -> None:
    """Refuse what a model without categories has not, and intervals that would be too narrow."""
    if kind == "probabilities" and not family.levels:
        raise ModelError(
            "kind='probabilities' is a table of the categories of an ordinal response; the mean response of "
            "a binomial model is its probability"
        )
    if kind == "probabilities" and interval is not None:
        raise ModelError(
            "kind='probabilities' has no interval here, which would have to hold the errors of the "
            "thresholds: fit.bootstrap(statistic=...) gives one"
        )
    if family.levels and family.mean_needs_auxiliary and interval == "confidence" and kind != "link":
        raise ModelError(
            "a confidence interval for the mean score would have to hold the errors of the thresholds too: "
            "gl.means and gl.comparisons do; or ask for kind='link'"
        )


def probabilities(family: Family, rows: Any, eta: FloatArray, unknown: FloatArray | None) -> pd.DataFrame:
    """Return the probabilities (n, K) of the categories in rows to predict.

    ``unknown`` is the variance (n,) of random effects to average over; None takes them as they are.
    """
    eta = np.where(rows.complete, eta, 0.0)
    if unknown is None:
        p = family.probabilities(eta, rows.auxiliary)
    else:
        p = family.average_probabilities(eta, unknown, rows.auxiliary)
    return pd.DataFrame(np.where(rows.complete[:, None], p, np.nan), rows.index, list(family.levels))
