"""The built site in a real browser, from a file and without network. One visit a page sees all of it.

A visit goes through `SCENES`: wide and light, dark, on a phone; a few pages are opened again. Each scene has
its checks; one that fails is named and does not stop the others. A new check is one function of the visit.
"""

import json
import re
from dataclasses import dataclass, field
from importlib import import_module

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe

from book.browser import open_all, page_for, settle
from book.contents import lessons, pages
from book.fits import ANSWERS, CODE, DESK, PHONE, too_wide

pytestmark = [pytest.mark.site, pytest.mark.browser]
LESSONS = {f"chapters/{path.stem}" for path in lessons()}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
RULES_OF_COLOUR = ["color-contrast", "link-in-text-block"]
# Colours have a check of their own; pandas leaves the corner of a table empty.
STRUCTURE = {rule: {"enabled": False} for rule in [*RULES_OF_COLOUR, "empty-table-header"]}


@dataclass
class Visit:
    """A page in a browser; `before`: what it looked like in the light; `wrong`: what it should not do;
    `looks`: what pages before it had whose colours were right.
    """

    name: str
    page: object
    wrong: list[str]
    looks: set[str]
    before: dict = field(default_factory=dict)

    @property
    def charts(self) -> list:
        return self.page.locator(".slider-chart").all()

    def turn(self, theme: str) -> None:
        """Choose a theme; wait until the charts are drawn anew and no colour is on its way."""
        self.page.evaluate(
            """theme => {
              window.drawn = [...document.querySelectorAll(".slider-view svg")];
              for (const name of ["mode", "theme"]) {
                localStorage.setItem(name, theme);
                document.documentElement.dataset[name] = theme;
              }
            }""",
            theme,
        )
        self.page.wait_for_function("drawn.every(svg => !svg.isConnected)")
        self.page.wait_for_function("document.getAnimations().every(a => a.playState !== 'running')")
        settle(self.page)

    def resize(self, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.wait_for_timeout(400 if self.charts else 50)  # charts fit themselves to the new width


@pytest.fixture(scope="module")
def window(browser, site):
    """One window for all pages, whose scripts are compiled once, and a tab that keeps it warm."""
    tab = page_for(browser, DESK)
    tab.goto((site / "robots.txt").as_uri())
    yield tab
    tab.context.close()


# Nothing is stored when a page is first opened in its tab; a reload keeps what there is. The page does this
# itself: what another tab clears reaches it late on a busy machine.
FIRST_VISIT = """if (window.name !== "visited") {
  window.name = "visited";
  localStorage.clear();
  sessionStorage.clear();
  localStorage.mode = localStorage.theme = "light";
}"""


@pytest.fixture(scope="module")
def looks():
    return set()


@pytest.fixture
def visit(window, site, looks, request):
    """A page of the site, open, wide and light, in a tab of its own: nothing is left of the page before. What
    it fetches from elsewhere is wrong; so is an error.
    """
    assert not window.context.cookies()
    wrong = []
    page = window.context.new_page()
    page.add_init_script(FIRST_VISIT)
    page.on(
        "request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url)
    )
    page.on("requestfailed", lambda r: wrong.append(f"{r.url} did not load"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    page.goto((site / f"{request.param}.html").as_uri())
    settle(page)
    yield Visit(request.param, page, wrong, looks)
    page.close()


@pytest.mark.parametrize("visit", pages(), indirect=True)
def test_page_is_right_in_every_scene(visit, subtests):
    scenes = SCENES if visit.charts or visit.name in LESSONS else SCENES_OF_TEXT
    again = SCENE_OF_A_RELOAD if visit.name in OPENED_AGAIN else {}
    for scene, checks in (scenes | again).items():
        scene(visit)
        for check in checks:
            if visit.name in ONLY_FOR.get(check, {visit.name}):
                with subtests.test(f"{scene.__name__}: {check.__name__}"):
                    check(visit)
    assert not visit.wrong


# --- Scenes ---


def as_opened(visit):
    """Wide and light: the fixture opened it."""


def turned_dark(visit):
    visit.before = {
        "article": visit.page.evaluate(ARTICLE),
        "values": [values_of(chart) for chart in visit.charts],
        "colours": [colours_of(chart) for chart in visit.charts],
    }
    visit.turn("dark")


def narrowed(visit):
    visit.resize(PHONE)


def light_and_wide_again(visit):
    visit.resize(DESK)
    visit.turn("light")


def opened_again_dark_on_a_phone(visit):
    """What a browser keeps may come after a reload: the choice of a theme and the reader's answers are there
    before the page's first script.
    """
    page, key = visit.page, "mixed-models-course"
    stored = {"mode": "dark", "theme": "dark"}
    if (answers := page.evaluate("key => localStorage.getItem(key)", key)) is not None:
        stored[key] = answers
    page.add_init_script(
        f"for (const [k, v] of Object.entries({json.dumps(stored)})) localStorage.setItem(k, v);"
    )
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.reload()
    settle(page)


# --- Checks ---


def theme_is_light(visit):
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "light"


def theme_is_dark(visit):
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"


def doors_open_by_keyboard(visit):
    """They stay open for the checks that follow: what is behind them is part of the page."""
    summaries = "details.door:not([open]) > summary"
    if visit.page.locator(summaries).count():
        visit.page.locator(summaries).first.focus()
        visit.page.keyboard.press("Enter")
    reached = visit.page.evaluate(PRESS, summaries)
    assert all(reached)
    assert visit.page.locator("details.door:not([open])").count() == 0
    settle(visit.page)


# The first of a kind is opened by a key; of the others it is enough that they take the focus and a press.
PRESS = """(selector) => [...document.querySelectorAll(selector)].map((e) => {
  e.focus();
  e.click();
  return document.activeElement === e && e.checkVisibility();
})"""


def solutions_open_by_keyboard(visit):
    """They stay open as doors do: a solution's code is read too."""
    page = visit.page
    assert set(page.evaluate(SHOWN_SOLUTIONS)) == {False}
    page.locator("div.solution button.toggle-button").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(SHOWN_SOLUTIONS)[0]
    assert all(page.evaluate(PRESS, "div.solution button.toggle-button-hidden"))
    assert set(page.evaluate(SHOWN_SOLUTIONS)) == {True}


SHOWN_SOLUTIONS = """() => [...document.querySelectorAll("div.solution")]
  .map((e) => e.querySelector("section").checkVisibility({ visibilityProperty: true }))"""


def nothing_stays_folded(visit):
    """Neither the code of a picture nor a quiz: a rule sees only what is shown."""
    if visit.page.evaluate(FOLDED):
        open_all(visit.page)
    assert visit.page.evaluate(FOLDED) == []


FOLDED = """() => [...document.querySelectorAll("article details:not([open]), article .toggle-button-hidden")]
  .map((e) => e.outerHTML.slice(0, 120))"""


def link_to_a_place_behind_a_door_opens_it(visit):
    door = visit.page.locator("details.door:has(.door-content [id])").first
    place = door.locator(".door-content [id]").first.get_attribute("id")
    assert door.get_attribute("open") is None
    visit.page.evaluate("place => { location.hash = place; }", place)
    visit.page.wait_for_function("door => door.open", arg=door.element_handle())


def paper_has_no_doors(visit):
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(content.is_visible() for content in visit.page.locator(".door-content").all())
    assert visit.page.locator("details.door").count() == visit.page.locator("details.door[open]").count() > 0
    visit.page.emulate_media(media="screen")


def what_is_wider_than_a_phone_scrolls_and_keeps_its_first_column(visit):
    assert not [found for found in too_wide(visit.page, ANSWERS) if not found["scrolls"]]
    for first in visit.page.locator(".cell_output table.dataframe tbody th:first-child").all():
        assert first.evaluate("e => getComputedStyle(e).position") == "sticky"


def answers_fit_a_phone(visit):
    assert too_wide(visit.page, ANSWERS) == []


def code_fits_a_desk(visit):
    assert too_wide(visit.page, CODE) == []


def sliders_move_by_keyboard_and_show_the_numbers_of_the_library(visit):
    for chart in visit.charts:
        shown = shown_by(chart)
        for handle in chart.locator("input[type=range]").all():
            handle.focus()
            visit.page.keyboard.press("Home")
            before = values_of(chart)
            for key in ("End", "ArrowLeft", "ArrowLeft"):
                visit.page.keyboard.press(key)
            after = values_of(chart)
            assert before != after
            texts = chart.locator("svg text")
            texts.filter(has_text=shown(**after)).first.wait_for()
            assert shown(**after) in texts.all_text_contents()
        assert all(label.strip() for label in chart.locator("label").all_inner_texts())


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


def charts_have_other_colours_and_keep_the_readers_positions(visit):
    assert [values_of(chart) for chart in visit.charts] == visit.before["values"]
    for chart, light in zip(visit.charts, visit.before["colours"], strict=True):
        assert colours_of(chart) != light


def charts_have_their_first_colours(visit):
    assert [colours_of(chart) for chart in visit.charts] == visit.before["colours"]


def meets_the_rules_of_accessibility(visit):
    visit.page.evaluate(FIND_LOOKS)
    no_violation(visit.page, "['article']", {"runOnly": RULES, "rules": STRUCTURE})


def meets_the_rules_of_colour(visit):
    """Of the elements that look alike, on this page or on one before it, one."""
    found = set(visit.page.evaluate(FIND_LOOKS))
    if new := found - visit.looks:
        visit.page.evaluate("names => names.forEach(name => looks.delete(name))", list(found - new))
        no_violation(
            visit.page, "[...looks.values()]", {"runOnly": {"type": "rule", "values": RULES_OF_COLOUR}}
        )
        visit.looks |= new


def no_violation(page, elements, options):
    # The article is ours; the frame around it is the theme's. Style sheets are not fetched again: a page from
    # a file may not.
    options = options | {"resultTypes": ["violations"], "preload": False}
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(Axe().axe_script)
    page.evaluate(TAKE_WORDS)
    results = AxeResults(page.evaluate(f"options => axe.run({{include: {elements}}}, options)", options))
    page.evaluate(GIVE_WORDS_BACK)
    assert results.violations_count == 0, results.generate_report()


# One element of each look: its colour, font and decoration on the backgrounds of all that it stands in; a
# link also has words about it.
FIND_LOOKS = """() => {
  const grounds = new Map([[document.querySelector("article").parentElement, ""]]), looks = new Map();
  for (const e of document.querySelectorAll("article, article *:not(.slider-view *)")) {
    const s = getComputedStyle(e);
    const ground = [s.backgroundColor, s.backgroundImage, s.opacity, s.filter, s.mixBlendMode].join();
    grounds.set(e, grounds.get(e.parentElement) + (ground === PLAIN ? "" : `${ground};`));
    const hasText = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!hasText || !e.checkVisibility()) continue;
    const font = [s.color, s.fontSize, s.fontWeight, s.textShadow];
    const about = e.localName === "a" ? getComputedStyle(e.parentElement).color : "no link";
    const type = [...font, about, s.textDecoration, s.borderBottom];
    const look = `${grounds.get(e)} ${type}`;
    if (!looks.has(look)) looks.set(look, e);
  }
  window.looks = looks;
  return [...looks.keys()];
}""".replace("PLAIN", "'rgba(0, 0, 0, 0),none,1,none,normal'")


# Code has thousands of coloured words, and an equation's signs are hidden from screen readers: one of each
# look is looked at, while the others are left out, and words leave their room.
TAKE_WORDS = """() => {
  const looked = [...looks.values()];
  const isLooked = (e) => looked.some((look) => e.contains(look));
  const signs = [...document.querySelectorAll("mjx-math[aria-hidden=true]")]
    .filter((e) => !isLooked(e) && !e.querySelector("a, button, input, [tabindex]"));
  const code = [...document.querySelectorAll(".highlight pre")];
  window.words = [...code, ...signs].map((e) => [e, [...e.childNodes]]);
  for (const e of signs) e.replaceChildren();
  for (const [pre, nodes] of words.slice(0, code.length)) {
    const stay = (n) => n.nodeType === 3 ? looked.includes(pre) : isLooked(n);
    pre.replaceChildren();
    for (const n of nodes) {
      if (stay(n)) pre.append(n);
      else if (pre.lastChild?.hidden_words) pre.lastChild.append(n.textContent);
      else pre.append(Object.assign(document.createElement("span"),
        { hidden_words: true, style: "visibility: hidden", textContent: n.textContent }));
    }
  }
}"""
GIVE_WORDS_BACK = "() => { for (const [e, nodes] of words) e.replaceChildren(...nodes); }"


def article_is_the_same(visit):
    """A theme changes colours alone: what no colour can break is looked at in one theme."""
    assert visit.page.evaluate(ARTICLE) == visit.before["article"]


# The pictures of the charts are drawn anew, in other colours.
ARTICLE = """() => {
  const copy = document.querySelector("article").cloneNode(true);
  for (const picture of copy.querySelectorAll(".slider-view")) picture.remove();
  return copy.outerHTML;
}"""


def fits(visit):
    """An element may scroll in its own box; none may stick out of the page or be cut off by it."""
    width = visit.page.viewport_size["width"]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate(STICKING_OUT) == []


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


def equations_are_typeset(visit):
    article = visit.page.locator("article")
    assert article.locator("mjx-container").count() > 0
    assert not re.search(r"\\\(|\\\[", article.inner_text())
    assert article.locator("mjx-merror").count() == 0


def quiz_answers_at_once_with_the_reason_and_is_kept_in_one_place(visit):
    page, storage = visit.page, "[Object.keys(localStorage).sort(), sessionStorage.length, document.cookie]"
    before = page.evaluate(storage)
    assert not any(page.locator(".quiz-answer").all_inner_texts())
    for number, form in enumerate(page.locator("form.quiz").all()):
        if number == 0:
            form.locator("input").first.focus()
            page.keyboard.press("Space")
            assert form.locator(".quiz-answer").inner_text()
        for reached, right, said, chosen in form.evaluate(ANSWERS_OF_A_QUIZ):
            assert reached
            assert said.startswith("Right." if right == "true" else "Not this one.")
            assert len(said) > 20 and chosen == 1
    assert page.evaluate(storage) == [sorted([*before[0], "mixed-models-course"]), *before[1:]]
    kept = json.loads(page.evaluate("localStorage.getItem('mixed-models-course')"))["quiz"]
    assert len(kept[visit.name]) == page.locator("form.quiz").count()


ANSWERS_OF_A_QUIZ = """(form) => [...form.querySelectorAll(".quiz-option")].map((option) => {
  const input = option.querySelector("input");
  input.focus();
  input.click();
  const said = form.querySelector(".quiz-answer").innerText;
  return [document.activeElement === input, option.dataset.correct, said,
    form.querySelectorAll("[data-chosen]").length];
})"""


def quiz_shows_the_last_answers_again(visit):
    forms = visit.page.locator("form.quiz").all()
    assert forms
    for form in forms:
        assert form.locator(".quiz-option input").last.is_checked()
        assert len(form.locator(".quiz-answer").inner_text()) > 20


SCENES = {
    as_opened: [
        theme_is_light,
        fits,
        doors_open_by_keyboard,
        solutions_open_by_keyboard,
        nothing_stays_folded,
        sliders_move_by_keyboard_and_show_the_numbers_of_the_library,
        meets_the_rules_of_accessibility,
        meets_the_rules_of_colour,
    ],
    turned_dark: [
        theme_is_dark,
        article_is_the_same,
        meets_the_rules_of_colour,
        charts_have_other_colours_and_keep_the_readers_positions,
        quiz_answers_at_once_with_the_reason_and_is_kept_in_one_place,
    ],
    narrowed: [
        answers_fit_a_phone,
        fits,
        what_is_wider_than_a_phone_scrolls_and_keeps_its_first_column,
        sliders_move_by_keyboard_and_show_the_numbers_of_the_library,
    ],
    light_and_wide_again: [
        charts_have_their_first_colours,
        equations_are_typeset,
        code_fits_a_desk,
    ],
}
# A page without charts and questions has no use for the last scene.
SCENES_OF_TEXT = {scene: SCENES[scene] for scene in (as_opened, turned_dark, narrowed)}
# What a reload does is the work of scripts that all pages share; it takes as long as all that was before it.
OPENED_AGAIN = {"index", *sorted(LESSONS)[::8]}
SCENE_OF_A_RELOAD = {
    opened_again_dark_on_a_phone: [
        theme_is_dark,
        link_to_a_place_behind_a_door_opens_it,
        paper_has_no_doors,
        fits,
        quiz_shows_the_last_answers_again,
        sliders_move_by_keyboard_and_show_the_numbers_of_the_library,
    ],
}
ONLY_FOR = {
    equations_are_typeset: LESSONS,
    quiz_answers_at_once_with_the_reason_and_is_kept_in_one_place: LESSONS,
    quiz_shows_the_last_answers_again: LESSONS,
    solutions_open_by_keyboard: LESSONS,
    link_to_a_place_behind_a_door_opens_it: LESSONS,
    paper_has_no_doors: LESSONS,
    answers_fit_a_phone: LESSONS,
    code_fits_a_desk: LESSONS,
}
