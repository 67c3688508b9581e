"""Each word that a chapter says it has taught is in the glossary; each symbol is on the page of notation."""

import re

import pytest

from book.contents import ROOT, chapters, lessons, markdown, pages

GLOSSARY = ROOT / "chapters/glossary.md"
NOTATION = ROOT / "chapters/notation.md"
CHAPTERS = [path for path in chapters() if path in lessons()]


def entries():
    """The terms of the glossary and, for each, the text that explains it."""
    body = GLOSSARY.read_text(encoding="utf-8").split("\n:sorted:\n")[1].removesuffix("```\n")
    found = {}
    for block in body.strip().split("\n\n"):
        lines = block.splitlines()
        text = " ".join(line.strip() for line in lines if line.startswith("  "))
        found |= {line.lower(): text for line in lines if not line.startswith("  ")}
    return found


ENTRIES = entries()


def taught(text):
    """The words, and the symbols, of a chapter's line 'Words learned' or 'New words'.

    >>> taught("Words learned: *odds*, *no and partial pooling*, $\\\\sigma_a$ (SD between groups).")
    (['odds', 'no pooling', 'partial pooling'], ['\\\\sigma_a'])
    """
    line = re.search(r"^(?:Words learned|New words): (.*?)\.?(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    line = re.sub(r"\([^)]*\)", "", line.replace("\n", " "))
    symbols = re.findall(r"\$(.+?)\$", line)
    line = re.sub(r"\$.+?\$", "", line)
    items = re.findall(r"\*(.+?)\*", line) if "*" in line else line.split(",")
    items = [item.strip().lower() for item in items]
    return [word for item in items if item not in ("", "and") for word in alternatives(item)], symbols


def alternatives(item):
    """Split 'adjusted and unadjusted ICC' into its two terms, which share the last word."""
    *first, last = re.split(r", | and ", item)
    noun = last.split()[1:]
    return [" ".join([word, *noun]) for word in first if word] + [last] if first else [item]


def explains(word):
    """A term explains a word if it is that word, or begins with it ('maximal': 'maximal random part')."""
    return word in ENTRIES or any(term.startswith(f"{word} ") for term in ENTRIES)


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_words_that_the_chapter_taught_are_explained(path):
    words, symbols = taught(markdown(path))
    assert words
    assert not [word for word in words if not explains(word)]
    notation = NOTATION.read_text(encoding="utf-8")
    assert not [symbol for symbol in symbols if f"${symbol}" not in notation]


def test_no_term_is_left_without_a_place_that_teaches_it():
    files = "|".join([path.name for path in CHAPTERS] + ["from_r.ipynb"])
    assert not [term for term, text in ENTRIES.items() if not re.search(rf"\[[^]]+\]\(({files})\)", text)]


def test_link_names_the_chapter_to_which_it_leads():
    links = re.findall(r"\[Chapter (\d\d)\]\((\d\d)_", GLOSSARY.read_text(encoding="utf-8"))
    assert len(links) > 100
    assert not [link for link in links if link[0] != link[1]]


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        ("between-group and within-group predictor", ["between-group predictor", "within-group predictor"]),
        ("no, partial and complete pooling", ["no pooling", "partial pooling", "complete pooling"]),
        ("prior", ["prior"]),
    ],
)
def test_a_list_that_shares_its_noun_is_taken_apart(words, terms):
    assert alternatives(words) == terms


def test_appendices_are_in_the_book():
    assert {"chapters/from_r", "chapters/notation", "chapters/glossary"} <= set(pages())
