"""Shrinkage: how far each group's own estimate is drawn towards the fixed effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import refuse_curves
from glmmlib.design.residual import refuse_residual_side
from glmmlib.display.arguments import checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.linalg import blocks
from glmmlib.types import FloatArray
from glmmlib.variance.between import group_positions

# Eigenvalues of a group's Z'WZ below this share of the largest: its own least squares has no answer.
RANK = 1e-10


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """Raw and shrunken random effects of one grouping factor; ``shrinkage["factor"]`` is a column of the
    table.

    Attributes
    ----------
    group : str
    table : DataFrame
        One row for each level; see :func:`glmmlib.shrinkage` for the columns.
    weights : (J, q, q) array
        ``weights[j] @ raw[j]`` is ``shrunken[j]``; for one random effect the factor itself.
    """

    group: str
    table: pd.DataFrame
    weights: np.ndarray = field(repr=False)

    def __getitem__(self, column: str) -> pd.Series:
        return self.table[column]

    def __repr__(self) -> str:
        return (
            "Shrinkage of the random effects of "
            f"{self.group}\n{self.table.to_string(float_format='{:.4g}'.format)}"
        )

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format="{:.4g}".format, border=0)


@checked
def shrinkage(fit: FittedModel, group: str | None = None) -> Shrinkage:
    r"""Compare each group's own estimate with its conditional mode (BLUP).

    With the GLS estimate of beta, the variances and the modes of any other grouping factor held as they are,
    let
    :math:`r` be what is left of the response.  The raw effect of group j is least squares of :math:`r_j` on
    :math:`Z_j`: no pooling.  The conditional mode is, exactly,

    .. math::

        \tilde b_j = W_j \, b_j^{raw}, \qquad W_j = \Lambda (I + \Lambda'Z_j'Z_j\Lambda)^{-1} \Lambda'
        Z_j'Z_j .

    For a random intercept the raw effect is the mean residual :math:`\bar y_j - \bar x_j'\hat\beta`, and the
    factor is
    :math:`n_j\theta^2 / (1 + n_j\theta^2)` with :math:`\theta^2 = \sigma_b^2/\sigma^2`: near 1 in large
    groups, even where the ICC is small.

    Parameters
    ----------
    fit : LinearMixedModelFit
    group : str, optional
        The grouping factor; may be left out where there is one only.

    Returns
    -------
    Shrinkage
        Its table has ``n``, the rows of each group, and for one random effect ``raw``, ``shrunken`` and
        ``factor``; for several, ``"raw Days"``, ``"shrunken Days"`` and ``"kept Days"`` for each: the share
        of the variance of the effect that its mode keeps, :math:`(W_j\Sigma)_{kk} / \Sigma_{kk}` (NaN where
        the variance is zero). A raw effect that the group's own rows do not identify is NaN; its mode is not.

    Raises
    ------
    ModelError
        For a generalised model, whose modes are no linear function of raw estimates, and where several
        grouping factors leave open which is meant.

    Notes
    -----
    With known weights, :math:`Z_j'Z_j` is :math:`Z_j'WZ_j` and means are weighted. Modes are unbiased
    averaged over groups, :math:`E(\tilde b_j - b_j) = 0`, but for *this* group with its true :math:`b_j` they
    are biased towards zero; in exchange their mean square error over groups is smaller (Robinson 1991).

    References
    ----------
    Robinson (1991), That BLUP is a good thing: the estimation of random effects, *Statistical Science* 6.

    Snijders and Bosker (2012), *Multilevel Analysis*, 2nd ed., chapter 4.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> gl.shrinkage(fit).table.head(2).round(3)
          n     raw  shrunken  factor
    308  10  43.626    40.784   0.935
    309  10 -83.275   -77.850   0.935
    """
    if not fit.is_linear:
        raise ModelError(
            "in a generalised model the conditional modes are no linear function of raw estimates, so there"
            " is no shrinkage factor; compare fit.ranef() with a fit of each group by itself"
        )
    refuse_curves(fit.groups, "shrinkage")
    refuse_residual_side(fit.design, "shrinkage")
    if group is None and len(fit.groups) > 1:
        names = ", ".join(g.name for g in fit.groups)
        raise ModelError(
            f"this fit has several grouping factors ({names}): name one, as in shrinkage(fit, "
            f"group={fit.groups[0].name!r})"
        )
    position = group_positions(fit, group)[0]
    g = fit.groups[position]
    if g.is_whole:
        raise ModelError(
            f"shrinkage compares a group's mode with what its own rows say, and the effects of "
            f"{', '.join(term.text for term in g.terms)} belong to all rows: look at fit.ranef()"
        )
    A, raw = _own_least_squares(fit, position)
    L = np.linalg.solve(g.factor.to_standard, fit.solution.Lambdas[position])
    weights = _weights(A, L)
    T = g.factor.to_standard
    raw, modes = T @ raw, fit.solution.modes[position]
    table = pd.DataFrame({"n": np.bincount(g.factor.codes, minlength=len(g.levels))}, g.levels)
    if g.q == 1:
        table["raw"], table["shrunken"], table["factor"] = raw[0], modes[0], weights[0, 0]
        return Shrinkage(g.name, table, weights[0, 0][:, None, None])
    weights = np.moveaxis(blocks.right(blocks.left(T, weights), np.linalg.inv(T)), -1, 0)
    kept = _share_kept(A, L, T)
    for k, name in enumerate(g.columns):
        table[f"raw {name}"], table[f"shrunken {name}"], table[f"kept {name}"] = raw[k], modes[k], kept[k]
    return Shrinkage(g.name, table, weights)


def _own_least_squares(fit, position):
    """Return ``Z'WZ`` (q, q, J) and the least squares estimates (q, J) of each group, in standardised
    columns.
    """
    g = fit.groups[position]
    modes = list(fit.solution.modes)
    modes[position] = np.zeros_like(modes[position])
    residual = fit.design.y - fit.solution.linear_predictor(modes)
    Z, w, J = g.factor.columns(), fit.design.weights, len(g.levels)
    wZ = Z if w is None else Z * w

    def by_group(values):
        return np.bincount(g.factor.codes, values, minlength=J)

    A = np.array([[by_group(a * b) for b in Z] for a in wZ])
    Zr = np.array([by_group(a * residual) for a in wZ])
    values, vectors = np.linalg.eigh(np.moveaxis(A, -1, 0))
    identified = (values[:, 0] > RANK * values[:, -1]) & (values[:, -1] > 0)
    inverse = 1.0 / np.where(identified[:, None], values, np.nan)
    return A, np.einsum("jab,jb,jcb,cj->aj", vectors, inverse, vectors, Zr)


def _weights(A: FloatArray, L: FloatArray) -> FloatArray:
    """Return ``L (I + L'AL)^-1 L'A`` by group, (q, q, J)."""
    return blocks.multiply(_mode_covariance(A, L), A)


def _mode_covariance(A: FloatArray, L: FloatArray) -> FloatArray:
    """Return ``L (I + L'AL)^-1 L'``, the conditional covariance over sigma^2, by group."""
    M = np.moveaxis(blocks.right(blocks.left(L.T, A), L), -1, 0) + np.eye(len(L))
    return np.moveaxis(L @ np.linalg.solve(M, np.broadcast_to(L.T, M.shape)), 0, -1)


def _share_kept(A, L, T):
    """Return ``1 - Var(b | y) / Var(b)`` for each effect and group, (q, J)."""
    left = np.einsum("ab,bcj,ac->aj", T, _mode_covariance(A, L), T)
    variance = ((T @ L) ** 2).sum(axis=1)[:, None]
    return 1.0 - left / np.where(variance > 0, variance, np.nan)
