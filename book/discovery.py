"""What search engines and shared links read: a description and an address a page, sitemap.xml, robots.txt.

The address of the site stands in `_config.yml` (`html: baseurl`).
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from book.contents import pages

LENGTH = 160  # characters of a description that a search engine shows


def add_description(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    """Put the page's first sentence into its head, for search engines and for links that are shared."""
    if doctree is None or not app.config.html_baseurl:
        return
    words = escape(description(doctree))
    title = escape(doctree.next_node(nodes.title).astext())
    facts = {
        "og:type": "article",
        "og:site_name": escape(app.config.html_title or app.config.project),
        "og:title": title,
        "og:description": words,
        "og:url": address(app, pagename),
    }
    lines = [f'<meta name="description" content="{words}">'] if words else []
    lines += [f'<meta property="{name}" content="{said}">' for name, said in facts.items() if said]
    # The theme says how wide the page is; docutils would say it once more.
    others = re.sub(r'<meta name="viewport"[^>]*>', "", context.get("metatags", ""))
    context["metatags"] = others + "\n".join(lines) + "\n"


def description(doctree: nodes.document) -> str:
    """The first paragraph of running text, cut at the end of a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section) and paragraph.astext().strip():
            words = " ".join(paragraph.astext().split())
            return words if len(words) <= LENGTH else words[: LENGTH - 1].rpartition(" ")[0] + "…"
    return ""


def address(app: Sphinx, pagename: str) -> str:
    return f"{app.config.html_baseurl.rstrip('/')}/{app.builder.get_target_uri(pagename)}"


def write_maps(app: Sphinx, exception: Exception | None) -> None:
    """Write sitemap.xml with every page of the table of contents, and robots.txt, which names it."""
    if exception or app.builder.format != "html" or not app.config.html_baseurl:
        return
    found = [page for page in pages() if page in app.env.found_docs]
    places = "\n".join(f"  <url><loc>{escape(address(app, page))}</loc></url>" for page in found)
    sitemap = f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
{places}
</urlset>
"""
    site = Path(app.outdir)
    (site / "sitemap.xml").write_text(sitemap, encoding="utf-8")
    where = f"{app.config.html_baseurl.rstrip('/')}/sitemap.xml"
    (site / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {where}\n", encoding="utf-8")
