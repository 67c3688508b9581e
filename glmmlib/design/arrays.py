"""The arrays of a model: of the rows it is fitted to, and of new rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import pandas as pd

from glmmlib.covariance.base import CovarianceStructure
from glmmlib.design.effects import Effects
from glmmlib.design.grouping import Grouping
from glmmlib.design.recipe import Recipe
from glmmlib.design.residual import ResidualDesign
from glmmlib.formula.terms import MixedFormula, RandomTerm


@dataclass(frozen=True, eq=False)
class RandomDesign:
    """The columns and groups of one random-effects term.

    Attributes
    ----------
    term : RandomTerm
    grouping : Grouping
        Levels of the grouping factor and the code of each row.
    columns : tuple of str
        Names of the q random effects: ``("Intercept", "Days")``.
    Z : (q, n) array
        Row k holds random effect k's column; read-only, C-contiguous, all ones for an intercept.
    effects : Effects
        How the left side becomes these columns, for other rows too.
    structure : CovarianceStructure
    """

    term: RandomTerm
    grouping: Grouping
    columns: tuple[str, ...]
    Z: np.ndarray = field(repr=False)
    effects: Effects = field(repr=False)
    structure: CovarianceStructure = field(repr=False)

    @property
    def group(self) -> str:
        """Name of the grouping factor: ``"Subject"``, ``"batch:cask"``."""
        return self.term.group

    @property
    def levels(self) -> pd.Index:
        """Labels of the J groups, in the order of the codes."""
        return self.grouping.levels

    @property
    def codes(self) -> np.ndarray:
        """(n,) integers from 0 to J - 1: the group of each row."""
        return self.grouping.codes


@dataclass(frozen=True, eq=False)
class AuxiliaryDesign:
    """The columns of an auxiliary parameter's linear predictor.

    Attributes
    ----------
    name : str
        Of the parameter: ``"dispersion"``.
    text : str
        Its formula as it was given: ``"~ x"``.
    columns : tuple of str
        Names of the r columns.
    D : (n, r) array
    """

    name: str
    text: str
    columns: tuple[str, ...]
    D: np.ndarray = field(repr=False)

    @property
    def key(self) -> str:
        """The name of its part in a recipe."""
        return f"auxiliary {self.name}"


@dataclass(frozen=True, eq=False)
class Design:
    """Everything a fit needs to know about formula and data. All arrays are read-only.

    Attributes
    ----------
    formula : MixedFormula
    data : DataFrame
        The rows kept, as the fit's own.
    y : (n,) array or None
        The response; for ``cbind(a, b)`` the successes a. None if the response was not asked for.
    trials : (n,) array or None
        For ``cbind(a, b)`` the trials a + b.
    response_levels : tuple or None
        For a binary factor as response, what 0 and 1 stand for; for ordered categories, these in their order.
    X : (n, p) array
        Fixed-effects columns, in Fortran order (``X.T`` is C-contiguous).
    coef_names : tuple of str
        Their names, formulaic's: ``Intercept``, ``Days``, ``period[T.2]``.
    term_slices : dict of str to slice
        The columns of X that belong to each term (``Intercept``, ``Days``, ``a:b``).
    aliased : tuple of str
        Columns left out of X because they are linear combinations of those before them.
    random : tuple of RandomDesign
    offset, weights : (n,) array or None
        `offset` is the sum of the formula's ``offset()`` terms and of the argument.
    n_missing : int
        Rows dropped for a missing value, or because they have no trials.
    recipe, kept_columns, category_levels, offset_argument
        What new data need: the memory of each part (means, knots, levels), the columns of X not aliased, the
        levels of each factor column (and flag), and how the offset was given (a column's name, or True for
        an array).
    known : dict of str to DataFrame
        Known covariances.
    auxiliary : tuple of AuxiliaryDesign
        Of the family's parameters that have a linear predictor.
    residual : ResidualDesign or None
        The blocks of correlated residuals of a linear model.
    """

    formula: MixedFormula
    data: pd.DataFrame = field(repr=False)
    y: Any = field(repr=False)
    trials: np.ndarray | None = field(repr=False)
    X: np.ndarray = field(repr=False)
    coef_names: tuple[str, ...]
    term_slices: dict[str, slice] = field(repr=False)
    aliased: tuple[str, ...]
    random: tuple[RandomDesign, ...]
    offset: np.ndarray | None = field(repr=False)
    weights: np.ndarray | None = field(repr=False)
    n_missing: int
    response_levels: tuple | None
    recipe: Recipe = field(repr=False)
    kept_columns: np.ndarray = field(repr=False)
    category_levels: dict[str, pd.Index] = field(repr=False)
    offset_argument: str | bool = field(repr=False)
    known: dict[str, pd.DataFrame] = field(repr=False)
    auxiliary: tuple[AuxiliaryDesign, ...] = ()
    residual: ResidualDesign | None = None

    @property
    def index(self) -> pd.Index:
        """Row labels of the data kept."""
        return self.data.index

    @property
    def nobs(self) -> int:
        """Number of rows."""
        return len(self.data)

    @property
    def keeps_rows(self) -> bool:
        """Are the rows there, or were they read in batches?"""
        return True

    @property
    def has_offset(self) -> bool:
        """Is a part of the linear predictor known?"""
        return self.offset is not None

    @property
    def why_left_out(self) -> str:
        """What the rows left out lack, in words."""
        return "missing values" if self.trials is None else "missing values or no trials"

    @property
    def response_name(self) -> str:
        """The left-hand side as written."""
        return str(self.formula.response)


@dataclass(frozen=True, eq=False)
class NewRandom:
    """One random-effects term on new data.

    Attributes
    ----------
    columns : tuple of str
        Names of the q random effects.
    Z : (q, n) array
    codes : (n,) integer array
        Position of the row's group in the fit's levels; -1 for a group the fit has not seen.
    """

    columns: tuple[str, ...]
    Z: np.ndarray = field(repr=False)
    codes: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class NewDesign:
    """Arrays for new data.

    Attributes
    ----------
    index : pandas.Index
        Row labels of the new data.
    X : (n, p) array
        With the columns of the fit; aliased ones are left out.
    offset : (n,) array or None
    random : dict of int to NewRandom
        By position in ``Design.random``; only the terms asked for.
    complete : (n,) array of bool
        False where a value is missing: those rows are NaN in X, offset and Z, with code -1.
    auxiliary : dict of str to (n, r) array
        The columns of the auxiliary predictors, if they were asked for.
    """

    index: pd.Index
    X: np.ndarray = field(repr=False)
    offset: np.ndarray | None = field(repr=False)
    random: dict[int, NewRandom]
    complete: np.ndarray = field(repr=False)
    auxiliary: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def fixed_predictor(self, beta: np.ndarray) -> np.ndarray:
        """Return ``X beta`` and the offset (n,)."""
        eta = self.X @ beta
        return eta if self.offset is None else eta + self.offset


@overload
def frozen(array: np.ndarray) -> np.ndarray: ...


@overload
def frozen(array: None) -> None: ...


def frozen(array: np.ndarray | None) -> np.ndarray | None:
    """Make our own array, or our view of another's, read-only."""
    if array is None:
        return None
    array = array.view()
    array.flags.writeable = False
    return array
