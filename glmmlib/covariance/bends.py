r"""The bends of a curve for each level of a factor: independent, with one SD, :math:`\Lambda = \theta I`.

A random curve is a random line and random bends (Rice and Wu 2001, *Biometrics* 57): ``(s(x) | g)`` stands
for ``(x | g) + bends(0 + x | g)``.  The bends are orthogonal to the line over all rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmmlib.covariance.multiple import Multiple


class Bends(Multiple):
    """``bends(0 + x | g)``: what the curve of a level has beside a straight line.

    Parameters
    ----------
    q : int
        How many.
    """

    word, example = "bends", "bends(0 + t | g, k=4)"
    left_side = "curve"
    options = {"k": 10, "bs": "cr", "knots": None}
    needs_repeats = True

    def __init__(self, q: int) -> None:
        super().__init__(np.eye(q))

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, **options: Any) -> Any:
        return cls(len(columns))
