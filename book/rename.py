"""Rename a chapter everywhere: its file, links, tables, contents; and lead its old address to the new one.

    python -m book.rename 05_old_name 06_new_name

Mentions of its old number without a link are listed, for only a reader knows which chapter they mean.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
from pathlib import Path

from book.contents import ROOT
from book.redirects import TABLE, redirects
from book.tables import chapter_of

TEXTS = (".ipynb", ".md", ".yml", ".csv", ".txt", ".py", ".toml")
# The tables name a chapter without its number; elsewhere such a word may mean anything.
TABLES = ("book/slides.csv", "book/sharpenings.csv", "tests/course/claims.csv")
KEEP_OLD = ("book/redirects.csv", "tests/course/test_measure.py")


def renamed(text: str, old: str, new: str) -> str:
    """A text with its links, and the numbers that stand before them, led to the new name.

    >>> renamed("[Chapter 05](05_old.ipynb), [05](05_old.ipynb), chapters/05_old", "05_old", "06_new")
    '[Chapter 06](06_new.ipynb), [06](06_new.ipynb), chapters/06_new'
    """
    number = new[:2]
    text = re.sub(rf"\[((?:[Cc]hapter )?)\d\d\](\([^)]*){old}\b", rf"[\g<1>{number}]\g<2>{new}", text)
    text = re.sub(rf"\[\d\d ([^\]]+)\](\(chapters/){old}\b", rf"[{number} \g<1>]\g<2>{new}", text)
    text = re.sub(rf"(- file: chapters/){old}\n(\s+title: )\d\d ", rf"\g<1>{new}\n\g<2>{number} ", text)
    return re.sub(rf"\b{old}\b", new, text)


def in_tables(text: str, old: str, new: str) -> str:
    """A table whose cells name the chapter by its new name."""
    return re.sub(rf"(?<=,){chapter_of(old)}(?=,|$)", chapter_of(new), text, flags=re.MULTILINE)


def rename(old: str, new: str, root: Path = ROOT) -> list[Path]:
    """Rename in the files that git tracks; the files that changed."""
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "mv", f"chapters/{old}.ipynb", f"chapters/{new}.ipynb"], check=True)
    listed = subprocess.run(
        [*git, "ls-files"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    changed = []
    for name in listed:
        path = root / name
        if path.suffix not in TEXTS or name in KEEP_OLD or not path.exists():
            continue
        before = path.read_text(encoding="utf-8")
        after = renamed(before, old, new)
        after = in_tables(after, old, new) if name in TABLES else after
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    remember(old, new)
    return changed


def remember(old: str, new: str, table: Path = TABLE) -> None:
    """Lead the old address, and those that led to it, to the new one."""
    known = {a: f"chapters/{new}" if b == f"chapters/{old}" else b for a, b in redirects(table).items()}
    known = {**known, f"chapters/{old}": f"chapters/{new}"}
    known.pop(f"chapters/{new}", None)
    with open(table, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("old", "new"), *sorted(known.items())])


def mentions(number: str, root: Path = ROOT) -> list[str]:
    """The lines of pages that name a chapter by this number without a link."""
    found = []
    for path in sorted((root / "chapters").glob("*")):
        if path.suffix in (".ipynb", ".md"):
            for line in path.read_text(encoding="utf-8").splitlines():
                for hit in re.finditer(rf"(?<!\[)\b[Cc]hapters? (?:\d\d(?:, | and ))*{number}\b", line):
                    found.append(f"{path.name}: {line[max(0, hit.start() - 40) : hit.end() + 30].strip()}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m book.rename", description=__doc__.split("\n")[0])
    parser.add_argument("old", help="the file's name without suffix, such as 06_shrinkage")
    parser.add_argument("new")
    names = parser.parse_args()
    for path in rename(names.old, names.new):
        print(f"changed: {path.relative_to(ROOT)}")
    if names.old[:2] != names.new[:2]:
        print("Look at these by hand:", *mentions(names.old[:2]), sep="\n    ")


if __name__ == "__main__":
    main()
