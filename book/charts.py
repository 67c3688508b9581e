"""Slider charts: the myst-nb renderer that puts a Vega-Lite output on the page."""

from __future__ import annotations

import json
from hashlib import sha256
from html import escape

from docutils import nodes

from glmmlib.palette import IN_THE_DARK

VEGALITE = "application/vnd.vegalite.v5+json"


class SliderRenderer:
    """Hand a Vega-Lite v5 output to `charts.js`: the specification as JSON, the text alternative as text."""

    mime_priority_overrides = [("html", VEGALITE, 1)]

    @staticmethod
    def handle_mime(renderer, data, inline: bool) -> list[nodes.Node] | None:
        if inline or data.mime_type != VEGALITE:
            return None
        spec = data.content if isinstance(data.content, dict) else json.loads(data.content)
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
        return [nodes.raw("", html, format="html")]
