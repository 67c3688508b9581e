"""The preconditioner beside a factor of few levels, against dense algebra."""

import numpy as np
import pytest

import glmmlib as gl
from glmmlib.linalg.balancing import MOST_COLUMNS, Balancing, small_factors
from glmmlib.linalg.conjugate import CrossedProducts, CrossedSystem


@pytest.fixture(scope="module")
def system():
    """Pupils by teachers, teachers within departments but for a few rows, with large departments' effects."""
    rng = np.random.default_rng(31)
    n, teachers = 2000, 90
    teacher = rng.integers(0, teachers, n)
    data = {"pupil": rng.integers(0, 300, n).astype(str), "teacher": teacher.astype(str)}
    data["dept"] = (np.where(rng.random(n) < 0.05, rng.integers(0, teachers, n), teacher) % 6).astype(str)
    effects = [
        rng.normal(size=k)[data[g].astype(int)] for g, k in (("pupil", 300), ("teacher", 90), ("dept", 6))
    ]
    data["y"] = sum(effects) + rng.normal(size=n)
    problem = gl.lmer("y ~ 1 + (1 | pupil) + (1 | teacher) + (1 | dept)", data).solution.problem
    Lambda = [np.full((1, 1), size) for size in (1.0, 2.0, 3.0)]
    return CrossedSystem(CrossedProducts(problem.structure, problem.cross), Lambda)


def test_what_is_solved_is_the_system(system):
    m = system.products.m
    S = system.times(np.eye(m))
    B = np.random.default_rng(1).normal(size=(m, 3))
    np.testing.assert_allclose(system.solve(B, 1e-12), np.linalg.solve(S, B), rtol=0, atol=1e-10)


def test_balancing_is_symmetric_positive_and_closer_to_the_inverse_than_blocks(system):
    m = system.products.m
    S, blocks = system.times(np.eye(m)), system._by_blocks(np.eye(m))
    P = Balancing(system.times, system._by_blocks, m, small_factors(system.products.place))(np.eye(m))
    np.testing.assert_allclose(P, P.T, atol=1e-10)

    def spread(preconditioner):
        root = np.linalg.cholesky(S)
        values = np.linalg.eigvalsh(root.T @ preconditioner @ root)
        return values[-1] / values[0]

    assert np.linalg.eigvalsh(P)[0] > 0
    assert spread(P) < spread(blocks) / 20


def test_only_small_factors_beside_a_larger_one_are_balanced():
    teachers, departments = slice(0, 900), slice(900, 914)
    assert small_factors({1: teachers, 2: departments}) == [departments]
    assert small_factors({1: teachers}) == []
    assert small_factors({1: teachers, 2: slice(900, 901 + MOST_COLUMNS)}) == []


def test_directions_that_say_the_same_are_kept_once(system):
    """A small factor without rows beside the others meets nothing: its columns of D^-1 S E are zero."""
    S = np.diag(np.arange(1.0, 9.0))
    P = Balancing(lambda V: S @ V, lambda V: 1.0 * V, 8, [slice(6, 8)])
    np.testing.assert_allclose(P(np.eye(8))[6:, 6:], np.diag([1 / 7, 1 / 8]), atol=1e-12)
