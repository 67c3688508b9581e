"""Formulas: from text to fixed-effects terms and random-effects terms.

A mixed-model formula is an ordinary one plus terms with a bar, ``(effects | group)``. The text is cut into
tokens once (:mod:`glmmlib.formula.tokens`) and its right-hand side into summands
(:mod:`glmmlib.formula.summands`); this module sorts these into three heaps: fixed, random
(:mod:`glmmlib.formula.random_terms`), offset. What an ordinary formula means is for
:mod:`glmmlib.formula.algebra` to say. Nothing here looks at data, and nothing is computed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from glmmlib.errors import FormulaError
from glmmlib.formula.algebra import expression_of, terms_of
from glmmlib.formula.expressions import read_expression
from glmmlib.formula.random_terms import random_terms
from glmmlib.formula.smooths import read_smooth
from glmmlib.formula.summands import Summand, summands
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
    """Put the formula on one line, names in backticks aside; every character keeps its position."""
    if not isinstance(text, str):
        raise FormulaError(
            f"a formula is text, such as 'y ~ x + (1 | g)'; this is of type {type(text).__name__}"
        )
    return re.sub(
        r"`[^`]*`|\s", lambda piece: " " if piece.group().isspace() else piece.group(), text
    ).rstrip()


# --- sorting the summands -----------------------------------------------------------------------


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
            for term in random_terms(text, summand):
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
