"""The teacher's page: `{live-plan}` lays out every chapter's live part, minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book.contents import lessons, read, title
from book.live import FOLDER, LiveCell, live_cells, write_copies
from book.tables import slides


class LivePlan(SphinxDirective):
    """`{live-plan}`: for each chapter its minutes and lines, then what to ask, what to type, which slide is
    up.
    """

    def run(self) -> list[nodes.Node]:
        return [_chapter(self, path, cells) for path in lessons() if (cells := live_cells(read(path)))]


def _chapter(directive: LivePlan, path: Path, cells: tuple[LiveCell, ...]) -> nodes.section:
    directive.env.note_dependency(str(path))
    number = path.stem.split("_")[0]
    name = f"{number} {title(path)}" if number.isdigit() else title(path)
    section = nodes.section("", nodes.title("", name), ids=[f"live-{number}"], names=[f"live-{number}"])
    minutes, lines = sum(cell.minutes for cell in cells), sum(cell.lines for cell in cells)
    section += nodes.paragraph(
        "",
        "",
        nodes.Text(f"About {minutes:.0f} minutes, {lines} lines to type. The chapter: "),
        nodes.reference("", "read it", internal=True, refuri=f"{path.stem}.html"),
        nodes.Text(". For the room: "),
        nodes.reference("", "the code-along copy", internal=True, refuri=f"../{FOLDER}/{path.name}"),
        nodes.Text("."),
    )
    for node in _steps(cells):
        section += node
    return section


def _steps(cells: tuple[LiveCell, ...]) -> Iterator[nodes.Node]:
    titles, clock = {slide.id: slide.title for slide in slides()}, 0.0
    for cell in cells:
        when = "Given in the copy" if cell.given else f"Minute {clock:g} to {clock + cell.minutes:g}"
        up = "; ".join(f"{i} {titles[i]}" for i in cell.slides)
        yield nodes.paragraph("", "", nodes.strong("", f"{when}. "), nodes.Text(f"Up: {up}." if up else ""))
        if cell.ask:
            yield nodes.paragraph("", "", nodes.emphasis("", "Ask: "), nodes.Text(cell.ask))
        yield nodes.literal_block(cell.source, cell.source, language="ipython3")
        clock += cell.minutes


def write_downloads(app: Sphinx) -> None:
    """Put the code-along copies beside the pages."""
    if app.builder.format == "html":
        write_copies(Path(app.outdir) / FOLDER)
