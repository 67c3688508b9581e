"""Numbers, tables and fits are checked by one layer wherever they are given."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError

CALLS = [
    (gl.smooths, {}, "fit"),
    (gl.smooth_curve, {}, "fit"),
    (gl.plots.smooth, {}, "fit"),
    (gl.plots.power_map, {}, "table"),
    (gl.plots.fan, {"sd": (1.0, 0.5), "corr": 0.2, "intercept": 0.0}, "slope"),
    (gl.plots.fan, {"sd": (1.0, 0.5), "corr": 0.2, "slope": 0.0}, "intercept"),
    (gl.plots.binned_share, {"data": pd.DataFrame({"x": [1.0], "y": [1]}), "x": "x", "y": "y"}, "bins"),
]
NONSENSE = ["data", "1", np.nan, np.inf, [1, 2], {}, 1j, np.ones(3), object(), True, -(10**400)]


@pytest.mark.parametrize(("function", "valid", "argument"), CALLS)
@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: type(value).__name__)
def test_what_is_of_another_kind_is_refused_by_the_name_of_the_argument(function, valid, argument, value):
    with pytest.raises(ModelError, match=f"^{argument} is "):
        function(**valid, **{argument: value})
