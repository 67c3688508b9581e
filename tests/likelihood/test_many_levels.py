"""Newton's method over slices of levels: its sums, its end, and the way round where it cannot go."""

import numpy as np
import pytest

from glmmlib.likelihood import lmm_levels, lmm_minimise
from glmmlib.likelihood.lmm_levels import Levels, newton
from glmmlib.likelihood.lmm_minimise import minimise_deviance
from glmmlib.likelihood.optimise import gradient_hessian
from support.structures import problem

ALONE = ["one intercept", "intercept and slope", "three effects", "uncorrelated"]


@pytest.fixture(params=[False, True], ids=["ml", "reml"])
def reml(request):
    return request.param


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("p", [0, 3])
def test_value_and_derivatives(name, reml, p, monkeypatch):
    monkeypatch.setattr(lmm_levels, "SLICE", 5)
    model = problem(name, weights=True, offset=True, p=p)
    engine = model.engine(reml)
    state = Levels(engine).state(model.theta)
    assert state.value == pytest.approx(engine.objective(model.theta)[0], abs=1e-9)
    np.testing.assert_allclose(state.gradient, engine.gradient(model.theta), rtol=1e-8, atol=1e-8)
    hessian = gradient_hessian(engine.gradient, model.theta, np.full(len(model.theta), 1e-5))
    np.testing.assert_allclose(state.hessian, hessian, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ALONE)
def test_its_end_is_that_of_the_other_methods(name, reml, monkeypatch):
    engine = problem(name, seed=1).engine(reml)
    expected = minimise_deviance(engine)
    found = newton(engine, engine.covariance.start(lmm_minimise.moments(engine)))
    if found is not None:
        assert engine.objective(found[0])[0] == pytest.approx(expected.value, abs=1e-8)
    monkeypatch.setattr(lmm_minimise, "FEW_ROWS", 0)
    monkeypatch.setattr(lmm_minimise, "MANY_EFFECTS", 0)
    large = minimise_deviance(engine)
    assert large.value == pytest.approx(expected.value, abs=1e-7)
    assert large.converged
