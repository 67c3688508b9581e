"""A fit as the package marginaleffects takes it, for its comparisons, slopes, predictions and hypotheses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from marginaleffects.classes import ModelAbstract, ModelVault

from glmmlib.covariance.groups import refuse_curves
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.bends import Bends
from glmmlib.inference.expected import Rows, Scale, rows_of
from glmmlib.types import FloatArray


class AdaptedModel(ModelAbstract):
    """A fitted mixed model with the methods that marginaleffects calls; :func:`adapted` makes it.

    Its coefficients are all parameters that a mean can move with, on the scale of the search, and their joint
    covariance: intervals are those of :func:`glmmlib.comparisons` with ``ddf="z"``.
    """

    df_resid = np.inf  # normal quantiles

    def __init__(self, fit: FittedModel, scale: Scale) -> None:
        self._fit, self._scale = fit, scale
        self._labels, table = _columns(fit.design.data)
        self._rows: dict[int, tuple[pl.DataFrame, Rows]] = {}
        recipe = fit.design.recipe
        parts = [key for key in recipe.parts if key.startswith(("fixed", "auxiliary"))]
        predictors = [name for name in recipe.columns(parts, fit.design.data.columns) if name in table]
        vault = ModelVault(
            coef=np.asarray(fit.solution.free),
            vcov=np.asarray(fit.solution.free_cov),
            modeldata=table,
            package="glmmlib",
            variable_names=["the response", *predictors],
            variables_type={name: _kind(table[name]) for name in table.columns},
        )
        super().__init__(fit, vault)

    def validation(self) -> None:
        """Check nothing: the fit has been checked, and marginaleffects 0.6 fails here with polars 2."""

    def get_vcov(self, vcov: Any = True) -> FloatArray | None:
        if vcov is False or vcov is None:
            return None
        if vcov is not True:
            raise ModelError(f"vcov is True, False or a matrix, not {vcov!r}")
        return self.vault.vcov

    def get_exog(self, newdata: pl.DataFrame) -> pl.DataFrame:
        return newdata

    def get_predict(self, params: FloatArray, newdata: pl.DataFrame) -> pl.DataFrame:
        """Return the expected response of rows at other parameters."""
        found = self._read(newdata).expected(self._fit.solution.estimates_at(params), np.zeros(0))
        return pl.DataFrame({"rowid": np.arange(len(found), dtype=np.int32), "estimate": found})

    def _read(self, newdata: pl.DataFrame) -> Rows:
        """Read a table once: it comes again for each parameter."""
        if id(newdata) not in self._rows:
            frame = pd.DataFrame({name: newdata[name].to_list() for name in newdata.columns})
            for name, labels in self._labels.items():
                if name in frame:
                    frame[name] = frame[name].map(labels)
            self._rows[id(newdata)] = (
                newdata,
                rows_of(self._fit, Bends.of(self._fit), frame, None, self._scale),
            )
        return self._rows[id(newdata)][1]


def adapted(fit: FittedModel, re_form: str = "marginal", kind: str = "response") -> AdaptedModel:
    """Return a fit as the functions of the package marginaleffects take it.

    Parameters
    ----------
    fit : MixedModelFit
    re_form : {"marginal", "~0"}
        ``"marginal"`` averages over the distribution of the random effects, ``"~0"`` takes a typical group,
        as in :func:`glmmlib.comparisons`.
    kind : {"response", "link", "conditional"}
        Of what expectations are taken.

    Returns
    -------
    AdaptedModel
        For ``avg_comparisons``, ``avg_slopes``, ``avg_predictions``, ``hypotheses`` and the like.

    Raises
    ------
    ModelError
        For curves, for an offset that is an argument of the fit, and for other options.

    Notes
    -----
    The extra ``marginaleffects`` installs it: ``python -m pip install "glmmlib[marginaleffects]"``. Its steps
    ``+1`` go from half a unit below to half a unit above, those of :func:`glmmlib.comparisons` from the value
    to one unit above it. It differentiates by small steps in the parameters, which leave some three digits of
    the standard error of a slope: ``eps_vcov=1e-5`` asks for larger ones. What it calls coefficients are all
    parameters of the likelihood, on the scale of the search.

    Examples
    --------
    >>> import glmmlib as gl
    >>> from glmmlib.adapters.marginaleffects import adapted
    >>> from marginaleffects import avg_comparisons
    >>> fit = gl.glmer("incidence / size ~ period + (1 | herd)", gl.load("cbpp"), family="binomial",
    ...                weights="size")
    >>> table = avg_comparisons(adapted(fit), variables={"period": ["1", "4"]})
    >>> round(table["estimate"].item(), 3), round(table["std_error"].item(), 3)
    (-0.159, 0.037)
    """
    if re_form not in ("marginal", "~0"):
        raise ModelError(f"re_form is 'marginal' or '~0', not {re_form!r}")
    if kind not in ("response", "link", "conditional"):
        raise ModelError(f"kind is 'response', 'link' or 'conditional', not {kind!r}")
    refuse_curves(fit.groups, "the adapter for marginaleffects")
    if fit.design.offset_argument is True:
        raise ModelError(
            "marginaleffects makes rows of its own, for which it has no offset= argument: write offset() "
            "into the formula"
        )
    return AdaptedModel(fit, Scale(kind, re_form == "marginal"))


def _columns(data: pd.DataFrame) -> tuple[dict[str, dict[str, Any]], pl.DataFrame]:
    """Return the columns that polars has a type for, and for those of labels what each label was."""
    labels, columns = {}, {}
    for name, column in data.items():
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            columns[name] = pl.Series(name, column.to_numpy())
            continue
        levels = list(column.cat.categories) if hasattr(column, "cat") else sorted(set(column), key=str)
        if isinstance(name, str) and all(isinstance(level, str | int | np.integer) for level in levels):
            labels[name] = {str(level): level for level in levels}
            columns[name] = pl.Series(name, list(map(str, column)), dtype=pl.Enum(list(labels[name])))
    return labels, pl.DataFrame(columns)


def _kind(column: pl.Series) -> str:
    """Return what marginaleffects calls the kind of a variable."""
    if column.dtype == pl.Boolean:
        return "boolean"
    if not column.dtype.is_numeric():
        return "character"
    if set(column.unique()) == {0, 1}:
        return "binary"
    return "integer" if column.dtype.is_integer() else "numeric"
