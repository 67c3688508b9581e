"""Smooth curves in a formula: ``s(x)``, ``s(x, k=20)``, ``s(month, bs="cc", knots=(0.5, 12.5))``,
``s(x, by=f)``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from itertools import pairwise

from glmmlib.covariance.registry import STRUCTURES
from glmmlib.errors import FormulaError
from glmmlib.formula.algebra import expression_of
from glmmlib.formula.expressions import Expression
from glmmlib.formula.terms import RandomTerm
from glmmlib.formula.tokens import Token

WORD = "s"
HAS_LINE = {"cr": True, "cc": False}  # by basis: does the curve bend about a straight line?
FEWEST, MOST = 4, 200  # knots


def is_smooth(token: Token) -> bool:
    """Is this a call ``s(...)``?"""
    return token.kind == "python" and re.match(rf"{WORD}\s*\(", token.text) is not None


def read_smooth(text: str, tokens: Sequence[Token], is_minus: bool) -> tuple[RandomTerm, str]:
    """Read a summand that holds a smooth: the term, and the straight line about which it bends, or nothing.

    >>> from glmmlib.formula.tokens import tokenise
    >>> term, line = read_smooth("s(x, k=5)", tokenise("s(x, k=5)"), False)
    >>> term.label, term.options, line
    ('s(x)', (('k', 5),), 'x')
    """
    if len(tokens) != 1 or is_minus:
        raise FormulaError(
            "a smooth stands on its own, joined by '+': y ~ f + s(x) + (1 | g)", text, tokens[0].start
        )
    token = tokens[0]
    expression = expression_of(token, text)[1]
    tree = expression.tree
    if not isinstance(tree, ast.Call) or len(tree.args) != 1:
        raise FormulaError(
            "s() smooths one column, such as s(x) or s(log(x)): for two write s(x) + s(z)", text, token.start
        )
    known = STRUCTURES[WORD].options
    options: dict[str, object] = {}
    for keyword in tree.keywords:
        if keyword.arg is None or keyword.arg not in known:
            raise FormulaError(
                f"s() has {', '.join(known)}, and no option {keyword.arg!r}", text, token.start
            )
        if keyword.arg == "by":
            options["by"] = _column(keyword.value, expression, text, token)
            continue
        try:
            value = ast.literal_eval(keyword.value)
        except ValueError:
            raise FormulaError(
                f"the option {keyword.arg} of s() is written out: k=10, bs='cc', knots=(0, 12)",
                text,
                token.start,
            ) from None
        if value != known[keyword.arg] or type(value) is not type(known[keyword.arg]):
            options[keyword.arg] = value
    check_options(options, text, token)
    what = expression.spelt(tree.args[0])
    by = options.get("by")
    given = "".join(f", {name}={value if name == 'by' else repr(value)}" for name, value in options.items())
    left = f"0 + {what}" + (f" + {by}" if by else "")
    term = RandomTerm(f"{WORD}({what}{given})", left, (), WORD, tuple(options.items()))
    line = (f"{what}:{by}" if by else what) if HAS_LINE[str(options.get("bs", "cr"))] else ""
    return term, line


def read_random_curve(text: str, tokens: Sequence[Token]) -> tuple[str, str, tuple[tuple[str, object], ...]]:
    """Read the left side of ``(s(x) | g)``: that of its lines, that of its bends, and the options of these.

    >>> from glmmlib.formula.tokens import tokenise
    >>> read_random_curve("s(x, k=5)", tokenise("s(x, k=5)"))
    ('x', '0 + x', (('k', 5),))
    """
    if len(tokens) != 1:
        raise FormulaError(
            "a curve for each level stands alone before its bar, as in (s(x) | g): its line is part of it",
            text,
            tokens[0].start,
        )
    term, line = read_smooth(text, tokens, is_minus=False)
    if "by" in dict(term.options):
        raise FormulaError("curves that vary between groups have no by=", text, tokens[0].start)
    return line or "1", term.lhs, term.options


def _column(node: ast.expr, expression: Expression, text: str, token: Token) -> str:
    """Return the name of the column whose levels, or numbers, a curve goes by."""
    if not isinstance(node, ast.Name):
        raise FormulaError(
            "by= of s() names a column, such as s(x, by=arm): make a column of an expression first",
            text,
            token.start,
        )
    return expression.spelt(node)


def check_options(options: dict, text: str, token: Token) -> None:
    """Complain of impossible knots or bases."""
    k, bs, knots = options.get("k", 10), options.get("bs", "cr"), options.get("knots")
    if bs not in HAS_LINE:
        raise FormulaError(
            f"the basis bs of s() is 'cr' (a cubic regression spline) or 'cc' (a cyclic one), not {bs!r}",
            text,
            token.start,
        )
    if isinstance(k, bool) or not isinstance(k, int) or not FEWEST <= k <= MOST:
        raise FormulaError(
            f"k, the number of knots of s(), is a whole number from {FEWEST} to {MOST}, not {k!r}",
            text,
            token.start,
        )
    if knots is not None and not (
        isinstance(knots, tuple)
        and (len(knots) >= FEWEST or (len(knots) == 2 and bs == "cc"))
        and all(isinstance(x, int | float) for x in knots)
        and all(a < b for a, b in pairwise(knots))
    ):
        raise FormulaError(
            f"knots of s() are at least {FEWEST} increasing numbers, such as (0, 5, 10, 20), or for bs='cc' "
            "the two ends of the period",
            text,
            token.start,
        )
