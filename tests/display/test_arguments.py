"""Options are checked, not swallowed."""

import numpy as np
import pytest

import glmmlib as gl
from glmmlib.display.arguments import checked_level
from glmmlib.errors import ModelError


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, "0.95", None, np.nan, [0.95], 1j, True])
def test_levels(level):
    with pytest.raises(ModelError, match="level is a probability between 0 and 1"):
        checked_level(level)


@pytest.fixture(scope="module")
def fit():
    return gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))


SWALLOWED = {
    "level is a probability": lambda fit: gl.tidy(fit, level=7),
    "belong to the tests of one fit": lambda fit: gl.anova(fit, fit, type=99, ddf="nope"),
    "at least one observation": lambda fit: gl.design_effect(0.1, np.nan),
    "lies between -1 and 1": lambda fit: gl.design_effect(np.nan, 5),
    "ask for interval='prediction'": lambda fit: fit.predict(fit.design.data.head(), weights=[1] * 5),
    "no number either": lambda fit: gl.icc(fit, at="nonsense"),
}


@pytest.mark.parametrize("words", SWALLOWED)
def test_no_option_is_swallowed(fit, words):
    with pytest.raises(ModelError, match=words):
        SWALLOWED[words](fit)
