"""Formulas: from text to fixed-effects terms and random-effects terms.

A mixed-model formula is an ordinary one plus terms with a bar, ``(effects | group)``. formulaic
reads ordinary formulas and knows no bars, so this module splits the right-hand side into its
summands, sorts them into three heaps (fixed, random, offset), and leaves the rest to formulaic.
Nothing here looks at data.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache

from formulaic import Formula
from formulaic.errors import FormulaicError

from glmmlib.errors import FormulaError
from glmmlib.formula.scanner import (
    Span,
    closing,
    is_call,
    outside_quotes,
    plain_bars,
    plain_name,
    quoted,
    split_outermost,
    summands,
    with_powers,
)
from glmmlib.formula.terms import Cbind, MixedFormula, RandomTerm


def parse_formula(text: str) -> MixedFormula:
    """Read a mixed-model formula.

    Parameters
    ----------
    text : str
        ``response ~ fixed effects + (effects | group) + ...``. Besides everything that formulaic
        reads: ``(x | g)``, ``(1 | g)``, ``(0 + x | g)``, ``(x || g)``; ``(1 | a/b)``, short for
        ``(1 | a) + (1 | a:b)``; ``offset(expr)``; ``cbind(successes, failures)``; R's powers
        inside a call, ``I(x^2)``; names with spaces in backticks.

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
    return _parse(_flat(text))


@lru_cache(maxsize=64)
def _parse(text: str) -> MixedFormula:
    tildes = [i for i, char, depth in outside_quotes(text) if char == "~" and depth == 0]
    if not tildes:
        raise FormulaError(
            "a formula needs a '~' between the response and its model: y ~ x + (1 | g)", text, len(text)
        )
    if len(tildes) > 1:
        raise FormulaError("a formula has one '~'; this is a second one", text, tildes[1])
    tilde = tildes[0]
    if not text[:tilde].strip():
        raise FormulaError("there is no response on the left of '~'", text, tilde)
    if not text[tilde + 1 :].strip():
        raise FormulaError(
            "there is no model on the right of '~': write 1 for an intercept alone", text, tilde
        )
    heaps = _sort_summands(text, tilde + 1)
    return MixedFormula(
        text.strip(), _response(text, tilde), heaps.fixed_text(), tuple(heaps.random), tuple(heaps.offsets)
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
    text = _flat(text)
    start = len(text) - len(text.lstrip()) + text.lstrip().startswith("~")
    if not text[start:].strip():
        raise FormulaError("write ~0 for no random effects, or terms such as ~(1 | g)", text, start)
    heaps = _sort_summands(text, start)
    if heaps.offsets or (heaps.fixed_text() not in ("0", "-1") if heaps.fixed else not heaps.random):
        at = heaps.fixed[0].start if heaps.fixed else start
        raise FormulaError(
            "only random-effects terms can stand here, such as ~(1 | g), or ~0 for none", text, at
        )
    return tuple(heaps.random)


def _flat(text: str) -> str:
    """Put the formula on one line; every character keeps its position."""
    if not isinstance(text, str):
        raise FormulaError(
            f"a formula is text, such as 'y ~ x + (1 | g)'; this is of type {type(text).__name__}"
        )
    return re.sub(r"\s", " ", text).rstrip()


# --- sorting the summands -----------------------------------------------------------------------


@dataclass
class _Heaps:
    text: str
    fixed: list[Span] = field(default_factory=list)
    random: list[RandomTerm] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)

    def fixed_text(self) -> str:
        """Join the fixed summands with their signs, powers in Python's spelling."""
        joined = ""
        for span in self.fixed:
            sign = self.text[span.sign] if span.sign is not None else "+"
            piece = with_powers(self.text[span.start : span.stop])
            joined += f" {sign} {piece}" if joined else ("" if sign == "+" else "-") + piece
        return joined or "1"


def _sort_summands(text: str, start: int) -> _Heaps:
    heaps = _Heaps(text)
    for span in summands(text, start):
        piece = text[span.start : span.stop]
        bars = plain_bars(piece)
        if bars:
            for term in _random_terms(text, span, bars):
                if term in heaps.random:
                    raise FormulaError(f"the term {term.text} stands here a second time", text, span.start)
                heaps.random.append(term)
        elif is_call(piece, "offset"):
            if span.sign is not None and text[span.sign] == "-":
                raise FormulaError(
                    "an offset is added, not subtracted: write offset(-(...))", text, span.sign
                )
            heaps.offsets.append(
                _expression(text, span.start + piece.index("(") + 1, span.stop - 1, "offset()")
            )
        else:
            heaps.fixed.append(span)
    _check_fixed(heaps, start)
    return heaps


def _check_fixed(heaps: _Heaps, start: int) -> None:
    """Let formulaic read the fixed effects where they stand, all else blanked out."""
    blank = [" "] * len(heaps.text)
    for span in heaps.fixed:
        blank[span.start : span.stop] = heaps.text[span.start : span.stop]
        if span.sign is not None:
            blank[span.sign] = heaps.text[span.sign]
    if heaps.fixed:
        _read(heaps.text, "".join(blank)[start:], start)


def _random_terms(text: str, span: Span, bars: list[tuple[int, int]]) -> list[RandomTerm]:
    """Read one summand that holds a bar: ``(lhs | group)`` or ``(lhs || group)``."""
    piece = text[span.start : span.stop]
    bar, depth = bars[0]
    if depth == 0:
        raise FormulaError(
            "put a random-effects term in parentheses, as in y ~ x + (1 | g)", text, span.start + bar
        )
    if depth > 1 or piece[0] != "(" or closing(piece, 0) != len(piece) - 1:
        raise FormulaError(
            "a random-effects term stands on its own, joined by '+': ... + (1 | g)", text, span.start + bar
        )
    if span.sign is not None and text[span.sign] == "-":
        raise FormulaError(
            "a random-effects term can be added, not subtracted: leave it out instead", text, span.sign
        )
    double = piece[bar + 1] == "|"
    if len(bars) > 1 + double:
        raise FormulaError(
            "a random-effects term has one bar; for two grouping factors write (1 | a) + (1 | b)",
            text,
            span.start + bars[1 + double][0],
        )
    lhs = _random_lhs(text, span.start + 1, span.start + bar)
    mark = "||" if double else "|"
    return [
        RandomTerm(f"({lhs} {mark} {':'.join(map(quoted, groups))})", lhs, groups, not double)
        for groups in _groupings(text, span.start + bar + 1 + double, span.stop - 1)
    ]


def _random_lhs(text: str, start: int, stop: int) -> str:
    """Read the left of a bar and return it in canonical form."""
    if not text[start:stop].strip():
        raise FormulaError(
            "nothing stands on the left of this bar: write 1 for a random intercept", text, stop
        )
    formula = _read(text, text[start:stop], start)
    terms = [_term_text(term) for term in formula]
    if not terms:
        raise FormulaError("no random effect is left on the left of this bar", text, start)
    if terms == ["1"]:
        return "1"
    return " + ".join(terms[1:] if terms[0] == "1" else ["0", *terms])


def _term_text(term) -> str:
    """Spell a formulaic term so that formulaic reads it again."""
    return ":".join(_factor_text(factor) for factor in term.factors)


def _factor_text(factor) -> str:
    expression = factor.expr
    if factor.eval_method.value == "lookup":
        return quoted(expression)
    if factor.eval_method.value == "python":
        expression = with_powers(expression)
        return expression if re.match(r"[^\W\d][\w.]*[(\[]", expression) else "{" + expression + "}"
    return expression


def _groupings(text: str, start: int, stop: int) -> list[tuple[str, ...]]:
    """Read the right of a bar: ``g``, ``a:b``, or ``a/b`` for a and a:b."""
    if not text[start:stop].strip():
        raise FormulaError(
            "nothing stands on the right of this bar: write the grouping column there", text, start
        )
    groupings: list[tuple[str, ...]] = []
    outer: tuple[str, ...] = ()
    for level_start, level in split_outermost(text, start, stop, "/"):
        for name_start, name in split_outermost(text, level_start, level_start + len(level), ":"):
            outer += (_group_name(text, name_start, name),)
        if len(set(outer)) < len(outer):
            at = level_start + len(level) - len(level.lstrip())
            raise FormulaError("a column is named twice in one grouping factor", text, at)
        groupings.append(outer)
    return groupings


def _group_name(text: str, start: int, piece: str) -> str:
    name = plain_name(piece)
    if name is not None:
        return name
    at = start + len(piece) - len(piece.lstrip())
    bare = piece.strip()
    if not bare:
        raise FormulaError("a column name is missing here", text, min(start, len(text) - 1))
    if re.fullmatch(r"[\d.]+", bare):
        advice = f"a grouping factor is a column, not the number {bare}"
    elif "+" in bare or "*" in bare:
        advice = "for two grouping factors write (1 | a) + (1 | b), (1 | a/b) or (1 | a:b)"
    elif "(" in bare:
        advice = (
            "a grouping factor is a plain column: every column on the right of a bar is taken as a factor"
        )
    else:
        advice = "this is not the name of a column; put a name with spaces or signs in backticks"
    raise FormulaError(advice, text, at)


# --- responses and expressions ------------------------------------------------------------------


def _response(text: str, tilde: int) -> str | Cbind:
    piece = text[:tilde].strip()
    begin = text.index(piece)
    if not is_call(piece, "cbind"):
        return _expression(text, begin, begin + len(piece), "the response")
    inner, stop = begin + piece.index("(") + 1, begin + len(piece) - 1
    commas = [
        i for i, char, depth in outside_quotes(text) if inner <= i < stop and char == "," and depth == 1
    ]
    if len(commas) != 1:
        raise FormulaError("cbind takes two columns: cbind(successes, failures)", text, inner)
    return Cbind(
        _expression(text, inner, commas[0], "cbind()"), _expression(text, commas[0] + 1, stop, "cbind()")
    )


def _expression(text: str, start: int, stop: int, where: str) -> str:
    """Check that text[start:stop] is a Python expression and return it."""
    piece = text[start:stop].strip()
    if not piece:
        raise FormulaError(f"{where} is empty", text, start)
    if plain_name(piece) is None:
        try:
            ast.parse(with_powers(re.sub("`[^`]*`", "x", piece)), mode="eval")
        except SyntaxError as error:
            raise FormulaError(f"{where} is not a valid expression", text, start) from error
    return with_powers(piece)


def _read(text: str, piece: str, start: int):
    """Let formulaic read text[start:], turning its errors into ours."""
    try:
        return Formula(piece)
    except FormulaicError as error:
        reason, _, context = str(error).partition("\n")
        context = re.sub("\x1b\\[[0-9;]*m", "", context).strip("\n")
        at = start + context.index("⧛") if "⧛" in context else start
        if "`.` operator" in reason:
            reason, at = "'.' is not understood: name the columns", start + piece.index(".")
        raise FormulaError(reason.replace("insuffient", "insufficient").rstrip("."), text, at) from error
    except SyntaxError as error:
        at = piece.find((error.text or "").strip()[:4] or piece)
        hint = "; for a factor write C(x)" if "as.factor" in piece else ""
        raise FormulaError(f"this is not a valid expression{hint}", text, start + max(at, 0)) from error
