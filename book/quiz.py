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

The page shows the options in an order drawn for each question (`order`), the same for every reader.
"""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import pairwise
from typing import Any

from docutils import nodes
from docutils.parsers.rst.directives.admonitions import Admonition
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book.tables import chapter_of

OPTION = re.compile(r"- \[([ x])\] ")
QUIZ = re.compile(
    r"^(?::{3,})\{admonition\}[^\n]*\n:class: quiz dropdown\n(.*?)^:{3,}$", re.MULTILINE | re.DOTALL
)


def order(chapter: str, question: str, options: list[str]) -> list[str]:
    """The options in the order of the page, whatever the source's: by a hash of chapter, question and option.

    >>> order("a", "Which?", ["one", "two", "three"]) == order("a", "Which?", ["three", "one", "two"])
    True
    """

    def drawn(option: str) -> str:
        words = " ".join(f"{chapter} {question} {option}".split())
        return sha256(words.encode()).hexdigest()

    return sorted(options, key=drawn)


def questions(text: str) -> list[tuple[str, dict[str, bool]]]:
    """The quiz questions of a chapter's Markdown: the question, and for each option whether it is right.

    >>> box = [":::{admonition} Question", ":class: quiz dropdown", "Why?", "", "- [x] Because.", ":::"]
    >>> questions(chr(10).join(box))
    [('Why?', {'Because.': True})]
    """
    return [parse(body.splitlines()) for body in QUIZ.findall(text)]


def parse(lines: list[str]) -> tuple[str, dict[str, bool]]:
    """A question and its options, each without its reason."""
    starts = [i for i, line in enumerate(lines) if OPTION.match(line)]
    found = {}
    for start, end in pairwise([*starts, len(lines)]):
        reason = next((i for i in range(start, end) if lines[i].lstrip().startswith(">")), end)
        words = [OPTION.sub("", lines[start]), *(line.strip() for line in lines[start + 1 : reason])]
        found[" ".join(words).strip()] = _is_correct(lines[start])
    return " ".join(line.strip() for line in lines[: starts[0] if starts else None]).strip(), found


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
        blocks = {tuple(lines[start:end]): start for start, end in pairwise([*starts, len(lines)])}
        by_words = dict(zip(parse(lines)[1], blocks, strict=True))
        shown = order(chapter_of(self.env.docname), parse(lines)[0], list(by_words))
        for count, words in enumerate(shown, start=1):
            block = by_words[words]
            result += self._option(f"quiz-{number}", count, list(block), blocks[block])
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


def _visit_quiz(self: Any, node: quiz) -> None:
    self.body.append(f'<form class="quiz" id="{node["ids"][0]}" autocomplete="off"><fieldset>\n')


def _depart_quiz(self: Any, node: quiz) -> None:
    self.body.append('<div class="quiz-answer" role="status" aria-live="polite"></div>\n</fieldset></form>\n')


def _visit_question(self: Any, node: quiz_question) -> None:
    self.body.append(f'<legend><span class="quiz-number">Question {node.parent["number"]}</span> ')


def _depart_question(self: Any, node: quiz_question) -> None:
    self.body.append("</legend>\n")


def _visit_option(self: Any, node: quiz_option) -> None:
    group, ident = node["group"], node["ident"]
    self.body.append(
        f'<div class="quiz-option" data-correct="{str(node["correct"]).lower()}">'
        f'<input type="radio" name="{group}" id="{ident}"><label for="{ident}">'
    )


def _depart_option(self: Any, node: quiz_option) -> None:
    self.body.append("</div>\n")


def _depart_label(self: Any, node: quiz_label) -> None:
    self.body.append("</label>")


def _visit_reason(self: Any, node: quiz_reason) -> None:
    self.body.append('<div class="quiz-reason" hidden>')


def _is_correct(line: str) -> bool:
    found = OPTION.match(line)
    return found is not None and found[1] == "x"


def _depart_reason(self: Any, node: quiz_reason) -> None:
    self.body.append("</div>")


def _pass(self: Any, node: nodes.Node) -> None:
    """Builders other than HTML print the content as it stands."""


def add_quiz(app: Sphinx) -> None:
    app.add_directive("admonition", AdmonitionOrQuiz, override=True)
    plain: dict[str, Any] = dict.fromkeys(("latex", "text"), (_pass, _pass))
    app.add_node(quiz, html=(_visit_quiz, _depart_quiz), **plain)
    app.add_node(quiz_question, html=(_visit_question, _depart_question), **plain)
    app.add_node(quiz_option, html=(_visit_option, _depart_option), **plain)
    app.add_node(quiz_label, html=(_pass, _depart_label), **plain)
    app.add_node(quiz_reason, html=(_visit_reason, _depart_reason), **plain)
