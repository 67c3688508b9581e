"""The line of the check that tells how far the integral over the random effects is off."""

import warnings
from copy import copy

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.diagnostics.fit_lines import integral_line
from glmmlib.diagnostics.integral import sampled_shift
from glmmlib.errors import QuadratureWarning
from glmmlib.likelihood.quadrature import Quadrature
from glmmlib.models.fit_warnings import quadrature_shift


def pupils(n_schools, size, sd, rows=4):
    """Zeros and ones of pupils in classes in schools, seen by eight raters."""
    rng = np.random.default_rng(2)
    n = n_schools * size * rows
    d = pd.DataFrame({"class_": np.arange(n) // rows, "school": np.arange(n) // (rows * size)})
    d["rater"] = rng.permutation(np.arange(n) % 8)
    d["x"] = rng.normal(size=n)
    eta = 0.3 + d["x"] + sd * rng.normal(size=n // rows)[d["class_"]]
    eta = eta + 0.7 * rng.normal(size=n_schools)[d["school"]] + 0.7 * rng.normal(size=8)[d["rater"]]
    d["y"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    d["count"] = rng.poisson(20.0 * np.exp(0.3 * eta))
    return d


def silent(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gl.glmer(*args, **kwargs)


def line(fit):
    return integral_line(fit, np.random.default_rng(1))


@pytest.fixture(scope="module")
def nested():
    return silent("y ~ x + (1 | school / class_)", pupils(12, 4, 1.0), "binomial")


def test_draws_say_what_quadrature_says(nested):
    found = sampled_shift(nested, np.random.default_rng(1))
    fine = copy(nested.solution.problem)
    fine.quadrature = Quadrature(25)
    gained = -0.5 * (fine.evaluate(nested.solution.parameters)[0] - nested.deviance)
    assert found.log_likelihood_error < 0.1 < gained
    assert found.log_likelihood == pytest.approx(gained, abs=4.0 * found.log_likelihood_error)
    assert found.size == pytest.approx(quadrature_shift(nested, 15).size, abs=4.0 * found.error)


def test_nested_factors_bring_the_warning_and_its_cure():
    data = pupils(20, 6, 3.0, rows=2)
    with pytest.warns(QuadratureWarning, match="spread between the levels of school:class_ by about"):
        rough = gl.glmer("y ~ x + (1 | school / class_)", data, "binomial")
    assert line(rough).verdict == "look"
    fine = rough.update(n_agq=11)
    assert line(fine).verdict == "fine"
    step = float(fine.varcorr["school:class_"].sd.iloc[0] - rough.varcorr["school:class_"].sd.iloc[0])
    assert step > 0.05


def test_crossed_factors_have_a_line(nested):
    rough = silent("y ~ x + (1 | class_) + (1 | rater)", pupils(12, 4, 2.0), "binomial")
    assert line(rough).verdict in ("look", "problem")
    assert "Laplace's approximation is rough here" in line(rough).sentence
    fine = silent("count ~ x + (1 | school) + (1 | rater)", pupils(12, 4, 1.0), "poisson")
    assert line(fine).verdict == "fine"
    assert line(fine).sentence.startswith("draws around the mode do not say")


def test_draws_that_cannot_tell_say_so():
    many = silent("y ~ x + (1 | class_) + (1 | rater)", pupils(20, 12, 3.0, rows=2), "binomial")
    assert line(many).verdict == "look"
    assert "cannot be told" in line(many).sentence
