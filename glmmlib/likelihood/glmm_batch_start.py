"""First parameters for many replicates of a generalised model."""

from collections.abc import Callable
from typing import Any

import numpy as np

from glmmlib.likelihood.glmm_batch import LaplaceBatch, cholesky, inverse, left, solve
from glmmlib.types import FloatArray, Numbers


def start(
    replicates: LaplaceBatch, theta: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return first parameters (R, P), a guess of the inverse Hessian (R, P, P) and of the modes (q, R, J).

    As for a single fit: a generalised linear model, variances by the method of moments from its scores, and
    some steps of PIRLS for beta and u together. With ``theta`` (R, k), there.
    """
    r = replicates
    beta, dispersion = _glm(r)
    if theta is None:
        theta = r.covariance.start([_moments(r, beta, dispersion)])
    (L,) = r.covariance.factors(theta)
    u: FloatArray = np.zeros((r.q, len(beta), r.J))
    beta, u, C, schur = _joint_steps(r, beta, L, u, dispersion)
    variance = np.nan_to_num(np.einsum("aarj->ra", inverse(C)) / r.J)
    reliability = np.clip(1.0 - variance, 0.1, 1.0)
    ratio = np.einsum("raa->ra", L) / reliability
    guess = ratio[:, :, None] * ratio[:, None, :] / r.J
    guess = np.where(np.eye(r.q) > 0, guess / 4.0, guess / 2.0)
    tau = None if dispersion is None else np.log(dispersion[:, 0])
    x = r.join(beta, theta, tau)
    H = np.zeros((len(x), x.shape[1], x.shape[1]))
    diagonal = np.arange(x.shape[1])
    H[:, diagonal, diagonal] = r.join(
        np.ones_like(beta),
        r.covariance.inverse_curvature(theta, [guess]),
        None if tau is None else np.full(len(x), 0.25 / r.Y.shape[1]),
    )
    H[:, : r.p, : r.p] = 0.5 * np.linalg.pinv(schur, hermitian=True)
    if tau is not None:
        H[:, -1, -1] = _dispersion_spread(r, x, u)
    return x, H, u


def _glm(r):
    """Fit the models without random effects by Fisher scoring, roughly."""
    family, p = r.family, r.p
    dispersion = np.ones((len(r.Y), 1)) if family.has_dispersion else None
    QQ = _squares(r)
    offset = 0.0 if r.offset is None else r.offset
    eta = np.broadcast_to(family.link.link(family.start_mean(r.Y, r.weights)), r.Y.shape)

    def weighted(eta: FloatArray, rhs: Callable[..., Any]) -> FloatArray:
        w = np.broadcast_to(family.fisher(eta, r.weights, dispersion), eta.shape)
        return np.einsum(
            "rxy,ry->rx", np.linalg.pinv((w @ QQ).reshape(len(w), p, p), hermitian=True), rhs(w) @ r.Q.T
        )

    beta = weighted(eta, lambda w: w * (eta - offset))
    for _ in range(8):
        eta = r.fixed_part(beta)
        d = r.derivatives(eta, dispersion, order=1)
        with np.errstate(all="ignore"):
            step = weighted(eta, lambda w: d.score) if np.isfinite(d.score).all() else np.zeros_like(beta)  # noqa: B023
        size = np.sqrt((step**2).sum(axis=1, keepdims=True) / r.Y.shape[1])  # RMS change of eta
        beta = beta + step * np.minimum(1.0, 2.0 / np.maximum(size, 1e-300))
        if size.max(initial=0.0) < 0.2:
            break
    if family.has_dispersion:
        mu = family.link.inverse(r.fixed_part(beta))
        dispersion = family.start_auxiliary(r.Y, mu, r.weights)[:, None]
    return beta, dispersion


def _moments(r, beta, dispersion):
    """Variances from the spread of the scores' sums: without random effects ``Var(Z_j'r) = Z_j'WZ_j``."""
    eta = r.fixed_part(beta)
    d = r.derivatives(eta, dispersion, order=2)
    A = r.weighted_blocks(np.maximum(d.weight, 0.1 * r.family.fisher(eta, r.weights, dispersion)))
    a, s = np.einsum("aarj->raj", A), r.Z_products(d.score).swapaxes(0, 1)
    variance = ((s * s).sum(axis=2) - a.sum(axis=2)) / (a * a).sum(axis=2)
    typical = 1.0 / np.maximum(a.mean(axis=2), 1e-12)
    return np.clip(variance, 0.05 * typical, 20.0 * typical)


def _joint_steps(
    r: LaplaceBatch,
    beta: FloatArray,
    L: FloatArray,
    u: FloatArray,
    dispersion: Numbers | None,
    n_steps: int = 3,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """PIRLS steps for beta and u together; returns both, and before the last step: Cholesky factors and Schur
    complement.
    """

    def at(beta, u):
        d = r.derivatives(r.fixed_part(beta) + r.row_effects(left(L, u)), dispersion, order=2)
        value = -2.0 * d.kernel.sum(axis=1) + np.einsum("arj,arj->r", u, u)
        return d.score, np.broadcast_to(d.weight, r.Y.shape), np.where(np.isfinite(value), value, np.inf)

    score, weight, value = at(beta, u)
    for _ in range(n_steps):
        C, schur, dbeta, du, gain = _joint_step(r, L, u, score, weight)
        length = np.ones(len(beta))
        for _ in range(8):
            trial_beta, trial_u = beta + length[:, None] * dbeta, u + length[:, None] * du
            score, weight, new = at(trial_beta, trial_u)
            rose = ~(new <= value) & (length > 0)
            if not rose.any():
                break
            length = np.where(rose, np.where(length > 0.01, 0.5 * length, 0.0), length)
        beta, u, value = trial_beta, trial_u, np.minimum(new, value)
        if gain.max(initial=0.0) < 0.1:
            break
    return beta, u, C, schur


def _joint_step(
    r: LaplaceBatch, L: FloatArray, u: FloatArray, score: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    Lt, p, R = L.swapaxes(1, 2), r.p, len(L)
    C = cholesky(r.weighted_blocks(weight), L)
    B = [left(Lt, r.Z_products(weight * column)) for column in r.Q]  # Lambda'Z'W x
    HB = [solve(C, b) for b in B]
    products = np.array([[np.einsum("arj,arj->r", b, h) for h in HB] for b in B]).reshape(p, p, R)
    schur = (weight @ _squares(r)).reshape(R, p, p) - products.transpose(2, 0, 1)
    g = left(Lt, r.Z_products(score)) - u
    Hg = solve(C, g)
    rhs = score @ r.Q.T - np.array([np.einsum("arj,arj->r", b, Hg) for b in B]).reshape(p, R).T
    good = np.isfinite(schur).all(axis=(1, 2)) & np.isfinite(rhs).all(axis=1)
    schur = np.where(good[:, None, None], schur, np.eye(p))
    dbeta = np.einsum("rxy,ry->rx", np.linalg.pinv(schur, hermitian=True), np.where(good[:, None], rhs, 0.0))
    du = Hg - sum((h * dbeta[:, x, None] for x, h in enumerate(HB)), np.zeros_like(Hg))
    du = np.where(good[:, None], du, 0.0)
    gain = np.einsum("rx,rx->r", dbeta, rhs) + np.einsum("arj,arj->r", du, np.where(good[:, None], g, 0.0))
    return C, schur, dbeta, du, gain


def _squares(r: LaplaceBatch) -> FloatArray:
    """Return the products of the columns of X, row by row: (n, p p)."""
    return np.einsum("xn,yn->nxy", r.Q, r.Q).reshape(r.Q.shape[1], r.p**2)


def _dispersion_spread(r, x, u):
    shift = np.zeros_like(x)
    shift[:, -1] = 0.1
    up, down = (r.evaluate(x + s * shift, u).gradient[:, -1] for s in (1, -1))
    curvature = np.abs(up - down) / 0.2
    return 1.0 / np.clip(np.nan_to_num(curvature, nan=1.0), 0.5, 4.0 * r.Y.shape[1])
