"""Averages over rows: which rows count how much, and tests of how such averages differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arguments import argument
from glmmlib.design.columns import require
from glmmlib.design.frames import as_frame
from glmmlib.design.newdata import new_design
from glmmlib.display.arguments import check_labels
from glmmlib.display.words import listed
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import half_widths, table_of_tests
from glmmlib.types import FloatArray


def rows_to_average(fit: FittedModel, newdata: Any, offset: Any) -> tuple[pd.DataFrame, Any]:
    """Return the rows to average over, and what stands for the fit's offset argument there."""
    design = fit.design
    if newdata is not None:
        frame = as_frame(newdata)
        if not len(frame):
            raise DataError("newdata has no rows, so there is no average")
        return frame, offset
    if offset is not None:
        raise ModelError("offset= is for new data; the fit's rows have their own")
    if design.offset_argument is not True:
        return design.data, None
    formulas = new_design(design, design.data, random=(), offset=np.zeros(fit.nobs)).offset
    return design.data, np.asarray(design.offset) - np.asarray(formulas)


def shares_of_rows(data: pd.DataFrame, by: Any, weights: Any) -> tuple[FloatArray, list[tuple], list[str]]:
    """Return the share of each row in each average (r, n), the values of `by` (r keys) and its names."""
    given = argument(weights, "weights", data)
    w = np.ones(len(data)) if given is None else given
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise DataError("weights are numbers from 0 on, one for each row, and not all of them 0")
    if by is None:
        return (w / w.sum())[None], [()], []
    check_labels("by", by)
    names = [require(name, data.columns) for name in ([by] if isinstance(by, str) else list(by))]
    if not names or len(set(names)) < len(names):
        raise ModelError("by needs the names of one or more columns, each of them once")
    groups = data.reset_index(drop=True).groupby(names, observed=True, dropna=False).indices
    shares = np.zeros((len(groups), len(data)))
    for share, here in zip(shares, groups.values(), strict=True):
        if not w[here].any():
            raise DataError(f"weights are 0 in all rows of one value of {listed(names)}: leave it out")
        share[here] = w[here] / w[here].sum()
    return shares, [key if isinstance(key, tuple) else (key,) for key in groups], names


# --- numbers ------------------------------------------------------------------------------------


def difference(change: str, a: FloatArray, b: FloatArray, divisor: float) -> FloatArray:
    """Return b - a over a divisor, or the logarithm of the ratio or odds ratio of averages."""
    if change in ("slope", "difference"):
        return (b - a) / divisor
    averages = np.concatenate([a, b])
    if not (averages > 0.0).all():
        raise ModelError(
            f"an average that is not positive ({averages.min():.4g}) has no {change}: ask for "
            "change='difference'"
        )
    log = np.log(b) - np.log(a)
    return log if change == "ratio" else log - np.log1p(-b) + np.log1p(-a)


def table_of_changes(
    estimate: FloatArray, cov: FloatArray, df: FloatArray, level: float, is_log: bool
) -> pd.DataFrame:
    """Test each estimate against zero; logarithms are undone after."""
    se = np.sqrt(np.diag(cov))
    table = table_of_tests(estimate, np.where(se > 0, se, np.nan), df)
    table["se"] = se
    half = half_widths(table, level)
    table["lower"], table["upper"] = table["estimate"] - half, table["estimate"] + half
    if is_log:
        ends = ["estimate", "lower", "upper"]
        table[ends] = np.exp(table[ends])
        table["se"] *= table["estimate"]
    return table
