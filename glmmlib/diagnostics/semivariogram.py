r"""Semivariogram: how fast residuals become unlike each other with distance.

.. math:: \hat\gamma(h) = \frac{1}{2 N(h)} \sum_{|s_i - s_j| \approx h} (r_i - r_j)^2

for the N(h) pairs of rows whose distance lies in the bin around h. Without correlation it is flat, at the
variance of r; neighbours that are alike bend it down at short distances.

Matheron (1963), Principles of geostatistics, *Economic Geology* 58, 1246-1266; Cressie (1993), *Statistics
for Spatial Data*, section 2.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arguments import labels_in, numbers_in
from glmmlib.design.columns import require
from glmmlib.display.arguments import check_fit, checked
from glmmlib.errors import DataError, ModelError
from glmmlib.types import ArrayLike, FloatArray

CHUNK = 2_000_000  # pairs at a time


@checked
def semivariogram(
    residuals: Any,
    coords: str | Sequence[str] | ArrayLike,
    n_bins: int = 15,
    max_distance: float | None = None,
    within: str | ArrayLike | None = None,
) -> pd.DataFrame:
    r"""Return the empirical semivariogram of residuals.

    .. math:: \hat\gamma(h) = \frac{1}{2 N(h)} \sum_{|s_i - s_j| \approx h} (r_i - r_j)^2

    Parameters
    ----------
    residuals : MixedModelFit or (n,) array
        Of a fit the Pearson residuals (those of ``residual=`` made independent by the model, as
        ``fit.resid_normalised``): flat if nothing is left.
    coords : str, list of str or (n, d) array
        Columns of the fit's data, or numbers: places, or times.
    n_bins : int
        Bins of equal width.
    max_distance : float, optional
        Where the last bin ends; half the largest distance by default.
    within : str or array, optional
        A column or labels: only pairs with the same value count, such as times of one subject.

    Returns
    -------
    DataFrame
        By bin: ``distance``, the mean of its pairs; ``semivariance``; ``pairs``, how many. Bins without pairs
        are left out.

    Raises
    ------
    ModelError, DataError
        For coordinates that are missing or no numbers, or where no pair is left.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> gl.semivariogram(fit, "Days", n_bins=3, within="Subject").round(2)
       distance  semivariance  pairs
    0      1.00          0.51    162
    1      2.00          0.76    144
    2      3.46          0.96    234
    """
    r, data = _values(residuals)
    places = _coordinates(coords, data, len(r))
    labels = None if within is None else _labels(within, data, len(r))
    if isinstance(n_bins, bool) or not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ModelError(f"n_bins is the number of bins, 1 or more, not {n_bins!r}")
    if max_distance is None:
        max_distance = 0.5 * max(
            (float(d.max()) for d, _ in _pairs(places, r, labels) if len(d)), default=0.0
        )
    if not np.isfinite(max_distance) or max_distance <= 0.0:
        raise DataError("no two rows lie apart, so there is no distance to look at")
    width = max_distance / n_bins
    count, distance, square = np.zeros(n_bins), np.zeros(n_bins), np.zeros(n_bins)
    for d, s in _pairs(places, r, labels):
        near = d <= max_distance
        bins = np.minimum((d[near] / width).astype(int), n_bins - 1)
        count += np.bincount(bins, minlength=n_bins)
        distance += np.bincount(bins, d[near], minlength=n_bins)
        square += np.bincount(bins, s[near], minlength=n_bins)
    full = count > 0
    if not full.any():
        raise DataError(f"no two rows lie within {max_distance:g} of each other: take a larger max_distance")
    columns = {"distance": distance, "semivariance": 0.5 * square}
    table = pd.DataFrame({name: v[full] / count[full] for name, v in columns.items()})
    return table.assign(pairs=count[full].astype(int))


def _pairs(places, r, labels):
    """Yield distances and squared differences of all pairs of rows, many at a time."""
    n = len(r)
    rows = max(1, CHUNK // n)
    for start in range(0, n, rows):
        i, j = np.nonzero(np.arange(start, min(start + rows, n))[:, None] < np.arange(n))
        i += start
        if labels is not None:
            same = labels[i] == labels[j]
            i, j = i[same], j[same]
        yield np.sqrt(np.square(places[i] - places[j]).sum(axis=1)), np.square(r[i] - r[j])


def _values(residuals) -> tuple[FloatArray, pd.DataFrame | None]:
    if hasattr(residuals, "design"):
        check_fit("residuals", residuals)
        found = residuals.resid_normalised if residuals.is_linear else residuals.resid_pearson
        return found.to_numpy(), residuals.design.data
    r = _numbers("residuals", residuals)
    if r.ndim != 1 or len(r) < 2:
        raise DataError("residuals are a fit, or one number for each of two rows or more")
    return r, None


def _coordinates(coords, data, n):
    names = [coords] if isinstance(coords, str) else coords
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        if data is None:
            raise DataError(
                "names of columns are those of a fit's data: give the fit, or coordinates as numbers"
            )
        coords = np.column_stack([_numbers(name, data[require(name, data.columns)]) for name in names])
    found = _numbers("coords", coords)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) != n:
        raise DataError(f"coords have one row for each of the {n} residuals")
    return found


def _labels(within, data, n):
    if isinstance(within, str):
        if data is None:
            raise DataError("the name of a column is that of a fit's data: give the fit, or labels")
        within = data[require(within, data.columns)]
    labels = labels_in(within, "within", n)
    if pd.isna(labels).any():
        raise DataError(
            f"within is missing in {int(pd.isna(labels).sum())} rows, so their series is not known"
        )
    return pd.factorize(labels)[0]


def _numbers(name: str, values: Any) -> FloatArray:
    found = numbers_in(values, name, "and holds something that is none")
    if not np.isfinite(found).all():
        raise DataError(f"{name} holds values that are missing or infinite")
    return found
