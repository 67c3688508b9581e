"""The formula that a change makes of another: dots stand for what was there."""

from glmmlib.errors import FormulaError
from glmmlib.formula.parser import flat, random_only
from glmmlib.formula.summands import summands
from glmmlib.formula.terms import MixedFormula
from glmmlib.formula.tokens import tokenise


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
    text = flat(text)
    tokens = tokenise(text)
    tildes = [i for i, token in enumerate(tokens) if token.is_operator("~")]
    if len(tildes) != 1:
        raise FormulaError(
            "a formula needs one '~': write '. ~ . + x' to add x to the old one",
            text,
            tokens[tildes[1]].start if tildes else len(text),
        )
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    is_old = not left or (len(left) == 1 and left[0].is_operator("."))
    response = str(old.response) if is_old else text[: tokens[tildes[0]].start].strip()
    if not right:
        raise FormulaError(
            "nothing stands on the right of '~': write a dot for what was there", text, len(text)
        )
    fixed, offsets = [], []
    random: list[str] = []
    for summand in summands(right, text):
        piece = summand.spelt(text)
        if piece == "." and not summand.is_minus:
            fixed.append(("+", old.fixed))
            random += dict.fromkeys(
                term.text for term in old.random
            )  # a curve for each level is written once
            offsets += [f"offset({expression})" for expression in old.offsets]
        elif summand.is_minus and (summand.has_bar or summand.has_smooth):
            for term in random_only(piece):
                if term.text not in random:
                    raise FormulaError(f"there is no term {term.text} to take away", text, summand.start)
                random.remove(term.text)
        elif summand.has_bar or summand.has_smooth:
            random.append(piece)
        else:
            fixed.append(("-" if summand.is_minus else "+", piece))
    signed = " ".join(f"{sign} {piece}" for sign, piece in fixed).removeprefix("+ ")
    return f"{response} ~ {' + '.join([signed, *random, *offsets] if signed else [*random, *offsets])}"
