"""The front page's path names every chapter as it names itself, with the minutes that it states."""

import re

from book.contents import ROOT, chapters, markdown, read, title
from book.live import live_cells

ROW = re.compile(r"^\| \[(\d\d) (.+?)\]\(chapters/(\S+)\.ipynb\) \| .+? \| (\d+) \+ (\d+) \|$", re.MULTILINE)
TIME = re.compile(r"^Time: (\d+) minutes to read, (\d+) minutes of live coding", re.MULTILINE)


def test_every_chapter_has_its_row_with_its_title_and_its_minutes():
    rows = ROW.findall((ROOT / "index.md").read_text(encoding="utf-8"))
    expected = []
    for path in chapters():
        minutes = TIME.search(markdown(path))
        expected.append((path.stem[:2], title(path), path.stem, *minutes.groups()))
    assert rows == expected


def test_minutes_of_live_coding_are_those_of_the_live_cells():
    for path in chapters():
        stated = int(TIME.search(markdown(path))[2])
        assert abs(stated - sum(cell.minutes for cell in live_cells(read(path)))) <= 0.5, path.stem


def test_table_of_contents_numbers_the_chapters():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for path in chapters():
        assert f"- file: chapters/{path.stem}\n        title: {path.stem[:2]} {title(path)}\n" in contents
