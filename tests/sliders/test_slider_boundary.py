"""The slider of the boundary test draws the exact null distribution, and that is the one which gl.exact_rlrt
simulates.
"""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from test_sliders import svg

import glmmlib as gl
from glmmlib.palette import MODEL
from glmmlib.sliders import _boundary_test as boundary


def equal_groups(groups, size, rng):
    data = pd.DataFrame({"group": np.repeat(np.arange(groups), size)})
    return data.assign(y=rng.normal(size=len(data)) + data.group % 3)


@pytest.mark.parametrize(("groups", "size"), [(3, 4), (12, 7), (40, 2)])
def test_statistic_is_the_fall_of_the_reml_criterion(groups, size):
    data = equal_groups(groups, size, np.random.default_rng(1))
    fit = gl.lmer("y ~ 1 + (1 | group)", data)
    by_group = data.groupby("group").y
    between = size * ((by_group.mean() - data.y.mean()) ** 2).sum()
    within = (by_group.var() * (size - 1)).sum()
    expected = fit.objective([0.0]) - fit.deviance
    assert expected > 1
    assert boundary.statistic(between / (between + within), groups, size) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("groups", "size"), [(4, 3), (20, 5)])
def test_survival_is_that_of_the_draws_of_exact_rlrt(groups, size):
    """100,000 draws: the standard error of a rate is at most 0.0016."""
    fit = gl.lmer("y ~ 1 + (1 | group)", equal_groups(groups, size, np.random.default_rng(2)))
    draws = gl.exact_rlrt(fit, 100_000, rng=np.random.default_rng(3)).draws
    for c in (0.0, 1.0, *boundary.CUT.values()):
        p = float(boundary.survival(c, groups, size))
        assert np.mean(draws > c) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / len(draws)))


def test_survival_is_that_of_studies_without_variance_refitted():
    """10,000 studies of 6 groups of 4: the standard error of a rate is at most 0.005."""
    rng = np.random.default_rng(4)
    Y = rng.normal(size=(24, 10_000))
    fit = gl.lmer("y ~ 1 + (1 | group)", equal_groups(6, 4, rng))
    alone = 23 * np.log(2 * np.pi * Y.var(axis=0, ddof=1)) + 23 + np.log(24)
    fall = alone - fit.refit_many(Y).deviance
    for c in (0.001, 1.0, 2.7):
        assert np.mean(fall > c) == pytest.approx(float(boundary.survival(c, 6, 4)), abs=0.02)


@pytest.mark.parametrize(("groups", "size"), [(3, 2), (3, 20), (7, 5), (60, 2), (60, 20)])
def test_chart_writes_its_three_lines_and_draws_the_exact_curve(groups, size):
    drawing = svg(boundary.chart(), groups=groups, size=size)
    for line in boundary.lines(groups, size):
        assert f">{line}<" in drawing
    (path,) = re.findall(r'd="(M[^"]+)"[^>]*stroke="' + MODEL, drawing)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", path) if p])
    points = points[(points[:, 0] > 20) & (points[:, 0] < 240)]
    c, p = points[:, 0] / 400 * boundary.LARGEST, boundary.LOWEST ** (points[:, 1] / 280)
    assert len(points) > 30
    np.testing.assert_allclose(p, boundary.survival(c, groups, size), rtol=2e-3)


def test_the_two_cuts_are_the_five_per_cent_points_of_chi_square_and_mixture():
    naive, mixture = boundary.CUT["naive"], boundary.CUT["mixture"]
    assert 2 * norm.sf(np.sqrt(naive)) == pytest.approx(0.05)
    assert norm.sf(np.sqrt(mixture)) == pytest.approx(0.05)
