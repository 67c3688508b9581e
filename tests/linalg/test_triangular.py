"""Triangular systems are those of SciPy, whatever the order of the arrays."""

import numpy as np
import pytest
import scipy.linalg

from glmmlib.linalg.triangular import solve_triangular


@pytest.mark.parametrize("order", ["C", "F", "strided", "corner"])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [False, True])
@pytest.mark.parametrize("k", [None, 0, 1, 3])
def test_as_scipy(order, lower, trans, k):
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4, 4)) + 5.0 * np.eye(4)
    b = rng.normal(size=4 if k is None else (4, k))
    kept = b.copy()
    if order == "strided":
        given, right = np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2], np.repeat(b, 2, axis=0)[::2]
    elif order == "corner":
        given, right = np.zeros((6, 6), order="F")[:4, :4], b
        given[:] = a
    else:
        given, right = np.array(a, order=order), np.array(b, order=order)
    found = solve_triangular(given, right, lower=lower, trans=trans)
    expected = scipy.linalg.solve_triangular(a, b, lower=lower, trans=int(trans))
    assert found.shape == b.shape
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(right, kept)


def test_no_columns_no_rows():
    assert solve_triangular(np.zeros((0, 0)), np.zeros((0, 3))).shape == (0, 3)


def test_a_singular_matrix_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match="diagonal entry 2 "):
        solve_triangular(np.diag([1.0, 0.0, 2.0]), np.ones(3))
