"""What a fit hands out is a copy: nobody who scales or renames it in place changes the fit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any


def handed_out(make: Callable[[Any], Any]) -> property:
    """Compute a result once, and hand out a copy of it each time."""
    kept = f"_kept_{make.__name__}"

    @wraps(make)
    def get(fit: Any) -> Any:
        if kept not in fit.__dict__:
            fit.__dict__[kept] = make(fit)
        return copy.deepcopy(fit.__dict__[kept])

    return property(get)
