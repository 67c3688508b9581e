"""The picture that stands beside a shared link: a line for each person, and the one for all."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sphinx.application import Sphinx

import glmmlib as gl
from book.discovery import CARD, site_title
from glmmlib import palette

SIZE = (12.0, 6.3)  # inches at 100 dots: what sites that show links ask for
MARGIN = 0.06
WORDS = "A course whose claims are tested on the page, and glmmlib"


def write_card(app: Sphinx, exception: Exception | None) -> None:
    """Draw the picture into the built site."""
    if exception is None and app.builder.format == "html":
        draw(site_title(app), Path(app.outdir) / CARD)


def draw(title: str, target: Path) -> None:
    """Draw title and lines into a PNG file."""
    sleep = gl.load("sleepstudy")
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    days = np.array([0.0, 9.0])
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(SIZE, dpi=100)
        figure.text(MARGIN, 0.84, title, fontsize=30, weight="bold", color=palette.POOLED)
        figure.text(
            MARGIN,
            0.745,
            "A course whose claims are tested on the page, and glmmlib",
            fontsize=20,
            color="#555555",
        )
        axes = figure.add_axes((0.0, 0.0, 1.0, 0.70))
        for k, line in enumerate(fit.coef()["Subject"].to_numpy()):
            colour = palette.GROUPS[k % len(palette.GROUPS)]
            axes.plot(days, line[0] + line[1] * days, color=colour, linewidth=3, alpha=0.75)
        axes.plot(days, fit.params["Intercept"] + fit.params["Days"] * days, color=palette.MODEL, linewidth=9)
        axes.set_axis_off()
        axes.margins(x=-0.02, y=0.05)
        figure.savefig(target, metadata={"Software": None})
