"""Names for the types of arrays, as they stand in signatures; shapes are said in docstrings."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrayLike", "AuxiliaryValue", "BoolArray", "FloatArray", "IntArray", "Numbers"]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]

#: The auxiliary parameter of a family: a number, one for each row, or None for a family without one.
AuxiliaryValue = Any

#: One number, or an array of them, for formulas that work element by element.
Numbers = float | NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
