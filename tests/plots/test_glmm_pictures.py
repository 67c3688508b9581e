"""The pictures of generalised models draw the numbers of the data and of the fit."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import poisson

import glmmlib as gl
from glmmlib.errors import DataError, ModelError


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


@pytest.fixture(scope="module")
def frogs():
    return gl.load("frogs")


@pytest.fixture(scope="module")
def fit(frogs):
    return gl.glmer("presence ~ depth + (1 | region)", frogs, family="binomial")


def test_group_lines_on_the_scale_of_the_response_are_the_predictions(ax, fit):
    gl.plots.group_lines(fit, "depth", kind="response", highlight=["r12"], labels=True, ax=ax)
    grid = ax.lines[0].get_xdata()
    for level, line in zip([*fit.ranef()["region"].index, None], ax.lines, strict=True):
        rows = pd.DataFrame({"depth": grid, "region": level or "r01"})
        expected = fit.predict(rows, re_form=None if level else "~0")
        np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-12)
    assert {text.get_text() for text in ax.texts} == {"typical", "r12"}


def test_group_lines_of_a_linear_model_are_the_same_on_both_scales(ax):
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    for kind in ("link", "response"):
        gl.plots.group_lines(fit, "Days", kind=kind, ax=ax)
    link, response = ax.lines[:19], ax.lines[19:]
    for a, b in zip(link, response, strict=True):
        np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


def test_group_lines_refuses_an_unknown_scale(ax, fit):
    with pytest.raises(ModelError, match="'link' or 'response', not 'odds'"):
        gl.plots.group_lines(fit, "depth", kind="odds", ax=ax)


def test_binned_share_draws_the_share_of_ones_in_bins_of_equal_size(ax, frogs):
    gl.plots.binned_share(frogs, "depth", "tadpoles", bins=8, ax=ax)
    zeros, ones, points = (line.get_xydata() for line in ax.lines)
    assert len(zeros) + len(ones) == len(frogs) and len(ones) == frogs.tadpoles.sum()
    assert len(points) == 8
    of_bin = pd.cut(frogs.depth.rank(), np.linspace(0.5, 880.5, 9), right=False)
    np.testing.assert_allclose(points, frogs.groupby(of_bin, observed=True)[["depth", "tadpoles"]].mean())
    assert points[:, 1].max() > 0.6 and points[[0, -1], 1].max() < 0.25


def test_binned_share_keeps_ties_together_and_refuses_other_values(ax):
    data = pd.DataFrame({"x": [0, 0, 0, 1, 1, 1], "y": [0, 1, 0, 1, 1, 0]})
    gl.plots.binned_share(data, "x", "y", bins=5, ax=ax)
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), [[0, 1 / 3], [1, 2 / 3]])
    with pytest.raises(DataError, match="other than 0 and 1"):
        gl.plots.binned_share(data.assign(y=data.y + 1), "x", "y", ax=ax)
    with pytest.raises(DataError, match="missing values"):
        gl.plots.binned_share(data.assign(x=data.x.where(data.x == 0)), "x", "y", ax=ax)


def test_ingredients_carry_one_group_from_its_mode_to_its_probability(fit):
    axes = gl.plots.ingredients(fit, "depth", "r12", 1.0)
    mode = fit.ranef()["region"].loc["r12", "Intercept"]
    eta = fit.params["Intercept"] + fit.params["depth"] + mode
    dots = [ax.lines[-1].get_xydata()[0] for ax in axes[:3]]
    np.testing.assert_allclose(dots, [[mode, 0], [1.0, eta], [eta, expit(eta)]])
    np.testing.assert_allclose([bar.get_height() for bar in axes[3].patches], [expit(-eta), expit(eta)])
    curve = axes[2].lines[0].get_xydata()
    np.testing.assert_allclose(curve[:, 1], expit(curve[:, 0]))
    plt.close(axes[0].figure)


def test_ingredients_of_counts_are_poisson_probabilities():
    ticks = gl.load("grouseticks")
    fit = gl.glmer("TICKS ~ HEIGHT + (1 | LOCATION)", ticks, family="poisson")
    level = fit.ranef()["LOCATION"].index[0]
    axes = gl.plots.ingredients(fit, "HEIGHT", level, 450.0)
    mean = axes[2].lines[-1].get_ydata()[0]
    heights = [bar.get_height() for bar in axes[3].patches]
    np.testing.assert_allclose(heights, poisson.pmf(np.arange(len(heights)), mean))
    assert sum(heights) >= 0.999
    plt.close(axes[0].figure)


def test_ingredients_refuses_what_it_cannot_draw(fit, frogs):
    linear = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    slopes = gl.glmer("tadpoles ~ depth + (depth | region)", frogs, family="binomial", n_agq=9)
    with pytest.raises(ModelError, match="0/1 responses or counts"):
        gl.plots.ingredients(linear, "Days", "308", 1)
    with pytest.raises(ModelError, match="a random intercept alone"):
        gl.plots.ingredients(slopes, "depth", "r12", 1)
    with pytest.raises(ModelError, match="region has no level r99"):
        gl.plots.ingredients(fit, "depth", "r99", 1)
    figure, two = plt.subplots(1, 2)
    with pytest.raises(ModelError, match="four axes, not 2"):
        gl.plots.ingredients(fit, "depth", "r12", 1, ax=two)
    plt.close(figure)
