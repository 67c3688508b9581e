"""The built site in a real browser, from a file and without network: wide and narrow, light and dark."""

import re
from importlib import import_module

import pytest
from axe_playwright_python.sync_playwright import Axe

from book.browser import page_for, settle
from book.contents import lessons, pages

pytestmark = [pytest.mark.site, pytest.mark.browser]
PAGES = pages()
CHAPTERS = [f"chapters/{path.stem}" for path in lessons()]
by_page = pytest.mark.parametrize("name", PAGES)
by_chapter = pytest.mark.parametrize("name", CHAPTERS)
with_sliders = pytest.mark.parametrize("name", ["index", *CHAPTERS])


@pytest.fixture
def visit(browser, site):
    """Open a page of the site; fail at the end if it asked for anything but files or wrote an error to the
    console.
    """
    opened, wrong = [], []

    def visit(name, width=1280, theme="light"):
        page = page_for(browser, width, theme)
        opened.append(page)
        page.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url),
        )
        page.on("requestfailed", lambda r: wrong.append(f"{r.url} did not load"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.goto((site / f"{name}.html").as_uri())
        settle(page)
        return page

    yield visit
    for page in opened:
        page.context.close()
    assert not wrong


@by_page
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_meets_the_accessibility_rules_and_fits_a_phone(visit, name, theme):
    page = visit(name, theme=theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    # The article is ours; the frame around it is the theme's. Pandas leaves the corner of a table empty.
    options = {
        "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
        "rules": {"empty-table-header": {"enabled": False}},
        "preload": False,  # it would fetch the style sheets again, which a page from a file may not
    }
    results = Axe().run(page, context="article", options=options)
    assert results.violations_count == 0, results.generate_report()
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_timeout(400)  # charts fit themselves to the new width
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # An element may scroll in its own box; none may stick out of the page or be cut off by it.
    assert page.evaluate(STICKING_OUT) == []


STICKING_OUT = """() => {
  const scrolls = (e) => {
    for (let p = e; p; p = p.parentElement)
      if (/auto|scroll/.test(getComputedStyle(p).overflowX)) return true;
    return false;
  };
  return [...document.querySelectorAll("article *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
    .filter((e) => e.checkVisibility() && !e.closest("mjx-assistive-mml"))
    .filter((e) => !scrolls(e))
    .map((e) => e.outerHTML.slice(0, 120));
}"""


def values_of(chart):
    """The positions of a chart's sliders, by the name of the parameter."""
    return chart.locator("input[type=range]").evaluate_all(
        "inputs => Object.fromEntries(inputs.map(i => [i.name, Number(i.value)]))"
    )


def colours_of(chart):
    """The opaque colours in a chart's picture."""
    return set(re.findall(r'(?:fill|stroke)="(#[^"]+)"', chart.locator("svg").evaluate("e => e.outerHTML")))


def shown_by(chart):
    """The Python function that says what a chart displays."""
    name = chart.locator(".slider-spec").evaluate("e => JSON.parse(e.textContent).spec.usermeta.slider")
    return import_module(f"glmmlib.sliders._{name}").shown


@with_sliders
@pytest.mark.parametrize("width", [1280, 390])
def test_sliders_move_by_keyboard_and_show_the_numbers_of_the_library(visit, name, width):
    page = visit(name, width=width)
    for chart in page.locator(".slider-chart").all():
        shown = shown_by(chart)
        for handle in chart.locator("input[type=range]").all():
            before = values_of(chart)
            handle.focus()
            for key in ("End", "ArrowLeft", "ArrowLeft"):
                page.keyboard.press(key)
            page.wait_for_timeout(100)
            after = values_of(chart)
            assert before != after
            assert shown(**after) in chart.locator("svg text").all_text_contents()
        assert all(label.strip() for label in chart.locator("label").all_inner_texts())
        if width > 390:
            follows_the_theme(page, chart)


def follows_the_theme(page, chart):
    """The chart changes its colours with the page, and keeps the reader's positions."""
    before, light = values_of(chart), colours_of(chart)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(800)
    settle(page)
    assert values_of(chart) == before
    assert colours_of(chart) != light
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_timeout(800)
    assert colours_of(chart) == light


@by_chapter
def test_quiz_answers_at_once_gives_the_reason_and_remembers_nothing(visit, name):
    page = visit(name)
    storage = "JSON.stringify([localStorage, sessionStorage, document.cookie])"
    before = page.evaluate(storage)
    for form in page.locator("form.quiz").all():
        assert form.locator(".quiz-answer").inner_text() == ""
        for option in form.locator(".quiz-option").all():
            option.locator("input").focus()
            page.keyboard.press("Space")
            right = option.get_attribute("data-correct") == "true"
            answer = form.locator(".quiz-answer")
            assert answer.inner_text().startswith("Right." if right else "Not this one.")
            assert len(answer.inner_text()) > 20
            assert form.locator("[data-chosen]").count() == 1
    assert page.evaluate(storage) == before
    page.reload()
    settle(page)
    assert page.locator("form.quiz input:checked").count() == 0


@by_chapter
def test_equations_are_typeset_and_solutions_open_by_keyboard(visit, name):
    page = visit(name)
    assert page.locator("article mjx-container").count() > 0
    assert not re.search(r"\\\(|\\\[", page.locator("article").inner_text())
    assert page.locator("article mjx-merror").count() == 0
    solutions = page.locator("div.solution").all()
    assert solutions
    for solution in solutions:
        content = solution.locator("section").first
        assert not content.is_visible()
        solution.locator("button.toggle-button").focus()
        page.keyboard.press("Enter")
        assert content.is_visible()
