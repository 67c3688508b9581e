"""The formats of a report: text, Markdown, HTML and LaTeX, each with its own way to write a name safely.
Display only.

Sentences mark code (formulas and names of coefficients) by :func:`code`, so that every format can set it in
its own type.
"""

import re
import textwrap
from html import escape
from typing import Any

import pandas as pd

from glmmlib.display.words import WIDTH

_START, _END = "\x02", "\x03"
_CODE = re.compile(f"{_START}(.*?){_END}", re.DOTALL)
_NUMBER_MINUS = re.compile(r"(?<![\w.)\]])-(?=[\d∞])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "∞": r"$\infty$",
    "χ": r"$\chi$",
    "²": r"$^2$",
    "…": r"\dots{}",
    "±": r"$\pm$",
}


def code(text: str) -> str:
    """Mark a text as code."""
    return f"{_START}{text}{_END}"


def to_text(report: Any) -> str:
    """Return lines of at most 80 characters."""
    parts = [report.title, "=" * len(report.title)]
    for heading, sentences in report.sections:
        parts += ["", heading, _wrapped(_plain(" ".join(sentences)))]
    for table in report.tables:
        parts += ["", table.to_text()]
    return "\n".join(parts)


def _wrapped(text: str) -> str:
    """Wrap at 80 columns, but never within "p < 0.001" or "z = 2.3"."""
    tied = re.sub(r" ([=<]) ", "\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", text)
    return textwrap.fill(tied, WIDTH, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")


def _plain(text: str) -> str:
    return text.replace(_START, "").replace(_END, "")


def to_markdown(report: Any) -> str:
    parts = [f"## {report.title}"]
    for heading, sentences in report.sections:
        parts += [f"### {heading}", _in_markdown(" ".join(sentences))]
    return "\n\n".join([*parts, *map(_markdown_table, report.tables)]) + "\n"


def _in_markdown(text: str) -> str:
    pieces = _CODE.split(text)  # plain and code in turn
    return "".join(_markdown_code(p) if i % 2 else _escaped_markdown(p) for i, p in enumerate(pieces))


def _markdown_code(text: str) -> str:
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _escaped_markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>$~])", r"\\\1", text)


def _markdown_table(table: pd.DataFrame) -> str:
    rows = [[_escaped_markdown(str(cell)) for cell in row] for row in (table.header, *table.rows)]
    rule = [":---" if i < table.n_labels else "---:" for i in range(len(table.header))]
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    return f"**{_escaped_markdown(table.caption)}**\n\n" + "\n".join(lines)


def to_html(report: Any) -> str:
    parts = [f"<h3>{escape(report.title)}</h3>"]
    for heading, sentences in report.sections:
        pieces = _CODE.split(" ".join(sentences))
        text = "".join(f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(pieces))
        parts.append(f"<h4>{escape(heading)}</h4><p>{text}</p>")
    parts += [table.to_html() for table in report.tables]
    return f'<div class="glmmlib glmmlib-report">{"".join(parts)}</div>'


def to_latex(report: Any) -> str:
    """Return LaTeX that needs no package."""
    parts = [f"\\section*{{{_in_latex(report.title)}}}"]
    for heading, sentences in report.sections:
        parts.append(f"\\subsection*{{{_in_latex(heading)}}}\n{_in_latex(' '.join(sentences))}")
    return "\n\n".join([*parts, *map(_latex_table, report.tables)]) + "\n"


def _in_latex(text: str) -> str:
    pieces = _CODE.split(text)
    return "".join(
        f"\\texttt{{{_escaped_latex(p)}}}" if i % 2 else _escaped_latex(p) for i, p in enumerate(pieces)
    )


def _escaped_latex(text: str) -> str:
    marked = _NUMBER_MINUS.sub("\x04", str(text))
    return "".join("$-$" if c == "\x04" else _LATEX.get(c, c) for c in marked)


def _latex_table(table: pd.DataFrame) -> str:
    columns = "".join("l" if i < table.n_labels else "r" for i in range(len(table.header)))
    lines = [" & ".join(_in_latex(str(cell)) for cell in row) + r" \\" for row in (table.header, *table.rows)]
    body = "\n".join(["\\hline", lines[0], "\\hline", *lines[1:], "\\hline"])
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{_in_latex(table.caption)}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n\\end{{table}}"
    )
