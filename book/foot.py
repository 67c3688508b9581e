"""The foot of a page: version, revision and its date, terms, how to cite it; and the button for issues."""

from __future__ import annotations

import subprocess
from functools import cache
from html import escape
from typing import Any
from urllib.parse import urlencode

from docutils import nodes
from sphinx.application import Sphinx

from book.contents import ROOT
from book.discovery import TERMS, address, site_title
from glmmlib import __version__


@cache
def revision() -> tuple[str, str] | None:
    """The short name and the day of the commit that the pages are built from; None outside of git."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%h %cs"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    return (found[0], found[1]) if found else None


def add_foot(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say below the page which version it is, and how to cite it; lead its issue button to a form."""
    if doctree is None:
        return
    title = doctree.next_node(nodes.title).astext()
    context["theme_extra_footer"] = foot(app, pagename, title)
    repository = app.config.html_theme_options.get("repository_url", "")
    for button in _buttons(context.get("header_buttons", [])):
        if button.get("label") == "source-issues-button":
            asked = urlencode({"template": "page.yml", "page": title})
            button["url"] = f"{repository}/issues/new?{asked}"


def _buttons(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [inner for button in found for inner in [button, *button.get("buttons", [])]]


def foot(app: Sphinx, page: str, title: str) -> str:
    where, built = address(app, page), revision()
    version = f"glmmlib {__version__}"
    year = built[1][:4] if built else str(app.config.copyright)[:4]
    state = f"{version}, revision {built[0]} of {built[1]}" if built else version
    course, author = site_title(app), str(app.config.author)
    whole = title if title == course else f"{title}. In: {course}"
    cited = f"{author[0].upper()}{author[1:]} ({year}). {whole}. {state}. {where}"
    bibtex = "\n".join(
        [
            "@misc{glmmlib-" + page.rpartition("/")[2].replace("_", "-") + ",",
            "  author = {{" + author + "}},",
            "  title  = {" + whole + "},",
            "  year   = {" + year + "},",
            "  note   = {" + state + "},",
            "  url    = {" + where + "}",
            "}",
        ]
    )
    terms = f'Text and figures: <a rel="license" href="{TERMS}">CC BY 4.0</a>; code: BSD 3-Clause.'
    return (
        f'<p class="foot-state">{escape(state)}. {terms}</p>'
        f'<details class="foot-cite"><summary>Cite this page</summary><p>{escape(cited)}</p>'
        f'<pre tabindex="0">{escape(bibtex)}</pre></details>'
    )
