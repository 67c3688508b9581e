"""Arguments checked by kind: what was given, and what is taken instead."""

from __future__ import annotations

import numbers

from glmmlib.errors import ModelError


def checked_level(level: float, example: float = 0.95) -> float:
    """Return the level of an interval: a probability between 0 and 1.

    Raises
    ------
    ModelError

    Examples
    --------
    >>> checked_level(0.9)
    0.9
    """
    if not isinstance(level, numbers.Real) or isinstance(level, bool) or not 0.0 < level < 1.0:
        raise ModelError(f"level is a probability between 0 and 1, such as {example}, not {level!r}")
    return float(level)
