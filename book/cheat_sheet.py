"""The cheat sheet: `{cheat-sheet}` lays out `cheat_sheet.csv`, each row with the chapter that teaches it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from book.contents import ROOT

TABLE = Path(__file__).parent / "cheat_sheet.csv"


@dataclass(frozen=True)
class Line:
    """What a reader wants, what to write for it, and the name of the chapter that teaches it."""

    part: str
    want: str
    write: str
    chapter: str


def lines(table: Path = TABLE) -> list[Line]:
    """The rows of the sheet, in order."""
    with open(table, encoding="utf-8", newline="") as file:
        return [Line(**row) for row in csv.DictReader(file)]


def page_of(name: str) -> Path:
    """The page of this name, of which number and folder, and what stands before or after `and`, are left out.

    >>> page_of("glossary").stem
    'glossary'
    """
    for page in sorted((ROOT / "chapters").iterdir()):
        words = re.sub(r"^\d\d_", "", page.stem)
        if name in (words, *words.split("_and_")):
            return page
    raise LookupError(f"cheat_sheet.csv names {name!r}, which is no page")


class CheatSheet(SphinxDirective):
    """`{cheat-sheet}`: a table for each part."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(TABLE.relative_to(ROOT)))
        sheet = nodes.container(classes=["cheat-sheet"])
        for part, rows in groupby(lines(), key=lambda line: line.part):
            text = "".join(_row(line) for line in rows)
            head = f'<caption>{part}</caption><thead><tr><th scope="col">You want</th>'
            head += '<th scope="col">You write</th><th scope="col">Chapter</th></tr></thead>'
            sheet += nodes.raw("", f"<table>{head}<tbody>{text}</tbody></table>", format="html")
        return [sheet]


def _row(line: Line) -> str:
    page = page_of(line.chapter).stem
    link = f'<a href="{page}.html">{page[:2] if page[:2].isdigit() else "more"}</a>'
    return f"<tr><td>{line.want}</td><td><code>{line.write}</code></td><td>{link}</td></tr>"
