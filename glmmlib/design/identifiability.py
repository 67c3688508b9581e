"""What the columns of a design can identify, whatever the responses."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd

from glmmlib.design.arrays import RandomDesign
from glmmlib.design.plain import shown_as
from glmmlib.design.rank import independent_rows
from glmmlib.design.recipe import Recipe
from glmmlib.display.words import listed
from glmmlib.errors import DataError, ModelError, RankDeficientWarning
from glmmlib.formula.algebra import Factor
from glmmlib.formula.terms import RandomTerm


def check_terms_have_columns(recipe: Recipe) -> None:
    """Refuse a factor with one level, for which no column is made."""
    for key in recipe.parts:
        for name, columns in zip(recipe.term_names(key), recipe.term_slices(key), strict=True):
            if columns.stop == columns.start:
                raise DataError(
                    f"the factor '{name}' has one level only, so there is nothing to compare: leave it out"
                )


@contextmanager
def explained(missing: Mapping[str, int], n: int) -> Iterator[None]:
    """Add to an error about levels how many rows were left out, if they were more than a few."""
    try:
        yield
    except DataError as error:
        most = max(missing, key=missing.__getitem__, default=None)
        if most is None or missing[most] < 0.1 * n or "one level only" not in str(error):
            raise
        raise DataError(
            f"{error}. {missing[most]} of the {n} rows were left out because '{most}' is missing there: "
            "pandas.read_csv takes texts such as 'None' and 'NA' for missing values unless it is told "
            "keep_default_na=False"
        ) from error


def check_no_constant(columns: dict[str, pd.Series], names: Sequence[str], x: np.ndarray) -> None:
    """Refuse a constant covariate beside an intercept: more likely a slip than a wish."""
    shown = {shown_as(Factor(column)): column for column in columns}
    for name, row in zip(names, x, strict=True):
        if name in shown and "Intercept" in names and (row == row[0]).all():
            raise DataError(
                f"column '{shown[name]}' is constant ({row[0]:g}), which the intercept covers already: leave "
                "it out of the formula"
            )


def independent_columns(x: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Mark the columns of X to keep, and warn of the others by name."""
    kept = independent_rows(x)
    if not kept.all():
        aliased = [
            f"{names[k]} (constant)" if (x[k] == x[k, 0]).all() else names[k]
            for k in np.flatnonzero(~kept).tolist()
        ]
        warnings.warn(
            "left out of the fixed effects, because constant or a linear combination of the columns "
            f"before: {', '.join(aliased)}",
            RankDeficientWarning,
            stacklevel=5,
        )
    return kept


def check_number_of_covariances(terms: Iterable[tuple[RandomTerm, int, int]], n: int) -> None:
    """Refuse as many variances and correlations as rows, before anything is made of them.

    Parameters
    ----------
    terms : iterable of (RandomTerm, int, int)
        With the number of effects of each level and that of the parameters of their covariance.
    n : int
        Rows.

    Raises
    ------
    ModelError
    """
    for term, q, count in terms:
        if count >= n and q > 1:
            what = "variances" if count == q else "variances and correlations"
            advice = "" if count == q else ", or their correlations (||)"
            raise ModelError(
                f"{term.text} has {q:,} effects for each level, which makes {count:,} {what}: {n:,} rows "
                f"cannot tell them; leave effects out on the left of the bar{advice}"
            )


def check_random_effects(random: Sequence[RandomDesign], independent: np.ndarray | None) -> None:
    """Refuse random effects whose variances no response could tell apart.

    A Z that is a view of `independent`, the rows of a full-rank X, needs no second look.
    """
    seen: dict[tuple, RandomTerm] = {}
    for design in random:
        if design.effects.places is not None:
            continue  # one effect for each time or place
        for column in design.columns:
            key = (column, frozenset(design.term.groups))
            if key in seen:
                raise ModelError(
                    f"the random effect '{column}' of {design.group} stands in both {seen[key].text} and "
                    f"{design.term.text}: leave it out of one of them (0 + removes an intercept)"
                )
            seen[key] = design.term
        if independent is not None and np.may_share_memory(design.Z, independent):
            continue
        repeated = [
            name for name, keep in zip(design.columns, independent_rows(design.Z), strict=True) if not keep
        ]
        if repeated:
            raise ModelError(
                f"in {design.term.text} the effect of {listed(repeated)} is constant or a linear "
                "combination of the others, so its variance cannot be told from theirs: leave it "
                "out"
            )
