"""A fit with a large dense matrix says before it begins how long it takes, and counts while it runs."""

import warnings

import numpy as np
import pytest

import glmmlib as gl
from glmmlib.likelihood import patience


def crossed(n=400):
    rng = np.random.default_rng(1)
    data = {"g": rng.integers(0, 40, n), "h": rng.integers(0, 20, n), "x": rng.normal(size=n)}
    eta = 0.5 * data["x"] + rng.normal(size=40)[data["g"]] + rng.normal(size=20)[data["h"]]
    return data | {"y": eta + rng.normal(size=n), "k": rng.poisson(np.exp(0.5 * eta))}


FITS = [
    lambda: gl.lmer("y ~ x + (1 | g) + (1 | h)", crossed()),
    lambda: gl.glmer("k ~ x + (1 | g) + (1 | h)", crossed(), "poisson"),
]


@pytest.mark.parametrize("fit", FITS, ids=["lmer", "glmer"])
def test_a_long_fit_is_announced(fit, monkeypatch, capsys):
    short = fit()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(patience, "LONG", 0.0)
    long = fit()
    said = capsys.readouterr().err
    assert "20 columns of crossed factors, about 1 s and 0.0 GB of memory; factorisations" in said
    assert long.llf == pytest.approx(short.llf, abs=1e-9)
    assert long.solution.problem.structure.on_factorisation is None


def test_a_curve_is_a_factor_of_one_level():
    assert np.isfinite(gl.lmer("y ~ s(x)", crossed()).llf)


def test_an_interrupted_fit_leaves_nothing_behind(monkeypatch):
    """The next fit of the same rows is not counted by the bar of the last."""
    monkeypatch.setattr(patience, "LONG", 0.0)
    structure = FITS[0]().solution.problem.structure
    with pytest.raises(KeyboardInterrupt), patience.patience(structure, 2, 8):
        assert structure.on_factorisation is not None
        raise KeyboardInterrupt
    assert structure.on_factorisation is None


@pytest.mark.parametrize("term", ["exp(a + b | 1)", "s(a, k=4)", "s(a, k=4) + s(b, k=4)", "us(0 + a | 1)"])
def test_a_factor_of_one_level_that_is_all_there_is_has_a_short_time(term):
    rng = np.random.default_rng(1)
    a, b = np.tile(rng.uniform(0, 10, (2, 20)), 2)  # twice at each place
    data = {"a": a, "b": b, "y": np.sin(a) + np.cos(b) + rng.normal(0, 0.5, 40)}
    with warnings.catch_warnings(record=True):  # forty rows say little about a map
        fit = gl.lmer(f"y ~ {term}", data)
    assert 0 <= patience.dense_seconds(fit.solution.problem.structure, 2, 8) < 1
