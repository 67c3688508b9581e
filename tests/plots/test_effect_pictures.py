"""The pictures of random effects draw the numbers of the fit."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


@pytest.fixture(scope="module")
def slopes():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_caterpillar_draws_modes_in_order_and_their_intervals(ax, slopes):
    gl.plots.caterpillar(slopes, effect="Days", level=0.9, ax=ax)
    modes = slopes.ranef(cond_sd=True)["Subject"]
    x, _ = ax.lines[-1].get_data()
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(x, modes.loc[names(ax), "Days"])
    ends = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(
        np.ptp(ends, axis=1), 2 * 1.644854 * modes.loc[names(ax), "sd Days"], rtol=1e-6
    )


def test_caterpillar_of_a_generalised_model(ax):
    fit = gl.glmer("presence ~ 1 + (1 | region)", gl.load("frogs"), family="binomial")
    gl.plots.caterpillar(fit, ax=ax)
    np.testing.assert_allclose(ax.lines[-1].get_xdata(), np.sort(fit.ranef()["region"]["Intercept"]))


def test_shrinkage_arrows_start_at_the_raw_effect_and_point_at_the_mode(ax):
    fit = gl.lmer("score ~ 1 + (1 | classroom)", gl.load("exam"))
    gl.plots.shrinkage_arrows(fit, ax=ax)
    table = gl.shrinkage(fit).table.sort_values("n", kind="stable")
    assert names(ax) == [f"{level} ({n})" for level, n in table["n"].items()]
    shafts = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(shafts, table[["raw", "shrunken"]])
    heads = {line.get_marker(): line.get_data() for line in ax.lines[2:]}
    for marker, towards in ((">", table["raw"] < 0), ("<", table["raw"] > 0)):
        np.testing.assert_allclose(heads[marker][0], table["shrunken"][towards])
        np.testing.assert_array_equal(heads[marker][1], np.flatnonzero(towards))


def test_shrinkage_arrows_of_slopes(ax, slopes):
    gl.plots.shrinkage_arrows(slopes, effect="Days", ax=ax)
    shafts = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(shafts, gl.shrinkage(slopes).table[["raw Days", "shrunken Days"]])


@pytest.mark.parametrize("picture", ["caterpillar", "shrinkage_arrows"])
def test_what_is_left_open_is_asked_for(ax, slopes, picture):
    draw = getattr(gl.plots, picture)
    with pytest.raises(
        ModelError, match="several random effects of Subject: choose one with effect=, of Intercept, Days"
    ):
        draw(slopes, ax=ax)
    with pytest.raises(ModelError, match="'Night' is not among the random effects of Subject"):
        draw(slopes, effect="Night", ax=ax)
    crossed = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    with pytest.raises(
        ModelError, match="several grouping factors: choose one with group=, of plate, sample"
    ):
        draw(crossed, ax=ax)
    draw(crossed, group="plate", ax=ax)
    assert len(names(ax)) == 24
