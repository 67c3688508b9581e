"""Random small data sets on which an optimiser can go astray, with their models as arrays for the judge."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import ndtr

import glmmlib as gl
from support.judge import Model, Term

FAMILIES = [
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("negbinomial", "log"),
    ("gamma", "log"),
]


@dataclass(frozen=True, eq=False)
class Case:
    """One data set and its model, for the library (formula, data, options) and for the judge (model)."""

    kind: str
    seed: int
    formula: str
    data: pd.DataFrame
    options: dict
    model: Model = field(repr=False)

    def fit(self):
        """The library's fit and the warnings it gave."""
        function = gl.lmer if self.model.family is None else gl.glmer
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return function(self.formula, self.data, **self.options), [w.category.__name__ for w in caught]


def levels(rng, n, sizes=None, J=None):
    """Codes of a grouping factor: of given sizes, or at random."""
    codes = np.repeat(np.arange(len(sizes)), sizes) if sizes is not None else rng.integers(0, J, n)
    return np.unique(codes, return_inverse=True)[1]


def dominant_sizes(rng, low=12, high=30):
    return [int(rng.integers(low, high)), *rng.integers(1, 3, rng.integers(2, 7)).tolist()]


def unequal_sizes(rng):
    return np.maximum(1, np.round(np.exp(rng.normal(1.2, 0.9, rng.integers(3, 9))))).astype(int).tolist()


class Draft:
    """Columns and terms of a case while it is put together."""

    def __init__(self, rng, n):
        self.rng, self.n = rng, n
        self.data, self.X, self.fixed = {}, [np.ones(n)], ["1"]
        self.random, self.terms, self.eta = [], [], np.zeros(n)

    def predictor(self, name, values, text=None, slope=True):
        self.data[name] = values
        self.X.append(values)
        self.fixed.append(text or name)
        if slope:
            self.eta = self.eta + self.rng.normal() * (values - values.mean()) / max(values.std(), 1e-9)

    def number(self, name, shift=0.0, scale=1.0):
        values = shift + scale * self.rng.normal(size=self.n)
        self.predictor(name, values)
        return values

    def group(self, name, codes, text, columns, correlated=True, sd=None):
        """A random term ``(text | name)`` with the given columns and effects of random sizes."""
        self.data[name] = codes
        W = np.column_stack(columns)
        self.terms.append(Term(codes, W, correlated))
        self.random.append(f"({text} {'|' if correlated else '||'} {name})")
        q, J = W.shape[1], codes.max() + 1
        sizes = self.rng.choice([0.0, 0.3, 1.0, 3.0], q) if sd is None else np.broadcast_to(sd, q)
        L = np.tril(self.rng.normal(size=(q, q))) if correlated else np.eye(q)
        L = L / np.sqrt((L**2).sum(axis=1, keepdims=True)) * sizes[:, None]
        spread = W.std(axis=0) + (np.ptp(W, axis=0) == 0) * np.abs(W).max(axis=0)
        effects = (self.rng.normal(size=(J, q)) @ L.T) / np.maximum(spread, 1e-9)
        self.eta = self.eta + (W * effects[codes]).sum(axis=1)

    @property
    def formula(self):
        return f"y ~ {' + '.join(self.fixed + self.random)}"

    def linear(self, kind, seed, weights=None, noise=1.0):
        w = np.ones(self.n) if weights is None else weights
        y = self.eta + noise * self.rng.normal(size=self.n) / np.sqrt(w)
        reml = bool(self.rng.uniform() < 0.5)
        options = {"reml": reml} | ({} if weights is None else {"weights": weights})
        model = Model(y, np.column_stack(self.X), tuple(self.terms), weights, None, reml)
        return Case(kind, seed, self.formula, pd.DataFrame(self.data | {"y": y}), options, model)

    def generalised(self, kind, seed, family, trials=None):
        name, link = family
        rng, n = self.rng, self.n
        eta = np.clip(self.eta, -8, 8)
        formula, data, weights = self.formula, dict(self.data), None
        if name == "binomial":
            p = {
                "logit": lambda e: 1 / (1 + np.exp(-e)),
                "probit": ndtr,
                "cloglog": lambda e: -np.expm1(-np.exp(e)),
            }[link](eta)
            if trials is None:
                y = (rng.uniform(size=n) < p).astype(float)
                data["y"] = y.astype(int)
            else:
                weights = np.asarray(trials, float)
                y = rng.binomial(trials, p).astype(float)
                data |= {"y": y.astype(int), "rest": (trials - y).astype(int)}
                formula = formula.replace("y ~", "cbind(y, rest) ~", 1)
        elif name == "gamma":
            y = np.maximum(np.exp(eta) * rng.gamma(2, 0.5, n), 1e-8)
            data["y"] = y
        else:
            extra = rng.gamma(2, 0.5, n) if name == "negbinomial" else 1.0
            y = rng.poisson(np.exp(np.minimum(eta, 5)) * extra).astype(float)
            data["y"] = y.astype(int)
        model = Model(y, np.column_stack(self.X), tuple(self.terms), weights, None, False, family)
        return Case(kind, seed, formula, pd.DataFrame(data), {"family": name, "link": link}, model)


# --- linear models -----------------------------------------------------------------------------------------


def dominant_group(rng, seed):
    codes = levels(rng, None, dominant_sizes(rng))
    d = Draft(rng, len(codes))
    for k in range(rng.integers(0, 4)):
        d.number(f"x{k}")
    d.group("g", codes, "1", [np.ones(d.n)])
    return d.linear("dominant group", seed)


def two_levels_equal(rng, seed):
    codes = np.repeat([0, 1], rng.integers(4, 16))
    d = Draft(rng, len(codes))
    for k in range(rng.integers(0, 3)):
        d.number(f"x{k}")
    d.group("g", codes, "1", [np.ones(d.n)], sd=rng.choice([0.3, 3.0, 30.0]))
    return d.linear("two equal levels", seed)


def two_levels_unequal(rng, seed):
    codes = np.repeat([0, 1], [rng.integers(10, 35), rng.integers(1, 6)])
    d = Draft(rng, len(codes))
    for k in range(rng.integers(0, 5)):
        d.number(f"x{k}")
    d.group("g", codes, "1", [np.ones(d.n)], sd=rng.choice([0.3, 5.0, 30.0]))
    return d.linear("two unequal levels", seed)


def wide_weights(rng, seed):
    codes = levels(rng, None, [15, 2] if rng.uniform() < 0.5 else unequal_sizes(rng))
    d = Draft(rng, len(codes))
    for k in range(rng.integers(0, 5)):
        d.number(f"x{k}")
    x = d.number("x") if rng.uniform() < 0.3 else None
    if x is None:
        d.group("g", codes, "1", [np.ones(d.n)], sd=5.0)
    else:
        d.group("g", codes, "x", [np.ones(d.n), x], sd=3.0)
    return d.linear("weights over 8 orders", seed, weights=10 ** rng.uniform(-4, 4, d.n))


def three_crossed(rng, seed):
    d = Draft(rng, 27)
    lone = rng.integers(4, 9)
    a = levels(rng, None, [27 - lone, *[1] * lone]) if rng.uniform() < 0.6 else levels(rng, 27, J=8)
    d.group("a", a, "1", [np.ones(27)])
    d.group("b", levels(rng, 27, J=rng.integers(2, 6)), "1", [np.ones(27)])
    d.group("c", levels(rng, 27, J=rng.integers(3, 7)), "1", [np.ones(27)])
    return d.linear("three crossed factors, 27 rows", seed)


def slope_unequal(rng, seed):
    codes = levels(
        rng, None, dominant_sizes(rng) if rng.uniform() < 0.5 else [s + 1 for s in unequal_sizes(rng)]
    )
    d = Draft(rng, len(codes))
    x = d.number("x")
    d.group("g", codes, "x", [np.ones(d.n), x])
    if rng.uniform() < 0.3:
        d.group("h", levels(rng, d.n, J=4), "1", [np.ones(d.n)])
    return d.linear("(x | g), unequal groups", seed)


def slope_uncorrelated(rng, seed):
    codes = levels(
        rng, None, dominant_sizes(rng) if rng.uniform() < 0.5 else [s + 1 for s in unequal_sizes(rng)]
    )
    d = Draft(rng, len(codes))
    x = d.number("x", shift=rng.choice([0.0, 3.0]))
    d.group("g", codes, "x", [np.ones(d.n), x], correlated=False)
    return d.linear("(x || g)", seed)


def two_factors(rng, seed):
    n = int(rng.integers(12, 41))
    d = Draft(rng, n)
    for k in range(rng.integers(0, 3)):
        d.number(f"x{k}")
    d.group("a", levels(rng, n, J=rng.integers(3, 8)), "1", [np.ones(n)])
    d.group("b", levels(rng, n, J=rng.integers(2, 6)), "1", [np.ones(n)])
    return d.linear("two factors, 12 to 40 rows", seed)


def tiny_quadratic(rng, seed):
    codes = levels(rng, None, [2, 2, 1, *rng.integers(2, 7, rng.integers(1, 4)).tolist()])
    d = Draft(rng, len(codes))
    x = d.number("x")
    d.X.append(x**2)
    d.fixed.append("I(x**2)")
    d.group("g", codes, "x", [np.ones(d.n), x])
    return d.linear("tiny data, quadratic", seed)


def factor_slopes(rng, seed):
    codes = levels(rng, None, [s + 2 for s in unequal_sizes(rng)])
    d = Draft(rng, len(codes))
    f = rng.integers(0, 2 + (rng.uniform() < 0.3), d.n)
    f[:6] = [0, 1, 2 if f.max() == 2 else 1, 0, 1, 0]
    dummies = [(f == k).astype(float) for k in range(f.max() + 1)]
    d.data["f"] = np.array(list("pqr"))[f]
    d.fixed.append("f")
    d.X += dummies[1:]
    correlated = bool(rng.uniform() < 0.7)
    if rng.uniform() < 0.5 and correlated:
        d.group("g", codes, "f", [np.ones(d.n), *dummies[1:]])
    else:
        d.group("g", codes, "0 + f", dummies, correlated)
    return d.linear("slopes of a factor", seed)


def far_from_zero(rng, seed):
    codes = levels(rng, None, [s + 1 for s in unequal_sizes(rng)])
    d = Draft(rng, len(codes))
    x = d.number("x", shift=10.0 ** rng.integers(1, 6))
    if rng.uniform() < 0.7:
        d.group("g", codes, "x", [np.ones(d.n), x], sd=0.0)
        spread = rng.choice([0.0, 0.5, 2.0], 2)
        e = rng.normal(size=(codes.max() + 1, 2)) * spread
        d.eta = d.eta + e[codes, 0] + e[codes, 1] * (x - x.mean())
    else:
        d.group("g", codes, "1", [np.ones(d.n)])
    return d.linear("x far from zero", seed)


def ordinary(rng, seed):
    J = int(rng.integers(5, 11))
    codes = np.repeat(np.arange(J), rng.integers(3, 8))
    d = Draft(rng, len(codes))
    x = d.number("x")
    d.group("g", codes, *[("1", [np.ones(d.n)]), ("x", [np.ones(d.n), x])][rng.integers(0, 2)])
    return d.linear("balanced", seed)


LINEAR = [
    dominant_group,
    two_levels_equal,
    two_levels_unequal,
    wide_weights,
    three_crossed,
    slope_unequal,
    slope_uncorrelated,
    two_factors,
    tiny_quadratic,
    factor_slopes,
    far_from_zero,
    ordinary,
]


# --- generalised models ------------------------------------------------------------------------------------


def _trials(rng, family, n):
    return rng.integers(1, 12, n) if family[0] == "binomial" and rng.uniform() < 0.4 else None


def glmm_dominant(rng, seed, family):
    codes = levels(rng, None, [int(rng.integers(15, 30)), *[1] * int(rng.integers(3, 7))])
    d = Draft(rng, len(codes))
    for k in range(rng.integers(0, 3)):
        d.number(f"x{k}")
    d.eta = 0.5 * d.eta + 0.5
    d.group("g", codes, "1", [np.ones(d.n)], sd=rng.choice([0.5, 1.0, 1.5]))
    return d.generalised("dominant group", seed, family, _trials(rng, family, d.n))


def glmm_few_levels(rng, seed, family):
    codes = levels(rng, None, [int(s) for s in rng.integers(3, 16, rng.integers(2, 5))])
    d = Draft(rng, len(codes))
    for k in range(rng.integers(0, 3)):
        d.number(f"x{k}")
    d.eta = 0.5 * d.eta
    d.group("g", codes, "1", [np.ones(d.n)], sd=rng.choice([0.0, 0.5, 1.5]))
    return d.generalised("few levels", seed, family, _trials(rng, family, d.n))


def glmm_lone_rows(rng, seed, family):
    n = int(rng.integers(15, 31))
    d = Draft(rng, n)
    for k in range(rng.integers(0, 2)):
        d.number(f"x{k}")
    d.eta = 0.5 * d.eta
    d.group(
        "g",
        np.unique(np.maximum(np.arange(n) - rng.integers(0, 8), 0), return_inverse=True)[1],
        "1",
        [np.ones(n)],
        sd=0.8,
    )
    trials = rng.integers(2, 12, n) if family[0] == "binomial" else None
    return d.generalised("one row a level", seed, family, trials)


def glmm_two_factors(rng, seed, family):
    n = int(rng.integers(24, 41))
    d = Draft(rng, n)
    d.number("x")
    d.eta = 0.5 * d.eta
    d.group("a", levels(rng, n, J=6), "1", [np.ones(n)], sd=rng.choice([0.0, 0.5, 1.5]))
    d.group("b", levels(rng, n, J=4), "1", [np.ones(n)], sd=rng.choice([0.0, 0.5, 1.5]))
    return d.generalised("two factors", seed, family, _trials(rng, family, n))


def glmm_slope(rng, seed, family):
    codes = levels(rng, None, dominant_sizes(rng) if rng.uniform() < 0.5 else rng.integers(4, 9, 6).tolist())
    d = Draft(rng, len(codes))
    x = d.number("x")
    d.eta = 0.5 * d.eta
    d.group(
        "g",
        codes,
        "x",
        [np.ones(d.n), x],
        correlated=bool(rng.uniform() < 0.6),
        sd=rng.choice([0.0, 0.5, 1.0], 2),
    )
    return d.generalised("slope", seed, family, _trials(rng, family, d.n))


GENERALISED = [glmm_dominant, glmm_few_levels, glmm_lone_rows, glmm_two_factors, glmm_slope]


def linear(seed):
    """The linear case of this number: its kind goes round."""
    return LINEAR[seed % len(LINEAR)](np.random.default_rng([1, seed]), seed)


def generalised(seed):
    """The generalised case of this number: kind and family go round."""
    kind = GENERALISED[(seed // len(FAMILIES)) % len(GENERALISED)]
    return kind(np.random.default_rng([2, seed]), seed, FAMILIES[seed % len(FAMILIES)])
