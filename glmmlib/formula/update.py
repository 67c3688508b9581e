"""``fit.update``: the same model with changes."""

from glmmlib.errors import DataError, FormulaError, ModelError
from glmmlib.formula.parser import MixedFormula, random_only
from glmmlib.formula.scanner import plain_bars, summands


def update(fit, formula=None, data=None, **changes):
    """Fit a changed model; see :meth:`glmmlib.models.results.MixedModelFit.update`."""
    fitter, arguments = fit._call()
    text = fit.formula if formula is None else changed_formula(fit.design.formula, formula)
    if data is None:
        if fit.is_refit:
            raise ModelError(
                "this fit came from refit(), and its response stands in no column: pass data that hold it"
            )
        data = fit.design.data
    arguments |= _rows_arguments(fit.design, data is fit.design.data, changes)
    return fitter(text, data, **(arguments | changes))


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


def _rows_arguments(design, same_rows, changes):
    """Return weights and offset of the old fit, which belong to its rows unless they were given by name."""
    if isinstance(design.offset_argument, str):
        offset = {"offset": design.offset_argument}
    elif design.offset_argument and "offset" not in changes:
        if not same_rows or design.formula.offsets:
            raise DataError("the fit was given its offset as an array, so give it again: pass offset=")
        offset = {"offset": design.offset}
    else:
        offset = {}
    if design.weights is None or "weights" in changes:
        return offset
    if not same_rows:
        raise DataError("the fit was given weights, so new data need them too: pass weights=")
    return offset | {"weights": design.weights}
