"""A known covariance between the levels of a factor, such as the relationship of animals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.multiple import Multiple
from glmmlib.errors import ModelError

LARGEST = 2000  # levels: the matrix is dense


class Known(Multiple):
    """``known(1 | animal, cov="A")``: one SD, times a root of the matrix A.

    Parameters
    ----------
    covariance : (q, q) array
    name : str
        Of the matrix, for messages.
    """

    word, example = "known", "known(1 | animal, cov='A')"
    left_side = "levels"
    phrase = "with a known covariance"
    options = {"cov": None}

    def __init__(self, covariance: Any, name: str = "A") -> None:
        if len(covariance) > LARGEST:
            raise ModelError(
                f"the known covariance {name!r} has {len(covariance):,} levels, and its matrices are dense "
                f"(at most {LARGEST:,}): leave out levels without rows"
            )
        smallest = np.linalg.eigvalsh(covariance)[0]
        if smallest <= 1e-10 * np.trace(covariance) / len(covariance):
            raise ModelError(
                f"the known covariance {name!r} is not positive definite (its smallest eigenvalue is "
                f"{smallest:.2g}): are two of its levels the same?"
            )
        super().__init__(np.linalg.cholesky(covariance))

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, cov: Any) -> Any:  # type: ignore[override]
        return cls(places, cov)
