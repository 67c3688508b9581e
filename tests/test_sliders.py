"""A slider chart's numbers are glmmlib's: Vega evaluates the chart's formula, Python its own."""

import copy
import re
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import vl_convert

import glmmlib as gl
from glmmlib import sliders
from glmmlib.palette import DATA, GROUPS, MODEL, POOLED, TRUTH
from glmmlib.sliders import _effective_size as effective
from glmmlib.sliders import _ml_and_reml as criteria
from glmmlib.sliders import _moving_zero as moving
from glmmlib.sliders import _parallel_lines as parallel
from glmmlib.sliders import _shrinkage_factor as shrunken
from glmmlib.sliders import _slope_blend as blend
from glmmlib.sliders import _spread_of_means as spread
from glmmlib.sliders import _type_one_rate as type_one


def module(name):
    return import_module(f"glmmlib.sliders._{name}")


def svg(chart, **values):
    """The chart drawn by Vega with its sliders at `values`."""
    spec = copy.deepcopy(chart.spec)
    spec["width"] = 400
    for param in spec["params"]:
        param["value"] = values.get(param["name"], param["value"])
    return vl_convert.vegalite_to_svg(spec, vl_version="5.20")


def positions(chart, rng):
    """The starting position of the sliders, their ends, and a few places in between."""
    ranges = {p["name"]: (p["bind"]["min"], p["bind"]["max"], p["bind"]["step"]) for p in chart.spec["params"]}
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
    chart = getattr(sliders, name)()
    for values in positions(chart, np.random.default_rng(7)):
        assert f">{module(name).shown(**values)}<" in svg(chart, **values), values


@pytest.mark.parametrize("name", sliders.__all__)
def test_chart_is_vegalite_5_with_a_text_alternative_and_the_same_every_time(name):
    first, second = getattr(sliders, name)(), getattr(sliders, name)()
    bundle = first._repr_mimebundle_()
    assert bundle == second._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/plain"}
    assert "/vega-lite/v5" in first.spec["$schema"]
    assert len(bundle["text/plain"]) > 100
    assert all(param["bind"]["name"].strip() for param in first.spec["params"]), "a slider without a label"


@pytest.mark.parametrize("name", sliders.__all__)
def test_chart_uses_no_colour_outside_the_palette(name):
    used = set(re.findall(r"#[0-9a-fA-F]{6}", str(getattr(sliders, name)().spec)))
    assert used <= {DATA, POOLED, MODEL, TRUTH, *GROUPS}


def test_unknown_chart_is_refused_with_the_names_of_the_charts():
    with pytest.raises(AttributeError, match="no chart 'typo'; there are .*type_one_rate"):
        sliders.typo


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
    x = np.sqrt(between / (n * means @ means)) * means[:, None] + np.sqrt((1 - between) / (within**2).sum()) * within
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
    curves = [np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p]) for line in lines]
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
    """In equal groups the squared standard error of the mean is the total variance over the effective number."""
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
    icc, effect, worth = effective.effective_size(3, 5, 10)
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


@pytest.mark.parametrize(("formula", "data"), [("score ~ 1 + (1 | classroom)", "exam"),
                                               ("score ~ teaching + hours + (1 | classroom)", "exam"),
                                               ("diameter ~ 1 + (1 | plate)", "Penicillin")])  # fmt: skip
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
    return pd.DataFrame({"group": np.repeat(np.arange(groups), size).astype(str), "y": (means[:, None] + within).ravel()})


@pytest.mark.parametrize(("ratio", "groups", "size"), [(1.0, 6, 5), (0.3, 24, 2), (1.7, 3, 12)])
def test_ml_and_reml_is_the_objective_of_a_fit_and_its_maxima_are_the_estimates(ratio, groups, size):
    data = equal_groups(ratio, groups, size, np.random.default_rng(17))
    theta, ss = np.linspace(0, 3, 13), ((groups - 1) * (1 + size * ratio**2), groups * (size - 1))
    best, found = criteria.maxima(ratio, groups, size), criteria.curves(theta, ratio, groups, size)
    for reml in (False, True):
        fit = gl.lmer("y ~ 1 + (1 | group)", data, reml=reml)
        expected = np.array([fit.objective([t]) for t in theta])
        np.testing.assert_allclose(criteria.criterion(theta, *ss, groups, size, reml), expected, rtol=1e-10)
        np.testing.assert_allclose(found[reml], np.exp((fit.deviance - expected) / 2), rtol=1e-7)
        assert fit.theta.iloc[0] == pytest.approx(best[reml], abs=1e-5)


def test_ml_and_reml_draws_the_curves_of_the_python_function():
    drawing = svg(criteria.chart(), groups=9, size=4, ratio=0.7)
    lines = sorted(re.findall(r'd="(M[^"]+)"', drawing), key=len)[-2:]
    points = [np.array([[float(v) for v in p.split(",")] for p in re.split("[ML]", line) if p]) for line in lines]
    assert [len(curve) for curve in points] == [151, 151]
    ml, reml = sorted(points, key=lambda curve: curve[:, 1].argmin())
    expected = criteria.curves(ml[:, 0] / 400 * 3, 0.7, 9, 4)
    np.testing.assert_allclose([1.3 * (1 - curve[:, 1] / 280) for curve in (ml, reml)], expected, atol=1e-4)


@pytest.mark.parametrize("positions", [(6, 5, 1.0), (3, 2, 0.0), (60, 20, 2.0), (3, 2, 0.45)])
def test_ml_and_reml_writes_its_three_lines(positions):
    drawing = svg(criteria.chart(), **dict(zip(["groups", "size", "ratio"], positions, strict=True)))
    for line in criteria.lines(*positions):
        assert f">{line}<" in drawing


def test_moving_zero_is_what_refits_with_a_shifted_x_say():
    soil = gl.load("soil_pH")
    fits = {
        zero: gl.lmer("ph_change ~ x + (x | site)", soil.assign(x=soil.temperature - zero)) for zero in (0, 8, 13, 15, 22)
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
