"""The EPUB: an archive of well-formed pages that lead to each other, with equations as MathML."""

import posixpath
import xml.etree.ElementTree as ET
from urllib.parse import unquote
from zipfile import ZIP_STORED, ZipFile

import pytest

from book.epub import SPACES, XHTML, bind, read_page

ABOUT = {"title": "Mice & men", "author": "A", "address": "https://example.org/", "day": "2026-01-31"}
PAGE = """<!DOCTYPE html><html><head><script>window.ran = true</script></head><body><nav>menu</nav>
<article><h1>One<a class="headerlink" href="#one">#</a></h1><p id="here">a &lt; b&nbsp;<br>
<mjx-container><svg></svg><mjx-assistive-mml><math xmlns="http://www.w3.org/1998/Math/MathML"><mi>x</mi></math>
</mjx-assistive-mml></mjx-container></p><button onclick="go()">Go</button>
<img src="../_images/a%20b.png"><a href="two.html#there">two</a> <a href="#here">here</a>
<a href="gone.html">gone</a> <a href="https://example.org/x">away</a></article></body></html>"""
OTHER = f'<article xmlns="{XHTML}"><h1>Two</h1><p id="there">end</p></article>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("site")
    (path / "chapters").mkdir()
    (path / "_images").mkdir()
    (path / "_images" / "a b.png").write_bytes(b"picture")
    (path / "chapters" / "one.html").write_text(PAGE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def article(folder, browser):
    return read_page(browser, folder, "chapters/one")


@pytest.mark.browser
def test_a_page_is_read_without_what_needs_a_script(article):
    root = ET.fromstring(article)
    assert root.find(".//m:math/m:mi", SPACES).text == "x"
    assert {element.tag.rpartition("}")[2] for element in root.iter()}.isdisjoint({"script", "button", "nav"})
    assert "".join(root.find(f"{{{XHTML}}}h1").itertext()) == "One"


@pytest.mark.browser
def test_the_archive_holds_what_it_lists_and_leads_within(folder, article, tmp_path):
    target = tmp_path / "book.epub"
    bind({"chapters/one": article, "chapters/two": OTHER}, folder, target, ABOUT)
    with ZipFile(target) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", ZIP_STORED)
        assert archive.read("mimetype") == b"application/epub+zip"
        roots = {
            name: ET.fromstring(archive.read(name))
            for name in archive.namelist()
            if name.endswith((".xml", ".opf", ".xhtml"))
        }
        names = set(archive.namelist())
    package = roots["book/content.opf"]
    items = {item.get("href"): item for item in package.iter("{http://www.idpf.org/2007/opf}item")}
    assert {f"book/{unquote(href)}" for href in items} == names - {
        "mimetype",
        "META-INF/container.xml",
        "book/content.opf",
    }
    assert items["chapters-one.xhtml"].get("properties") == "mathml"
    assert items["pictures/a%20b.png"].get("media-type") == "image/png"
    one = roots["book/chapters-one.xhtml"]
    links = {"".join(a.itertext()): a.get("href") for a in one.iter(f"{{{XHTML}}}a")}
    assert links == {
        "two": "chapters-two.xhtml#there",
        "here": "chapters-one.xhtml#here",
        "gone": None,
        "away": "https://example.org/x",
    }
    (image,) = one.iter(f"{{{XHTML}}}img")
    assert posixpath.join("book", unquote(image.get("src"))) in names and image.get("alt") == ""
    contents = [a.get("href") for a in roots["book/nav.xhtml"].iter(f"{{{XHTML}}}a")]
    assert contents == ["chapters-one.xhtml", "chapters-two.xhtml"]


def test_the_same_pages_make_the_same_file(folder, tmp_path):
    made = []
    for name in ("a.epub", "b.epub"):
        bind({"chapters/two": OTHER}, folder, tmp_path / name, ABOUT)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
