"""Conjugate gradients and random signs against the exact engine, at small size."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from glmmlib.likelihood import lmm, lmm_iterative, lmm_minimise
from glmmlib.likelihood.lmm_iterative import IterativeDeviance
from glmmlib.linalg import resources
from support.structures import problem

CROSSED = [
    "two crossed",
    "nested among the crossed",
    "crossed and nested",
    "three nested, slopes",
    "everything",
]


@pytest.mark.parametrize("name", CROSSED)
@pytest.mark.parametrize("reml", [False, True])
def test_with_all_unit_vectors_for_signs_everything_is_exact(name, reml, monkeypatch):
    monkeypatch.setattr(lmm_iterative, "PROBE_TOLERANCE", 1e-12)
    monkeypatch.setattr(lmm_iterative, "TOLERANCE", 1e-12)
    model = problem(name, weights=True, offset=True)
    exact = model.engine(reml)
    iterative = IterativeDeviance(exact)
    m = iterative.products.m
    iterative.z = np.sqrt(m) * np.eye(m)
    expected = exact.at(exact.Lambdas(model.theta))
    point = iterative.at(exact.Lambdas(model.theta))
    assert point.r2 == pytest.approx(expected.r2, rel=1e-9)
    np.testing.assert_allclose(point.beta, expected.beta, atol=1e-8)
    for u, v in zip(point.u, expected.u, strict=True):
        np.testing.assert_allclose(u, v, atol=1e-8)
    for found, sums in zip(iterative.block_sums(point), exact.block_sums(expected), strict=True):
        np.testing.assert_allclose(found, sums, atol=1e-7)
    np.testing.assert_allclose(iterative.gradient(model.theta), exact.gradient(model.theta), atol=1e-5)
    root = expected.factorisation.L[exact.structure.m :, exact.structure.m :]
    np.testing.assert_allclose(point.information, root @ root.T, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", CROSSED)
def test_the_determinant_is_within_its_monte_carlo_error(name):
    model = problem(name)
    exact = model.engine()
    iterative = IterativeDeviance(exact)
    Lambdas = exact.Lambdas(model.theta)
    z = np.random.default_rng(3).choice([-1.0, 1.0], size=(iterative.products.m, 400))
    found = iterative.at(Lambdas).system.log_determinants(z)
    error = found.std(ddof=1) / np.sqrt(400)
    assert abs(found.mean() - exact.at(Lambdas).factorisation.log_det_Z) < 4 * error + 1e-6


def crossed(seed, sd_a, sd_b, meet, slopes=False):
    """Return 3,000 rows of 80 x 40 levels; ``meet`` says which b the a of each row meets."""
    rng = np.random.default_rng(seed)
    a = np.concatenate([np.arange(80), rng.integers(80, size=2920)])
    b = meet(a, rng)
    x = rng.normal(size=3000)
    effect = sd_a * rng.normal(size=80)[a] + sd_b * rng.normal(size=40)[b]
    if slopes:
        effect += 0.4 * rng.normal(size=80)[a] * x
    return pd.DataFrame({"y": 1 + 0.5 * x + effect + rng.normal(size=3000), "x": x, "a": a, "b": b})


def at_random(a, rng):
    return rng.integers(40, size=a.size)


def in_communities(a, rng):
    """Nineteen rows in twenty stay within one of ten blocks."""
    return np.where(rng.random(a.size) < 0.95, a % 10 * 4 + rng.integers(4, size=a.size), at_random(a, rng))


def to_neighbours(a, rng):
    return (a // 2 + rng.integers(2, size=a.size)) % 40


CASES = {
    "at random": (crossed(1, 0.7, 0.5, at_random), "y ~ x + (1 | a) + (1 | b)"),
    "slopes": (crossed(2, 0.7, 0.5, at_random, slopes=True), "y ~ x + (x | a) + (1 | b)"),
    "communities": (crossed(3, 0.7, 0.5, in_communities), "y ~ x + (1 | a) + (1 | b)"),
    "neighbours": (crossed(4, 0.7, 0.5, to_neighbours), "y ~ x + (1 | a) + (1 | b)"),
    "large theta": (crossed(5, 40.0, 20.0, at_random), "y ~ x + (1 | a) + (1 | b)"),
    "variance zero": (crossed(6, 0.7, 0.0, at_random), "y ~ x + (1 | a) + (1 | b)"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reml", [False, True])
def test_begun_with_iterations_the_exact_fit_is_the_same(case, reml, monkeypatch):
    data, formula = CASES[case]
    kwargs = {"weights": 0.5 + np.random.default_rng(1).random(len(data)), "offset": np.sin(data["x"])}
    monkeypatch.setattr(lmm_minimise, "FEW_COLUMNS", 0)
    monkeypatch.setattr(lmm_minimise, "MANY_CROSSED", 10**9)
    plain = gl.lmer(formula, data, reml, **kwargs)
    monkeypatch.setattr(lmm_minimise, "MANY_CROSSED", 0)
    started = gl.lmer(formula, data, reml, **kwargs)
    assert started.deviance == pytest.approx(plain.deviance, abs=1e-8)
    np.testing.assert_allclose(started.theta, plain.theta, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.filterwarnings("ignore::glmmlib.errors.SingularFitWarning")
def test_an_iterative_fit_is_as_near_to_the_exact_one_as_it_says(case, reml):
    """In units of SEs the distance of theta is the root of what -2 log L loses."""
    data, formula = CASES[case]
    kwargs = {"weights": 0.5 + np.random.default_rng(1).random(len(data)), "offset": np.sin(data["x"])}
    exact = gl.lmer(formula, data, reml, exact=True, **kwargs)
    found = gl.lmer(formula, data, reml, exact=False, **kwargs)
    assert exact.objective(found.theta) - exact.deviance < 0.01
    assert found.deviance == pytest.approx(exact.deviance, abs=0.1 + 5 * found.solution.deviance_error)
    np.testing.assert_allclose(found.bse, exact.bse, rtol=0.02)
    assert (np.abs(found.params - exact.params) < 0.02 * exact.bse).all()
    assert found.is_singular == exact.is_singular
    assert np.abs(found.fittedvalues - exact.fittedvalues).max() < 0.05 * exact.sigma


def test_an_iterative_fit_says_what_it_is_and_what_it_cannot_tell():
    data, formula = CASES["at random"]
    fit = gl.lmer(formula, data, exact=False)
    assert "solved iteratively" in repr(fit)
    for text in (str(fit.summary()), str(fit.convergence)):
        told = " ".join(text.split())
        assert "random probes (seed 1)" in told and "exact=True would take" in told
    assert "log-likelihood has a Monte Carlo error" in " ".join(str(fit.summary()).split())
    assert fit.statistic == "z"
    again = gl.lmer(formula, data, exact=False)
    assert again.deviance == fit.deviance and (again.theta == fit.theta).all()
    assert fit.refit(data["y"]).deviance == pytest.approx(fit.deviance, abs=1e-6)
    noise = data.assign(z=np.random.default_rng(8).normal(size=len(data)))
    models = [gl.lmer(f, noise, reml=False, exact=False) for f in (formula, formula + " + z")]
    with pytest.raises(ModelError, match="Monte Carlo error"):
        gl.anova(*models)
    assert (
        gl.anova(gl.lmer("y ~ 1 + (1 | a) + (1 | b)", data, False, exact=False), models[0]).table["p"].iloc[1]
        < 1e-6
    )


def test_the_size_decides_unless_you_do(monkeypatch):
    monkeypatch.setattr(lmm, "MOST_DENSE", 30)
    data, formula = CASES["at random"]
    assert gl.lmer(formula, data).convergence.approximation
    assert not gl.lmer(formula, data, exact=True).convergence.approximation
    assert not gl.lmer("y ~ x + (1 | a)", data).convergence.approximation  # one factor needs no dense matrix
    with pytest.raises(ModelError, match="exact is True, False or None"):
        gl.lmer(formula, data, exact="yes")


def test_without_room_for_the_dense_matrix_the_rest_is_refused_in_a_sentence(monkeypatch):
    data, formula = CASES["at random"]
    monkeypatch.setattr(resources, "free_memory", lambda: 10_000)
    fit = gl.lmer(formula, data, exact=False)
    assert np.isfinite(fit.bse).all() and len(fit.ranef()["a"]) == 80
    with pytest.raises(ModelError, match="are crossed"):
        fit.ranef(cond_sd=True)


def test_few_levels_need_no_luck_and_a_file_keeps_the_fit(tmp_path):
    """Up to as many columns as there are probes, unit vectors take the place of signs: nothing is random."""
    data, formula = gl.load("Penicillin"), "diameter ~ 1 + (1 | plate) + (1 | sample)"
    exact, fit = gl.lmer(formula, data), gl.lmer(formula, data, exact=False)
    assert fit.deviance == pytest.approx(exact.deviance, abs=1e-4)
    assert fit.solution.deviance_error == 0
    fit.save(tmp_path / "p.fit")
    again = gl.load_fit(tmp_path / "p.fit")
    assert again.deviance == fit.deviance and repr(again) == repr(fit)
    assert fit.with_criterion(reml=False).deviance == pytest.approx(
        exact.with_criterion(reml=False).deviance, abs=1e-4
    )
