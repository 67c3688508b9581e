"""What can be compared, and which model sits in which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.covariance.unstructured import Unstructured
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedLinearModel, FittedModel
from glmmlib.models.results import MixedModelFit
from glmmlib.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Step:
    """How a smaller model sits in a larger one: ``df`` parameters fewer, ``missing`` of which sit on the edge
    of their range, as dimensions of covariance that are lost do; or why no null distribution is known.
    """

    df: int
    missing: int
    hypothesis: str
    unknown: str = ""


def check_comparable(fits: Sequence[FittedModel]) -> None:
    """Refuse fits of different data, and of different approximations of the likelihood."""
    for fit in fits:
        if not isinstance(fit, MixedModelFit):
            raise ModelError(
                f"anova compares mixed models, not a {type(fit).__name__}; gl.compare sets AIC and BIC of "
                "pooled fits beside"
            )
    first = fits[0]
    for other in fits[1:]:
        check_same_data(first, other)
        if not _are_related(first, other):
            raise ModelError(
                f"the fits have different families or links ({_family(first)} and {_family(other)}): "
                "neither is"
                " nested in the other; gl.compare may set their AIC side by side"
            )
        check_same_quadrature(first, other)
        if not _same(first.design.offset, _in_order(other.design.offset, first, other), 0.0):
            raise ModelError("the fits have different offsets, so neither is nested in the other")


def check_same_data(first: FittedModel, other: FittedModel) -> None:
    """Refuse fits of different rows, responses or weights."""
    a, b = first.design, other.design
    if a.nobs != b.nobs or not (a.index.equals(b.index) or _is_reordered(a.index, b.index)):
        raise ModelError(
            f"the fits use different rows ({a.nobs} and {b.nobs}; missing values?): drop the incomplete "
            "rows of all"
            " columns first, then fit both"
        )
    y, trials, weights = (_in_order(values, first, other) for values in (b.y, b.trials, b.weights))
    if not np.array_equal(a.y, y) or not _same(a.trials, trials, 1.0):
        raise ModelError(
            f"the fits have different responses ({a.response_name} and {b.response_name}): their "
            "likelihoods cannot be compared"
        )
    if not _same(a.weights, weights, 1.0):
        raise ModelError("the fits have different weights: their likelihoods cannot be compared")


def _is_reordered(one, other):
    return one.is_unique and other.is_unique and one.sort_values().equals(other.sort_values())


def row_order(first: FittedModel, other: FittedModel) -> IntArray | None:
    """Return where in `other` each row of `first` stands, or None for fits of the same rows in one order."""
    a, b = first.design.index, other.design.index
    return None if a.equals(b) else b.get_indexer(a)


def _in_order(values, first, other):
    """Return what `other` has by row, in the order of `first`."""
    order = row_order(first, other)
    return values if values is None or order is None else values[order]


def check_same_quadrature(first: FittedModel, other: FittedModel) -> None:
    """Refuse different approximations of one likelihood."""
    n = [getattr(fit, "n_agq", 1) for fit in (first, other)]
    if n[0] != n[1]:
        raise ModelError(
            f"the fits approximate the likelihood differently (n_agq = {n[0]} and {n[1]}): fit both with "
            "the same n_agq"
        )


def _same(a, b, default):
    if a is None and b is None:
        return True
    a, b = (np.float64(default) if x is None else x for x in (a, b))
    return bool(np.all(a == b))


def _family(fit: FittedModel) -> str:
    return "gaussian" if fit.is_linear else f"{fit.family.name} ({fit.family.link.name})"


def _are_related(first, other):
    """Is one family the other, or a special case of it?"""
    a, b = first.family, other.family
    return _family(first) == _family(other) or bool(a.special_case(b) or b.special_case(a))


def one_criterion(fits: Sequence[FittedModel], refit: bool) -> tuple[Sequence[FittedModel], str, bool]:
    """Return the fits, refitted by ML if asked for, with the name of their criterion and whether they were
    refitted.
    """
    reml = [fit.reml for fit in fits]
    if not any(reml):
        return fits, "ML", False
    if refit:
        return [cast(FittedLinearModel, fit).with_criterion(reml=False) for fit in fits], "ML", True
    if not all(reml):
        raise ModelError(
            "some fits are by REML and others by ML: their criteria cannot be compared; use refit=True"
        )
    first = fits[0].X
    for fit in fits[1:]:
        X = _in_order(fit.X, fits[0], fit)
        if X.shape != first.shape or not np.allclose(X, first, rtol=1e-12, atol=0):
            raise ModelError(
                "REML criteria of models with different fixed effects (or the same in other units) cannot "
                "be compared,"
                " because each is a likelihood of other residuals: use refit=True to refit by ML"
            )
    return fits, "REML", False


def nested_step(m0: FittedModel, m1: FittedModel, reml: bool = False) -> Step:
    """Return the :class:`Step` from m1 down to m0.

    The fixed effects are nested if X0 lies in the column space of X1. The random effects are if every
    covariance that m0 can have, m1 can have too: the covariance of the responses is linear in variances and
    covariances, so this asks if the matrices Z K Z' of m0 lie in the span of m1's. They are compared by their
    products with two random vectors.

    Raises
    ------
    ModelError
        If m0 is not nested in m1, or has as many parameters.
    """
    df = m1.n_parameters - m0.n_parameters
    if df == 0:
        raise ModelError(
            f"the fits of {m0.model_text!r} and {m1.model_text!r} have the same number of parameters "
            f"({m0.n_parameters}), so"
            " neither is nested in the other; gl.compare sets their AIC side by side"
        )
    special = "" if _family(m0) == _family(m1) else m1.family.special_case(m0.family)
    if _family(m0) != _family(m1) and not special:
        raise ModelError(
            f"the models are not nested: the {m0.family.name} family of the smaller is no special case of "
            f"the {m1.family.name} family"
        )
    extra = _outside(m0.X, _in_order(m1.X, m0, m1))
    if extra.any():
        which = m0.params.index[int(np.argmax(extra))]
        raise ModelError(
            f"the models are not nested: the fixed effect {which!r} of {m0.model_text!r} is not in "
            f"{m1.model_text!r}"
        )
    _check_auxiliary(m0, m1)
    _check_residual(m0, m1)
    covariances, residual = _expansion(m0, m1)
    if residual is not None:
        raise ModelError(
            f"the models are not nested: the random effects of {residual} in {m0.model_text!r} cannot be "
            "written as a special"
            f" case of those in {m1.model_text!r}"
        )
    missing = sum(
        block.structure.missing_dimensions(Sigma[block.here])
        for group, Sigma in zip(m1.groups, covariances, strict=True)
        for block in group.covariance.blocks
    )
    hypothesis = " and ".join(filter(None, (_hypothesis(m0, m1), special)))
    at_end = (
        m1.n_auxiliary - m0.n_auxiliary if special else 0
    )  # auxiliary parameters at the end of their range
    new_curves = bool(_curves(m1) - _curves(m0))
    return Step(df, missing + at_end, hypothesis, _why_unknown(missing, at_end, new_curves))


def _why_unknown(missing, at_end, new_curves):
    """Say why no mixture of two chi-squared distributions holds, with parameters at their range's end."""
    if new_curves:  # all rows are one group: the likelihood is no mean over many independent ones
        return "all rows share the bends of a curve"
    if at_end > 1:
        return "the coefficients of a parameter at the end of its range under H0 mean nothing there"
    return "a variance is zero and another parameter at the end of its range" if missing and at_end else ""


def _check_auxiliary(m0, m1):
    """Refuse a smaller model whose dispersion differs between rows in a way that the larger one does not
    allow.
    """
    larger = {own.name: own for own in m1.design.auxiliary}
    smaller = {own.name: own for own in m0.design.auxiliary}
    for name in {**larger, **smaller}:
        one = np.ones((m0.nobs, 1))
        D0, D1 = (models[name].D if name in models else one for models in (smaller, larger))
        if _outside(D0, _in_order(D1, m0, m1)).any():
            raise ModelError(
                f"the models are not nested: the {name} of {m0.model_text!r} is no special case of that of "
                f"{m1.model_text!r}"
            )


def _check_residual(m0, m1):
    """Refuse correlated residuals whose covariance is no special case of the larger model's."""
    small, large = m0.design.residual, m1.design.residual
    if small is None:
        return
    refusal = ModelError(
        f"the models are not nested: the residuals of {m0.model_text!r} have a covariance that is no special "
        f"case of {m1.model_text!r}; gl.compare sets their AIC side by side"
    )
    is_same = large is not None and all(
        np.array_equal(a, b)
        for a, b in ((small.grouping.codes, large.grouping.codes), (small.position, large.position))
    )
    if not is_same:
        raise refusal
    typical = np.random.default_rng(3).uniform(0.2, 0.5, small.structure.n_parameters)
    S = small.structure.matrix(typical)
    found = large.structure.matrix(large.structure.nearest(S))
    if not np.allclose(found, S, atol=1e-6 * np.abs(S).max()):
        raise refusal


def _curves(fit):
    return {term.text for g in fit.groups if g.is_curve for term in g.terms}


def _outside(X0: FloatArray, X1: FloatArray) -> BoolArray:
    """Mark the columns of X0 that are no linear combination of those of X1."""
    if not X0.shape[1]:
        return np.zeros(0, dtype=bool)
    size0, size1 = (np.sqrt(np.einsum("np,np->p", X, X)) for X in (X0, X1))
    if not X1.shape[1]:
        return size0 > 0
    Q, _ = np.linalg.qr(X1 / size1)
    rest = X0 / size0
    rest = rest - Q @ (Q.T @ rest)
    return np.sqrt(np.einsum("np,np->p", rest, rest)) > 1e-7


def _expansion(m0, m1):
    """Write m0's covariance, at a point inside its family, in the terms of m1.

    A term that stands in both is written as itself.  Any other is a combination of matrices, of those that
    its structure allows or, where that is not linear in its parameters, of all.

    Returns m1's covariance matrix for each of its groups, and the name of the group of m0 that does not fit
    in (or None).
    """
    probes = np.random.default_rng(20).standard_normal((m0.nobs, 2))
    old, new = _nonlinear_terms(m0), _nonlinear_terms(m1)
    covariances = [np.zeros((g.q, g.q)) for g in m1.groups]
    for key in set(old) & set(new):
        position, block = new[key]
        covariances[position][block.here] = np.eye(block.structure.q)
    places = [(k, K) for k, g in enumerate(m1.groups) for b in g.covariance.blocks for K in _allowed(g, b)]
    order = row_order(m0, m1)
    shuffled = probes if order is None else probes[np.argsort(order)]
    columns = [_product(m1.groups[k], K, shuffled, order) for k, K in places]
    if m1.is_linear:
        weights = 1.0 if m1.design.weights is None else _in_order(m1.design.weights, m0, m1)[:, None]
        columns.append((probes / weights).ravel())
    basis = np.stack(columns, axis=1) if columns else np.zeros((probes.size, 0))
    size = np.linalg.norm(basis, axis=0)
    for position, group in enumerate(m0.groups):
        for block in group.covariance.blocks:
            if any(found == (position, block) for key, found in old.items() if key in new):
                continue
            for K, coefficient in _inside(group, block):
                target = _product(group, K, probes)
                c = np.linalg.lstsq(basis / size, target, rcond=1e-10)[0]
                if np.linalg.norm(basis / size @ c - target) > 1e-6 * np.linalg.norm(target):
                    return covariances, group.name
                for (k, M), value in zip(places, c / size, strict=False):  # the residual's own comes last
                    covariances[k] += coefficient * value * M
    return covariances, None


def _nonlinear_terms(fit):
    """Return position and block of each term whose covariance is not linear in its parameters."""
    return {
        (group.name, term.text, columns): (position, block)
        for position, group in enumerate(fit.groups)
        for block, columns, term in group.parts_of_covariance()
        if block.structure.covariance_basis() is None
    }


def _allowed(group, block):
    """Yield the matrices (q, q) of which every covariance of a term is a combination, if there are any."""
    basis = block.structure.covariance_basis()
    for matrix in () if basis is None else basis:
        yield _placed(group, block, matrix)


def _inside(group, block):
    """Yield matrices of which a covariance inside the family of a term is made, with its coefficients."""
    basis = block.structure.covariance_basis()
    if basis is None:
        basis = Unstructured(block.structure.q).covariance_basis()
    L = block.structure.factor(block.structure.start(np.ones(block.structure.q)))
    coefficients = np.linalg.lstsq(basis.reshape(len(basis), -1).T, (L @ L.T).ravel(), rcond=None)[0]
    for matrix, coefficient in zip(basis, coefficients, strict=True):
        yield _placed(group, block, matrix), coefficient


def _placed(group, block, matrix):
    full = np.zeros((group.q, group.q))
    full[block.here] = matrix
    return full


def _product(group: Group, K: FloatArray, V: FloatArray, order: IntArray | None = None) -> FloatArray:
    """Return ``Z K Z' V`` as one long vector, for K (q, q) at each level; its rows in this order."""
    Z, codes = group.factor.Z, group.factor.codes
    total = np.zeros_like(V)
    for left, right in np.argwhere(K):
        for t in range(V.shape[1]):
            sums = np.bincount(codes, Z[right] * V[:, t], minlength=len(group.levels))
            total[:, t] += K[left, right] * Z[left] * sums[codes]
    return (total if order is None else total[order]).ravel()


def _hypothesis(m0: FittedModel, m1: FittedModel) -> str:
    """Say in words what m0 leaves out of m1."""
    parts = []
    if m1.X.shape[1] > m0.X.shape[1]:
        new = [name for name in m1.params.index if name not in m0.params.index]
        if len(new) != m1.X.shape[1] - m0.X.shape[1]:
            parts.append("the fixed effects are the fewer ones of the smaller model")
        else:
            parts.append(f"{' = '.join(new)} = 0")
    old = set(m0.auxiliary_params.index)
    kept = {auxiliary.name for auxiliary in m0.family.auxiliary}
    names = tuple(f"{a.name} " for a in m1.family.auxiliary if a.name not in kept)
    new = [name for name in m1.auxiliary_params.index if name not in old and not name.endswith(" Intercept")]
    new = [name for name in new if not name.startswith(names)]
    if new:
        parts.append(f"{' = '.join(new)} = 0")
    if m1.design.residual is not None and _residual_text(m0) != _residual_text(m1):
        parts.append("the residuals have the simpler covariance of the smaller model")
    if len(m1.theta) > len(m0.theta):
        parts += _random_hypotheses(m0, m1)
    return " and ".join(parts)


def _residual_text(fit):
    return None if fit.design.residual is None else fit.design.residual.term.text


def _random_hypotheses(m0: FittedModel, m1: FittedModel) -> list[str]:
    general = ["the random effects have the simpler covariance of the smaller model"]
    old = {g.name: g for g in m0.groups}
    if not set(old) <= {g.name for g in m1.groups} or _nonlinear_terms(m0) or _nonlinear_terms(m1):
        return general
    parts = []
    for g in m1.groups:
        if g.is_curve:
            parts += [] if g.name in old else [f"the curve {g.name} has no bends"]
            continue
        kept = set(old[g.name].columns) if g.name in old else set()
        if not kept <= set(g.columns):
            return general
        new = [c for c in g.columns if c not in kept]
        if new:
            be, with_them = ("are", "those variances") if len(new) > 1 else ("is", "that variance")
            noun = "variances" if len(new) > 1 else "variance"
            free = g.covariance.free_covariances() & ~np.eye(g.q, dtype=bool)
            tied = free[[g.columns.index(c) for c in new]].any()
            also = f" (the correlations vanish with {with_them})" if tied else ""
            parts.append(f"the {noun} of {', '.join(new)} between levels of {g.name} {be} zero{also}")
        if kept and _n_covariances(g, kept) > _n_covariances(old[g.name], kept):
            parts.append(
                f"{', '.join(c for c in g.columns if c in kept)} are uncorrelated between levels of {g.name}"
            )
    return parts


def _n_covariances(group: Group, names: set[str]) -> int:
    """Count the covariances between the named effects that the formula lets differ from zero."""
    here = [i for i, name in enumerate(group.columns) if name in names]
    free = group.covariance.free_covariances()[np.ix_(here, here)]
    return int(free.sum() - len(here)) // 2
