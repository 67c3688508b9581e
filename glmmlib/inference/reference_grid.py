"""Reference grids: the rows of X for all combinations of levels, covariates at their means."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arrays import Design
from glmmlib.design.columns import clean, is_categorical
from glmmlib.design.matrices import stack
from glmmlib.design.newdata import estimable_rows, new_matrices
from glmmlib.display.words import did_you_mean, listed, meant
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.types import FloatArray

GRID_LIMIT = 200_000  # rows


def reference_grid(
    fit: FittedModel, by: str | Sequence[str], at: Mapping[str, Any] | None, parts: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[Any]]:
    """Return all combinations of the values of the variables of the fixed effects (and of more parts of the
    recipe), and sentences that say what they are.
    """
    design = fit.design
    recipe = design.recipe
    names = recipe.columns(["fixed", *parts], design.data.columns)
    keys = [meant(name, names) for name in ([by] if isinstance(by, str) else by)]
    at = {} if at is None else at
    if not isinstance(at, Mapping):
        raise ModelError(f"at is a dict of variables and their values, such as {{'x': 5}}, not {at!r}")
    at = {meant(name, names): value for name, value in at.items()}
    for name in [*keys, *at]:
        if name not in names:
            raise ModelError(
                f"{name!r} is not a variable of the fixed effects{variable_hint(name, names, fit)}"
            )
    if not keys or len(set(keys)) < len(keys):
        raise ModelError("by needs the names of one or more variables, each of them once")
    values, averaged = {}, []
    for name in names:
        column = variable(design, name)
        levels = _levels(name, column, at.get(name))
        if levels is None and name in keys:
            raise ModelError(
                f"{name!r} is a covariate: say at which values, such as "
                f"at={{{name!r}: [{column.min():g}, {column.max():g}]}}"
            )
        if levels is None:
            values[name] = [float(column.mean())]
            averaged.append(f"{name} is at its mean, {values[name][0]:.4g}")
            continue
        values[name] = levels
        if name not in keys:
            one, several = (
                f"{name} is at {levels[0]}",
                f"averaged over {listed(levels)} of {name}, with equal weights",
            )
            averaged.append(one if len(levels) == 1 else several)
    ordered = [*keys, *(name for name in names if name not in keys)]
    size = int(np.prod([len(values[name]) for name in ordered]))
    if size > GRID_LIMIT:
        raise ModelError(
            f"the grid of all combinations has {size:,} rows: hold some variables at one level with at="
        )
    return pd.DataFrame(list(product(*(values[name] for name in ordered))), columns=ordered), averaged


def variable(design: Design, name: str) -> pd.Series:
    """Return a column of the fit's rows as the fixed effects see it: a number inside C() is a factor."""
    column, recipe = clean(design.data, name), design.recipe
    computed = [f for f, coded in recipe.is_categorical("fixed").items() if coded and f.expression]
    coded = {name for factor in computed for name in recipe.columns_of_factor(factor)}
    return column.astype("category") if name in coded and not is_categorical(column) else column


def levels_of(name: str, column: pd.Series) -> list[Any] | None:
    """Return the levels of a factor, or of a flag; None for a covariate.

    Raises
    ------
    ModelError
        For dates.
    """
    if is_categorical(column) or column.dtype == bool:
        return list(column.cat.categories) if is_categorical(column) else [False, True]
    if column.dtype.kind not in "biuf":
        raise ModelError(
            f"{name!r} holds dates, which have no mean that a formula could use: turn it into a number first"
        )
    return None


def variable_hint(name: str, names: Sequence[str], fit: FittedModel) -> str:
    """Return a hint for a name that is no variable of the model."""
    if name in fit.ngroups:
        return ": it is a grouping factor, whose levels fit.coef() shows"
    return did_you_mean(name, names)


def _levels(name, column, given):
    """Return the values of a variable in the grid; None for a covariate without given values."""
    if given is not None:
        given = [given] if isinstance(given, str) or not np.iterable(given) else list(given)
        if not given:
            raise ModelError(f"at[{name!r}] is empty: give one value or more")
    levels = levels_of(name, column)
    if levels is not None:
        unknown = [v for v in given or [] if v not in levels]
        if unknown:
            raise ModelError(f"{unknown[0]!r} is no level of {name!r}; they are {listed(levels)}")
        return levels if given is None else given
    if given is not None and not all(
        isinstance(v, int | float | np.number) and np.isfinite(v) for v in given
    ):
        raise ModelError(f"at[{name!r}] holds numbers, not {listed(given)}")
    return given


def grid_rows(design: Design, grid: pd.DataFrame) -> FloatArray:
    """Return the rows of X (r, p) for a grid; NaN where columns that were left out would matter."""
    full = stack(new_matrices(design, ["fixed"], grid)["fixed"], grid.index)
    X = full[design.kept_columns].T.copy()
    X[~estimable_rows(design, full)] = np.nan
    return X
