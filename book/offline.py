"""Scripts that the site needs and git does not hold: MathJax and the Vega bundle, taken from installed
packages.
"""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

import vl_convert
from sphinx.application import Sphinx

MATHJAX = "sphinx-mathjax-offline/static/mathjax"
# The one combined component, its fonts, and the TeX extensions that it may load on demand.
MATHJAX_PARTS = ("tex-mml-chtml.js", "output/chtml/fonts", "input/tex/extensions")


def copy_scripts(app: Sphinx) -> None:
    """Write MathJax and the Vega bundle into the built site's `_static`."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    source = Path(str(distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    for part in MATHJAX_PARTS:
        _copy(source / part, static / "mathjax" / part)
    bundle = vl_convert.javascript_bundle(vl_version="5.20")  # type: ignore[call-arg]
    # The bundle's helpers have one-letter global names; a function of its own keeps them off the page's
    # scripts.
    (static / "vega.js").write_text(f"(() => {{\n{bundle}\n}})();\n", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
