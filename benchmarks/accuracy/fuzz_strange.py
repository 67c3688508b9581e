"""Strange values: every argument of every public function, of every method of a fit and of every result.

Where ``fuzz_arguments`` gives an argument values of its kind, here each argument is given all of them. Nothing may end in a
foreign exception, and what is nonsense anywhere must be refused.
"""

import inspect
import warnings
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from fuzz_arguments import Fits, fit_calls, is_default, other_calls, shown
from fuzz_outcomes import Task
from fuzz_values import Stranger

SECONDS = 10.0


class Contrary(list):
    """A list that cannot be compared."""

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


# fmt: off
NONSENSE = [Stranger(), Stranger, 1j, np.complex128(1j), b"x", ..., np.random, {1: {2: 3}}, [Stranger()], {Stranger(): 1},
            np.array(["a", None], dtype=object), pd.NaT, np.datetime64("2020-01-01"), pd.Timedelta("1D"), {1j}]
STRANGE = [[[1], [2, 3]], None, True, False, 0, 1, -1, -100, 3, 10**400, 2.5, 0.0, np.nan, np.inf, -np.inf, pd.NA, np.float32(0.5), np.int8(2), np.array(2), np.array(np.nan),
           "", " ", "no such", "x", "g", "big", "1", "0.95", "~", "(", "\0", "x" * 5000, [], (), {}, set(), frozenset(["x"]), [None], [np.nan], [1], [1, 2], ["x"], ["no such"], ["x", 3], [True],
           {"x": 1}, {"x": None}, {"x": {}}, {"x": []}, {3: 1}, {"x": np.nan}, {None: None}, (1.0, 0.5), (np.nan, 1.0), ("a", "b"), range(3), iter([1]),
           np.ones(0), np.ones(2), np.ones(60), np.full(60, np.nan), np.ones((2, 2)), np.ones((60, 2)), np.array(["a", "b"]), pd.Series([1.0]), pd.Series(dtype=float), pd.Index(["x"]),
           pd.DataFrame(), pd.DataFrame({"x": [1.0]}), pd.DataFrame({"g": ["g1"], "x": [np.nan]}), pd.Categorical(["a"]), len, lambda *a: None, lambda f: 1.0, np.ma.masked, Contrary([1])]
# fmt: on


def calls(fits):
    """One sound call of each name: the linear fit's where it has one."""
    first = {}
    for call in [*fit_calls(fits), *other_calls(fits)]:
        name = call.name.partition("[")[0]
        if name not in first and answers(call):
            first[name] = call
    return list(first.values())


def answers(call):
    try:
        call.function(**call.valid)
    except Exception:
        return False
    finally:
        plt.close("all")
    return True


def parameters(call):
    """Names of all arguments that a call takes, those of a wrapped function too."""
    named = inspect.signature(call.function).parameters.values()
    return list(
        dict.fromkeys(
            [p.name for p in named if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)] + [*call.kinds]
        )
    )


def values():
    """(value, is nonsense) of all that is tried."""
    yield from ((value, True) for value in NONSENSE)
    yield from ((value, False) for value in STRANGE)


def tasks(quick=False):
    """All calls with one argument made strange."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = calls(Fits())
    number = 0
    for call in found:
        for parameter in parameters(call):
            if call.kinds.get(parameter) == "unknown":
                continue
            for value, nonsense in values():
                number += 1
                if quick and number % 9:
                    continue
                refused = nonsense and not is_default(call.function, parameter, value)
                action = partial(call.function, **(call.valid | {parameter: value}))
                what = f"{call.name}({parameter}={shown(value)})"
                allowed = (OSError,) if parameter == "path" else ()
                yield Task("strange", what, action, SECONDS if refused else 3 * SECONDS, refused, allowed)
                plt.close("all")
