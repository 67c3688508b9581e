"""Read the frozen reference values of tests/reference (what they mean: its README).

A test fits ``gl.lmer(formula(ref), model_data(ref))`` with ``ref = fit("sleep_rs_reml")``, and compares its
standard errors with ``np.array(ref["fixef"]["se"])[positions(ref, model.params.index)]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parents[1] / "reference"
COURSE = HERE.parents[1] / "data"

# lme4 has no diagonal covariance over the columns of a factor: its formula spells the columns out, ours does
# not.
_OWN_FORMULA = {"machines_nocorr": "score ~ Machine + (Machine || Worker)"}


def fit(name: str) -> dict[str, Any]:
    """One frozen fit, e.g. `fit("sleep_rs_reml")`; lists stay lists."""
    return _json("fits", name)


def extra(name: str) -> dict[str, Any]:
    """Intervals, degrees of freedom, tests, predictions ..., e.g. `extra("confint_sleep_rs")`."""
    return _json("extras", name)


def auxiliary(name: str) -> dict[str, Any]:
    """One frozen fit with auxiliary predictors, e.g. `auxiliary("epil_trt")`."""
    return _json("auxiliary", name)


def auxiliary_names() -> list[str]:
    """Names of all of them."""
    return sorted(path.stem for path in (HERE / "auxiliary").glob("*.json"))


def fit_names(**fields: Any) -> list[str]:
    """Names of all fits whose fields have these values, e.g. `fit_names(family="gaussian", REML=True)`."""
    names = sorted(path.stem for path in (HERE / "fits").glob("*.json"))
    return [name for name in names if all(fit(name)[key] == value for key, value in fields.items())]


def data(name: str) -> pd.DataFrame:
    """A data set, factors as categoricals whose first level is the reference, as in R."""
    candidates = (HERE / "data" / f"{name}.csv", HERE / "data" / f"{name}.csv.gz", COURSE / f"{name}.csv")
    path = next((p for p in candidates if p.exists()), None)
    if path is None:
        raise FileNotFoundError(f"no data set {name!r} in {HERE / 'data'} or {COURSE}")
    levels = _levels()[name]
    table = pd.read_csv(path, dtype=dict.fromkeys(levels, str), keep_default_na=False, na_values=["NA"])
    for column, order in levels.items():
        if order == "numeric":
            order = sorted(table[column].unique(), key=int)
        table[column] = pd.Categorical(table[column], order)
    return table


def model_data(ref: dict[str, Any]) -> pd.DataFrame:
    """The data of a frozen fit, ready for its formula: `obs` numbers the rows, a two-level response becomes
    0/1.
    """
    table = data(ref["data"])
    if "obs" not in table:
        table["obs"] = np.arange(1, len(table) + 1)
    response = ref["formula"].split("~")[0].strip()
    if response in table and isinstance(table[response].dtype, pd.CategoricalDtype):
        table[response] = table[response].cat.codes.astype(int)
    return table


def formula(ref: dict[str, Any]) -> str:
    """The fit's formula as glmmlib reads it: powers are Python's, and so is what stands inside I()."""
    name = re.sub("_(ml|reml)$", "", ref["name"])
    return _OWN_FORMULA.get(name, ref["formula"].replace("^", "**"))


def weights(ref: dict[str, Any], table: pd.DataFrame) -> np.ndarray | None:
    """The prior weights of a frozen fit, or None."""
    expression = ref["weights"]
    return None if expression is None else table.eval(expression.replace("%%", "%")).to_numpy(float)


def positions(ref: dict[str, Any], names: Iterable[str], part: str = "fixef") -> list[int]:
    """Where each coefficient stands in the reference: `Intercept`, `period[T.2]`, `a:b` for R's
    `(Intercept)`, `period2`, `b:a`.
    """
    theirs = {_key(name): i for i, name in enumerate(ref[part]["names"])}
    if len(theirs) != len(ref[part]["names"]):
        raise ValueError(f"{ref['name']}: two coefficients cannot be told apart by name")
    return [theirs[_key(name)] for name in names]


def _key(name: str) -> frozenset[str]:
    """A coefficient's name without the marks that R and formulaic set differently."""
    name = name.replace("(Intercept)", "Intercept").replace("^", "**").replace(" ", "")
    return frozenset(re.sub(r"\[(?:T\.)?(.*?)\]", r"\1", part) for part in name.split(":"))


def _json(folder: str, name: str) -> dict[str, Any]:
    path = HERE / folder / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"no reference {folder[:-1]} named {name!r}; see {HERE / 'README.md'}")
    return json.loads(path.read_text())


@cache
def _levels() -> dict[str, dict[str, Any]]:
    return json.loads((HERE / "data" / "levels.json").read_text())
