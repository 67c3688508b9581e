"""Random models, each put to the laws of ``fuzz_laws``."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
from fuzz_laws import LAWS
from fuzz_outcomes import NotHereError, Task

import glmmlib as gl
from glmmlib.errors import GlmmlibError

RANDOM = [
    "(1 | g)",
    "(x | g)",
    "(x || g)",
    "(0 + x | g)",
    "(1 | g) + (1 | h)",
    "(x | g) + (1 | h)",
    "(1 | r/g)",
    "(1 | g) + (0 + x | g)",
    "(f | h)",
    "(0 + f || h)",
]
FIXED = [
    "1",
    "x",
    "x + f",
    "x * f",
    "f",
    "x + I(x**2)",
    "center(x) + f",
    "0 + f + x",
    "f/x",
    "x:f",
    "log(t) + x",
]
FAMILIES = [
    None,
    None,
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("cbind", "logit"),
    ("poisson", "log"),
    ("negbinomial", "log"),
    ("gamma", "log"),
    ("negbinomial1", "log"),
    ("beta", "logit"),
    ("betabinomial", "logit"),
    ("truncated_poisson", "log"),
    ("poisson", "sqrt"),
]


@dataclass(frozen=True, eq=False)
class Trial:
    """One random model."""

    seed: int
    data: pd.DataFrame
    formula: str
    family: tuple | None
    options: dict

    def fit(self, data=None, formula=None, **changes):
        call = self.formula if formula is None else formula
        table = self.data if data is None else data
        if self.family is None:
            return gl.lmer(call, table, **(self.options | changes))
        name = "binomial" if self.family[0] == "cbind" else self.family[0]
        return gl.glmer(call, table, family=name, link=self.family[1], **(self.options | changes))

    def __str__(self):
        return f"{self.seed}: {self.formula} {self.family or ''} {sorted(self.options)}"


def draw(seed):
    """The trial of this number."""
    rng = np.random.default_rng([7, seed])
    n, J = int(rng.integers(40, 140)), int(rng.integers(5, 14))
    g = np.sort(np.concatenate([np.arange(J), rng.integers(0, J, n - J)]))
    d = pd.DataFrame(
        {"g": [f"g{k:02d}" for k in g], "h": rng.integers(0, 6, n), "r": [f"r{k % 4}" for k in g]}
    )
    d["x"], d["f"], d["t"] = (
        rng.normal(size=n) * rng.choice([0.1, 1, 10]),
        rng.choice(list("abc"), n),
        rng.uniform(1, 5, n),
    )
    d.loc[:2, "f"] = list("abc")
    u, v = rng.normal(size=J) * rng.choice([0.0, 0.5, 1.0]), rng.normal(size=6) * rng.choice([0.0, 0.5])
    standard = d["x"] / d["x"].std()
    eta = 0.3 + 0.5 * standard + 0.4 * (d["f"] == "b") + u[g] + v[d["h"]] + 0.3 * u[g] * standard
    family = FAMILIES[seed % len(FAMILIES)]
    formula = f"y ~ {rng.choice(FIXED)} + {rng.choice(RANDOM)}"
    options = {}
    if family is None:
        d["y"] = eta + rng.normal(size=n) * rng.choice([0.3, 1.0])
        options["reml"] = bool(rng.uniform() < 0.5)
        if rng.uniform() < 0.3:
            options["weights"] = rng.uniform(0.5, 3, n)
    elif family[0] in ("binomial", "cbind", "betabinomial"):
        p = 1 / (1 + np.exp(-eta))
        if family[0] == "betabinomial":
            p = rng.beta(4 * p, 4 - 4 * p)
        trials = np.ones(n, int) if family[0] == "binomial" else rng.integers(1, 9, n)
        d["y"] = rng.binomial(trials, p)
        d["n"] = trials - d["y"]
        if family[0] != "binomial":
            formula = formula.replace("y ~", "cbind(y, n) ~", 1)
    elif family[0] == "gamma":
        d["y"] = np.exp(eta) * rng.gamma(3, 1 / 3, n)
    elif family[0] == "beta":
        p = 1 / (1 + np.exp(-eta))
        d["y"] = np.clip(rng.beta(4 * p, 4 - 4 * p), 1e-6, 1 - 1e-6)
    else:
        mean = np.maximum(eta + 1.5, 0.1) ** 2 if family[1] == "sqrt" else np.exp(np.minimum(eta, 4))
        d["y"] = rng.poisson(mean * (rng.gamma(2, 0.5, n) if "negbinomial" in family[0] else 1))
        if "truncated" in family[0]:
            d["y"] = np.maximum(d["y"], 1)
    if rng.uniform() < 0.3:
        options["offset"] = 0.3 * rng.normal(size=n)
    return Trial(seed, d, formula, family, options)


def tasks(quick=False, count=140):
    """All laws on all models; a model that is refused is not put to the laws."""
    for seed in range(0, count, 25 if quick else 1):
        trial = draw(seed)
        fitted = cache(trial.fit)  # once, whichever task comes first
        yield Task("models", f"fit, {trial}", fitted)
        for law in LAWS:
            rng = np.random.default_rng([11, seed])
            yield Task("models", f"{law.__name__}, {trial}", partial(_put_to, law, trial, fitted, rng))


def _put_to(law, trial, fitted, rng):
    try:
        fit = fitted()
    except GlmmlibError:
        raise NotHereError from None
    law(trial, fit, rng)
