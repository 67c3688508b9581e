"""A fit with a large dense matrix says before it begins how long it takes, and counts while it runs."""

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


def test_an_interrupted_fit_leaves_nothing_behind(monkeypatch):
    """The next fit of the same rows is not counted by the bar of the last."""
    monkeypatch.setattr(patience, "LONG", 0.0)
    structure = FITS[0]().solution.problem.structure
    with pytest.raises(KeyboardInterrupt), patience.patience(structure, 2, 8):
        assert structure.on_factorisation is not None
        raise KeyboardInterrupt
    assert structure.on_factorisation is None
