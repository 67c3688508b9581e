"""A quiz question: an admonition of class `quiz` that holds one question, its options, and the reason for
each of them.

JupyterLab knows nothing of quizzes. It shows the admonition, which is ordinary Markdown and closed until one
opens it::

    :::{admonition} Question
    :class: quiz dropdown

    Which standard error is too small?

    - [x] That of a predictor that varies between sites.
      > Its 24 months are one piece of information, not 24.
    - [ ] That of a predictor that varies within sites.
      > There the pooled fit claims too much noise, not too little.
    :::
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst.directives.admonitions import Admonition
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

OPTION = re.compile(r"- \[([ x])\] ")


class quiz(nodes.General, nodes.Element):
    """A question with its options; `number` counts within the page."""


class quiz_question(nodes.General, nodes.TextElement):
    """The question itself: inline content, for it becomes the legend of the field set."""


class quiz_option(nodes.General, nodes.Element):
    """One option, `correct` or not: a quiz_label and a quiz_reason."""


class quiz_label(nodes.General, nodes.TextElement):
    """The words of an option."""


class quiz_reason(nodes.General, nodes.Element):
    """Why the option is right or wrong; hidden until the option is chosen."""


class AdmonitionOrQuiz(Admonition, SphinxDirective):
    """The directive `admonition`, which reads one of class `quiz` as a question, options and reasons, and
    nothing else.
    """

    def run(self) -> list[nodes.Node]:
        return self._quiz() if "quiz" in self.options.get("class", ()) else super().run()

    def _quiz(self) -> list[nodes.Node]:
        lines = list(self.content)
        starts = [i for i, line in enumerate(lines) if OPTION.match(line)]
        if len(starts) < 2 or sum(_is_correct(lines[i]) for i in starts) != 1:
            raise self.error(
                "A quiz needs two or more options, `- [ ] ...`, and exactly one correct, `- [x] ...`."
            )
        number = self.env.temp_data["quiz_number"] = self.env.temp_data.get("quiz_number", 0) + 1
        result = quiz(number=number, ids=[f"quiz-{number}"])
        self.set_source_info(result)
        question, *extra = self._parse(lines[: starts[0]], 0)
        result += self._inline(quiz_question, question)
        result += extra
        for count, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True), start=1):
            result += self._option(f"quiz-{number}", count, lines[start:end], start)
        return [result]

    def _option(self, group: str, count: int, lines: list[str], offset: int) -> quiz_option:
        correct = _is_correct(lines[0])
        body = [OPTION.sub("", lines[0]), *(line.removeprefix("  ") for line in lines[1:])]
        label, *rest = self._parse(body, offset)
        if len(rest) != 1 or not isinstance(rest[0], nodes.block_quote):
            raise self.error(
                f"The quiz option {body[0]!r} needs one reason, indented under it: `  > Because ...`."
            )
        option = quiz_option(correct=correct, group=group, ident=f"{group}-{count}")
        option += self._inline(quiz_label, label)
        option += quiz_reason("", *rest[0].children)
        return option

    def _inline(self, kind: type[nodes.TextElement], paragraph: nodes.Node) -> nodes.TextElement:
        if not isinstance(paragraph, nodes.paragraph):
            raise self.error("A quiz's question and each of its options begin with a paragraph.")
        return kind("", "", *paragraph.children)

    def _parse(self, lines: list[str], offset: int) -> list[nodes.Node]:
        holder = nodes.Element()
        self.state.nested_parse(
            StringList(lines, self.state_machine.document.current_source or ""),
            self.content_offset + offset,
            holder,
        )
        return holder.children


def _visit_quiz(self, node: quiz) -> None:
    self.body.append(f'<form class="quiz" id="{node["ids"][0]}" autocomplete="off"><fieldset>\n')


def _depart_quiz(self, node: quiz) -> None:
    self.body.append('<div class="quiz-answer" role="status" aria-live="polite"></div>\n</fieldset></form>\n')


def _visit_question(self, node: quiz_question) -> None:
    self.body.append(f'<legend><span class="quiz-number">Question {node.parent["number"]}</span> ')


def _depart_question(self, node: quiz_question) -> None:
    self.body.append("</legend>\n")


def _visit_option(self, node: quiz_option) -> None:
    group, ident = node["group"], node["ident"]
    self.body.append(
        f'<div class="quiz-option" data-correct="{str(node["correct"]).lower()}">'
        f'<input type="radio" name="{group}" id="{ident}"><label for="{ident}">'
    )


def _depart_option(self, node: quiz_option) -> None:
    self.body.append("</div>\n")


def _depart_label(self, node: quiz_label) -> None:
    self.body.append("</label>")


def _visit_reason(self, node: quiz_reason) -> None:
    self.body.append('<div class="quiz-reason" hidden>')


def _is_correct(line: str) -> bool:
    found = OPTION.match(line)
    return found is not None and found[1] == "x"


def _depart_reason(self, node: quiz_reason) -> None:
    self.body.append("</div>")


def _pass(self, node: nodes.Node) -> None:
    """Builders other than HTML print the content as it stands."""


def add_quiz(app: Sphinx) -> None:
    app.add_directive("admonition", AdmonitionOrQuiz, override=True)
    plain: dict[str, Any] = dict.fromkeys(("latex", "text"), (_pass, _pass))
    app.add_node(quiz, html=(_visit_quiz, _depart_quiz), **plain)
    app.add_node(quiz_question, html=(_visit_question, _depart_question), **plain)
    app.add_node(quiz_option, html=(_visit_option, _depart_option), **plain)
    app.add_node(quiz_label, html=(_pass, _depart_label), **plain)
    app.add_node(quiz_reason, html=(_visit_reason, _depart_reason), **plain)
