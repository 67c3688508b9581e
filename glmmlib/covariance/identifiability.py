r"""Whether any response could tell the variances and correlations of the random effects apart.

The covariance of the rows of level :math:`j` is :math:`Z_j \Sigma Z_j'` (plus noise). Two matrices
:math:`\Sigma` give the same model when their difference :math:`\Delta` has :math:`Z_j \Delta Z_j' = 0` at
every level; that is, with the projector
:math:`P_j` on the rows of :math:`Z_j`, when :math:`P_j \Delta P_j = 0`. One level whose rows span all effects
is enough to rule this out. A slope for a column that is constant within levels has none, and if the column
takes two values only, three parameters describe two variances.

A structure with few parameters may do with one row for each effect, and then the residual variance is one
parameter more. There the directions :math:`Z_j\,d\Sigma\,Z_j'` in which the covariance of the rows moves at a
typical point, and that of the residuals, must be linearly independent.
"""

from collections.abc import Sequence

import numpy as np

from glmmlib.covariance.groups import Group
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.types import FloatArray

_NUMBERS = 2_000_000  # in an array of products
_RANK = 1e-9  # of a Gram matrix of columns of length one: what counts as zero within a level
_FLAT = 1e-8  # of the information about the covariances: what counts as none


_ENOUGH_LEVELS = 500  # looked at before all others


def check_covariances(groups: Sequence[Group], residual: FloatArray | None = None) -> None:
    """Refuse random effects whose covariance matrix is not identified.

    Parameters
    ----------
    groups : sequence of Group
        As :func:`glmmlib.covariance.groups.arrange` returns them.
    residual : (n,) array, optional
        Relative variances of the residuals of a linear model.

    Raises
    ------
    ModelError
        With the term, and the columns that do not vary within the grouping factor.

    Examples
    --------
    >>> import glmmlib as gl
    >>> gl.lmer("score ~ teaching + (teaching | classroom)", gl.load("exam"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    glmmlib.errors.ModelError: no response could ...
    """
    for group in groups:
        if not all(b.structure.needs_repeats for b in group.covariance.blocks):
            if not _moves_freely(group, residual):
                raise ModelError(_structured_sentence(group, residual is not None))
        elif group.q > 1 and not _is_identified(group):
            raise ModelError(_sentence(group, _flat_columns(group)))


def check_residual(groups: Sequence[Group], nobs: int, weights: FloatArray | None = None) -> None:
    r"""Refuse random effects whose covariance cannot be told from the variance of the residuals.

    That is so when some covariance :math:`\Delta` has :math:`Z_j \Delta Z_j' = I` at every level: for one
    row a level, or for as many effects as rows where all levels have the same columns. Where these differ
    between levels, the data tell the two apart. With unequal known weights the residual variance differs
    between rows, and nothing is refused.

    Parameters
    ----------
    groups : sequence of Group
    nobs : int
        Rows, n.
    weights : (n,) array or None

    Raises
    ------
    ModelError
    """
    if weights is not None and (np.asarray(weights) != weights[0]).any():
        return
    for group in groups:
        if not all(b.structure.needs_repeats for b in group.covariance.blocks):
            continue  # check_covariances looks at these and the residuals together
        if group.q * group.factor.n_levels < nobs:
            continue
        if not _is_told_from_residual(group, nobs * _grams(group), nobs):
            raise ModelError(_residual_sentence(group, nobs))


def check_sums(group: Group, standard: FloatArray, grams: FloatArray, nobs: int) -> None:
    """Refuse what :func:`check_residual` and :func:`check_covariances` refuse, by sums over levels alone.

    Parameters
    ----------
    group : Group
        All of its structures need repeats.
    standard : (J, q, q) array
        Sums of products of well-conditioned columns that span those of Z.
    grams : (J, q, q) array
        The same of the columns of Z.
    nobs : int

    Raises
    ------
    ModelError
    """
    size = np.sqrt(np.einsum("jaa->a", grams))
    grams = grams / np.outer(size, size)
    if group.q * len(grams) >= nobs and not _is_told_from_residual(group, nobs * grams, nobs):
        raise ModelError(_residual_sentence(group, nobs))
    if group.q == 1:
        return
    order = np.argsort(-np.einsum("jaa->j", standard))
    for levels in (order[:_ENOUGH_LEVELS], order[_ENOUGH_LEVELS:]):
        values = np.linalg.eigvalsh(standard[levels])
        if (values[:, 0] > _RANK * values[:, -1]).any():
            return
    if not _is_seen(group, _projectors(grams)):
        flat = []
        if "Intercept" in group.columns:
            i = group.columns.index("Intercept")
            within = grams[:, i, i, None] * np.einsum("jaa->ja", grams) - grams[:, i] ** 2
            is_flat = (within <= _RANK * grams[:, i, i, None] * np.einsum("jaa->ja", grams)).all(axis=0)
            flat = [name for k, name in enumerate(group.columns) if is_flat[k] and k != i]
        raise ModelError(_sentence(group, flat))


def _residual_sentence(group, nobs):
    levels = group.factor.n_levels
    if levels >= nobs:
        return (
            f"'{group.name}' has one observation per level ({levels} levels, {nobs} observations), so "
            "its variance cannot be told from the residual one: leave the term "
            f"{group.terms[0].text} out, or give known weights"
        )
    return (
        f"the random effects of {group.name} are {group.q * levels} ({group.q} for each of {levels} "
        f"levels) for {nobs} observations, with the same columns in every level, so the covariance "
        "cannot be told from the residual variance: it needs more observations per level, or fewer "
        "effects on the left of the bar"
    )


def _grams(group):
    """Return the sums of products (J, q, q) of the columns of Z, each with a length of one."""
    codes, Z = group.factor.codes, group.factor.Z
    Z = Z / np.sqrt(np.einsum("an,an->a", Z, Z))[:, None]
    gram = np.empty((group.factor.n_levels, group.q, group.q))
    for a in range(group.q):
        for b in range(a + 1):
            gram[:, a, b] = gram[:, b, a] = np.bincount(codes, Z[a] * Z[b], minlength=len(gram))
    return gram


def _is_told_from_residual(group, gram, nobs):
    """Does no combination of the covariances Z K Z' give the identity?"""
    basis = group.covariance.identifying_directions()
    products = _products(basis, gram)
    with_identity = np.einsum("kab,jba->k", basis, gram)
    scale = np.sqrt(np.maximum(np.diag(products), 1e-300))
    solved = np.linalg.lstsq(products / np.outer(scale, scale), with_identity / scale, rcond=1e-12)[0]
    return nobs - solved @ (with_identity / scale) > 1e-8 * nobs


def _products(basis, gram):
    """Return the sums over the levels of tr(B_k G_j B_l G_j): (K, K)."""
    K, q = len(basis), gram.shape[1]
    diagonals = _diagonals(basis)
    if diagonals is not None:
        return diagonals @ np.square(gram).sum(axis=0) @ diagonals.T
    products = np.zeros((K, K))
    step = max(1, _NUMBERS // (K * q * q))
    for j in range(0, len(gram), step):  # some at a time: the array of all may be far too large
        BG = np.einsum("kab,jbc->kjac", basis, gram[j : j + step], optimize=True)
        products += BG.reshape(K, -1) @ BG.swapaxes(2, 3).reshape(K, -1).T
    return products


def _diagonals(basis):
    """Return the diagonals (K, q) of directions that are nothing else; those of many independent effects."""
    diagonals = np.einsum("kaa->ka", basis)
    return diagonals if np.count_nonzero(diagonals) == np.count_nonzero(basis) else None


def check_single_trials(groups: Sequence[Group], trials: FloatArray | None, name: str) -> None:
    """Refuse random intercepts of levels that have one response of 0 or 1 each.

    Such a response tells its probability and nothing of how probabilities scatter: with any variance some
    fixed effects give the same likelihood.

    Parameters
    ----------
    groups : sequence of Group
    trials : (n,) array or None
        Of each row; None for one.
    name : str
        Of the response.

    Raises
    ------
    ModelError
    """
    if trials is not None and (np.asarray(trials) != 1).any():
        return
    for group in groups:
        size = np.abs(group.factor.Z)
        is_constant = group.q == 1 and size.min() >= (1.0 - 1e-9) * size.max()
        if is_constant and len(group.factor.codes) == group.factor.n_levels:
            raise ModelError(
                f"each level of {group.name} has one observation of {name}, 0 or 1, which tells nothing of "
                "the variance between levels: any variance fits as well; leave the term out, or count "
                "successes in several trials a level"
            )


def _is_identified(group: Group) -> bool:
    codes, Z = group.factor.codes, group.factor.Z
    size = np.sqrt(np.einsum("an,an->a", Z, Z))[:, None]
    largest = np.bincount(codes, minlength=group.factor.n_levels).argmax()
    if np.linalg.matrix_rank(Z[:, np.flatnonzero(codes == largest)] / size) == group.q:
        return True
    return _is_seen(group, _projectors(_grams(group)))


def _is_seen(group: Group, projectors: FloatArray) -> bool:
    """Does some level, or do all together, tell the covariances apart?"""
    if (np.trace(projectors, axis1=1, axis2=2) > group.q - 0.5).any():
        return True
    basis = group.covariance.identifying_directions()
    diagonals = _diagonals(basis)
    if diagonals is not None:
        information = diagonals @ np.square(projectors).mean(axis=0) @ diagonals.T
        return np.linalg.eigvalsh(information)[0] > _FLAT
    seen, step = np.zeros_like(basis), max(1, _NUMBERS // basis.size)
    for j in range(0, len(projectors), step):
        P = projectors[j : j + step, None]
        seen += (P @ basis @ P).sum(axis=0)
    information = basis.reshape(len(basis), -1) @ seen.reshape(len(basis), -1).T / len(projectors)
    return np.linalg.eigvalsh(information)[0] > _FLAT


def _moves_freely(group, residual):
    """Are the directions of the covariance of the rows, and of the residuals, linearly independent?"""
    n_levels = group.factor.n_levels
    if _independent(group, residual, group.factor.codes < _ENOUGH_LEVELS):
        return True
    return n_levels > _ENOUGH_LEVELS and _independent(group, residual, np.ones(len(group.factor.codes), bool))


def _independent(group, residual, rows):
    codes, Z = group.factor.codes[rows], group.factor.columns()[:, rows]
    w = None if residual is None else residual[rows]
    S = group.covariance.identifying_directions()
    gram = np.zeros((len(S) + 1, len(S) + 1))
    gram[-1, -1] = 1.0 if w is None else w @ w
    for level in range(codes.max() + 1):
        here = codes == level if group.factor.n_levels > 1 else slice(None)
        Zj = Z[:, here]
        SA = S @ (Zj @ Zj.T)
        gram[:-1, :-1] += np.einsum("kab,lba->kl", SA, SA)
        if w is not None:
            with_residual = np.einsum("kab,ab->k", S, (Zj * w[here]) @ Zj.T)
            gram[-1, :-1] += with_residual
            gram[:-1, -1] += with_residual
    size = np.sqrt(np.diag(gram))
    return bool((size > 0).all() and np.linalg.eigvalsh(gram / np.outer(size, size))[0] > _FLAT)


def _structured_sentence(group, with_residual):
    terms = " + ".join(term.text for term in group.terms)
    residual = " and the residual variance" if with_residual else ""
    return (
        f"no response could tell the parameters of {terms}{residual} apart: there are too few times, places "
        "or rows for them; try a structure with fewer parameters"
    )


def _projectors(gram: FloatArray) -> FloatArray:
    """Return for each level the projector (J, q, q) on the rows of its Z, by their sums of products."""
    values, vectors = np.linalg.eigh(gram)
    kept = vectors * (values > _RANK * values[:, -1:])[:, None, :]
    return kept @ np.swapaxes(vectors, 1, 2)


def _flat_columns(group: Group) -> list[str]:
    """List the columns that vary between levels only."""
    codes, Z = group.factor.codes, group.factor.Z
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    spread = np.maximum.reduceat(Z[:, order], starts, axis=1) - np.minimum.reduceat(
        Z[:, order], starts, axis=1
    )
    return [
        name
        for name, row, ranges in zip(group.columns, Z, spread, strict=True)
        if np.ptp(row) > 0 and (ranges <= 1e-9 * np.abs(row).max()).all()
    ]


def _sentence(group: Group, flat: Sequence[str]) -> str:
    terms = " + ".join(term.text for term in group.terms)
    found = f"no response could tell the variances and correlations of {terms} apart, because"
    if flat:
        verb = "does" if len(flat) == 1 else "do"
        them = "it" if len(flat) == 1 else "them"
        return (
            f"{found} {listed(flat)} {verb} not vary within any level of '{group.name}': leave {them} out "
            "on the left of"
            " the bar"
        )
    return (
        f"{found} no level of '{group.name}' has rows of enough different kinds: leave out effects on the "
        "left of the bar"
    )
