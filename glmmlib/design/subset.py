"""Some of the rows of a design, as if the others had never been there."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glmmlib.design.arrays import Design, frozen


def kept_rows(design: Design, keep: NDArray[np.bool_]) -> Design | None:
    """Return the design of the rows to keep, with the columns and the coding of the whole.

    Parameters
    ----------
    design : Design
    keep : (n,) array of bool

    Returns
    -------
    Design or None
        None where the rows do not tell all fixed effects apart.

    Raises
    ------
    DataError
        Where one level of a grouping factor is left.

    Examples
    --------
    >>> from glmmlib.design.build import build_design
    >>> data = {"y": [1, 3, 2, 5], "x": [0, 1, 0, 2], "g": ["a", "a", "b", "c"]}
    >>> design = build_design("y ~ x + (1 | g)", data)
    >>> kept = kept_rows(design, np.array([True, True, False, True]))
    >>> kept.y.tolist(), list(kept.random[0].levels)
    ([1.0, 3.0, 5.0], ['a', 'c'])
    """
    X = design.X[keep]
    if not all(map(_has_full_rank, [X, *(a.D[keep] for a in design.auxiliary)])):
        return None

    def some(array: Any) -> Any:
        return None if array is None else frozen(np.ascontiguousarray(array[..., keep]))

    return replace(
        design,
        data=design.data.loc[keep],
        y=some(design.y),
        trials=some(design.trials),
        X=frozen(np.asfortranarray(X)),
        random=tuple(replace(r, grouping=r.grouping.kept(keep), Z=some(r.Z)) for r in design.random),
        offset=some(design.offset),
        weights=some(design.weights),
        auxiliary=tuple(replace(a, D=frozen(a.D[keep])) for a in design.auxiliary),
        residual=None if design.residual is None else design.residual.kept(keep),
    )


def _has_full_rank(X):
    size = np.linalg.norm(X, axis=0)
    return not (size == 0).any() and np.linalg.matrix_rank(X / size) == X.shape[1]
