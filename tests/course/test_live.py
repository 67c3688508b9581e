"""What a teacher types: it fits the time, it runs alone, and it gives what the chapter shows."""

import re

import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book.blank import NAME, blank, steps
from book.contents import ROOT, chapters, lessons, markdown, read
from book.install import install_cell
from book.live import code_along, exercises, live_cells, write_copies
from book.store import problems
from glmmlib.exercises import NotYet

CHAPTERS = [path for path in chapters() if path in lessons()]
by_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
TASK = (
    "```{exercise} Repeat\n:label: ex-01-repeat\n\nFit it again.\n```\n\n```{solution-start} "
    "ex-01-repeat\n```\n"
)

ANSWER = """# Your answer: Repeat

answer = ...
from glmmlib.exercises import check
check("ex-01-repeat", answer)"""


def live(source, result="", **notes):
    """A live cell that printed `result`."""
    outputs = [new_output("stream", name="stdout", text=result)] if result else []
    return new_code_cell(source, outputs=outputs, metadata={"tags": ["live"], "live": notes})


@pytest.fixture
def chapter():
    return new_notebook(
        cells=[
            new_markdown_cell("# A chapter"),
            live("import glmmlib as gl", given=True),
            new_markdown_cell("(slide-S10)=\n(slide-S11)=\n## A fit\n\nWords."),
            live("# The fit\n# by REML\nfit = 1\n\nprint(fit)", "1\n", minutes=1.5, ask="Which number?"),
            new_code_cell("not_live = 2"),
            new_markdown_cell(TASK),
            new_code_cell("answer = 3"),
        ]
    )


def test_live_cells_know_their_slide_their_time_and_what_is_typed(chapter):
    given, typed = live_cells(chapter)
    assert (given.given, given.lines, given.slides) == (True, 0, ())
    assert (typed.slides, typed.heading, typed.minutes) == (("S10", "S11"), "A fit", 1.5)
    assert typed.comment == "# The fit\n# by REML"
    assert typed.lines == 2


def test_copy_keeps_comment_question_and_result_and_drops_code_and_solutions(chapter, tmp_path):
    path = tmp_path / "01_a.ipynb"
    path.write_text(nbformat.writes(chapter), encoding="utf-8")
    copy = code_along(path)
    code = [cell.source.strip() for cell in copy.cells if cell.cell_type == "code"]
    assert code == [install_cell().source, "import glmmlib as gl", "# The fit\n# by REML", ANSWER]
    text = "\n".join(cell.source for cell in copy.cells if cell.cell_type == "markdown")
    assert (
        "## A fit" in text
        and "Which number?" in text
        and "```text\n1\n```" in text
        and "Fit it again." in text
    )
    assert all(not cell.outputs for cell in copy.cells if cell.cell_type == "code")


def test_exercises_are_found_without_their_solutions():
    assert [cell.source for cell in exercises(TASK)] == [
        "## Exercise: Repeat\n\nFit it again.",
        ANSWER,
    ]


def test_answer_in_the_copy_is_checked_by_what_is_there():
    with pytest.raises(NotYet, match="three dots"):
        exec(ANSWER, {})


@by_chapter
def test_live_part_takes_about_ten_minutes(path):
    cells = live_cells(read(path))
    assert 4 <= len(cells) <= 10
    assert 6 <= sum(cell.minutes for cell in cells) <= 13
    assert 12 <= sum(cell.lines for cell in cells) <= 60


@by_chapter
def test_every_live_cell_says_what_it_is_for_and_most_ask_the_room(path):
    typed = [cell for cell in live_cells(read(path)) if not cell.given]
    assert all(cell.comment and cell.minutes > 0 for cell in typed), [c.name for c in typed if not c.comment]
    assert sum(bool(cell.ask) for cell in typed) >= len(typed) / 2


@pytest.fixture(scope="module")
def kernel():
    """One kernel serves all chapters: modules are imported once, and each chapter finds no names."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(ROOT / "chapters"))
    yield manager
    manager.shutdown_kernel(now=True)


@by_chapter
def test_live_cells_run_alone_and_give_what_the_chapter_shows(kernel, path):
    cells = [cell for cell in read(path).cells if "live" in cell.metadata.get("tags", ())]
    alone = new_notebook(cells=[new_code_cell(cell.source) for cell in [NOTHING, *cells]])
    NotebookClient(alone, timeout=60, km=kernel).execute()
    assert [printed(cell) for cell in alone.cells[1:]] == [printed(cell) for cell in cells]


NOTHING = new_code_cell("%reset -f\nimport matplotlib\nmatplotlib.rcdefaults()\ndel matplotlib")


def printed(cell):
    return "".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_every_chapter_has_a_copy_that_could_be_stored(tmp_path):
    copies = write_copies(tmp_path)
    assert [copy.name for copy in copies] == [*(path.name for path in lessons()), NAME]
    for copy in copies:
        assert not [p for p in problems(copy) if "was not run" not in p and "empty" not in p]


def test_the_empty_notebook_has_a_place_for_each_of_the_eighteen_steps_and_its_chapters_exist():
    capstone = ROOT / "chapters" / "capstone.ipynb"
    found = steps(markdown(capstone))
    assert [number for number, _, _ in found] == list(range(1, 19))
    linked = {name for _, _, links in found for name in re.findall(r"chapters/(\w+\.ipynb)", links)}
    assert len(linked) > 10 and all((capstone.parent / name).exists() for name in linked)
    cells = blank(capstone).cells
    places = [c for c in cells if c.cell_type == "code" or c.source.startswith("*Your answer")]
    assert len(places) == 1 + len(found)  # the first cell installs
