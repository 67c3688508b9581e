"""Wilkinson and Rogers' algebra: from ``a * b - a`` to the terms it stands for.

=============  ===========================================================
``a + b``      both                            ``a - b``   a without b
``a:b``        their product                   ``a * b``   ``a + b + a:b``
``a / b``      ``a + a:b``                     ``a %in% b``  ``b / a``
``(a+b)^2``    all products of up to two       ``0``, ``-1``  no intercept
=============  ===========================================================

A term is a product of factors, and a factor is a column or an expression. Terms are a set in the order in
which they are written, those with more factors last, as R has them. Nothing here looks at data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from glmmlib.errors import FormulaError
from glmmlib.formula import vocabulary as known
from glmmlib.formula.expressions import Expression, read_expression
from glmmlib.formula.tokens import Token, quoted, tokenise

MOST_TERMS = 2_000
DEEPEST = 50  # brackets in brackets


@dataclass(frozen=True)
class Factor:
    """A column by its name, or (``expression`` is not None) a checked expression by its text."""

    text: str
    expression: Expression | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Factor)
            and self.text == other.text
            and (self.expression is None) == (other.expression is None)
        )

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def spelt(self) -> str:
        """As a formula spells it, so that it reads again as this factor."""
        if self.expression is None:
            return quoted(self.text)
        return self.text if _is_call(self.text) else "{" + self.text + "}"


class Term:
    """A product of factors, in the order of the formula; without any it is the intercept."""

    def __init__(self, factors: tuple[Factor, ...] = ()) -> None:
        self.factors = factors
        self._set = frozenset(factors)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Term) and self._set == other._set

    def __hash__(self) -> int:
        return hash(self._set)

    def __repr__(self) -> str:
        return f"Term({self.spelt})"

    def __mul__(self, other: Term) -> Term:
        return Term(tuple(dict.fromkeys((*self.factors, *other.factors))))

    @property
    def spelt(self) -> str:
        """As a formula spells it: ``a:log(x)``, ``1``."""
        return ":".join(factor.spelt for factor in self.factors) or "1"


INTERCEPT = Term()


@lru_cache(maxsize=256)
def read_terms(text: str) -> tuple[Term, ...]:
    """Return the terms of a right-hand side, with the intercept that every formula has unless it says no.

    Raises
    ------
    FormulaError

    Examples
    --------
    >>> [term.spelt for term in read_terms("a*b - a + I(x^2)")]
    ['1', 'b', 'I(x ** 2)', 'a:b']
    """
    return terms_of(tokenise(text), text, implied=True)


def terms_of(tokens: Sequence[Token], text: str, implied: bool) -> tuple[Term, ...]:
    """Return the terms that tokens of `text` stand for; `implied` is whether there is an intercept unsaid."""
    if not tokens:
        raise FormulaError("nothing stands here", text, len(text))
    reader = _Reader(tokens, text)
    terms = dict.fromkeys([INTERCEPT]) if implied else {}
    terms = reader.sum(terms, 0)
    if reader.token is not None:
        reader.unexpected(reader.token)
    return tuple(sorted(terms, key=lambda term: len(term.factors)))


class _Reader:
    """Reads tokens from left to right, one method for each strength of binding."""

    def __init__(self, tokens: Sequence[Token], text: str) -> None:
        self.tokens, self.text, self.at = tokens, text, 0

    @property
    def token(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def error(self, message: str, token: Token) -> FormulaError:
        return FormulaError(message, self.text, token.start)

    def takes(self, *operators: str) -> Token | None:
        """Step over one of these operators, if it is next."""
        token = self.token
        if token is None or not token.is_operator(*operators):
            return None
        self.at += 1
        return token

    def sum(self, terms: dict[Term, None], depth: int) -> dict[Term, None]:
        """``a + b - c``: into the terms there are."""
        first = True
        while first or (self.token is not None and self.token.is_operator("+", "-")):
            first, minus, sign = False, False, None
            while token := self.takes("+", "-"):
                sign, minus = token, minus != (token.text == "-")
            if self.token is None or self.token.is_operator(")"):
                raise self.error(
                    f"nothing follows this '{(sign or self.tokens[-1]).text}'", sign or self.tokens[-1]
                )
            if self.token.kind == "number" and self.token.text == "0" and self._ends_after_number():
                self.at += 1
                found, minus = {INTERCEPT: None}, not minus
            else:
                found = self.product(depth)
            terms = {t: None for t in terms if t not in found} if minus else terms | found
        return terms

    def _ends_after_number(self) -> bool:
        after = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        return after is None or after.is_operator("+", "-", ")")

    def product(self, depth: int) -> dict[Term, None]:
        """``a * b``, ``a / b``, ``a %in% b``."""
        left = self.interaction(depth)
        while sign := self.takes("*", "/", "%in%"):
            right = self.interaction(depth)
            if sign.text == "*":
                left = left | right | self.crossed(left, right, sign)
            else:
                outer, inner = (left, right) if sign.text == "/" else (right, left)
                whole = INTERCEPT
                for term in outer:
                    whole = whole * term
                left = outer | {whole * term: None for term in inner}
        return left

    def interaction(self, depth: int) -> dict[Term, None]:
        """``a:b``."""
        left = self.power(depth)
        while sign := self.takes(":"):
            left = self.crossed(left, self.power(depth), sign)
        return left

    def power(self, depth: int) -> dict[Term, None]:
        """``(a + b)^2``: all products of up to two of the terms."""
        base = self.atom(depth)
        while sign := self.takes("^", "**"):
            exponent = self.token
            if (
                exponent is None
                or exponent.kind != "number"
                or not exponent.text.isdecimal()
                or not int(exponent.text)
            ):
                raise self.error("a power of terms is a whole number: (a + b)^2", sign)
            self.at += 1
            result = base
            for _ in range(min(int(exponent.text), len(base)) - 1):
                result = self.crossed(result, base, sign)
            base = result
        return base

    def crossed(self, left: Iterable[Term], right: Iterable[Term], sign: Token) -> dict[Term, None]:
        found: dict[Term, None] = {}
        for a in left:
            for b in right:
                found[a * b] = None
            if len(found) > MOST_TERMS:
                raise self.error(f"this makes more than {MOST_TERMS:,} terms", sign)
        return found

    def atom(self, depth: int) -> dict[Term, None]:
        """A column, an expression, ``1``, or a sum in brackets."""
        token = self.token
        if token is None:
            raise self.error(f"nothing follows this '{self.tokens[-1].text}'", self.tokens[-1])
        self.at += 1
        if token.is_operator("("):
            if depth >= DEEPEST:
                raise self.error("these brackets are nested too deeply", token)
            if self.token is not None and self.token.is_operator(")"):
                raise self.error("there is nothing in these brackets", token)
            terms = self.sum({}, depth + 1)
            if not self.takes(")"):
                self.unexpected(self.token or token)
            return terms
        if token.kind == "name":
            return {Term((Factor(token.text),)): None}
        if token.kind == "python":
            return {Term((Factor(*expression_of(token, self.text)),)): None}
        if token.kind == "number" and token.text == "1":
            return {INTERCEPT: None}
        self.at -= 1
        self.unexpected(token)

    def unexpected(self, token: Token) -> NoReturn:
        """Say what is wrong with a token that cannot stand where it stands."""
        if token.kind in ("name", "python") or token.is_operator("("):
            raise self.error("an operator is missing before this", token)
        if token.kind == "number":
            raise self.error(
                f"of numbers a formula knows 0 and 1, for the intercept: write I({token.text} * x)", token
            )
        if token.kind == "string":
            raise self.error("a text in quotes is no term: write a name with spaces in backticks", token)
        if token.kind == "word":
            raise self.error("a random-effects term stands on its own, joined by '+': ... + (1 | g)", token)
        if token.text in _ADVICE:
            raise self.error(_ADVICE[token.text], token)
        if token.text in "+-*/:^)" or token.text in ("**", "%in%"):
            raise self.error(f"something is missing before this '{token.text}'", token)
        raise self.error(
            f"'{token.text}' is no operator of formulas; inside a call, I(...), it may be one", token
        )


_ADVICE = {
    ".": "'.' is not understood: name the columns",
    "$": "a formula names the columns of its data: write x, not data$x",
    ",": "a comma means nothing here: terms are joined by '+'",
    "[": "brackets like these mean nothing here",
    "~": "a formula has one '~'",
} | dict.fromkeys(["==", "=", "!=", ">", ">=", "<", "<="], "a comparison is written inside a call: I(x > 2)")


def expression_of(token: Token, text: str) -> tuple[str, Expression]:
    """Read the Python of a token; an error points at it."""
    name = token.text.partition("(")[0]
    if "." in name and name in known.R_HABITS:
        raise FormulaError(f"'{name}()' is R's: {known.R_HABITS[name]}", text, token.start)
    try:
        expression = read_expression(token.text)
    except FormulaError as error:
        raise FormulaError(error.message, text, token.start) from error
    return expression.text, expression


def _is_call(text: str) -> bool:
    """Tell whether a formula takes this text for one expression without braces around it."""
    try:
        tokens = tokenise(text)
    except FormulaError:
        return False
    return len(tokens) == 1 and tokens[0].kind == "python" and not text.startswith("{")
