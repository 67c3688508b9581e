"""What does not fit a screen: outputs, equations and lines of code that a reader would have to push aside.

python -m book.fits chapters/01_hierarchical_data        at 390 and 1280 pixels, doors and solutions open
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from book.browser import SITE, chromium, open_all, page_for, settle

PHONE, DESK = 390, 1280
# Each element that would scroll, and each that is cut off with no way to scroll, in its nearest box.
MEASURE = """(selectors) => [...document.querySelectorAll(selectors)]
  .filter((e) => e.checkVisibility() && !e.closest("mjx-assistive-mml, .slider-chart"))
  .map((e) => {
    let box = e;
    while (box && !/auto|scroll/.test(getComputedStyle(box).overflowX)) box = box.parentElement;
    const scrolls = Boolean(box?.closest("article")) && box.tagName !== "ARTICLE";
    const room = scrolls ? box : document.querySelector("article");
    const over = Math.max(e.scrollWidth - e.clientWidth, scrolls ? box.scrollWidth - box.clientWidth : 0,
      e.getBoundingClientRect().right - room.getBoundingClientRect().right);
    return { what: (e.textContent.trim() || e.outerHTML).slice(0, 60), over: Math.round(over), scrolls };
  })
  .filter((found) => found.over > 1)"""
ANSWERS = ".bd-article .cell_output pre, .bd-article .cell_output table, .bd-article div.math mjx-container"
CODE = ".bd-article .cell_input pre, .bd-article .sd-tab-content pre"


def too_wide(page: Any, selectors: str) -> list[dict]:
    """What in an open page is wider than its place: its beginning, by how many pixels, whether it scrolls."""
    return page.evaluate(MEASURE, selectors)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m book.fits", description=__doc__.split("\n")[0])
    parser.add_argument(
        "pages", nargs="+", help="pages of the built book, such as chapters/01_hierarchical_data"
    )
    wrong = 0
    with chromium() as browser:
        for name in parser.parse_args().pages:
            for width, selectors in ((PHONE, ANSWERS), (DESK, CODE)):
                page = page_for(browser, width)
                page.goto((SITE / f"{name}.html").resolve().as_uri())
                settle(page)
                open_all(page)
                for found in too_wide(page, selectors):
                    wrong += 1
                    print(f"{name} at {width}: {found['over']} pixels too wide: {found['what']!r}")
                page.context.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
