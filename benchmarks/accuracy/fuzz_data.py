"""Odd data: columns of every kind that pandas, polars and people make, as predictor, group, response, weights.

Each ends in a fit or in one of glmmlib's errors; where the same content can be written plainly, in the same fit.
"""

import warnings

import numpy as np
import pandas as pd
from fuzz_columns import N, Odd, factors, numbers
from fuzz_outcomes import NotHereError, Task

import glmmlib as gl


def plain(seed=1):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"g": np.repeat(np.arange(12), 6), "x": rng.normal(size=N), "i": rng.integers(0, 3, N)})
    d["f"] = np.array(list("abc"))[d["i"]]
    d["y"] = d["x"] + 0.5 * d["i"] + rng.normal(size=12)[d["g"]] + rng.normal(size=N)
    d["k"] = rng.poisson(np.exp(0.3 * d["x"] + 0.2))
    d["b"] = (rng.uniform(size=N) < 0.5).astype(int)
    d["w"] = rng.uniform(0.5, 2, N)
    return d


PREDICTOR = [
    "y ~ odd + (1 | g)",
    "y ~ x * odd + (1 | g)",
    "y ~ x + (odd | g)",
    "y ~ x + (0 + odd || g)",
    "y ~ C(odd) + (1 | g)",
    "y ~ I(odd) + (1 | g)",
    "y ~ center(odd) + (1 | g)",
    "y ~ offset(odd) + (1 | g)",
]
GROUP = [
    "y ~ x + (1 | odd)",
    "y ~ x + (1 | odd) + (1 | g)",
    "y ~ x + (1 | g:odd)",
    "y ~ x + (1 | g/odd)",
    "y ~ x + (x | odd)",
]
RESPONSE = ["odd ~ x + (1 | g)", "log(odd) ~ x + (1 | g)"]


def used(fit, d):
    """What people do next must not end foreign either."""
    fit.summary()
    fit.predict(d)
    fit.predict(d.head(3), interval="confidence", allow_new_levels=True)
    fit.ranef()
    gl.tidy(fit)
    gl.augment(fit)


def check_equal(fit, formula, d, column, family):
    """The same content written plainly gives the same fit."""
    e = d.assign(odd=np.asarray(column))
    other = gl.lmer(formula, e) if family is None else gl.glmer(formula, e, family=family)
    assert abs(fit.deviance - other.deviance) < 1e-5 * (1 + abs(other.deviance)), (
        f"deviance {fit.deviance:.6f}, plainly {other.deviance:.6f}"
    )
    assert len(fit.params) == len(other.params), (
        f"{list(fit.params.index)}, plainly {list(other.params.index)}"
    )


def column_trial(odd, formula, family=None):
    def action():
        d = plain()
        d["odd"] = odd.values if isinstance(odd.values, pd.Series) else pd.Series(odd.values)
        fit = gl.lmer(formula, d) if family is None else gl.glmer(formula, d, family=family)
        used(fit, d)
        if odd.equal is not None:
            check_equal(fit, formula, d, odd.equal, family)

    return action


def columns():
    """(what, action) for every odd column in every place."""
    d = plain()
    for kind, odds in (("number", numbers(d["x"])), ("factor", factors(d["f"]))):
        for odd in odds:
            for formula in [*PREDICTOR, *GROUP]:
                if "I(" in formula or "center" in formula or "offset" in formula:
                    odd_here = Odd(odd.name, odd.values, odd.equal if kind == "number" else None)
                else:
                    odd_here = odd
                yield f"{odd.name}: {formula}", column_trial(odd_here, formula)
            for formula in RESPONSE:
                yield f"{odd.name}: {formula}", column_trial(Odd(odd.name, odd.values), formula)
            for family in ("binomial", "poisson", "gamma", "negbinomial"):
                yield (
                    f"{odd.name}: {family} response",
                    column_trial(Odd(odd.name, odd.values), "odd ~ x + (1 | g)", family),
                )
                yield (
                    f"{odd.name}: {family} predictor",
                    column_trial(
                        Odd(odd.name, odd.values),
                        {"binomial": "b", "gamma": "w"}.get(family, "k") + " ~ odd + (1 | g)",
                        family,
                    ),
                )
            yield (
                f"{odd.name}: weights",
                (lambda v=odd.values: gl.lmer("y ~ x + (1 | g)", plain().assign(odd=v), weights="odd")),
            )
            yield (
                f"{odd.name}: offset",
                (lambda v=odd.values: gl.lmer("y ~ x + (1 | g)", plain().assign(odd=v), offset="odd")),
            )
            yield (
                f"{odd.name}: offset as array",
                (lambda v=odd.values: gl.lmer("y ~ x + (1 | g)", plain(), offset=np.asarray(v))),
            )
            yield (
                f"{odd.name}: weights as array",
                (lambda v=odd.values: gl.lmer("y ~ x + (1 | g)", plain(), weights=v)),
            )
            yield (
                f"{odd.name}: new data",
                (lambda v=odd.values: gl.lmer("y ~ x + f + (1 | g)", plain()).predict(plain().assign(x=v))),
            )
            yield (
                f"{odd.name}: new levels",
                (lambda v=odd.values: gl.lmer("y ~ x + f + (1 | g)", plain()).predict(plain().assign(f=v))),
            )
            yield (
                f"{odd.name}: new groups",
                (
                    lambda v=odd.values: gl.lmer("y ~ x + f + (1 | g)", plain()).predict(
                        plain().assign(g=v), allow_new_levels=True
                    )
                ),
            )
            yield f"{odd.name}: refit", (lambda v=odd.values: gl.lmer("y ~ x + (1 | g)", plain()).refit(v))


def frames():
    """(what, action) for odd containers; those that hold the same table must give the same fit."""
    d = plain()
    right = gl.lmer("y ~ x + f + (1 | g)", d).deviance

    def same(make):
        def action():
            table = make(d.copy())
            fit = gl.lmer("y ~ x + f + (1 | g)", table)
            assert abs(fit.deviance - right) < 1e-6, f"deviance {fit.deviance:.6f}, plainly {right:.6f}"
            fit.predict(table)
            fit.summary()
            fit.update("~ . - f")
            gl.augment(fit)

        return action

    containers = {
        "MultiIndex of rows": lambda d: d.set_index(pd.MultiIndex.from_product([range(12), range(6)], names=["one", "two"])),
        "duplicated index": lambda d: d.set_index(np.zeros(N, int)),
        "text index": lambda d: d.set_index([f"row {k}" for k in range(N)]),
        "date index": lambda d: d.set_index(pd.date_range("2020", periods=N)),
        "index named as a column": lambda d: d.set_index(pd.Index(range(N), name="x")),
        "reversed index": lambda d: d.set_index(np.arange(N)[::-1]),
        "missing index": lambda d: d.set_index([np.nan] * N),
        "categorical index": lambda d: d.set_index(pd.CategoricalIndex(d["f"])),
        "a slice": lambda d: pd.concat([d, d])[:N],
        "dict of arrays": lambda d: {c: d[c].to_numpy() for c in d},
        "dict of lists": lambda d: {c: d[c].tolist() for c in d},
        "dict of Series": lambda d: {c: d[c] for c in d},
        "list of dicts": lambda d: d.to_dict("records"),
        "records": lambda d: d.to_records(index=False),
        "structured array": lambda d: np.rec.fromarrays([d[c].to_numpy() if d[c].dtype.kind != "O" and str(d[c].dtype) != "str" else d[c].to_numpy().astype("U1") for c in d], names=list(d)),
        "arrow types": lambda d: d.convert_dtypes(dtype_backend="pyarrow"),
        "nullable types": lambda d: d.convert_dtypes(),
        "polars": lambda d: polars().DataFrame({c: d[c].tolist() for c in d}),
        "polars lazy": lambda d: polars().DataFrame({c: d[c].tolist() for c in d}).lazy(),
        "polars with Categorical": lambda d: polars().DataFrame({c: d[c].tolist() for c in d}).with_columns(polars().col("f").cast(polars().Categorical)),
        "polars with Enum": lambda d: polars().DataFrame({c: d[c].tolist() for c in d}).with_columns(polars().col("f").cast(polars().Enum(["a", "b", "c"]))),
        "a subclass": lambda d: type("Mine", (pd.DataFrame,), {})(d),
        "read-only": lambda d: _frozen(d),
        "attrs": lambda d: _with_attrs(d),
    }  # fmt: skip
    for name, make in containers.items():
        yield f"container: {name}", same(make)
    yield from names(d, right)


def polars():
    try:
        import polars
    except ImportError:
        raise NotHereError from None
    return polars


def _frozen(d):
    for c in d.select_dtypes("number"):
        d[c].to_numpy().flags.writeable = False
    return d


def _with_attrs(d):
    d.attrs["note"] = object()
    return d


def names(d, right):
    """Column names of every kind; a column that the formula does not name may be called anything."""

    def beside(make):
        def action():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table = make(d.copy())
            fit = gl.lmer("y ~ x + f + (1 | g)", table)
            assert abs(fit.deviance - right) < 1e-6
            fit.predict(table)
            fit.update("~ . - f")

        return action

    others = {
        "a number as a name": lambda d: d.rename(columns={"k": 7}),
        "None as a name": lambda d: d.rename(columns={"k": None}),
        "nan as a name": lambda d: d.rename(columns={"k": np.nan}),
        "a tuple as a name": lambda d: d.rename(columns={"k": ("a", 1)}),
        "an empty name": lambda d: d.rename(columns={"k": ""}),
        "a date as a name": lambda d: d.rename(columns={"k": pd.Timestamp("2020")}),
        "a name twice, not used": lambda d: pd.concat([d, d[["k"]]], axis=1),
        "categorical names": lambda d: d.set_axis(pd.CategoricalIndex(d.columns), axis=1),
        "names of names": lambda d: d.rename_axis(columns="what"),
    }
    for name, make in others.items():
        yield f"names: {name}", beside(make)

    def renamed(name, quoted):
        def action():
            table = d.rename(columns={"x": name})
            for formula, plainly in (
                ("y ~ {} + f + (1 | g)", "y ~ x + f + (1 | g)"),
                ("y ~ f * {} + (1 | g)", "y ~ f * x + (1 | g)"),
                ("y ~ ({} | g)", "y ~ (x | g)"),
                ("y ~ np.exp({}) + (1 | g)", "y ~ np.exp(x) + (1 | g)"),
                ("y ~ center({}) + (1 | g)", "y ~ center(x) + (1 | g)"),
                ("{} ~ f + (1 | g)", "x ~ f + (1 | g)"),
                ("y ~ f + (1 | {})", "y ~ f + (1 | x)"),
            ):
                if "| x)" in plainly:
                    continue
                other = gl.lmer(plainly, d)
                fit = gl.lmer(formula.format(quoted), table)
                assert abs(fit.deviance - other.deviance) < 1e-6, (
                    f"{formula}: deviance {fit.deviance:.6f}, plainly {other.deviance:.6f}"
                )
                assert np.allclose(fit.predict(table), other.predict(d))
                fit.summary()
                gl.report(fit)

        return action

    for name in ["1", "0", "2", "1.5", "-1", "x y", "x.y", "x-y", "x:y", "x*z", "x|y", "(1 | g)", "x~y", "Intercept", "(Intercept)", "intercept", "const", "True", "None", "nan", "np", "pd", "C", "I", "center", "scale", "poly", "bs", "log", "exp", "offset", "cbind", "e", "pi", "Q", "T", "data", "self", "lambda", "class", "if", "in", "is", "not", "and", "or", "for", "f[T.b]", "f", "é", "µ", "\u03bc", "日本", "x\ty", "x\ny", " x", "x ", "'x'", '"x"', "x`y", "{x}", "%x", "#x", "x\\", "$x", "@x", "x[0]", "x()", "I(x)", "C(x)", "__x__", "_", "y_", "sigma", "theta", "g.Intercept", "Residual", "index", "level_0", "estimate", "se", "value", "group"]:  # fmt: skip
        if name == "f":
            continue
        yield f"names: {name!r}", renamed(name, f"`{name}`")


def tasks(quick=False, seconds=10.0):
    """All columns, containers and names."""
    for k, (what, action) in enumerate([*columns(), *frames()]):
        if not quick or k % 13 == 0:
            yield Task("data", what, action, seconds)
