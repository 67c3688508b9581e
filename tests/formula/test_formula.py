"""The formula language: what each text means, and where each mistake is pointed at."""

import pytest

from glmmlib.errors import FormulaError
from glmmlib.formula.parser import parse_formula, random_only
from glmmlib.formula.terms import Cbind

# text of the right-hand side: (fixed, random terms)
MEANINGS = {
    "x + (x | g)": ("x", ["(x | g)"]),
    "(1 | g)": ("1", ["(1 | g)"]),
    "x + (1 + x | g)": ("x", ["(x | g)"]),
    "x+(x+1|g)": ("x", ["(x | g)"]),
    "x + (0 + x | g)": ("x", ["(0 + x | g)"]),
    "x + (x - 1 | g)": ("x", ["(0 + x | g)"]),
    "x + (-1 + x | g)": ("x", ["(0 + x | g)"]),
    "x + (x || g)": ("x", ["(x || g)"]),
    "x + (1 | g) + (0 + x | g)": ("x", ["(1 | g)", "(0 + x | g)"]),
    "(1 | a/b)": ("1", ["(1 | a)", "(1 | a:b)"]),
    "(1 | a/b/c)": ("1", ["(1 | a)", "(1 | a:b)", "(1 | a:b:c)"]),
    "(x | a/b)": ("1", ["(x | a)", "(x | a:b)"]),
    "(x || a/b)": ("1", ["(x || a)", "(x || a:b)"]),
    "(1 | a:b/c)": ("1", ["(1 | a:b)", "(1 | a:b:c)"]),
    "(1 | a:b)": ("1", ["(1 | a:b)"]),
    "x + (1 | a) + (1 | b)": ("x", ["(1 | a)", "(1 | b)"]),
    "(1 | g) + x": ("x", ["(1 | g)"]),
    "x + (1 | g) + z": ("x + z", ["(1 | g)"]),
    "(1 | g) - 1 + x": ("-1 + x", ["(1 | g)"]),
    "0 + x + (1 | g)": ("0 + x", ["(1 | g)"]),
    "x - 1 + (1 | g)": ("x - 1", ["(1 | g)"]),
    "x + -1 + (1 | g)": ("x - 1", ["(1 | g)"]),
    "a*b + (1 | g)": ("a*b", ["(1 | g)"]),
    "a:b + (1 | g)": ("a:b", ["(1 | g)"]),
    "(a + b)^2 + (1 | g)": ("(a + b)**2", ["(1 | g)"]),
    "(a*b | g)": ("1", ["(a + b + a:b | g)"]),
    "(scale(x) | g)": ("1", ["(scale(x) | g)"]),
    "(poly(x, 2) | g)": ("1", ["(poly(x, 2) | g)"]),
    "(C(f) | g)": ("1", ["(C(f) | g)"]),
    "(scale(log(x)) + C(f, contr.sum) | g)": ("1", ["(scale(log(x)) + C(f, contr.sum) | g)"]),
    "((x) | g)": ("1", ["(x | g)"]),
    "I(x^2) + (I(x^2) | g)": ("I(x**2)", ["(I(x ** 2) | g)"]),
    "I((x > 1) & (z > 1)) + (1 | g)": ("I((x > 1) & (z > 1))", ["(1 | g)"]),
    "log (x) + (1 | g)": ("log (x)", ["(1 | g)"]),
    "a %in% b + (b | g)": ("a %in% b", ["(b | g)"]),
    "(µ + log(µ) | g)": ("1", ["(µ + log(µ) | g)"]),
    "x + --z - -w + (1 | g)": ("x + z + w", ["(1 | g)"]),
    "{x + z} + (1 | g)": ("{x + z}", ["(1 | g)"]),
    "`my x` + (`my x` | `my g`)": ("`my x`", ["(`my x` | `my g`)"]),
    "`a|b` + (1 | `x + y`)": ("`a|b`", ["(1 | `x + y`)"]),
    "x": ("x", []),
    "1": ("1", []),
    "0 + (1 | g)": ("0", ["(1 | g)"]),
    "x\n  + (1 | g)": ("x", ["(1 | g)"]),
    "resp.time + (1 | lab.id)": ("resp.time", ["(1 | lab.id)"]),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_right_hand_side(text):
    formula = parse_formula("y ~ " + text)
    assert (formula.fixed, [term.text for term in formula.random]) == MEANINGS[text]
    assert formula.response == "y"
    assert formula.offsets == ()


def test_canonical_terms_read_as_themselves():
    for text in MEANINGS:
        random = parse_formula("y ~ " + text).random
        if random:
            assert random_only(" + ".join(term.text for term in random)) == random


def test_parts_of_a_term():
    nested = parse_formula("y ~ (0 + x || a/`my b`)").random[1]
    assert (nested.lhs, nested.groups, nested.group, nested.word) == (
        "0 + x",
        ("a", "my b"),
        "a:my b",
        "diag",
    )


RESPONSES = {
    "y": "y",
    "log(y)": "log(y)",
    "y^2 / 10": "y**2 / 10",
    "`my y`": "`my y`",
    "cbind(good, bad)": Cbind("good", "bad"),
    "cbind(incidence, size - incidence)": Cbind("incidence", "size - incidence"),
    "cbind(round(a, 1), b)": Cbind("round(a, 1)", "b"),
}


@pytest.mark.parametrize("text", RESPONSES)
def test_response(text):
    assert parse_formula(text + " ~ x + (1 | g)").response == RESPONSES[text]


def test_offsets_anywhere_on_the_right():
    formula = parse_formula("y ~ offset(log(n)) + x + (1 | g) + offset(z^2)")
    assert formula.fixed == "x"
    assert formula.offsets == ("log(n)", "z ** 2")


# Each mistake with a caret under the place that the error must point at, and words it must say.
MISTAKES = [
    ("y + x", "     ^", "needs a '~'"),
    ("y ~ x ~ z", "      ^", "one '~'"),
    (" ~ x", " ^", "no response"),
    ("y ~ ", "  ^", "no model"),
    ("y ~ x + 1 | g", "          ^", "in parentheses"),
    ("y ~ x + (1 | g", "        ^", "never closed"),
    ("y ~ x + 1 | g)", "             ^", "closes nothing"),
    ("y ~ (x] + z", "      ^", "closes nothing"),
    ("y ~ `x + z", "    ^", "never closed"),
    ("y ~ ( | g)", "      ^", "left of this bar"),
    ("y ~ (1 | )", "        ^", "right of this bar"),
    ("y ~ (0 | g)", "     ^", "no random effect is left"),
    ("y ~ (1 | 1)", "         ^", "not the number 1"),
    ("y ~ (1 | a + b)", "         ^", "two grouping factors"),
    ("y ~ (1 | factor(g))", "         ^", "plain column"),
    ("y ~ (1 | a b)", "         ^", "not the name of a column"),
    ("y ~ (1 | a:)", "           ^", "column name is missing"),
    ("y ~ (1 | a:a)", "         ^", "named twice"),
    ("y ~ (1 | a | b)", "           ^", "one bar"),
    ("y ~ (1 || g | h)", "            ^", "one bar"),
    ("y ~ x * (1 | g)", "           ^", "stands on its own"),
    ("y ~ (x + (1 | g))", "            ^", "stands on its own"),
    ("y ~ x - (1 | g)", "      ^", "not subtracted"),
    ("y ~ x - offset(z)", "      ^", "not subtracted"),
    ("y ~ (1 | g) + x + (1 | g)", "                  ^", "second time"),
    ("y ~ (1 | a/b) + (1 | a)", "                ^", "second time"),
    ("y ~ x + ", "      ^", "nothing follows"),
    ("y ~ x + offset() + z", "               ^", "is empty"),
    ("cbind(a) ~ x", "      ^", "cbind takes two columns"),
    ("y z ~ x", "^", "not a valid expression"),
    ("y ~ x z + (1 | g)", "      ^", "operator is missing"),
    ("y ~ (1 | g) + x == 2", "                ^", "inside a call"),
    ("y ~ (1 | g) + 2*x", "              ^", "I(2 * x)"),
    ("y ~ (x z | g)", "       ^", "operator is missing"),
    ("y ~ x$z", "     ^", "names the columns"),
    ("y ~ x + * z", "        ^", "missing before"),
    ("y ~ x:(z + )", "         ^", "nothing follows"),
    ("y ~ x:()", "      ^", "nothing in these brackets"),
    ("y ~ x + 'z'", "        ^", "in backticks"),
    ("y ~ (x + z)^x", "           ^", "whole number"),
    ("y ~ x + ``", "        ^", "no name between"),
    ("y ~ x @ z", "      ^", "no operator of formulas"),
    ("y ~ (a + b)(c)", "           ^", "operator is missing"),
    ("y | n ~ x", "  ^", "cbind"),
    # a bar inside a call is structure or an error
    ("y ~ log(t + 0 | g)", "    ^", "inside log() means nothing"),
    ("y ~ x + homcs(0 + f | g)", "        ^", "write cs(0 + f | g, hom=True)"),
    ("y ~ x + toep(0 + f | g)", "        ^", "structure of residuals"),
    ("y ~ x + cs(0 + f | g, hom=2)", "                          ^", "hom of cs() is True or False, not 2"),
    ("y ~ x + zz(1 + x | g)", "        ^", "inside zz() means nothing"),
    ("y ~ I((x > 1) | (z > 1)) + (1 | g)", "    ^", "np.logical_or"),
    ("y ~ x + log({x | z})", "        ^", "Python's Set"),
    ("y ~ x + {x | z}", "        ^", "a bar inside a call"),
    ("y ~ (log(x | z) | g)", "           ^", "stands on its own"),
    ("y ~ x * us(x | g)", "             ^", "stands on its own"),
    ("log(y | z) ~ x", "      ^", "left of '~'"),
    # R's habits
    ("y ~ is.na(x)", "    ^", "x.isna()"),
    ("y ~ x + as.numeric(k)", "        ^", "x.astype(float)"),
    ("y ~ log(Petal.Length)", "    ^", "`Petal.Length`"),
    ("y ~ z + I(x +) + (1 | g)", "        ^", "not a valid expression"),
    ("y ~ as.factor(k) + (1 | g)", "    ^", "write C(x)"),
    ("y ~ . + (1 | g)", "    ^", "name the columns"),
]


@pytest.mark.parametrize(("text", "caret", "words"), MISTAKES)
def test_mistakes_are_pointed_at(text, caret, words):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert words in caught.value.message
    assert str(caught.value).splitlines()[-1] == "    " + caret


def test_a_formula_is_text():
    with pytest.raises(FormulaError, match="this is of type int"):
        parse_formula(3)


RE_FORMS = {
    "~0": [],
    "0": [],
    "~ -1": [],
    "~(1 | g)": ["(1 | g)"],
    "(1|g)": ["(1 | g)"],
    "~(1|a) + (1|b)": ["(1 | a)", "(1 | b)"],
    "~(x || a/b)": ["(x || a)", "(x || a:b)"],
    "~0 + (1 | g)": ["(1 | g)"],
}


@pytest.mark.parametrize("text", RE_FORMS)
def test_random_only(text):
    assert [term.text for term in random_only(text)] == RE_FORMS[text]


@pytest.mark.parametrize("text", ["", "~", "~1", "~x", "~x + (1 | g)", "y ~ (1 | g)", "~offset(z) + (1 | g)"])
def test_random_only_refuses_the_rest(text):
    with pytest.raises(FormulaError):
        random_only(text)
