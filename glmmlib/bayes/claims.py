"""Claims about parameters, such as ``"x > 0"`` or ``"sd g.Intercept > 2 * sigma"``, and their probability."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.words import did_you_mean
from glmmlib.errors import ModelError
from glmmlib.types import BoolArray

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": np.abs, "exp": np.exp, "log": np.log, "sqrt": np.sqrt}
EXAMPLE = "'x > 0', 'abs(x) < 0.1' or 'sd g.Intercept > sigma'"


def holds(claim: str, draws: pd.DataFrame) -> BoolArray:
    """Say for each draw whether a claim holds.

    Parameters
    ----------
    claim : str
        A comparison of sums, products and powers of parameters, by the names of the columns, with ``abs``,
        ``exp``, ``log`` and ``sqrt``.
    draws : DataFrame

    Examples
    --------
    >>> holds("f[T.b] > 2 * x", pd.DataFrame({"x": [1.0, 2.0], "f[T.b]": [3.0, 3.0]})).tolist()
    [True, False]
    """
    if not isinstance(claim, str):
        raise ModelError(f"a claim is a text such as {EXAMPLE}, not {claim!r}")
    names = sorted(map(str, draws.columns), key=len, reverse=True)
    pattern = "|".join(rf"(?<![\w.]){re.escape(name)}(?![\w.\[:])" for name in names)
    text = re.sub(pattern, lambda found: f" _{names.index(found[0])}_ ", claim)
    values = {f"_{k}_": draws[name].to_numpy() for k, name in enumerate(names)}
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ModelError(
            f"the claim {claim!r} cannot be read: write a comparison such as {EXAMPLE}; the parameters are "
            f"{', '.join(map(str, draws.columns))}"
        ) from None
    if not isinstance(tree, ast.Compare):
        raise ModelError(f"the claim {claim!r} compares nothing: write {EXAMPLE}")
    return np.broadcast_to(_value(tree, values, claim, list(map(str, draws.columns))), len(draws))


def _value(node: ast.AST, values: dict[str, Any], claim: str, names: list[str]) -> Any:
    def of(part: ast.AST) -> Any:
        return _value(part, values, claim, names)

    match node:
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in OPERATORS for op in ops):
            sides = [of(left), *map(of, others)]
            pairs = zip(ops, sides[:-1], sides[1:], strict=True)
            return np.logical_and.reduce([OPERATORS[type(op)](a, b) for op, a, b in pairs])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](of(left), of(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](of(operand))
        case ast.Call(func=ast.Name(id=word), args=[argument], keywords=[]) if word in FUNCTIONS:
            return FUNCTIONS[word](of(argument))
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            raise ModelError(f"the claim {claim!r} names no parameter: {name!r}{did_you_mean(name, names)}")
    raise ModelError(f"the claim {claim!r} is more than a comparison of sums and products: write {EXAMPLE}")
