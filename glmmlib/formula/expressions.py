"""Expressions: the Python inside a formula, read and checked before anything is computed.

``log(x)``, ``I(x**2)``, ``{x + z}``: what stands in a call or in braces is Python, but of Python only
what :mod:`glmmlib.formula.vocabulary` names. The check is made on the syntax tree, so that no spelling gets
round it, and it comes first: a formula that is refused has run nothing.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from glmmlib.display.words import hint
from glmmlib.errors import FormulaError
from glmmlib.formula import vocabulary as known

DEEPEST = 150  # nested operations
_LARGEST = 1e300  # of a number that a formula spells out
_MANY = 1000  # the highest degree or number of knots
_SYNTAX_WORDS = {"and", "or", "not", "in", "is", "if", "else", "for", "lambda", "await", "async", "yield"}
_CONSTANTS = {"True", "False", "None"}
_TAKEN = _SYNTAX_WORDS | _CONSTANTS | {*known.VALUES, *known.PATSY_CONTRASTS, *known.NAMESPACES}
_PIECE = re.compile(r"`([^`]+)`|(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')|((?<![\w.])[^\W\d]\w*)")


@dataclass(frozen=True, eq=False)
class Expression:
    """A checked Python expression.

    Attributes
    ----------
    text : str
        In one spelling: ``log( x )`` reads ``log(x)``, names that are no plain ones stand in backticks.
    tree : ast.expr
        Its syntax tree; a name that Python would not take stands there under another one.
    columns : dict of str to str
        The name in the tree and the column of each name that is read.
    called : tuple of str
        The plain functions that are called.
    """

    text: str
    tree: ast.expr = field(repr=False)
    columns: dict[str, str]
    called: tuple[str, ...]

    def spelt(self, part: ast.expr) -> str:
        """Return the text of a part of the tree."""
        return _unparsed(part, self.columns)


@lru_cache(maxsize=512)
def read_expression(text: str) -> Expression:
    """Read and check one expression.

    Raises
    ------
    FormulaError
        Without a position: where the expression stands is for the caller to say.

    Examples
    --------
    >>> found = read_expression("log(`my x`+ z)")
    >>> found.text, sorted(found.columns.values()), found.called
    ('log(`my x` + z)', ['my x', 'z'], ('log',))
    >>> read_expression("I(open('notes.txt').read())")
    Traceback (most recent call last):
    ...
    glmmlib.errors.FormulaError: a formula cannot use '.read': ...
    """
    spelt, originals = _python_names(text)
    tree = _parsed(spelt, text)
    names = _Checker(set(originals)).names_of(tree)
    columns = {name: originals.get(name, name) for name in names.read}
    return Expression(_unparsed(tree, originals), tree, columns, tuple(names.called))


def _python_names(text: str) -> tuple[str, dict[str, str]]:
    """Give names that Python would refuse or respell (in backticks, keywords, µ) others that it takes."""
    prefix = "_c"
    while prefix in text:
        prefix += "c"
    others: dict[str, str] = {}

    def spelt(match: re.Match) -> str:
        backticked, string, name = match.groups()
        original = backticked or name
        is_odd = name is not None and (
            unicodedata.normalize("NFKC", name) != name
            or (keyword.iskeyword(name) and name not in _SYNTAX_WORDS | _CONSTANTS)
        )
        if string is not None or not (backticked is not None or is_odd):
            return match.group()
        return f" {others.setdefault(original, f'{prefix}{len(others)}')} "

    changed = _PIECE.sub(spelt, text)
    return changed, {other: original for original, other in others.items()}


def _parsed(spelt: str, text: str) -> ast.expr:
    try:
        tree = ast.parse(spelt.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise FormulaError(f"{_short(text)} is not a valid expression") from error
    except (RecursionError, MemoryError) as error:
        raise FormulaError("this expression is nested too deeply") from error
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise FormulaError("this expression is nested too deeply")


def _short(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _unparsed(tree: ast.expr, originals: dict[str, str]) -> str:
    text = ast.unparse(tree)
    for other, original in originals.items():
        spelt = in_expression(original).replace("\\", r"\\")
        text = re.sub(rf"\b{other}\b", spelt, text)
    return text


def in_expression(name: str) -> str:
    """Return a column name as an expression spells it: in backticks where Python reads something else.

    >>> in_expression("Days"), in_expression("x.1"), in_expression("lambda")
    ('Days', '`x.1`', '`lambda`')
    """
    is_plain = name.isidentifier() and not name.startswith("__") and name not in _TAKEN
    return name if is_plain else f"`{name}`"


@dataclass
class _Names:
    """The names that an expression reads as columns, and the plain functions that it calls."""

    read: dict[str, None] = field(default_factory=dict)
    called: dict[str, None] = field(default_factory=dict)


class _Checker(ast.NodeVisitor):
    """Walks a syntax tree, refuses what a formula may not do, and notes the names."""

    def __init__(self, columns: set[str]) -> None:
        self.columns = columns  # names that stand for a column whatever they spell
        self.names = _Names()

    def names_of(self, tree: ast.expr) -> _Names:
        self.visit(tree)
        return self.names

    def generic_visit(self, node: ast.AST) -> None:
        what = _REFUSED.get(type(node), f"a formula cannot hold Python's {type(node).__name__}")
        raise FormulaError(what)

    def _all(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, int | float | str | bool | None):
            raise FormulaError(f"a formula cannot hold {node.value!r}")
        if isinstance(node.value, int | float) and not abs(node.value) < _LARGEST:
            raise FormulaError("this number is too large")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.columns:
            self.names.read[node.id] = None
        elif node.id.startswith("__"):
            raise FormulaError(
                f"a formula cannot use {node.id!r}: names that start with '__' are Python's own"
            )
        elif node.id not in known.VALUES and node.id not in known.PATSY_CONTRASTS:
            self.names.read[node.id] = None

    def visit_Attribute(self, node: ast.Attribute) -> None:
        base = node.value.id if isinstance(node.value, ast.Name) else ""
        if base in known.NAMESPACES and base not in self.columns:
            if node.attr not in known.NAMESPACES[base]:
                near = hint(difflib.get_close_matches(node.attr, known.NAMESPACES[base], n=1, cutoff=0.75))
                raise FormulaError(f"a formula cannot use '{base}.{node.attr}'{near}; {_PAGE}")
            return
        if node.attr not in known.ATTRIBUTES:
            dotted = ast.unparse(node)
            advice = (
                known.R_HABITS[dotted]
                if dotted in known.R_HABITS
                else f"if that is the name of a column, write `{dotted}` in backticks; {_PAGE}"
                if re.fullmatch(r"[\w.]+", dotted) and "__" not in dotted
                else _PAGE
            )
            raise FormulaError(f"a formula cannot use '.{node.attr}': {advice}")
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self._plain_call(node, node.func.id)
        elif isinstance(node.func, ast.Attribute):
            self.visit(node.func)
            if node.func.attr == "transform":
                _check_group_statistic(node)
        else:
            raise FormulaError("a formula calls functions by their names")
        for word in node.keywords:
            if word.arg is None or word.arg in known.IN_PLACE or word.arg.startswith("_"):
                raise FormulaError(f"a formula cannot use the argument {word.arg or '**'!r}")
        self._all(*node.args, *(word.value for word in node.keywords))

    def _plain_call(self, node: ast.Call, name: str) -> None:
        if name in self.columns or name.startswith("_"):
            raise FormulaError("a formula calls functions by their names")
        if name == "Q":
            self._quoted_column(node)
        if name in known.SPLINES and any(_constant(value) > _MANY for value in _values(node)):
            raise FormulaError(f"{name}() makes at most {_MANY:,} columns")
        if name not in known.VALUES:
            self.names.called[name] = None

    def _quoted_column(self, node: ast.Call) -> None:
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant) or node.keywords:
            raise FormulaError("Q() takes the name of a column in quotes: Q('my col')")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitOr):
            raise FormulaError(
                "a bar inside a call means nothing: a random-effects term stands on its own, ... + (x | g), "
                "and 'or' is written np.logical_or(a, b)"
            )
        if not isinstance(node.op, _OPERATORS):
            raise FormulaError(f"a formula cannot use Python's {type(node.op).__name__}")
        sides = (node.left, node.right)
        if isinstance(node.op, ast.Mult | ast.Mod) and any(_is_sequence(side) for side in sides):
            raise FormulaError("a text or a list cannot be multiplied in a formula")
        if not abs(_constant(node)) < _LARGEST:
            raise FormulaError("this number is too large")
        self._all(*sides)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            raise FormulaError(_REFUSED[ast.BoolOp])
        self.visit(node.operand)

    def visit_Compare(self, node: ast.Compare) -> None:
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            raise FormulaError("'in' is written x.isin(['a', 'b'])")
        if any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            raise FormulaError("'is' is written ==")
        if len(node.ops) > 1:
            raise FormulaError("compare once: 0 < x < 1 is written (0 < x) & (x < 1)")
        self._all(node.left, *node.comparators)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._all(node.value, node.slice)

    def visit_Slice(self, node: ast.Slice) -> None:
        self._all(node.lower, node.upper, node.step)

    def visit_Tuple(self, node: ast.Tuple | ast.List) -> None:
        self._all(*node.elts)

    visit_List = visit_Tuple

    def visit_Dict(self, node: ast.Dict) -> None:
        if None in node.keys:
            raise FormulaError("a formula cannot use '**' in a dict")
        self._all(*node.keys, *node.values)


_PAGE = "what a formula may use is listed on the page Security"
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd)
_OWN_FUNCTION = "hand your own function over: lmer(formula, data, functions={'f': f})"
_REFUSED: dict[type[ast.AST], str] = {
    ast.BoolOp: "'and', 'or' and 'not' of columns are written &, np.logical_or(a, b) and ~",
    ast.IfExp: "'if' is written np.where(condition, yes, no)",
    ast.Lambda: f"a formula cannot define a function: {_OWN_FUNCTION}",
    ast.ListComp: f"a formula cannot hold a loop: {_OWN_FUNCTION}",
    ast.GeneratorExp: f"a formula cannot hold a loop: {_OWN_FUNCTION}",
    ast.SetComp: f"a formula cannot hold a loop: {_OWN_FUNCTION}",
    ast.DictComp: f"a formula cannot hold a loop: {_OWN_FUNCTION}",
    ast.JoinedStr: "a formula cannot hold an f-string",
    ast.Starred: "a formula cannot use '*' before an argument",
}


def _is_sequence(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _values(node: ast.Call) -> Iterator[ast.expr]:
    yield from node.args
    yield from (word.value for word in node.keywords)


def _check_group_statistic(node: ast.Call) -> None:
    first = node.args[0] if node.args else None
    name = first.value if isinstance(first, ast.Constant) else None
    if name not in known.GROUP_STATISTICS or len(node.args) > 1 or node.keywords:
        raise FormulaError(
            f"transform() takes the name of one statistic: {', '.join(sorted(known.GROUP_STATISTICS))}"
        )


def _constant(node: ast.AST) -> float:
    """Return the value of what holds numbers only, infinite if that is beyond floats; 0 for all else.

    Powers are looked at before they are computed: ``9**9**9`` would keep Python busy for ever.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value) if abs(node.value) < _LARGEST else math.inf
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_constant(node.operand)
    if not isinstance(node, ast.BinOp):
        return 0.0
    left, right = _constant(node.left), _constant(node.right)
    try:
        if isinstance(node.op, ast.Pow):
            return float(left**right) if left > 0 else float(abs(left) ** abs(right))
        if isinstance(node.op, ast.Mult):
            return left * right
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return max(abs(left), abs(right))
