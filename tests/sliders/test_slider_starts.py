"""A slider starts at a number between its ends, or says in a sentence why it cannot."""

import inspect
import warnings
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from glmmlib import sliders
from glmmlib.errors import ModelError

NO_NUMBERS = [
    "1", "big", "", b"1", None, True, np.True_, np.nan, np.inf, -np.inf, 1j, [], [1, 2], (1, 2, 3), (1, "a"),
    {}, object(), np.ones(3), pd.NA, pd.Series([1.0]), 10**400,
]  # fmt: skip
NUMBERS = [0, -1, 0.5, 1, 2, 7, 2.5, 1e-300, 1e9, -1e9, 1e300, np.float32(0.5), np.int64(3)]
ARGUMENTS = [
    (name, argument)
    for name in sliders.__all__
    for argument in inspect.signature(getattr(sliders, name)).parameters
    if argument != "sd" or name != "moving_zero"
]


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_what_is_no_number_is_refused(name, argument):
    for value in NO_NUMBERS:
        with pytest.raises(ModelError, match=f"{argument} is a"):
            getattr(sliders, name)(**{argument: value})


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_a_number_is_shown_or_refused(name, argument):
    shown = 0
    for value in NUMBERS:
        with warnings.catch_warnings(), suppress(ModelError):
            warnings.simplefilter("error")
            shown += bool(getattr(sliders, name)(**{argument: value}).description)
    assert 0 < shown < len(NUMBERS)


@pytest.mark.parametrize("sd", [("a", 1.0), (np.nan, 1.0), (0.0, 1.0), (1.0, -1.0), (1e300, 1.0), [1.0]])
def test_a_pair_of_sds_that_is_none_is_refused(sd):
    with pytest.raises(ModelError):
        sliders.moving_zero(sd=sd)
