"""Values that a person may type, by the kind of parameter they are given to.

Each is nonsense (it must be refused, by one of glmmlib's errors) or doubtful (it may be taken or refused, but never
ends in a foreign exception).
"""

from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import glmmlib as gl

nan, inf = np.nan, np.inf


class Stranger:
    """An object that nothing knows."""

    def __repr__(self):
        return "Stranger()"


@dataclass(frozen=True)
class Kind:
    nonsense: list
    doubtful: list = field(default_factory=list)


# fmt: off
KINDS = {
    "fit": Kind([None, 3, "fit", "y ~ x + (1 | g)", [1, 2], {}, np.ones(3), pd.DataFrame({"y": [1.0]}), Stranger(), gl.lmer, nan]),
    "level": Kind(
        [0, 1, -0.5, 1.5, 7, 95, nan, inf, "0.95", "95%", "high", None, [0.9], [0.9, 0.95], Stranger(), 1j, {}, True],
        [np.float64(0.9), np.float32(0.9), np.array(0.9)],
    ),
    "count": Kind(
        [0, -1, -100, 2.5, nan, inf, "100", "many", [10], [10, 20], Stranger(), True, 1j, {}], [np.int64(30), 30.0, None, np.array(30)]
    ),
    "seed": Kind(["seed", 1.5, -1, Stranger(), np.random, {}, nan, [1.5], "123"], [np.random.RandomState(1)]),
    "bool": Kind(["ML", "False", "yes", "REML", 2, -1, nan, [], {}, 0.5, Stranger(), [True]], [0, 1, np.bool_(True), None]),
    "choice": Kind(["nonsense", "Wald ", 3, -1, nan, True, False, ["wald"], ("wald",), Stranger(), "", 1.5, {}, np.ones(2)]),
    "ss_type": Kind(["nonsense", 99, 0, 4, -1, nan, 2.5, [3], Stranger(), None, {}], ["3", True, "III", 3.0]),
    "counts": Kind([0, -1, 2.5, nan, inf, "100", "many", Stranger(), True, 1j, {}, [], [0], ["a"], [nan], [2.5], None]),
    "levels": Kind([0, 1, -0.5, 1.5, 95, nan, "0.95", None, Stranger(), 1j, {}, True, [], [0.5, 95], ["a"]], [0.9]),
    "range": Kind(["1", nan, inf, [], [1], {}, Stranger(), 1j, None, [1, "a"], [nan, 1]], [1.0, True, [2, 1], [1, 1]]),
    "iccs": Kind(["x", nan, inf, -0.5, 1.5, None, Stranger(), {}, 1j, [-1], [2.0], ["a"]], [[]]),
    "values": Kind(["x", nan, inf, None, Stranger(), {}, 1j, ["a"], [nan]], [[], -1.5]),
    "corr": Kind(["x", nan, inf, 1.5, -1.5, None, [], Stranger(), {}, 1j], [0, True]),
    "corrs": Kind(["1", 1.0, nan, [1.0], {"g": "x"}, {"g": nan}, {"nog": 1.0}, Stranger(), True], [{}]),
    "drawn_formula": Kind([None, 3, "", " ", "~", "y", "y ~", "~ x", [], ["y ~ x"], Stranger(), b"~ x", "y ~ x + (1 | g", "y ~ x + (1 | nog)", "y ~ nox + (1 | g)", "y = x + (1 | g)", True, nan, {}], ["noy ~ x + (1 | g)"]),
    "any_family": Kind(["normal", "Gaussian", "", 3, None, nan, True, [], Stranger(), "quasi", np.ones(2), {}, ("binomial",)]),
    "factors": Kind([0, -1, nan, inf, "many", Stranger(), 1j, {}, [], [0], ["a"], [nan], None], [True, [2.5]]),
    "pair": Kind(["1", nan, inf, [], [1], {}, Stranger(), 1j, None, [1, "a"], [nan, 1], 1.0], [[2, 1]]),
    "labels": Kind(["no such", [], [1, 2], np.full(60, nan), [None] * 60, np.ones((60, 2)), {}, Stranger(), nan, [[1], [2, 3]]], [["a"] * 60]),
    "colours": Kind([3, nan, Stranger()], ["no such", [], ["x"], {"q": 1}, True]),
    "ax": Kind(["ax", 3, True, Stranger(), [], "figure", nan, [1, 2], {}], [plt.Figure()]),
    "column": Kind(["no such", "", 3, -1, nan, True, ["x", "no"], [], Stranger(), {}, ("x", "y", "z"), np.ones(3), 1.5, "x + 1", b"x"]),
    "data": Kind([None, "data", 3, [], [1, 2], {}, np.ones((3, 2)), pd.DataFrame(), Stranger(), nan, {"q": [1]}], [pd.Series([1, 2], name="x")]),
    "vector": Kind(["no such", [], [1, 2], ["a"] * 60, np.full(60, nan), np.full(60, inf), np.ones((60, 2)), {}, Stranger(), nan, [[1], [2, 3]]]),
    "responses": Kind(["no such", [], [1, 2], ["a"] * 60, np.full(60, nan), np.full(60, inf), {}, Stranger(), nan, [[1], [2, 3]]], [np.ones((60, 2))]),
    "weights": Kind(["no such", -1, 0, [], [1, 2], ["a"] * 60, np.full(60, nan), -np.ones(60), np.zeros(60), np.ones((60, 2)), {}, Stranger(), nan, inf, True]),
    "formula": Kind([None, 3, "", " ", "~", "y", "y ~", "~ x", [], ["y ~ x"], Stranger(), b"y ~ x + (1 | g)", "y ~ x + (1 | g", "y ~ x + (1 | nog)", "y ~ nox + (1 | g)", "noy ~ x + (1 | g)", "y = x + (1 | g)", True, nan, {}]),
    "number": Kind(["1", "big", nan, inf, -inf, [], [1, 2], {}, Stranger(), 1j, np.ones(3)], [True]),
    "place": Kind(["1", "big", nan, inf, -inf, [], ["a"], {"x": []}, {"nox": 1.0}, Stranger(), 1j], [True, [1, 2], np.ones(3), {}]),
    "prior": Kind(["nonsense", 3, -1, nan, True, ["wald"], Stranger(), "", 1.5, np.ones(2), "normal(0)", "normal(0, -1)", {"nox": "normal(0, 1)"}, {"x": 3}], [{}]),
    "refits": Kind([-1, -100, 2.5, nan, inf, "100", "many", [10], Stranger(), True, 1j, {}], [0, np.int64(2), None]),
    "folds": Kind([0, 1, -1, 2.5, nan, inf, "100", "many", [10], Stranger(), True, 1j, {}, 10**6], [np.int64(2), None]),
    "file": Kind([None, nan, [], {}, Stranger(), 1.5, 1j, "", "no such folder/file", "."], [b"x"]),
    "positive": Kind(["1", "big", nan, inf, -1.0, [], {}, Stranger(), 1j], [True, 0]),
    "sd": Kind(["1", 1.0, nan, [1.0], {}, {"g": "x"}, {"g": nan}, {"g": -1.0}, {"nog": 1.0}, Stranger(), True]),
    "fixef": Kind(["1", 1.0, nan, [], {}, {"Intercept": "x"}, {"Intercept": nan, "x": 1.0}, {"nox": 1.0}, Stranger(), None, [1.0, 2.0, 3.0, 4.0]]),
    "names": Kind(["no such", "", 3, nan, True, ["no"], ["x", "no"], Stranger(), {}, [3], 1.5, ["x", 3]], [[], ()]),
    "at": Kind(["nonsense", {"nox": 1.0}, {"x": "a"}, {"x": nan}, Stranger(), True, {3: 1}, {"x": None}, {"x": []}, {"x": Stranger()}], [3, 1.5, [1, 2], nan, {"x": inf}]),
    "theta": Kind(["x", [], [nan] * 3, [inf] * 3, None, {}, Stranger(), ["a", "b", "c"], nan, True, [[1.0, 2.0, 3.0]]]),
    "contrast": Kind(["", "nox", "x = ", "x == = 1", "x + ", 3, nan, [], [1], [1, 2, 3, 4, 5], {}, {"nox": 1}, {"x": "a"}, {"x": nan}, None, Stranger(), True, "x * x", "__import__('os')", ["x", 3], np.ones((2, 2, 2)), [[nan, 1.0]], "x = y"]),
    "family": Kind(["normal", "Gaussian", "gaussian", "", 3, None, nan, True, [], Stranger(), "quasi", np.ones(2), {}, ("binomial",)]),
    "link": Kind(["nonsense", "", 3, nan, True, [], Stranger(), {}, "cauchit", 1.5]),
    "dataset": Kind(["nonsense", "", 3, None, nan, [], Stranger(), True, {}, "../x", "sleepstudy.csv"]),
    "icc": Kind(["x", nan, inf, -0.5, 1.5, None, [], Stranger(), {}, 1j]),
    "statistic": Kind(["sd", 3, [], Stranger(), nan, {}, True, lambda: 1.0, lambda f: "text", lambda f: None, lambda f: [1, "a"], lambda f: 1 / 0]),
    "unknown": Kind([1]),
}
# fmt: on

# the kind of a parameter of this name, if nothing else is said
USUAL = {
    "fit": "fit",
    "level": "level",
    "n": "count",
    "rng": "seed",
    "ddf": "choice",
    "group": "column",
    "scale": "choice",
    "ax": "ax",
    "at": "at",
    "kind": "choice",
    "parm": "names",
    "conditional": "bool",
    "nonsense": "unknown",
    "method": "choice",
    "weights": "weights",
    "offset": "vector",
    "formula": "formula",
    "data": "data",
    "family": "family",
    "link": "link",
    "x": "column",
    "y": "column",
    "refit": "bool",
    "na_action": "choice",
    "statistic": "statistic",
    "highlight": "names",
    "colours": "colours",
}
