"""A term with a bar: ``(lhs | group)``, ``(lhs || group)`` or ``word(lhs | group)``, read from its tokens."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from glmmlib.covariance.bends import Bends
from glmmlib.covariance.registry import STRUCTURES
from glmmlib.display.words import did_you_mean
from glmmlib.errors import FormulaError
from glmmlib.formula.algebra import INTERCEPT, terms_of
from glmmlib.formula.smooths import check_options, is_smooth, read_random_curve
from glmmlib.formula.summands import Summand
from glmmlib.formula.terms import RandomTerm
from glmmlib.formula.tokens import Token, quoted
from glmmlib.formula.vocabulary import STRUCTURES_ELSEWHERE


def random_terms(text: str, summand: Summand) -> list[RandomTerm]:
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
    if token.text in STRUCTURES_ELSEWHERE:
        here = STRUCTURES_ELSEWHERE[token.text]
        raise FormulaError(f"there is no structure {token.text!r}: {here}", text, token.start)
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
        if isinstance(allowed[name], bool) and not isinstance(value, bool):
            raise FormulaError(f"{name} of {word}() is True or False, not {value!r}", text, piece[2].start)
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
