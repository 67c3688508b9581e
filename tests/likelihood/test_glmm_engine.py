"""The engine of generalised models: values against dense algebra and numerical integration, gradients against
differences.

Quadrature differs from the integral by less than 1e-6 of -2 log L with 25 points for cbpp, epil and
Contraception, with one and with two random effects. toenail is hard, for most patients never change and the
SD is 4: at the estimates of 100 points the log-likelihood errs as follows (and is, at the estimates of each
number itself)

======  =========  ==========
points  error      fit
======  =========  ==========
1       -4.20      -627.80893
5       -5.03      -630.01864
9       -0.214     -625.56677
25      -0.0185    -625.41589
50      +0.000172  -625.39734
100     < 1e-6     -625.39752
======  =========  ==========
"""

from functools import cache

import numpy as np
import pytest
from scipy.special import logsumexp

import glmmlib as gl
from glmmlib.families.registry import FAMILIES
from glmmlib.likelihood.glmm import LaplaceDeviance
from glmmlib.likelihood.quadrature import Quadrature
from support import structures
from support.family_cases import case
from support.gradients import assert_gradient

DISPERSION = {name: case(name, chosen.links[0].name).auxiliary for name, chosen in FAMILIES.items()}
DISPERSION |= {"negbinomial": 2.0, "gamma": 0.3}
PAIRS = [(name, link.name) for name, chosen in FAMILIES.items() for link in chosen.links]
ONE_FACTOR = ["one intercept", "one slope", "intercept and slope"]
STRUCTURES = [*ONE_FACTOR, "uncorrelated", "three nested, slopes", "two crossed, slopes"]
LARGE = ["three crossed", "crossed and nested", "nested among the crossed", "same partition twice"]
CASES = [(pair, name) for pair in PAIRS for name in STRUCTURES]
CASES += [(pair, name) for pair in (("binomial", "logit"), ("gamma", "inverse")) for name in LARGE]


def model(name, pair, quadrature=None, weights=False, offset=False):
    """A random response of the family in the named structure; returns the deviance and a point away from its
    minimum.
    """
    drawn = structures.problem(name, offset=offset)
    rng = np.random.default_rng(7)
    fam = case(*pair).family
    n, k = len(drawn.y), len(drawn.theta)
    theta = np.where(np.abs(drawn.theta) < 0.15, 0.2, 0.6 * drawn.theta)
    X, scale = drawn.X * [1.0, 0.3], 1.0
    beta = np.array([0.4, 0.5])
    if fam.limited_range:  # keep the linear predictor positive whatever the modes
        theta, beta = 0.15 * theta, np.array([4.0, 0.3])
        scale = 0.3
    own = None if drawn.offset is None else scale * 0.5 * drawn.offset
    eta = X @ beta + (0.0 if own is None else own)
    for g in drawn.groups:
        effects = g.covariance.factor(theta) @ rng.normal(size=(g.q, g.factor.n_levels))
        eta += (g.factor.Z * effects[:, g.factor.codes]).sum(axis=0)
    dispersion = DISPERSION.get(fam.name)
    w = rng.integers(1, 8, n).astype(float) if weights else case(*pair).trials_of(n)
    y = fam.draw(np.maximum(eta, 0.2) if fam.limited_range else eta, w, dispersion, rng)
    deviance = LaplaceDeviance(fam, y, X, drawn.groups, w, own, quadrature)
    deviance.pirls_tolerance = 1e-15
    tail = [] if dispersion is None else np.log(1.3 * np.atleast_1d(dispersion))
    theta = theta + 0.02 * rng.normal(size=k)
    return deviance, np.concatenate([deviance.R @ (1.05 * beta), np.empty(k), tail]), theta


def at(deviance, x, theta):
    """Put theta into the parameters in the order of the deviance."""
    return deviance.join(x[: deviance.p], theta, x[deviance.p + len(theta) :])


def check_gradient(deviance, x):
    assert_gradient(lambda point: deviance.evaluate(point)[0], deviance.evaluate(x)[1], x, 2e-4, rtol=1e-6)


@pytest.mark.parametrize(
    ("pair", "structure"), CASES, ids=lambda part: part if isinstance(part, str) else "-".join(part)
)
def test_gradient_of_laplace(pair, structure):
    deviance, x, theta = model(structure, pair)
    check_gradient(deviance, at(deviance, x, theta))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_gradient_with_weights_and_offset(pair):
    deviance, x, theta = model("two crossed, slopes", pair, weights=True, offset=True)
    check_gradient(deviance, at(deviance, x, theta))


@pytest.mark.parametrize(
    ("structure", "points"),
    [
        ("one intercept", 1),
        ("one intercept", 6),
        ("one slope", 3),
        ("intercept and slope", 1),
        ("intercept and slope", 4),
    ],
)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_gradient_of_quadrature(pair, structure, points):
    rule = Quadrature(points)
    deviance, x, theta = model(structure, pair, rule, weights=True, offset=True)
    check_gradient(deviance, at(deviance, x, theta))


def test_points_can_be_taken_one_at_a_time(monkeypatch):
    deviance, x, theta = model("one intercept", ("negbinomial", "log"), Quadrature(5))
    kept = deviance.evaluate(at(deviance, x, theta))
    monkeypatch.setattr("glmmlib.likelihood.quadrature.BLOCK_NUMBERS", 1)
    again = deviance.evaluate(at(deviance, x, theta))
    assert again[0] == pytest.approx(kept[0], rel=1e-14)
    np.testing.assert_allclose(again[1], kept[1], rtol=1e-12)


# ---------------------------------------- values


def dense_laplace(problem, deviance, x, theta):
    """-2 log L by dense algebra in the order of the data: Newton's method for u, then log|H|."""
    fam, n = deviance.family, deviance.n
    y, own, offset = np.empty(n), None, 0.0
    y[deviance.rows] = deviance.y
    if deviance.weights is not None:
        own = np.empty(n)
        own[deviance.rows] = deviance.weights
    if deviance.offset is not None:
        offset = np.empty(n)
        offset[deviance.rows] = deviance.offset
    fixed = problem.X * [1.0, 0.3] @ np.linalg.solve(deviance.R, x[: deviance.p]) + offset
    tau = deviance.tau(x)
    dispersion = None if tau.size == 0 else float(np.exp(tau[0])) if tau.size == 1 else np.exp(tau)
    V = problem.Z @ problem.Lambda(theta)
    u = np.zeros(V.shape[1])

    def penalised(u):
        return fam.logpdf(y, fixed + V @ u, own, dispersion).sum() - 0.5 * u @ u

    for _ in range(200):
        d = fam.derivatives(y, fixed + V @ u, own, dispersion)
        curvature = (V.T * d.weight) @ V + np.eye(len(u))
        if np.linalg.eigvalsh(curvature)[0] <= 0:  # far from the mode of a density that is not log-concave
            curvature = (V.T * fam.fisher(fixed + V @ u, own, dispersion)) @ V + np.eye(len(u))
        step = np.linalg.solve(curvature, V.T @ d.score - u)
        while penalised(u + step) < penalised(u) - 1e-9:
            step = 0.5 * step
        u = u + step
        if np.abs(step).max() < 1e-12:
            break
    d = fam.derivatives(y, fixed + V @ u, own, dispersion)
    log_det = np.linalg.slogdet((V.T * d.weight) @ V + np.eye(len(u)))[1]
    return -2.0 * penalised(u) + log_det


@pytest.mark.parametrize(
    ("pair", "structure"), CASES, ids=lambda part: part if isinstance(part, str) else "-".join(part)
)
def test_laplace_by_dense_algebra(pair, structure):
    deviance, x, theta = model(structure, pair, weights=True, offset=True)
    value = deviance.evaluate(at(deviance, x, theta))[0]
    dense = dense_laplace(structures.problem(structure, offset=True), deviance, at(deviance, x, theta), theta)
    assert value == pytest.approx(dense, rel=1e-10)


@pytest.mark.parametrize("structure", ONE_FACTOR)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_one_point_is_laplace(pair, structure):
    laplace, x, theta = model(structure, pair)
    quadrature, _, _ = model(structure, pair, Quadrature(1))
    for m in (laplace, quadrature):
        m.pirls_tolerance = 1e-20  # the two gradients differ by what is left of the step to the mode
    (a, g, _), (b, h, _) = (m.evaluate(at(m, x, theta)) for m in (laplace, quadrature))
    assert a == pytest.approx(b, rel=1e-13)
    np.testing.assert_allclose(g, h, atol=1e-9 * np.abs(g).max())


def test_a_vague_tolerance_costs_the_value_nothing():
    """The Newton step that PIRLS leaves out is in the value to the first order."""
    deviance, x, theta = model("two crossed, slopes", ("binomial", "logit"))
    x = at(deviance, x, theta)
    exact = deviance.evaluate(x)[0]
    deviance.pirls_tolerance, deviance.nearest_mode = 1e-3, [np.zeros_like(u) for u in deviance.nearest_mode]
    assert deviance.evaluate(x)[0] == pytest.approx(exact, abs=1e-4)


# ---------------------------------------- quadrature against fine integration


def log_integral(log_integrand, centre, width):
    """log of the integral of exp(log_integrand), which takes an array, cut into pieces around the mode; twice
    the points of Gauss and Legendre must give the same.
    """
    edges = centre + width * np.array([-30.0, -7.0, -2.0, 0.0, 2.0, 7.0, 30.0])
    left, right = edges[:-1, None], edges[1:, None]
    found = []
    for points in (24, 48):
        nodes, weights = legendre(points)
        values = log_integrand(((right - left) * nodes + right + left).ravel() / 2.0)
        found.append(logsumexp(values, b=((right - left) / 2.0 * weights).ravel()))
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    return found[1]


legendre = cache(np.polynomial.legendre.leggauss)


def exact_log_likelihood(problem, x):
    """The marginal log-likelihood, group by group, by fine integration; nested for two random effects."""
    fam = problem.family
    beta, (L,), dispersion = problem.split(x)
    factor = problem.structure.factors[0]
    fixed = problem.linear_predictor(beta, [L], [np.zeros((factor.q, factor.n_levels))])
    modes = problem.mode(beta, [L], dispersion).u[0]
    dispersion = dispersion if np.ndim(dispersion) == 0 else dispersion[0]  # alike in all rows
    total = 0.0
    for j in range(factor.n_levels):
        rows = factor.codes == j
        y, eta, V = problem.y[rows], fixed[rows], L.T @ factor.Z[:, rows]
        weights = None if problem.weights is None else problem.weights[rows]

        def log_density(*u, y=y, eta=eta, V=V, weights=weights):
            u = np.stack(np.broadcast_arrays(*u))  # (effects, points)
            own = None if weights is None else weights[:, None]
            of_rows = fam.derivatives(y[:, None], eta[:, None] + V.T @ u, own, dispersion, order=0).kernel
            return of_rows.sum(axis=0) - 0.5 * (u**2).sum(axis=0) - 0.5 * len(u) * np.log(2.0 * np.pi)

        curvature = fam.derivatives(y, eta + modes[:, j] @ V, weights, dispersion, order=2).weight
        total += np.broadcast_to(fam.constant(y, weights, dispersion), y.shape).sum()
        total += integrate(log_density, modes[:, j], np.linalg.inv((V * curvature) @ V.T + np.eye(len(V))))
    return total


def integrate(log_density, mode, covariance):
    if len(mode) == 1:
        return log_integral(log_density, mode[0], np.sqrt(covariance[0, 0]))
    slope = covariance[0, 1] / covariance[0, 0]
    width = np.sqrt(covariance[1, 1] - slope * covariance[0, 1])

    def inner(t):
        return log_integral(lambda s: log_density(t, s), mode[1] + slope * (t - mode[0]), width)

    return log_integral(np.vectorize(inner), mode[0], np.sqrt(covariance[0, 0]))


FITS = {
    "cbpp": ("cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial"),
    "epil": ("y ~ lbase * trt + lage + V4 + (1 | subject)", "poisson"),
    "Contraception": ("use ~ age + I(age**2) + urban + livch + (1 | district)", "binomial"),
}


@pytest.mark.parametrize("name", FITS)
def test_quadrature_converges_to_the_integral(name):
    formula, fam = FITS[name]
    fit = gl.glmer(formula, gl.load(name), family=fam, n_agq=25)
    assert -2.0 * exact_log_likelihood(fit.solution.problem, fit.solution.parameters) == pytest.approx(
        fit.deviance, abs=1e-6
    )


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_quadrature_converges_in_every_family(pair):
    deviance, x, theta = model("one intercept", pair, Quadrature(40))
    x = at(deviance, x, theta)
    assert -2.0 * exact_log_likelihood(deviance, x) == pytest.approx(deviance.evaluate(x)[0], abs=1e-6)


def test_quadrature_converges_with_two_random_effects():
    table = gl.load("Contraception")
    fit = gl.glmer("use ~ urban + (urban | district)", table, family="binomial")
    few = table[table["district"].astype(int).isin([2, 5, 13])]
    part = gl.glmer("use ~ urban + (urban | district)", few, family="binomial", n_agq=2).solution.problem
    part.quadrature = Quadrature(25)
    x = fit.solution.parameters
    assert -2.0 * exact_log_likelihood(part, x) == pytest.approx(part.evaluate(x)[0], abs=1e-6)


def test_toenail_at_each_number_of_points():
    """The table at the top of this file: errors of the log-likelihood at the estimates of 100 points."""
    toenail = gl.load("toenail")
    fit = gl.glmer("outcome ~ treatment * time + (1 | patientID)", toenail, family="binomial", n_agq=100)
    problem, x = fit.solution.problem, fit.solution.parameters
    exact = exact_log_likelihood(problem, x)
    found = {}
    for points in (1, 5, 9, 25, 50, 100):
        problem.quadrature = Quadrature(points)
        found[points] = -0.5 * problem.evaluate(x)[0] - exact
    expected = {1: -4.20, 5: -5.03, 9: -0.214, 25: -0.0185, 50: 0.000172, 100: 0.0}
    assert found == pytest.approx(expected, rel=0.01, abs=1e-6)
