r"""The linear mixed model written out in full: slow, short, and the judge of the fast paths.

Every matrix is formed outright, the n x n covariance of the response included, so each line below is
one line of the theory. The library fits no model with it; chapter 07 reads it, and the tests hold the fast
code to it.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from glmmlib.types import ArrayLike, FloatArray


def profiled_deviance(
    theta: ArrayLike,
    y: FloatArray,
    X: FloatArray,
    Z: FloatArray,
    Lambda: Callable[[FloatArray], FloatArray],
    reml: bool = False,
) -> tuple[float, FloatArray, float, FloatArray]:
    r"""Return the profiled deviance (or REML criterion), with beta and sigma at their best for this theta.

    With :math:`V = I + Z \Lambda \Lambda' Z'`, so that the response has covariance :math:`\sigma^2 V`:

    .. math::

        d(\theta) = \log|V| + n \left[1 + \log(2\pi r^2/n)\right], \quad r^2 = (y - X\hat\beta)'V^{-1}(y
        - X\hat\beta).

    The REML criterion adds :math:`\log|X'V^{-1}X|` and has n - p in the place of n.

    Parameters
    ----------
    theta : array
        The free entries of Lambda.
    y, X, Z : arrays (n,), (n, p), (n, r)
    Lambda : callable
        ``Lambda(theta)`` returns the (r, r) relative covariance factor of all random effects.

    Returns
    -------
    tuple
        The criterion, beta (p,), sigma, and the conditional modes b (r,).

    Examples
    --------
    Six groups of two, a random intercept:

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> Z = np.kron(np.eye(6), np.ones((2, 1)))
    >>> y = Z @ rng.normal(size=6) + rng.normal(size=12)
    >>> X, Lambda = np.ones((12, 1)), lambda theta: theta[0] * np.eye(6)
    >>> d, beta, sigma, b = profiled_deviance([1.0], y, X, Z, Lambda)
    >>> far = profiled_deviance([9.0], y, np.ones((12, 1)), Z, lambda theta: theta[0] * np.eye(6))[0]
    >>> bool(d < far)
    True
    """
    n, p = X.shape
    L = Lambda(np.atleast_1d(theta))
    V = np.eye(n) + Z @ L @ L.T @ Z.T
    V_inverse_X = np.linalg.solve(V, X)
    beta = np.linalg.solve(X.T @ V_inverse_X, V_inverse_X.T @ y)
    residual = y - X @ beta
    V_inverse_residual = np.linalg.solve(V, residual)
    df = n - p if reml else n
    sigma2 = residual @ V_inverse_residual / df
    deviance = np.linalg.slogdet(V)[1] + df * (1 + np.log(2 * np.pi * sigma2))
    if reml:
        deviance += np.linalg.slogdet(X.T @ V_inverse_X)[1]
    b = L @ L.T @ Z.T @ V_inverse_residual
    return deviance, beta, np.sqrt(sigma2), b


def fit(
    y: FloatArray,
    X: FloatArray,
    Z: FloatArray,
    Lambda: Callable[[FloatArray], FloatArray],
    start: ArrayLike,
    reml: bool = False,
) -> tuple[FloatArray, float, FloatArray, float, FloatArray]:
    """Minimise :func:`profiled_deviance` over theta; returns theta and what that function returns there."""
    best = minimize(
        lambda theta: profiled_deviance(theta, y, X, Z, Lambda, reml)[0],
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 10_000, "maxfev": 10_000},
    )
    return best.x, *profiled_deviance(best.x, y, X, Z, Lambda, reml)
