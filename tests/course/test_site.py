"""The built site, read as files: pages, links, pictures, and nothing from elsewhere."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

from book.contents import ROOT, chapters, notebooks, pages
from glmmlib import __version__

pytestmark = pytest.mark.site
PAGES = pages()
BASE = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
by_page = pytest.mark.parametrize("page", PAGES)
DATA = ("application/json", "application/ld+json")  # nothing in them is run or fetched
# What a browser fetches by itself, as opposed to a link that a reader may follow.
FETCHED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
}


@cache
def html(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(element["id"] for element in html(path).find_all(id=True))


@by_page
def test_page_of_the_table_of_contents_has_its_html(site, page):
    assert (site / f"{page}.html").exists()


@by_page
def test_links_and_anchors_within_the_site_lead_somewhere(site, page):
    path = site / f"{page}.html"
    broken = []
    for element in html(path).find_all(["a", "link", "img", "script"]):
        url = urlsplit(element.get("href") or element.get("src") or "")
        if url.scheme or url.netloc or not (url.path or url.fragment):
            continue
        target = (path.parent / unquote(url.path)).resolve() if url.path else path
        if not target.exists() or (
            url.fragment and target.suffix == ".html" and unquote(url.fragment) not in anchors(target)
        ):
            broken.append(url.geturl())
    assert not broken


@by_page
def test_page_fetches_nothing_from_elsewhere(site, page):
    text = html(site / f"{page}.html")
    # The address of the page itself is told to search engines, and no browser fetches it.
    fetching = [e for e in text.find_all(list(FETCHED)) if e.get("rel") != ["canonical"]]
    urls = [element.get(FETCHED[element.name], "") for element in fetching]
    assert not [url for url in urls if url.startswith(("http:", "https:", "//"))]
    scripts = " ".join(
        element.text for element in text.find_all("script", type=lambda kind: kind not in DATA)
    )
    assert not re.findall(r"https?://[^\s\"']+", scripts)


def test_own_and_copied_style_sheets_fetch_nothing_from_elsewhere(site):
    for sheet in site.rglob("*.css"):
        assert not re.findall(
            r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")
        ), sheet


@by_page
def test_every_picture_has_words_for_alternative_text(site, page):
    for image in html(site / f"{page}.html").select("article img"):
        alt = image.get("alt", "")
        assert alt and not re.search(r"\.(png|svg|jpe?g)$|_images/", alt), image


@by_page
def test_page_is_below_one_megabyte(site, page):
    assert (site / f"{page}.html").stat().st_size < 1_000_000


@by_page
def test_no_id_stands_twice(site, page):
    ids = [element["id"] for element in html(site / f"{page}.html").find_all(id=True)]
    assert len(ids) == len(set(ids)), {i for i in ids if ids.count(i) > 1}


@by_page
def test_scripts_for_charts_and_quizzes_only_where_they_are_used(site, page):
    text = html(site / f"{page}.html")
    sources = " ".join(element.get("src", "") for element in text.find_all("script"))
    assert bool(text.select(".slider-chart")) == ("charts.js" in sources)
    assert bool(text.select("form.quiz")) == ("quiz.js" in sources)
    assert bool(text.select("details.door")) == ("doors.js" in sources)
    assert "vega.js" not in sources, "the Vega bundle must not hold up the page"


@by_page
def test_page_tells_search_engines_what_it_is_and_where(site, page):
    head = html(site / f"{page}.html").head
    (words,) = (meta["content"] for meta in head.select('meta[name="description"]'))
    assert 40 <= len(words) <= 160
    (address,) = (link["href"] for link in head.select('link[rel="canonical"]'))
    assert address == f"{BASE}{page}.html"
    (shared,) = (meta["content"] for meta in head.select('meta[property="og:url"]'))
    assert shared == address
    (card,) = (meta["content"] for meta in head.select('meta[property="og:image"]'))
    assert (site / card.removeprefix(BASE)).stat().st_size > 10_000
    icons = [link["href"] for link in head.select('link[rel="icon"]')]
    assert icons and all((site / f"{page}.html").parent.joinpath(icon).exists() for icon in icons)
    assert len(head.select('meta[name="viewport"]')) == 1


def told(site, page):
    """The linked data of a page."""
    return [
        json.loads(s.text) for s in html(site / f"{page}.html").select('script[type="application/ld+json"]')
    ]


def test_the_course_and_its_chapters_are_told_as_linked_data(site):
    (course,) = told(site, "index")
    names = [f"chapters/{path.stem}" for path in chapters()]
    assert course["@type"] == "Course" and course["provider"]["name"]
    assert [part["url"] for part in course["hasPart"]] == [f"{BASE}{name}.html" for name in names]
    for place, name in enumerate(names, 1):
        (chapter,) = told(site, name)
        assert (chapter["@type"], chapter["position"]) == ("LearningResource", place)
        assert re.fullmatch(r"PT\d\d?M", chapter["timeRequired"])


@by_page
def test_the_foot_says_version_terms_and_how_to_cite(site, page):
    text = html(site / f"{page}.html")
    (state,), (cite,) = text.select(".foot-state"), text.select(".foot-cite")
    assert __version__ in state.text and "CC BY 4.0" in state.text
    assert f"{BASE}{page}.html" in cite.text and "@misc{" in cite.text


@by_page
def test_the_button_for_issues_opens_the_form_for_pages(site, page):
    links = [a["href"] for a in html(site / f"{page}.html").find_all("a", href=re.compile("/issues/new"))]
    assert links and all("template=page.yml&page=" in link for link in links)


def test_an_address_that_does_not_exist_leads_on(site):
    page = html(site / "404.html")
    assert page.select_one("base")["href"] == BASE
    for link in page.select("article a[href]"):
        assert (site / link["href"].split("#")[0]).exists(), link


def test_maps_name_every_page(site):
    places = re.findall(r"<loc>(.+?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    assert places == [f"{BASE}{page}.html" for page in PAGES]
    assert f"Sitemap: {BASE}sitemap.xml" in (site / "robots.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("chapter", notebooks(), ids=lambda path: path.stem)
def test_no_output_of_a_notebook_is_an_error_or_a_warning(site, chapter):
    text = html(site / "chapters" / f"{chapter.stem}.html")
    assert not text.select(".output.stderr, .output.traceback, .system-message")


@by_page
def test_page_has_no_error_of_html(site, page):
    """Those that the packages behind the book would write; `make valid` asks a validator about the rest."""
    text = html(site / f"{page}.html")
    assert not text.select("summary p, summary div, table[border], body div style, [role=doc-biblioentry]")
