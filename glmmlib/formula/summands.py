"""The right-hand side of a formula, cut at its outermost signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glmmlib.errors import FormulaError
from glmmlib.formula.smooths import is_smooth
from glmmlib.formula.tokens import Token, with_powers


@dataclass(frozen=True)
class Summand:
    """What stands between two outermost signs, and the signs before it."""

    signs: tuple[Token, ...]
    tokens: tuple[Token, ...]

    @property
    def is_minus(self) -> bool:
        """Is it taken away?"""
        return sum(sign.text == "-" for sign in self.signs) % 2 == 1

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def has_bar(self) -> bool:
        """Is it a random-effects term, or meant to be one?"""
        return any(t.kind == "word" or t.is_operator("|", "||") for t in self.tokens)

    @property
    def has_smooth(self) -> bool:
        """Does it hold a smooth, ``s(x)``?"""
        return any(is_smooth(token) for token in self.tokens)

    def spelt(self, text: str) -> str:
        """Return its text, R's powers in Python's spelling."""
        return with_powers(text[self.start : self.tokens[-1].stop])


def summands(tokens: Sequence[Token], text: str) -> Iterator[Summand]:
    """Split a right-hand side at its outermost + and -."""
    signs: list[Token] = []
    piece: list[Token] = []
    for token in tokens:
        if not (token.is_operator("+", "-") and token.depth == 0):
            piece.append(token)
        elif piece:
            yield Summand(tuple(signs), tuple(piece))
            signs, piece = [token], []
        else:
            signs.append(token)
    if not piece:
        raise FormulaError(f"nothing follows this '{signs[-1].text}'", text, signs[-1].start)
    yield Summand(tuple(signs), tuple(piece))
