"""Log-densities as functions of the linear predictor, with their first three derivatives.

PIRLS and the Laplace approximation ask one question of a family and a link: how does log p(y | eta) bend?
Each function here answers it for one pair, sharing the exponentials between the answers and stopping at the
`order` asked for. With l(eta) = log p(y | eta),

    score = dl/deta        weight = -d2l/deta2        dweight = -d3l/deta3,

so `weight` is the *observed* information and `dweight` its slope. All the pairs of glmmlib are log-concave in
eta, that is, `weight` is never negative. The `kernel` is l up to terms without eta, which are
`glmmlib.families.base.Family.constant`. Everything is elementwise and broadcasts (a term that is free of
y may keep the shape of eta).

Out of range (eta <= 0 for the identity, sqrt and inverse links) the kernel is -inf and the rest NaN, without
a warning, so that a step that leads there is seen to be bad and is shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special as sp

from glmmlib.families.special import digamma_remainder, log1pmx, per_count, stirling_remainder
from glmmlib.types import FloatArray


class Derivatives(NamedTuple):
    """Kernel of the log-density and its derivatives in eta; what was not asked for is None."""

    kernel: np.ndarray
    score: Any = None
    weight: Any = None
    dweight: Any = None


class DispersionDerivatives(NamedTuple):
    """Derivatives in tau = log(dispersion) of the log-density, constant included, score and weight."""

    logpdf: np.ndarray
    score: np.ndarray
    weight: np.ndarray


# exp(700) is near the largest float; beyond it the functions below go on along their asymptotes.
_FAR = 700.0


# --- Binomial: y log F(eta) + (n - y) log(1 - F(eta)) -------------------------------------------------------


def log_logistic(x: FloatArray, order: int = 3) -> list[FloatArray]:
    """log(1 / (1 + exp(-x))) and its derivatives up to `order`, as a list.

    With one exponential: F' / F = 1 - F =: q, then -q p and q p (p - q).
    """
    softplus, q, p = _logistic(-x)
    terms = [-softplus, q]
    if order >= 2:
        terms.append(-q * p)
    if order >= 3:
        terms.append(terms[2] * (q - p))
    return terms[: order + 1]


def log_normal(x: FloatArray, order: int = 3) -> list[FloatArray]:
    """log Phi(x) and its derivatives up to `order`, as a list.

    With m = phi / Phi: m, -m (x + m) and m [(x + m)(x + 2m) - 1]. Phi comes from the scaled error function
    erfcx, which neither over- nor underflows. Left of -8, x + m is a difference of nearly equal numbers and a
    continued fraction takes over.
    """
    x = np.asarray(x, float)
    half = 0.5 * sp.erfcx(np.abs(x) * np.sqrt(0.5))
    gauss = np.exp(-0.5 * np.square(np.maximum(x, 0)))  # 1 left of 0: there erfcx has taken the factor out
    scaled = np.where(x < 0, half, 1 - half * gauss)
    terms = [np.log(scaled) - 0.5 * np.square(np.minimum(x, 0))]
    if order >= 1:
        m = gauss / (np.sqrt(2 * np.pi) * scaled)
        terms.append(m)
    if order >= 2:
        gap = x + m
        terms.append(-m * gap)
    if order >= 3:
        terms.append(m * (gap * (gap + m) - 1))
    if order >= 2 and np.min(x, initial=0) < -8:
        exact = _normal_tail(np.maximum(-x, 8), m)
        terms[2:] = [np.where(x < -8, tail, term) for tail, term in zip(exact, terms[2:], strict=False)]
    return terms


def _normal_tail(a, m):
    """Second and third derivative of log Phi at -a, a > 8.

    m = a + d1 with d1 = 1/(a + d2), d2 = 2/(a + d3), d3 = 3/(a + d4) ... (Laplace's continued fraction for
    the normal tail, Abramowitz & Stegun 1964, 26.2.14), and the differences can be taken by hand.
    """
    d = [0.0]
    for k in range(24, 0, -1):
        d.append(k / (a + d[-1]))
    d1, d2, d3 = d[-1], d[-2], d[-3]
    return -m * d1, m * d1 * d1 * d2 * (d3 - d2)


def log_gumbel(x: FloatArray, order: int = 3) -> list[FloatArray]:
    """log(1 - exp(-exp(x))), the cloglog's success, and its derivatives up to `order`, as a list.

    With e = exp(x), b = e / (exp(e) - 1) and c = e + b - 1: b, -b c and b (c (b + c) - e).
    """
    x = np.asarray(x, float)
    near = np.clip(x, -_FAR, _FAR)
    e = np.exp(near)
    p = -np.expm1(-e)
    terms = [np.log(p) + np.minimum(x + _FAR, 0)]
    if order >= 1:
        b = e * np.exp(-e) / p
        terms.append(b)
    if order >= 2:
        c = np.where(e < 0.5, _bernoulli_series(np.minimum(e, 0.5)), e + b - 1)
        terms.append(-b * c)
    if order >= 3:
        # where b is 0 its product with e^2 would be 0 * inf
        e, c = np.minimum(e, _FAR), np.minimum(c, _FAR)
        terms.append(b * (c * (b + c) - e))
    return terms


def log_gumbel_survival(x: FloatArray, order: int = 3) -> list[FloatArray]:
    """log exp(-exp(x)) = -exp(x), the cloglog's failure, and its derivatives up to `order`."""
    return [-np.exp(np.minimum(x, _FAR))] * (order + 1)


def _bernoulli_series(e: FloatArray) -> FloatArray:
    """e + e / (exp(e) - 1) - 1 for small e, where the sum cancels: e/2 + sum of B_2n e^2n / (2n)!."""
    z = e * e
    series = 1 / 12 + z * (
        -1 / 720 + z * (1 / 30240 + z * (-1 / 1209600 + z * (1 / 47900160 - z * 5.28419e-10)))
    )
    return e / 2 + z * series


def _logistic(t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """log(1 + exp(t)), 1 / (1 + exp(-t)) and 1 / (1 + exp(t)), all to full relative accuracy."""
    near = np.minimum(t, _FAR)
    e = np.exp(near)
    lower = 1 / (1 + e)
    return np.log1p(e) + (t - near), e * lower, lower


_SYMMETRIC = {"logit": log_logistic, "probit": log_normal}


def binomial(y: FloatArray, eta: FloatArray, n: FloatArray | None, link: str, order: int) -> Derivatives:
    """y successes out of n (None: one trial each, the fast path) under the logit, probit or cloglog link."""
    if n is None and link in _SYMMETRIC:
        sign = 2 * y - 1  # log F(eta) for a success, log F(-eta) for a failure
        terms = _SYMMETRIC[link](sign * eta, order)
        return _derivatives([term * sign if k % 2 else term for k, term in enumerate(terms)])
    lost = (1 if n is None else n) - y
    if link == "logit":
        return _binomial_logit(y, lost, eta, order)
    success, failure = _sides(eta, link, order)
    return _derivatives([y * s + lost * f for s, f in zip(success, failure, strict=True)])


def _binomial_logit(y: FloatArray, lost: FloatArray, eta: FloatArray, order: int) -> Derivatives:
    """y successes and lost failures: one exponential, of -|eta|, serves both sides to full accuracy."""
    far = np.minimum(np.abs(eta), _FAR)
    e = np.exp(-far)
    is_up, larger = eta > 0, 1 / (1 + e)
    kernel = y * np.minimum(eta, 0) - lost * np.maximum(eta, 0) - (y + lost) * np.log1p(e)
    if order == 0:
        return Derivatives(kernel)
    smaller = e * larger
    p, q = np.where(is_up, larger, smaller), np.where(is_up, smaller, larger)
    weight = (y + lost) * (p * q)
    return Derivatives(kernel, *(y * q - lost * p, weight, weight * (q - p))[:order])


def binomial_fisher(eta: FloatArray, link: str) -> FloatArray:
    """Expected information of one trial, (dF/deta)^2 / (F (1 - F)), as a product of two safe ratios."""
    if link == "logit":
        _, p, q = _logistic(eta)
        return p * q
    success, failure = _sides(eta, link, 1)
    return -success[1] * failure[1]


def _sides(eta: FloatArray, link: str, order: int) -> tuple[list[FloatArray], list[FloatArray]]:
    """log F(eta) and log(1 - F(eta)) with derivatives in eta."""
    if link == "cloglog":
        return log_gumbel(eta, order), log_gumbel_survival(eta, order)
    log_cdf = _SYMMETRIC[link]
    mirrored = log_cdf(-eta, order)
    return log_cdf(eta, order), [-term if k % 2 else term for k, term in enumerate(mirrored)]


def _derivatives(terms: Sequence[FloatArray]) -> Derivatives:
    """l, l', l'', l''' -> kernel, score, weight, dweight."""
    return Derivatives(*(term if k < 2 else -term for k, term in enumerate(terms)))


# --- Poisson: y log mu - mu, of large counts less its largest value y log y - y -----------------------------

MANY = 1e6  # from which counts on: their sum would have no digits left for what the mean changes


def poisson_constant(y: FloatArray) -> FloatArray:
    """What the kernels of the Poisson leave out: -log y!, of large counts with the largest value added."""
    y = np.asarray(y, float)
    many = np.maximum(y, MANY)
    at_largest = -0.5 * np.log(2.0 * np.pi * many) - stirling_remainder(many)
    return np.where(y < MANY, -sp.gammaln(np.minimum(y, MANY) + 1.0), at_largest)


def _of_many(kernel: FloatArray, y: FloatArray, less: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Put what `less` gives of large counts in the place of a kernel."""
    y = np.asarray(y, float)
    if not np.max(y, initial=0.0) >= MANY:
        return kernel
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(y < MANY, kernel, less(np.maximum(y, MANY)))


def poisson_log(y: FloatArray, eta: FloatArray, order: int) -> Derivatives:
    """mu = exp(eta): l = y eta - mu, score y - mu, weight = dweight = mu."""
    with np.errstate(over="ignore"):
        mu = np.exp(eta)
    kernel = _of_many(y * eta - mu, y, lambda y: y * _log_less_rise(eta - np.log(y)))
    return Derivatives(kernel, *(y - mu, mu, mu)[:order]) if order else Derivatives(kernel)


def _log_less_rise(t):
    """t - (exp(t) - 1), minus infinity at both ends."""
    return t - np.expm1(t)


def _log_of_square(s):
    """log((1 + s)^2) - ((1 + s)^2 - 1)."""
    return 2.0 * log1pmx(s) - s * s


def poisson_sqrt(y: FloatArray, eta: FloatArray, order: int) -> Derivatives:
    """mu = eta^2: l = 2 y log eta - eta^2."""
    eta = _positive(eta)
    plain = 2 * y * np.log(eta) - eta * eta
    kernel = _minus_inf_for_nan(_of_many(plain, y, lambda y: y * _log_of_square(eta / np.sqrt(y) - 1.0)))
    if order == 0:
        return Derivatives(kernel)
    ratio = 2 * y / eta
    rest = (ratio - 2 * eta, ratio / eta + 2, -2 * ratio / (eta * eta))
    return Derivatives(kernel, *rest[:order])


def poisson_identity(y: FloatArray, eta: FloatArray, order: int) -> Derivatives:
    """mu = eta: l = y log eta - eta."""
    eta = _positive(eta)
    plain = y * np.log(eta) - eta
    kernel = _minus_inf_for_nan(_of_many(plain, y, lambda y: y * log1pmx(eta / y - 1.0)))
    if order == 0:
        return Derivatives(kernel)
    ratio = y / eta
    curved = ratio / eta
    return Derivatives(kernel, *(ratio - 1, curved, -2 * curved / eta)[:order])


# --- Negative binomial, Var = mu + mu^2 / k -----------------------------------------------------------------


def negbinomial_log(y: FloatArray, eta: FloatArray, k: FloatArray, order: int) -> Derivatives:
    """mu = exp(eta): l = y eta - (y + k) log(1 + mu/k).

    These are y successes and k failures at logit eta - log k. As k grows it goes to the Poisson's y eta - mu
    without losing digits.
    """
    softplus, p, q = _logistic(eta - np.log(k))
    kernel = y * eta - (y + k) * softplus
    if order == 0:
        return Derivatives(kernel)
    score = y * q - k * p
    if order == 1:
        return Derivatives(kernel, score)
    weight = (y + k) * (p * q)
    return Derivatives(kernel, score, weight, weight * (q - p) if order >= 3 else None)


def negbinomial_log_dispersion(y: FloatArray, eta: FloatArray, k: FloatArray) -> DispersionDerivatives:
    """Derivatives in tau = log k; the digamma terms are taken as differences that stay exact for large k."""
    softplus, p, q = _logistic(eta - np.log(k))
    score = y * q - k * p
    delta = score / k  # (y - mu) / (mu + k), so that log(1 + delta) = log((y + k) / (mu + k))
    bend = log1pmx(np.maximum(delta, -0.5))
    if np.min(delta, initial=0) < -0.5:  # 1 + delta may round to 0
        bend = np.where(delta < -0.5, np.log1p(y / k) - softplus - delta, bend)

    def digammas(y: FloatArray):
        return y / (2 * k * (k + y)) + digamma_remainder(k) - digamma_remainder(y + k)

    gap = per_count(digammas, y) if np.ndim(k) == 0 else digammas(y)
    return DispersionDerivatives(
        logpdf=k * (gap + bend),
        score=p * score,
        weight=p * q * (2 * k * p - y * (q - p)),
    )


def negbinomial_log_fisher(eta: FloatArray, k: FloatArray) -> FloatArray:
    """Expected information, mu / (1 + mu / k)."""
    return k * _logistic(eta - np.log(k))[1]


# --- Gamma, Var = mu^2 / a ----------------------------------------------------------------------------------


def gamma_log(y: FloatArray, eta: FloatArray, a: FloatArray, order: int) -> Derivatives:
    """mu = exp(eta), shape a: l = -a (y/mu - 1 - log(y/mu))."""
    log_ratio = np.log(y) - eta
    with np.errstate(over="ignore"):
        excess = np.expm1(log_ratio)
        kernel = a * (log_ratio - excess)
        if order == 0:
            return Derivatives(kernel)
        weight = a * (excess + 1)
        return Derivatives(kernel, *(a * excess, weight, -weight)[:order])


def gamma_inverse(y: FloatArray, eta: FloatArray, a: FloatArray, order: int) -> Derivatives:
    """mu = 1 / eta, shape a: l = -a (y eta - 1 - log(y eta))."""
    eta = _positive(eta)
    kernel = _minus_inf_for_nan(a * log1pmx(y * eta - 1))
    if order == 0:
        return Derivatives(kernel)
    weight = a / (eta * eta)
    return Derivatives(kernel, *(a * (1 / eta - y), weight, -2 * weight / eta)[:order])


# --- Links of limited range ---------------------------------------------------------------------------------


def _positive(eta):
    """eta with NaN wherever it is not positive."""
    eta = np.asarray(eta, float)
    return eta if np.min(eta, initial=1) > 0 else np.where(eta > 0, eta, np.nan)


def _minus_inf_for_nan(kernel: FloatArray) -> FloatArray:
    """A mean out of range has density 0."""
    return np.where(np.isnan(kernel), -np.inf, kernel)
