"""A slider chart's numbers are glmmlib's: Vega evaluates the chart's formula, Python its own."""

import copy
import re
import sys
from functools import cache
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import vl_convert

import glmmlib as gl
from glmmlib import sliders
from glmmlib.families.links import Logit
from glmmlib.palette import DATA, GROUPS, MODEL, POOLED, TRUTH
from glmmlib.sliders import _aic_and_p as aic
from glmmlib.sliders import _effective_size as effective
from glmmlib.sliders import _icc_curve as likeness
from glmmlib.sliders import _log_odds as odds
from glmmlib.sliders import _ml_and_reml as criteria
from glmmlib.sliders import _moving_zero as moving
from glmmlib.sliders import _overdispersion as scatter
from glmmlib.sliders import _parallel_lines as parallel
from glmmlib.sliders import _shrinkage_factor as shrunken
from glmmlib.sliders import _slope_blend as blend
from glmmlib.sliders import _spread_of_means as spread
from glmmlib.sliders import _study_precision as precision
from glmmlib.sliders import _type_one_rate as type_one
from glmmlib.theory import ml_and_reml as formulas


def module(name):
    return import_module(f"glmmlib.sliders._{name}")


@cache
def chart(name):
    return getattr(sliders, name)()


def svg(chart, **values):
    """The chart drawn by Vega with its sliders at `values`."""
    spec = copy.deepcopy(chart.spec)
    spec["width"] = 400
    for param in spec["params"]:
        param["value"] = values.get(param["name"], param["value"])
    return vl_convert.vegalite_to_svg(spec, vl_version="5.20")


def positions(chart, rng):
    """The starting position of the sliders, their ends, and a few places in between."""
    ranges = {
        p["name"]: (p["bind"]["min"], p["bind"]["max"], p["bind"]["step"]) for p in chart.spec["params"]
    }
    yield {p["name"]: p["value"] for p in chart.spec["params"]}
    yield {name: low for name, (low, high, step) in ranges.items()}
    yield {name: high for name, (low, high, step) in ranges.items()}
    for _ in range(3):
        yield {
            name: round(float(rng.integers(0, round((high - low) / step)) * step + low), 6)
            for name, (low, high, step) in ranges.items()
        }


@pytest.mark.parametrize("name", sliders.__all__)
def test_chart_displays_the_numbers_of_the_python_function(name):
    for values in positions(chart(name), np.random.default_rng(7)):
        assert f">{module(name).shown(**values)}<" in svg(chart(name), **values), values


@pytest.mark.parametrize("name", sliders.__all__)
def test_chart_is_vegalite_5_with_a_text_alternative_and_the_same_every_time(name):
    first, second = chart(name), getattr(sliders, name)()
    bundle = first._repr_mimebundle_()
    assert bundle == second._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/plain"}
    assert "/vega-lite/v5" in first.spec["$schema"]
    assert len(bundle["text/plain"]) > 100
    assert all(param["bind"]["name"].strip() for param in first.spec["params"]), "a slider without a label"


@pytest.mark.parametrize("name", sliders.__all__)
def test_chart_uses_no_colour_outside_the_palette(name):
    used = set(re.findall(r"#[0-9a-fA-F]{6}", str(chart(name).spec)))
    assert used <= {DATA, POOLED, MODEL, TRUTH, *GROUPS}


def test_unknown_chart_is_refused_with_the_names_of_the_charts():
    with pytest.raises(AttributeError, match="no chart 'typo'; there are .*type_one_rate"):
        _ = sliders.typo


def test_type_one_curve_is_the_python_function():
    drawing = svg(type_one.chart(), icc=0.2, size=10, groups=12)
    line = max(re.findall(r'd="(M[^"]+)"', drawing), key=len)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
    share, rate = points[:, 0] / 400, 1 - points[:, 1] / 280
    assert len(points) == 101
    np.testing.assert_allclose(rate, type_one.type_one_rate(share, 0.2, 10, 12), atol=1e-5)


@pytest.mark.parametrize(("between", "icc"), [(0.0, 0.4), (0.5, 0.2), (1.0, 0.3)])
def test_type_one_rate_agrees_with_simulation(between, icc):
    """4,000 data sets of 12 groups of 10: the standard error of a rate is at most 0.008."""
    n, groups, replicates = 10, 12, 4000
    rng = np.random.default_rng(11)
    means, within = rng.normal(size=groups), rng.normal(size=(groups, n))
    means -= means.mean()
    within -= within.mean(axis=1, keepdims=True)
    x = (
        np.sqrt(between / (n * means @ means)) * means[:, None]
        + np.sqrt((1 - between) / (within**2).sum()) * within
    )
    y = np.sqrt(icc) * rng.normal(size=(replicates, groups, 1))
    y = y + np.sqrt(1 - icc) * rng.normal(size=(replicates, groups, n))
    x, y = x.ravel(), y.reshape(replicates, -1)
    y -= y.mean(axis=1, keepdims=True)
    slope = y @ x
    variance = ((y - slope[:, None] * x) ** 2).sum(axis=1) / (n * groups - 2)
    rate = np.mean(np.abs(slope) > 1.959964 * np.sqrt(variance))
    assert rate == pytest.approx(float(type_one.type_one_rate(between, icc, n, groups)), abs=0.025)


def test_spread_of_means_curves_are_the_python_function():
    drawing = svg(spread.chart(), groups=4, residual=10, size=7)
    lines = sorted(re.findall(r'd="(M[^"]+)"', drawing), key=len)[-2:]
    curves = [
        np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p]) for line in lines
    ]
    assert [len(curve) for curve in curves] == [77, 77]
    raw, pooled = sorted((18 * (1 - curve[:, 1] / 280) for curve in curves), key=np.mean, reverse=True)
    expected = spread.spread_of_means(4, 10, curves[0][:, 0] / 400 * 40)
    np.testing.assert_allclose([raw, pooled], expected, atol=1e-4)


def test_spread_of_means_names_all_three_sds():
    drawing = svg(spread.chart(), groups=4, residual=10, size=7)
    raw, pooled = spread.spread_of_means(4, 10, 7)
    for line in (f"raw means {raw:.1f}", "the classes 4.0", f"partially pooled {pooled:.1f}"):
        assert f">{line}<" in drawing


def test_spread_of_means_agrees_with_simulation():
    """20,000 groups of 5: the relative standard error of an SD is 0.005."""
    rng = np.random.default_rng(12)
    groups = rng.normal(0, 6, 20_000)
    means = groups + rng.normal(0, 9, (5, 20_000)).mean(axis=0)
    share = 36 / (36 + 81 / 5)
    expected = spread.spread_of_means(6, 9, 5)
    np.testing.assert_allclose([means.std(), (share * means).std()], expected, rtol=0.02)


def test_slope_blend_curve_is_the_python_function():
    drawing = svg(blend.chart(), share=0.6, icc=0.2, steep=0.25)
    line = max(re.findall(r'd="(M[^"]+)"', drawing), key=len)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
    size, slope = 2 + points[:, 0] / 400 * 58, 0.3 - points[:, 1] / 280 * 0.33
    assert len(points) == 117
    np.testing.assert_allclose(slope, blend.slope_blend(0.6, 0.2, size, 0.25)[1], atol=1e-5)


def test_slope_blend_is_least_squares_and_generalised_least_squares():
    """On noise-free data the formulas hold exactly, so this is algebra, not simulation."""
    n, groups, icc = 5, 8, 0.35
    rng = np.random.default_rng(13)
    means = np.repeat(rng.normal(size=groups), n)
    within = rng.normal(size=(groups, n))
    means, within = means - means.mean(), (within - within.mean(axis=1, keepdims=True)).ravel()
    x, y = means + within, 0.2 * within + 0.9 * means
    between = means @ means / (x @ x)
    block = icc * np.ones((n, n)) + (1 - icc) * np.eye(n)
    weight = np.linalg.inv(np.kron(np.eye(groups), block))
    expected = (x @ y / (x @ x), x @ weight @ y / (x @ weight @ x))
    np.testing.assert_allclose(blend.slope_blend(between, icc, n, 0.9, 0.2), expected, rtol=1e-12)


def test_style_file_and_palette_name_the_same_colours():
    with plt.style.context("glmmlib.course"):
        cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert [f"#{c.lstrip('#')}" for c in cycle] == list(GROUPS)


def test_parallel_lines_draws_the_lines_and_points_of_the_python_function():
    drawing = svg(parallel.chart(), groups=0.4, residual=0.2)
    points = re.findall(r'roledescription="circle" transform="translate\(([\d.]+),([\d.]+)\)"', drawing)
    lines = re.findall(r'roledescription="line mark" d="M0,([\d.]+)L400,([\d.]+)"', drawing)
    y, ends, _ = parallel.parallel_lines(0.4, 0.2)
    ends = np.vstack([ends, [0.3, 0.9]])  # the typical site

    def height(pixels):
        return np.sort(2.9 - np.array(pixels, dtype=float) * 4.6 / 280)

    np.testing.assert_allclose(height([v for _, v in points]), np.sort(y.ravel()), atol=1e-3)
    np.testing.assert_allclose(height([a for a, _ in lines]), np.sort(ends[:, 0]), atol=1e-3)
    np.testing.assert_allclose(height([b for _, b in lines]), np.sort(ends[:, 1]), atol=1e-3)


def test_correlation_of_parallel_lines_is_that_of_simulated_members():
    """20,000 sites of two plots: the standard error of the correlation is at most 0.007."""
    rng = np.random.default_rng(12)
    for sd_group, sd_residual in [(0.21, 0.36), (0.5, 0.2), (0.0, 0.3)]:
        pairs = sd_group * rng.normal(size=(20_000, 1)) + sd_residual * rng.normal(size=(20_000, 2))
        correlation = parallel.parallel_lines(sd_group, sd_residual)[2]
        assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(correlation, abs=0.022)


def test_effective_size_curve_is_the_python_function():
    drawing = svg(effective.chart(), groups=4, residual=11, size=7)
    line = max(re.findall(r'd="(M[^"]+)"', drawing), key=len)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
    size, worth = points[:, 0] / 400 * 40, 26 * (1 - points[:, 1] / 280)
    assert len(points) == 79
    np.testing.assert_allclose(worth, effective.effective_size(4, 11, size)[2], atol=1e-4)


@pytest.mark.parametrize("positions", [(6.2, 8.8, 18), (0.0, 2.0, 40), (12.0, 2.0, 2), (1.5, 16.0, 33)])
def test_effective_size_writes_its_three_lines(positions):
    drawing = svg(effective.chart(), **dict(zip(["groups", "residual", "size"], positions, strict=True)))
    for line in effective.lines(*positions):
        assert f">{line}<" in drawing


def test_effective_size_is_the_icc_and_design_effect_of_a_fit():
    exam = gl.load("exam")
    fit = gl.lmer("score ~ 1 + (1 | classroom)", exam)
    icc, effect, worth = effective.effective_size(fit.varcorr["classroom"].sd["Intercept"], fit.sigma, 18)
    assert icc == pytest.approx(float(gl.icc(fit)), rel=1e-12)
    assert effect == pytest.approx(gl.design_effect(gl.icc(fit), 18), rel=1e-12)
    assert worth == pytest.approx(18 / gl.design_effect(gl.icc(fit), 18), rel=1e-12)


def test_effective_size_is_what_the_mean_of_a_mixed_model_is_worth():
    """In equal groups the squared standard error of the mean is total variance over effective number."""
    rng = np.random.default_rng(14)
    rows = pd.DataFrame({"group": np.repeat(np.arange(12), 7).astype(str)})
    y = gl.simulate("~ 1 + (1 | group)", rows, fixef={"Intercept": 1}, sd={"group": 0.8}, sigma=1.1, rng=rng)
    fit = gl.lmer("y ~ 1 + (1 | group)", rows.assign(y=np.ravel(y)))
    sd = fit.varcorr["group"].sd["Intercept"]
    worth = effective.effective_size(sd, fit.sigma, 7)[2]
    assert fit.bse["Intercept"] ** 2 == pytest.approx((sd**2 + fit.sigma**2) / (12 * worth), rel=1e-6)


def test_effective_size_agrees_with_simulation():
    """20,000 groups of 10: the relative standard error of a variance is 0.01."""
    rng = np.random.default_rng(15)
    means = rng.normal(0, 3, 20_000) + rng.normal(0, 5, (10, 20_000)).mean(axis=0)
    _, effect, worth = effective.effective_size(3, 5, 10)
    assert means.var() / (34 / 10) == pytest.approx(effect, rel=0.04)
    assert 34 / means.var() == pytest.approx(worth, rel=0.04)


def test_shrinkage_factor_curve_is_the_python_function():
    drawing = svg(shrunken.chart(), groups=4, residual=11, size=7)
    line = max(re.findall(r'd="(M[^"]+)"', drawing), key=len)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
    assert len(points) == 81
    kept = shrunken.shrinkage_factor(4, 11, points[:, 0] / 400 * 40)
    np.testing.assert_allclose(1 - points[:, 1] / 280, kept, atol=1e-5)


@pytest.mark.parametrize("positions", [(6.2, 8.8, 3), (0.0, 2.0, 40), (12.0, 2.0, 1), (0.1, 16.0, 33)])
def test_shrinkage_factor_writes_its_two_lines(positions):
    drawing = svg(shrunken.chart(), **dict(zip(["groups", "residual", "size"], positions, strict=True)))
    for line in shrunken.lines(*positions):
        assert f">{line}<" in drawing


@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("score ~ 1 + (1 | classroom)", "exam"),
        ("score ~ teaching + hours + (1 | classroom)", "exam"),
        ("diameter ~ 1 + (1 | plate)", "Penicillin"),
    ],
)
def test_shrinkage_factor_is_that_of_a_fit(formula, data):
    fit = gl.lmer(formula, gl.load(data))
    found, (group,) = gl.shrinkage(fit), fit.ranef()
    factor = shrunken.shrinkage_factor(fit.varcorr[group].sd["Intercept"], fit.sigma, found["n"])
    np.testing.assert_allclose(factor, found["factor"], rtol=1e-9)


def test_shrinkage_factor_has_the_smallest_error_of_all_factors():
    """200,000 groups of 4: keeping more, or less, than the factor says errs more."""
    rng = np.random.default_rng(16)
    groups = rng.normal(0, 5, 200_000)
    means = groups + rng.normal(0, 9 / np.sqrt(4), 200_000)
    best = shrunken.shrinkage_factor(5, 9, 4)
    error = [np.mean((kept * means - groups) ** 2) for kept in (best - 0.05, best, best + 0.05)]
    assert error[1] < error[0] and error[1] < error[2]
    assert error[1] == pytest.approx(25 * (1 - best), rel=0.02)


def equal_groups(ratio, groups, size, rng):
    """A response whose mean squares are exactly 1 + size ratio**2 between groups and 1 within."""
    means, within = rng.normal(size=groups), rng.normal(size=(groups, size))
    means -= means.mean()
    within -= within.mean(axis=1, keepdims=True)
    means *= np.sqrt((groups - 1) * (1 + size * ratio**2) / (size * means @ means))
    within *= np.sqrt(groups * (size - 1) / (within**2).sum())
    return pd.DataFrame(
        {"group": np.repeat(np.arange(groups), size).astype(str), "y": (means[:, None] + within).ravel()}
    )


@pytest.mark.parametrize(("ratio", "groups", "size"), [(1.0, 6, 5), (0.3, 24, 2), (1.7, 3, 12)])
def test_ml_and_reml_is_the_objective_of_a_fit_and_its_maxima_are_the_estimates(ratio, groups, size):
    data = equal_groups(ratio, groups, size, np.random.default_rng(17))
    theta, ss = np.linspace(0, 3, 13), ((groups - 1) * (1 + size * ratio**2), groups * (size - 1))
    best, found = formulas.maxima(ratio, groups, size), formulas.curves(theta, ratio, groups, size)
    for reml in (False, True):
        fit = gl.lmer("y ~ 1 + (1 | group)", data, reml=reml)
        expected = np.array([fit.objective([t]) for t in theta])
        np.testing.assert_allclose(formulas.criterion(theta, *ss, groups, size, reml), expected, rtol=1e-10)
        np.testing.assert_allclose(found[reml], np.exp((fit.deviance - expected) / 2), rtol=1e-7)
        assert fit.theta.iloc[0] == pytest.approx(best[reml], abs=1e-5)


def test_ml_and_reml_draws_the_curves_of_the_python_function():
    drawing = svg(criteria.chart(), groups=9, size=4, ratio=0.7)
    lines = sorted(re.findall(r'd="(M[^"]+)"', drawing), key=len)[-2:]
    points = [
        np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p]) for line in lines
    ]
    assert [len(curve) for curve in points] == [151, 151]
    ml, reml = sorted(points, key=lambda curve: curve[:, 1].argmin())
    expected = formulas.curves(ml[:, 0] / 400 * 3, 0.7, 9, 4)
    np.testing.assert_allclose([1.3 * (1 - curve[:, 1] / 280) for curve in (ml, reml)], expected, atol=1e-4)


@pytest.mark.parametrize("positions", [(6, 5, 1.0), (3, 2, 0.0), (60, 20, 2.0), (3, 2, 0.45)])
def test_ml_and_reml_writes_its_three_lines(positions):
    drawing = svg(criteria.chart(), **dict(zip(["groups", "size", "ratio"], positions, strict=True)))
    for line in criteria.lines(*positions):
        assert f">{line}<" in drawing


def test_moving_zero_is_what_refits_with_a_shifted_x_say():
    soil = gl.load("soil_pH")
    fits = {
        zero: gl.lmer("ph_change ~ x + (x | site)", soil.assign(x=soil.temperature - zero))
        for zero in (0, 8, 13, 15, 22)
    }
    at = fits[15].varcorr["site"]
    for zero, fit in fits.items():
        there = fit.varcorr["site"]
        expected = moving.moving_zero(zero - 15, tuple(at.sd), at.corr.iloc[0, 1], fits[15].sigma)
        icc = gl.icc(fit, at={"x": 0}).value
        np.testing.assert_allclose(expected, (there.sd.iloc[0], there.corr.iloc[0, 1], icc), atol=2e-5)
        assert fit.deviance == pytest.approx(fits[15].deviance, abs=1e-6)
        np.testing.assert_allclose(fit.fittedvalues, fits[15].fittedvalues, atol=1e-5)


def test_moving_zero_writes_both_lines_and_its_dots_have_the_sd_that_it_writes():
    for zero in (0, 13, 25):
        drawing = svg(moving.chart(), zero=zero)
        for line in moving.lines(zero):
            assert f">{line}<" in drawing
        marks = re.findall(r'transform="translate\(([\d.]+),([\d.-]+)\)"[^>]*fill="' + TRUTH, drawing)
        height = np.array([float(y) for _, y in marks])
        assert len(height) == moving.SITES
        sd = height.std() / 280 * 6.2
        assert sd == pytest.approx(moving.moving_zero(zero - 15, (0.226, 0.0613), 0.542, 0.323)[0], abs=1e-3)


@pytest.mark.parametrize(("mean", "phi"), [(3.0, 5.3), (13.0, 0.4), (0.5, 30.0)])
def test_overdispersion_is_scipys_negative_binomial_and_poisson(mean, phi):
    y = np.arange(60)
    variance, negbinomial, poisson = scatter.overdispersion(mean, phi, y)
    theirs = scipy.stats.nbinom(phi, phi / (phi + mean))
    np.testing.assert_allclose(negbinomial, theirs.pmf(y), rtol=1e-9)
    np.testing.assert_allclose(poisson, scipy.stats.poisson(mean).pmf(y), rtol=1e-9)
    assert variance == pytest.approx(theirs.var(), rel=1e-12)


def test_overdispersion_is_glmmlibs_negative_binomial():
    """40,000 draws of `gl.simulate`: the standard error of the share of zeros is 0.0015, of the variance's
    ratio about 0.012.
    """
    data = pd.DataFrame({"site": np.arange(40).astype(str)})
    drawn = gl.simulate(
        "~ 1 + (1 | site)",
        data,
        fixef={"Intercept": np.log(3)},
        sd={"site": 0.0},
        family="negbinomial",
        dispersion=5.3,
        n=1000,
        rng=np.random.default_rng(1),
    )
    variance, zero, _ = scatter.overdispersion(3, 5.3)
    assert (drawn == 0).mean() == pytest.approx(zero, abs=0.006)
    assert drawn.var() / variance == pytest.approx(1, abs=0.04)


def test_overdispersion_draws_the_bars_of_the_python_function():
    drawing = svg(scatter.chart(), mean=4, phi=2)
    bars = re.findall(r'roledescription="bar" d="M[-\d.]+,[-\d.]+h[\d.]+v([\d.]+)h', drawing)
    heights = np.array(bars, dtype=float)
    assert len(heights) == 26
    expected = scatter.overdispersion(4, 2, np.arange(26))[1]
    np.testing.assert_allclose(heights / heights[0], expected / expected[0], atol=1e-3)


@pytest.mark.parametrize("positions", [(3.0, 5.3), (15.0, 1.0), (5.0, 5.0), (0.5, 30.0)])
def test_overdispersion_writes_both_lines(positions):
    drawing = svg(scatter.chart(), **dict(zip(("mean", "phi"), positions, strict=True)))
    for line in scatter.lines(*positions):
        assert f">{line}<" in drawing, line


def balanced_slopes(groups, size):
    """Rows with x of mean 0 and SD 1 in each group."""
    x = np.linspace(-1, 1, size)
    return pd.DataFrame({"g": np.repeat(np.arange(groups), size), "x": np.tile(x / x.std(), groups)})


@pytest.mark.parametrize(
    "positions", [(20, 6, 0.7, 0.3), (3, 3, 0.0, 0.1), (60, 40, 2.0, 1.0), (35, 11, 0.35, 0.8)]
)
def test_study_precision_writes_its_four_lines(positions):
    drawing = svg(
        precision.chart(), **dict(zip(["groups", "size", "level", "slope"], positions, strict=True))
    )
    for line in precision.lines(*positions):
        assert f">{line}<" in drawing


def test_study_precision_has_the_standard_errors_of_a_fit():
    rows = balanced_slopes(15, 8)
    Y = gl.simulate(
        "~ x + (x || g)", rows, fixef=[1, 1], sd={"g": [0.9, 0.7]}, sigma=1.4, rng=np.random.default_rng(2)
    )
    fit = gl.lmer("y ~ x + (x || g)", rows.assign(y=np.ravel(Y)))
    level, slope = fit.varcorr["g"].sd / fit.sigma
    mean, mean_slope, _ = precision.study_precision(15, 8, level, slope)
    np.testing.assert_allclose(fit.bse / fit.sigma, [mean, mean_slope], rtol=1e-6)


def test_study_precision_is_the_spread_of_what_refits_estimate():
    """4,000 studies: the relative Monte Carlo error of an SD is 0.011; the delta method adds a little."""
    rows = balanced_slopes(60, 10)
    Y = gl.simulate(
        "~ x + (x | g)",
        rows,
        fixef=[0, 0],
        sd={"g": [0.7, 0.5]},
        sigma=1,
        n=4000,
        rng=np.random.default_rng(3),
    )
    refits = gl.lmer("y ~ x + (x | g)", rows.assign(y=Y[:, 0])).refit_many(Y)
    found = [*refits.params.std(), refits.sd["g.x"].std()]
    np.testing.assert_allclose(found, precision.study_precision(60, 10, 0.7, 0.5), rtol=0.045)


def test_log_odds_curve_is_the_inverse_logit_of_glmmlib():
    line = max(re.findall(r'd="(M[^"]+)"', svg(odds.chart())), key=len)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
    eta, p = -6 + points[:, 0] / 400 * 12, 1.4 * (1 - points[:, 1] / 280)
    assert len(points) == 121
    np.testing.assert_allclose(p, Logit().inverse(eta), atol=1e-5)
    np.testing.assert_allclose(odds.log_odds(eta, 0)[0], Logit().inverse(eta), rtol=1e-14)


@pytest.mark.parametrize("positions", [(-0.5, 1.0), (-4.0, -2.0), (4.0, 2.0), (0.3, 0.0), (-2.9, 1.3)])
def test_log_odds_writes_its_three_lines(positions):
    drawing = svg(odds.chart(), **dict(zip(["start", "change"], positions, strict=True)))
    for line in odds.lines(*positions):
        assert f">{line}<" in drawing


def test_log_odds_are_those_of_predictions_of_a_fit():
    fit = gl.glmer("presence ~ depth + (1 | region)", gl.load("frogs"), family="binomial")
    rows = {"depth": [0.8, 1.8], "region": ["r12", "r12"]}
    start, change = fit.predict(rows, kind="link").iloc[0], fit.params["depth"]
    before, after, ratio, risk = odds.log_odds(start, change)
    np.testing.assert_allclose([before, after], fit.predict(rows), rtol=1e-12)
    assert ratio == pytest.approx(fit.exp_table().loc["depth", "odds ratio"], rel=1e-12)
    assert ratio == pytest.approx(after / (1 - after) * (1 - before) / before, rel=1e-9)
    assert risk == pytest.approx(after / before, rel=1e-12)


def test_a_step_in_log_odds_never_moves_the_probability_by_more_than_a_quarter():
    rng = np.random.default_rng(18)
    start, change = rng.uniform(-4, 4, 1000), rng.uniform(-2, 2, 1000)
    before, after, *_ = odds.log_odds(start, change)
    assert (abs(after - before) <= abs(change) / 4).all()


@pytest.mark.parametrize(
    "positions", [(0.23, 0.06, 0.54, 0.32), (0.4, 0.1, -0.7, 0.2), (0.3, 0.0, 0.6, 0.4), (0.3, 0.1, 1.0, 0.1)]
)
def test_icc_curve_draws_the_python_function_and_writes_its_two_lines(positions):
    drawing = svg(
        likeness.chart(), **dict(zip(["intercepts", "slopes", "corr", "residual"], positions, strict=True))
    )
    line = max(re.findall(r'd="(M[^"]+)"', drawing), key=len)
    points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
    assert len(points) == 101
    expected = likeness.icc_curve(points[:, 0] / 400 * 10 - 5, *positions)[0]
    np.testing.assert_allclose(1 - points[:, 1] / 280, expected, atol=1e-5)
    for words in likeness.lines(*positions):
        assert f">{words}<" in drawing


@pytest.mark.parametrize(
    ("formula", "data", "x"),
    [
        ("ph_change ~ warm + (warm | site)", "soil_pH", np.linspace(-5, 5, 11)),
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy", np.arange(10)),
        ("ph_change ~ warm + (warm || site)", "soil_pH", np.linspace(-5, 5, 11)),
    ],
)
def test_icc_curve_is_the_icc_of_a_fit_with_its_lowest_point(formula, data, x):
    fit = gl.lmer(formula, gl.load(data).assign(warm=lambda d: d.get("temperature", 15) - 15))
    (table,) = (fit.varcorr[name] for name in fit.ranef())
    icc, lowest = likeness.icc_curve(x, *table.sd, table.corr.iloc[0, 1], fit.sigma)
    np.testing.assert_allclose(icc, gl.icc(fit, at=x), rtol=1e-10)
    near = gl.icc(fit, at=lowest + np.array([-0.1, 0.0, 0.1]))
    assert near.iloc[1] < near.iloc[0] and near.iloc[1] < near.iloc[2]


def test_icc_curve_agrees_with_simulated_members():
    """20,000 groups of two: the standard error of a correlation is at most 0.007."""
    rng = np.random.default_rng(18)
    cov = np.array([[0.16, -0.03], [-0.03, 0.01]])
    a = rng.multivariate_normal([0, 0], cov, 20_000)
    for x in (-5, 0, 3, 5):
        pairs = a @ [[1], [x]] + 0.3 * rng.normal(size=(20_000, 2))
        icc, lowest = likeness.icc_curve(x, 0.4, 0.1, -0.75, 0.3)
        assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(icc, abs=0.022)
    assert lowest == pytest.approx(3.0)


@pytest.mark.parametrize(("sd", "slope"), [(1.5, 1.0), (4.0, 4.0), (0.0, 2.0)])
def test_typical_and_average_curves_are_glmmlibs_integration(sd, slope):
    chart = sliders.typical_and_average()
    lines = sorted(
        re.findall(
            r'stroke="([^"]+)"[^>]*d="(M[^"]+)"|d="(M[^"]+)"[^>]*stroke="([^"]+)"',
            svg(chart, sd=sd, slope=slope),
        )
    )
    drawn = {(a or d): (b or c) for a, b, c, d in lines if (b or c).count("L") > 30}
    for colour, expected in zip((MODEL, TRUTH), (0, 1), strict=True):
        points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", drawn[colour]) if p])
        depth, p = 0.1 + points[:, 0] / 400 * 2.4, 1 - points[:, 1] / 280
        values = module("typical_and_average").typical_and_average(depth - 1.3, slope, sd)
        assert len(points) == 41
        np.testing.assert_allclose(p, values[expected], atol=1e-5)


def test_typical_and_average_are_median_and_mean_over_simulated_groups():
    """400,000 groups: the standard error of mean and median is below 0.0006."""
    chance = 1 / (1 + np.exp(-(-0.53 + 1.0 + 1.5 * np.random.default_rng(15).normal(size=400_000))))
    expected = module("typical_and_average").typical_and_average(1.0, 1.0, 1.5)
    np.testing.assert_allclose([np.median(chance), chance.mean()], expected, atol=0.003)


def test_aic_and_p_curve_is_the_python_function_and_starts_where_the_larger_model_gains_nothing():
    for extra in range(1, aic.MOST + 1):
        drawing = svg(aic.chart(), extra=extra)
        line = max(re.findall(r'd="(M[^"]+)"', drawing), key=len)
        points = np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p])
        delta = aic.LOWEST + points[:, 0] / 400 * (aic.HIGHEST - aic.LOWEST)
        p = aic.SMALLEST ** (points[:, 1] / 280)
        assert delta[0] == pytest.approx(-2 * extra, abs=0.06)
        np.testing.assert_allclose(p, aic.aic_and_p(delta, extra), rtol=2e-3, atol=1e-5)


def test_aic_and_p_is_the_test_of_nested_fits():
    sleep = gl.load("sleepstudy")
    small = gl.lmer("Reaction ~ 1 + (1 | Subject)", sleep, reml=False)
    large = gl.lmer("Reaction ~ Days + I(Days**2) + (1 | Subject)", sleep, reml=False)
    p = gl.anova(small, large).table["p"].iloc[-1]
    assert aic.aic_and_p(small.aic - large.aic, 2) == pytest.approx(p, rel=1e-8)


def test_chart_is_html_on_colab_which_does_not_draw_vega_lite(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    bundle = sliders.type_one_rate()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "vegaEmbed" in bundle["text/html"] and "share" in bundle["text/html"]
