"""What fits a screen, before a browser measures it: code at 1280 pixels, printed lines on a phone."""

import pytest

from book.contents import lessons, read

LESSONS = lessons()
by_chapter = pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
CODE, PRINTED = 77, 44


@by_chapter
def test_no_line_of_shown_code_is_cut_off(path):
    for cell in read(path).cells:
        if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", ()):
            assert not [line for line in cell.source.splitlines() if len(line) > CODE]


@by_chapter
def test_printed_lines_fit_a_phone(path):
    for cell in read(path).cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                assert not [line for line in output.text.splitlines() if len(line) > PRINTED], cell.source
