"""Tokens: a formula cut into names, calls, numbers, operators and brackets, once.

A call such as ``log(x)``, with everything in its brackets and the methods behind it, is one token: what is
inside belongs to Python (:mod:`glmmlib.formula.expressions`). A call that holds a bar at its top, as
``us(x | g)`` does, is none: it is a word about a random-effects term, and its inside is formula again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from glmmlib.errors import FormulaError

LONGEST = 20_000  # characters of a formula
_OPEN, _CLOSE = "([{", {")": "(", "]": "[", "}": "{"}
_RAW = re.compile(
    r"""(?P<space>\s+)
    | `(?P<quoted>[^`]*)`
    | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<name>\.?[^\W\d][\w.]*)
    | (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<operator>\*\*|\|\||%\w*%|&&|<=|>=|==|!=|<-|.)""",
    re.VERBOSE,
)
_NAME = re.compile(r"`(?P<quoted>[^`]+)`|(?P<plain>[^\W\d][\w.]*)")


class Token(NamedTuple):
    """A piece of a formula.

    Attributes
    ----------
    kind : str
        ``name`` (a column), ``word`` (of a call that holds a bar), ``python`` (a call, or what braces hold),
        ``number``, ``string`` or ``operator`` (brackets are operators).
    text : str
        A name without its backticks; Python with R's powers in Python's spelling; all else as it is written.
    start, stop : int
        Where it stands in the formula.
    depth : int
        In how many brackets it stands; a bracket belongs to the depth around it.
    """

    kind: str
    text: str
    start: int
    stop: int
    depth: int

    def is_operator(self, *texts: str) -> bool:
        """Tell whether this is one of these operators."""
        return self.kind == "operator" and self.text in texts


def tokenise(text: str) -> tuple[Token, ...]:
    """Cut a formula into tokens.

    Raises
    ------
    FormulaError
        For brackets that do not match and quotes that are not closed.

    Examples
    --------
    >>> [token.text for token in tokenise("y ~ log(x)^2 + (1 | `my g`)")]
    ['y', '~', 'log(x)', '^', '2', '+', '(', '1', '|', 'my g', ')']
    """
    if len(text) > LONGEST:
        raise FormulaError(f"a formula has at most {LONGEST:,} characters; this one has {len(text):,}")
    raw = _raw_tokens(text)
    partner = _partners(raw, text)
    tokens: list[Token] = []
    depth, i = 0, 0
    while i < len(raw):
        kind, start, stop = raw[i]
        if kind == "operator" and text[start] == "{":
            end = partner[i]
            tokens.append(Token("python", _python(text, raw[i + 1 : end]), start, raw[end][2], depth))
            i = end
        elif kind in ("name", "quoted") and _opens(raw, text, i + 1):
            bracket = i + 1
            if kind == "name" and text[raw[bracket][1]] == "(" and _holds_bar(raw, text, bracket, partner):
                tokens.append(Token("word", text[start:stop], start, stop, depth))
            else:
                end = _end_of_call(raw, text, bracket, partner)
                tokens.append(Token("python", _python(text, raw[i : end + 1]), start, raw[end][2], depth))
                i = end
        elif kind == "quoted":
            if stop - start == 2:
                raise FormulaError("there is no name between these backticks", text, start)
            tokens.append(Token("name", text[start + 1 : stop - 1], start, stop, depth))
        else:
            piece = text[start:stop]
            depth -= kind == "operator" and piece in _CLOSE
            tokens.append(Token(kind, piece, start, stop, depth))
            depth += kind == "operator" and piece in _OPEN
        i += 1
    return tuple(tokens)


def _raw_tokens(text: str) -> list[tuple[str, int, int]]:
    """Return kind, start and stop of all that is not white space."""
    raw = []
    for match in _RAW.finditer(text):
        kind = match.lastgroup or "operator"
        if kind == "operator" and match.group() in "`'\"":
            raise FormulaError(f"this {match.group()} is never closed", text, match.start())
        if kind != "space":
            raw.append((kind, match.start(), match.end()))
    return raw


def _partners(raw: Sequence[tuple[str, int, int]], text: str) -> dict[int, int]:
    """Return for each opening bracket the one that closes it, by position among the raw tokens."""
    stack: list[int] = []
    partner: dict[int, int] = {}
    for i, (kind, start, stop) in enumerate(raw):
        char = text[start:stop]
        if kind == "operator" and char in _OPEN:
            stack.append(i)
        elif kind == "operator" and char in _CLOSE:
            if not stack or text[raw[stack[-1]][1]] != _CLOSE[char]:
                raise FormulaError(f"this '{char}' closes nothing: brackets do not match", text, start)
            partner[stack.pop()] = i
    if stack:
        at = raw[stack[-1]][1]
        raise FormulaError(f"this '{text[at]}' is never closed", text, at)
    return partner


def _opens(raw: Sequence[tuple[str, int, int]], text: str, i: int) -> bool:
    return i < len(raw) and raw[i][0] == "operator" and text[raw[i][1]] in "(["


def _holds_bar(raw: Sequence[tuple[str, int, int]], text: str, bracket: int, partner: dict[int, int]) -> bool:
    """Tell whether a bar stands between the bracket and its partner, in no bracket between."""
    i = bracket + 1
    while i < partner[bracket]:
        if raw[i][0] == "operator" and text[raw[i][1]] == "|":
            return True
        i = partner.get(i, i) + 1
    return False


def _end_of_call(
    raw: Sequence[tuple[str, int, int]], text: str, bracket: int, partner: dict[int, int]
) -> int:
    """Return the last raw token of a call and of the methods and indices behind it."""
    i = partner[bracket]
    while True:
        if _opens(raw, text, i + 1) and raw[i + 1][1] == raw[i][2]:
            i = partner[i + 1]
        elif i + 1 < len(raw) and raw[i + 1][0] == "name" and text[raw[i + 1][1]] == ".":
            i += 1
        else:
            return i


def _python(text: str, raw: Sequence[tuple[str, int, int]]) -> str:
    """Return the text of raw tokens, R's power ``^`` as ``**``."""
    if not raw:
        return ""
    pieces, at = [], raw[0][1]
    for _, start, stop in raw:
        piece = text[start:stop]
        pieces += [text[at:start], "**" if piece == "^" else piece]
        at = stop
    return "".join(pieces)


def with_powers(expression: str) -> str:
    """Translate R's power ``x^2`` into Python's ``x**2``, outside quotes.

    >>> with_powers("I(x^2) + `a^b`")
    'I(x**2) + `a^b`'
    """
    return _python(expression, _raw_tokens(expression))


def quoted(name: str) -> str:
    """Return a column name as a formula spells it: in backticks unless it is a plain name.

    >>> quoted("Days"), quoted("my col")
    ('Days', '`my col`')
    """
    match = _NAME.fullmatch(name)
    return name if match and match["plain"] else f"`{name}`"


def plain_name(text: str) -> str | None:
    """Return the column that `text` names, without its backticks; None for anything else.

    >>> plain_name("`my col`"), plain_name("log(y)")
    ('my col', None)
    """
    match = _NAME.fullmatch(text.strip())
    return match and (match["quoted"] or match["plain"])
