"""Words of the glossary in the chapters: the first place on a page where one stands leads to its entry, and
carries its sentence, which `terms.js` shows on hover and on focus.

A single word, such as *rate* or *range*, means what the glossary says from the chapter on that teaches it; a
term of several words does so everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import escape

from docutils import nodes
from sphinx.application import Sphinx

from book.contents import lessons

GLOSSARY = "chapters/glossary"
# Inside these a word is part of something else: a link, code, a formula, a title, a term that is defined.
CLOSED = (nodes.reference, nodes.literal, nodes.math, nodes.title, nodes.strong, nodes.caption, nodes.raw)
SENTENCE = re.compile(r".+?\.(?=\s+[A-Z\[]|$)")


@cache
def lesson_names() -> frozenset[str]:
    return frozenset(f"chapters/{path.stem}" for path in lessons())


@dataclass(frozen=True)
class Entry:
    """A term's place in the glossary, its first sentence, and the page from which on it is marked."""

    place: str
    sentence: str
    since: str


def entries(app: Sphinx) -> dict[str, Entry]:
    """Return the glossary by term, in lower case, but for entries that begin with a formula."""
    if not hasattr(app, "glossary_entries"):
        found: dict[str, Entry] = {}
        if GLOSSARY in app.env.found_docs:
            for item in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
                found |= _read(item)
        app.glossary_entries = found  # type: ignore[attr-defined]
    return app.glossary_entries  # type: ignore[attr-defined]


def _read(item: nodes.definition_list_item) -> dict[str, Entry]:
    paragraph = next(iter(item.findall(nodes.paragraph)), None)
    sentence = _sentence(paragraph) if paragraph else None
    if not sentence:
        return {}
    chapter = re.search(r"Chapter (\d\d)", item.astext())
    found = {}
    for term in item.findall(nodes.term):
        word = term.astext().lower()
        since = "" if " " in word or "-" in word or not chapter else chapter[1]
        found[word] = Entry(term["ids"][0], sentence, since)
    return found


def _sentence(paragraph: nodes.paragraph) -> str | None:
    """The first sentence as text; None where it holds a formula, which a line of text cannot show."""
    text = " ".join(paragraph.astext().split())
    found = SENTENCE.match(text)
    first = found[0] if found else text
    formulas = " ".join(math.astext() for math in paragraph.findall(nodes.math))
    if formulas and any(math.astext() in first for math in paragraph.findall(nodes.math)):
        return None
    return first


def mark_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give the first mention of each term on a lesson its link and its sentence."""
    if app.builder.format != "html" or docname not in lesson_names():
        return
    number = docname.rpartition("/")[2][:2]  # that of a chapter comes before any letter
    known = {word: entry for word, entry in entries(app).items() if entry.since <= number}
    if not known:
        return
    waiting = set(known)
    names = "|".join(re.escape(term) for term in sorted(known, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])({names})(?![\w-])", re.IGNORECASE)
    address = app.builder.get_relative_uri(docname, GLOSSARY)
    for text in list(doctree.findall(nodes.Text)):
        if _is_running(text):
            _mark(text, pattern, waiting, known, address)


def _is_running(text: nodes.Text) -> bool:
    """Is the text part of a paragraph or an item, and of nothing that has a meaning of its own?"""
    node, within = text.parent, False
    while node is not None:
        if isinstance(node, CLOSED) or "quiz" in node.get("classes", []) or type(node).__name__ == "quiz":
            return False
        within = within or isinstance(node, nodes.paragraph)
        node = node.parent
    return within


def _mark(
    text: nodes.Text,
    pattern: re.Pattern[str],
    waiting: set[str],
    known: dict[str, Entry],
    address: str,
) -> None:
    words, end, parts = text.astext(), 0, []
    for match in pattern.finditer(words):
        term = match[0].lower()
        if term not in waiting:
            continue
        waiting.discard(term)
        entry, where = known[term], f"{address}#{known[term].place}"
        link = (
            f'<a class="term" href="{escape(where)}" data-sentence="{escape(entry.sentence)}">{match[0]}</a>'
        )
        parts += [nodes.Text(words[end : match.start()]), nodes.raw("", link, format="html")]
        end = match.end()
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(words[end:])])
