"""The printable book: Chromium prints each built page, and the prints become one PDF.

    make pdf                         build the book, then _build/html/mixed-models.pdf

Slider charts print as they stand when the page opens; solutions are open, for paper has no button.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject

from book.browser import chromium, open_all, page_for, settle
from book.contents import ROOT, pages

SITE = ROOT / "_build" / "html"
TARGET = SITE / "mixed-models.pdf"
PAGE = {
    "format": "A4",
    "scale": 0.8,
    "print_background": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": '<div style="font-size:8px;width:100%;text-align:center">'
    '{name}, <span class="pageNumber"></span></div>',
    "margin": {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
}


def print_page(browser: Any, site: Path, name: str, target: Path) -> str:
    """Print the page `name` of the built `site` into the file `target`; its title."""
    page = page_for(browser, 900)
    page.goto((site / f"{name}.html").as_uri())
    settle(page)
    open_all(page)
    title = page.locator("article h1").first.inner_text().rstrip("#").strip()
    page.emulate_media(media="print")
    page.wait_for_timeout(300)
    footer = str(PAGE["footer_template"]).format(name=title)
    page.pdf(path=target, **{**PAGE, "footer_template": footer})
    page.context.close()
    return title


def bind(prints: dict[str, Path], titles: dict[str, str]) -> PdfWriter:
    """Join the prints: a bookmark a page, and links between pages that lead to places in the book."""
    book, starts = PdfWriter(), {}
    for name, path in prints.items():
        starts[name] = len(book.pages)
        book.append(PdfReader(path), import_outline=False)
        book.add_outline_item(title=titles[name], page_number=starts[name])
    for page in book.pages:
        kept = [link for link in page.get("/Annots", ()) if turn_inwards(book, link.get_object(), starts)]
        page[NameObject("/Annots")] = ArrayObject(kept)
    return book


def turn_inwards(book: PdfWriter, link: DictionaryObject, starts: dict[str, int]) -> bool:
    """Lead a link to a file of the site to its page in the book; False for one not in the book."""
    action = link.get("/A", {})
    url = urlsplit(str(action.get("/URI", "")))
    if url.scheme != "file":
        return True
    name = unquote(url.path).removeprefix(f"{SITE.as_posix()}/").removesuffix(".html")
    if name not in starts:
        return False
    del link["/A"]
    link[NameObject("/Dest")] = ArrayObject([book.pages[starts[name]].indirect_reference, NameObject("/Fit")])
    return True


def main() -> None:
    with TemporaryDirectory() as folder, chromium() as browser:
        prints, titles = {}, {}
        for name in pages():
            prints[name] = Path(folder) / f"{name.replace('/', '-')}.pdf"
            titles[name] = print_page(browser, SITE, name, prints[name])
        book = bind(prints, titles)
        book.compress_identical_objects()
        book.write(TARGET)
    print(f"{len(book.pages)} pages: {TARGET}")


if __name__ == "__main__":
    main()
