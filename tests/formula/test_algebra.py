"""Wilkinson and Rogers' algebra, held against formulaic's parser on random formulas."""

import pytest
from formulaic import Formula
from hypothesis import given
from hypothesis import strategies as st

from glmmlib.errors import FormulaError
from glmmlib.formula.algebra import read_terms
from support.examples import examples

NAMES = st.sampled_from(["a", "b", "c", "d", "log(a)", "I(b ** 2)", "`my c`", "a.b"])


def nested(inner):
    operators = st.sampled_from([" + ", " - ", ":", " * ", " / ", " %in% "])
    return (
        st.tuples(inner, operators, inner).map("".join)
        | inner.map("({})".format)
        | st.tuples(inner, st.integers(1, 3)).map(lambda p: f"({p[0]})**{p[1]}")
    )


SUMS = st.lists(st.tuples(st.sampled_from(["+", "-"]), st.recursive(NAMES, nested, max_leaves=5)), min_size=1)
INTERCEPTS = st.sampled_from(["", "0 + ", "1 + ", "-1 + "])


@examples(200)
@given(INTERCEPTS, st.recursive(NAMES, nested, max_leaves=4), SUMS)
def test_the_terms_are_those_of_formulaic(intercept, first, rest):
    text = intercept + first + "".join(f" {sign} {piece}" for sign, piece in rest)
    theirs = [tuple(factor.expr for factor in term.factors if factor.expr != "1") for term in Formula(text)]
    assert [tuple(factor.text for factor in term.factors) for term in read_terms(text)] == theirs


MEANINGS = {
    "x": ["1", "x"],
    "0 + x": ["x"],
    "x - 1": ["x"],
    "x - 0": ["1", "x"],
    "-1 + x": ["x"],
    "x - 1 + 1": ["1", "x"],
    "a*b*c - a:b:c": ["1", "a", "b", "c", "a:b", "a:c", "b:c"],
    "a/b/c": ["1", "a", "a:b", "a:b:c"],
    "(a + b)/c": ["1", "a", "b", "a:b:c"],
    "(a + b + c)^2": ["1", "a", "b", "c", "a:b", "a:c", "b:c"],
    "(x + z)**40": ["1", "x", "z", "x:z"],
    "x:x": ["1", "x"],
    "a:b + b:a": ["1", "a:b"],
    "a:b + a": ["1", "a", "a:b"],
    "{x + 1}:a": ["1", "{x + 1}:a"],
    "log( x )": ["1", "log(x)"],
}


@pytest.mark.parametrize("text", MEANINGS)
def test_meanings(text):
    assert [term.spelt for term in read_terms(text)] == MEANINGS[text]


def test_terms_read_as_themselves():
    for text in MEANINGS:
        spelt = " + ".join(["0", *(term.spelt for term in read_terms(text))])
        assert read_terms(spelt) == read_terms(text)


@pytest.mark.parametrize("text", ["", "*".join(f"x{i}" for i in range(40)), "(" * 60 + "x" + ")" * 60])
def test_what_has_no_terms_or_too_many_is_refused(text):
    with pytest.raises(FormulaError):
        read_terms(text)
