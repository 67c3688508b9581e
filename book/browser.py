"""A headless Chromium from the system, and pictures of built pages to look at.

python -m book.browser chapters/01_hierarchical_data        four pictures in _build/pictures
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SITE = Path("_build/html")
PICTURES = Path("_build/pictures")
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# One process draws all pages of a window: what they share is compiled once.
OPTIONS = ["--no-sandbox", "--renderer-process-limit=1"]
OPEN = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const button of document.querySelectorAll("button.toggle-button-hidden")) button.click();
}"""
LOOKS = {
    f"{size}-{theme}": (width, theme)
    for size, width in (("wide", 1280), ("phone", 390))
    for theme in ("light", "dark")
}


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator:
    """A running Chromium, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


def page_for(browser: Any, width: int = 1280, theme: str = "light"):
    """A page without network, `width` CSS pixels wide, in the light or the dark theme."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=theme)
    context.add_init_script(f"localStorage.mode ??= '{theme}'; localStorage.theme ??= '{theme}';")
    return context.new_page()


def open_all(page: Any) -> None:
    """Open every door, solution and note of the page, and wait for what is behind it."""
    page.evaluate(OPEN)
    page.wait_for_timeout(300)
    settle(page)


def settle(page: Any) -> None:
    """Wait for equations, fonts and the slider charts that are to be seen."""
    page.wait_for_load_state("load")
    page.wait_for_function("!window.MathJax?.startup || MathJax.startup.promise.then(() => true)")
    page.wait_for_function("document.fonts.ready.then(() => true)")
    for chart in page.locator(".slider-view:visible").all():
        chart.locator("svg").wait_for(timeout=30_000)


def picture(page: Any, name: str, target: Path, selector: str | None = None, doors: bool = False) -> None:
    page.goto((SITE / f"{name}.html").resolve().as_uri())
    settle(page)
    if doors:
        open_all(page)
    if selector:
        page.locator(selector).first.screenshot(path=target)
        return
    # The theme scrolls an inner box on wide screens: make the window as tall as the page.
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": min(height, 16_000)})
    page.wait_for_timeout(500)
    page.screenshot(path=target, full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m book.browser", description=__doc__.split("\n")[0])
    parser.add_argument("page", help="a page of the built book, such as chapters/01_hierarchical_data")
    parser.add_argument("--only", choices=LOOKS, help="one picture instead of four")
    parser.add_argument("--doors", action="store_true", help="with every door open")
    parser.add_argument("--selector", help="a CSS selector: a picture of the first such element alone")
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for look in [options.only] if options.only else LOOKS:
            target = PICTURES / f"{Path(options.page).name}-{look}.png"
            picture(page_for(browser, *LOOKS[look]), options.page, target, options.selector, options.doors)
            print(target)


if __name__ == "__main__":
    main()
