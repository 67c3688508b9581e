"""Scanning formula text: brackets, quotes, signs and bars. It knows nothing of models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from glmmlib.errors import FormulaError

_OPEN, _CLOSE = "([{", {")": "(", "]": "[", "}": "{"}
_NAME = re.compile(r"`(?P<quoted>[^`]+)`|(?P<plain>[^\W\d][\w.]*)")


def outside_quotes(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield (index, character, depth) outside quotes and backticks; check that brackets match.

    A bracket belongs to the depth it stands in: in ``a(b)`` only ``b`` has depth 1.
    """
    stack: list[int] = []
    quote = None
    for i, char in enumerate(text):
        if quote is not None:
            quote = None if char == text[quote] else quote
        elif char in "`'\"":
            quote = i
        elif char in _OPEN:
            yield i, char, len(stack)
            stack.append(i)
        elif char in _CLOSE:
            if not stack or text[stack[-1]] != _CLOSE[char]:
                raise FormulaError(f"this '{char}' closes nothing: brackets do not match", text, i)
            stack.pop()
            yield i, char, len(stack)
        else:
            yield i, char, len(stack)
    if quote is not None:
        raise FormulaError(f"this {text[quote]} is never closed", text, quote)
    if stack:
        raise FormulaError(f"this '{text[stack[-1]]}' is never closed", text, stack[-1])


@dataclass(frozen=True)
class Span:
    """A summand: text[start:stop], and the index of the sign before it (None for the first)."""

    start: int
    stop: int
    sign: int | None


def summands(text: str, start: int) -> list[Span]:
    """Split text[start:] at its outermost + and -."""
    spans: list[Span] = []
    sign, begin = None, start
    for i, char, depth in outside_quotes(text):
        if i < start or depth or char not in "+-":
            continue
        if text[begin:i].strip():
            spans.append(_trimmed(text, begin, i, sign))
            sign = i
        elif sign is None or char == "-":
            sign = i
        begin = i + 1
    if not text[begin:].strip():
        raise FormulaError(f"nothing follows this '{text[begin - 1]}'", text, begin - 1)
    spans.append(_trimmed(text, begin, len(text), sign))
    return spans


def _trimmed(text: str, start: int, stop: int, sign: int | None) -> Span:
    piece = text[start:stop]
    return Span(start + len(piece) - len(piece.lstrip()), stop - len(piece) + len(piece.rstrip()), sign)


def split_outermost(text: str, start: int, stop: int, separator: str) -> list[tuple[int, str]]:
    """Split text[start:stop] at the outermost separators, keeping positions."""
    cuts = [i for i, char, _ in outside_quotes(text) if start <= i < stop and char == separator]
    edges = [start - 1, *cuts, stop]
    return [(a + 1, text[a + 1 : b]) for a, b in pairwise(edges)]


def plain_bars(piece: str) -> list[tuple[int, int]]:
    """Positions and depths of the bars that separate effects from group.

    A bar inside a function call, an index or braces belongs to Python.
    """
    bars, plain = [], []
    for i, char, depth in outside_quotes(piece):
        if char in _OPEN:
            called = i > 0 and (piece[i - 1].isalnum() or piece[i - 1] in "_.`)]")
            plain.append(char == "(" and not called)
        elif char in _CLOSE:
            plain.pop()
        elif char == "|" and all(plain):
            bars.append((i, depth))
    return bars


def is_call(piece: str, function: str) -> bool:
    """Tell whether `piece` is one call of `function` and nothing else."""
    return bool(re.match(rf"{function}\s*\(", piece)) and closing(piece, piece.index("(")) == len(piece) - 1


def closing(piece: str, opening: int) -> int:
    """Index of the bracket that closes the one at `opening`."""
    level = next(depth for i, _, depth in outside_quotes(piece) if i == opening)
    return next(
        i for i, char, depth in outside_quotes(piece) if i > opening and char in _CLOSE and depth == level
    )


def with_powers(expression: str) -> str:
    """Translate R's power ``x^2`` into Python's ``x**2``, outside quotes.

    >>> with_powers("I(x^2) + `a^b`")
    'I(x**2) + `a^b`'
    """
    carets = {i for i, char, _ in outside_quotes(expression) if char == "^"}
    return "".join("**" if i in carets else char for i, char in enumerate(expression))


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
