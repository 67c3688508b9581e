"""The R tabs of the chapters: run where R is, and held to what R printed everywhere else.

    python -m book.r_tabs            run every tab that changed, and write what R printed (--all: run each)

A tab is run as a reader would run it: by itself, in a folder that holds `data`, and what the Python tab
beside it writes (`frame.to_csv("frame.csv", index=False)`). R's answers are kept in `tests/reference/r_tabs`,
a file a tab, with the tab's digest in its first line. No R is needed to see that a tab was changed after its
run, or that it states a number which R did not print.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

from book.contents import ROOT, chapters, name_of, read

KEPT = ROOT / "tests" / "reference" / "r_tabs"
ITEM = re.compile(r"^:::\{tab-item\} ([^\n]+)\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(?:r|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VERSION = re.compile(r"\d+\.\d+[-.]\d+(?:-\d+)?")
NUMBER = re.compile(r"(?<![\w.])-?\d*\.\d+(?:e[-+]?\d+)?(?![\w])")
ANY_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w])")
TIMEOUT = 600
HIDDEN = {"hide-input", "remove-cell", "remove-input"}
# R echoes each command after "> ", so that the file can be read; warnings come where they arise.
SCRIPT = """options(warn = 1, width = 80, keep.source = TRUE)
source("tab.R", echo = TRUE, spaced = FALSE, max.deparse.length = Inf)
cat("\\n", R.version.string, "\\n", sep = "")
for (p in names(sessionInfo()$otherPkgs)) cat(p, as.character(packageVersion(p)), "\\n")
"""


@dataclass(frozen=True)
class Tab:
    """The R tab of a chapter, and the Python tab beside it."""

    path: Path
    text: str
    python: str
    before: tuple[str, ...]  # the code that a reader sees above the tab

    @property
    def name(self) -> str:
        return name_of(self.path)

    @property
    def code(self) -> str:
        """The commands, without the comments that say what R printed."""
        lines = "".join(CODE.findall(self.text)).splitlines()
        return "".join(f"{line}\n" for line in lines if not line.lstrip().startswith("#"))

    @property
    def writes(self) -> str:
        """The lines of the Python tab that write a file for R."""
        return "\n".join(
            line for code in CODE.findall(self.python) for line in code.splitlines() if ".to_csv(" in line
        )

    @property
    def digest(self) -> str:
        """Of all that decides what R prints: the commands, and for data made on the page what makes them."""
        made = [self.writes, *self.before] if self.writes else []
        return hashlib.sha256("\n".join([*made, self.code]).encode()).hexdigest()[:12]

    @property
    def stated(self) -> list[str]:
        """The numbers with decimals that the tab states, in comments and below the code."""
        comments = re.findall(r"#(.*)", "".join(CODE.findall(self.text)))
        said = "\n".join([*comments, re.sub(r"`[^`]*`", "", CODE.sub("", self.text))])
        return NUMBER.findall(VERSION.sub("", said))

    @property
    def kept(self) -> Path:
        return KEPT / f"{self.name}.txt"


def tabs() -> list[Tab]:
    """The R tab of each chapter that has one."""
    found = []
    for path in chapters():
        above: list[str] = []
        for cell in read(path).cells:
            if cell.cell_type == "code" and not HIDDEN & set(cell.metadata.get("tags", ())):
                above.append(cell.source)
            items = dict(ITEM.findall(cell.source)) if cell.cell_type == "markdown" else {}
            found += [
                Tab(path, text, items.get("Python", ""), tuple(above))
                for label, text in items.items()
                if re.match(r"R\b", label)
            ]
    return found


def printed(answer: str) -> list[str]:
    """The numbers in what R answered, its echo of the commands left out."""
    lines = [line for line in answer.splitlines()[1:] if not line.startswith(("> ", "+ "))]
    return ANY_NUMBER.findall("\n".join(lines))


def decimals(number: str) -> int:
    return len(number.partition("e")[0].partition(".")[2])


def not_printed(stated: list[str], answers: list[str]) -> list[str]:
    """The stated numbers that are no rounding of a printed one.

    >>> not_printed(["0.25", "-1.5", "0.333"], ["0.2468", "-1.5", "0.33"])
    ['0.333']
    """
    values = [(float(answer), decimals(answer)) for answer in answers]
    return [
        number
        for number in stated
        if not any(
            digits >= decimals(number) and abs(value - float(number)) <= 0.501 * 10.0 ** -decimals(number)
            for value, digits in values
        )
    ]


def frames(tab: Tab, folder: Path) -> None:
    """Run the chapter up to the tab, and write the files that its Python tab writes."""
    notebook = read(tab.path)
    end = next(k for k, cell in enumerate(notebook.cells) if tab.text in cell.source)
    notebook.cells = [*notebook.cells[:end], nbformat.v4.new_code_cell(tab.writes)]
    NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": folder}}).execute()


def run(tab: Tab) -> str:
    """What R prints for a tab."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").symlink_to(ROOT / "data")
        if tab.writes:
            frames(tab, folder)
        (folder / "tab.R").write_text(tab.code, encoding="utf-8")
        (folder / "run.R").write_text(SCRIPT, encoding="utf-8")
        done = subprocess.run(
            ["Rscript", "run.R"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{tab.path.name}: R stopped.\n{done.stdout}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="run the tabs that did not change, too")
    given = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    for tab in tabs():
        first = f"# tab {tab.digest}\n"
        if given.all or not tab.kept.exists() or not tab.kept.read_text(encoding="utf-8").startswith(first):
            tab.kept.write_text(first + run(tab), encoding="utf-8")
        missing = not_printed(tab.stated, printed(tab.kept.read_text(encoding="utf-8")))
        print(
            f"{tab.path.stem}: {len(tab.stated)} numbers", *missing and ["NOT PRINTED", *missing], flush=True
        )


if __name__ == "__main__":
    main()
