"""A slider chart's numbers are glmmlib's: Vega evaluates the chart's formula, Python its own."""

import copy
import re
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pytest
import vl_convert

from glmmlib import sliders
from glmmlib.palette import DATA, GROUPS, MODEL, POOLED, TRUTH
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
    with pytest.raises(AttributeError, match="no chart 'typo'; there are type_one_rate"):
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


def test_style_file_and_palette_name_the_same_colours():
    with plt.style.context("glmmlib.course"):
        cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert [f"#{c.lstrip('#')}" for c in cycle] == list(GROUPS)
