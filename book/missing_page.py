"""404.html: what a reader sees at an address that does not exist."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

NAME = "404"
TITLE = "This page does not exist"


def missing_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Give Sphinx the page, in the theme of the others."""
    body = f"""<section><h1>{TITLE}</h1>
<p>The address is wrong, or the page has another one now. Most chapters are found from the
<a href="index.html">first page</a>; words are found by the <a href="search.html">search</a> and in the
<a href="genindex.html">index</a>.</p></section>"""
    yield NAME, {"title": TITLE, "body": body}, "page.html"


def add_base(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """A server shows this page at any address: its links start at the top of the site."""
    if pagename == NAME and app.config.html_baseurl:
        base = f'<base href="{escape(app.config.html_baseurl)}"><meta name="robots" content="noindex">'
        context["metatags"] = base + context.get("metatags", "")
