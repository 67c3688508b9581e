"""Slider charts on a page: those that a cell gives, and `{slider}`, which draws one without a cell."""

from __future__ import annotations

import json
from hashlib import sha256
from html import escape
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from glmmlib import sliders
from glmmlib.palette import IN_THE_DARK

VEGALITE = "application/vnd.vegalite.v5+json"


def chart_node(spec: dict) -> nodes.raw:
    """Hand a Vega-Lite v5 specification to `charts.js`: the specification as JSON, the text alternative as
    text.
    """
    title, words = spec["title"]["text"], spec["description"]
    ident = "chart-" + sha256(title.encode()).hexdigest()[:8]
    # `</` would end the script element early
    body = json.dumps({"spec": spec, "dark": IN_THE_DARK}).replace("</", "<\\/")
    html = (
        f'<div class="slider-chart"><p class="slider-title" id="{ident}">{escape(title)}</p>'
        f'<div class="slider-view"></div>'
        f'<script type="application/json" class="slider-spec">{body}</script>'
        f'<details class="slider-text"><summary>What this chart shows, in words</summary>'
        f"<p>{escape(words)}</p></details></div>"
    )
    return nodes.raw("", html, format="html")


class SliderRenderer:
    """The myst-nb renderer of a cell's Vega-Lite output."""

    mime_priority_overrides = [("html", VEGALITE, 1)]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Node] | None:
        if inline or data.mime_type != VEGALITE:
            return None
        return [chart_node(data.content if isinstance(data.content, dict) else json.loads(data.content))]


class SliderDirective(SphinxDirective):
    """`{slider} type_one_rate`: the chart of that name from `glmmlib.sliders`, as it starts."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in sliders.__all__:
            raise self.error(f"there is no slider {name!r}; there are {', '.join(sliders.__all__)}")
        return [chart_node(getattr(sliders, name)().spec)]
