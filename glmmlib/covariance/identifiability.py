r"""Whether any response could tell the variances and correlations of the random effects apart.

The covariance of the rows of level :math:`j` is :math:`Z_j \Sigma Z_j'` (plus noise). Two matrices
:math:`\Sigma` give the same model when their difference :math:`\Delta` has :math:`Z_j \Delta Z_j' = 0` at
every level; that is, with the projector
:math:`P_j` on the rows of :math:`Z_j`, when :math:`P_j \Delta P_j = 0`. One level whose rows span all effects
is enough to rule this out. A slope for a column that is constant within levels has none, and if the column
takes two values only, three parameters describe two variances.
"""

import numpy as np

from glmmlib.display.words import listed
from glmmlib.errors import ModelError

_RANK = 1e-9  # of a Gram matrix of columns of length one: what counts as zero within a level
_FLAT = 1e-8  # of the information about the covariances: what counts as none


def check_covariances(groups):
    """Refuse random effects whose covariance matrix is not identified.

    Parameters
    ----------
    groups : sequence of Group
        As :func:`glmmlib.covariance.groups.arrange` returns them.

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
        if group.q > 1 and not _is_identified(group):
            raise ModelError(_sentence(group))


def _is_identified(group):
    codes, Z = group.factor.codes, group.factor.Z
    Z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    largest = np.bincount(codes, minlength=group.factor.n_levels).argmax()
    if np.linalg.matrix_rank(Z[:, codes == largest]) == group.q:
        return True
    projectors = _projectors(codes, Z, group.factor.n_levels)
    if (np.trace(projectors, axis1=1, axis2=2) > group.q - 0.5).any():
        return True
    basis = group.covariance.identifying_directions()
    seen = np.einsum("jab,kbc,jcd->kad", projectors, basis, projectors, optimize=True)
    information = np.einsum("kad,lad->kl", basis, seen) / group.factor.n_levels
    return np.linalg.eigvalsh(information)[0] > _FLAT


def _projectors(codes, Z, n_levels):
    """Return for each level the projector (J, q, q) on the rows of its Z."""
    q = len(Z)
    gram = np.empty((n_levels, q, q))
    for a in range(q):
        for b in range(q):
            gram[:, a, b] = np.bincount(codes, Z[a] * Z[b], minlength=n_levels)
    values, vectors = np.linalg.eigh(gram)
    kept = vectors * (values > _RANK * values[:, -1:])[:, None, :]
    return kept @ np.swapaxes(vectors, 1, 2)


def _sentence(group):
    codes, Z = group.factor.codes, group.factor.Z
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    spread = np.maximum.reduceat(Z[:, order], starts, axis=1) - np.minimum.reduceat(
        Z[:, order], starts, axis=1
    )
    flat = [
        name
        for name, row, ranges in zip(group.columns, Z, spread, strict=True)
        if np.ptp(row) > 0 and (ranges <= 1e-9 * np.abs(row).max()).all()
    ]
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
