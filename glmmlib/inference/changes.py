"""Which changes of which variables are compared: the rows with other values in one of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.design.arrays import Design
from glmmlib.design.columns import require
from glmmlib.design.frames import missing_rows
from glmmlib.display.words import listed, meant
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.reference_grid import levels_of, variable, variable_hint

PAIRS = ("reference", "pairwise", "sequential")
NUDGE = 1e-5  # of the range of a covariate, either way, for its derivative


@dataclass(frozen=True)
class Scene:
    """The rows, with one column at another value; ``kind`` is "is", "plus", or "as it is"."""

    name: str
    kind: str
    value: Any

    def frame(self, data: pd.DataFrame, design: Design) -> pd.DataFrame:
        """Return the rows of this scene; what moves is read as the fit read it."""
        if self.kind == "is":
            return data.assign(**{self.name: self.value})
        if self.kind == "as it is":
            return data
        name = require(self.name, data.columns, "newdata")
        if missing_rows(data, [name])[0] is not None:
            return data  # refused with all others that lack a value
        column = design.recipe.variables[self.name].read(data, "newdata")
        return data.assign(**{name: column.astype(float) + self.value})

    def __str__(self) -> str:
        moved = f"{self.name} {'-' if self.kind == 'plus' and self.value < 0 else '+'} "
        if self.kind == "plus":
            return f"({moved}{abs(self.value):g})"
        return self.name if self.kind == "as it is" else _shown(self.value)


@dataclass(frozen=True)
class Change:
    """From one scene to another, divided by a number."""

    name: str
    start: Scene
    end: Scene
    divisor: float = 1.0
    label: str = ""

    def text(self, sign: str) -> str:
        """Write it with the sign of a difference or a ratio."""
        if self.label:
            return self.label
        if self.end.kind == "plus" and sign == "-":
            return f"{self.end.value:+g}"
        return f"{self.end} {sign} {self.start}"


def changes(fit: FittedModel, wanted: Any, names: Sequence[str]) -> list[Change]:
    """Return the changes of the variables that were asked for, among the variables of a model.

    Raises
    ------
    ModelError
        For names that are no variables, and changes that they cannot make.
    """
    how = _asked(fit, wanted, names)
    return [change for name, what in how.items() for change in _of_variable(fit, name, what)]


def nudges(fit: FittedModel, wanted: Any, names: Sequence[str]) -> list[Change]:
    """Return small changes of the covariates that were asked for, over their size: derivatives."""
    found = []
    for name in _asked(fit, wanted, names):
        column = variable(fit.design, name)
        if levels_of(name, column) is not None:
            if wanted is None:
                continue
            raise ModelError(f"{name!r} is a factor and has no slope: ask for gl.comparisons(fit, {name!r})")
        values = column.to_numpy(dtype=float)
        h = NUDGE * (np.ptp(values) or max(1.0, abs(values[0])))
        ends = Scene(name, "plus", -h), Scene(name, "plus", h)
        found.append(Change(name, *ends, 2.0 * h, label="slope"))
    if not found:
        raise ModelError("the model has no covariate, so there is no slope: ask for gl.comparisons(fit)")
    return found


def _asked(fit, wanted, names):
    """Return what is asked of each variable, by name."""
    if wanted is None:
        how = dict.fromkeys(names)
    elif isinstance(wanted, Mapping):
        how = dict(wanted)
    elif isinstance(wanted, str):
        how = {wanted: None}
    elif isinstance(wanted, Sequence) and all(isinstance(name, str) for name in wanted):
        how = dict.fromkeys(wanted)
    else:
        raise ModelError(f"variables is a name, a list of names, or a dict by name, not {wanted!r}")
    if not how:
        raise ModelError("there is no variable whose change could be looked at")
    how = {meant(name, names): what for name, what in how.items()}
    for name in how:
        if name not in names:
            raise ModelError(f"{name!r} is not a variable of the model{variable_hint(str(name), names, fit)}")
    return how


def _of_variable(fit, name, what):
    column = variable(fit.design, name)
    levels = levels_of(name, column)
    if levels is None and what is None and set(np.unique(column)) == {0, 1}:
        what = (0, 1)
    if isinstance(what, list | tuple) and len(what) == 2:
        return [_pair(name, *(_value(name, v, levels) for v in what))]
    if levels is not None:
        return [_pair(name, a, b) for a, b in _pairs(name, levels, what)]
    step = 1.0 if what is None else _value(name, what, None)
    if step == 0.0:
        raise ModelError(f"variables[{name!r}] is a change of 0, which changes nothing")
    return [Change(name, Scene(name, "as it is", None), Scene(name, "plus", step))]


def _pair(name, a, b):
    return Change(name, Scene(name, "is", a), Scene(name, "is", b))


def _pairs(name, levels, what):
    if what not in (None, *PAIRS):
        raise ModelError(
            f"variables[{name!r}] of a factor is {', '.join(map(repr, PAIRS))} or a pair of levels, not "
            f"{what!r}"
        )
    if len(levels) < 2:
        raise ModelError(f"{name!r} has only one level, so there is nothing to compare")
    if what == "pairwise":
        return [(a, b) for i, a in enumerate(levels) for b in levels[i + 1 :]]
    if what == "sequential":
        return list(pairwise(levels))
    return [(levels[0], b) for b in levels[1:]]


def _value(name, value, levels):
    if levels is not None:
        if value not in levels:
            raise ModelError(f"{value!r} is no level of {name!r}; they are {listed(levels)}")
        return value
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value):
        raise ModelError(
            f"variables[{name!r}] of a covariate is a step or a pair of values, from and to, not {value!r}"
        )
    return float(value)


def _shown(value):
    return f"{value:g}" if isinstance(value, float) else str(value)
