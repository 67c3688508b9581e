"""Variances and correlations that the random effects give to the responses, on average or at a value of x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import Group
from glmmlib.design.arrays import NewDesign
from glmmlib.design.newdata import new_design
from glmmlib.design.residual import refuse_residual_side
from glmmlib.display.arguments import checked
from glmmlib.display.words import listed
from glmmlib.errors import DataError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.bends import curve_keys
from glmmlib.types import ArrayLike, FloatArray, Numbers


@checked
def between_variance(
    fit: FittedModel, at: Mapping[str, Any] | ArrayLike | None = None, group: str | None = None
) -> pd.Series:
    r"""Return the variance of the linear predictor between the groups, :math:`z'\Sigma z`.

    Parameters
    ----------
    fit : MixedModelFit
    at : number, array or dict, optional
        Where to take it: a value of the covariate that has a random slope, several values, or a dict such as
        ``{"Days": 5}`` where several covariates have one. By default the mean over the rows of the data
        (Johnson 2014).
    group : str, optional
        One grouping factor; all together by default.

    Returns
    -------
    float, or Series
        A Series, indexed by the values, where `at` holds several. In squared units of the response (linear
        models) or of the linear predictor.

    Raises
    ------
    ModelError, DataError
        For an unknown grouping factor, or where `at` leaves open where to look.

    References
    ----------
    Johnson (2014), Extension of Nakagawa and Schielzeth's R2 GLMM to random slopes models, *Methods in
    Ecology and Evolution* 5.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.between_variance(fit, at=[0, 9]).round(1).to_dict()
    {0: 612.1, 9: 3625.8}
    """
    chosen = group_positions(fit, group)
    place = Place.of(fit, at)
    parts = variances(fit, place)
    return place.shaped(np.sum([parts[k] for k in chosen], axis=0), "between_variance")


@checked
def correlation(
    fit: FittedModel,
    x1: Mapping[str, Any] | ArrayLike | None = None,
    x2: Mapping[str, Any] | ArrayLike | None = None,
    group: str | None = None,
) -> Numbers:
    r"""Return the correlation of two observations of the same group, one at x1 and one at x2.

    .. math:: \frac{z_1'\Sigma z_2}{\sqrt{(z_1'\Sigma z_1 + \sigma^2)(z_2'\Sigma z_2 + \sigma^2)}},

    for a random intercept and slope with :math:`z = (1, x)`:
    :math:`z_1'\Sigma z_2 = \sigma_0^2 + (x_1 + x_2) \sigma_{01} + x_1 x_2 \sigma_1^2`. It is that of two
    *different* observations, also where x1 equals x2: there it is the ICC at x.

    Parameters
    ----------
    fit : LinearMixedModelFit
    x1, x2 : numbers, arrays or dicts
        As `at` in :func:`between_variance`. Arrays of any shapes that broadcast: ``x[:, None]`` and ``x``
        give a matrix.
    group : str, optional
        The grouping factor whose level the two share, while they differ in the others. By default they share
        all.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ModelError, DataError

    References
    ----------
    Snijders and Bosker (2012), *Multilevel Analysis*, 2nd ed., chapter 5.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> round(gl.correlation(fit, 0, 9), 3), round(gl.correlation(fit, 8, 9), 3)
    (0.3, 0.833)
    """
    if not fit.is_linear:
        raise ModelError(
            "correlations of the responses are computed for linear mixed models; for other families see"
            " gl.icc(fit, scale='observation')"
        )
    refuse_residual_side(fit.design, "the correlation of two responses")
    shared = group_positions(fit, group)
    places = Place.of(fit, x1), Place.of(fit, x2)
    if any(place.rows is None for place in places):
        raise ModelError("two places are needed: correlation(fit, x1, x2)")
    half = [loadings(fit, place) for place in places]
    sd = [np.sqrt(sum((part**2).sum(axis=0) for part in h) + fit.scale**2) for h in half]
    covariance = sum(np.einsum("a...,a...->...", *_broadcastable(half[0][k], half[1][k])) for k in shared)
    found = covariance / (sd[0] * sd[1])
    return float(found) if np.ndim(found) == 0 else found


def _are_numbers(values: Any) -> bool:
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return False
    return array.dtype.kind in "iuf" and bool(np.isfinite(array).all())


def _broadcastable(a: FloatArray, b: FloatArray) -> list[FloatArray]:
    """Let two arrays (q, ...) broadcast in all but their first axis."""
    ndim = max(a.ndim, b.ndim)
    return [m.reshape(m.shape[0], *(1,) * (ndim - m.ndim), *m.shape[1:]) for m in (a, b)]


@dataclass(frozen=True, eq=False)
class Place:
    """Where variances are taken: the rows of the fit (``rows`` None), or given values of the covariates.

    ``rows`` (k,) is a data frame ready for the model's columns, ``shape`` that of the values asked for,
    ``index`` labels them.
    """

    rows: Any
    shape: tuple
    index: pd.Index | None

    @classmethod
    def of(
        cls,
        fit: FittedModel,
        at: Mapping[str, Any] | ArrayLike | None,
        parts: Sequence[str] = ("random",),
    ) -> Place:
        """Read `at`: it has to name every covariate of the random (or also the ``"fixed"``) terms."""
        if at is None:
            return cls(None, (), None)
        variables = covariates(fit, parts)
        given = _by_name(at, variables)
        if None in given and not _are_numbers(given[None]):
            raise ModelError(f"no covariate matters here, so at= says nothing: {at!r} is no number either")
        try:
            arrays = dict(zip(given, np.broadcast_arrays(*map(np.asarray, given.values())), strict=True))
        except ValueError:
            raise DataError(
                "at holds values of different lengths: give one of each covariate, or as many"
            ) from None
        for name, values in arrays.items():
            if not values.size:
                raise DataError(
                    f"at holds no value{'' if name is None else f' of {name}'}: give one or several"
                )
            if pd.isna(values).any():
                raise DataError(f"at holds a missing value of {name}: give numbers or levels that are there")
        shape = next(iter(arrays.values())).shape
        flat = {name: values.ravel() for name, values in arrays.items()}
        size = int(np.prod(shape))
        template = fit.design.data.iloc[np.zeros(size, dtype=int)].reset_index(drop=True)
        rows = template.assign(**{name: v for name, v in flat.items() if name in variables})
        varying = [name for name in given if np.ndim(given[name])] or list(given)
        index = (
            pd.MultiIndex.from_arrays([flat[n] for n in varying], names=varying)
            if len(varying) > 1
            else (pd.Index(flat[varying[0]], name=varying[0]))
        )
        return cls(rows, shape, index)

    def shaped(self, values: FloatArray, name: str) -> pd.Series:
        """Return one number as a float, several as a Series."""
        if self.shape == ():
            return float(np.squeeze(values))
        return pd.Series(np.broadcast_to(values, self.shape).ravel(), self.index, name=name)


def covariates(fit: FittedModel, parts: Sequence[str] = ("random",)) -> list[str]:
    """Return the names of the data columns that the random (and fixed) terms read; curves are fixed ones."""
    recipe, curves = fit.design.recipe, curve_keys(fit)
    keys = [key for key in recipe.parts if key.startswith(tuple(parts)) and key not in curves]
    keys += curves if "fixed" in parts else []
    return recipe.columns(keys, fit.design.data.columns)


def _by_name(at, variables):
    if not isinstance(at, Mapping):
        if len(variables) > 1:
            values = ", ".join(f"{name!r}: ..." for name in variables)
            raise ModelError(f"a value without a name could be of {listed(variables, 6)}: write {{{values}}}")
        return {variables[0] if variables else None: at}
    unknown = [name for name in at if name not in variables]
    missing = [name for name in variables if name not in at]
    if unknown:
        have = (
            f"the covariates that matter here are {listed(variables, 6)}"
            if variables
            else "no covariate matters here"
        )
        raise DataError(f"{listed(unknown, 6)} does not belong in `at`: {have}")
    if missing:
        raise DataError(f"`at` gives no value of {listed(missing, 6)}: without it the place is not known")
    return dict(at) or {None: 0.0}


def group_positions(fit: FittedModel, group: str | None) -> Sequence[int]:
    """Return the positions in :func:`sampled` of one grouping factor, or of all."""
    names = [g.name for g, _ in sampled(fit)]
    if not names:
        raise ModelError(
            f"{fit.formula!r} has curves and no groups, so there is no variance between groups to compare: "
            "gl.smooths(fit) tells how much curves bend"
        )
    if group is None:
        return range(len(names))
    if group not in names:
        raise ModelError(f"there is no grouping factor {group!r}; those of this fit are {listed(names, 6)}")
    return [names.index(group)]


def sampled(fit: FittedModel) -> list[tuple[Group, FloatArray]]:
    """Return the groups whose effects are a sample, with their Lambda: all but curves."""
    pairs = zip(fit.groups, fit.solution.Lambdas, strict=True)
    return [(g, L) for g, L in pairs if not g.is_curve]


def curves_in(fit: FittedModel, new: NewDesign | None = None) -> FloatArray:
    """Return what the curves bend from their lines (n,), in the rows of the fit or in others."""
    total = np.zeros(fit.nobs if new is None else len(new.index))
    for g, modes in zip(fit.groups, fit.solution.modes, strict=True):
        if g.is_curve:
            total += modes[:, 0] @ (g.factor.Z if new is None else g.columns_of(new.random))
    return total


def loadings(fit: FittedModel, place: Place) -> list[FloatArray]:
    """Return ``sigma Lambda'z`` (q, ...) for each group: variances are its sums of squares over the first
    axis.
    """
    if place.rows is None:
        return [fit.scale * L.T @ g.factor.Z for g, L in sampled(fit)]
    new = new_rows(fit, place)
    found: list[FloatArray] = []
    for g, L in sampled(fit):
        found.append((fit.scale * L.T @ g.columns_of(new.random)).reshape(g.q, *place.shape))
    return found


def new_rows(fit: FittedModel, place: Place) -> NewDesign:
    """Build the columns of the model for the rows of a place."""
    every = range(len(fit.design.random))
    offset = np.zeros(len(place.rows)) if fit.design.offset_argument else None
    return new_design(fit.design, place.rows, random=every, ungrouped=every, offset=offset)


def variances(fit: FittedModel, place: Place) -> list[FloatArray]:
    """Return ``z'Sigma z`` by group: at each value of the place, or the mean over the rows of the fit."""
    found = [(half**2).sum(axis=0) for half in loadings(fit, place)]
    return [v.mean() for v in found] if place.rows is None else found
