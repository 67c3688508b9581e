"""Odd formulas: a systematic generator. Each string ends in a fit or in one of glmmlib's errors, within a second."""

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from fuzz_outcomes import Task

import glmmlib as gl

SECONDS = 1.0

ATOMS = [
    "x", "z", "f", "b", "t", "no", "1", "0", "-1", "2", "1.5", "1e400", "'x'", '"x"', "None", "True", "...", ".", "`x`", "`a b`", "``", "x.y", "x[0]", "x[:3]", "x()", "x(1)",
    "I(x)", "I(x**2)", "I(x*z)", "I(1)", "I()", "I(x, z)", "I(x == 0)", "I(x > 0)", "I(not x)", "I(~b)", "I(x if 1 else z)", "I(1/0)", "I(x/0)", "I([x])", "I((x, z))", "I({1: x})", "I(x for x in z)",
    "C(f)", "C(x)", "C()", "C(f, Sum)", "C(f, contr.sum)", "C(f, contr.treatment('q'))", "C(f, contr.nope)", "C(f, levels=['a'])", "C(f)[T.b]", "f[T.b]", "center(x)", "center(f)", "center()", "scale(x)", "scale(x, 1, 2, 3)",
    "poly(x, 2)", "poly(x, -1)", "poly(x, 'a')", "poly(x)", "bs(x, df=4)", "bs(x, df=-1)", "bs(x, knots=[1e9])", "bs()", "ns(x, 3)", "cr(x, 3)", "te(x, z)", "s(x)", "lag(x)", "hashed(f, 5)",
    "log(x)", "log(z)", "log(f)", "log()", "log(0)", "exp(x)", "exp(1000)", "sqrt(x)", "np.log(z)", "np.nope(z)", "np", "np.linalg", "np.random.normal(size=72)", "np.ones(3)", "np.ones((72, 2))", "np.nan", "np.log(z, z, z)", "pd.cut(x, 3)", "str(f)", "len(x)", "sum(x)", "max(x)",
    "exit()", "quit()", "input()", "open('x')", "__import__('os')", "eval('x')", "exec('1')", "globals()", "print(x)", "(lambda: x)()", "lambda: x", "yield x", "await x", "x := 3", "x = 3", "def", "import os", "raise", "assert x", "del x", "*x", "**x",
    "offset(x)", "offset()", "offset(f)", "offset(x, z)", "offset(1)", "cbind(k, t)", "cbind(x)", "(1 | g)", "(x | g)", "(1 || g)", "1 | g", "(x)", "((x))", "()", "(", ")", "[x]", "{x}", "{x + 1}", "{exit()}", "{", "}", "[", "]",
    "x^2", "x**2", "x**x", "x**0", "x**-1", "x**1e3", "x %in% f", "x %% 2", "x // 2", "x @ z", "x << 2", "x & z", "x and z", "x or z", "not x", "x < z", "x == z", "x != z", "x is z", "x in z", "x if z else f",
    "!x", "~x", "@x", "#x", "$x", "%x", "&x", "\\x", "x;z", "x,z", "x?z", "x!", "x'", "x\"", "x\n", "x\tz", "\x00", "x\u00a0", "µ", "é", "x²", "𝑥", "x̄", "😀", "x\u200b", "∼", "×", "−x", "½",
]  # fmt: skip

PLACES = [
    "y ~ {} + (1 | g)",
    "y ~ x + {} + (1 | g)",
    "y ~ x * {} + (1 | g)",
    "y ~ x + ({} | g)",
    "y ~ x + (0 + {} || g)",
    "y ~ x + (1 | {})",
    "y ~ x + (1 | g:{})",
    "y ~ x + (1 | g/{})",
    "{} ~ x + (1 | g)",
    "y ~ offset({}) + (1 | g)",
    "y ~ I({}) + (1 | g)",
    "y ~ log({}) + (1 | g)",
    "y ~ x - {} + (1 | g)",
    "cbind(k, {}) ~ x + (1 | g)",
]

OPERATORS = [
    "+",
    "-",
    "*",
    ":",
    "/",
    "**",
    "^",
    "|",
    "||",
    "~",
    "%in%",
    "%%",
    "//",
    "&",
    "@",
    "=",
    "==",
    ",",
    ";",
    ".",
    "",
    "!",
    "<",
    "->",
    "::",
    "+ -",
    "- -",
    "* *",
    "++",
    "~~",
]
SIDES = ["x", "f", "(x + z)", "1", "0", "(1 | g)", "I(x)", "g"]

BASES = ["y ~ x + (1 | g)", "y ~ x * f + (x || g) + (1 | h)", "cbind(k, t) ~ I(x**2) + (0 + x | g/h)"]
INSERTED = list("~|()+-*:/^.,`'\"[]{} 0x#\\%=") + ["||", "**", "(1 |", "))"]

DEEP = [
    "y ~ " + "(" * k + "x" + ")" * k + " + (1 | g)" for k in (20, 90, 250, 2000)
] + [
    "y ~ " + "+".join(["x"] * k) + " + (1 | g)" for k in (500, 5000)
] + [
    "y ~ " + ":".join(["x"] * k) + " + (1 | g)" for k in (50, 500)
] + [
    "y ~ " + "*".join(["x", "z", "t", "f"] * k) + " + (1 | g)" for k in (3, 8)
] + [
    f"y ~ (x + z + t + f)**{k} + (1 | g)" for k in (3, 10, 40, 10**6, 10**30)
] + [
    "y ~ x + I(" + "not " * k + "x) + (1 | g)" for k in (50, 3000)
] + [
    "y ~ x + I(" + "x+" * k + "x) + (1 | g)" for k in (50, 3000)
] + [
    "y ~ x + I(" + "-" * k + "x) + (1 | g)" for k in (50, 3000)
] + [
    "y ~ " + "-" * k + "x + (1 | g)" for k in (2, 50, 3000)
] + [
    "y ~ x + " + "(1 | g) + " * k + "(1 | h)" for k in (2, 50)
] + [
    "y ~ x + (1 | " + "/".join(["g", "h"] * k) + ")" for k in (1, 3, 20)
] + [
    "y ~ x + (1 | " + ":".join(["g", "h"] * k) + ")" for k in (1, 3, 200)
] + [
    "y" * 100_000 + " ~ x + (1 | g)", "y ~ " + "x" * 100_000, "~" * 1000, "(" * 1000, "|" * 1000, "y ~ I(9**9**9) + (1 | g)", "y ~ I(10**5000) + (1 | g)", "y ~ x + I(1" + "0" * 6000 + ") + (1 | g)",
]  # fmt: skip


def example():
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"g": np.repeat(np.arange(12), 6), "h": np.arange(72) % 5, "x": rng.normal(size=72)})
    d["z"], d["t"], d["f"] = rng.uniform(1, 2, 72), np.tile(np.arange(1, 7), 12), np.tile(list("abc"), 24)
    d["b"], d["k"] = rng.uniform(size=72) < 0.5, rng.poisson(2, 72)
    d["a b"], d["é"] = d["z"], d["x"]
    d["y"] = d["x"] + rng.normal(size=12)[d["g"]] + rng.normal(size=72)
    return d


def strings():
    """More than five thousand formulas, sane and insane, always the same."""
    for place, atom in product(PLACES, ATOMS):
        yield place.format(atom)
    for left, operator, right in product(SIDES, OPERATORS, SIDES):
        yield f"y ~ {left} {operator} {right} + (1 | h)"
    for base in BASES:
        for k in range(len(base)):
            yield base[:k] + base[k + 1 :]
            yield base[:k] + base[k] + base[k:]
            yield base[:k]
            for piece in INSERTED[k % 3 :: 3]:
                yield base[:k] + piece + base[k:]
    yield from DEEP


def tasks(quick=False):
    """All strings by ``lmer``; every seventh also by ``glmer``, ``update``, ``re_form``, ``simulate``, ``wald_test``."""
    d = example()
    fit = gl.lmer("y ~ x + (1 | g)", d)
    ways = {
        "lmer": lambda text: gl.lmer(text, d),
        "glmer": lambda text: gl.glmer(text, d, family="poisson"),
        "update": fit.update,
        "re_form": lambda text: fit.predict(d.head(), re_form=text),
        "simulate": lambda text: gl.simulate(text, d, fixef={"Intercept": 0.0}, rng=np.random.default_rng(1)),
        "wald_test": lambda text: gl.wald_test(fit, text),
    }
    for k, text in enumerate(dict.fromkeys(strings())):
        shown = text if len(text) < 90 else f"{text[:80]}... ({len(text)} characters)"
        if quick and k % 11:
            continue
        for name, call in ways.items():
            if name == "lmer" or k % 7 == 0:
                yield Task("formulas", f"{name}: {shown}", partial(call, text), SECONDS)
