"""Doors: a folded block of prose and cells whose title says what is behind it.

A door begins and ends in Markdown cells, so that code cells with their outputs can stand between::

    ```{door-start} A true null is rejected in 35 % of studies: see it simulated
    ```
    ...
    ```{door-end}
    ```

With `:class: guess-result` it holds what follows a guess: part of the chapter's line, folded until the reader
has chosen. On a page a door is the browser's own `<details>`. JupyterLab shows where it begins and ends.
"""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class door(nodes.General, nodes.Element):
    """A door_title, then a door_content."""


class door_title(nodes.General, nodes.TextElement):
    """The sentence on the door."""


class door_content(nodes.General, nodes.Element):
    """What is behind it."""


class door_start(nodes.Invisible, nodes.Element):
    """Stands where a door begins, until the page has been read; its children are those of the title."""


class door_end(nodes.Invisible, nodes.Element):
    """Stands where a door ends."""


class DoorStart(SphinxDirective):
    """`{door-start} Title`: what follows, up to `{door-end}`, is behind a door."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"class": directives.class_option}

    def run(self) -> list[nodes.Node]:
        title, messages = self.state.inline_text(self.arguments[0], self.lineno)
        start = door_start("", *title, classes=["door", *self.options.get("class", ())])
        self.set_source_info(start)
        return [start, *messages]


class DoorEnd(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        end = door_end()
        self.set_source_info(end)
        return [end]


class HangDoors(SphinxTransform):
    """Put what stands between a start and its end behind a door."""

    default_priority = 9  # before solutions are gathered (10) and labels move to the element below them (260)

    def apply(self, **kwargs) -> None:
        for start in list(self.document.findall(door_start)):
            self._hang(start)
        for end in list(self.document.findall(door_end)):
            logger.error("This {door-end} ends no door.", location=end)
            end.parent.remove(end)

    def _hang(self, start: door_start) -> None:
        siblings = start.parent.children[start.parent.index(start) + 1 :]
        stop = next((i for i, node in enumerate(siblings) if isinstance(node, door_start | door_end)), None)
        if stop is None or isinstance(siblings[stop], door_start):
            logger.error(
                "This door has no {door-end} before the next heading or door: "
                "a door holds neither a heading nor another door.",
                location=start,
            )
            start.parent.remove(start)
            return
        content = door_content()
        hung = door("", door_title("", "", *start.children), content, **start.attributes)
        hung.source, hung.line = start.source, start.line
        for node in siblings[: stop + 1]:
            start.parent.remove(node)
        content += siblings[:stop]
        start.replace_self(hung)


def _visit_door(self, node: door) -> None:
    self.body.append(self.starttag(node, "details"))


def _depart_door(self, node: door) -> None:
    self.body.append("</details>\n")


def _visit_title(self, node: door_title) -> None:
    self.body.append('<summary class="door-title">')


def _depart_title(self, node: door_title) -> None:
    self.body.append("</summary>\n")


def _visit_content(self, node: door_content) -> None:
    self.body.append('<div class="door-content">\n')


def _depart_content(self, node: door_content) -> None:
    self.body.append("</div>\n")


def _pass(self, node: nodes.Node) -> None:
    """Builders other than HTML print the content as it stands."""


def add_doors(app: Sphinx) -> None:
    app.add_directive("door-start", DoorStart)
    app.add_directive("door-end", DoorEnd)
    app.add_transform(HangDoors)
    plain = dict.fromkeys(("latex", "text"), (_pass, _pass))
    app.add_node(door, html=(_visit_door, _depart_door), **plain)
    app.add_node(door_title, html=(_visit_title, _depart_title), **plain)
    app.add_node(door_content, html=(_visit_content, _depart_content), **plain)
