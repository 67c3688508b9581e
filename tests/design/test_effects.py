"""What stands on the left of a structured term, and what does not: each refusal in its own words."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, ModelError

RNG = np.random.default_rng(1)
DATA = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "t": np.tile(np.arange(5.0), 6)})
DATA = DATA.assign(x=RNG.normal(size=30), one=2.0, f=np.tile(list("uvwuv"), 6), y=RNG.normal(size=30))
RELATED = pd.DataFrame(np.eye(6) + 0.1, list("abcdef"), list("abcdef"))
FEWER = RELATED.iloc[:5, :5]
TWICE = RELATED.set_axis(list("aacdef"))
LEANING = RELATED.assign(a=RELATED["a"] + 0.3)


@pytest.mark.parametrize(
    ("term", "error", "words"),
    [
        ("ar1(t | g)", ModelError, r"one effect for each time and no other: write 0 \+ before the times"),
        ("ar1(0 + t + x | g)", ModelError, "is one column of times"),
        ("ar1(0 + one | g)", DataError, "needs at least two times, and the data have one only"),
        ("exp(f | 1)", ModelError, "coordinates of places, which are numbers, not levels"),
        ("known(x | g, cov='A')", ModelError, "is not understood: write known"),
        ("known(1 | g)", ModelError, "is not understood: write known"),
        ("known(1 | g, cov='B')", ModelError, "wants the covariance 'B', which is not in known="),
    ],
)
def test_a_left_side_that_the_structure_cannot_have(term, error, words):
    with pytest.raises(error, match=words):
        gl.lmer(f"y ~ 1 + {term}", DATA, known={"A": RELATED})


@pytest.mark.parametrize(
    ("known", "error", "words"),
    [
        (RELATED, ModelError, "known is a dict of names to DataFrames"),
        ({"A": RELATED.to_numpy()}, ModelError, "a row and a column for each level, not a ndarray"),
        ({"A": TWICE}, ModelError, "different or repeated labels"),
        ({"A": RELATED.rename(columns={"a": "z"})}, ModelError, "different or repeated labels"),
        ({"A": LEANING}, ModelError, "is not symmetric, or holds missing values"),
        ({"A": RELATED * np.nan}, ModelError, "is not symmetric, or holds missing values"),
        ({"A": FEWER}, DataError, r"has no row for \"?'?f"),
        (None, ModelError, r"which is not in known= \(none is given\)"),
    ],
)
def test_a_known_covariance_that_is_none(known, error, words):
    with pytest.raises(error, match=words):
        gl.lmer("y ~ 1 + known(1 | g, cov='A')", DATA, known=known)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formula": "y ~ x", "residual": "ar1(t | g)"}, "not linear in its parameters"),
        ({"formula": "y ~ x + (1 | g)", "residual": "ar1(t | g)"}, "beside random effects"),
        ({"formula": "y ~ x + (1 | g)", "sigma": "~ f"}, "a residual SD that differs between rows"),
    ],
)
def test_kenward_and_roger_of_a_residual_side_they_were_not_worked_out_for(options, words):
    fit = gl.lmer(data=DATA, **options)
    with pytest.raises(ModelError, match=f"{words}.*use ddf='satterthwaite'"):
        gl.coef_tests(fit, ddf="kenward-roger")
