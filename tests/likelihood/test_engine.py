"""The fast core equals the dense reference solver: values, gradients, solutions and inverses, for every
structure.
"""

import numpy as np
import pytest

from glmmlib.covariance.factors import lower_factor, rectify, sds_and_correlations
from glmmlib.likelihood.lmm import NEARLY_SINGULAR
from glmmlib.likelihood.lmm_minimise import minimise_deviance
from glmmlib.likelihood.optimise import gradient_hessian, minimise
from glmmlib.linalg import block_sums, blocks
from glmmlib.linalg import conditioning as standardise
from glmmlib.linalg import crossing as structure
from glmmlib.linalg.crossing import DenseCells
from glmmlib.theory import dense
from support import structures
from support.gradients import assert_gradient
from support.structures import NAMES, problem

VARIANTS = {
    "plain": {},
    "weights": {"weights": True},
    "offset": {"offset": True},
    "weights, offset and 4 fixed effects": {"weights": True, "offset": True, "p": 4},
    "no fixed effects": {"p": 0},
}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


@pytest.fixture(params=[False, True], ids=["ml", "reml"])
def reml(request):
    return request.param


def dense_value(model, theta, reml):
    y, X, Z, log_weights = model.weighted()
    value, beta, sigma, b = dense.profiled_deviance(theta, y, X, Z, model.Lambda, reml)
    return value - log_weights, beta, sigma, b


def dense_matrix(engine):
    """The penalised least squares matrix of the engine's own columns, assembled outright, and its Lambda."""
    A = np.block(
        [
            [_cross(engine, f, h) for h in range(len(engine.structure.factors))]
            for f in range(len(engine.structure.factors))
        ]
    )
    ZX = np.concatenate(
        [np.moveaxis(m, 1, 2).reshape(m.shape[0] * m.shape[2], engine.p) for m in engine.cross.ZX]
    )
    return A, ZX, engine.cross.XX


def _cross(engine, f, h):
    factors = engine.structure.factors
    if f > h:
        return _cross(engine, h, f).T
    full = np.zeros((factors[f].q, factors[f].n_levels, factors[h].q, factors[h].n_levels))
    if f == h:
        levels = np.arange(factors[f].n_levels)
        full[:, levels, :, levels] = np.moveaxis(engine.cross.A[f], -1, 0)
    else:
        cells = engine.structure.cells[f, h]
        full[:, cells.first, :, cells.second] = np.moveaxis(engine.cross.C[f, h], -1, 0)
    return full.reshape(factors[f].n_columns, -1)


def whole(engine, Lambdas):
    """Return the system ``[[L'AL + I, L'ZX], [ZX'L, XX]]``, (r + p, r + p), and its r."""
    A, ZX, XX = dense_matrix(engine)
    L = np.zeros_like(A)
    start = 0
    for factor, small in zip(engine.structure.factors, Lambdas, strict=True):
        here = slice(start, start + factor.n_columns)
        L[here, here] = np.kron(small, np.eye(factor.n_levels))
        start = here.stop
    return np.block([[L.T @ A @ L + np.eye(len(A)), L.T @ ZX], [ZX.T @ L, XX]]), len(A)


# -- the criterion ------------------------------------------------------------------------------------


def test_value(name, variant, reml):
    model = problem(name, **variant)
    engine = model.engine(reml)
    for theta in (model.theta, np.zeros_like(model.theta), 10.0 * model.theta, 1e-3 * model.theta):
        point = engine.at(engine.Lambdas(theta))
        value, beta, sigma, b = dense_value(model, theta, reml)
        assert point.value == pytest.approx(value, abs=1e-8)
        assert np.sqrt(point.r2 / engine.df) == pytest.approx(sigma, rel=1e-9)
        if engine.p:
            ours = engine.beta_ols + np.linalg.solve(engine.R, point.beta)
            np.testing.assert_allclose(ours, beta, rtol=1e-7, atol=1e-8)
        modes = dict(
            zip(
                engine.structure.order,
                [L @ u for L, u in zip(point.Lambda, point.u, strict=True)],
                strict=True,
            )
        )
        np.testing.assert_allclose(
            np.concatenate([modes[k].ravel() for k in range(len(modes))]), b, atol=1e-8
        )


def test_gradient(name, variant, reml):
    model = problem(name, **variant)
    engine = model.engine(reml)
    for theta in (model.theta, 0.1 * model.theta):
        value, gradient = engine.objective(theta)
        assert_gradient(lambda point: engine.objective(point)[0], gradient(), theta, 5e-4, rtol=1e-6)
        assert value == engine.objective(theta)[0]


def test_gradient_is_zero_where_nothing_varies(name, reml):
    """theta = 0 is always a stationary point, and says nothing of being a minimum."""
    engine = problem(name).engine(reml)
    assert np.abs(engine.gradient(np.zeros(engine.n_theta))).max() == 0.0


# -- the linear algebra ----------------------------------------------------------------------------------


def test_cross_products(name):
    model = problem(name, weights=True)
    engine = model.engine()
    A, ZX, XX = dense_matrix(engine)
    _, X, _, _ = model.weighted()
    Z = np.concatenate([structures.expand(f) for f in engine.structure.factors], axis=1)
    Z = Z * np.sqrt(model.weights)[:, None]
    Q = np.linalg.solve(engine.R.T, X.T).T
    np.testing.assert_allclose(A, Z.T @ Z, atol=1e-10)
    np.testing.assert_allclose(ZX, Z.T @ Q, atol=1e-10)
    np.testing.assert_allclose(XX, np.eye(engine.p), atol=1e-12)


def test_solution_and_determinants(name, variant):
    model = problem(name, **variant)
    engine = model.engine()
    point = engine.at(engine.Lambdas(model.theta))
    system, r = whole(engine, point.Lambda)
    rng = np.random.default_rng(1)
    rhs = [rng.normal(size=(f.q, f.n_levels)) for f in engine.structure.factors]
    rhs_X = rng.normal(size=engine.p)
    flat = np.concatenate([part.ravel() for part in rhs] + [rhs_X])
    u, beta, quadratic = point.factorisation.solve(rhs, rhs_X)
    expected = np.linalg.solve(system, flat)
    np.testing.assert_allclose(np.concatenate([part.ravel() for part in u] + [beta]), expected, atol=1e-9)
    assert quadratic == pytest.approx(flat @ expected, rel=1e-10)
    log_det_Z = np.linalg.slogdet(system[:r, :r])[1]
    assert point.factorisation.log_det_Z == pytest.approx(log_det_Z, rel=1e-12, abs=1e-9)
    assert point.factorisation.log_det_X == pytest.approx(np.linalg.slogdet(system)[1] - log_det_Z, abs=1e-9)


@pytest.mark.parametrize("with_X", [False, True])
def test_selected_inverse(name, variant, with_X):
    model = problem(name, **variant)
    engine = model.engine()
    factors = engine.structure.factors
    point = engine.at(engine.Lambdas(model.theta))
    found = point.factorisation.inverse(with_X=with_X)
    system, r = whole(engine, point.Lambda)
    inverse = np.linalg.inv(system if with_X else system[:r, :r])
    start = np.cumsum([0] + [f.n_columns for f in factors])
    for k, f in enumerate(factors):
        rows = inverse[start[k] : start[k + 1]]
        block = rows[:, start[k] : start[k + 1]].reshape(f.q, f.n_levels, f.q, f.n_levels)
        np.testing.assert_allclose(found.block[k], np.einsum("ajbj->abj", block), atol=1e-10)
        if with_X:
            expected = rows[:, r:].reshape(f.q, f.n_levels, engine.p).swapaxes(1, 2)
            np.testing.assert_allclose(found.ZX[k], expected, atol=1e-10)
        for h in range(k + 1, len(factors)):
            cells = engine.structure.cells[k, h]
            cross = rows[:, start[h] : start[h + 1]].reshape(
                f.q, f.n_levels, factors[h].q, factors[h].n_levels
            )
            expected = np.moveaxis(cross[:, cells.first, :, cells.second], 0, -1)
            np.testing.assert_allclose(found.cell[k, h], expected, atol=1e-10)
    if with_X:
        np.testing.assert_allclose(found.XX, inverse[r:, r:], atol=1e-10)
    for k, total in enumerate(block_sums.block_sums(point.factorisation, with_X)):
        np.testing.assert_allclose(total, found.block[k].sum(axis=2), atol=1e-9)


def test_a_nearly_singular_lambda_has_the_gradient_of_its_neighbours(name, reml):
    """Sums over levels lose their digits there: the other formula takes over, and the two meet."""
    model = problem(name)
    engine = model.engine(reml)
    for size in (NEARLY_SINGULAR * 0.9, NEARLY_SINGULAR * 1.1):
        theta = model.theta * size / np.abs(model.theta).min()
        gradient = engine.gradient(theta)
        assert_gradient(lambda point: engine.objective(point)[0], gradient, theta, 1e-5, rtol=1e-4, atol=1e-4)


def test_the_point_just_computed_is_handed_out_again(monkeypatch):
    engine = problem("two crossed").engine()
    calls = []
    monkeypatch.setattr(engine, "_solved", lambda Lambdas: calls.append(1) or object())
    here, there = ([np.eye(f.q) * s for f in engine.structure.factors] for s in (1.0, 2.0))
    with engine.remembering():
        first = engine.at(here)
        assert engine.at(here) is first
        assert engine.at(there) is not first
        assert engine.at(here) is not first  # only the last one is kept
    assert len(calls) == 3
    assert engine.at(here) is not engine.at(here)


def test_many_levels_are_summed_in_few_chunks():
    """The work of a pass grows with the rows, not with rows times levels."""
    assert structure.rows_at_once(10) == structure.CHUNK_ROWS
    n, levels = 10**7, 10**6
    assert np.ceil(n / structure.rows_at_once(levels)) * levels < 4 * n


CROSSED = [n for n in NAMES if problem(n).engine().structure.m]


def test_some_structures_are_crossed_and_some_are_not():
    chains = {n: problem(n).engine().structure.n_chain for n in NAMES}
    assert chains["three nested, slopes"] == chains["three nested, coarsest first"] == 3
    assert chains["crossed and nested"] == 3
    assert chains["two crossed"] == chains["nested among the crossed"] == 1
    assert chains["one level"] == 0  # no chain at all: one block is for LAPACK
    assert chains["one level beside groups"] == 1 and chains["one level above nested groups"] == 2
    assert len(CROSSED) == 10


@pytest.mark.parametrize("name", CROSSED)
def test_dense_and_rectangular_sums_agree(name, reml, monkeypatch):
    """Which of them is faster decides which is used; the answer must not depend on it."""
    model = problem(name)
    engine = model.engine(reml)
    value, gradient = engine.objective(model.theta)
    found = [np.append(gradient(), value)]
    for way in WAYS:
        engine = model.engine(reml)
        for cells in engine.structure.dense_cells:
            _force(cells, way)
        value, gradient = engine.objective(model.theta)
        found.append(np.append(gradient(), value))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-10, atol=1e-9)


WAYS = ("filled", "dense", "rectangles")


def _force(cells, way):
    is_dense = way != "rectangles"
    cells.is_dense, cells.is_filled, cells.is_full = is_dense, way == "filled", False
    cells.rectangles = (
        [] if is_dense else cells._rectangles(np.bincount(cells.level, minlength=cells.n_levels))
    )


@pytest.mark.parametrize("way", WAYS)
def test_sparse_products(way, monkeypatch):
    """Levels that meet no dense column at all are among them."""
    rng = np.random.default_rng(2)
    J, m, q = 30, 12, 2
    pattern = rng.random((J, m)) < 0.2
    pattern[[0, 7, J - 1]] = False
    first, second = np.nonzero(pattern)
    cells = structure.Cells(first, second, np.arange(first.size), m)
    found = DenseCells(J, m, [(cells, 0, 1, m)])
    _force(found, way)
    for name in ("CHUNK_NUMBERS", "CHUNK_PRODUCTS"):
        monkeypatch.setattr(structure, name, 7 * m)
    W = np.where(pattern, rng.normal(size=(q, J, m)), 0.0)
    values = found.sort(W[:, first, second])
    S = rng.normal(size=(m, m))
    S, B, E = S + S.T, rng.normal(size=(m, 3)), rng.normal(size=(q, 4, J))
    flat = W.reshape(-1, m)
    np.testing.assert_allclose(np.tril(found.gram(values)), np.tril(flat.T @ flat), atol=1e-12)
    np.testing.assert_allclose(found.unsort(found.times(values, S)), (W @ S)[:, first, second], atol=1e-12)
    np.testing.assert_allclose(found.times_columns(values, B), (W @ B).swapaxes(1, 2), atol=1e-12)
    np.testing.assert_allclose(found.transpose_times(values, E), np.einsum("ajm,abj->mb", W, E), atol=1e-12)


@pytest.mark.parametrize("name", ["three nested, slopes", "everything"])
def test_the_size_of_the_chunks_does_not_matter(name, reml, monkeypatch):
    model = problem(name, weights=True)
    expected, gradient = model.engine(reml).objective(model.theta)
    gradient = gradient()
    for module in (standardise, structure):
        monkeypatch.setattr(module, "CHUNK_ROWS", 7)
    monkeypatch.setattr(block_sums, "CHUNK_NUMBERS", 10)
    monkeypatch.setattr(structure, "CHUNK_PAIRS", 10)
    engine = model.engine(reml)
    for cells in engine.structure.dense_cells:
        _force(cells, "rectangles")
    value, again = engine.objective(model.theta)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(again(), gradient, rtol=1e-9, atol=1e-9)


# -- the optimum -------------------------------------------------------------------------------------


def test_optimum(name, reml):
    """The gradient vanishes there, or what is not zero points out of the parameter space; a dense search
    finds no lower.
    """
    model = problem(name, seed=1)
    engine = model.engine(reml)
    found = minimise_deviance(engine)
    assert found.converged
    assert found.decrement < 1e-7
    assert np.abs(found.gradient).max() < 1e-2
    assert found.value == pytest.approx(dense_value(model, found.x, reml)[0], abs=1e-8)
    assert found.value <= dense_value(model, model.theta, reml)[0]
    assert all((np.diag(L) >= 0).all() for L in engine.Lambdas(found.x))


@pytest.mark.parametrize("name", ["one intercept", "intercept and slope", "two nested", "two crossed"])
def test_optimum_is_that_of_the_dense_solver(name, reml):
    model = problem(name, seed=2)
    found = minimise_deviance(model.engine(reml))
    y, X, Z, _ = model.weighted()
    _, value, *_ = dense.fit(y, X, Z, model.Lambda, model.theta, reml)
    assert found.value <= value + 1e-7
    assert found.value == pytest.approx(value, abs=1e-5)


def test_quasi_newton_on_known_functions():
    """A quadratic with a condition number of 1e8, and Rosenbrock's valley."""
    scale = np.logspace(-4, 4, 5)
    quadratic = minimise(
        lambda x: (0.5 * (scale * x**2).sum(), lambda: scale * x), np.ones(5), np.eye(5), tolerance=1e-12
    )
    assert quadratic.converged and quadratic.value < 1e-10

    def rosenbrock(x):
        gradient = np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, lambda: gradient

    valley = minimise(rosenbrock, [-1.2, 1.0], np.eye(2) / 100, tolerance=1e-14)
    np.testing.assert_allclose(valley.x, 1.0, atol=1e-6)
    hessian = gradient_hessian(lambda x: rosenbrock(x)[1](), np.ones(2), np.full(2, 1e-4))
    np.testing.assert_allclose(hessian, [[802.0, -400.0], [-400.0, 200.0]], atol=1e-3)


def test_quasi_newton_says_when_it_gives_up():
    slow = minimise(lambda x: (-x[0], lambda: np.array([-1.0])), [0.0], np.eye(1), max_iterations=5)
    assert not slow.converged
    assert "no convergence in 5 iterations" in slow.message


# -- small matrices by level ----------------------------------------------------------------------------


@pytest.mark.parametrize("q", [1, 2, 3, 5])
def test_blocks(q):
    rng = np.random.default_rng(q)
    J = 11
    A, B = rng.normal(size=(q, q, J)), rng.normal(size=(q, 3, J))
    S = blocks.multiply_transpose(A, A) + 0.1 * np.eye(q)[:, :, None]
    C, L = blocks.cholesky(S), np.tril(rng.normal(size=(q, q)))
    for j in range(J):
        np.testing.assert_allclose(C[:, :, j], np.linalg.cholesky(S[:, :, j]), atol=1e-10)
        np.testing.assert_allclose(
            blocks.solve_lower(C, B)[:, :, j], np.linalg.solve(C[:, :, j], B[:, :, j]), rtol=1e-6
        )
        np.testing.assert_allclose(
            blocks.solve_upper(C, B)[:, :, j], np.linalg.solve(C[:, :, j].T, B[:, :, j]), rtol=1e-6
        )
        np.testing.assert_allclose(blocks.multiply(A, B)[:, :, j], A[:, :, j] @ B[:, :, j])
        np.testing.assert_allclose(blocks.transpose_multiply(A, B)[:, :, j], A[:, :, j].T @ B[:, :, j])
        np.testing.assert_allclose(blocks.left(L, A)[:, :, j], L @ A[:, :, j])
        np.testing.assert_allclose(blocks.right(A, L)[:, :, j], A[:, :, j] @ L)
    np.testing.assert_allclose(
        blocks.log_determinant(C), sum(np.linalg.slogdet(S[:, :, j])[1] for j in range(J))
    )
    np.testing.assert_allclose(
        blocks.sum_of_products(A, B.repeat(q, 1)[:, :q]),
        sum(A[:, :, j] @ B.repeat(q, 1)[:, :q, j].T for j in range(J)),
    )
    index = rng.integers(0, 4, J)
    total = blocks.sum_by(index, A, 5)
    np.testing.assert_allclose(total[:, :, 2], A[:, :, index == 2].sum(axis=2))
    assert (total[:, :, 4] == 0).all()


def test_a_bad_block_is_nan_and_its_neighbours_stay_right():
    S = np.stack([np.eye(2), np.diag([1.0, -1.0]), 4 * np.eye(2)], axis=2)
    C = blocks.cholesky(S)
    assert np.isnan(C[:, :, 1]).any()
    np.testing.assert_allclose(C[:, :, [0, 2]], np.stack([np.eye(2), 2 * np.eye(2)], axis=2))


def test_lower_factor_and_signs():
    rng = np.random.default_rng(5)
    A = rng.normal(size=(4, 4))
    L = lower_factor(A)
    np.testing.assert_allclose(L @ L.T, A @ A.T, atol=1e-12)
    assert np.allclose(L, np.tril(L)) and (np.diag(L) >= 0).all()
    signed = L * np.array([1, -1, -1, 1.0])
    np.testing.assert_array_equal(rectify(signed), L)
    sd, corr = sds_and_correlations(np.array([[4.0, 0, 3], [0, 0, 0], [3, 0, 9]]))
    np.testing.assert_allclose(sd, [2, 0, 3])
    assert corr[0, 2] == pytest.approx(0.5) and np.isnan(corr[0, 1])
