"""Log-densities with score and weight (minus the second derivative) in the linear predictor, plainly written.

Each takes the response, eta, the weights (binomial: trials; None for ones) and the dispersion.
"""

import numpy as np
from scipy import special as sp


def _logit(y, eta, n, k):
    n = np.ones_like(y) if n is None else n
    p, q = sp.expit(eta), sp.expit(-eta)
    value = _choose(n, y) + y * sp.log_expit(eta) + (n - y) * sp.log_expit(-eta)
    return value, y * q - (n - y) * p, n * p * q


def _probit(y, eta, n, k):
    n = np.ones_like(y) if n is None else n
    up, down = sp.log_ndtr(eta), sp.log_ndtr(-eta)
    log_phi = -0.5 * eta**2 - 0.5 * np.log(2 * np.pi)
    a, b = np.exp(log_phi - up), np.exp(log_phi - down)
    return (
        _choose(n, y) + y * up + (n - y) * down,
        y * a - (n - y) * b,
        y * a * (a + eta) + (n - y) * b * (b - eta),
    )


def _cloglog(y, eta, n, k):
    n = np.ones_like(y) if n is None else n
    e = np.exp(np.clip(eta, -300, 300))
    r = e / np.expm1(np.minimum(e, 700))  # derivative of log(1 - exp(-e)) in eta
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(e < 1e-12, eta, np.log(-np.expm1(-e)))
        curve = np.where(e < 1e-4, e / 2, e + r - 1)
    value = _choose(n, y) + np.where(y > 0, y * up, 0.0) - (n - y) * e
    return value, y * r - (n - y) * e, y * r * curve + (n - y) * e


def _poisson(y, eta, w, k):
    mu = np.exp(np.minimum(eta, 600))
    return _weighted(w, y * eta - mu - sp.gammaln(y + 1), y - mu, mu)


def _poisson_sqrt(y, eta, w, k):
    eta = np.where(eta > 0, eta, np.nan)
    return _weighted(
        w, 2 * y * np.log(eta) - eta**2 - sp.gammaln(y + 1), 2 * y / eta - 2 * eta, 2 * y / eta**2 + 2
    )


def _poisson_identity(y, eta, w, k):
    eta = np.where(eta > 0, eta, np.nan)
    return _weighted(w, y * np.log(eta) - eta - sp.gammaln(y + 1), y / eta - 1, y / eta**2)


def _negbinomial(y, eta, w, k):
    mu = np.exp(np.clip(eta, -600, 600))
    if k < 1e5:  # log Gamma(y + k) / Gamma(k) y!
        constant = -np.log(y + k) - sp.betaln(k, y + 1)
        value = constant - k * np.log1p(mu / k) - y * np.log1p(k / mu)
    else:  # sum of log(1 + i / k), to the second order
        constant = y * (y - 1) / (2 * k) - y * (y - 1) * (2 * y - 1) / (12 * k**2) - sp.gammaln(y + 1)
        value = constant + y * eta - (y + k) * np.log1p(mu / k)
    p, q = sp.expit(eta - np.log(k)), sp.expit(np.log(k) - eta)  # mu and k, over mu + k
    return _weighted(w, value, (y - mu) * q, (y + k) * p * q)


def _gamma(y, eta, w, phi):
    a = (1.0 if w is None else w) / phi
    ratio = np.exp(np.clip(np.log(y) - eta, -600, 600))
    return (
        a * np.log(a) + a * (np.log(y) - eta) - a * ratio - np.log(y) - sp.gammaln(a),
        a * (ratio - 1),
        a * ratio,
    )


def _gamma_inverse(y, eta, w, phi):
    a = (1.0 if w is None else w) / phi
    eta = np.where(eta > 0, eta, np.nan)
    return a * np.log(a * y * eta) - a * y * eta - np.log(y) - sp.gammaln(a), a * (1 / eta - y), a / eta**2


def _choose(n, y):
    return sp.gammaln(n + 1) - sp.gammaln(y + 1) - sp.gammaln(n - y + 1)


def _weighted(w, *terms):
    return terms if w is None else tuple(w * t for t in terms)


DENSITIES = {
    ("binomial", "logit"): _logit,
    ("binomial", "probit"): _probit,
    ("binomial", "cloglog"): _cloglog,
    ("poisson", "log"): _poisson,
    ("poisson", "sqrt"): _poisson_sqrt,
    ("poisson", "identity"): _poisson_identity,
    ("negbinomial", "log"): _negbinomial,
    ("gamma", "log"): _gamma,
    ("gamma", "inverse"): _gamma_inverse,
}
WITH_DISPERSION = ("negbinomial", "gamma")
