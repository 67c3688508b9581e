"""The formula that a change makes of another: dots stand for what was there."""

from glmmlib.errors import FormulaError
from glmmlib.formula.parser import random_only
from glmmlib.formula.scanner import plain_bars, summands
from glmmlib.formula.terms import MixedFormula


def changed_formula(old: MixedFormula, text: str) -> str:
    """Return the formula that `text` makes of the old one: a dot stands for what was on that side.

    Parameters
    ----------
    old : MixedFormula
    text : str
        ``". ~ . + x"`` adds a term, ``". ~ . - x"`` and ``". ~ . - (1 | g)"`` take one away; without dots a
        formula of its own. The dot on the left may be left out.

    Raises
    ------
    FormulaError

    Examples
    --------
    >>> from glmmlib.formula.parser import parse_formula
    >>> changed_formula(parse_formula("y ~ a + (a | g) + (1 | h)"), ". ~ . + b - (1 | h)")
    'y ~ a + b + (a | g)'
    """
    tilde = text.find("~")
    if tilde < 0:
        raise FormulaError(
            "a formula needs a '~': write '. ~ . + x' to add x to the old one", text, len(text)
        )
    response = str(old.response) if text[:tilde].strip() in ("", ".") else text[:tilde].strip()
    fixed, random, offsets = [], [], []
    for span in summands(text, tilde + 1):
        piece = text[span.start : span.stop]
        sign = "-" if span.sign is not None and text[span.sign] == "-" else "+"
        if piece == "." and sign == "+":
            fixed.append(("+", old.fixed))
            random += [term.text for term in old.random]
            offsets += [f"offset({expression})" for expression in old.offsets]
        elif sign == "-" and plain_bars(piece):
            for term in random_only(piece):
                if term.text not in random:
                    raise FormulaError(f"there is no term {term.text} to take away", text, span.start)
                random.remove(term.text)
        elif plain_bars(piece):
            random.append(piece)
        else:
            fixed.append((sign, piece))
    signed = " ".join(f"{sign} {piece}" for sign, piece in fixed).removeprefix("+ ")
    return f"{response} ~ {' + '.join([signed, *random, *offsets] if signed else [*random, *offsets])}"
