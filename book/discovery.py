"""What search engines and shared links read: a description, an address, a title and a picture for each page,
the course as linked data, sitemap.xml, robots.txt.

The address of the site stands in `_config.yml` (`html: baseurl`).
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from book.contents import ROOT, chapters, pages, read
from book.measure import measure

LENGTH = 160  # characters of a description that a search engine shows
CARD = "_static/card.png"
CARD_WORDS = "Reaction times of eighteen people over ten days, a line for each and one for all"
TERMS = "https://creativecommons.org/licenses/by/4.0/"


def add_description(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    """Put the page's first sentence into its head, for search engines and for links that are shared."""
    if doctree is None or not app.config.html_baseurl:
        return
    words, title = description(doctree), doctree.next_node(nodes.title).astext()
    facts = {
        "og:type": "article",
        "og:site_name": site_title(app),
        "og:title": title,
        "og:description": words,
        "og:url": address(app, pagename),
        "og:image": card_address(app),
        "og:image:alt": CARD_WORDS,
        "og:locale": "en_GB",
    }
    lines = [f'<meta name="description" content="{escape(words)}">'] if words else []
    lines += [f'<meta property="{name}" content="{escape(said)}">' for name, said in facts.items() if said]
    lines.append('<meta name="twitter:card" content="summary_large_image">')
    if data := linked_data(app, pagename, title, words):
        # "</" would end the script
        text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
        lines.append(f'<script type="application/ld+json">{text}</script>')
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


def card_address(app: Sphinx) -> str:
    return f"{app.config.html_baseurl.rstrip('/')}/{CARD}"


def site_title(app: Sphinx) -> str:
    return str(app.config.html_title or app.config.project)


# --- linked data: the words of schema.org ----------------------------------------------------------------


def linked_data(app: Sphinx, page: str, title: str, words: str) -> dict[str, Any] | None:
    """The front page is a course, a chapter is a resource of it; other pages say no more than their heads."""
    about = {
        "@context": "https://schema.org",
        "name": title,
        "description": words,
        "url": address(app, page),
        "image": card_address(app),
        "inLanguage": "en",
        "isAccessibleForFree": True,
        "license": TERMS,
        "author": {"@type": "Organization", "name": app.config.author},
    }
    if page == app.config.root_doc:
        found = [
            f"chapters/{path.stem}" for path in chapters() if f"chapters/{path.stem}" in app.env.found_docs
        ]
        parts = [_part(app, chapter) for chapter in found]
        return about | {
            "@type": "Course",
            "provider": {"@type": "Organization", "name": app.config.author, "url": app.config.html_baseurl},
            "educationalLevel": "Intermediate",
            "teaches": "Linear and generalised linear mixed models",
            "hasPart": parts,
        }
    place = next((k for k, path in enumerate(chapters(), 1) if page == f"chapters/{path.stem}"), None)
    if place is None:
        return None
    return about | {
        "@type": "LearningResource",
        "learningResourceType": "Chapter",
        "position": place,
        "timeRequired": f"PT{measure(read(ROOT / f'{page}.ipynb')).minutes:.0f}M",
        "isPartOf": {
            "@type": "Course",
            "name": site_title(app),
            "url": address(app, app.config.root_doc),
        },
    }


def _part(app: Sphinx, page: str) -> dict[str, str]:
    return {
        "@type": "LearningResource",
        "name": app.env.titles[page].astext(),
        "url": address(app, page),
    }


# --- maps ------------------------------------------------------------------------------------------------


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
