"""The Sphinx extension of the course; `_config.yml` names it."""

from __future__ import annotations

import gc
import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.core.render import load_mime_renders
from sphinx.application import Sphinx

from book import (
    card,
    cheat_sheet,
    discovery,
    doors,
    execution,
    foot,
    labels,
    lite,
    measure,
    missing_page,
    offline,
    quiz,
    redirects,
    reference,
    seeds,
    teaching,
    terms,
)
from book.charts import SliderDirective, SliderRenderer
from book.contents import lessons
from book.valid import valid

ASSETS = Path(__file__).parent / "assets"
TEMPLATES = Path(__file__).parent / "templates"


def setup(app: Sphinx) -> dict[str, bool]:
    # The trees of all pages live to the end of the build: looking through them again and again for what could
    # be freed takes a quarter of its time.
    gc.set_threshold(100_000, 20, 50)
    # The list is myst-nb's own, kept by it for the process. An entry point would do the same, but it would
    # have to be in glmmlib's wheel, which does not hold this package.
    if SliderRenderer not in load_mime_renders():
        load_mime_renders().append(SliderRenderer)
    app.add_directive("slider", SliderDirective)
    quiz.add_quiz(app)
    doors.add_doors(app)
    app.add_directive("slide-index", labels.SlideIndex)
    app.add_node(labels.slide_index)
    app.add_directive("live-plan", teaching.LivePlan)
    app.add_directive("cheat-sheet", cheat_sheet.CheatSheet)
    app.add_directive("chapter-measures", measure.ChapterMeasures)
    app.add_directive("seed-table", seeds.SeedTable)
    app.add_transform(labels.CourseLabels)
    reference.setup(app)
    app.connect("doctree-resolved", labels.fill_slide_index)
    app.connect("doctree-resolved", _drop_repeated_ids)
    app.connect("doctree-resolved", terms.mark_terms)
    app.connect("config-inited", _add_assets)
    app.connect("builder-inited", offline.copy_scripts)
    app.connect("builder-inited", teaching.write_downloads)
    app.connect("env-before-read-docs", execution.run_side_by_side)
    app.connect("html-page-context", _finish_page)
    app.connect("html-page-context", discovery.add_description)
    app.connect("html-page-context", missing_page.add_base)
    app.connect("html-page-context", foot.add_foot, priority=900)  # after the theme's buttons
    app.connect("html-collect-pages", missing_page.missing_page)
    app.connect("build-finished", redirects.write_stubs)
    app.connect("build-finished", discovery.write_maps)
    app.connect("build-finished", card.write_card)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_assets(app: Sphinx, config: Any) -> None:
    config.html_static_path.append(str(ASSETS))
    config.templates_path.append(str(TEMPLATES))
    app.add_css_file("book.css")
    app.add_js_file("keys.js", loading_method="defer")
    app.add_js_file("progress.js", loading_method="defer", priority=900)  # after the quizzes answer
    if lite.wanted():
        config.html_theme_options["launch_buttons"]["jupyterlite_url"] = lite.launch_address()


def _progress_box(page: str) -> str:
    """Where `progress.js` says what the reader has done."""
    names = escape(json.dumps([f"chapters/{path.stem}" for path in lessons()]))
    return f'<div class="course-progress" data-page="{escape(page)}" data-chapters="{names}" hidden></div>'


def _drop_repeated_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Sphinx-exercise gives every exercise's body the same id, and every solution's; nothing refers to
    either.
    """
    for section in doctree.findall(nodes.section):
        section["ids"] = [i for i in section["ids"] if i not in ("exercise-content", "solution-content")]


def _finish_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: Any) -> None:
    """Load a script only where it is used; leave out thebe, whose kernel would come from the network."""
    body = context["body"] = valid(context.get("body", ""))
    if 'class="slider-chart"' in body:
        app.add_js_file("charts.js", loading_method="defer")
    if 'class="quiz"' in body:
        app.add_js_file("quiz.js", loading_method="defer")
    if '<details class="door' in body:
        app.add_js_file("doors.js", loading_method="defer")
    if 'class="term"' in body:
        app.add_js_file("terms.js", loading_method="defer")
    if pagename in {app.config.root_doc, *terms.lesson_names()}:
        context["body"] += _progress_box(pagename)
    context["script_files"] = [
        s for s in context["script_files"] if "thebe" not in f"{s.filename} {s.attributes}"
    ]
