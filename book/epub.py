"""The course as an EPUB 3: each built page as Chromium shows it, equations as MathML, charts as they stand.

python -m book.epub              after `make book`: _build/html/mixed-models.epub
"""

from __future__ import annotations

import mimetypes
import posixpath
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import yaml

from book.browser import chromium, open_all, page_for, settle
from book.contents import ROOT, pages
from book.foot import revision

SITE = ROOT / "_build" / "html"
TARGET = SITE / "mixed-models.epub"
XHTML = "http://www.w3.org/1999/xhtml"
SPACES = {"": XHTML, "m": "http://www.w3.org/1998/Math/MathML", "svg": "http://www.w3.org/2000/svg"}
FEATURES = {"mathml": "m:math", "svg": "svg:svg"}
WITHOUT_REVISION = "2026-01-01"

# The article as XML, without what needs a script. MathJax keeps each equation's MathML beside its glyphs.
READ = """() => {
  const article = document.querySelector("article").cloneNode(true);
  for (const box of article.querySelectorAll("mjx-container")) {
    const math = box.querySelector("math");
    if (math) box.replaceWith(math.cloneNode(true)); else box.remove();
  }
  const dead = "script, style, link, button, input, select, form, iframe, canvas, nav, .headerlink";
  article.querySelectorAll(dead).forEach(element => element.remove());
  for (const element of [article, ...article.querySelectorAll("*")])
    for (const { name } of [...element.attributes])
      if (!/^(xlink:|xmlns|[a-z][a-z0-9-]*$)/i.test(name) || /^(on|data-|tabindex|loading)/.test(name))
        element.removeAttribute(name);
  return new XMLSerializer().serializeToString(article);
}"""

STYLE = """body { line-height: 1.5; }
pre { white-space: pre-wrap; font-size: .85em; background: #f5f5f5; padding: .5em; }
img, svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; }
td, th { padding: .1em .5em; text-align: left; border-bottom: 1px solid #ccc; }
.admonition, details { border-left: 3px solid #888; padding-left: .8em; margin: 1em 0; }
.admonition-title, summary, caption, figcaption { font-weight: bold; }
"""
NAV = '<nav xmlns:epub="http://www.idpf.org/2007/ops" epub:type="toc">'
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""


def read_page(browser: Any, site: Path, name: str) -> str:
    """The article of the page `name` of the built `site`, as XML."""
    page = page_for(browser, 900)
    page.goto((site / f"{name}.html").as_uri())
    settle(page)
    open_all(page)
    article = str(page.evaluate(READ))
    page.context.close()
    return article


def file_of(name: str) -> str:
    return f"{name.replace('/', '-')}.xhtml"


def place(
    article: str, name: str, names: Mapping[str, Any], site: Path
) -> tuple[ET.Element, dict[str, Path]]:
    """An article whose links and pictures lead to files of the EPUB, and these pictures by name."""
    root, pictures = ET.fromstring(article), {}
    for element in root.iter(f"{{{XHTML}}}img"):
        picture = _beside(name, element.get("src", ""))
        element.set("src", quote(f"pictures/{posixpath.basename(picture)}"))
        element.attrib.setdefault("alt", "")
        pictures[posixpath.basename(picture)] = site / picture
    for element in root.iter(f"{{{XHTML}}}a"):
        link = urlsplit(element.get("href", ""))
        if link.scheme or not (link.path or link.fragment):
            continue
        target = _beside(name, link.path).removesuffix(".html") if link.path else name
        if target in names:
            element.set("href", file_of(target) + (f"#{link.fragment}" if link.fragment else ""))
        else:
            del element.attrib["href"]
    return root, pictures


def _beside(name: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path)))


def bind(articles: Mapping[str, str], site: Path, target: Path, about: Mapping[str, str]) -> None:
    """Write the articles, in their order, as an EPUB: `about` has its title, author, address and day."""
    for prefix, space in SPACES.items():
        ET.register_namespace(prefix, space)
    files: dict[str, str] = {}
    manifest, titles, pictures = [], {}, dict[str, Path]()
    for name, article in articles.items():
        root, found = place(article, name, articles, site)
        pictures |= found
        heading = root.find(f".//{{{XHTML}}}h1")
        titles[name] = " ".join("".join(heading.itertext()).split()) if heading is not None else name
        used = [word for word, tag in FEATURES.items() if root.find(f".//{tag}", SPACES) is not None]
        properties = f' properties="{" ".join(used)}"' if used else ""
        manifest.append((f"page{len(titles)}", file_of(name), "application/xhtml+xml", properties))
        files[file_of(name)] = document(titles[name], ET.tostring(root, encoding="unicode"))
    lines = "".join(
        f'<li><a href="{file_of(name)}">{escape(title)}</a></li>\n' for name, title in titles.items()
    )
    files["nav.xhtml"] = document("Contents", f"{NAV}<h1>Contents</h1><ol>\n{lines}</ol></nav>")
    files["style.css"] = STYLE
    extra = [
        ("nav", "nav.xhtml", "application/xhtml+xml", ' properties="nav"'),
        ("style", "style.css", "text/css", ""),
    ]
    for k, picture in enumerate(pictures):
        kind = mimetypes.guess_type(picture)[0] or "application/octet-stream"
        extra.append((f"picture{k}", quote(f"pictures/{picture}"), kind, ""))
    files["content.opf"] = package(about, manifest, extra)
    write(target, files, pictures)


def document(title: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
        f'<html xmlns="{XHTML}" lang="en" xml:lang="en">\n'
        f'<head><meta charset="utf-8"/><title>{escape(title)}</title>'
        f'<link rel="stylesheet" href="style.css"/></head>\n<body>{body}</body></html>\n'
    )


def package(about: Mapping[str, str], pages_: list[tuple], others: list[tuple]) -> str:
    """The list of files, and the order in which pages are read."""
    items = "\n".join(
        f'<item id="{ident}" href="{escape(href)}" media-type="{kind}"{properties}/>'
        for ident, href, kind, properties in [*pages_, *others]
    )
    spine = "".join(f'<itemref idref="{ident}"/>' for ident, *_ in pages_)
    ident = uuid.uuid5(uuid.NAMESPACE_URL, about["address"])
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">\n'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f'<dc:identifier id="id">urn:uuid:{ident}</dc:identifier>\n'
        f"<dc:title>{escape(about['title'])}</dc:title>\n"
        f"<dc:creator>{escape(about['author'])}</dc:creator>\n<dc:language>en</dc:language>\n"
        f"<dc:source>{escape(about['address'])}</dc:source>\n"
        f'<meta property="dcterms:modified">{about["day"]}T00:00:00Z</meta>\n</metadata>\n'
        f"<manifest>\n{items}\n</manifest>\n<spine>{spine}</spine>\n</package>\n"
    )


def write(target: Path, files: Mapping[str, str], pictures: Mapping[str, Path]) -> None:
    """The archive, the same for the same pages: its first file says what it is, uncompressed."""
    with ZipFile(target, "w") as archive:
        archive.writestr(ZipInfo("mimetype"), "application/epub+zip", ZIP_STORED)
        archive.writestr(ZipInfo("META-INF/container.xml"), CONTAINER, ZIP_DEFLATED)
        for name, text in files.items():
            archive.writestr(ZipInfo(f"book/{name}"), text, ZIP_DEFLATED)
        for name, path in pictures.items():
            archive.writestr(ZipInfo(f"book/pictures/{name}"), path.read_bytes(), ZIP_DEFLATED)


def main() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    built = revision()
    about = {
        "title": config["title"],
        "author": config["author"],
        "address": config["html"]["baseurl"],
        "day": built[1] if built else WITHOUT_REVISION,
    }
    with chromium() as browser:
        articles = {name: read_page(browser, SITE, name) for name in pages()}
    bind(articles, SITE, TARGET, about)
    print(f"{len(articles)} pages: {TARGET}")


if __name__ == "__main__":
    main()
