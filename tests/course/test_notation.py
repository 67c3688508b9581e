"""One letter, one meaning, and one colour, one meaning, in every chapter."""

import ast
import re
from collections import Counter

import pytest

from book.contents import ROOT, chapters, markdown, read
from book.install import NAME as INSTALL

CHAPTERS = chapters()
by_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
NOTATION = (ROOT / "chapters" / "notation.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| (.+?) \| .* \| (\d\d) \|$", NOTATION, re.MULTILINE)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?(?:\n[^$\n]+?)?)\$", re.DOTALL)
# What is no letter of the notation: layout, operators, words in a formula.
WORDS = r"\\(?:mathrm|operatorname\*?|text|begin|end)\{[^}]*\}"
DECORATION = {"hat", "tilde", "bar", "prime"}
OPERATORS = """frac times cdot cdots sum prod int sqrt left right big bigl bigr quad qquad sim mid to top circ
in det mapsto approx neq ne le leq ge geq equiv propto pm dots ldots infty partial log exp max min colon
lvert rvert lVert rVert langle rangle because therefore displaystyle"""


def letters(formula):
    """The letters of a formula, Greek ones by name, without their subscripts.

    >>> sorted(letters(r"y_{ij} = \\beta_0 + a_{0j} \\sim N(0, \\sigma_a^2)"))
    ['N', 'a', 'beta', 'sigma', 'y']
    """
    text = re.sub(WORDS, " ", formula)
    text = re.sub(r"_(\{[^{}]*\}|\\\w+|\w)", " ", text)  # an index belongs to its letter
    greek = set(re.findall(r"\\([A-Za-z]+)", text)) - DECORATION - set(OPERATORS.split())
    latin = set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", text)))
    return greek | latin


def formulas(text):
    """Every formula of a page, code taken away."""
    text = re.sub(r"^(`{3,})(?!\{).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [a or b for a, b in FORMULA.findall(re.sub(r"`[^`\n]+`", "", text))]


def first_chapter():
    """The number of the chapter that first uses each letter, from the tables of the page."""
    found = {}
    for symbols, number in TABLES:
        for formula in re.findall(r"\$(.+?)\$", symbols):
            for letter in letters(formula):
                found[letter] = min(number, found.get(letter, number))
    return found


@by_chapter
def test_every_letter_is_on_the_page_of_notation_by_then(path):
    known = first_chapter()
    used = set().union(*(letters(formula) for formula in formulas(markdown(path))))
    assert not used - known.keys(), "not on the page of notation"
    early = {letter for letter in used if known[letter] > path.stem[:2]}
    assert not early, f"the page of notation introduces {early} in a later chapter"


def test_no_symbol_has_two_rows():
    rows = Counter(f for symbols, _ in TABLES for f in re.findall(r"\$(.+?)\$", symbols))
    twice = {symbol for symbol, n in rows.items() if n > 1}
    assert not twice


@by_chapter
def test_intra_class_correlation_is_written_icc_and_rho_is_a_correlation_of_effects(path):
    for formula in formulas(markdown(path)):
        assert not re.search(r"\\rho\s*=\s*\\(?:frac\{)?\\?sigma", formula), formula
        assert not re.search(r"\\rho\s*=\s*\\frac\{\\sigma_[a0]\^2", formula), formula


def test_letters_with_two_jobs_are_these_few():
    section = NOTATION.split("## Letters with two jobs")[1].split("\n## ")[0]
    letters = re.findall(r"^(\$.*)\n: ", section, flags=re.M)
    named = [r"$\sigma_a$ and $\sigma_0$", "$w$", "$v$", r"$\pi$", "$p$", "$F$", "$B$", "$t$"]
    assert letters == [*named, "$b$ and $u$", "$L$", "$N$", "$d$"]


MEANING = {
    "TRUTH": r"tru(e|th)",
    "POOLED": r"pooled|ols|ignor",
    "MODEL": r"model|mixed|fit|blup|partial|predict|shrunk|conditional|estimate",
    "DATA": r".",
}
COLOUR = re.compile(
    r"\b(?:color|colour|c|ec|fc|facecolor|edgecolor)\s*=\s*[\"'](?!none)[^\"']+[\"']"
    r"|[\"']#[0-9a-fA-F]{3,8}[\"']|[\"']tab:"
)


def statements(source):
    """Each simple statement of a cell with the lines that it stands on, comments at their ends included."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(re.sub(r"^%.*$", "", source, flags=re.MULTILINE))):
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign):
            yield node, "\n".join(lines[node.lineno - 1 : node.end_lineno])


def wrong_colours(source):
    """The statements of a cell whose colour has no meaning, or another one than in the palette.

    >>> wrong_colours("ax.plot(x, y, color=TRUTH)")
    ['ax.plot(x, y, color=TRUTH)']
    >>> wrong_colours("ax.axvline(truth, color=TRUTH)")
    []
    """
    found = []
    for node, text in statements(source):
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & MEANING.keys()
        without = re.sub("|".join(MEANING), "", text)
        if COLOUR.search(text) or any(not re.search(MEANING[name], without, re.IGNORECASE) for name in names):
            found.append(text)
    return found


@by_chapter
def test_every_colour_means_what_it_means_everywhere(path):
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code" and cell.id != INSTALL]
    assert not [text for source in code for text in wrong_colours(source)]


@pytest.mark.parametrize(
    "source",
    [
        "ax.plot(x, y, color=TRUTH)  # the bootstrap",
        "ax.plot(x, y, color='#d55e00')",
        "ax.plot(x, y, color='red')",
        "ax.axhline(0.3, c=POOLED)",
    ],
)
def test_a_colour_out_of_its_meaning_is_found(source):
    assert wrong_colours(source)
