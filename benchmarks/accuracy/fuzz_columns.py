"""Odd columns: the numbers and the levels of a table as pandas and people hold them."""

import datetime as dt
import decimal
import enum
import fractions
from dataclasses import dataclass

import numpy as np
import pandas as pd

N = 72


class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    GREEN = 3


@dataclass(frozen=True)
class Odd:
    """A column, and the plain column that it should be equal to (None: no such promise)."""

    name: str
    values: object
    equal: object = None


def numbers(x):
    """Ways to hold the numbers x."""
    for kind in ("float32", "float16", "Float64", "Float32", "object", "longdouble"):
        yield Odd(
            f"numbers as {kind}",
            x.astype(kind),
            x.astype(kind).astype(float) if "16" in kind or "32" in kind else x,
        )
    yield Odd("numbers as text", x.astype(str))
    yield Odd("numbers as text with commas", x.map(lambda v: f"{v:.3f}".replace(".", ",")))
    yield Odd("Decimal", x.map(lambda v: decimal.Decimal(f"{v:.6f}")).astype(object))
    yield Odd("Fraction", x.map(lambda v: fractions.Fraction(int(v * 1000), 1000)).astype(object))
    yield Odd("complex", x + 1j)
    yield Odd("complex without imaginary part", x + 0j)
    yield Odd("sparse", pd.Series(pd.arrays.SparseArray(x.to_numpy())), x)
    yield Odd("one infinite", x.where(x.index != 3, np.inf))
    yield Odd("all infinite", x * np.inf)
    yield Odd("one missing", x.where(x.index != 3))
    yield Odd("all missing", x * np.nan)
    yield Odd("None among numbers", x.astype(object).where(x.index != 3, None))
    yield Odd("pd.NA among numbers", x.astype("Float64").where(x.index != 3, pd.NA))
    yield Odd("pd.NaT among numbers", x.astype(object).where(x.index != 3, pd.NaT))
    yield Odd("text among numbers", x.astype(object).where(x.index != 3, "n/a"))
    yield Odd("blank text among numbers", x.astype(object).where(x.index != 3, ""))
    yield Odd("constant", x * 0 + 2.5)
    yield Odd("constant zero", x * 0)
    yield Odd("huge", x * 1e300)
    yield Odd("tiny", x * 1e-300)
    yield Odd("beyond floats", x.astype(object).map(lambda v: 10**400))
    yield Odd("subnormal", x * 5e-324)
    yield Odd("arrays in cells", pd.Series([np.ones(2)] * N))
    yield Odd("lists in cells", pd.Series([[1, 2]] * N))
    yield Odd("dicts in cells", pd.Series([{"a": 1}] * N))
    yield Odd("sets in cells", pd.Series([{1, 2}] * N))
    yield Odd("frames in cells", pd.Series([pd.DataFrame({"a": [1]})] * N))
    yield Odd("functions in cells", pd.Series([len] * N))
    yield Odd("zero-dimensional arrays in cells", pd.Series([np.array(v) for v in x], dtype=object))
    yield Odd("timedelta", pd.to_timedelta(x.abs(), unit="D"))
    yield Odd("datetime", pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), unit="D"))
    yield Odd("datetime with zone", pd.Series(pd.date_range("2020-01-01", periods=N, tz="Europe/London")))
    yield Odd(
        "mixed zones",
        pd.Series([pd.Timestamp("2020-01-01", tz=z) for z in ["UTC", "Asia/Tokyo"] * (N // 2)], dtype=object),
    )
    yield Odd("period", pd.Series(pd.period_range("2020-01", periods=N, freq="M")))
    yield Odd("interval", pd.cut(x, 4))
    yield Odd("date objects", pd.Series([dt.date(2020, 1, 1) + dt.timedelta(k) for k in range(N)]))
    yield Odd("time objects", pd.Series([dt.time(k % 24) for k in range(N)]))
    yield Odd("timedelta objects", pd.Series([dt.timedelta(days=k % 7) for k in range(N)], dtype=object))
    yield Odd("ordinal of rows", pd.Series(range(N)))
    yield Odd("unsigned", pd.Series(np.arange(N) % 7, dtype="uint8"), pd.Series(np.arange(N) % 7.0))
    yield Odd("signed byte", pd.Series(np.arange(N) % 7, dtype="int8"), pd.Series(np.arange(N) % 7.0))
    yield Odd("nullable integer", pd.Series(np.arange(N) % 7, dtype="Int64"), pd.Series(np.arange(N) % 7.0))
    yield Odd("nullable integer with a hole", pd.Series(np.arange(N) % 7, dtype="Int64").where(x.index != 3))
    yield Odd("big integers", pd.Series(np.arange(N) + 2**62), None)
    yield Odd("Python integers", pd.Series([k % 7 for k in range(N)], dtype=object))


def factors(f):
    """Ways to hold the levels f ("a", "b", "c")."""
    yield Odd("text as string", f.astype("string"), f)
    yield Odd("text as object", f.astype(object), f)
    yield Odd("category", f.astype("category"), f)
    yield Odd("category with unused levels", pd.Series(pd.Categorical(f, ["a", "zz", "b", "c", "q"])), f)
    yield Odd("ordered category", pd.Series(pd.Categorical(f, ["a", "b", "c"], ordered=True)))
    yield Odd("category with missing", pd.Series(pd.Categorical(f.where(f.index != 3), ["a", "b", "c"])))
    yield Odd("category of numbers", pd.Series(pd.Categorical(f.map({"a": 1, "b": 2, "c": 3}))), f)
    yield Odd("category of intervals", pd.cut(f.map({"a": 1, "b": 2, "c": 3}), 3), f)
    yield Odd("category of true and false", pd.Series(pd.Categorical(f == "a")))
    yield Odd("Enum members", f.map({"a": Colour.RED, "b": Colour.BLUE, "c": Colour.GREEN}).astype(object))
    yield Odd("tuples", f.map({"a": (1, 2), "b": (1, 3), "c": (2, 2)}))
    yield Odd("frozensets", f.map({"a": frozenset([1]), "b": frozenset([2]), "c": frozenset([3])}))
    yield Odd("bytes", f.map(lambda v: v.encode()), f)
    yield Odd("mixed 1 and '1'", f.map({"a": 0, "b": 1, "c": "1"}).astype(object))
    yield Odd("mixed True and 'True'", f.map({"a": "x", "b": True, "c": "True"}).astype(object))
    yield Odd("1 and 1.0", f.map({"a": 0, "b": 1, "c": 1.0}).astype(object))
    yield Odd("None as a level", f.astype(object).where(f != "a", None))
    yield Odd("nan as a level", f.astype(object).where(f != "a", np.nan))
    yield Odd("the text None", f.where(f != "a", "None"))
    yield Odd("the text nan", f.where(f != "a", "nan"))
    yield Odd("empty text", f.where(f != "a", ""))
    yield Odd("a blank", f.where(f != "a", " "))
    yield Odd("blanks around", f.map(lambda v: f" {v} "), f)
    yield Odd("levels with brackets", f.map(lambda v: f"[{v}]"), f)
    yield Odd("levels with quotes", f.map(lambda v: f"'{v}'`\""), f)
    yield Odd("levels with operators", f.map(lambda v: f"{v} + (1 | g) ~ x"), f)
    yield Odd("levels with braces", f.map(lambda v: f"{{{v}}} %s \\n"), f)
    yield Odd("levels with newlines", f.map(lambda v: f"{v}\n{v}"), f)
    yield Odd("unicode", f.map({"a": "日本", "b": "é", "c": "e\u0301"}), f)
    yield Odd("long levels", f.map(lambda v: v * 5000), f)
    yield Odd("one level", f.where(f == "a", "a"))
    yield Odd("a level a row", pd.Series([f"l{k}" for k in range(N)]))
    yield Odd("booleans", f == "a")
    yield Odd("nullable booleans", (f == "a").astype("boolean"))
    yield Odd("booleans as objects", (f == "a").astype(object))
    yield Odd("booleans with a hole", (f == "a").astype("boolean").where(f.index != 3, pd.NA))
    yield Odd(
        "timestamps", f.map({"a": pd.Timestamp("2020"), "b": pd.Timestamp("2021"), "c": pd.Timestamp("2022")})
    )
    yield Odd(
        "mixed-zone timestamps",
        f.map(
            {
                "a": pd.Timestamp("2020", tz="UTC"),
                "b": pd.Timestamp("2021", tz="Asia/Tokyo"),
                "c": pd.Timestamp("2022"),
            }
        ).astype(object),
    )
    yield Odd("durations", pd.to_timedelta(f.map({"a": 1, "b": 2, "c": 3}), unit="h"))
    yield Odd("floats as levels", f.map({"a": 0.1, "b": 0.1 + 1e-17, "c": 0.3}))
    yield Odd("infinite as a level", f.map({"a": 0.0, "b": np.inf, "c": -np.inf}))
