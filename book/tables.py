"""The deck's slides and their sharpenings, and the chapter that owns each."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Slide:
    """One slide: `chapter` is the one that carries its label, `also` another that comes back to it."""

    id: str
    title: str
    chapter: str
    also: str

    @property
    def label(self) -> str:
        return f"slide-{self.id}"


@dataclass(frozen=True)
class Sharpening:
    """One exact statement beside a loose one: its slides and the chapter that carries its label."""

    id: str
    slides: tuple[str, ...]
    chapter: str
    also: str

    @property
    def label(self) -> str:
        return f"sharpen-{self.id}"


def _rows(name: str) -> list[dict[str, str]]:
    with open(HERE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def slides() -> tuple[Slide, ...]:
    return tuple(Slide(r["id"], r["slide"], r["chapter"], r["also"]) for r in _rows("slides.csv"))


@cache
def sharpenings() -> tuple[Sharpening, ...]:
    return tuple(
        Sharpening(r["id"], tuple(r["slides"].split()), r["chapter"], r["also"])
        for r in _rows("sharpenings.csv")
    )


def chapter_of(docname: str) -> str:
    """The chapter's name in the tables: `chapters/01_hierarchical_data` is `hierarchical_data`.

    Its number stands in the name of its file alone.

    >>> chapter_of("index")
    'index'
    """
    return re.sub(r"^\d\d_", "", Path(docname).name)
