"""The values of a covariate along which a picture is drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.types import ArrayLike, FloatArray
from glmmlib.variance.between import covariates


def along(
    fit: FittedModel, x: ArrayLike | Mapping[str, Any] | None
) -> tuple[str, FloatArray, Mapping[str, Any]]:
    """Return the name of the covariate that varies, its values (k,), and where to take variances (as `at`).

    ``x`` is an array of values, a dict in which one covariate holds several, or None for the range of the
    data.
    """
    names = covariates(fit)
    if not names:
        raise ModelError(
            f"{fit.formula!r} has no random slope, so its variances and its ICC are the same everywhere: "
            "see gl.icc(fit)"
        )
    if x is None and len(names) == 1:
        data = fit.design.data[names[0]]
        if not np.issubdtype(data.dtype, np.number):
            raise ModelError(f"{names[0]!r} is a factor: name the levels to compare with x=")
        x = np.linspace(data.min(), data.max(), 101)
    if x is None:
        raise ModelError(
            f"the variances depend on {', '.join(names)}: give values of one and a value of each other, as "
            "a dict x="
        )
    at: Any = dict(x) if isinstance(x, Mapping) else {names[0]: x} if len(names) == 1 else x
    varying = [name for name, values in at.items() if np.ndim(values) == 1] if isinstance(at, Mapping) else []
    if len(varying) != 1:
        raise ModelError(
            "x holds values of one covariate along which to draw, and one value of each other "
            f"({', '.join(names)})"
        )
    return varying[0], np.asarray(at[varying[0]]), at
