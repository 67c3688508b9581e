"""What the pages do for a learner, in a browser: words that explain themselves, progress, keys."""

import pytest

from book.browser import page_for, settle
from book.contents import lessons

pytestmark = [pytest.mark.site, pytest.mark.browser]
FIRST = f"chapters/{lessons()[0].stem}"
STORE = "localStorage.getItem('mixed-models-course')"


@pytest.fixture
def page(browser, site):
    page = page_for(browser)
    page.goto((site / f"{FIRST}.html").as_uri())
    settle(page)
    yield page
    page.context.close()


def test_a_word_of_the_glossary_shows_its_sentence_on_hover_and_on_focus(page):
    word, tip = page.locator("a.term").first, page.locator("#term-sentence")
    assert not tip.is_visible()
    word.hover()
    assert tip.is_visible() and tip.inner_text() == word.get_attribute("data-sentence")
    assert word.get_attribute("aria-describedby") == "term-sentence"
    page.keyboard.press("Escape")
    assert not tip.is_visible() and word.get_attribute("aria-describedby") is None
    word.focus()
    assert tip.is_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    last = page.locator("a.term:visible").last
    last.focus()
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    last.blur()
    assert not tip.is_visible()


def test_no_word_is_marked_twice_or_within_something_else(page):
    words = [word.lower() for word in page.locator("a.term").all_text_contents()]
    assert words and len(words) == len(set(words))
    assert not page.locator(":is(a, code, h1, h2, h3, pre, form.quiz) a.term").count()


def test_what_was_read_and_answered_is_kept_until_it_is_forgotten(page):
    box = page.locator(".course-progress")
    assert page.evaluate(STORE) is None and "0 of" in box.inner_text()
    page.locator("form.quiz .quiz-option input").first.check()
    answer = page.locator("form.quiz .quiz-answer").first.inner_text()
    assert answer
    box.get_by_role("button", name="Mark this chapter as read").click()
    page.reload()
    settle(page)
    assert "1 of" in box.inner_text()
    assert page.locator("form.quiz .quiz-answer").first.inner_text() == answer
    assert page.locator(".bd-sidebar-primary a.is-read").count() == 1
    box.get_by_role("button", name="Forget all my progress").click()
    page.wait_for_function(f"{STORE} === null")
    settle(page)
    assert "0 of" in box.inner_text()
    assert not page.locator("form.quiz .quiz-answer").first.inner_text()
    assert not page.locator("form.quiz input:checked").count()


def test_arrow_keys_turn_pages_unless_something_has_the_focus(page):
    here = page.url
    page.locator("form.quiz input").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.url == here
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Shift+ArrowRight")
    assert page.url == here
    with page.expect_navigation():
        page.keyboard.press("ArrowRight")
    with page.expect_navigation():
        page.keyboard.press("ArrowLeft")
    assert page.url.split("#")[0] == here.split("#")[0]
