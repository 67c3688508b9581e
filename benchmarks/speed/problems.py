"""The problems that every engine is timed on: a name, a formula, a seeded data maker and a goal in seconds.

Groups are plain integer columns, as raw data has them; strings and categories are what the real data sets
contain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Problem:
    """One model on one data set.

    `formula` uses only what all engines understand. `goal` is the time in seconds that glmmlib must not pass,
    `trials` the column of binomial denominators when the response is a proportion, `groups` the grouping
    columns.
    """

    name: str
    formula: str
    make: Callable[[], pd.DataFrame]
    groups: tuple[str, ...]
    goal: float
    family: str = "gaussian"
    reml: bool = False
    trials: str | None = None
    watch_memory: bool = False


def _read(name: str, factors: tuple[str, ...]) -> pd.DataFrame:
    folders = (ROOT / "data", ROOT / "tests" / "reference" / "data")
    paths = [folder / f"{name}{ending}" for folder in folders for ending in (".csv", ".csv.gz")]
    path = next((p for p in paths if p.exists()), None)
    if path is None:
        raise FileNotFoundError(f"{name}.csv is in neither {folders[0]} nor {folders[1]}")
    return pd.read_csv(path, dtype=dict.fromkeys(factors, "category"))


def sleepstudy() -> pd.DataFrame:
    return _read("sleepstudy", ("Subject",))


def insteval() -> pd.DataFrame:
    return _read("InstEval", ("s", "d", "dept", "service"))


def cbpp() -> pd.DataFrame:
    data = _read("cbpp", ("herd", "period"))
    return data.assign(share=data["incidence"] / data["size"], size=data["size"].astype(float))


def contraception() -> pd.DataFrame:
    data = _read("Contraception", ("district", "urban", "livch"))
    return data.assign(used=(data["use"] == "Y").astype(int), age2=data["age"] ** 2)


def verbagg() -> pd.DataFrame:
    data = _read("VerbAgg", ("id", "item", "Gender", "btype", "situ"))
    return data.assign(yes=(data["r2"] == "Y").astype(int))


def _effects(
    rng: np.random.Generator, levels: int, sd: float | tuple[float, float], corr: float = 0.3
) -> np.ndarray:
    """Intercepts (levels, 1), or intercepts and slopes (levels, 2)."""
    if np.isscalar(sd):
        return sd * rng.standard_normal((levels, 1))
    first, second = rng.standard_normal((2, levels))
    return np.column_stack([sd[0] * first, sd[1] * (corr * first + np.sqrt(1 - corr**2) * second)])


def simulated(
    seed: int,
    rows: int,
    levels: dict[str, int],
    sd: dict[str, float | tuple[float, float]],
    family: str = "gaussian",
) -> pd.DataFrame:
    """Draw y, x and one integer column a factor; every level occurs at least once, in random order."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    eta = (0.5 if family == "poisson" else 0.2) + 0.4 * x
    codes = {}
    for name, count in levels.items():
        code = np.concatenate([np.arange(count), rng.integers(count, size=rows - count)])
        codes[name] = rng.permutation(code)
        effects = _effects(rng, count, sd[name])
        eta += effects[codes[name], 0] + (effects[codes[name], 1] * x if effects.shape[1] == 2 else 0.0)
    draw = {
        "gaussian": lambda: eta + rng.standard_normal(rows),
        "binomial": lambda: (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(np.int64),
        "poisson": lambda: rng.poisson(np.exp(eta)),
    }[family]
    return pd.DataFrame({"y": draw(), "x": x, **codes})


def _simulated(*args, **kwargs) -> Callable[[], pd.DataFrame]:
    return lambda: simulated(*args, **kwargs)


LMM = (
    Problem(
        "sleepstudy slope", "Reaction ~ Days + (Days | Subject)", sleepstudy, ("Subject",), 0.015, reml=True
    ),
    Problem("InstEval s, d", "y ~ 1 + (1 | s) + (1 | d)", insteval, ("s", "d"), 0.5),
    Problem(
        "InstEval s, d, dept",
        "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)",
        insteval,
        ("s", "d", "dept"),
        1.2,
    ),
    Problem(
        "1e6 rows, 1e5 groups, slope",
        "y ~ x + (x | g)",
        _simulated(1, 10**6, {"g": 10**5}, {"g": (0.7, 0.4)}),
        ("g",),
        1.0,
        watch_memory=True,
    ),
    Problem(
        "1e6 rows, 1e5 x 1e3 crossed",
        "y ~ x + (1 | a) + (1 | b)",
        _simulated(2, 10**6, {"a": 10**5, "b": 10**3}, {"a": 0.7, "b": 0.4}),
        ("a", "b"),
        4.0,
        watch_memory=True,
    ),
    Problem(
        "1e5 rows, 2000 x 500, slopes",
        "y ~ x + (x | a) + (x | b)",
        _simulated(3, 10**5, {"a": 2000, "b": 500}, {"a": (0.7, 0.4), "b": (0.5, 0.3)}),
        ("a", "b"),
        2.5,
    ),
)

_VERBAGG = (
    "yes ~ Anger + Gender + btype + situ + Anger:Gender + Anger:btype + Anger:situ + Gender:btype + "
    "Gender:situ + btype:situ"
)

GLMM = (
    Problem(
        "Bernoulli 1e5, 1e3 groups",
        "y ~ x + (1 | g)",
        _simulated(11, 10**5, {"g": 1000}, {"g": 0.7}, "binomial"),
        ("g",),
        0.4,
        "binomial",
    ),
    Problem(
        "Bernoulli 1e5, 1e3 groups, slope",
        "y ~ x + (x | g)",
        _simulated(12, 10**5, {"g": 1000}, {"g": (0.7, 0.4)}, "binomial"),
        ("g",),
        0.8,
        "binomial",
    ),
    Problem(
        "Poisson 1e5, 1e3 groups",
        "y ~ x + (1 | g)",
        _simulated(13, 10**5, {"g": 1000}, {"g": 0.5}, "poisson"),
        ("g",),
        0.4,
        "poisson",
    ),
    Problem("cbpp", "share ~ period + (1 | herd)", cbpp, ("herd",), 0.03, "binomial", trials="size"),
    Problem(
        "Contraception slope",
        "used ~ age + age2 + urban + livch + (urban | district)",
        contraception,
        ("district",),
        0.1,
        "binomial",
    ),
    Problem(
        "VerbAgg, 15 coefficients",
        _VERBAGG + " + (1 | id) + (1 | item)",
        verbagg,
        ("id", "item"),
        0.2,
        "binomial",
    ),
    Problem(
        "Bernoulli 1e5, 5000 x 200",
        "y ~ x + (1 | a) + (1 | b)",
        _simulated(14, 10**5, {"a": 5000, "b": 200}, {"a": 0.7, "b": 0.5}, "binomial"),
        ("a", "b"),
        0.7,
        "binomial",
    ),
    Problem(
        "Bernoulli 5e4, 5e3 groups, slope",
        "y ~ x + (x | g)",
        _simulated(15, 50_000, {"g": 5000}, {"g": (0.7, 0.4)}, "binomial"),
        ("g",),
        0.8,
        "binomial",
    ),
)
