"""The picture of a simple effect shows what refits with x measured from elsewhere print."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError


@pytest.fixture(scope="module")
def soil():
    return gl.load("soil_pH")


@pytest.fixture
def axes():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def formula(x):
    return f"ph_change ~ {x} * fertiliser + (1 | site)"


def test_line_and_band_are_those_of_refits(soil, axes):
    zeros = np.array([0.0, 7.5, 15.0, 20.0])
    fit = gl.lmer(formula("temperature"), soil)
    gl.plots.simple_effect(fit, "fertiliser[T.B]", "temperature:fertiliser[T.B]", zeros, level=0.9, ax=axes)
    outline = axes.collections[0].get_paths()[0].vertices
    for zero, height in zip(zeros, axes.lines[0].get_ydata(), strict=True):
        refit = gl.lmer(formula("z"), soil.assign(z=soil.temperature - zero))
        band = outline[outline[:, 0] == zero, 1]
        assert height == pytest.approx(refit.params["fertiliser[T.B]"], abs=1e-6)
        ends = refit.conf_int(level=0.9).loc["fertiliser[T.B]"]
        np.testing.assert_allclose([band.min(), band.max()], ends, atol=1e-5)


def test_unknown_coefficient_is_refused_with_the_names_of_the_others(soil):
    fit = gl.lmer(formula("temperature"), soil)
    with pytest.raises(ModelError, match=r"no coefficient 'fertiliserB'; there are Intercept"):
        gl.plots.simple_effect(fit, "fertiliserB", "temperature:fertiliser[T.B]", [0, 1])


def test_level_must_be_a_probability(soil):
    fit = gl.lmer(formula("temperature"), soil)
    with pytest.raises(ModelError, match="probability between 0 and 1"):
        gl.plots.simple_effect(fit, "fertiliser[T.B]", "temperature:fertiliser[T.B]", [0, 1], level=95)
