"""Doors: a folded block of prose and cells whose title says what is behind it.

A door begins with a box of class `door`, which JupyterLab shows as it stands, and ends with a comment::

    :::{admonition} A true null is rejected in 35 % of studies: see it simulated
    :class: door

    Words, if any. Code cells with their outputs, and more Markdown cells, may follow.
    :::

    % door-end

With `:class: guess-result` it holds what follows a guess: part of the chapter's line, folded until the reader
has chosen. On a page a door is the browser's own `<details>`.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

from book.quiz import AdmonitionOrQuiz

KINDS = {"door", "guess-result"}
END = "door-end"
logger = logging.getLogger(__name__)


class door(nodes.General, nodes.Element):
    """A door_title, then a door_content."""


class door_title(nodes.General, nodes.TextElement):
    """The sentence on the door."""


class door_content(nodes.General, nodes.Element):
    """What is behind it."""


class door_start(nodes.Invisible, nodes.Element):
    """Stands where a door begins, until the page has been read; its children are those of the door."""


class AdmonitionOrDoor(AdmonitionOrQuiz):
    """The directive `admonition`, which begins a door if it is of one of the two classes."""

    def run(self) -> list[nodes.Node]:
        classes = self.options.get("class", ())
        if not KINDS & set(classes):
            return super().run()
        title, messages = self.state.inline_text(self.arguments[0], self.lineno)
        content = door_content()
        self.state.nested_parse(self.content, self.content_offset, content)
        start = door_start("", door_title("", "", *title), content, classes=["door", *classes])
        start["classes"] = list(dict.fromkeys(start["classes"]))
        self.set_source_info(start)
        return [start, *messages]


def is_end(node: nodes.Node) -> bool:
    """Whether a node is the comment that ends a door."""
    return isinstance(node, nodes.comment) and node.astext().strip() == END


class HangDoors(SphinxTransform):
    """Put what stands between a start and its end behind a door."""

    default_priority = 9  # before solutions are gathered (10) and labels move to the element below them (260)

    def apply(self, **kwargs: Any) -> None:
        for start in list(self.document.findall(door_start)):
            self._hang(start)
        for end in list(self.document.findall(is_end)):
            logger.error("This `% door-end` ends no door.", location=end)

    def _hang(self, start: door_start) -> None:
        siblings = start.parent.children[start.parent.index(start) + 1 :]
        stop = next(
            (i for i, node in enumerate(siblings) if is_end(node) or isinstance(node, door_start)), None
        )
        if stop is None or not is_end(siblings[stop]):
            logger.error(
                "This door has no `% door-end` before the next heading or door: "
                "a door holds neither a heading nor another door.",
                location=start,
            )
            start.parent.remove(start)
            return
        title, content = start.children
        hung = door("", title, content, **start.attributes)
        hung.source, hung.line = start.source, start.line
        for node in siblings[: stop + 1]:
            start.parent.remove(node)
        content += siblings[:stop]
        start.replace_self(hung)


def _visit_door(self: Any, node: door) -> None:
    self.body.append(self.starttag(node, "details"))


def _depart_door(self: Any, node: door) -> None:
    self.body.append("</details>\n")


def _visit_title(self: Any, node: door_title) -> None:
    self.body.append('<summary class="door-title">')


def _depart_title(self: Any, node: door_title) -> None:
    self.body.append("</summary>\n")


def _visit_content(self: Any, node: door_content) -> None:
    self.body.append('<div class="door-content">\n')


def _depart_content(self: Any, node: door_content) -> None:
    self.body.append("</div>\n")


def _pass(self: Any, node: nodes.Node) -> None:
    """Builders other than HTML print the content as it stands."""


def add_doors(app: Sphinx) -> None:
    app.add_directive("admonition", AdmonitionOrDoor, override=True)
    app.add_transform(HangDoors)
    plain: dict[str, Any] = dict.fromkeys(("latex", "text"), (_pass, _pass))
    app.add_node(door, html=(_visit_door, _depart_door), **plain)
    app.add_node(door_title, html=(_visit_title, _depart_title), **plain)
    app.add_node(door_content, html=(_visit_content, _depart_content), **plain)
