"""Formulas: from text to fixed-effects terms and random-effects terms.

A mixed-model formula is an ordinary one plus terms with a bar, ``(effects | group)``. The text is cut into
tokens once (:mod:`glmmlib.formula.tokens`); this module splits the right-hand side into its summands and
sorts them into three heaps: fixed, random, offset. What an ordinary formula means is for
:mod:`glmmlib.formula.algebra` to say. Nothing here looks at data, and nothing is computed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from glmmlib.covariance.bends import Bends
from glmmlib.covariance.registry import STRUCTURES
from glmmlib.display.words import did_you_mean
from glmmlib.errors import FormulaError
from glmmlib.formula.algebra import INTERCEPT, expression_of, terms_of
from glmmlib.formula.expressions import read_expression
from glmmlib.formula.smooths import check_options, is_smooth, read_random_curve, read_smooth
from glmmlib.formula.terms import Cbind, MixedFormula, RandomTerm
from glmmlib.formula.tokens import Token, quoted, tokenise, with_powers


def parse_formula(text: str) -> MixedFormula:
    """Read a mixed-model formula.

    Parameters
    ----------
    text : str
        ``response ~ fixed effects + (effects | group) + ...``. Beside Wilkinson and Rogers' algebra
        (``a * b``, ``a:b``, ``a / b``, ``(a + b)^2``, ``0 +``): ``(x | g)``, ``(1 | g)``, ``(0 + x | g)``,
        ``(x || g)``; ``(1 | a/b)``, short for ``(1 | a) + (1 | a:b)``; ``offset(expr)``;
        ``cbind(successes, failures)``; calls, ``log(x)``, ``I(x^2)``; names with spaces in backticks.

    Returns
    -------
    MixedFormula

    Raises
    ------
    FormulaError
        With the formula and a pointer to the place.

    Examples
    --------
    >>> f = parse_formula("strength ~ 1 + temp + (1 | batch/cask) + (0 + temp || lab)")
    >>> f.response, f.fixed
    ('strength', '1 + temp')
    >>> [term.text for term in f.random]
    ['(1 | batch)', '(1 | batch:cask)', '(0 + temp || lab)']
    """
    return _parse(flat(text))


@lru_cache(maxsize=64)
def _parse(text: str) -> MixedFormula:
    tokens = tokenise(text)
    tildes = [i for i, token in enumerate(tokens) if token.is_operator("~") and token.depth == 0]
    if not tildes:
        raise FormulaError(
            "a formula needs a '~' between the response and its model: y ~ x + (1 | g)", text, len(text)
        )
    if len(tildes) > 1:
        raise FormulaError("a formula has one '~'; this is a second one", text, tokens[tildes[1]].start)
    left, tilde, right = tokens[: tildes[0]], tokens[tildes[0]], tokens[tildes[0] + 1 :]
    if not left:
        raise FormulaError("there is no response on the left of '~'", text, tilde.start)
    if not right:
        raise FormulaError(
            "there is no model on the right of '~': write 1 for an intercept alone", text, tilde.start
        )
    heaps = _sort_summands(text, right)
    return MixedFormula(
        text.strip(),
        _response(text, left),
        heaps.fixed_text(),
        tuple(heaps.random),
        tuple(heaps.offsets),
        tuple(dict.fromkeys(heaps.lines)),
    )


def random_only(text: str) -> tuple[RandomTerm, ...]:
    """Read the random-effects terms of a formula that holds nothing else, as `re_form` does.

    Parameters
    ----------
    text : str
        ``"~(1 | g)"``, ``"~(1 | a) + (1 | b)"``, or ``"~0"`` for none; the tilde may be left out.

    Examples
    --------
    >>> [term.text for term in random_only("~(1 | a) + (x || b)")]
    ['(1 | a)', '(x || b)']
    >>> random_only("~0")
    ()
    """
    text = flat(text)
    tokens = tokenise(text)
    if tokens and tokens[0].is_operator("~"):
        tokens = tokens[1:]
    if not tokens:
        raise FormulaError("write ~0 for no random effects, or terms such as ~(1 | g)", text, 0)
    heaps = _sort_summands(text, tokens)
    if heaps.offsets or (heaps.fixed_text() not in ("0", "-1") if heaps.fixed else not heaps.random):
        at = heaps.fixed[0].start if heaps.fixed else tokens[0].start
        raise FormulaError(
            "only random-effects terms can stand here, such as ~(1 | g), or ~0 for none", text, at
        )
    return tuple(heaps.random)


def flat(text: str) -> str:
    """Put the formula on one line; every character keeps its position."""
    if not isinstance(text, str):
        raise FormulaError(
            f"a formula is text, such as 'y ~ x + (1 | g)'; this is of type {type(text).__name__}"
        )
    return re.sub(r"\s", " ", text).rstrip()


# --- sorting the summands -----------------------------------------------------------------------


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


@dataclass
class _Heaps:
    text: str
    fixed: list[Summand] = field(default_factory=list)
    random: list[RandomTerm] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def fixed_text(self) -> str:
        """Join the fixed summands with their signs, powers in Python's spelling."""
        joined = ""
        for summand in self.fixed:
            sign, piece = "-" if summand.is_minus else "+", summand.spelt(self.text)
            joined += f" {sign} {piece}" if joined else ("" if sign == "+" else "-") + piece
        return joined or "1"


def _sort_summands(text: str, tokens: Sequence[Token]) -> _Heaps:
    heaps = _Heaps(text)
    for summand in summands(tokens, text):
        if summand.has_bar:
            for term in _random_terms(text, summand):
                if term in heaps.random:
                    raise FormulaError(f"the term {term.text} stands here a second time", text, summand.start)
                heaps.random.append(term)
        elif _is_call(summand.tokens, "offset"):
            if summand.is_minus:
                raise FormulaError(
                    "an offset is added, not subtracted: write offset(-(...))", text, summand.signs[-1].start
                )
            heaps.offsets.append(_offset(text, summand.tokens[0]))
        elif summand.has_smooth:
            term, line = read_smooth(text, summand.tokens, summand.is_minus)
            if any(term.label == other.label for other in heaps.random):
                raise FormulaError(f"the curve {term.label} stands here a second time", text, summand.start)
            heaps.random.append(term)
            heaps.lines += [line] if line else []
        else:
            heaps.fixed.append(summand)
    if heaps.fixed:  # for its complaints, which point at the place
        terms_of([token for s in heaps.fixed for token in (*s.signs, *s.tokens)], text, implied=True)
    return heaps


def _random_terms(text: str, summand: Summand) -> list[RandomTerm]:
    """Read one summand that holds a bar: ``(lhs | group)``, ``(lhs || group)`` or ``word(lhs | group)``."""
    tokens: Sequence[Token] = summand.tokens
    word: str | None = None
    options: tuple[tuple[str, object], ...] = ()
    if tokens[0].kind == "word":
        word = _structure_word(text, tokens[0])
        first = tokens[0]
        tokens, options = _options(text, tokens, word)
        if STRUCTURES[word].left_side == "curve":
            check_options(dict(options), text, first)
    smooth = next((token for token in tokens if is_smooth(token)), None)
    if smooth is not None and word is not None:
        raise FormulaError(
            f"a curve for each level has a structure of its own: write (s(x) | g), without {word}",
            text,
            smooth.start,
        )
    bars = [i for i, token in enumerate(tokens) if token.is_operator("|", "||")]
    stray = next((token for token in tokens if token.kind == "word"), None)
    bar = tokens[bars[0]]
    if stray is None and bar.depth == 0:
        raise FormulaError("put a random-effects term in parentheses, as in y ~ x + (1 | g)", text, bar.start)
    if stray is not None or bar.depth > 1 or not _in_brackets(tokens):
        raise FormulaError(
            "a random-effects term stands on its own, joined by '+': ... + (1 | g)", text, bar.start
        )
    if summand.is_minus:
        raise FormulaError(
            "a random-effects term can be added, not subtracted: leave it out instead",
            text,
            summand.signs[-1].start,
        )
    if len(bars) > 1:
        raise FormulaError(
            "a random-effects term has one bar; for two grouping factors write (1 | a) + (1 | b)",
            text,
            tokens[bars[1]].start,
        )
    if word is not None and bar.text == "||":
        raise FormulaError(f"{word}() says what the covariance is, so its bar is single", text, bar.start)
    right = tokens[bars[0] + 1 : -1]
    if smooth is not None:
        line, lhs, options = read_random_curve(text, tokens[1 : bars[0]])
        return [
            term
            for groups in _groupings(text, right, tokens[-1])
            for term in (
                _random_term(line, bar.text, groups, None, ()),
                _random_term(lhs, "|", groups, Bends.word, options),
            )
        ]
    lhs = _random_lhs(text, tokens[1 : bars[0]], bar)
    if word is not None and len(right) == 1 and right[0].text == "1":
        return [_random_term(lhs, bar.text, (), word, options)]
    groupings = _groupings(text, right, tokens[-1])
    return [_random_term(lhs, bar.text, groups, word, options) for groups in groupings]


def _random_term(
    lhs: str, bar: str, groups: tuple[str, ...], word: str | None, options: tuple[tuple[str, object], ...]
) -> RandomTerm:
    given = "".join(f", {name}={value!r}" for name, value in options)
    text = f"{word or ''}({lhs} {bar} {':'.join(map(quoted, groups)) or '1'}{given})"
    if word is not None and STRUCTURES[word].left_side == "places" and not lhs.startswith("0 + "):
        lhs = f"0 + {lhs}"  # coordinates have no intercept
    return RandomTerm(text, lhs, groups, word or ("us" if bar == "|" else "diag"), options)


def _structure_word(text: str, token: Token) -> str:
    """Return the word of a covariance structure, before a bracket that holds a bar."""
    words = [word for word, structure in STRUCTURES.items() if not structure.is_curve]
    if token.text not in words:
        near = did_you_mean(token.text, words)
        raise FormulaError(
            f"a bar inside {token.text}() means nothing{near}: a random-effects term is written (x | g), or "
            f"with a structure for its covariance, {', '.join(words)}, as in ar1(0 + time | g); and "
            "'or' is np.logical_or(a, b)",
            text,
            token.start,
        )
    return token.text


def _options(
    text: str, tokens: Sequence[Token], word: str
) -> tuple[Sequence[Token], tuple[tuple[str, object], ...]]:
    """Return the brackets of a structure's word without its options, and these."""
    if not _in_brackets(tokens[1:]):
        raise FormulaError(
            "a random-effects term stands on its own, joined by '+': ... + ar1(0 + time | g)",
            text,
            tokens[0].start,
        )
    pieces = list(_split(tokens[2:-1], tokens[-1], ","))
    allowed, options = STRUCTURES[word].options, {}
    for piece in pieces[1:]:
        if len(piece) < 4 or piece[0].kind != "name" or not piece[1].is_operator("="):
            raise FormulaError(f"an option of {word}() is written name=value", text, piece[0].start)
        name = piece[0].text
        if name not in allowed:
            has = f"has {' and '.join(allowed)}" if allowed else "has none"
            raise FormulaError(f"{word}() {has}, and no option {name!r}", text, piece[0].start)
        value = _literal(text, piece[2:-1])
        if value != allowed[name]:
            options[name] = value
    inner = pieces[0][:-1]
    return [tokens[1], *inner, tokens[-1]], tuple(options.items())


def _literal(text: str, tokens: Sequence[Token]) -> object:
    piece = text[tokens[0].start : tokens[-1].stop]
    try:
        return ast.literal_eval({"TRUE": "True", "FALSE": "False"}.get(piece, piece))
    except (ValueError, SyntaxError):
        raise FormulaError(
            "an option is a number, a text in quotes, True or False", text, tokens[0].start
        ) from None


def _in_brackets(tokens: Sequence[Token]) -> bool:
    """Tell whether one pair of brackets holds all of the tokens."""
    return (
        tokens[0].is_operator("(")
        and tokens[-1].is_operator(")")
        and all(token.depth > tokens[0].depth for token in tokens[1:-1])
    )


def _random_lhs(text: str, tokens: Sequence[Token], bar: Token) -> str:
    """Read the left of a bar and return it in canonical form."""
    if not tokens:
        raise FormulaError(
            "nothing stands on the left of this bar: write 1 for a random intercept", text, bar.start
        )
    terms = terms_of(tokens, text, implied=True)
    if not terms:
        raise FormulaError("no random effect is left on the left of this bar", text, tokens[0].start)
    if terms == (INTERCEPT,):
        return "1"
    spelt = [term.spelt for term in terms if term != INTERCEPT]
    return " + ".join(spelt if INTERCEPT in terms else ["0", *spelt])


def _groupings(text: str, tokens: Sequence[Token], closing: Token) -> list[tuple[str, ...]]:
    """Read the right of a bar: ``g``, ``a:b``, or ``a/b`` for a and a:b."""
    if not tokens:
        raise FormulaError(
            "nothing stands on the right of this bar: write the grouping column there",
            text,
            closing.start - 1,
        )
    groupings: list[tuple[str, ...]] = []
    outer: tuple[str, ...] = ()
    for level in _split(tokens, closing, "/"):
        for name in _split(level[:-1], level[-1], ":"):
            outer += (_group_name(text, name[:-1], name[-1]),)
        if len(set(outer)) < len(outer):
            raise FormulaError("a column is named twice in one grouping factor", text, level[0].start)
        groupings.append(outer)
    return groupings


def _split(tokens: Sequence[Token], end: Token, separator: str) -> Iterator[list[Token]]:
    """Split tokens at a separator; each piece has the token that ends it as its last."""
    piece: list[Token] = []
    for token in tokens:
        piece.append(token)
        if token.is_operator(separator):
            yield piece
            piece = []
    yield [*piece, end]


def _group_name(text: str, tokens: Sequence[Token], end: Token) -> str:
    if not tokens:
        raise FormulaError("a column name is missing here", text, end.start)
    if len(tokens) == 1 and tokens[0].kind == "name":
        return tokens[0].text
    if tokens[0].kind == "number":
        advice = f"a grouping factor is a column, not the number {tokens[0].text}"
    elif any(token.is_operator("+", "*") for token in tokens):
        advice = "for two grouping factors write (1 | a) + (1 | b), (1 | a/b) or (1 | a:b)"
    elif any(token.kind == "python" for token in tokens):
        advice = (
            "a grouping factor is a plain column: every column on the right of a bar is taken as a factor"
        )
    else:
        advice = "this is not the name of a column; put a name with spaces or signs in backticks"
    raise FormulaError(advice, text, tokens[0].start)


# --- responses and offsets ----------------------------------------------------------------------


def _is_call(tokens: Sequence[Token], function: str) -> bool:
    """Tell whether the tokens are one call of `function` and nothing else."""
    return (
        len(tokens) == 1
        and tokens[0].kind == "python"
        and re.match(rf"{function}\s*\(", tokens[0].text) is not None
    )


def _arguments(text: str, token: Token) -> list[str]:
    """Return the arguments of a call, each as text."""
    expression = expression_of(token, text)[1]
    tree = expression.tree
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.keywords:
        raise FormulaError("this is not a valid expression", text, token.start)
    return [expression.spelt(argument) for argument in tree.args]


def _offset(text: str, token: Token) -> str:
    arguments = _arguments(text, token)
    if len(arguments) != 1:
        what = "offset() takes one expression" if arguments else "offset() is empty"
        raise FormulaError(what, text, token.stop - 1)
    return arguments[0]


def _response(text: str, tokens: Sequence[Token]) -> str | Cbind:
    if any(token.is_operator("|", "||") for token in tokens):
        raise FormulaError(
            "a bar on the left of '~' means nothing: a binomial response is written cbind(good, bad)",
            text,
            next(token.start for token in tokens if token.is_operator("|", "||")),
        )
    if _is_call(tokens, "cbind"):
        columns = _arguments(text, tokens[0])
        if len(columns) != 2:
            raise FormulaError(
                "cbind takes two columns: cbind(successes, failures)", text, tokens[0].start + len("cbind(")
            )
        return Cbind(*columns)
    if len(tokens) == 1 and tokens[0].kind == "name":
        return quoted(tokens[0].text)
    spelt = (
        tokens[0].text
        if len(tokens) == 1 and tokens[0].kind == "python"
        else with_powers(text[tokens[0].start : tokens[-1].stop])
    )
    try:
        read_expression(spelt)
    except FormulaError as error:
        where = "the response " if error.message.endswith("valid expression") else ""
        message = where + "is not a valid expression" if where else error.message
        raise FormulaError(message, text, tokens[0].start) from error
    return spelt
