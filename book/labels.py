"""Slide labels: `(slide-S02)=` before a heading gives the anchor, a note for the reader, and a row of the
index.

Docutils lowers the case of every id; the anchors of slides and sharpenings keep theirs (`#slide-S02`,
`#sharpen-E4`), because people type them.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from book.contents import number_of
from book.tables import chapter_of, slides

LABEL = re.compile(r"(slide|sharpen)-([se]\d+)$")
INDEX_PAGE = "/chapters/slides"
logger = logging.getLogger(__name__)


class CourseLabels(SphinxTransform):
    """Restore the case of the ids and put the slide note under the heading."""

    default_priority = 700  # after targets are propagated (260), before the labels are collected (850)

    def apply(self, **kwargs: Any) -> None:
        for name in [n for n in self.document.nametypes if LABEL.match(n)]:
            self._restore_case(name)
        for node in list(self.document.findall(nodes.Element)):
            found = sorted(i.removeprefix("slide-") for i in node.get("ids", ()) if i.startswith("slide-S"))
            if found and not (isinstance(node, nodes.target) and "refid" in node):
                self._add_note(node, found)

    def _restore_case(self, name: str) -> None:
        old, new = self.document.nameids.get(name), re.sub(r"[se]\d+$", lambda m: m[0].upper(), name)
        if old is None:
            return
        self.document.nameids[name] = new
        self.document.ids[new] = self.document.ids.pop(old)
        for node in self.document.findall(nodes.Element):
            if old in node.get("ids", ()):
                node["ids"] = [new if i == old else i for i in node["ids"]]
            if node.get("refid") == old:
                node["refid"] = new

    def _add_note(self, node: nodes.Element, ids: list[str]) -> None:
        titles = {s.id: s.title for s in slides()}
        for unknown in set(ids) - set(titles):
            logger.warning("slide-%s is not a slide of the deck", unknown, location=node)
        words = "; ".join(f"{i} {titles.get(i, '')}" for i in ids)
        note = nodes.container(classes=["slides-note"])
        note += nodes.paragraph("", f"{'Slide' if len(ids) == 1 else 'Slides'} {words}")
        if isinstance(node, nodes.section):
            node.insert(1, note)
        else:
            node.parent.insert(node.parent.index(node), note)


class slide_index(nodes.General, nodes.Element):
    """Stands for the table of all slides until every page has been read."""


class SlideIndex(SphinxDirective):
    """`{slide-index}`: a table of all slides with links to the places that cover them."""

    def run(self) -> list[nodes.Node]:
        return [slide_index()]


def fill_slide_index(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for placeholder in list(doctree.findall(slide_index)):
        placeholder.replace_self(_table(app, docname))


def _table(app: Sphinx, docname: str) -> nodes.table:
    places = app.env.domaindata["std"]["anonlabels"]
    titles = {chapter_of(d): app.env.titles[d].astext() for d in app.env.found_docs if d in app.env.titles}
    body = nodes.tbody()
    for slide in slides():
        row = nodes.row(ids=[f"index-{slide.id}"])
        row += nodes.entry("", nodes.paragraph("", slide.id))
        row += nodes.entry("", nodes.paragraph("", slide.title))
        row += nodes.entry("", nodes.paragraph("", "", *_place(app, docname, slide, places, titles)))
        body += row
    head = nodes.thead("", nodes.row("", *(nodes.entry("", nodes.paragraph("", h)) for h in HEADINGS)))
    group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in (10, 50, 40)), head, body, cols=3)
    return nodes.table("", group, classes=["slide-index"])


HEADINGS = ("Slide", "What is on it", "Where the course covers it")


def _place(app: Any, docname: Any, slide: Any, places: Any, titles: Any) -> list[nodes.Node]:
    where = places.get(slide.label.lower())
    if where is None:
        logger.warning("slide %s has no place: no page carries the label %s", slide.id, slide.label)
        return [nodes.emphasis("", "nowhere")]
    target, anchor = where
    uri = app.builder.get_relative_uri(docname, target) + "#" + anchor
    links = [nodes.reference("", titles[chapter_of(target)], internal=True, refuri=uri)]
    if slide.also:
        links.append(nodes.inline("", f"; again in chapter {number_of(slide.also)}"))
    return links
